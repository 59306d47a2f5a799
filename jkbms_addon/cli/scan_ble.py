"""``scan --bluetooth``: which batteries are in the air, who they are, and entries for the options. Writes nothing."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jkbms_addon.acquisition import ble
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.doctor.found import Found, columns, yaml
from jkbms_addon.errors import LinkError

LISTEN = 8.0  # s; a BMS advertises several times a second
TALK = 12.0  # s for who it is and what it measures
HEAD = ("address", "name", "RSSI", "model", "firmware", "serial number", "cells", "voltage")
NOBODY = (
    "no JK BMS is heard: out of range, switched off, or already connected to a phone or another program, as a BMS then "
    "does not advertise; what this app itself is connected to is not heard either"
)
Say = Callable[..., None]


@dataclass(slots=True)
class InAir:
    """A battery that was heard; ``trouble`` is why it was not read."""

    address: str
    name: str
    rssi: int | None
    told: Found = field(default_factory=lambda: Found(None, "heard"))
    trouble: str = ""

    def row(self) -> tuple[str, ...]:
        """Cells of the table; a dash where nothing is known."""
        _, *told, _, _ = self.told.row()
        loud = "-" if self.rssi is None else f"{self.rssi} dBm"
        return self.address, self.name or "-", loud, *told


async def scan(adapter: str, say: Say) -> list[InAir]:
    """Listen, then connect to everybody for a moment, one at a time. ``LinkError`` without Bluetooth."""
    try:
        from jkbms_addon.link.gatt import heard  # noqa: PLC0415 - only where it is used
    except ImportError as error:
        raise LinkError(ble.NO_LIBRARY) from error
    say("listening for Bluetooth batteries")
    found = [InAir(one.address, one.name, one.rssi) for one in await heard(adapter, LISTEN)]
    for number, one in enumerate(found, 1):
        say(f"asking {one.address}", f"({number} of {len(found)})")
        try:
            await _asked(one, adapter)
        except LinkError as error:
            one.trouble = str(error).removeprefix(f"{one.address}: ")
    return found


async def _asked(one: InAir, adapter: str) -> None:
    options = ble.PLUGIN.schema({"mac": one.address, **({"adapter": adapter} if adapter else {})})
    status = BusStatus("scan")
    async with ble.opened(options, status) as source:
        end = time.monotonic() + TALK
        while not {"live", "about"} <= set(one.told.kinds) and time.monotonic() < end:
            for reading in await source.poll():
                one.told.tell(reading)
            if isinstance(source, ble.Refused):
                one.trouble = status.problem
                return


def report(found: list[InAir]) -> int:
    """Print a table and entries for the options; the exit status."""
    if not found:
        print(NOBODY, file=sys.stderr)
        return 1
    for one in found:
        if one.trouble:
            print(f"{one.address}: {one.trouble}", file=sys.stderr)
    print(columns([HEAD, *(one.row() for one in found)]))
    good = [one for one in found if one.told.kinds]
    if not good:
        return 1
    entries: list[dict[str, str | int]] = [
        {"name": f"ble{n}", "strategy": "ble", "mac": one.address, "address": n} for n, one in enumerate(good, 1)
    ]
    print("", yaml(*entries), sep="\n")
    return 0
