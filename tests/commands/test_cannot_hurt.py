"""Commands cannot hurt: the whole program with real wires and a real broker, and what must never happen."""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from jkbms_addon.app import App
from jkbms_addon.commands.audit import read as attempts
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.can import slcan_adapter
from jkbms_addon.simulator.far_end import SerialBus, serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb import modbus
from tests.acquisition.test_following import online
from tests.commands.test_verify import KINDS, owner
from tests.conftest import Mosquitto, heard, until
from tests.inverter.senders import LIMITS, current
from tests.mqtt.test_client import Listener, listening
from tests.programs import program

WRITES = {"level": "protections", "unlocked_at_start": True}


class House:
    """The app, what Home Assistant hears of it, and its hand on the broker."""

    def __init__(self, app: App, heard: Listener, hand: aiomqtt.Client, folder: Path) -> None:
        self.app, self.heard, self._hand, self.folder = app, heard, hand, folder

    async def wants(self, key: str, payload: str, address: int = 1) -> None:
        await self._hand.publish(f"jkbms/a/{address}/{key}/set", payload, qos=1)

    async def locks(self) -> None:
        await self._hand.publish("jkbms/bridge/writing/set", "OFF", qos=1)

    def outcomes(self, address: int = 1) -> list[dict[str, Any]]:
        """Events *Last write* of a battery."""
        topic = f"jkbms/a/{address}/last_write"
        return [json.loads(payload) for _, t, payload, _ in self.heard.messages if t == topic]


def bus(far: Any, **more: Any) -> dict[str, Any]:
    """The options of a bus named a."""
    if isinstance(far.port, str):
        return {"name": "a", "strategy": "master", "port": far.port, "addresses": "1-3", **more}
    link = {"host": "127.0.0.1", "tcp_port": far.port}
    return {"name": "a", "strategy": "gateway", **link, "addresses": "1-3", **more}


@asynccontextmanager
async def house(far: Any, broker: Mosquitto, folder: Path, **options: Any) -> AsyncIterator[House]:
    mqtt = {"host": "127.0.0.1", "port": broker.port}
    raw = {"buses": [bus(far)], "mqtt": mqtt, "writes": WRITES, **options}
    async with listening(broker.port) as heard, aiomqtt.Client("127.0.0.1", broker.port) as hand:
        app = App(parse(raw), folder)
        task = asyncio.create_task(app.run())
        try:
            there = set(far.batteries)
            await until(lambda: online(app) == there and heard.last("jkbms/bridge/state") == "online", 20)
            await until(lambda: all(s.parts.keys() >= {"settings", "about"} for s in app.store), 20)
            yield House(app, heard, hand, folder)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


