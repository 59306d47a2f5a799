"""The sender on a serial adapter at the end of a pty: real bytes, real time."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from jkbms_addon.errors import LinkError
from jkbms_addon.inverter import sender as emitter
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.sender import GAP
from jkbms_addon.link.can import Channel
from jkbms_addon.simulator.can import slcan_adapter
from jkbms_addon.wire.can import Frame
from tests.bank.packs import candidate, values
from tests.conftest import until
from tests.inverter.senders import FIRST, LAST, LIMITS, decided, gaps, limits, plant, sender, starts

IDS = [0x359, 0x351, 0x355, 0x356, 0x35C, 0x35E]


async def test_a_full_set_each_second_with_gaps_between_its_frames(capsys: pytest.CaptureFixture[str]) -> None:
    async with sender() as (one, adapter):
        await until(lambda: len(starts(adapter.transmitted)) >= 5)
        sent = list(adapter.transmitted)
    assert [frame.can_id for _, frame in sent[:12]] == IDS * 2
    assert not any(frame.extended for _, frame in sent)
    assert all(len(frame.data) == 8 for _, frame in sent)
    inner = sorted(b[0] - a[0] for a, b in pairwise(sent) if b[1].can_id != FIRST)
    # where the machine is busy the far end may read two frames at once, which is not the sender's doing
    assert inner[len(inner) // 2] >= 0.008
    print(f"\nperiods {gaps(sent)}, gaps {min(inner) * 1e3:.1f} to {max(inner) * 1e3:.1f} ms, wanted {GAP * 1e3:g}")
    assert all(0.5 < gap < 2.0 for gap in gaps(sent))
    assert one.emission.sets >= 4
    assert one.link.connected


async def test_charging_begins_at_zero_and_rises_discharging_is_there_at_once() -> None:
    async with sender() as (_, adapter):
        await until(lambda: len(limits(adapter.transmitted)) >= 4)
        found = limits(adapter.transmitted)
    assert found[0][0] <= 5
    assert found[0][1] == 180
    assert [b[0] - a[0] <= 5.6 for a, b in pairwise(found)] == [True] * (len(found) - 1)
    assert found[3][0] > found[0][0]


async def test_nothing_before_the_first_complete_data() -> None:
    async with sender([candidate(1, {"total_voltage": 52.0, "current": 0.0})]) as (one, adapter):
        await until(lambda: "unknown" in one.emission.why)
        await decided(one, 2)
        assert adapter.transmitted == []
        one.packs = []
        await decided(one, 1)
        one.packs = [candidate(1)]
        await until(lambda: adapter.transmitted)
        await until(lambda: one.emission.emitting)
        assert one.emission.why == ""


async def test_a_loop_that_decides_no_more_is_followed_by_silence() -> None:
    async with sender() as (one, adapter):
        await until(lambda: one.emission.sets >= 2)
        assert one.deciding is not None
        one.deciding.cancel()
        hung = time.monotonic()
        await until(lambda: not one.emission.emitting)
        assert adapter.transmitted[-1][0] - hung <= 3.1
        assert "no decision" in one.emission.why
        quiet = len(adapter.transmitted)
        one.deciding = asyncio.create_task(one.control.run())
        await until(lambda: len(adapter.transmitted) > quiet, 3)


async def test_a_process_that_stood_still_sends_nothing_old_afterwards() -> None:
    async with sender() as (one, adapter):
        await until(lambda: one.emission.sets >= 1)
        await until(lambda: adapter.transmitted[-1][1].can_id == LIMITS)  # in the middle of a set
        count = one.control.count
        assert one.deciding is not None
        one.deciding.cancel()
        time.sleep(3.5)  # noqa: ASYNC251 - nothing of the process runs
        seen = len(adapter.transmitted)
        await asyncio.sleep(1.5)
        assert one.control.count == count
        assert len(adapter.transmitted) == seen


async def test_silent_packs_take_the_permissions_back() -> None:
    async with sender(hold_without_data=0) as (one, adapter):
        await until(lambda: one.emission.sets >= 2)
        one.packs = [candidate(1, fresh=False, age=6.0), candidate(2, fresh=False, age=6.0)]
        await decided(one, 2)
        seen = len(limits(adapter.transmitted))
        await until(lambda: len(limits(adapter.transmitted)) > seen)
        assert limits(adapter.transmitted)[-1] == (0, 0)
        enable = [frame.data[0] for _, frame in adapter.transmitted if frame.can_id == 0x35C]
        assert (enable[0], enable[-1]) == (0xC0, 0)


async def test_after_stop_after_there_is_silence() -> None:
    async with sender(stop_after=1) as (one, adapter):
        await until(lambda: one.emission.sets >= 1)
        one.packs = [candidate(1, fresh=False, age=6.0), candidate(2, fresh=False, age=6.0)]
        await until(lambda: not one.emission.emitting, 6)
        assert "no battery is heard" in one.emission.why
        seen = len(adapter.transmitted)
        await decided(one, 2)
        assert len(adapter.transmitted) == seen


async def test_switched_off_means_three_sets_of_zeros_and_silence() -> None:
    async with sender() as (one, adapter):
        await until(lambda: one.emission.sets >= 2 and adapter.transmitted[-1][1].can_id == LAST)
        seen = len(limits(adapter.transmitted))
        one.control.command("enable", "OFF")
        await until(lambda: not one.emission.emitting, 6)
        last = limits(adapter.transmitted)[seen:]
        assert [charge for charge, _ in last] == [0, 0, 0]
        assert all(discharge > 0 for _, discharge in last)  # a house off the grid keeps its battery
        assert one.emission.why == "switched off"
        one.control.command("enable", "ON")
        await until(lambda: one.emission.emitting, 3)


@pytest.mark.parametrize("grid_tied", [False, True])
async def test_a_clean_stop_takes_leave_with_zeros_within_five_seconds(grid_tied: bool) -> None:
    async with slcan_adapter(500000) as adapter:
        async with plant(adapter.port, grid_tied=grid_tied) as one:
            await until(lambda: one.emission.sets >= 2 and adapter.transmitted[-1][1].can_id == LAST)
            seen = len(limits(adapter.transmitted))
            asked = time.monotonic()
            await one.stop()
            took = time.monotonic() - asked
        await until(lambda: adapter.commands[-1] == "C")
        last = limits(adapter.transmitted)[seen:]
        assert [charge for charge, _ in last] == [0, 0, 0]
        assert all((discharge == 0) is grid_tied for _, discharge in last)
        assert took < 4
        assert adapter.commands[-1] == "C"
        assert adapter.transmitted[-1][1].can_id == LAST


async def test_a_stop_before_any_data_is_silent_and_quick() -> None:
    async with slcan_adapter(500000) as adapter:
        async with plant(adapter.port, []) as one:
            await until(lambda: one.link.connected)
            asked = time.monotonic()
            await one.stop()
            assert time.monotonic() - asked < 1
        assert adapter.transmitted == []


async def test_a_bus_that_is_gone_is_opened_again_and_nothing_old_is_sent(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    link = tmp_path / "adapter"
    async with AsyncExitStack() as running:
        async with slcan_adapter(500000) as first:
            link.symlink_to(first.port)
            one = await running.enter_async_context(plant(str(link)))
            await until(lambda: one.emission.sets >= 2)
            link.unlink()
        await until(lambda: not one.link.connected)
        assert not one.emission.emitting
        await decided(one, 2)
        async with slcan_adapter(500000) as second:
            link.symlink_to(second.port)
            plugged = time.monotonic()
            await until(lambda: second.transmitted, 6)
            assert second.transmitted[0][0] - plugged < 5
            assert second.transmitted[0][1].can_id == FIRST
            await until(lambda: one.link.connected)
            await one.stop()
    assert sum("trying again" in line for line in caplog.messages) <= 2
    assert sum("works again" in line for line in caplog.messages) == 1


async def test_what_the_inverter_sends_is_counted_and_its_silence_changes_nothing() -> None:
    async with sender() as (one, adapter):
        await until(lambda: one.emission.sets >= 1)
        assert one.emission.heard_at is None
        assert not one.emission.alone  # as the inverter is not heard
        for can_id, extended in ((0x305, False), (0x305, True), (0x306, False), (0x2F4, False)):
            adapter.put(Frame(can_id, extended, bytes(8)))
        await until(lambda: sum(one.emission.heard.values()) == 3)
        assert one.emission.heard == {0x305: 2, 0x306: 1}
        await until(lambda: one.emission.alone)
        sets = one.emission.sets
        await until(lambda: one.emission.sets >= sets + 2)


async def test_an_adapter_that_takes_nothing_any_more_is_a_lost_link() -> None:
    ours, theirs = os.openpty()
    os.close(ours)
    path = os.ttyname(theirs) if os.isatty(theirs) else "/dev/nowhere"
    os.close(theirs)
    async with plant(path) as one:
        await until(lambda: one.link.last_error)
        assert not one.emission.emitting
        assert one.emission.why


class Deaf(Channel):
    """A controller that nobody answers, or whose queue is full."""

    def __init__(self, full_at: int = 999) -> None:
        super().__init__("can9", 0)
        self.taken: list[Frame] = []
        self._full_at = full_at

    def send(self, frame: Frame) -> None:
        if len(self.taken) >= self._full_at:
            raise LinkError("can9: the transmit queue is full; nobody on the bus acknowledges")
        self.taken.append(frame)

    @property
    def pending(self) -> int:
        return len(self.taken) if self._full_at == 999 else 0

    def _arrived(self) -> list[Frame]:
        return []


@pytest.mark.parametrize(("full_at", "says"), [(999, "nobody acknowledges"), (2, "queue is full")])
async def test_where_nobody_acknowledges_no_permission_is_left_in_the_queue(
    monkeypatch: pytest.MonkeyPatch, full_at: int, says: str
) -> None:
    opened: list[Deaf] = []

    @asynccontextmanager
    async def deaf(*_: object, **__: object) -> AsyncIterator[Channel]:
        opened.append(Deaf(full_at))
        yield opened[-1]

    monkeypatch.setattr(emitter, "can_channel", deaf)
    async with plant("can9") as one:
        await until(lambda: len(opened) >= 3, 10)
        assert says in one.link.last_error
        assert says in one.emission.why
        assert not one.link.connected
        assert not one.emission.emitting
    if full_at == 999:
        assert [[frame.can_id for frame in channel.taken] for channel in opened[:2]] == [[FIRST], [FIRST]]


async def test_a_growatt_asks_and_gets_a_set_at_once_and_no_more() -> None:
    async with sender(protocol="growatt_lv") as (one, adapter):
        await until(lambda: one.emission.sets >= 2)  # by itself, as an inverter may wait for its battery
        asked: list[float] = []
        for _ in range(4):
            await asyncio.sleep(1.0)
            asked.append(time.monotonic())
            adapter.put(Frame(0x301, False, bytes.fromhex("1122334455667788")))
        await asyncio.sleep(0.5)
        begun = [at for at, frame in adapter.transmitted if frame.can_id == 0x311 and at > asked[1]]
        assert len(begun) == 3
        assert all(at - moment < 0.9 for at, moment in zip(begun, asked[1:], strict=True))  # before the next question
        assert one.emission.heard == {0x301: 4}


async def test_what_an_inverter_asks_for_is_shown_and_not_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    async with sender(protocol="luxpower") as (one, adapter):
        await until(lambda: one.emission.sets >= 1)
        adapter.put(Frame(0x300, False, b"\x01" + bytes(7)))
        await until(lambda: "shut the battery down" in one.link.problem)
        sets = one.emission.sets
        await until(lambda: one.emission.sets > sets)
    assert caplog.text.count("shut the battery down") == 1


@pytest.mark.parametrize("name", [name for name, one in DIALECTS.items() if one.port == "can"])
async def test_a_set_of_each_dialect_is_on_the_wire_each_second(name: str) -> None:
    async with sender(protocol=name) as (one, adapter):
        await until(lambda: one.emission.sets >= 3)
        sent = list(adapter.transmitted)
    ids = [frame.can_id for _, frame in sent]
    size = ids.index(ids[0], 1)
    assert ids[: 2 * size] == ids[:size] * 2
    assert set(ids) <= DIALECTS[name].ids
    begun = [at for at, frame in sent if frame.can_id == ids[0]]
    assert all(0.7 < later - earlier < 1.3 for earlier, later in pairwise(begun))


@pytest.mark.parametrize(("cells", "told"), [(8, False), (16, True)])
async def test_no_inverter_is_told_more_than_the_owners_voltage_because_it_knows_no_less(
    cells: int, told: bool
) -> None:
    packs = [candidate(1, values(cells=(3.30,) * cells))]
    async with slcan_adapter(500000) as far, plant(far.port, packs, protocol="sma") as one:
        await decided(one, 4)
        if told:
            await until(lambda: one.emission.emitting)
            assert far.transmitted
        else:
            await until(lambda: "below 41 V" in one.emission.why)
            assert "27.6 V is the most for this battery" in one.emission.why
        await one.stop()
        assert bool(far.transmitted) is told


async def test_no_value_is_told_twice_within_a_fifth_of_a_second() -> None:
    """Which SMA forbids; a stop may come just after a set began."""
    async with slcan_adapter(500000) as adapter:
        async with plant(adapter.port, protocol="sma") as one:
            await until(lambda: one.emission.sets >= 2)
            seen = len(adapter.transmitted)
            await until(lambda: len(adapter.transmitted) > seen)
            await one.stop()
        await until(lambda: adapter.commands[-1] == "C")
        sent = list(adapter.transmitted)
    for can_id in DIALECTS["sma"].ids:
        times = [at for at, frame in sent if frame.can_id == can_id]
        assert all(later - earlier >= 0.15 for earlier, later in pairwise(times)), f"0x{can_id:03X}"
