"""The real strategy on a serial adapter (slcan) over a pty; the far end are simulated batteries."""

import ast
import asyncio
import errno
import inspect
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import can
import pytest
import voluptuous as vol

from jkbms_addon.acquisition import can_broadcast
from jkbms_addon.acquisition.can_broadcast import FOREIGN, NOTHING, PLUGIN
from jkbms_addon.errors import LinkError
from jkbms_addon.link import can as channels
from jkbms_addon.link.can import can_channel, explained, message
from jkbms_addon.simulator.can import Adapter, CanBms, broadcasting, can_bms, slcan_adapter
from jkbms_addon.wire.can import Frame
from jkbms_addon.wire.jkcan.bus import Bus
from jkbms_addon.wire.jkcan.frames import V1_ALARMS, V2_ALARMS
from jkbms_addon.wire.jkcan.unit import DUPLICATE
from tests.acquisition.owner import Owner, at_work
from tests.conftest import until

UNDER_VOLTAGE = "cell_under_voltage_severe"


class Running(Owner):
    """A CAN channel."""

    def online(self) -> set[int]:
        return self.addresses()

    def last(self, address: int) -> dict[str, Any]:
        return next((r.values for _, r in reversed(self.history) if r.address == address), {})


@asynccontextmanager
async def running(channel: str, **options: Any) -> AsyncIterator[Running]:
    async with at_work(Running(strategy="can_broadcast", channel=channel, **options)) as bus:
        yield bus


@asynccontextmanager
async def heard(*batteries: CanBms, put: Callable[[Adapter], Any] | None = None) -> AsyncIterator[Running]:
    """Batteries that broadcast, and the strategy that hears them."""
    async with slcan_adapter() as far, broadcasting(batteries, put(far) if put else far.put):
        async with running(far.port) as bus:
            yield bus
        assert far.transmitted == []


def true(values: dict[str, Any], battery: CanBms) -> bool:
    """Whether published values are what that simulated battery says (its values move slowly)."""
    said = battery.values()
    return (
        len(values["cell_voltage"]) == battery.bms.cells
        and abs(values["total_voltage"] - said["total_voltage"]) < 0.3
        and abs(values["current"] - said["current"]) < 2
        and values["temperature_sensor_1"] == battery.bms.temperature
        and values["full_charge_capacity"] == battery.bms.capacity
    )


# --- what is told ---------------------------------------------------------------------------------------
async def test_batteries_of_several_addresses() -> None:
    batteries = [can_bms(0), can_bms(3, cells=8, soc=81, temperature=-7), can_bms(11, cells=25, capacity=100.0)]
    async with heard(*batteries) as bus:
        await until(lambda: bus.online() == {0, 3, 11} and len(bus.history) > 8, 12)
        for _, reading in bus.history:
            assert true(reading.values, next(b for b in batteries if b.bms.address == reading.address))
            assert (reading.format, reading.alarm_names) == ("can", V2_ALARMS)
            assert 0 < reading.valid_for <= 5
        for address in (0, 3, 11):
            times = [at for at, reading in bus.history if reading.address == address]
            assert min(b - a for a, b in pairwise(times)) > 0.85
            assert max(b - a for a, b in pairwise(times)) < 1.5
        assert bus.status.problem == ""
        assert (bus.status.junk, bus.status.implausible) == (0, 0)
        assert bus.status.quality.score(time.monotonic()) == 100
        assert bus.status.bms(3).health(time.monotonic(), present=bus.store.present(("t", 3))) == "ok"


async def test_the_sign_of_v1_is_turned_when_its_pace_is_known() -> None:
    async with heard(can_bms(version=1, current=-12.3, alarms=(UNDER_VOLTAGE,))) as bus:
        await until(lambda: bus.last(0).get("current") is not None, 9)
        values = bus.last(0)
        assert (values["current"], values["alarms"]) == (-12.3, (UNDER_VOLTAGE,))
        assert bus.history[-1][1].alarm_names == V1_ALARMS
        assert {r.values["current"] for _, r in bus.history} <= {None, -12.3}


async def test_alarms_come_and_go() -> None:
    battery = can_bms(2)
    async with heard(battery) as bus:
        await until(lambda: bus.last(2).get("alarms") == ())
        battery.alarms = (UNDER_VOLTAGE,)
        await until(lambda: bus.last(2)["alarms"] == (UNDER_VOLTAGE,), 2.5)
        battery.bms.errors = 1 << 11
        await until(lambda: bus.last(2)["alarms"] == ("cell_under_voltage_protection", UNDER_VOLTAGE), 2.5)
        battery.alarms = ()
        await until(lambda: bus.last(2)["alarms"] == ("cell_under_voltage_protection",), 3.5)
        battery.bms.errors = 0
        await until(lambda: bus.last(2)["alarms"] == (), 2.5)


async def test_a_battery_that_falls_silent_is_offline_and_comes_back() -> None:
    batteries = [can_bms(1), can_bms(2)]
    async with heard(*batteries) as bus:
        await until(lambda: bus.online() == {1, 2})
        batteries[0].silent = True
        assert await until(lambda: bus.online() == {2}, 7) > 3
        batteries[0].silent = False
        await until(lambda: bus.online() == {1, 2}, 6)


