"""The real strategy over real ptys; the far end is the simulator, paced like 115200 baud."""

import asyncio
import os
import random
import termios
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.acquisition.master import PLUGIN
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.errors import LinkError
from jkbms_addon.simulator.far_end import SerialBus, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.modbus import LIVE
from tests.acquisition.owner import Owner, at_work
from tests.conftest import heard, until


class Running(Owner):
    """A polled port."""

    def online(self) -> set[int]:
        return self.addresses()

    def live(self, address: int) -> list[Any]:
        return [r.values for _, r in self.history if r.address == address and r.kind == "live"]


@asynccontextmanager
async def running(port: str, addresses: str = "1-3", interval: float = 0.5) -> AsyncIterator[Running]:
    async with at_work(Running(strategy="master", port=port, addresses=addresses, interval=interval)) as bus:
        yield bus


def three() -> list[SimulatedBms]:
    return [SimulatedBms(1), SimulatedBms(2, cells=8, soc=81), SimulatedBms(3, temperature=-7.5)]


def true(reading: Any, bms: SimulatedBms) -> bool:
    """Whether a published reading is what that simulated battery says (its values move slowly)."""
    said = bms.live()
    values = reading.values
    return (
        len(values["cell_voltage"]) == bms.cells
        and abs(values["total_voltage"] - said["total_voltage"]) < 1.0
        and abs(values["state_of_charge"] - said["state_of_charge"]) <= 1
        and abs(values["temperature_sensor_1"] - bms.temperature) < 0.01
        and values["errors_bitmask"] == bms.errors
        and values["full_charge_capacity"] == bms.capacity
    )


def nothing_false(bus: Running, far: SerialBus) -> None:
    assert bus.history
    for _, reading in bus.history:
        bms = far.batteries[reading.address]
        if reading.kind == "live":
            assert true(reading, bms), reading
        elif reading.kind == "settings":
            assert reading.values["device_address"] == bms.address
            assert reading.values["cell_count"] == bms.cells
        else:
            assert reading.values["serial_number"] == bms.serial_number


async def test_all_pages_of_all_batteries() -> None:
    async with serial_bus(three()) as far, running(far.port) as bus:
        await until(lambda: len({(r.address, r.kind) for _, r in bus.history}) == 9)
        nothing_false(bus, far)
        assert bus.status.checksum_errors == bus.status.timeouts == 0
        latency = bus.status.bms(1).latency
        assert latency is not None
        assert 0.03 < latency < 0.2


@pytest.mark.parametrize(
    "conditions",
    [
        {"echo": True},
        {"chunk": 1},
        {"filler": b"\x00"},
        {"filler": b"\xff\x00\x7f\xff"},
        {"echo": True, "chunk": 1, "filler": b"\x00"},
    ],
    ids=str,
)
async def test_odd_lines(conditions: dict[str, Any]) -> None:
    async with serial_bus(three(), **conditions) as far, running(far.port) as bus:
        await until(lambda: bus.online() == {1, 2, 3} and len(bus.live(1)) > 3)
        nothing_false(bus, far)
        assert bus.status.implausible <= 1  # where this machine stood still for a while, a value leaped


@pytest.mark.parametrize("share", [0.2, 0.0005])
async def test_lost_bytes_never_make_a_false_value(share: float) -> None:
    dice = random.Random(5)

    def lossy(data: bytes) -> bytes:
        return bytes(byte for byte in data if dice.random() >= share)

    async with serial_bus(three(), mangle=lossy) as far, running(far.port, interval=0) as bus:
        if share < 0.01:
            await until(lambda: bus.online() == {1, 2, 3}, 15)
        else:
            await asyncio.sleep(3)
        for _, reading in bus.history:
            assert reading.kind != "live" or true(reading, far.batteries[reading.address])
        far.mangle = bytes  # the line is good again
        await until(lambda: bus.online() == {1, 2, 3}, 35)
        nothing_false(bus, far)


async def test_flipped_bits_never_make_a_false_value() -> None:
    dice = random.Random(7)

    def noisy(data: bytes) -> bytes:
        damaged = bytearray(data)
        if dice.random() < 0.5:
            for _ in range(dice.randint(1, 4)):
                damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        return bytes(damaged)

    async with serial_bus(three(), mangle=noisy) as far, running(far.port, interval=0) as bus:
        await until(lambda: all(len(bus.live(a)) > 5 for a in (1, 2, 3)), 20)
        nothing_false(bus, far)
        assert bus.status.checksum_errors > 0


