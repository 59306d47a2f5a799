"""Faults of the BMSs' CAN bus on every kind of SocketCAN link: what is said, and how soon it is well again."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jkbms_addon.acquisition.can_broadcast import NOTHING, OTHER_RATE
from jkbms_addon.errors import LinkError
from jkbms_addon.link.can import can_channel
from jkbms_addon.link.can_setup import found_rate
from jkbms_addon.simulator.can import broadcasting, can_bms
from tests.acquisition.test_can_broadcast import Running, running
from tests.conftest import until
from tests.socketcan import EMULATED, FAULTS, GOAL, NEEDS_CAN, SLOW, KernelSlcan, Other, ip, link, row

pytestmark = NEEDS_CAN
Record = Callable[[str, object], None]
BUS_OFF = FAULTS["bus-off"].text


@asynccontextmanager
async def heard(far: Any, *, set_up_link: bool = False) -> AsyncIterator[Running]:
    """A battery on the bus, and the strategy that hears it."""
    send = far.put if isinstance(far, KernelSlcan) else Other(far.peer)
    async with broadcasting([can_bms(1)], send):
        async with running(far.name, bitrate=far.rate, set_up_link=set_up_link) as bus:
            await until(lambda: bus.online() == {1}, SLOW)
            yield bus
    if isinstance(send, Other):
        send.close()


async def healed(bus: Running, began: float) -> float:
    """Seconds from ``began`` until something new is told."""
    await until(lambda: bus.history[-1][0] > began and bus.status.connected, SLOW)
    return bus.history[-1][0] - began


@pytest.mark.parametrize("fault", ["down", "gone"])
@pytest.mark.parametrize("kind", ["vcan", "controller"])
async def test_a_link_that_is_down_or_gone_is_named_and_healed(kind: str, fault: str, record_property: Record) -> None:
    begin, end, text = FAULTS[fault]
    async with link(kind) as far, heard(far) as bus:
        await getattr(far, begin)()
        await until(lambda: not bus.status.connected, SLOW)
        await until(lambda: bus.status.problem == text.format(far.name), SLOW)
        await until(lambda: not bus.online(), 5 + EMULATED)
        told = len(bus.history)
        await asyncio.sleep(4)
        assert len(bus.history) == told
        assert bus.status.reconnects == 1
        said = bus.status.problem
        await getattr(far, end)()
        took = await healed(bus, time.monotonic())
        row(record_property, f"{kind}, CAN in", f"link {fault}", said, took)
        assert took < GOAL + EMULATED
        assert bus.status.problem == ""


async def test_a_bus_off_that_the_controller_recovers_from(record_property: Record) -> None:
    """The frame that a driver gives its readers, on a link that is well again at once (restart-ms)."""
    async with link("vcan") as far, heard(far) as bus:
        began = time.monotonic()
        await far.bus_off()
        await until(lambda: bus.status.problem == BUS_OFF.format(far.name), SLOW)
        assert not bus.status.connected
        took = await healed(bus, began)
        row(record_property, "vcan, CAN in", "bus-off for a moment", bus.status.last_error, took)
        assert took < GOAL + EMULATED
        assert (bus.status.problem, bus.status.reconnects) == ("", 1)


@pytest.mark.parametrize("how", ["set_up_link", "down and up by hand", "the adapter alone"])
async def test_a_controller_that_stays_bus_off(how: str, record_property: Record) -> None:
    """As the kernel keeps it: no carrier, and nothing said to who opens the link later."""
    async with link("slcan") as far, heard(far, set_up_link=how == "set_up_link") as bus:
        text = BUS_OFF.format(far.name)
        await far.bus_off()
        await until(lambda: bus.status.problem == text, SLOW)
        assert (await details(far.name))["linkinfo"]["info_data"]["state"] == "BUS-OFF"
        told = len(bus.history)
        await until(lambda: not bus.online(), 5 + EMULATED)
        await asyncio.sleep(5)
        assert len(bus.history) == told
        # set_up_link tries again and again, and each time the controller goes off
        assert bus.status.problem == text or (how == "set_up_link" and bus.status.last_error == text)
        began = time.monotonic()
        await (far.restarted() if how == "down and up by hand" else far.well())
        took = await healed(bus, began)
        row(record_property, "kernel's slcan, CAN in", f"bus-off that lasts; then {how}", text, took)
        assert took < GOAL + EMULATED
        assert bus.status.problem == ""


async def test_nothing_is_heard() -> None:
    async with link("vcan"), running("vcan7") as bus:
        await until(lambda: bus.status.problem == NOTHING.format(bitrate=250000), SLOW)
        assert bus.status.connected
        print(f"\nROW | vcan, CAN in | nobody sends | {bus.status.problem} | - |")


async def test_a_link_at_another_rate_is_named_and_set_where_that_is_allowed(record_property: Record) -> None:
    """Bit times are not emulated: so the battery falls silent, as it is when the rates differ."""
    async with link("controller", 500000) as far:
        async with running(far.name, bitrate=250000) as bus:
            text = OTHER_RATE.format(channel=far.name, found=500000, bitrate=250000)
            await until(lambda: bus.status.problem == text, SLOW)
            assert (await rate(far.name)) == 500000  # used as found
        began = time.monotonic()
        far.rate = 250000
        await ip("link", "set", far.peer, "down")
        await ip("link", "set", far.peer, "type", "can", "bitrate", "250000")
        await ip("link", "set", far.peer, "up")
        async with heard(far, set_up_link=True) as bus:
            assert (await rate(far.name)) == 250000
            row(record_property, "controller, CAN in", "link at another rate", text, time.monotonic() - began)


async def test_two_programs_read_the_same_bus(record_property: Record) -> None:
    for kind in ("vcan", "controller"):
        async with link(kind) as far, heard(far) as one, running(far.name) as two:
            await until(lambda: two.online() == {1}, SLOW)
            began = time.monotonic()
            await asyncio.sleep(5)
            counts = [sum(at > began for at, _ in bus.history) for bus in (one, two)]
            assert all(4 <= count <= 6 for count in counts)
            assert {bus.status.problem for bus in (one, two)} == {""}
            assert {bus.status.bms(1).implausible for bus in (one, two)} == {0}
        record_property(kind, counts)


async def test_two_programs_do_not_fight_over_the_link() -> None:
    """A healthy link at the right rate is left alone by the second one that may set it up."""
    for kind in ("controller", "slcan"):
        async with link(kind) as far, heard(far, set_up_link=True) as one:
            reconnects, index = one.status.reconnects, (await details(far.name))["ifindex"]
            async with running(far.name, set_up_link=True) as two:
                await until(lambda: two.online() == {1}, SLOW)
                await asyncio.sleep(3)
                # a controller that was set up by hand may lack our queue length; then it is set up once
                assert one.status.reconnects <= reconnects + 1
                assert two.status.reconnects == 0
            assert (await details(far.name))["ifindex"] == index


async def test_a_controller_is_named_by_the_second_who_opens_it() -> None:
    async with link("slcan") as far:
        await far.bus_off()
        await until(lambda: "O" in far.adapter.commands, SLOW)
        await asyncio.sleep(1)
        for confirm in (True, False):
            with pytest.raises(LinkError, match="bus-off: wiring, termination or bit rate"):
                async with can_channel(far.name, 250000, confirm=confirm):
                    pass


async def details(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await ip("-details", "-json", "link", "show", "dev", name))[0]
    return found


async def rate(name: str) -> int | None:
    return await found_rate(name)
