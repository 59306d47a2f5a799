"""The sender on a kernel with SocketCAN. Run as root where vcan0 exists."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import can
import pytest

from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.state import State
from tests.bank.packs import candidate
from tests.conftest import until
from tests.inverter.senders import FIRST, plant
from tests.inverter.test_sender import IDS

NAME = "vcan0"
NEUTRAL = State(
    charge_voltage=55.2,
    charge_current=0,
    discharge_current=0,
    discharge_voltage=48.0,
    state_of_charge=50,
    voltage=52.8,
    current=0,
)
pytestmark = [
    pytest.mark.socketcan,
    pytest.mark.skipif(NAME not in [name for _, name in socket.if_nameindex()], reason="needs vcan0"),
]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", "link", *arguments], check=True)


@pytest.fixture(autouse=True)
def interface() -> Iterator[None]:
    """However a test leaves it, it is there and up for the next one."""
    yield
    if NAME not in [name for _, name in socket.if_nameindex()]:
        ip("add", "dev", NAME, "type", "vcan")
    ip("set", NAME, "up")


class Inverter:
    """Another socket on the same interface."""

    def __init__(self) -> None:
        self.bus = can.Bus(interface="socketcan", channel=NAME, ignore_config=True)
        self.heard: list[tuple[float, can.Message]] = []

    def read(self) -> None:
        with suppress(can.CanError):
            while message := self.bus.recv(0):
                if not message.is_error_frame:
                    self.heard.append((asyncio.get_running_loop().time(), message))

    def ids(self) -> list[int]:
        return [message.arbitration_id for _, message in self.heard]

    def begun(self) -> list[float]:
        return [at for at, message in self.heard if message.arbitration_id == FIRST]


@asynccontextmanager
async def inverter() -> AsyncIterator[Inverter]:
    one, loop = Inverter(), asyncio.get_running_loop()
    loop.add_reader(one.bus.fileno(), one.read)
    try:
        yield one
    finally:
        loop.remove_reader(one.bus.fileno())
        one.bus.shutdown()


async def test_sets_on_the_wire_and_a_heartbeat_back(capsys: pytest.CaptureFixture[str]) -> None:
    async with inverter() as far, plant(NAME) as one:
        await until(lambda: len(far.begun()) >= 5, 20)
        assert far.ids()[:12] == IDS * 2
        assert not any(message.is_extended_id for _, message in far.heard)
        assert one.emission.heard == {}  # what comes back of our own is no heartbeat
        far.bus.send(can.Message(arbitration_id=0x305, is_extended_id=False, data=bytes(8)))
        far.bus.send(can.Message(arbitration_id=0x305, is_extended_id=True, data=bytes(8)))
        await until(lambda: one.emission.heard == {0x305: 2})
        periods = [b - a for a, b in pairwise(far.begun())]
        print(f"\nperiods {[round(period, 3) for period in periods]}")
    assert all(0.6 < period < 1.4 for period in periods)


async def test_set_up_link_brings_it_up_by_itself() -> None:
    ip("set", NAME, "down")
    async with plant(NAME, set_up_link=True) as one:
        await until(lambda: one.emission.sets >= 1, 20)
        ip("set", NAME, "down")
        await until(lambda: one.link.last_error, 10)
        sets = one.emission.sets
        await until(lambda: one.emission.sets > sets, 15)


async def test_a_clean_stop_and_a_sender_without_data() -> None:
    async with inverter() as far:
        async with plant(NAME) as one:
            await until(lambda: one.emission.sets >= 2, 20)
            await asyncio.sleep(0.4)
            seen = len(far.begun())
            await one.stop()
        await asyncio.sleep(0.3)
        assert len(far.begun()) - seen == 3
        quiet = len(far.heard)
        async with plant(NAME, [candidate(1, fresh=False, age=9.0)]) as one:
            await until(lambda: one.link.connected, 20)
            await asyncio.sleep(2)
        assert len(far.heard) == quiet


@pytest.mark.parametrize("name", [name for name, one in DIALECTS.items() if one.port == "can"])
async def test_each_dialect_s_set_on_the_interface_with_its_period(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dialect = DIALECTS[name]
    async with inverter() as far, plant(NAME, protocol=name):
        first = dialect.frames(NEUTRAL)[0][0]

        def begun() -> list[float]:
            return [at for at, message in far.heard if message.arbitration_id == first]

        await until(lambda: len(begun()) >= 5, 40)
        ids, periods = far.ids(), sorted(b - a for a, b in pairwise(begun()))
    size = ids.index(first, 1)
    assert ids[: 2 * size] == ids[:size] * 2
    assert set(ids) <= dialect.ids
    assert not any(message.is_extended_id for _, message in far.heard)
    assert abs(periods[len(periods) // 2] - dialect.period) < 0.4
    with capsys.disabled():
        print(f"\n{name}: {size} frames, periods {[round(period, 3) for period in periods]}")
