"""What the doctor is doing: one thing at a time, bounded, gone after a while."""

import asyncio
import zlib

import pytest

from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.page.jobs import FILES, KEPT, LARGEST, RUNNING, Download, Job, Jobs, Roll
from jkbms_addon.page.visitor import Visitor
from tests.conftest import until
from tests.played import PlayedClock


def visitor(name: str, clock: PlayedClock) -> Visitor:
    return Visitor(name, clock)


async def forever(_: Job) -> None:
    await asyncio.Event().wait()


async def test_one_on_a_bus_and_one_for_a_visitor() -> None:
    clock = PlayedClock()
    jobs = Jobs(clock)
    people = [visitor(f"v{n}", clock) for n in range(RUNNING + 1)]
    async with asyncio.TaskGroup() as tasks:
        first = jobs.begin(("capture", "garage"), people[0], 30, forever, tasks)
        with pytest.raises(CommandError, match="garage is busy: capture of v0"):
            jobs.begin(("bytes", "garage"), people[1], 30, forever, tasks)
        with pytest.raises(CommandError, match="one thing at a time"):
            jobs.begin(("bytes", "cellar"), people[0], 30, forever, tasks)
        for n in range(1, RUNNING):
            jobs.begin(("bytes", f"b{n}"), people[n], 30, forever, tasks)
        with pytest.raises(CommandError, match="too many"):
            jobs.begin(("bytes", "cellar"), people[RUNNING], 30, forever, tasks)
        with pytest.raises(CommandError, match="begun by v0"):
            jobs.stop(first.number, people[1])
        people[1].unlock()
        jobs.stop(first.number, people[1])
        for number in (None, 99, "1"):
            with pytest.raises(CommandError, match="nothing of that"):
                jobs.stop(number, people[1])
        await until(lambda: jobs.told(0, 0)[0]["state"] == "stopped")
        again = jobs.begin(("bytes", "garage"), people[0], 30, forever, tasks)
        assert again.number == RUNNING + 1
        for one in jobs.told(0, 0):
            if one["state"] == "runs":
                jobs.stop(one["id"], people[1])


async def test_a_bundle_keeps_the_buses_that_it_captures() -> None:
    clock = PlayedClock()
    jobs = Jobs(clock)
    anna, ben = visitor("Anna", clock), visitor("Ben", clock)
    async with asyncio.TaskGroup() as tasks:
        scan = jobs.begin(("scan", "garage"), ben, 30, forever, tasks)
        with pytest.raises(CommandError, match="garage is busy: scan of Ben"):
            jobs.begin(("bundle", "", "cellar", "garage"), anna, 30, forever, tasks)
        jobs.stop(scan.number, ben)
        await until(lambda: jobs.told(0, 0)[0]["state"] == "stopped")
        bundle = jobs.begin(("bundle", "", "cellar", "garage"), anna, 30, forever, tasks)
        assert jobs.told(0, 0)[1]["beside"] == ["cellar", "garage"]
        with pytest.raises(CommandError, match="garage is busy: bundle of Anna"):
            jobs.begin(("capture", "garage"), ben, 30, forever, tasks)
        with pytest.raises(CommandError, match="bundle is busy: bundle of Anna"):
            jobs.begin(("bundle", ""), ben, 0, forever, tasks)
        bundle.release()  # what was captured is packed now
        assert jobs.told(0, 0)[1]["beside"] == []
        scan = jobs.begin(("scan", "garage"), ben, 30, forever, tasks)
        jobs.stop(scan.number, ben)
        jobs.stop(bundle.number, anna)


async def test_how_it_ends_and_for_how_long_that_is_told() -> None:
    clock = PlayedClock()
    jobs, who = Jobs(clock), visitor("Anna", clock)

    async def filed(job: Job) -> None:
        jobs.give(job, Download("x.jsonl", 4, zlib.compress(b"text")))

    async def lost(_: Job) -> None:
        raise LinkError("unplugged")

    async with asyncio.TaskGroup() as tasks:
        jobs.begin(("capture", "garage"), who, 30, filed, tasks)
        await until(lambda: jobs.told(0, 0)[0]["state"] == "done")
        jobs.begin(("capture", "garage"), who, 30, lost, tasks)
    done, failed = jobs.told(clock(), 1000 + clock())
    assert (done["state"], done["who"], done["began"]) == ("done", "Anna", 2000)
    path, size = done["file"]
    assert size == 4
    assert len(path.split("/")[1]) == 32
    assert jobs.file(f"/{path}") == jobs.file(f"/{path}")
    assert jobs.file("/files/x/x.jsonl") is None
    assert (failed["state"], failed["why"]) == ("failed", "unplugged")
    clock.now += KEPT + 1
    assert jobs.file(f"/{path}") is None
    assert jobs.told(clock(), 1000) == []


async def test_few_files_are_held() -> None:
    clock = PlayedClock()
    jobs = Jobs(clock)
    async with asyncio.TaskGroup() as tasks:
        for n in range(FILES + 3):

            async def filed(job: Job) -> None:
                jobs.give(job, Download("x", 0, b""))

            jobs.begin(("capture", f"b{n}"), visitor("x", clock), 1, filed, tasks)
            await until(lambda: not any(one["state"] == "runs" for one in jobs.told(0, 0)))
    assert sum("file" in one for one in jobs.told(0, 0)) == FILES


def test_a_roll_is_bounded_and_packed() -> None:
    roll = Roll()
    roll.write(["one", "two"])
    file = roll.download("x")
    assert zlib.decompress(file.packed) == b"one\ntwo\n"
    assert file.size == 8
    roll = Roll()
    while not roll.full:
        roll.write(["x" * 10_000])
    file = roll.download("x")
    text = zlib.decompress(file.packed)
    assert LARGEST - 10_001 <= len(text) <= LARGEST
    assert text.endswith(b"x\n")
    assert file.size == len(text)