# --- what is never told ---------------------------------------------------------------------------------
async def test_a_duplicate_address_is_named_and_nothing_is_told() -> None:
    batteries = [can_bms(4), can_bms(4, capacity=100.0), can_bms(5)]
    async with heard(*batteries) as bus:
        await until(lambda: f"BMS 4: {DUPLICATE}" in bus.status.problem)
        await until(lambda: bus.online() == {5})
        assert {reading.address for _, reading in bus.history} == {5}


async def test_what_contradicts_itself_is_named_and_not_told() -> None:
    battery = can_bms(1, capacity=100.0)
    battery.changes = {"capacity_remaining": 130.0}
    async with heard(battery) as bus:
        await until(lambda: "BMS 1: values that contradict each other (capacity)" in bus.status.problem)
        assert bus.history == []
        assert bus.status.implausible > 0


async def test_impossible_frames_are_counted_and_named() -> None:
    battery = can_bms(1)
    battery.changes = {"state_of_health": 130}
    async with heard(battery) as bus:
        await until(lambda: bool(bus.online()))
        assert "state_of_health" not in bus.last(1)
        assert "impossible BMS_INFO" in bus.status.problem
        assert bus.status.bms(1).implausible > 0


async def test_a_load_step_is_no_contradiction() -> None:
    battery = can_bms(1, current=0.0)
    async with heard(battery) as bus:
        await until(lambda: bool(bus.online()))
        for voltage in (51.0, 54.5):
            battery.changes = {"total_voltage": voltage}
            count = len(bus.history)
            await until(lambda n=count: len(bus.history) > n, 1.6)  # type: ignore[misc]
        assert bus.status.implausible == 0


async def test_damaged_lines_are_counted_and_never_told() -> None:
    battery = can_bms(1)

    def damaged(far: Adapter) -> Callable[[Frame], None]:
        def put(frame: Frame) -> None:
            far.put(frame)
            if far.listening and frame.can_id == 0x4F5:
                os.write(far.fd, b"t2F58FFFF0\rt2F5\xff\xfe\r5F51000000\r")

        return put

    async with heard(battery, put=damaged) as bus:
        await until(lambda: len(bus.history) > 2)
        assert all(true(reading.values, battery) for _, reading in bus.history)
        assert bus.status.junk > 0


# --- what is wrong --------------------------------------------------------------------------------------
async def test_a_wrong_bit_rate_is_silence_that_is_named() -> None:
    async with slcan_adapter(500000) as far, broadcasting([can_bms()], far.put):
        async with running(far.port) as bus:
            await until(lambda: bus.status.problem == NOTHING.format(bitrate=250000))
            assert bus.status.connected
            assert bus.history == []
        async with running(far.port, bitrate=500000) as bus:
            await until(lambda: bus.online() == {0})


async def test_another_protocol_on_the_bus_is_named() -> None:
    async with slcan_adapter() as far, running(far.port) as bus:

        def strange() -> bool:
            far.put(Frame(0x351, False, bytes(8)))
            return bus.status.problem == FOREIGN

        await until(strange, 10)
        assert bus.status.frames > 0


async def test_an_adapter_that_misses_its_settings_gets_them_again() -> None:
    async with slcan_adapter(deaf=True) as far, broadcasting([can_bms()], far.put), running(far.port) as bus:
        await until(lambda: bus.status.connected)
        await asyncio.sleep(1)
        assert not far.listening
        far.deaf = False
        await until(lambda: bus.online() == {0}, 10)


async def test_an_unplugged_adapter_is_opened_again(tmp_path: Path) -> None:
    port = tmp_path / "adapter"
    async with running(str(port)) as bus:
        await until(lambda: "does not exist; is the adapter plugged in?" in bus.status.problem)
        for _ in range(3):
            async with slcan_adapter() as far, broadcasting([can_bms(1)], far.put):
                port.unlink(missing_ok=True)
                port.symlink_to(far.port)
                assert await until(lambda: bus.status.connected, 5) < 4
                count = len(bus.history)
                # the first time a BMS is listened to for longer than when it is known
                assert await until(lambda n=count: len(bus.history) > n, 8) < 5  # type: ignore[misc]
            await until(lambda: not bus.status.connected, 2)
            assert "the adapter is gone" in bus.status.problem or "does not exist" in bus.status.problem
    assert bus.status.reconnects == 3


async def test_a_port_in_use_and_what_is_no_port_are_named(tmp_path: Path) -> None:
    async with slcan_adapter() as far, can_channel(far.port, 250000):
        with pytest.raises(LinkError, match="in use by another"):
            async with can_channel(far.port, 250000):
                pass
    plain = tmp_path / "file"
    plain.write_text("no port")
    with pytest.raises(LinkError, match=str(plain)):
        async with can_channel(str(plain), 250000):
            pass


# --- never sends ----------------------------------------------------------------------------------------
async def test_nothing_but_settings_is_ever_told_to_an_adapter() -> None:
    async with slcan_adapter() as far, broadcasting([can_bms(0), can_bms(1)], far.put):
        async with running(far.port) as bus:
            await until(lambda: bus.online() == {0, 1})
        assert far.transmitted == []
        assert set(far.commands) == {"C", "S5", "", "O"}
        await until(lambda: far.commands[-1] == "C")


