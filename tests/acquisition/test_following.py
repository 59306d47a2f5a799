"""Listen, gateway and auto over real ptys and sockets; the master on the bus is simulated."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.acquisition import auto, diagnosis, gateway, master
from jkbms_addon.app import App
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.far_end import FarEnd, SerialBus, serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.modbus import page_request
from tests.conftest import captures, until

SLOT = 0.05  # seconds; real units take 0.4


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A master here needs about a second a cycle, so all patience is divided likewise."""
    monkeypatch.setattr(auto, "FIRST_LISTEN", 1.5)
    monkeypatch.setattr(auto, "YIELD", 2.5)
    monkeypatch.setattr(master, "YIELD", 2.5)
    monkeypatch.setattr(diagnosis, "PATIENCE", 1.2)
    monkeypatch.setattr(gateway, "SILENT_POLLING", 3.0)
    monkeypatch.setattr(gateway, "SILENT_LISTENING", 3.0)


def slaves() -> list[SimulatedBms]:
    return [SimulatedBms(1, serial_number="A1"), SimulatedBms(7, cells=8, temperature=-4.5, serial_number="A7")]


def dip0() -> SimulatedBms:
    return SimulatedBms(0, soc=33, serial_number="A0")


@asynccontextmanager
async def app(*buses: dict[str, Any], folder: Path) -> AsyncIterator[App]:
    running = App(parse({"buses": list(buses), "mqtt": {"host": "127.0.0.1", "port": 9}}), folder)
    assert not [bus.problem for bus in running.options.buses if bus.problem]
    task = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def online(running: App, bus: str = "a") -> set[int]:
    now = running.store.clock()
    return {s.address for s in running.store if s.bus == bus and s.online(now)}


def true(running: App, far: FarEnd, bus: str = "a") -> None:
    """Everything shown is what the simulated batteries say."""
    now = running.store.clock()
    everybody = dict(far.batteries)
    if far.master:
        everybody[0] = far.master
    for snapshot in running.store:
        if snapshot.bus == bus and snapshot.online(now):
            bms, values = everybody[snapshot.address], snapshot.values(now)
            assert len(values["cell_voltage"]) == bms.cells  # type: ignore[arg-type]
            assert values["temperature_sensor_1"] == bms.temperature
            assert values["errors_bitmask"] == bms.errors
            assert values.get("device_address", bms.address) == bms.address


LISTEN = {"name": "a", "strategy": "listen"}


@pytest.mark.parametrize("conditions", [{}, {"chunk": 1}, {"filler": b"\x00"}], ids=str)
async def test_listening_over_a_pty(conditions: dict[str, Any], tmp_path: Path) -> None:
    async with serial_bus(slaves(), master=dip0(), slot=SLOT, **conditions) as far:
        async with app({**LISTEN, "port": far.port}, folder=tmp_path) as running:
            await until(lambda: online(running) == {0, 1, 7}, 12)
            await until(lambda: all("settings" in s.parts for s in running.store))
            true(running, far)
            assert far.requests == []  # we never transmit
            assert running.buses["a"].checksum_errors == 0
            assert all("about" not in s.parts for s in running.store)  # a master never asks for it


async def test_garbage_makes_no_false_value_and_no_phantom(tmp_path: Path) -> None:
    dice = random.Random(3)

    def noisy(data: bytes) -> bytes:
        damaged = bytearray(data)
        if dice.random() < 0.15:
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        return bytes(damaged) + (dice.randbytes(dice.randrange(20)) if dice.random() < 0.3 else b"")

    async with serial_bus(slaves(), master=dip0(), slot=SLOT, mangle=noisy) as far:
        async with app({**LISTEN, "port": far.port}, folder=tmp_path) as running:
            await until(lambda: online(running) == {0, 1, 7}, 20)
            for _ in range(4):
                true(running, far)
                frames = running.buses["a"].frames
                await until(lambda frames=frames: running.buses["a"].frames > frames + 3)  # type: ignore[misc]
            assert {s.address for s in running.store} == {0, 1, 7}