# --- nobody else suffers -----------------------------------------------------------------------------------
@KINDS
async def test_five_commands_to_a_battery_that_fell_silent_cost_the_others_nothing(
    kind: str, broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batteries = [SimulatedBms(n, serial_number=f"S{n}", current=-10.0, soc=60.0, errors=0) for n in (1, 2, 3)]
    async with AsyncExitStack() as stack:
        far = await stack.enter_async_context((serial_bus if kind == "serial" else tcp_bus)(batteries))
        out = await stack.enter_async_context(slcan_adapter(500000))
        inverter = {"protocol": "pylontech", "channel": out.port, "confirmed": True}
        one = await stack.enter_async_context(house(far, broker, tmp_path, inverter=inverter))
        await until(lambda: one.app.inverter.control.state.packs_online == 3, 30)
        await until(lambda: any(current(f, 4) > 0 for _, f in out.transmitted if f.can_id == LIMITS), 30)
        began = time.monotonic()
        batteries[2].silent = True
        for n in range(5):
            await one.wants("max_charge_current", str(50 + n), 3)
        await until(lambda: len(one.outcomes(3)) == 5, 30)
        took = time.monotonic() - began
        await asyncio.sleep(14 - min(took, 14))
        ended = time.monotonic()
        told = [o["outcome"] for o in one.outcomes(3)]
        seen = {
            n: [began, *(at for at, t, _, _ in one.heard.messages if t == f"jkbms/a/{n}/state" and began < at), ended]
            for n in (1, 2)
        }
        worst = max(later - earlier for times in seen.values() for earlier, later in pairwise(times))
        lost = [t for at, t, payload, _ in one.heard.messages if at > began and payload == "offline" and "/3/" not in t]
        discharge = [current(f, 4) for at, f in out.transmitted if f.can_id == LIMITS and at > began]
    with capsys.disabled():
        print(f"\n{kind}: 5 commands took {took:.1f} s; the others were at most {worst:.1f} s old")
    assert set(told) <= {"refused", "failed"}
    assert batteries[2].writes == []
    assert lost == []
    assert worst < 6
    assert len(discharge) > 5
    assert min(discharge) > 0


async def test_a_change_delays_another_battery_by_no_more_than_a_round(broker: Mosquitto, tmp_path: Path) -> None:
    batteries = [SimulatedBms(n, serial_number=f"S{n}") for n in (1, 2)]
    async with serial_bus(batteries) as far, house(far, broker, tmp_path) as one:
        for n in range(8):
            await one.wants("max_charge_current", str(50 + n))
        await until(lambda: len(one.outcomes()) == 8, 30)
        times = [at for at, address, register in far.requests if (address, register) == (2, modbus.LIVE)]
        assert one.outcomes()[0]["outcome"] == "applied"
        assert max(later - earlier for earlier, later in pairwise(times)) < 2 * 2.0 + 0.5


# --- what waits is not carried out later ---------------------------------------------------------------------
async def test_locked_while_25_wait_none_goes_out_after_the_one_in_flight(broker: Mosquitto, tmp_path: Path) -> None:
    bms = SimulatedBms(1, serial_number="S1")
    async with serial_bus([bms]) as far, house(far, broker, tmp_path) as one:
        for n in range(26):
            await one.wants("max_charge_current", str(50 + n))
        await until(lambda: bms.writes, 10)
        await one.locks()
        await until(lambda: not one.app.commands.unlocked)
        written = len(bms.writes)
        await until(lambda: len(one.outcomes()) == 26, 10)
        await heard(one.app.buses["a"])
        assert len(bms.writes) == written
        locked = [o for o in one.outcomes() if "locked" in o["reason"]]
        assert len(locked) == 26 - written
        assert len({o["to"] for o in one.outcomes()}) == 26  # each is told
        assert bms.settings["discharging_switch"] is True


async def test_what_has_become_too_old_is_told_and_never_carried_out(broker: Mosquitto, tmp_path: Path) -> None:
    bms = SimulatedBms(1, serial_number="S1", reaction="dead")  # every try takes its time
    async with serial_bus([bms]) as far, house(far, broker, tmp_path) as one:
        for n in range(20):
            await one.wants("max_charge_current", str(50 + n))
        await one.wants("discharging_switch", "OFF")
        took = await until(lambda: any(o["key"] == "discharging_switch" for o in one.outcomes()), 20)
        bms.reaction = "take"
        assert 9 < took < 16
        (outcome,) = [o for o in one.outcomes() if o["key"] == "discharging_switch"]
        assert outcome["outcome"] == "refused"
        assert outcome["reason"].startswith("expired")
        await heard(one.app.buses["a"])
        assert len(one.outcomes()) == 21
        assert bms.settings["discharging_switch"] is True
        assert one.app.commands.waiting("a") == 0


async def test_a_lost_link_empties_the_queue(broker: Mosquitto, tmp_path: Path) -> None:
    bms = SimulatedBms(1, serial_number="S1", reaction="dead")
    async with tcp_bus([bms]) as far, house(far, broker, tmp_path) as one:
        for n in range(6):
            await one.wants("max_charge_current", str(50 + n))
        await until(lambda: bms.writes or (len(far.requests) and one.app.commands.waiting("a") == 5), 10)
        await far.stop()
        await until(lambda: len(one.outcomes()) == 6, 8)
        lost = [o for o in one.outcomes() if "the link was lost before its turn came" in o["reason"]]
        assert len(lost) >= 4
        await one.wants("max_charge_current", "77")
        await until(lambda: len(one.outcomes()) == 7, 5)
        assert "is lost" in one.outcomes()[-1]["reason"]
        bms.reaction = "take"
        await far.start()
        await until(lambda: one.app.buses["a"].connected, 15)
        await heard(one.app.buses["a"])
        assert bms.writes == []
        assert bms.settings["max_charge_current"] == 100.0


# --- what was begun is known -----------------------------------------------------------------------------------
@dataclass
class Held(SimulatedBms):
    """Stops answering as soon as it was written to, until it is let go."""

    taking: bool = True
    held: bool = field(default=True)

    def take(self, message: modbus.Message) -> int:
        if self.held:
            self.silent = True
        if not self.taking:
            self.writes.append(message.data)
            return 0
        return SimulatedBms.take(self, message)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("taking", [True, False])
async def test_ended_between_write_and_read_back(
    number: signal.Signals, taking: bool, broker: Mosquitto, tmp_path: Path
) -> None:
    bms = Held(1, serial_number="S1", taking=taking)
    async with serial_bus([bms]) as far, AsyncExitStack() as stack:
        heard = await stack.enter_async_context(listening(broker.port))
        hand = await stack.enter_async_context(aiomqtt.Client("127.0.0.1", broker.port))
        mqtt = {"host": "127.0.0.1", "port": broker.port}
        file = tmp_path / "options.json"
        file.write_text(json.dumps({"buses": [bus(far)], "mqtt": mqtt, "writes": WRITES}))

        log = stack.enter_context((tmp_path / "log").open("ab"))

        def running() -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
            return program("run", "--options", str(file), stderr=log, stdout=subprocess.DEVNULL)

        async with running() as process:
            await until(lambda: heard.last("jkbms/a/1/settings"), 20)
            await until(lambda: heard.last("jkbms/a/1/info") and heard.last("jkbms/a/1/availability") == "online", 20)
            await hand.publish("jkbms/a/1/max_charge_current/set", "80", qos=1)
            await until(lambda: bms.writes, 10)
            process.send_signal(number)
            await asyncio.wait_for(process.wait(), 6)
        (record,) = attempts(tmp_path)
        assert (record["outcome"], record["key"], record["from"], record["to"]) == (
            "begun",
            "max_charge_current",
            100.0,
            "80",
        )
        bms.held, bms.silent = False, False
        heard.messages.clear()
        async with running():
            await until(lambda: attempts(tmp_path)[0]["outcome"] != "begun", 20)
        (record,) = attempts(tmp_path)
        assert (record["outcome"], record["now"]) == (("applied", 80.0) if taking else ("failed", 100.0))
        assert "the program ended before it was verified" in record["reason"]
        assert "the outcome of the change to 80 is unknown" in (tmp_path / "log").read_text()
        events = [json.loads(p) for _, t, p, _ in heard.messages if t == "jkbms/a/1/last_write"]
        assert events[0]["outcome"] == "failed"
        assert "unknown" in events[0]["reason"]
        assert len(bms.writes) == 1


@pytest.mark.parametrize("trouble", ["full", "unwritable"])
async def test_what_cannot_be_recorded_is_not_done(
    trouble: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with owner("serial", tmp_path) as (me, far):
        file = tmp_path / "writes.jsonl"
        if trouble == "full":
            file.symlink_to("/dev/full")
        else:
            file.mkdir()  # as root, too, nobody can write there
        caplog.clear()
        outcome = await me.sets("charging_switch", "OFF")
        assert outcome.result == "refused"
        assert "cannot be recorded" in outcome.reason
        await heard(me.app.buses["a"], 2)
        lines = [r.getMessage() for r in caplog.records if "MQTT" not in r.getMessage() and r.levelname == "WARNING"]
        assert len(lines) == 1, lines
        assert far.batteries[1].writes == []
        (file.unlink if trouble == "full" else file.rmdir)()
        assert (await me.sets("charging_switch", "OFF")).result == "applied"


async def test_the_audit_is_on_disk_before_the_first_byte_goes_out(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Looking(SimulatedBms):
        def take(self, message: modbus.Message) -> int:
            seen.extend(attempts(tmp_path))
            return SimulatedBms.take(self, message)

    async with owner("serial", tmp_path, [Looking(1)]) as (me, _far):
        assert (await me.sets("max_charge_current", "80")).result == "applied"
        (record,) = seen
        assert (record["outcome"], record["from"], record["to"]) == ("begun", 100.0, "80")
        await until(lambda: attempts(tmp_path)[0]["outcome"] == "applied", 3)


# --- floods and foreign texts ---------------------------------------------------------------------------------
async def test_a_flood_pushes_nothing_out_and_long_texts_stay_short(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bms = SimulatedBms(1, serial_number="S1")
    async with serial_bus([bms]) as far, house(far, broker, tmp_path) as one:
        await one.wants("max_charge_current", "80")
        await until(one.outcomes, 10)
        await one.wants("k" * 60_000, "1")
        await one.wants("max_charge_current", "9" * 60_000)
        await until(lambda: len(one.outcomes()) == 3, 10)
        for n in range(3000):
            await one.wants("cell_count", str(n))
        await until(lambda: one.app.commands.outcomes.last >= 1000, 30)
        await one.wants("max_charge_current", "70")
        await until(lambda: any(o["to"] == "70" and o["outcome"] == "applied" for o in one.outcomes()), 20)
    kept = attempts(tmp_path)
    assert [r["to"] for r in kept if r["outcome"] == "applied"] == ["80", "70"]
    assert max(len(line) for line in (tmp_path / "writes.jsonl").read_text().splitlines()) < 1000
    assert (tmp_path / "writes.jsonl").stat().st_size < 100_000
    assert max(map(len, caplog.messages)) < 1000
    assert len([m for m in caplog.messages if "cell_count" in m]) < 300


@pytest.mark.parametrize(
    "payload",
    [
        "50" + " " * 63,
        "0" * 62 + "80.",
        "80" + "." + "0" * 62,
        "\u0668\u0660",
        "\uff18\uff10",
        "8_0",
        "nan",
        "inf",
        "1e999",
        "0x50",
        "80\u00a0",
        "80,0",
        "",
    ],
)
async def test_what_is_no_value_is_refused_and_never_cut(payload: str, tmp_path: Path) -> None:
    async with owner("serial", tmp_path, [SimulatedBms(1)]) as (me, far):
        me.app.command("jkbms/a/1/max_charge_current/set", payload, False)
        assert me.outcomes[-1].result == "refused"
        await heard(me.app.buses["a"], 2)
        assert far.batteries[1].writes == []


@pytest.mark.parametrize("place", ["\u0661", "01", "+1", " 1", "1" * 5000, "256", "-1", "1.0"])
async def test_what_is_no_address_is_nobody(place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = App(
        parse({"buses": [{"name": "a", "strategy": "master", "port": "/dev/nowhere"}], "writes": WRITES}), tmp_path
    )
    app.command(f"jkbms/a/{place}/max_charge_current/set", "80", False)
    assert "nothing here takes commands" in caplog.text
    assert max(map(len, caplog.messages)) < 200
    assert app.commands.waiting("a") == 0


# --- the battery that is meant -------------------------------------------------------------------------------
@pytest.mark.parametrize("cells", [16, 8])
async def test_a_battery_that_was_replaced_is_not_written_to(cells: int, tmp_path: Path) -> None:
    async with owner("serial", tmp_path, [SimulatedBms(1, serial_number="OLD")]) as (me, far):
        other = SimulatedBms(1, serial_number="NEW" if cells == 16 else "OLD", cells=cells)
        me.app.command("jkbms/a/1/max_charge_current/set", "80", False)
        far.batteries[1] = other
        await until(lambda: me.outcomes, 10)
        assert me.outcomes[0].result == "refused"
        word = "serial number NEW instead of OLD" if cells == 16 else "cell count 8 instead of 16"
        assert me.outcomes[0].reason == f"this is another battery: {word}"
        assert other.writes == []
        if cells == 16:  # who it is now is shown, and it can be meant from now on
            assert me.shown("serial_number") == "NEW"
            assert (await me.sets("max_charge_current", "80")).result == "applied"


async def test_two_units_at_one_address_are_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second, reply = SimulatedBms(1, serial_number="TWO"), SerialBus._reply

    async def both(self: SerialBus, address: int, register: int) -> bool:
        answered = await reply(self, address, register)
        if address == 1 and second.silent is False:
            await self.say(second.page(register) + modbus.acknowledgement(address, register))
        return answered

    second.silent = True
    monkeypatch.setattr(SerialBus, "_reply", both)
    async with owner("serial", tmp_path, [SimulatedBms(1, serial_number="ONE")]) as (me, far):
        second.silent = False
        outcome = await me.sets("max_charge_current", "80")
        assert outcome.result == "refused"
        assert outcome.reason.startswith("two units answer at address 1")
        assert far.batteries[1].writes == second.writes == []


# --- ranges --------------------------------------------------------------------------------------------------
async def test_a_held_20_v_lets_no_15_v_be_written(tmp_path: Path) -> None:
    bms = SimulatedBms(1, settings={"cell_voltage_overvoltage_protection": 20.0})
    async with owner("serial", tmp_path, [bms]) as (me, _far):
        outcome = await me.sets("cell_voltage_overvoltage_protection", "15")
        assert outcome.result == "refused"
        assert "15.0 is not within 2.5 to 3.65 V" in outcome.reason
        assert (await me.sets("cell_voltage_overvoltage_protection", "20")).result == "unchanged"
        assert bms.writes == []
        assert (await me.sets("cell_voltage_overvoltage_protection", "3.6")).result == "applied"


LTO = {
    "smart_sleep_voltage": 2.3,
    "cell_voltage_undervoltage_protection": 1.9,
    "cell_voltage_undervoltage_recovery": 2.0,
    "cell_voltage_overvoltage_protection": 2.7,
    "cell_voltage_overvoltage_recovery": 2.35,
    "cell_soc100_voltage": 2.38,
    "cell_soc0_voltage": 2.0,
    "cell_request_charge_voltage": 2.39,
    "cell_request_float_voltage": 2.35,
    "power_off_voltage": 1.8,
    "balancing_start_voltage": 2.3,
}


class LtoBms(SimulatedBms):
    """Six cells of LTO at 2.38 V, whose byte says LFP, as a real pack does."""

    def cell_voltages(self, _share: float, _current: float) -> list[float]:
        return [2.38] * self.cells


async def test_an_lto_pack_that_calls_itself_lfp_is_not_set_to_lfp_voltages(tmp_path: Path) -> None:
    bms = LtoBms(1, cells=6, soc=100.0, errors=0, settings=dict(LTO))
    async with owner("serial", tmp_path, [bms]) as (me, _far):
        assert me.shown("battery_type") == "LFP"
        outcome = await me.sets("cell_voltage_overvoltage_protection", "3.6")
        assert outcome.result == "refused"
        assert "3.6 is not within 1.6 to 2.85 V" in outcome.reason
        assert bms.writes == []
        assert (await me.sets("cell_voltage_overvoltage_protection", "2.4")).result == "applied"
        assert bms.settings["cell_voltage_overvoltage_protection"] == 2.4


# --- neighbours in a shared register ---------------------------------------------------------------------------
class Meddled(SimulatedBms):
    """Somebody else, such as the vendor's app, changes another switch at the worst moment."""

    def meddle(self, moment: str) -> None:
        self.moment = moment

    moment = ""

    def page(self, register: int) -> bytes:
        told = SimulatedBms.page(self, register)
        if register == modbus.SETTINGS and self.moment == "before":
            self.moment = ""
            self.settings["display_always_on_switch"] = True  # right after the page was read
        return told

    def take(self, message: modbus.Message) -> int:
        code = SimulatedBms.take(self, message)
        if self.moment == "after":
            self.moment = ""
            self.settings.update(display_always_on_switch=True, heating_switch=False)  # an old word written over ours
        return code


@pytest.mark.parametrize(("moment", "writes"), [("before", 1), ("after", 2)])
async def test_a_neighbour_that_changed_meanwhile_is_told_and_kept(moment: str, writes: int, tmp_path: Path) -> None:
    bms = Meddled(1)
    async with owner("serial", tmp_path, [bms]) as (me, _far):
        bms.meddle(moment)
        outcome = await me.sets("heating_switch", "ON")
        assert outcome.result == "applied"
        assert outcome.reason == "display_always_on_switch was changed by somebody else from off to on"
        assert (bms.settings["heating_switch"], bms.settings["display_always_on_switch"]) == (True, True)
        assert bms.settings["timed_stored_data_switch"] is True
        assert len(bms.writes) == writes
        assert me.shown("display_always_on_switch") is True