async def test_noise_between_frames() -> None:
    def noise(data: bytes) -> bytes:
        return os.urandom(20) + data + b"\xff" * 7

    async with serial_bus(three(), mangle=noise) as far, running(far.port) as bus:
        await until(lambda: bus.online() == {1, 2, 3} and len(bus.live(2)) > 3)
        nothing_false(bus, far)
        assert bus.status.junk > 0


async def test_missing_acknowledgement_is_tolerated() -> None:
    async with serial_bus(three(), mangle=lambda data: data[:300]) as far, running(far.port) as bus:
        await until(lambda: bus.online() == {1, 2, 3} and len(bus.live(3)) > 3)
        nothing_false(bus, far)


async def test_an_answer_of_another_unit_is_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serial_bus(three()) as far, running(far.port, "1,2") as bus:
        await until(lambda: bus.online() == {1, 2})
        far.batteries[2] = far.batteries[1]  # now unit 1 answers in the place of 2, with its own ACK
        answer = SerialBus._answer

        async def wrong(self: SerialBus, address: int, register: int) -> None:
            await answer(self, 1 if address == 2 else address, register)

        monkeypatch.setattr(SerialBus, "_answer", wrong)
        before, others = len(bus.live(2)), len(bus.live(1))
        await until(lambda: len(bus.live(1)) > others + 2)
        assert len(bus.live(2)) <= before + 1


async def test_a_vanishing_bms_goes_the_others_stay_and_it_comes_back() -> None:
    async with serial_bus(three()) as far, running(far.port, "1-5", 0.5) as bus:
        await until(lambda: bus.online() == {1, 2, 3})
        far.batteries[2].silent = True
        gone = time.monotonic()
        await until(lambda: 2 not in bus.online(), 14)
        assert time.monotonic() - gone >= 8  # ten since it was heard last
        assert bus.online() == {1, 3}
        times = [at for at, r in bus.history if r.address == 1 and r.kind == "live" and at > gone]
        assert max(b - a for a, b in pairwise(times)) < 1.6
        far.batteries[2].silent = False
        await until(lambda: bus.online() == {1, 2, 3}, 20)
        nothing_false(bus, far)


async def test_unplugged_adapter_is_opened_again(tmp_path: Path) -> None:
    port = tmp_path / "adapter"
    with_port = running(str(port))
    async with with_port as bus:
        await until(lambda: "does not exist" in bus.status.problem)
        for _ in range(2):
            async with serial_bus(three()) as far:
                port.unlink(missing_ok=True)
                port.symlink_to(far.port)
                heard = len(bus.history)
                assert await until(partial(lambda n: len(bus.history) > n, heard), 6) < 5
            await until(lambda: not bus.status.connected, 3)
    assert bus.status.reconnects == 2


async def test_a_port_in_use_and_a_file_that_is_no_port_are_named(tmp_path: Path) -> None:
    async with serial_bus([]) as far, PLUGIN.open(PLUGIN.schema({"port": far.port}), BusStatus("a")):
        with pytest.raises(LinkError, match="in use by another"):
            async with PLUGIN.open(PLUGIN.schema({"port": far.port}), BusStatus("b")):
                pass
    plain = tmp_path / "file"
    plain.write_text("no port")
    with pytest.raises(LinkError, match="cannot be opened"):
        async with PLUGIN.open(PLUGIN.schema({"port": str(plain)}), BusStatus("a")):
            pass


async def test_rests_120_ms_after_each_answer_and_asks_one_at_a_time() -> None:
    async with serial_bus(three()) as far, running(far.port, interval=0) as bus:
        sent: list[float] = []
        far.on_sent = lambda _address, at: sent.append(at)
        await until(lambda: len(bus.live(1)) > 4)
        asked = [at for at, _, _ in far.requests]
        for end in sent[:-1]:
            following = [at for at in asked if at > end]
            assert min(following) - end >= 0.115


async def test_only_read_requests_are_ever_sent() -> None:
    async with serial_bus(three()) as far, running(far.port, interval=0) as bus:
        await heard(bus.status, 12)
        assert {register for _, _, register in far.requests} <= {LIVE, 0x161E, 0x161C}


@pytest.mark.parametrize(("strategy", "told"), [("master", 9600), ("listen", "9600"), ("auto", 9600), ("ttl", 9600)])
async def test_the_speed_of_the_port_is_an_option(strategy: str, told: object) -> None:
    async with serial_bus(three()) as far, at_work(Running(strategy=strategy, port=far.port, baudrate=told)) as bus:
        await until(lambda: bus.status.connected)
        assert termios.tcgetattr(far.fd)[4:6] == [termios.B9600, termios.B9600]
    async with serial_bus(three()) as far, at_work(Running(strategy=strategy, port=far.port)) as bus:
        await until(lambda: bus.status.connected)
        assert termios.tcgetattr(far.fd)[4] == termios.B115200
