"""The real strategy on SocketCAN: virtual interfaces, and controllers where the machine has some.

The tests need root and a kernel with CAN. Those with controllers need ``can0`` and ``can1`` on one bus whose
PCI devices can be removed and found again.
"""

import asyncio
import itertools
import json
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import can
import pytest

from jkbms_addon.errors import LinkError
from jkbms_addon.link.can import can_channel
from jkbms_addon.link.can_setup import set_up
from jkbms_addon.simulator.can import CanBms, broadcasting, can_bms
from jkbms_addon.wire.can import Frame
from tests.acquisition.test_can_broadcast import Running, running
from tests.conftest import until
from tests.socketcan import NEEDS_CAN, SLOW, Other

pytestmark = NEEDS_CAN


def ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)


@pytest.fixture
def vcan() -> Iterator[str]:
    name = "vcan7"
    ip("link", "del", name, check=False)
    if ip("link", "add", "dev", name, "type", "vcan", check=False).returncode:
        pytest.skip("no virtual CAN interface can be made: root and the module vcan are needed")
    ip("link", "set", name, "up")
    yield name
    ip("link", "del", name, check=False)


@asynccontextmanager
async def heard(channel: str, *batteries: CanBms, sender: str = "", **options: Any) -> AsyncIterator[Running]:
    send = Other(sender or channel)
    async with broadcasting(batteries, send), running(channel, **options) as bus:
        yield bus
    send.close()


async def told_anew(bus: Running, seconds: float = SLOW) -> float:
    """How long it takes until something new is told."""
    count = len(bus.history)
    return await until(lambda: len(bus.history) > count, seconds)


async def test_both_versions_are_heard(vcan: str) -> None:
    async with heard(vcan, can_bms(0, 1, current=-12.3), can_bms(5)) as bus:
        await until(lambda: bus.online() == {0, 5} and bus.last(0)["current"] is not None, SLOW)
        assert bus.last(0)["current"] == -12.3
        assert len(bus.last(5)["cell_voltage"]) == 16
        assert bus.status.problem == ""


async def test_nothing_is_sent(vcan: str) -> None:
    with can.Bus(interface="socketcan", channel=vcan, ignore_config=True) as spy:
        async with running(vcan) as bus:
            await until(lambda: bus.status.connected, SLOW)
            await asyncio.sleep(5)
        assert spy.recv(0) is None


async def test_set_up_link_brings_it_up_again(vcan: str) -> None:
    async with heard(vcan, can_bms(1), set_up_link=True) as bus:
        await told_anew(bus)
        ip("link", "set", vcan, "down")
        await until(lambda: bus.status.reconnects == 1, SLOW)
        await told_anew(bus)


async def test_a_wrong_name_is_named() -> None:
    async with running("vcan99") as bus:
        await until(lambda: "vcan99: does not exist; is the adapter plugged in?" in bus.status.problem, SLOW)
    with pytest.raises(LinkError, match="vcan99: does not exist"):
        await set_up("vcan99", 250000)


async def test_a_full_queue_and_a_gone_interface_stop_a_sender(vcan: str) -> None:
    async with can_channel(vcan, 500000) as channel:
        channel.send(Frame(0x351, False, bytes(8)))
        ip("link", "set", vcan, "down")
        with pytest.raises(LinkError, match="down"):
            channel.send(Frame(0x351, False, bytes(8)))
    ip("link", "set", vcan, "up")
    async with can_channel(vcan, 500000) as channel:
        ip("link", "del", vcan)
        with pytest.raises(LinkError, match="does not exist"):
            channel.send(Frame(0x351, False, bytes(8)))


async def test_a_wall_clock_that_is_set_back_while_reading_stops_nothing(
    vcan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """python-can computes how long to wait from the wall clock; a frame would end its waiting."""
    clock = itertools.chain([3600.0], itertools.repeat(0.0))
    sender = can.Bus(interface="socketcan", channel=vcan, ignore_config=True)
    timer = threading.Timer(5, sender.send, [can.Message(arbitration_id=1, is_extended_id=False)])
    async with can_channel(vcan, 250000) as channel:
        monkeypatch.setattr("can.bus.time", lambda: next(clock))
        began = time.monotonic()
        timer.start()
        assert await channel.read(0) == []
        assert time.monotonic() - began < 3
        timer.cancel()
    timer.join()
    sender.shutdown()


# --- controllers ----------------------------------------------------------------------------------------
def details(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ip("-details", "-json", "link", "show", "dev", name).stdout)[0]
    return found


def has_controllers() -> bool:
    return all(Path(f"/sys/class/net/{name}/device/remove").exists() for name in ("can0", "can1"))


controllers = pytest.mark.skipif(not has_controllers(), reason="no two CAN controllers on one bus")


@controllers
async def test_a_controller_is_set_up_and_survives_removal() -> None:
    await set_up("can1", 250000)
    async with heard("can0", can_bms(3), sender="can1", bitrate=250000, set_up_link=True) as bus:
        await told_anew(bus)
        link = details("can0")
        data = link["linkinfo"]["info_data"]
        assert (data["bittiming"]["bitrate"], data["restart_ms"], link["txqlen"]) == (250000, 100, 10)
        index = link["ifindex"]
        await set_up("can0", 250000)
        assert "UP" in details("can0")["flags"]
        Path("/sys/class/net/can0/device/remove").resolve().write_text("1")
        await until(lambda: "does not exist" in bus.status.problem, SLOW)
        Path("/sys/bus/pci/rescan").write_text("1")
        began = time.monotonic()
        await until(lambda: bus.status.connected, SLOW)
        print(f"connected {time.monotonic() - began:.1f} s after the controller is back")
        await told_anew(bus)
        assert details("can0")["ifindex"] != index


@controllers
async def test_another_bit_rate_is_set() -> None:
    for rate in (500000, 250000):
        await set_up("can0", rate)
        assert details("can0")["linkinfo"]["info_data"]["bittiming"]["bitrate"] == rate
    ip("link", "set", "can0", "down")
    with pytest.raises(LinkError, match="link is down"):
        async with can_channel("can0", 250000):
            pass
