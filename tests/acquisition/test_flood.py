"""A flood of bytes: it is looked through in slices, so that other owners get their turn."""

import asyncio
import time
from collections.abc import Callable

import pytest

from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.acquisition.listen import Listener
from jkbms_addon.acquisition.master import Master
from jkbms_addon.acquisition.ttl_line import Line
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.link.stream import MAX_PENDING, SLICE, Link

WORST = bytes.fromhex("0110161E000102") * (MAX_PENDING // 7 + 1)  # every beginning of a message, and never a whole one


def flooded() -> Link:
    link = Link("x")
    link._transport = Sink()  # type: ignore[assignment]
    link.data_received(WORST)
    return link


class Sink:
    def write(self, data: bytes) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


def master(link: Link) -> Callable[[], object]:
    return Master(link, BusStatus("t"), frozenset((1,)), 2.0).poll


def listener(link: Link) -> Callable[[], object]:
    return Listener(link, BusStatus("t")).poll


def line(link: Link) -> Callable[[], object]:
    one = Line(link, Intake(BusStatus("t")))
    return lambda: one.read(0.1)


@pytest.mark.parametrize("source", [master, listener, line])
async def test_between_two_slices_others_get_their_turn(source: Callable[[Link], Callable[[], object]]) -> None:
    link = flooded()
    poll, turns, longest = source(link), 0, 0

    async def bystander() -> None:
        nonlocal turns, longest
        before = len(link._pending)
        while True:
            await asyncio.sleep(0)
            turns += 1
            longest = max(longest, before - len(link._pending))
            before = len(link._pending)

    task = asyncio.create_task(bystander())
    await asyncio.sleep(0)
    began = time.monotonic()
    while link.pending and time.monotonic() - began < 20:
        await poll()  # type: ignore[misc]
    task.cancel()
    assert not link.pending
    assert turns >= MAX_PENDING / SLICE - 2
    assert longest <= 2 * SLICE
