"""``bundle``: what a bug report needs, in one file without secrets."""

import argparse
import asyncio
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Final

from jkbms_addon.acquisition.contract import BusOptions
from jkbms_addon.cli.capture import Tape, record
from jkbms_addon.doctor.bundle import collected, what, written
from jkbms_addon.doctor.can import FrameLog
from jkbms_addon.doctor.recording import Passed
from jkbms_addon.doctor.target import Target
from jkbms_addon.errors import LinkError, OptionsError
from jkbms_addon.link.can import can_channel
from jkbms_addon.options.file import DEFAULT_FILE, Options, read
from jkbms_addon.options.words import told

MOST: Final = 80_000  # lines of a log, about 4 MB


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--options", type=Path, default=DEFAULT_FILE, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="N", help="of each bus (default: %(default)s)")
    parser.add_argument("file", type=Path, nargs="?", default=Path("jkbms-bundle.zip"), help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Write the file and list what is in it; 0. ``OptionsError`` when it cannot be written."""
    found, problem = _options(args.options)
    try:
        with args.file.open("wb") as file:  # before the buses are listened to, which takes its time
            parts = dict(collected(args.options, "\n".join(told(found)) if found else problem))
            parts.update(captures(found, args.seconds))
            file.write(written(parts, args.options))
    except OSError as error:
        raise OptionsError(f"{args.file} cannot be written: {error.strerror or error}") from error
    print(f"{args.file} holds, with passwords, PINs and user names blanked:")
    for name, text in parts.items():
        print(f"  {name:<24} {len(text.encode()):>8} bytes  {what(name)}")
    print("Names of hosts and serial numbers stand as host-1 and serial-1. Look into it before you hand it on.")
    return 0


def captures(found: Options | None, seconds: float) -> Iterator[tuple[str, str]]:
    """Name and text of each capture."""
    for bus in found.buses if found else ():
        if bus.plugin and seconds > 0:
            if bus.strategy == "can_broadcast":  # a plug-in may mean something else by its options
                yield f"capture-{bus.name}.log", listened(bus, seconds)
            else:
                yield f"capture-{bus.name}.jsonl", captured(bus, seconds)


def _options(path: Path) -> tuple[Options | None, str]:
    try:
        return read(path), ""
    except OptionsError as error:
        return None, str(error)
    except RecursionError:
        return None, "nested too deep"


def listened(bus: BusOptions, seconds: float) -> str:
    """Frames on a CAN bus as a log of candump, nothing sent and no link set up; or why there are none."""
    try:
        return asyncio.run(frames(bus.values["channel"], bus.values["bitrate"], seconds))
    except LinkError as error:
        return f"not captured: {error}"


async def frames(channel: str, bitrate: int, seconds: float) -> str:
    """All that comes within so many s, ``MOST`` lines at most; ``LinkError``."""
    log, lines, began = FrameLog(channel, time.time()), list[str](), time.monotonic()
    async with can_channel(channel, bitrate) as link:
        while len(lines) < MOST and (left := began + seconds - time.monotonic()) > 0:
            heard = await link.read(min(left, 0.5))
            log.take(Passed(time.monotonic() - began, "rx", tuple(heard)))
            lines += log.lines()
    return "\n".join([*lines[:MOST], ""])


def captured(bus: BusOptions, seconds: float) -> str:
    """Bytes on a bus, secrets blanked, nothing sent; or why there are none."""
    place = target(bus)
    if place is None:
        return "only serial ports, gateways and CAN can be captured"
    text = StringIO()  # a container may have no place for a file but /data
    try:
        asyncio.run(record(place, Tape(text, serials=True), seconds, frozenset()))
    except (LinkError, OptionsError) as error:
        return f"not captured: {error}; the running app has the port, stop it first if the bytes matter"
    return text.getvalue()


def target(bus: BusOptions) -> Target | None:
    """Where the bytes of a bus come from; None where they are no stream."""
    values = bus.values
    if "host" in values and "tcp_port" in values:
        return Target(str(values["host"]), int(values["tcp_port"]))
    return Target(str(values["port"])) if "port" in values else None
