"""``capture``: what is on a bus, byte by byte with its times, into a file for a bug report."""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from jkbms_addon import __version__
from jkbms_addon.acquisition.gateway import PATIENCE
from jkbms_addon.acquisition.listen import Listener
from jkbms_addon.acquisition.master import Master
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.cli import target
from jkbms_addon.cli.run import log_to_stderr
from jkbms_addon.doctor import tape
from jkbms_addon.doctor.recording import Chunk
from jkbms_addon.doctor.target import Target
from jkbms_addon.errors import OptionsError
from jkbms_addon.link.stream import Link
from jkbms_addon.options.file import parse

LISTEN_FIRST = 2.0  # seconds; a master asks something every 0.4 s
WRITE_EVERY = 0.5  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    target.add_arguments(parser)
    parser.add_argument("--seconds", type=float, default=30.0, metavar="N", help="how long (default: %(default)s)")
    parser.add_argument(
        "--poll",
        metavar="ADDRESSES",
        help="also ask these BMSs, such as 1-3, unless a master is heard (default: nothing is sent)",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="where to; an existing file is replaced")


def run(args: argparse.Namespace) -> int:
    """Record until the time is over or Ctrl-C; 0. ``OptionsError`` or ``LinkError`` when that cannot be."""
    log_to_stderr("warning")
    bus = target.chosen(args)
    wanted = polled(bus, args.poll) if args.poll else frozenset()
    if not args.seconds > 0:
        raise OptionsError("--seconds: must be more than 0")
    tape = Tape(args.file)
    with suppress(KeyboardInterrupt):
        asyncio.run(record(bus, tape, args.seconds, wanted))
    print(f"{args.file}: {tape.received} bytes received, {tape.sent} sent; PINs and passwords blanked", file=sys.stderr)
    return 0


def polled(bus: Target, text: str) -> frozenset[int]:
    """Addresses in a text, as in the options; ``OptionsError`` when it has none."""
    (entry,) = parse({"buses": [{"name": "capture", "strategy": "auto", "addresses": text, **bus.options()}]}).buses
    if entry.problem:
        raise OptionsError(f"--poll: {entry.problem}")
    wanted: frozenset[int] = entry.values["addresses"]
    return wanted


class Tape:
    """A capture, into a file or a text. ``tap`` sees the bytes, ``write`` puts there what is settled."""

    def __init__(self, place: Path | StringIO, *, serials: bool = False) -> None:
        self._serials = serials
        self._place = place
        self._file: TextIO | None = None
        self._kept = tape.Tape("", "", __version__)
        self._started = 0.0

    @property
    def received(self) -> int:
        """Bytes that came."""
        return self._kept.received

    @property
    def sent(self) -> int:
        """Bytes that went out."""
        return self._kept.sent

    def start(self, bus: Target, link: Link) -> Self:
        """Begin a new file with what comes from now on; ``OptionsError`` when it cannot be written."""
        try:
            self._file = self._place if isinstance(self._place, StringIO) else self._place.open("w", encoding="utf-8")
        except OSError as error:
            raise self._refused(error) from error
        self._kept = tape.Tape(
            str(bus), datetime.now(UTC).isoformat(timespec="seconds"), __version__, serials=self._serials
        )
        self.write()
        self._started = time.monotonic()
        link.taps.append(self.tap)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._kept.take(None)
        self.write()
        if self._file and self._file is not self._place:
            self._file.close()

    def tap(self, direction: str, data: bytes) -> None:
        """Take in bytes at the moment when they come or go."""
        now = time.monotonic() - self._started
        self._kept.take(Chunk(now, "rx" if direction == "rx" else "tx", data))

    def write(self) -> None:
        """Put into the file what is settled; ``OptionsError`` when it takes no more."""
        self._put(self._kept.lines())

    def _put(self, lines: Iterable[str]) -> None:
        if self._file is None:
            return
        try:
            self._file.writelines(f"{one}\n" for one in lines)
            self._file.flush()
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> OptionsError:
        return OptionsError(f"{self._place} cannot be written: {error.strerror or error}")


async def record(bus: Target, tape: Tape, seconds: float, wanted: frozenset[int]) -> None:
    """Record a bus, asking the ``wanted`` addresses; ``LinkError`` or ``OptionsError`` when that cannot be."""
    async with bus.open() as link:
        with tape.start(bus, link):
            end = time.monotonic() + seconds
            if wanted and not await _master_heard(bus, link, min(LISTEN_FIRST, seconds)):
                await _poll(bus, link, tape, end, wanted)
            while (left := end - time.monotonic()) > 0:
                await link.read(min(left, WRITE_EVERY))
                tape.write()


async def _master_heard(bus: Target, link: Link, seconds: float) -> bool:
    """Whether somebody else asks on this bus, so that we must not."""
    listener = Listener(link, BusStatus("capture"), tcp=bus.tcp)
    end = time.monotonic() + seconds
    while time.monotonic() < end and listener.master_heard is None:
        await listener.poll()
    if listener.master_heard is not None:
        print("another master is asking on this bus: only listening", file=sys.stderr)
        return True
    return False


async def _poll(bus: Target, link: Link, tape: Tape, end: float, wanted: frozenset[int]) -> None:
    status = BusStatus("capture")
    status.up()
    master = Master(link, status, wanted, 2.0, PATIENCE if bus.tcp else 1.0, tcp=bus.tcp)
    while time.monotonic() < end:
        await master.poll()
        tape.write()