async def test_the_masters_own_frames_are_never_taken_for_an_answer_of_one_that_does_not_exist(tmp_path: Path) -> None:
    """Its own frame follows the question to 15; when its acknowledgement is damaged only that question is before it."""

    def damaged(data: bytes) -> bytes:
        return data[:-2] if len(data) > 300 else data  # of the requests nothing is lost

    async with serial_bus([], master=dip0(), slot=SLOT) as far:
        async with app({**LISTEN, "port": far.port}, folder=tmp_path) as running:
            await until(lambda: online(running) == {0}, 12)
            far.mangle = damaged
            junk = running.buses["a"].junk
            await until(lambda: running.buses["a"].junk > junk + 6 * 300, 12)
            assert {snapshot.address for snapshot in running.store} == {0}


async def test_a_bms_that_stops_answering_is_gone_after_three_cycles(tmp_path: Path, monkeypatch: Any) -> None:
    async with serial_bus(slaves(), master=dip0(), slot=0.25) as far:
        async with app({**LISTEN, "port": far.port}, folder=tmp_path) as running:
            await until(lambda: online(running) == {0, 1, 7}, 25)
            far.batteries[7].silent = True
            took = await until(lambda: online(running) == {0, 1}, 30)
            assert 10 <= took + 5 <= 23  # a cycle is 4.5 to 5 s
            assert (
                running.buses["a"].bms(7).health(time.monotonic(), present=running.store.present(("a", 7))) == "silent"
            )


async def test_a_stream_captured_on_a_real_bus(tmp_path: Path) -> None:
    stream = bytes.fromhex(next(c["hex"] for c in captures("jk_pb") if c["id"] == "stream-v14-start-mid-cycle"))
    async with serial_bus([]) as far, app({**LISTEN, "port": far.port}, folder=tmp_path) as running:
        await until(lambda: running.buses["a"].connected)
        for _ in range(2):
            await far.say(stream)
        await until(lambda: {s.address for s in running.store} == {0, 7})
        assert {s.values(running.store.clock())["total_voltage"] for s in running.store} == {53.525, 53.541}


GATEWAY = {"name": "a", "strategy": "gateway", "host": "127.0.0.1"}


@pytest.mark.parametrize("conditions", [{}, {"chunk": 1}, {"echo": True}, {"chunk": 7, "filler": b"\0"}], ids=str)
async def test_polling_through_a_gateway(conditions: dict[str, Any], tmp_path: Path) -> None:
    async with tcp_bus(slaves(), **conditions) as far:
        bus = {**GATEWAY, "tcp_port": far.port, "addresses": "1,7", "interval": 0.5}
        async with app(bus, folder=tmp_path) as running:
            await until(lambda: online(running) == {1, 7} and all("about" in s.parts for s in running.store), 15)
            true(running, far)


async def test_listening_through_a_gateway(tmp_path: Path) -> None:
    async with tcp_bus(slaves(), master=dip0(), slot=SLOT) as far:
        async with app({**GATEWAY, "tcp_port": far.port, "mode": "listen"}, folder=tmp_path) as running:
            await until(lambda: online(running) == {0, 1, 7}, 12)
            true(running, far)
            assert far.requests == []


async def test_refused_dropped_and_half_open_connections(tmp_path: Path) -> None:
    async with tcp_bus(slaves()) as far:
        await far.stop()
        bus = {**GATEWAY, "tcp_port": far.port, "addresses": "1,7", "interval": 0.3}
        async with app(bus, folder=tmp_path) as running:
            status = running.buses["a"]
            await until(lambda: "Connection refused" in status.problem or "Connect call failed" in status.problem)
            await far.start()
            assert await until(lambda: online(running) == {1, 7}, 8) < 6
            for writer in list(far.clients):
                writer.transport.abort()
            frames = status.frames
            assert await until(lambda: status.frames > frames + 2, 8) < 5
            reconnects = status.reconnects
            far.frozen = True  # open, but nothing comes
            await until(lambda: status.reconnects > reconnects and "nothing comes" in status.last_error, 8)
            far.frozen = False
            frames = status.frames
            assert await until(lambda: status.frames > frames + 2, 8) < 5
            true(running, far)


