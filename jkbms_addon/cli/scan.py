"""``scan``: what is on a bus, as a table and an entry for the options."""

import argparse
import asyncio
import sys

from jkbms_addon.acquisition.auto import FIRST_LISTEN
from jkbms_addon.battery.sight import Sight
from jkbms_addon.cli import scan_ble, target
from jkbms_addon.cli.run import log_to_stderr
from jkbms_addon.doctor import air
from jkbms_addon.doctor.found import entry, table, yaml
from jkbms_addon.doctor.same import same
from jkbms_addon.doctor.scan import Result, scan
from jkbms_addon.doctor.target import Target
from jkbms_addon.errors import OptionsError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    target.add_arguments(parser, bluetooth=True)
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="PORT|HOST:PORT",
        help="another bus to look at afterwards; in the end it is said which units are one battery with two cables",
    )
    parser.add_argument(
        "--listen-seconds",
        type=float,
        default=FIRST_LISTEN,
        metavar="N",
        help="how long to listen for a master before asking; less than 8 may miss one (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Print a table and an entry for the options; 1 and a reason on standard error when nothing was found."""
    log_to_stderr("error")
    say = Progress()
    if args.bluetooth is not None:
        return _in_the_air(args.bluetooth, say)
    buses = [target.chosen(args), *map(target.named, args.also)]
    if not args.listen_seconds >= 0:
        raise OptionsError("--listen-seconds: must not be negative")
    statuses, sights = [], list[Sight]()
    for bus in buses:
        try:
            result = asyncio.run(scan(bus, args.listen_seconds, say))
        except KeyboardInterrupt:
            return 130
        finally:
            say.clear()
        if len(buses) > 1:
            print(f"{bus}:")
        statuses.append(report(bus, result))
        sights += [one.sight(str(bus)) for one in result.found]
    for line in same(sights):
        print(line)
    return max(statuses)


def _in_the_air(adapter: str, say: "Progress") -> int:
    try:
        found = asyncio.run(air.scan(adapter, say))
    except KeyboardInterrupt:
        return 130
    finally:
        say.clear()
    return scan_ble.report(found, adapter)


class Progress:
    """What is going on, on standard error: one line that is drawn anew, or plain lines where that is no terminal."""

    def __init__(self) -> None:
        self._terminal, self._said = sys.stderr.isatty(), ""

    def __call__(self, phase: str, detail: str = "") -> None:
        """Show a phase, and on a terminal how far it is."""
        if self._terminal:
            print(f"\r\033[K{phase} {detail}", end="", file=sys.stderr, flush=True)
        elif phase != self._said:
            print(phase, file=sys.stderr, flush=True)
        self._said = phase

    def clear(self) -> None:
        """Leave an empty line for what follows."""
        if self._terminal and self._said:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def report(bus: Target, result: Result) -> int:
    """Print a result; the exit status."""
    for note in result.notes:
        print(note, file=sys.stderr)
    if result.reason:
        print("nothing found on" if not result.found else "beware:", f"{bus}: {result.reason.symptom}", file=sys.stderr)
        print(f"likely cause: {result.reason.cause}", file=sys.stderr)
        print(f"what to try: {result.reason.remedy}", file=sys.stderr)
    if not result.found:
        return 1
    addresses = [one.address for one in result.found if one.address is not None]
    print(table(result.found), yaml(entry(result.strategy, bus.options(), addresses)), sep="\n\n")
    return 0
