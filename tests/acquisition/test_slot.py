"""What others do on the link of a bus beside its owner and in its turns: over real ptys, with batteries."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.acquisition import slot as slots
from jkbms_addon.acquisition.contract import Asking
from jkbms_addon.acquisition.slot import CLOSED, DEAF, PACE, UNSEEN, Slot
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.link.can import can_channel
from jkbms_addon.link.stream import Link
from jkbms_addon.simulator.can import broadcasting, can_bms, slcan_adapter
from jkbms_addon.simulator.far_end import serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.can import Frame
from jkbms_addon.wire.pb.modbus import ABOUT, LIVE, page_request
from tests.acquisition.owner import Owner, at_work
from tests.conftest import crowded, until
from tests.plugs import Plug


def bus(port: str, **more: Any) -> Owner:
    return Owner(strategy="master", port=port, addresses="1-2", interval=0.5, **more)


async def asked(source: Asking, address: int, register: int = LIVE) -> int:
    return len(await source.read_page(address, register, 0.3))


async def test_who_is_not_on_the_list_is_asked_between_two_polls() -> None:
    packs = [SimulatedBms(number, current=0.0) for number in (1, 2, 7)]
    async with serial_bus(packs) as far, at_work(bus(far.port)) as owner:
        await until(lambda: owner.addresses() == {1, 2}, 8)
        began = time.monotonic()
        assert await owner.slot.ask(lambda source: asked(source, 7)) == 1
        assert await owner.slot.ask(lambda source: asked(source, 7, ABOUT)) == 1
        assert await owner.slot.ask(lambda source: asked(source, 9)) == 0
        took = time.monotonic() - began
        assert took >= 2 * PACE  # however eager somebody is
        lives = [reading.address for at, reading in owner.history if reading.kind == "live" and at >= began]
        assert min(lives.count(1), lives.count(2)) >= 2
        assert len(lives) * crowded() >= 2 * int(took / 0.5) - 2  # the others kept their pace
        assert owner.addresses() == {1, 2}  # and 7 is still none of ours


async def test_all_bytes_are_seen_also_over_a_reconnect() -> None:
    seen: list[tuple[str, bytes]] = []
    async with tcp_bus([SimulatedBms(1)]) as far:
        host = {"host": "127.0.0.1", "tcp_port": far.port}
        async with at_work(Owner(strategy="gateway", addresses="1", interval=0.5, **host)) as owner:
            await until(lambda: owner.addresses() == {1}, 8)
            with owner.slot.look(lambda direction, data: seen.append((direction, data))):
                await until(lambda: ("tx", page_request(1, LIVE)) in seen and len(seen) > 8)
                assert {direction for direction, _ in seen} == {"rx", "tx"}
                for writer in far.clients:
                    writer.transport.abort()
                seen.clear()
                await until(lambda: len(seen) > 8)
            count = len(seen)
            await asyncio.sleep(1)
            assert len(seen) == count


async def test_all_frames_are_seen_also_over_a_reconnect_and_the_owner_keeps_its_pace(tmp_path: Path) -> None:
    seen: list[tuple[str, tuple[Frame, ...]]] = []
    plug = Plug(tmp_path / "usb-CANable-if00", slcan_adapter)
    await plug.plug()
    async with at_work(Owner(strategy="can_broadcast", channel=str(plug.path))) as owner:
        await until(lambda: owner.status.connected)
        assert (owner.slot.medium, owner.slot.asks) == ("frames", False)
        with owner.slot.look(lambda direction, frames: seen.append((direction, frames))):
            async with broadcasting([can_bms(2)], plug.far.put):
                await until(lambda: owner.addresses() == {2})
                assert {direction for direction, _ in seen} == {"rx"}
                assert {0x2F6, 0x4F6, 0x18F128F6} <= {frame.can_id for _, frames in seen for frame in frames}
                assert sum(len(frames) for _, frames in seen) == owner.status.frames
                before = len(owner.history)
                await until(lambda: len(owner.history) >= before + 3, 6)  # one a second as without it
            await plug.pull()
            await until(lambda: not owner.status.connected)
            assert owner.slot.medium == "frames"  # what it is stays told
            with pytest.raises(CommandError, match=CLOSED):
                owner.slot.watched()
            seen.clear()
            await plug.plug()
            async with broadcasting([can_bms(3)], plug.far.put):
                await until(lambda: 0x2F7 in {frame.can_id for _, frames in seen for frame in frames})
        with pytest.raises(CommandError, match=DEAF):
            owner.slot.asked()
    await plug.pull()


async def test_what_is_sent_on_can_is_seen_once_the_adapter_has_taken_it() -> None:
    seen: list[tuple[str, tuple[Frame, ...]]] = []
    frame = Frame(0x351, False, bytes(8))
    async with slcan_adapter() as far, can_channel(far.port, 250000) as channel:
        channel.taps.append(lambda direction, frames: seen.append((direction, frames)))
        channel.send(frame)
        assert seen == [("tx", (frame,))]
        await until(lambda: [one for _, one in far.transmitted] == [frame])
        await until(lambda: far.listening)
        far.put(frame)
        assert await channel.read(1.0) == [frame]
        assert seen[1:] == [("rx", (frame,))]
    with pytest.raises(LinkError):
        channel.send(frame)  # nobody takes it any more
    assert len(seen) == 2


class Still:
    """A source that can do nothing more."""


class Able:
    """A source that is asked."""

    def __init__(self, link: object = None) -> None:
        self.link = link

    async def read_page(self, address: int, register: int, seconds: float) -> list[Any]:
        raise AssertionError((address, register, seconds))


async def test_what_is_refused() -> None:
    slot = Slot()
    with pytest.raises(CommandError, match=CLOSED), slot.look(lambda _direction, _data: None):
        pass
    with pytest.raises(CommandError, match=CLOSED):
        await slot.ask(lambda source: asked(source, 1))
    assert (slot.medium, slot.asks) == (None, False)
    for source in (Still(), Able("a plug-in's own idea of a link")):
        with slot.lent(source), pytest.raises(CommandError, match=UNSEEN), slot.look(lambda _way, _data: None):
            pass
    with slot.lent(Still()), pytest.raises(CommandError, match=DEAF):
        await slot.ask(lambda source: asked(source, 1))
    assert slot._taps == []


def test_what_can_be_done_is_as_it_was_when_the_bus_was_open_last() -> None:
    slot = Slot()
    for source, medium, asks in ((Able(Link("x")), "bytes", True), (Able(), None, True), (Still(), None, False)):
        with slot.lent(source):
            assert (slot.medium, slot.asks) == (medium, asks)
        assert (slot.medium, slot.asks) == (medium, asks)


async def served(slot: Slot, work: Any) -> asyncio.Task[Any]:
    task = asyncio.create_task(slot.ask(work))
    await asyncio.sleep(0)
    return task


async def test_whoever_waits_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "PACE", 0.0)
    slot = Slot()
    done: list[str] = []

    async def refused(_: Asking) -> None:
        raise CommandError("another master is on this bus")

    async def lost(_: Asking) -> None:
        raise LinkError("unplugged")

    async def never(_: Asking) -> None:
        await asyncio.sleep(60)

    async def noted(_: Asking) -> None:
        done.append("noted")

    with slot.lent(Able(Link("x"))):
        for work, told, owner in (
            (refused, "another master is on this bus", ""),
            (lost, CLOSED, "unplugged"),
            (never, CLOSED, "took longer"),
        ):
            monkeypatch.setattr(slots, "LONGEST", 0.05)
            task = await served(slot, work)
            if owner:
                with pytest.raises(LinkError, match=owner):
                    await slot.serve()
            else:
                await slot.serve()
            with pytest.raises(CommandError, match=told):
                await task
        task = await served(slot, noted)
        task.cancel()
        await asyncio.sleep(0)
        await slot.serve()
        assert done == []  # nobody waits for it any more
        waits = await served(slot, noted)
    with pytest.raises(CommandError, match=CLOSED):
        await waits
