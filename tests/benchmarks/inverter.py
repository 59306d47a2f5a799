"""Cost and punctuality of the inverter's path. ``measure`` is called by the benchmarks' main."""

import asyncio
import json
import sys
import tempfile
import time
import tracemalloc
from contextlib import AsyncExitStack
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import Any

from jkbms_addon.charging.control import Control
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.simulator.can import slcan_adapter
from jkbms_addon.simulator.far_end import serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.can import Frame
from tests.bank.packs import candidate
from tests.benchmarks.can import far_end
from tests.benchmarks.figures import show
from tests.conftest import mosquitto, until
from tests.inverter.senders import FIRST, starts


def measure(seconds: float = 30.0) -> None:
    """Print the figures."""
    show("memory of bank and limits of 15 packs", kept_memory(), "KiB")
    asyncio.run(punctuality(seconds))


def kept_memory() -> float:
    """KiB that the decisions for 15 packs keep."""
    packs = [candidate(n) for n in range(1, 16)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    control = Control(lambda _now: packs, lambda: 0.0, setpoints=Setpoints())
    for n in range(200):
        control.step(float(n))
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown / 1024


async def punctuality(seconds: float) -> None:
    """The program as its container starts it: 12 BMSs on CAN, 5 on RS485, a broker, an inverter."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = await stack.enter_async_context(mosquitto(folder))
        rs485 = await stack.enter_async_context(serial_bus([SimulatedBms(n, errors=0) for n in range(1, 6)]))
        inverter = await stack.enter_async_context(slcan_adapter(500000))
        can = stack.enter_context(far_end(seconds + 30, ()))
        path = folder / "options-bench.json"
        path.write_text(json.dumps(options(rs485.port, can, inverter.port, broker.port)))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jkbms_addon", "run", "--options", str(path)
        )
        try:
            await until(lambda: starts(inverter.transmitted), 30)
            await asyncio.sleep(seconds)
            report(list(inverter.transmitted))
        finally:
            process.terminate()
            await process.wait()


def report(sent: list[tuple[float, Frame]]) -> None:
    """Periods, lateness against a raster of 1 s, and gaps within a set."""
    begun = starts(sent)[1:]
    periods = sorted(abs(b - a - 1) for a, b in pairwise(begun))
    phases = sorted((at - floor(begun[0])) % 1 for at in begun)
    inner = sorted(b[0] - a[0] for a, b in pairwise(sent) if b[1].can_id != FIRST)
    show(f"jitter of the period, p99 of {len(periods)}", percentile(periods, 0.99) * 1e3, "ms", 20)
    show("jitter of the period, median", percentile(periods, 0.5) * 1e3, "ms")
    show("spread of the phase against 1 s of the clock", (phases[-1] - phases[0]) * 1e3, "ms")
    # the far end sometimes reads two frames at once, which is not the sender's doing
    show("gap between frames, p1", percentile(inner, 0.01) * 1e3, "ms", 10)
    show("gap between frames, median", percentile(inner, 0.5) * 1e3, "ms")
    show("gap between frames, p99", percentile(inner, 0.99) * 1e3, "ms", 20)


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def options(rs485: str, can: str, inverter: str, broker: int) -> dict[str, Any]:
    return {
        "log_level": "warning",
        "buses": [
            {"name": "a", "strategy": "master", "port": rs485, "addresses": "1-5", "interval": 1.0},
            {"name": "can", "strategy": "can_broadcast", "channel": can, "bitrate": 500000},
        ],
        "mqtt": {"host": "127.0.0.1", "port": broker},
        "inverter": {"protocol": "pylontech", "channel": inverter, "confirmed": True},
    }


if __name__ == "__main__":
    began = time.monotonic()
    measure()
    print(f"{time.monotonic() - began:.0f} s")
