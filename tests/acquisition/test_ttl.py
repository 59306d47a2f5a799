"""The strategy ttl over real ptys and TCP; the far end is the simulator, paced like 115200 baud."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.acquisition import ttl
from jkbms_addon.acquisition.ttl import PLUGIN
from jkbms_addon.acquisition.ttl_line import REASONS, SETTING, Heard, Line
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.ttl import SimulatedFirst, TtlGateway, TtlPort, ttl_gateway, ttl_port
from jkbms_addon.wire.ttl import frames as legacy
from tests.acquisition.owner import Owner, at_work
from tests.conftest import until


class Running(Owner):
    """A first-generation BMS."""

    def online(self) -> bool:
        return bool(self.addresses())

    def trouble(self) -> str:
        return self.status.problem if self.status.connected else ""

    def live(self) -> list[Any]:
        return [reading.values for _, reading in self.history if reading.kind == "live"]

    def values(self) -> dict[str, Any]:
        snapshot = self.store.get(("t", self.options.values["address"]))
        return snapshot.values(self.store.clock()) if snapshot else {}


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Running]:
    async with at_work(Running(**{"strategy": "ttl", "interval": 0.5, **options})) as bus:
        yield bus


def nothing_false(bus: Running, far: TtlPort | TtlGateway) -> None:
    """Whether all that was published is what the simulated battery says (its values move slowly)."""
    bms = far.bms
    said = {**bms.live(), **bms.settings}
    slow = {"cell_voltage", "total_voltage", "current", "total_runtime"}
    assert bus.history
    for _, reading in bus.history:
        assert reading.address == bus.options.values["address"]
        exact = {key: value for key, value in reading.values.items() if key in said and key not in slow}
        assert exact == {key: said[key] for key in exact}
        if reading.kind != "live":
            continue
        values = reading.values
        assert len(values["cell_voltage"]) == bms.cells
        assert max(abs(a - b) for a, b in zip(values["cell_voltage"], said["cell_voltage"], strict=True)) < 0.02
        assert abs(values["total_voltage"] - said["total_voltage"]) < 0.3
        assert abs(values["current"] - said["current"]) < 8
        assert 0 <= said["total_runtime"] - values["total_runtime"] <= 60
        assert values["capacity_remaining"] == bms.soc * bms.capacity / 100


async def test_measured_values_settings_and_identity() -> None:
    async with ttl_port(SimulatedFirst()) as far, running(port=far.port) as bus:
        took = await until(lambda: len(bus.live()) > 2)
        assert took < 3
        nothing_false(bus, far)
        assert [reading.kind for _, reading in bus.history[:3]] == ["live", "settings", "about"]
        values = bus.values()
        assert values["model"] == "JK_B2A20S20P"
        assert values["protocol_version"] == 1
        assert (values["charging"], values["charging_switch"]) == (True, True)
        status = bus.status
        assert (status.problem, status.connected) == ("", True)
        assert status.checksum_errors == status.timeouts == status.junk == status.implausible == 0
        assert 0.02 < (status.bms(1).latency or 0) < 0.2
        assert status.quality.score(time.monotonic()) == 100
        assert {command for _, command in far.asked} == {legacy.READ}


async def test_the_pace() -> None:
    async with ttl_port(SimulatedFirst()) as far, running(port=far.port, interval=1.0) as bus:
        await until(lambda: len(bus.live()) > 3)
        asked = [at for at, _ in far.asked]
        assert min(b - a for a, b in pairwise(asked)) > 0.4
        assert [b - a for a, b in pairwise(asked[1:])][-2:] == pytest.approx([1.0, 1.0], abs=0.25)
        assert bus.history[0][1].valid_for == 10.0


async def test_the_address_is_chosen() -> None:
    async with ttl_port(SimulatedFirst(cells=8)) as far, running(port=far.port, address=7) as bus:
        await until(bus.live)
        nothing_false(bus, far)
        assert PLUGIN.addresses(bus.options.values) == {7}


@pytest.mark.parametrize("conditions", [{"echo": True}, {"chunk": 1}, {"echo": True, "chunk": 1}], ids=str)
async def test_odd_lines(conditions: dict[str, Any]) -> None:
    async with ttl_port(SimulatedFirst(), **conditions) as far, running(port=far.port) as bus:
        await until(lambda: len(bus.live()) > 3)
        nothing_false(bus, far)
        assert bus.status.implausible == bus.status.timeouts == bus.status.junk == 0
        assert bus.status.problem == ""


@pytest.mark.parametrize(("version", "current"), [(0, -12.5), (0, 7.0), (1, -12.5), (1, 7.0)])
async def test_both_versions_of_the_protocol(version: int, current: float) -> None:
    bms = SimulatedFirst(version=version, current=current)
    async with ttl_port(bms) as far, running(port=far.port) as bus:
        await until(bus.live)
        nothing_false(bus, far)
        assert bus.values()["current"] == current
        assert bus.values()["protocol_version"] == version
        assert ("actual_battery_capacity" in bus.values()) == (version == 1)


async def test_through_a_gateway_that_restarts() -> None:
    async with ttl_gateway(SimulatedFirst()) as far, running(host="127.0.0.1", tcp_port=far.port) as bus:
        await until(lambda: len(bus.live()) > 1)
        assert PLUGIN.target(bus.options.values) == f"127.0.0.1:{far.port}"
        await far.stop()
        await until(lambda: not bus.status.connected, 3)
        await far.start()
        before = len(bus.live())
        assert await until(lambda: len(bus.live()) > before, 8) < 6
        nothing_false(bus, far)
        assert bus.status.reconnects == 1


# --- damage -------------------------------------------------------------------------------------------


async def test_lost_bytes_never_make_a_false_value() -> None:
    dice = random.Random(5)

    def lossy(data: bytes) -> bytes:
        return bytes(byte for byte in data if dice.random() >= 0.2)

    async with ttl_port(SimulatedFirst(), mangle=lossy) as far, running(port=far.port) as bus:
        await until(bus.trouble)
        assert bus.history == []
        assert bus.status.problem == str(REASONS["damaged"])
        far.mangle = bytes  # the line is good again
        await until(bus.online)
        nothing_false(bus, far)
        assert bus.status.problem == ""


async def test_a_line_that_loses_little_only_costs_time() -> None:
    dice = random.Random(3)

    def lossy(data: bytes) -> bytes:
        return bytes(byte for byte in data if dice.random() >= 0.002)

    async with ttl_port(SimulatedFirst(), mangle=lossy) as far, running(port=far.port) as bus:
        await until(lambda: len(bus.live()) > 4, 20)
        nothing_false(bus, far)
        assert bus.status.junk > 0


def exchanged(data: bytes, dice: random.Random) -> bytes:
    """A damage that the sum does not see: one bit set in one byte and cleared in another."""
    damaged = bytearray(data)
    while damaged == data:
        one, other = dice.randrange(11, len(data) - 9), dice.randrange(11, len(data) - 9)
        bit = 1 << dice.randrange(8)
        if one != other and not damaged[one] & bit and damaged[other] & bit:
            damaged[one] |= bit
            damaged[other] &= ~bit
    return bytes(damaged)


async def test_damage_that_the_sum_does_not_see_never_makes_a_false_value() -> None:
    dice = random.Random(7)

    def noisy(data: bytes) -> bytes:
        return exchanged(data, dice) if len(data) > 200 and dice.random() < 0.2 else data

    bms = SimulatedFirst(current=-11.0)
    async with ttl_port(bms, mangle=noisy) as far, running(port=far.port) as bus:
        await until(lambda: len(bus.live()) > 8, 40)
        nothing_false(bus, far)
        assert bus.status.problem == ""


async def test_noise_between_frames() -> None:
    def noise(data: bytes) -> bytes:
        return b"\x00\xff\x4e" + data + b"\xfe\x4e\x57" if len(data) > 200 else data

    async with ttl_port(SimulatedFirst(), mangle=noise) as far, running(port=far.port) as bus:
        await until(lambda: len(bus.live()) > 2)
        nothing_false(bus, far)
        assert bus.status.junk > 0


async def test_values_that_contradict_each_other_are_named() -> None:
    def broken(data: bytes) -> bytes:
        frame = bytearray(data)
        frame[frame.index(b"\x83", 11 + 2 + 3 * 16) + 1] ^= 0x04  # 10 V of the pack's voltage
        return legacy.closed(frame)

    async with ttl_port(SimulatedFirst(), mangle=broken) as far, running(port=far.port) as bus:
        await until(bus.trouble)
        assert bus.status.problem.endswith("cells against total voltage")
        await asyncio.sleep(1)
        assert bus.live() == []
        far.mangle = bytes
        await until(bus.online)
        assert bus.status.problem == ""


# --- silence ------------------------------------------------------------------------------------------


async def test_a_silent_bms_goes_offline_and_returns() -> None:
    async with ttl_port(SimulatedFirst()) as far, running(port=far.port, interval=2.0) as bus:
        await until(bus.live)
        heard, far.bms.silent = bus.history[-1][0], True
        await until(lambda: not bus.online(), 12)
        assert time.monotonic() - heard > 9.9
        assert bus.status.connected
        assert bus.values() == {}
        await until(bus.trouble, 3)
        assert bus.status.problem == str(REASONS["nothing"])
        assert bus.status.timeouts >= 4
        far.bms.silent = False
        assert await until(bus.online, 5) < 4.5
        nothing_false(bus, far)
        assert (bus.status.problem, bus.status.reconnects) == ("", 0)


async def test_an_answer_is_asked_for_three_times_then_the_bms_is_activated() -> None:
    async with ttl_port(SimulatedFirst(silent=True)) as far, running(port=far.port, interval=3.0):
        await until(lambda: len(far.asked) > 5)
        assert [command for _, command in far.asked[:6]] == [6, 6, 6, 1, 6, 6]
        rests = [b - a for (a, _), (b, _) in pairwise(far.asked[:6])]
        assert [round(rest, 1) for rest in rests[2:4]] == [0.3, 0.1]
        assert all(0.44 < rest < 0.6 for rest in rests[:2])  # 300 ms of waiting, 150 ms between
        assert far.asked[5][0] - far.asked[0][0] == pytest.approx(3.0, abs=0.1)


async def test_a_sleeping_bms_is_woken() -> None:
    async with ttl_port(SimulatedFirst(asleep=True)) as far, running(port=far.port) as bus:
        assert await until(bus.online) < 4
        assert not far.bms.asleep
        assert bus.status.problem == ""
        far.bms.asleep = True
        before = len(bus.live())
        await until(lambda: len(bus.live()) > before, 5)
        nothing_false(bus, far)
        assert bus.online()


async def test_unplugged_adapter_is_opened_again(tmp_path: Path) -> None:
    port = tmp_path / "adapter"
    async with running(port=str(port)) as bus:
        await until(lambda: "does not exist" in bus.status.problem)
        for _ in range(2):
            async with ttl_port(SimulatedFirst()) as far:
                port.unlink(missing_ok=True)
                port.symlink_to(far.port)
                heard = len(bus.live())
                assert await until(partial(lambda n: len(bus.live()) > n, heard), 8) < 6
                nothing_false(bus, far)
            await until(lambda: not bus.status.connected, 3)
    assert bus.status.reconnects == 2


# --- what is wrong is named ---------------------------------------------------------------------------


def cut(data: bytes) -> bytes:
    return data[:100] if len(data) > 100 else b""


def withheld(data: bytes) -> bytes:
    return data if len(data) < 100 else b""


@pytest.mark.parametrize(
    ("bms", "options", "reason"),
    [
        ({"silent": True}, {}, "nothing"),
        ({"silent": True}, {"echo": True}, "echo"),
        ({"speech": "modbus"}, {}, "modbus"),
        ({"speech": "modbus"}, {"echo": True, "chunk": 1}, "modbus"),
        ({"speech": "noise"}, {}, "garbage"),
        ({}, {"mangle": cut}, "damaged"),
        ({}, {"mangle": withheld}, "mute"),
    ],
    ids=["nothing", "echo", "modbus", "modbus-byte-by-byte", "garbage", "damaged", "mute"],
)
async def test_the_likely_cause_and_the_setting_are_named(
    bms: dict[str, Any], options: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    far_bms = SimulatedFirst(**bms)
    async with ttl_port(far_bms, **options) as far, running(port=far.port) as bus:
        assert await until(bus.trouble) < 3
        assert bus.status.problem == str(REASONS[reason])
        assert SETTING in bus.status.problem
        assert bus.status.connected
        await asyncio.sleep(2)
        assert bus.status.problem == str(REASONS[reason])
        assert (bus.history, bus.status.reconnects) == ([], 0)
        far_bms.speech, far_bms.silent, far.mangle = "ttl", False, bytes  # set right
        await until(bus.online)
        assert bus.status.problem == ""
        assert bus.status.last_error == str(REASONS[reason])
        nothing_false(bus, far)
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def test_reasons_fit_into_a_state_and_name_the_setting() -> None:
    assert [key for key, reason in REASONS.items() if len(str(reason)) > 255 or SETTING not in str(reason)] == []
    assert "000" in SETTING


class Deaf:
    """A link on which nothing goes anywhere."""

    def write(self, data: bytes) -> None:
        """Lose it."""


def test_a_telling_cause_stands_for_a_while() -> None:
    line = Line(Deaf(), BusStatus("t"))  # type: ignore[arg-type]
    line._heard = Heard(junk=300, modbus=True)
    assert line.cause(0) == "modbus"
    assert line.cause(10) == "modbus"
    assert line.cause(31) == "nothing"
    line._heard = Heard(junk=300, modbus=True)
    assert line.cause(32) == "modbus"
    line.well()
    assert line.cause(33) == "nothing"


# --- start of the BMS ---------------------------------------------------------------------------------


async def test_values_of_the_first_seconds_are_withheld() -> None:
    bms = SimulatedFirst(started=time.monotonic() - 12)  # four seconds of zeros are left
    async with ttl_port(bms) as far, running(port=far.port) as bus:
        await until(bus.live)
        assert bus.values()["state_of_charge"] is None
        assert bus.values()["capacity_remaining"] is None
        assert bus.values()["total_voltage"] > 40
        await until(lambda: bus.values().get("state_of_charge") == 60)
        assert {values["state_of_charge"] for values in bus.live()} == {None, 60}
        assert {values["charging_cycles"] for values in bus.live()} == {None, 31}
        bms.started = time.monotonic() - 13  # starts again between two questions
        await until(lambda: bus.values()["state_of_charge"] is None)
        await until(lambda: bus.values()["state_of_charge"] == 60)
        assert 0 not in {values["state_of_charge"] for values in bus.live()}


async def test_a_charge_that_stays_0_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ttl, "START_UP", 2.0)
    async with ttl_port(SimulatedFirst(soc=0, cycles=0)) as far, running(port=far.port) as bus:
        await until(lambda: bus.values().get("state_of_charge") == 0)
        assert bus.live()[0]["state_of_charge"] is None
        assert bus.values()["capacity_remaining"] == 0


# --- secrets and options ------------------------------------------------------------------------------


async def test_the_password_is_in_no_log_and_in_no_reading(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(5)
    dice = random.Random(1)

    def noisy(data: bytes) -> bytes:
        cut = bytearray(data)
        if dice.random() < 0.5:
            cut[dice.randrange(len(cut))] ^= 1
        return bytes(cut)

    async with ttl_port(SimulatedFirst(), echo=True, mangle=noisy) as far, running(port=far.port) as bus:
        await until(lambda: len(bus.live()) > 2, 20)
    secret = far.bms.password
    assert any("<-" in record.message and "4e 57" in record.message for record in caplog.records)
    for text in (caplog.text, repr(bus.history)):
        assert secret.decode() not in text
        assert secret.hex(" ") not in text
        assert secret.hex() not in text.lower()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "port: needs either port or host with tcp_port"),
        ({"host": "gateway"}, "tcp_port: host and tcp_port belong together"),
        ({"tcp_port": 8899}, "port: needs either port or host with tcp_port"),
        ({"port": "/dev/x", "host": "gateway", "tcp_port": 8899}, "port: needs either port or host with tcp_port"),
        ({"port": "/dev/x", "interval": 0.4}, "interval: must be 0.5 to 3600 seconds"),
        ({"port": "/dev/x", "interval": True}, "interval: must be a number of seconds"),
        ({"port": "/dev/x", "address": 16}, "address: must be a whole number from 0 to 15"),
        ({"port": "/dev/x", "address": "1"}, "address: must be a whole number from 0 to 15"),
        ({"host": "a b", "tcp_port": 8899}, "host: "),
        ({"host": "gateway", "tcp_port": 65536}, "tcp_port: must be a whole number from 1 to 65535"),
        ({"port": "/dev/x", "addresses": "1"}, "addresses: is not an option here"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], problem: str) -> None:
    (bus,) = parse({"buses": [{"name": "t", "strategy": "ttl", **options}]}).buses
    assert bus.problem.startswith(problem)


def test_options_that_the_form_leaves_empty_have_their_defaults() -> None:
    row = {"name": "t", "strategy": "ttl", "port": "/dev/x", "host": "", "tcp_port": None, "interval": None}
    (bus,) = parse({"buses": [row]}).buses
    assert bus.values == {"port": "/dev/x", "address": 1, "interval": 2.0}
    assert PLUGIN.target(bus.values) == "/dev/x"


# --- the simulator, as the next strategies build on it -------------------------------------------------


@pytest.mark.parametrize("taken", [True, False])
async def test_a_write_is_always_acknowledged(taken: bool) -> None:
    bms = SimulatedFirst(taken=taken)
    frame = legacy.parse(legacy.write_request(0xAB, 0))
    answer = legacy.parse(bms.answer(frame))
    assert (answer.kind, answer.tag) == ("written", 0xAB)
    live, settings, _ = legacy.readings(legacy.parse(bms.table()))
    assert (live.values["charging"], settings.values["charging_switch"]) == (not taken, not taken)
    assert bms.answer(legacy.parse(legacy.PAIRING)) == b""
