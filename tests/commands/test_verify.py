"""Writes over a real pty and over TCP: the outcome shown is always what the BMS says."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.acquisition import master
from jkbms_addon.app import App
from jkbms_addon.battery.quantities import specs
from jkbms_addon.commands.command import Outcome
from jkbms_addon.commands.rules import RULES, allowed_range
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.far_end import FarEnd, serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.modbus import page_request
from jkbms_addon.wire.pb.registers import WRITABLE
from tests.acquisition.test_following import online
from tests.conftest import until


class Owner:
    """An app with writing unlocked, and the outcomes of what it was told."""

    def __init__(self, app: App, folder: Path) -> None:
        self.app, self.folder = app, folder
        self.outcomes: list[Outcome] = []
        done = app.commands.done

        def kept(outcome: Outcome, intent: str = "") -> None:
            self.outcomes.append(outcome)
            done(outcome, intent)

        app.commands.done = kept  # type: ignore[method-assign]

    async def sets(self, key: str, payload: str, address: int = 1, seconds: float = 12) -> Outcome:
        count = len(self.outcomes)
        self.app.command(f"jkbms/a/{address}/{key}/set", payload, False)
        await until(lambda: len(self.outcomes) > count, seconds)
        return self.outcomes[-1]

    def shown(self, key: str, address: int = 1) -> Any:
        snapshot = self.app.store.get(("a", address))
        assert snapshot is not None
        return snapshot.values(self.app.store.clock()).get(key)


@asynccontextmanager
async def owner(
    kind: str, folder: Path, batteries: list[SimulatedBms] | None = None, level: str = "protections", **far_end: Any
) -> AsyncIterator[tuple[Owner, FarEnd]]:
    batteries = batteries or [SimulatedBms(1), SimulatedBms(2)]
    opened = serial_bus(batteries, **far_end) if kind == "serial" else tcp_bus(batteries, **far_end)
    async with opened as far:
        link: dict[str, Any] = {"strategy": "master", "port": far.port}
        if kind == "tcp":
            link = {"strategy": "gateway", "host": "127.0.0.1", "tcp_port": far.port}
        bus = {"name": "a", "addresses": "1-2", "interval": 0.4, **link}
        writes = {"level": level, "unlocked_at_start": True}
        app = App(parse({"buses": [bus], "writes": writes, "mqtt": {"host": "127.0.0.1", "port": 9}}), folder)
        task = asyncio.create_task(app.run())
        try:
            await until(lambda: all(s.parts.keys() >= {"settings", "about"} for s in app.store) and online(app), 15)
            yield Owner(app, folder), far
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


KINDS = pytest.mark.parametrize("kind", ["serial", "tcp"])


@KINDS
async def test_a_number_a_switch_a_bit_and_a_pair_of_bytes(kind: str, tmp_path: Path) -> None:
    async with owner(kind, tmp_path) as (me, far):
        bms = far.batteries[1]
        for key, payload, value in (
            ("cell_voltage_overvoltage_recovery", "3.5", 3.5),
            ("charging_switch", "OFF", False),
            ("heating_switch", "ON", True),
            ("heating_start_temperature", "-5", -5),
            ("charge_undertemperature_protection", "-12.5", -12.5),
            ("cell_request_float_voltage_time", "2.5", 2.5),
        ):
            before = me.shown(key)
            outcome = await me.sets(key, payload)
            assert (outcome.result, outcome.before, outcome.after) == ("applied", before, value), outcome
            assert me.shown(key) == value
        assert bms.settings["heating_stop_temperature"] == 10
        assert bms.settings["timed_stored_data_switch"] is True  # its neighbours in the switch word stay
        assert bms.times == (1.0, 2.5)
        assert me.shown("charging_switch", 2) is True


@KINDS
@pytest.mark.parametrize(
    ("reaction", "result", "reason"),
    [
        ("refuse", "refused", "beyond this model's limit (exception 3)"),
        ("ignore", "not_taken", "acknowledged but did not take"),
        ("mute", "applied", "without acknowledgement"),
        ("late", "applied", "without acknowledgement"),
        ("dead", "failed", "did not acknowledge"),
    ],
)
async def test_what_a_bms_may_do(kind: str, reaction: str, result: str, reason: str, tmp_path: Path) -> None:
    async with owner(kind, tmp_path) as (me, far):
        bms = far.batteries[1]
        bms.reaction = reaction
        outcome = await me.sets("max_charge_current", "80")
        assert outcome.result == result
        if (kind, reaction) != ("tcp", "late"):  # more patience with gateways
            assert reason in outcome.reason
        assert outcome.after == me.shown("max_charge_current") == bms.settings["max_charge_current"]
        assert online(me.app) == {1, 2}
        bms.reaction = "take"
        assert (await me.sets("max_charge_current", "70")).result == "applied"


async def test_a_model_limit_is_said_so(tmp_path: Path) -> None:
    async with owner("serial", tmp_path) as (me, far):
        far.batteries[1].limits = {"max_discharge_current": 200.0}
        outcome = await me.sets("max_discharge_current", "250")
        assert (outcome.result, outcome.after) == ("refused", 150.0)
        assert "model's limit" in outcome.reason


async def test_a_rule_is_checked_against_a_fresh_read(tmp_path: Path) -> None:
    async with owner("serial", tmp_path) as (me, far):
        far.batteries[1].settings["cell_voltage_overvoltage_protection"] = 3.5  # changed in the vendor's app just now
        outcome = await me.sets("cell_request_charge_voltage", "3.55")
        assert outcome.result == "refused"
        assert "cell_voltage_overvoltage_protection, which is 3.5 V" in outcome.reason
        assert far.batteries[1].writes == []
        assert me.shown("cell_voltage_overvoltage_protection") == 3.5


async def test_an_equal_value_is_not_written(tmp_path: Path) -> None:
    async with owner("serial", tmp_path) as (me, far):
        assert (await me.sets("max_charge_current", "100")).result == "unchanged"
        assert far.batteries[1].writes == []


async def test_commands_at_once_are_carried_out_one_after_the_other(tmp_path: Path) -> None:
    async with owner("serial", tmp_path) as (me, far):
        for key, payload in (
            ("heating_switch", "ON"),
            ("smart_sleep_switch", "OFF"),
            ("display_always_on_switch", "ON"),
        ):
            me.app.command(f"jkbms/a/1/{key}/set", payload, False)
        me.app.command("jkbms/a/2/charging_switch/set", "OFF", False)
        await until(lambda: len(me.outcomes) == 4, 20)
        assert [o.result for o in me.outcomes] == ["applied"] * 4
        word = far.batteries[1].settings
        assert (word["heating_switch"], word["smart_sleep_switch"], word["display_always_on_switch"]) == (
            True,
            False,
            True,
        )


async def test_a_full_queue_is_answered_busy(tmp_path: Path) -> None:
    async with owner("serial", tmp_path) as (me, _far):
        for n in range(40):
            me.app.command("jkbms/a/1/max_charge_current/set", str(50 + n), False)
        busy = [o for o in me.outcomes if "busy" in o.reason]
        assert len(busy) == 8
        await until(lambda: len(me.outcomes) == 40, 20)
        assert online(me.app) == {1, 2}
        # those that would have waited longer than ten seconds are told, and not carried out
        done = [o for o in me.outcomes if o.result == "applied"]
        late = [o for o in me.outcomes if o.reason.startswith("expired")]
        assert len(done) + len(late) == 32
        assert len(done) >= 3
        assert me.shown("max_charge_current") == done[-1].after


async def test_unplugged_in_the_middle(tmp_path: Path) -> None:
    async with owner("tcp", tmp_path) as (me, far):
        far.batteries[1].reaction = "dead"
        me.app.command("jkbms/a/1/max_charge_current/set", "90", False)
        await until(lambda: not me.app.commands.waiting("a"))
        await asyncio.sleep(0.4)
        await far.stop()  # type: ignore[attr-defined]
        await until(lambda: len(me.outcomes) == 1)
        assert me.outcomes[0].result == "failed"
        far.batteries[1].reaction = "take"
        await far.start()  # type: ignore[attr-defined]
        await until(lambda: me.app.buses["a"].connected and online(me.app) >= {1}, 15)
        assert (await me.sets("max_charge_current", "90")).result == "applied"


async def test_a_master_appearing_stops_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master, "YIELD", 5.0)
    async with owner("serial", tmp_path) as (me, far):
        await far.say(page_request(9, 0x1620))
        await until(lambda: "another master" in me.app.buses["a"].problem)
        outcome = await me.sets("charging_switch", "OFF")
        assert (outcome.result, outcome.reason) == ("refused", "another master is on this bus")
        assert far.batteries[1].writes == []


@pytest.mark.parametrize(
    ("topic", "payload", "retained", "reason"),
    [
        ("jkbms/a/1/charging_switch/set", "OFF", True, "retained"),
        ("jkbms/a/9/charging_switch/set", "OFF", False, "silent"),
        ("jkbms/a/1/cell_count/set", "8", False, "cannot be changed"),
        ("jkbms/a/1/device_address/set", "3", False, "cannot be changed"),
        ("jkbms/a/1/max_charge_current/set", "nan", False, "not a number"),
        ("jkbms/a/1/max_charge_current/set", "100.05", False, "multiple of"),
        ("jkbms/a/1/cell_voltage_overvoltage_protection/set", "4.2", False, "not within"),
        ("jkbms/a/1/charging_switch/set", "maybe", False, "neither ON nor OFF"),
    ],
)
async def test_refused_at_once(topic: str, payload: str, retained: bool, reason: str, tmp_path: Path) -> None:
    async with owner("serial", tmp_path) as (me, far):
        me.app.command(topic, payload, retained)
        assert me.outcomes[-1].result == "refused"
        assert reason in me.outcomes[-1].reason
        assert far.batteries[1].writes == []
        kept = tmp_path / "writes.jsonl"
        await until(lambda: kept.exists() and kept.read_text().endswith("\n"))
        lines = [json.loads(line) for line in kept.read_text().splitlines()]
        assert lines[-1]["outcome"] == "refused"
        assert lines[-1]["source"] == f"mqtt {topic}"


@pytest.mark.parametrize(("level", "count"), [("off", 0), ("switches", 9), ("settings", 22)])
async def test_levels_decide_what_may_be_changed(level: str, count: int, tmp_path: Path) -> None:
    async with owner("serial", tmp_path, level=level) as (me, _far):
        values = me.app.store.get(("a", 1))
        assert values is not None
        controls = me.app.commands.controls(("a", 1), values.values(me.app.store.clock()))
        assert len(controls) >= count
        assert "power_off_voltage" not in controls
        me.app.command("jkbms/a/1/power_off_voltage/set", "2.6", False)
        assert me.outcomes[-1].result == "refused"


async def test_every_writable_setting_goes_to_its_place(tmp_path: Path) -> None:
    async with owner("serial", tmp_path, [SimulatedBms(1)]) as (me, far):
        bms = far.batteries[1]
        for key in WRITABLE:
            values = {**bms.settings, **bms.about(), "battery_type": "LFP"}
            present, limits = values[key], allowed_range(key, values)
            wanted: Any = not present if specs()[key].kind == "flag" else round(present + limits.step, 4)
            if specs()[key].kind != "flag" and wanted > limits.maximum:
                wanted = round(present - limits.step, 4)
            outcome = await me.sets(key, str(wanted).replace("True", "ON").replace("False", "OFF"))
            now = {**bms.settings, **bms.about()}
            if outcome.result == "applied":
                assert now[key] == pytest.approx(wanted)
            else:
                assert outcome.result == "refused", (key, outcome)
                assert now[key] == present
            assert now | {key: 0} == {name: values[name] for name in now} | {key: 0}  # nothing else has moved


async def test_random_commands_never_leave_a_broken_rule(tmp_path: Path) -> None:
    dice = random.Random(11)
    async with owner("serial", tmp_path, [SimulatedBms(1)], chunk=308) as (me, far):
        bms = far.batteries[1]
        bms.latency = 0.001
        keys = sorted({key for rule in RULES for key in (rule.lower, rule.upper)} & set(WRITABLE))
        for _ in range(25):
            key = dice.choice(keys)
            limits = allowed_range(key, {**bms.settings, "battery_type": "LFP"})
            number = round(dice.uniform(limits.minimum, limits.maximum) / limits.step) * limits.step
            outcome = await me.sets(key, str(round(number, 4)))
            assert outcome.result in ("applied", "refused", "unchanged"), outcome
            assert all(rule.holds(bms.settings) for rule in RULES)
            assert me.shown(key) == pytest.approx(bms.settings[key])
