"""What ``scan --bluetooth`` prints: a table of the batteries in the air, and entries for the options."""

import sys

from jkbms_addon.doctor.air import NOBODY, InAir, entries
from jkbms_addon.doctor.found import columns

HEAD = ("address", "name", "RSSI", "model", "firmware", "serial number", "cells", "voltage")


def report(found: list[InAir], adapter: str) -> int:
    """Print it; the exit status."""
    if not found:
        print(NOBODY, file=sys.stderr)
        return 1
    for one in found:
        if one.trouble:
            print(f"{one.address}: {one.trouble}", file=sys.stderr)
    print(columns([HEAD, *(one.row() for one in found)]))
    words = entries(found, adapter)
    if words:
        print("", words, sep="\n")
    return 0 if words else 1
