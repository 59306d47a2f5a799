"""The RS485 dialect on a real pty: an inverter that asks, and one that does not."""

import asyncio
import os
import time
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.inverter import responder
from jkbms_addon.inverter.dialects.pylontech_rs485 import framed
from jkbms_addon.inverter.options import BankOptions, inverter_options
from jkbms_addon.inverter.responder import Responder
from jkbms_addon.inverter.state import said
from jkbms_addon.link.stream import serial_link
from tests.bank.packs import candidate
from tests.conftest import until
from tests.inverter import receiver_rs485 as master
from tests.inverter.receiver_rs485 import opened
from tests.inverter.senders import Plant, decided, plant


@dataclass
class Line:
    """The inverter's end of a pty."""

    fd: int
    port: str
    heard: bytearray = field(default_factory=bytearray)

    def ask(self, command: int, info: bytes = b"", address: int = 2) -> None:
        os.write(self.fd, framed(address, command, info))

    async def answer(self, seconds: float = 2.0) -> bytes:
        """The next whole answer; empty when none comes."""
        end = time.monotonic() + seconds
        while b"\r" not in self.heard and time.monotonic() < end:
            await asyncio.sleep(0.01)
            with suppress(BlockingIOError):
                self.heard += os.read(self.fd, 4096)
        frame, found, rest = bytes(self.heard).partition(b"\r")
        self.heard[:] = rest if found else self.heard
        return frame + found if found else b""


def holders(port: str) -> int:
    """How often this process has a port open."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was that of the listing
            links.append(entry.readlink())
    return links.count(Path(port))


@contextmanager
def line() -> Iterator[Line]:
    ours, theirs = os.openpty()
    tty.setraw(ours)
    os.set_blocking(ours, False)
    try:
        yield Line(ours, os.ttyname(theirs))
    finally:
        os.close(ours)
        os.close(theirs)


@asynccontextmanager
async def answering(**changes: Any) -> AsyncIterator[tuple[Plant, Line]]:
    with line() as far:
        async with plant(far.port, protocol="pylontech_rs485", **changes) as one:
            await decided(one, 1)
            await until(lambda: holders(far.port) > 1)
            await asyncio.sleep(0.2)  # what was said before is thrown away by opening
            yield one, far


async def test_an_inverter_asks_and_is_answered_from_the_latest_decision() -> None:
    async with answering(baudrate=9600) as (one, far):
        far.ask(0x92, b"\x02")
        told = master.management(opened(await far.answer())[2])
        decision = one.control.decision(time.monotonic())
        assert decision is not None
        targets = said(decision)
        assert told["charge_voltage"] == pytest.approx(targets.charge_voltage, abs=0.001)
        assert -told["discharge_current"] == pytest.approx(targets.discharge_current, abs=0.051)
        far.ask(0x61, address=2)
        told = master.system_analog(opened(await far.answer())[2])
        assert told["voltage"] == pytest.approx(targets.voltage, abs=0.01)
        assert one.emission.emitting
        assert one.emission.heard == {0x92: 1, 0x61: 1}
        assert one.emission.rate == 9600
        assert one.link.connected


async def test_nothing_is_said_unasked_and_nothing_without_a_decision() -> None:
    with line() as far:
        async with plant(far.port, [], protocol="pylontech_rs485", baudrate=9600) as one:
            await decided(one, 1)
            far.ask(0x92, b"\x02")
            assert await far.answer(1.0) == b""
            await until(lambda: "no battery" in one.emission.why or "waiting" in one.emission.why)
            one.packs = [candidate(1)]
            await until(lambda: one.control.decision(time.monotonic()))
            await decided(one, 1)
            assert far.heard == b""
            far.ask(0x92, b"\x02")
            assert await far.answer() != b""


async def test_an_inverter_that_looks_for_several_groups_finds_one_battery() -> None:
    async with answering(baudrate=115200) as (_, far):
        far.ask(0x61, address=0x12)
        assert opened(await far.answer())[0] == 0x12
        far.ask(0x61, address=0x02)
        far.ask(0x61, address=0x22)
        assert await far.answer(0.5) == b""
        far.ask(0x63, address=0x12)
        assert opened(await far.answer())[0] == 0x12


async def test_the_rate_is_found_by_listening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "UNASKED", 1.0)
    monkeypatch.setattr(responder, "LOOK", 0.1)
    opened_at: list[int] = []

    def noted(port: str, rate: int) -> Any:
        opened_at.append(rate)
        return serial_link(port, rate)

    monkeypatch.setattr(responder, "serial_link", noted)
    async with answering() as (one, far):
        await until(lambda: opened_at[:3] == [9600, 115200, 9600])
        assert "does not ask" in one.emission.why
        for _ in range(5):  # a question that comes while the port is opened anew is lost
            far.ask(0x63)
            if await far.answer(0.5):
                break
        for _ in range(10):  # a pty hears at any rate: as long as it asks, the rate stays
            far.ask(0x63)
            assert await far.answer() != b""
        rates = len(opened_at)
        far.ask(0x63)
        assert await far.answer() != b""
        assert len(opened_at) == rates


async def test_a_stop_answers_without_charge_and_falls_silent() -> None:
    async with answering(baudrate=9600) as (one, far):
        far.ask(0x63)
        assert master.system_management(opened(await far.answer())[2])["discharge_current"] > 0
        stopping = asyncio.create_task(one.stop())
        await asyncio.sleep(0.1)
        far.ask(0x63)
        told = master.system_management(opened(await far.answer())[2])
        assert (told["charge_current"], told["charge_enabled"]) == (0.0, False)
        assert told["discharge_current"] > 0
        await stopping
        far.ask(0x63)
        assert await far.answer(0.5) == b""


async def test_who_asks_seldom_hears_of_a_stop_too() -> None:
    async with answering(baudrate=9600) as (one, far):
        far.ask(0x63)
        assert await far.answer() != b""
        stopping = asyncio.create_task(one.stop())
        await asyncio.sleep(1.6)
        far.ask(0x63)
        told = master.system_management(opened(await far.answer())[2])
        assert (told["charge_current"], told["charge_enabled"]) == (0.0, False)
        await stopping


async def test_a_port_that_is_gone_is_opened_again() -> None:
    with line() as far:
        missing = str(Path(far.port).parent / "no-such-port")
        async with plant(missing, protocol="pylontech_rs485") as one:
            await until(lambda: "does not exist" in one.emission.why)
            assert not one.link.connected


def test_the_option() -> None:
    raw = {"protocol": "pylontech_rs485", "confirmed": True}
    assert "RS485 adapter" in inverter_options(raw | {"channel": "can0"}, BankOptions()).problem
    assert "9600 or 115200" in inverter_options(raw | {"channel": "/dev/x", "baudrate": 19200}, BankOptions()).problem
    assert inverter_options(raw | {"channel": "/dev/x", "baudrate": "9600"}, BankOptions()).baudrate == 9600
    assert Responder.__doc__
