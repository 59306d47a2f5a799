"""Faults of the inverter's bus on every kind of SocketCAN link: what is said, what is sent, how soon it is well."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jkbms_addon.wire.can import Frame
from tests.bank.packs import candidate, values
from tests.conftest import until
from tests.inverter.senders import FIRST, Plant, limits, plant
from tests.inverter.test_sender import IDS
from tests.inverter.test_watch import FOREIGN
from tests.socketcan import EMULATED, FAULTS, GOAL, NEEDS_CAN, SLOW, Other, ip, link, other, row

pytestmark = NEEDS_CAN
Record = Callable[[str, object], None]
RATE = 500000
BUS_OFF = FAULTS["bus-off"].text


@asynccontextmanager
async def sending(far: Any, **changes: Any) -> AsyncIterator[tuple[Plant, Other]]:
    """A sender that has begun, and the inverter."""
    async with other(far.peer) as inverter, plant(far.name, **changes) as one:
        await until(lambda: one.emission.sets >= 2, SLOW)
        yield one, inverter


async def resumed(one: Plant, inverter: Other, began: float) -> float:
    """Seconds from ``began`` until a whole set was heard; it begins with the one that permits nothing."""
    await until(lambda: len(inverter.since(began)) >= len(IDS), SLOW)
    found = inverter.since(began)
    assert [frame.can_id for _, frame in found[: len(IDS)]] == IDS
    assert found[0][1].can_id == FIRST
    await until(lambda: one.emission.emitting and one.link.problem == "", SLOW)
    return found[len(IDS) - 1][0] - began


@pytest.mark.parametrize("fault", ["down", "gone"])
@pytest.mark.parametrize("kind", ["vcan", "controller"])
async def test_a_link_that_is_down_or_gone_is_named_and_healed(kind: str, fault: str, record_property: Record) -> None:
    begin, end, text = FAULTS[fault]
    async with link(kind, RATE) as far, sending(far) as (one, inverter):
        await getattr(far, begin)()
        await until(lambda: one.link.problem == text.format(far.name), SLOW)
        assert not one.link.connected
        assert one.emission.why == text.format(far.name)
        assert not one.emission.emitting
        silent = time.monotonic()
        # what was decided before the fault must not be sent after it
        one.packs = [candidate(1, values(discharging=False)), candidate(2, values(discharging=False))]
        await asyncio.sleep(5)
        assert inverter.since(silent + 0.5) == []
        assert one.link.reconnects == 1
        said, began = one.link.problem, time.monotonic()
        await getattr(far, end)()
        took = await resumed(one, inverter, began)
        assert all(discharge == 0 for _, discharge in limits(inverter.since(began)))
        row(record_property, f"{kind}, CAN out", f"link {fault}", said, took)
        assert took < GOAL + EMULATED


@pytest.mark.parametrize("fault", ["down", "gone"])
async def test_set_up_link_mends_a_controller(fault: str, record_property: Record) -> None:
    async with link("controller", RATE) as far, sending(far, set_up_link=True) as (one, inverter):
        began = time.monotonic()
        await getattr(far, FAULTS[fault].begin)()
        await until(lambda: one.link.last_error == FAULTS[fault].text.format(far.name), SLOW)
        if fault == "gone":
            await asyncio.sleep(4)
            began = time.monotonic()
            far.found()
        took = await resumed(one, inverter, began)
        row(record_property, "controller, CAN out", f"link {fault}, set_up_link", one.link.last_error, took)
        assert took < GOAL + EMULATED


async def test_a_bus_off_that_the_controller_recovers_from(record_property: Record) -> None:
    async with link("vcan", RATE) as far, sending(far) as (one, inverter):
        began = time.monotonic()
        await far.bus_off()
        await until(lambda: one.link.problem == BUS_OFF.format(far.name), SLOW)
        assert one.emission.why == BUS_OFF.format(far.name)
        assert not one.emission.emitting
        off = time.monotonic()
        took = off - began + await resumed(one, inverter, off)
        row(record_property, "vcan, CAN out", "bus-off for a moment", one.link.last_error, took)
        assert took < GOAL + EMULATED


@pytest.mark.parametrize("set_up_link", [True, False])
async def test_a_controller_that_stays_bus_off_is_not_sent_to(set_up_link: bool, record_property: Record) -> None:
    async with link("slcan", RATE) as far, plant(far.name, set_up_link=set_up_link) as one:
        await until(lambda: one.emission.sets >= 2, SLOW)
        text = BUS_OFF.format(far.name)
        await far.bus_off()
        await until(lambda: one.emission.why == text, SLOW)
        sent, sets = len(far.adapter.transmitted), one.emission.sets
        await asyncio.sleep(8)
        assert one.emission.sets == sets
        if not set_up_link:  # else the controller is tried again and again, with the frame that permits nothing
            assert len(far.adapter.transmitted) - sent <= 1
            assert one.link.problem == text
        assert {frame.can_id for _, frame in far.adapter.transmitted[sent:]} <= {FIRST}
        began = time.monotonic()
        await (far.well() if set_up_link else far.restarted())
        await until(lambda: one.emission.sets > sets, SLOW)
        took = time.monotonic() - began
        how = "set_up_link" if set_up_link else "down and up by hand"
        row(record_property, "kernel's slcan, CAN out", f"bus-off that lasts; then {how}", text, took)
        assert took < GOAL + EMULATED


@pytest.mark.parametrize("kind", ["vcan", "controller"])
async def test_another_program_that_sends_the_same_ids_is_named(kind: str, record_property: Record) -> None:
    async with link(kind, RATE) as far, sending(far) as (one, inverter):
        foreign = Other(far.peer)

        async def master() -> None:
            while True:
                foreign(Frame(0x351, False, bytes.fromhex("28020000e8030000")))
                await asyncio.sleep(1)

        task = asyncio.create_task(master())
        await until(lambda: one.link.problem == FOREIGN, SLOW)
        sets = one.emission.sets
        await asyncio.sleep(4)
        assert one.emission.sets >= sets + 3  # not disturbed
        assert one.link.problem == FOREIGN
        task.cancel()
        began = time.monotonic()
        took = await until(lambda: one.link.problem == "", SLOW)
        row(record_property, f"{kind}, CAN out", "another sender of 0x351", FOREIGN, took)
        assert inverter.since(began)
        foreign.close()


async def test_two_of_us_on_one_bus_see_each_other() -> None:
    """Also when both say the same at the same time, as two that read the same batteries do."""
    for kind in ("vcan", "controller"):
        async with link(kind, RATE) as far, plant(far.name) as one, plant(far.peer) as two:
            await until(lambda: one.emission.sets >= 2 and two.emission.sets >= 2, SLOW)
            await until(lambda: "another device sends" in one.link.problem, SLOW)
            await until(lambda: "another device sends" in two.link.problem, SLOW)
            assert "0x351" in one.link.problem
            print(f"\nROW | {kind}, CAN out | two of us | {one.link.problem} | - |")


async def test_nobody_else_is_seen_where_nobody_is() -> None:
    """Not our own frames, whether they come back from a virtual interface, a controller or the kernel's slcan."""
    for kind in ("vcan", "controller", "slcan"):
        async with link(kind, RATE) as far, plant(far.name) as one:
            await until(lambda: one.emission.sets >= 6, SLOW)
            assert one.link.problem == ""
            for _ in range(2 if kind != "slcan" else 0):
                sets = one.emission.sets
                await far.down()
                await until(lambda: not one.link.connected, SLOW)
                await far.up()
                await until(lambda n=sets: one.emission.sets > n, SLOW)  # type: ignore[misc]
            await asyncio.sleep(3)
            assert one.link.problem == ""


async def test_another_bit_rate_is_set_although_the_link_is_up() -> None:
    async with link("controller", 250000) as far, sending(far, set_up_link=True, bitrate=RATE):
        shown = await ip("-details", "-json", "link", "show", "dev", far.name)
        assert '"bitrate":500000' in shown.replace(" ", "")
