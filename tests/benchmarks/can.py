"""Cost of hearing twelve BMSs on CAN. ``measure`` is called by the benchmarks' main.

As a program of its own it is the far end: ``python -m tests.benchmarks.can FD SECONDS [KIND...]`` writes what
twelve BMSs send, as lines of a serial adapter.
"""

import asyncio
import os
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from jkbms_addon.acquisition.can_broadcast import PLUGIN
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.simulator.can import TICK, can_bms
from jkbms_addon.wire import slcan
from jkbms_addon.wire.jkcan.kinds import ADDRESSES, KINDS
from tests.benchmarks.figures import show

WARM_UP = 6.0  # seconds until the interpreter and all readings are under way


def measure(seconds: float = 15.0) -> None:
    """Print the figures."""
    for label, kinds, goal in (("BATT_ST1", ("BATT_ST1", "CELL_VOLT", "BMSERR_INFO"), 5.0), ("all frames", (), None)):
        with far_end(seconds + WARM_UP + 1, kinds) as port:
            frames, readings, share = asyncio.run(heard(port, seconds))
        show(f"CPU for {label} of 12 BMSs, {frames:.0f} frames/s, serial adapter", share * 100, "% of a core", goal)
        show(f"readings per BMS and second, {label}", readings / 12, "1/s", 1)


@contextmanager
def far_end(seconds: float, kinds: tuple[str, ...]) -> Iterator[str]:
    """Path of a serial adapter that another process feeds."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    arguments = [str(ours), str(seconds), *kinds]
    far = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.can", *arguments], pass_fds=[ours])
    try:
        yield os.ttyname(theirs)
    finally:
        far.kill()
        far.wait()
        os.close(ours)
        os.close(theirs)


async def heard(port: str, seconds: float) -> tuple[float, float, float]:
    """Frames a second, readings a second and share of a core while the strategy hears twelve BMSs."""
    status, told = BusStatus("bench"), 0
    async with PLUGIN.open(PLUGIN.schema({"channel": port, "bitrate": 500000}), status) as source:
        began = time.monotonic()
        while time.monotonic() - began < WARM_UP:
            await source.poll()
        frames, began, busy = status.frames, time.monotonic(), time.process_time()
        while time.monotonic() - began < seconds:
            told += len(await source.poll())
        elapsed = time.monotonic() - began
    return (status.frames - frames) / elapsed, told / elapsed, (time.process_time() - busy) / elapsed


def send(fd: int, seconds: float, kinds: list[str]) -> None:
    """Write what twelve BMSs send, all of it or some kinds of frame."""
    without = frozenset(kind.name for kind in KINDS if kinds and kind.name not in kinds)
    batteries = [can_bms(address) for address in ADDRESSES]
    for battery in batteries:
        battery.without = without
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        lines = [slcan.written(frame) for battery in batteries for frame in battery.due(now)]
        os.write(fd, b"".join(lines))
        time.sleep(TICK)


if __name__ == "__main__":
    send(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