async def test_a_pause_between_rounds_is_no_half_open_connection(tmp_path: Path) -> None:
    async with tcp_bus(slaves()) as far:
        bus = {**GATEWAY, "tcp_port": far.port, "addresses": "1-8", "interval": 9}
        async with app(bus, folder=tmp_path) as running:
            await until(lambda: online(running) == {1, 7}, 8)
            frames = running.buses["a"].frames
            await until(lambda: running.buses["a"].frames > frames + 1, 20)  # another round
            assert running.buses["a"].reconnects == 0


async def test_a_dead_connection_is_given_up_before_anybody_is_missed(tmp_path: Path) -> None:
    """The gateway forgot our connection but serves new ones: two rounds without an answer are enough."""
    async with tcp_bus(slaves()) as far:
        bus = {**GATEWAY, "tcp_port": far.port, "addresses": "1,7", "interval": 0.3}
        async with app(bus, folder=tmp_path) as running:
            await until(lambda: online(running) == {1, 7}, 8)
            far.forget()
            reconnects = running.buses["a"].reconnects
            await until(lambda: running.buses["a"].reconnects > reconnects, 8)
            frames = running.buses["a"].frames
            await until(lambda: running.buses["a"].frames > frames + 2, 5)
            assert online(running) == {1, 7}


