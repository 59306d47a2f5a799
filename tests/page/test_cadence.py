"""Whatever clients of the page do, the inverter is told what it needs on time.

A beat that falls due at some moment waits for the turn of the event loop that runs then. So at most one percent of the
time may lie in turns longer than the limit. Turns are measured in processor time of this thread: a busy neighbour on
the same computer delays everybody, which is not the page's doing. ``tests.benchmarks`` prints the jitter by the clock.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from jkbms_addon.charging.cadence import Cadence
from jkbms_addon.link.can import Channel
from jkbms_addon.simulator.can import can_bms
from jkbms_addon.simulator.far_end import BYTE_TIME
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.can import Frame
from jkbms_addon.wire.pb.modbus import LIVE, acknowledgement, page_request
from tests.page.stage import Stage, Wire, batteries, served
from tests.page.test_asks import client

LATE = 0.020  # s at the 99th percentile
BEATS = 40  # a second, so that a short measurement sees many


@asynccontextmanager
async def hammered(port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.page.hammer", str(port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    await process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def jitter(seconds: float) -> float:
    """How late a loop like that of the sender wakes, 99th percentile, s by the clock."""
    late = []
    cadences = [Cadence(n / BEATS) for n in range(BEATS)]

    async def beat(cadence: Cadence) -> None:
        end = time.monotonic() + seconds
        while (due := cadence.next(time.monotonic())) < end:
            await asyncio.sleep(due - time.monotonic())
            late.append(time.monotonic() - due)

    await asyncio.gather(*map(beat, cadences))
    return sorted(late)[int(len(late) * 0.99)]


async def turns(seconds: float) -> list[float]:
    """Processor time of every turn of the event loop, s."""
    loop, found, last = asyncio.get_running_loop(), list[float](), time.thread_time()

    def turn() -> None:
        nonlocal last
        now = time.thread_time()
        found.append(now - last)
        last = now
        if not over.is_set():
            loop.call_soon(turn)

    over = asyncio.Event()
    loop.call_soon(turn)
    await asyncio.sleep(seconds)
    over.set()
    return found


def late(found: list[float]) -> float:
    """Share of the time that went by in turns that are too long."""
    return sum(one for one in found if one > LATE) / sum(found)


async def calmest() -> list[float]:
    """The best of three looks: what delays the loop does so in each, a machine with other work in some."""
    return min([await turns(2.5) for _ in range(3)], key=late)


async def test_twelve_clients_do_not_delay_the_inverter(tmp_path: Path) -> None:
    stage = Stage(tmp_path, batteries(15))
    stage.past()
    async with served(stage) as place, hammered(place.port):
        await asyncio.sleep(1)
        found = await calmest()
    assert sum(found) > 0.5
    assert late(found) <= 0.01, sorted(found)[-20:]


async def looked_at(stage: Stage, talk: Coroutine[Any, Any, None]) -> list[float]:
    """Turns of the loop while one bus is looked at and the other is captured, on both of which there is talk."""
    async with served(stage) as place, client(place.port) as one, client(place.port) as other:
        assert (await one.ask("bytes", bus="garage"))["t"] == "begun"
        assert (await other.ask("capture", bus="cellar", seconds=30))["t"] == "begun"
        talking = asyncio.create_task(talk)
        await asyncio.sleep(1)
        found = await calmest()
        talking.cancel()
        assert (await one.said("bytes"))["lines"]
        jobs = stage.sources.jobs.told(0, 0)
    assert [job["state"] for job in jobs] == ["runs", "runs"]
    return found


async def test_bytes_and_captures_do_not_delay_the_inverter(tmp_path: Path) -> None:
    """Lines as full as 115200 baud can be are looked through in words and captured at the same time."""
    stage = Stage(tmp_path, batteries(15))
    said = SimulatedBms(1).page(LIVE) + acknowledgement(1, LIVE)

    async def talk() -> None:
        while True:
            for link in stage.links.values():
                for tap in link.taps:
                    tap("tx", page_request(1, LIVE))
                    tap("rx", said)
            await asyncio.sleep(len(said) * BYTE_TIME)

    with stage.talking():
        found = await looked_at(stage, talk())
    assert late(found) <= 0.01, sorted(found)[-20:]


def batches(count: int) -> list[tuple[Frame, ...]]:
    """What so many batteries send on CAN in a second, as a channel that is read every 50 ms gives it."""
    packs = [can_bms(number) for number in range(count)]
    hundredths = [tuple(frame for pack in packs for frame in pack.due(n / 100)) for n in range(100)]
    return [sum(hundredths[n : n + 5], ()) for n in range(0, 100, 5)]


async def test_frames_and_their_captures_do_not_delay_the_inverter(tmp_path: Path) -> None:
    """A CAN bus with as many batteries as it can have, looked at in words and captured at the same time."""
    stage, channel, second = Stage(tmp_path, batteries(15)), Channel("can9", -1), batches(12)
    assert sum(map(len, second)) > 1100

    async def talk() -> None:
        for frames in cycle(second):
            channel.passed("rx", frames)
            await asyncio.sleep(0.05)

    with ExitStack() as lent:
        for slot in stage.sources.slots.values():
            lent.enter_context(slot.lent(Wire(channel)))
        found = await looked_at(stage, talk())
    assert late(found) <= 0.01, sorted(found)[-20:]