def test_the_strategy_has_no_word_for_sending() -> None:
    names = {
        node.attr for node in ast.walk(ast.parse(inspect.getsource(can_broadcast))) if isinstance(node, ast.Attribute)
    }
    assert "send" not in names


# --- the channel ----------------------------------------------------------------------------------------
async def test_a_channel_sends_and_forgets() -> None:
    async with slcan_adapter() as far, can_channel(far.port, 250000) as channel:
        frame = Frame(0x351, False, b"\x01\x02")
        channel.send(frame)
        await until(lambda: [one for _, one in far.transmitted] == [frame])
        for n in range(100):
            far.put(Frame(n, True, bytes(8)))
        channel.discard()
        assert await channel.read(0.05) == []
        far.put(frame)
        assert await channel.read(1) == [frame]


async def test_an_adapter_that_takes_nothing_more_is_named() -> None:
    async with slcan_adapter() as far, can_channel(far.port, 250000) as channel:
        asyncio.get_running_loop().remove_reader(far.fd)

        def fill() -> None:
            for _ in range(10000):
                channel.send(Frame(0x351, False, bytes(8)))

        with pytest.raises(LinkError, match="takes no frames any more"):
            fill()


async def test_the_simulator_feeds_any_bus() -> None:
    """Also python-can's own virtual one."""
    name = f"sim{os.getpid()}"
    with can.Bus(interface="virtual", channel=name) as out, can.Bus(interface="virtual", channel=name) as back:
        bus = Bus(settle=0)
        async with broadcasting([can_bms(7)], lambda frame: out.send(message(frame))):
            await asyncio.sleep(2.2)
        while said := back.recv(0):
            bus.heard(said.arbitration_id, said.is_extended_id, said.data, said.timestamp)
            last = said.timestamp
        (reading,) = bus.readings(last)
        assert (reading.address, reading.values["state_of_charge"]) == (7, 60)
        assert "cell_voltage" in reading.values


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EAFNOSUPPORT, "no SocketCAN"),
        (errno.ENODEV, "does not exist"),
        (errno.ENXIO, "does not exist"),
        (errno.ENETDOWN, "link is down"),
        (errno.ENOBUFS, "nobody on the bus acknowledges"),
        (errno.EPERM, "permission denied"),
        (errno.EACCES, "permission denied"),
        (errno.EINVAL, "Invalid argument"),
    ],
)
def test_every_error_has_its_words(number: int, text: str) -> None:
    error = OSError(number, os.strerror(number))
    assert text in explained("can0", error)
    if number != errno.EINVAL:
        assert text in explained("can0", can.CanOperationError("Failed", number))
    wrapped = can.CanInitializationError("Failed")
    wrapped.__cause__ = error
    assert number == errno.EINVAL or text in explained("can0", wrapped)


async def test_a_kernel_without_can_is_named() -> None:
    try:
        socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW).close()
    except OSError:
        with pytest.raises(LinkError, match="can0: the kernel has no SocketCAN"):
            async with can_channel("can0", 250000):
                pass
    else:
        pytest.skip("this kernel has SocketCAN")


def error_frame(kind: int, state: int = 0) -> can.Message:
    return can.Message(
        arbitration_id=kind, is_error_frame=True, is_extended_id=False, data=[0, state, 0, 0, 0, 0, 0, 0]
    )


def test_what_a_controller_says_of_itself() -> None:
    class Quiet:
        def fileno(self) -> int:
            return -1

    channel = channels.SocketCan("can0", Quiet())  # type: ignore[arg-type]
    for kind, state, text in ((4, 0x10, "error passive"), (4, 0x08, "many errors"), (4, 0x40, ""), (0x20, 0, "nobody")):
        channel._error(error_frame(kind, state))
        assert text in channel.trouble
        assert bool(text) == bool(channel.trouble)
    assert channel.errors == 4
    with pytest.raises(LinkError, match="bus-off"):
        channel._error(error_frame(0x40))


# --- options --------------------------------------------------------------------------------------------
def test_options() -> None:
    assert PLUGIN.schema({"channel": " can0 "}) == {"channel": "can0", "bitrate": 250000, "set_up_link": False}
    assert PLUGIN.schema({"channel": "/dev/x", "bitrate": "500000"})["bitrate"] == 500000
    assert PLUGIN.target({"channel": "can0"}) == "can0"
    assert PLUGIN.addresses({}) == frozenset(range(12))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"channel": ""},
        {"channel": "a/b"},
        {"channel": "can 0"},
        {"channel": "sixteencharacter"},
        {"channel": 0},
        {"channel": "can0", "bitrate": 125000},
        {"channel": "can0", "bitrate": True},
        {"channel": "can0", "bitrate": "fast"},
        {"channel": "can0", "set_up_link": "yes"},
        {"channel": "can0", "port": "/dev/x"},
    ],
)
def test_options_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(vol.Invalid):
        PLUGIN.schema(wrong)