@pytest.mark.parametrize("kind", ["port", "host"])
async def test_auto_follows_a_master_or_asks_where_there_is_none(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened = serial_bus(slaves(), slot=SLOT) if kind == "port" else tcp_bus(slaves(), slot=SLOT)
    async with opened as far:
        link: dict[str, Any] = {"port": far.port} if kind == "port" else {"host": "127.0.0.1", "tcp_port": far.port}
        entry = {"name": "a", "strategy": "auto", "addresses": "1-7", "interval": 0.3, **link}
        async with app(entry, folder=tmp_path) as running:
            status = running.buses["a"]
            assert far.requests == []
            await until(lambda: online(running) == {1, 7}, 12)
            assert status.mode == "polling"
            # that nobody spoke before it asked was no trouble
            assert [
                one.message for one in caplog.records if one.levelname == "WARNING" and "MQTT" not in one.message
            ] == []
            far.master = dip0()  # a master appears
            await until(lambda: status.mode == "listening", 5)
            asked = len(far.requests)
            await until(lambda: online(running) == {0, 1, 7}, 12)
            assert len(far.requests) == asked  # silent since
            true(running, far)
            far.master = None  # and is gone
            await until(lambda: status.mode == "polling", 8)
            await until(lambda: online(running) >= {1, 7} and len(far.requests) > asked + 3, 8)


async def test_auto_with_a_master_from_the_start_never_transmits(tmp_path: Path) -> None:
    async with serial_bus(slaves(), master=dip0(), slot=SLOT) as far:
        async with app({"name": "a", "strategy": "auto", "port": far.port}, folder=tmp_path) as running:
            await until(lambda: online(running) == {0, 1, 7}, 12)
            assert (running.buses["a"].mode, far.requests) == ("listening", [])


async def test_a_polling_master_stops_when_it_hears_another_one_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serial_bus(slaves()) as far:
        entry = {"name": "a", "strategy": "master", "port": far.port, "addresses": "1,7", "interval": 0.3}
        async with app(entry, folder=tmp_path) as running:
            await until(lambda: online(running) == {1, 7})
            status = running.buses["a"]
            await far.say(page_request(5, 0x1620))
            await until(lambda: status.problem.startswith("another master is asking"))
            asked = len(far.requests)
            await asyncio.sleep(1.2)
            assert len(far.requests) <= asked + 1
            await until(lambda: len(far.requests) > asked + 3, 6)  # the other one has fallen silent
            await until(lambda: status.problem == "")
    assert caplog.text.count("another master is asking") == 1


def entry(name: str, far: SerialBus) -> dict[str, Any]:
    return {"name": name, "strategy": "master", "port": far.port, "addresses": "1,7", "interval": 0.3}


async def test_four_buses_at_once_and_one_of_them_failing_in_turn(tmp_path: Path) -> None:
    """More than 15 BMSs in all; a fault of one bus changes nothing for the others."""
    many = [SimulatedBms(n, serial_number=f"B{n}") for n in range(1, 14)]
    async with (
        serial_bus(slaves()) as first,
        serial_bus(slaves(), master=dip0(), slot=SLOT) as second,
        tcp_bus(many) as third,
        tcp_bus(slaves(), master=dip0(), slot=SLOT) as fourth,
    ):
        port = tmp_path / "adapter"
        port.symlink_to(first.port)
        buses = (
            {**entry("a", first), "port": str(port)},
            {"name": "b", "strategy": "listen", "port": second.port},
            {"name": "c", "strategy": "gateway", "host": "127.0.0.1", "tcp_port": third.port, "interval": 0.2},
            {"name": "d", "strategy": "auto", "host": "127.0.0.1", "tcp_port": fourth.port},
        )
        expected = {"a": {1, 7}, "b": {0, 1, 7}, "c": set(range(1, 14)), "d": {0, 1, 7}}
        async with app(*buses, folder=tmp_path) as running:
            await until(lambda: {n: online(running, n) for n in expected} == expected, 40)
            assert sum(map(len, expected.values())) > 15
            for name, far in zip("bcd", (second, third, fourth), strict=True):
                await failing(running, name, far, expected)


async def failing(running: App, name: str, far: FarEnd, expected: dict[str, set[int]]) -> None:
    """Freeze a bus, then fill it with garbage; it heals, and the others never notice."""
    others = {n: running.buses[n].frames for n in expected if n != name}
    far.frozen = True
    await asyncio.sleep(1.0)
    far.frozen = False
    far.mangle = lambda data: bytes(len(data))
    await asyncio.sleep(1.0)
    far.mangle = bytes
    frames = running.buses[name].frames
    assert await until(lambda: running.buses[name].frames > frames + 1, 8) < 5.5
    for other, before in others.items():
        assert running.buses[other].frames > before
        assert online(running, other) == expected[other]
        assert running.buses[other].reconnects == 0


async def test_two_buses_on_one_port_are_reported_not_merged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serial_bus(slaves()) as far:
        alias = tmp_path / "by-id"
        alias.symlink_to(far.port)
        async with app(entry("a", far), {**entry("b", far), "port": str(alias)}, folder=tmp_path) as running:
            await until(lambda: online(running) == {1, 7})
            assert online(running, "b") == set()
            assert "uses the same port as bus a" in running.buses["b"].problem
            assert running.buses["b"].option_error
    assert caplog.text.count("uses the same port as bus a") == 1


async def test_the_worst_incident_survives_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jkbms_addon.app.REMEMBER", 0.1)
    port = tmp_path / "adapter"
    async with serial_bus(slaves()) as far:
        async with app({**entry("a", far), "port": str(port)}, folder=tmp_path) as running:
            await until(lambda: "does not exist" in running.buses["a"].problem)
            port.symlink_to(far.port)
            await until(lambda: running.buses["a"].worst is not None)
            await until((tmp_path / "incidents.json").exists)
            before = running.buses["a"].worst
        async with app({**entry("a", far), "port": str(port)}, folder=tmp_path) as running:
            worst = running.buses["a"].worst
            assert worst is not None
            assert "does not exist" in worst.reason
            assert worst.seconds > 0
            assert worst == before
