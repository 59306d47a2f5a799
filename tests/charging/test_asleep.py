"""An empty battery that has switched itself off, over a restart of the program."""

import json
from typing import Any

import pytest

from jkbms_addon.charging.asleep import recalled, told
from jkbms_addon.charging.memory import Asleep, Memory
from jkbms_addon.charging.phases import Progress
from jkbms_addon.charging.setpoints import Setpoints
from tests.bank.packs import WALL, Bench, candidate, got, values, with_cell

DAY = 86400.0
EMPTY = with_cell(4, 2.85, current=-0.5, state_of_charge=3)
FINDING = ("empty and asleep: the batteries have switched themselves off; press Wake up",)


def asleep(told: Any = None, setpoints: Setpoints | None = None) -> Memory:
    """What is in the file after an empty battery has fallen silent."""
    bench = Bench(setpoints)
    bench.run(candidate(told=EMPTY if told is None else told), seconds=30)
    bench.step()
    return Memory.model_validate_json(bench.controller.memory().model_dump_json())


def restarted(setpoints: Setpoints | None = None, memory: Memory | None = None, seconds: int = 70) -> Bench:
    """The program is started again, and nobody is heard."""
    bench = Bench(setpoints, memory=memory or asleep())
    bench.now += 3 * DAY
    for _ in range(seconds):
        bench.step()
    return bench


def test_it_is_told_that_it_sleeps_and_nothing_is_charged_by_itself() -> None:
    bench = restarted(seconds=0)
    for _ in range(60):
        assert bench.step() is None  # it may still be heard
    decision = bench.run(seconds=3600)
    assert (decision.charge_current, decision.discharge_current, decision.lost) == (0, 0, True)
    assert (decision.charge_enabled, decision.discharge_enabled) == (False, False)
    assert decision.facts.findings == FINDING
    assert decision.reasons["charge_current"] == "charge stopped: no battery is heard"


@pytest.mark.parametrize("seconds", [16, 70, 3000])
def test_waking_up_is_five_amperes_for_ten_minutes_and_once(seconds: int) -> None:
    bench = restarted(seconds=seconds)
    assert bench.controller.wake(bench.now) == ""
    awake = got(bench.step())
    assert (awake.charge_current, awake.charge_enabled, awake.discharge_current) == (5, True, 0)
    assert awake.charge_voltage == 53.6
    assert awake.reasons["charge_current"] == "charge limited to 5 A: waking up"
    assert bench.run(seconds=598).charge_current == 5
    assert bench.run(seconds=2000).charge_current == 0


def test_it_is_woken_after_a_second_restart_too() -> None:
    first = restarted()
    again = Memory.model_validate_json(first.controller.memory().model_dump_json())
    assert again.asleep == asleep().asleep
    bench = restarted(memory=again)
    assert bench.controller.wake(bench.now) == ""
    assert got(bench.step()).charge_current == 5


@pytest.mark.parametrize(
    ("setpoints", "voltage"),
    [
        (Setpoints(), 53.6),
        (Setpoints(charge_voltage=3.60, float_voltage=3.55), 53.6),  # what was so then holds, too
        (Setpoints(charge_voltage=3.32), 53.1),
        (Setpoints(float_voltage=3.30), 52.8),
        (Setpoints(voltage_offset=0.4), 53.6),
        (Setpoints(float_voltage=3.3497, voltage_offset=0.4), 53.5),  # 53.595 V, rounded down
        (Setpoints(voltage_offset=-0.4), 53.2),
    ],
)
def test_the_voltage_is_never_above_the_owners(setpoints: Setpoints, voltage: float) -> None:
    bench = restarted(setpoints)
    assert bench.controller.wake(bench.now) == ""
    assert got(bench.step()).charge_voltage == pytest.approx(voltage)


def test_the_owners_current_and_switch_hold() -> None:
    bench = restarted(Setpoints(max_charge_current=3))
    assert bench.controller.wake(bench.now) == ""
    assert got(bench.step()).charge_current == 3
    bench.controller.allow(Setpoints(max_charge_current=0))
    assert (got(bench.step()).charge_current, got(bench.decision).charge_enabled) == (0, False)
    bench.controller.allow(Setpoints(charging=False))
    assert got(bench.step()).charge_current == 0
    assert bench.controller.wake(bench.now) == "switch Charging is off"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"temperature_sensor_1": 4.9}, "its last temperature was below 5 °C"),
        ({"temperature_sensor_1": None, "temperature_sensor_2": None}, "its last temperature was unknown"),
    ],
)
def test_refused_where_it_was_cold_or_nobody_knows(changes: Any, why: str) -> None:
    bench = restarted(memory=asleep(EMPTY | changes))
    assert bench.controller.wake(bench.now) == why
    assert got(bench.step()).charge_current == 0


def test_refused_where_it_was_not_empty() -> None:
    bench = restarted(memory=asleep(with_cell(4, 3.25)))
    assert bench.step() is None
    assert bench.controller.wake(bench.now) == "no battery was ever heard"


def test_what_is_remembered_allows_nothing() -> None:
    known = asleep().asleep
    assert known
    decision = recalled(known, Setpoints(), Progress(phase="float", clock=7.0, learned=0.2), WALL)
    assert (decision.charge_current, decision.discharge_current) == (0, 0)
    assert (decision.charge_enabled, decision.discharge_enabled) == (False, False)
    assert (decision.charge_voltage, decision.discharge_voltage, decision.state_of_charge) == (53.6, 46.4, 3)
    assert (decision.phase, decision.lost, decision.recalled) == ("float", True, known)
    facts = decision.facts
    assert (facts.may_charge, facts.may_discharge, facts.trim, facts.asleep) == (0, 0, 0, True)
    assert (facts.absorbed, facts.learned, facts.charge_voltage, facts.float_voltage) == (7.0, 0.2, 3.45, 3.35)
    assert decision.reasons["discharge_voltage"] == "discharge down to 46.4 V: as last decided"


@pytest.mark.parametrize(("ago", "days"), [(None, None), (5 * DAY, 5.0), (-9 * DAY, 0.0)])
def test_its_last_full_charge_is_still_known(ago: float | None, days: float | None) -> None:
    bench = restarted(seconds=0)
    at = None if ago is None else bench.wall + 70 - ago
    memory = asleep().model_copy(update={"last_full": at})
    facts = got(restarted(memory=memory).decision).facts
    assert (facts.last_full, facts.days_since_full) == (at, days if days is None else pytest.approx(days))


def test_who_is_heard_after_a_sleep_is_loaded_slowly() -> None:
    bench = restarted(memory=asleep(with_cell(4, 2.93, current=0.0)))
    assert [got(bench.step(candidate())).discharge_current for _ in range(6)] == [20, 40, 60, 80, 90, 90]


def test_who_is_heard_is_no_longer_asleep() -> None:
    bench = restarted()
    bench.controller.wake(bench.now)
    bench.run(candidate(told=values(current=0.0)), seconds=100)
    assert bench.controller.memory().asleep is None
    assert got(bench.step()).charge_current == 0  # silent again, and not empty
    assert bench.controller.wake(bench.now) == "the battery was not empty when it was last heard"


def test_slow_to_be_heard_it_is_discharged_at_once() -> None:
    """Nearly empty when the program ended: nothing was told, so nothing has to rise."""
    bench = restarted(seconds=12, memory=asleep(with_cell(4, 2.93, current=0.0)))
    first = got(next(filter(None, (bench.step(candidate()) for _ in range(5)))))
    assert first.discharge_current == pytest.approx(90)


def test_where_silence_is_wanted_only_the_press_breaks_it() -> None:
    bench = restarted(Setpoints(stop_after=100), seconds=200)
    assert bench.decision is None
    assert bench.controller.wake(bench.now) == ""
    assert bench.run(seconds=599).charge_current == 5
    assert bench.step() is None


def test_what_is_remembered() -> None:
    kept = json.loads(asleep().model_dump_json())["asleep"]
    assert kept == {
        "at": WALL + 1030,
        "coldest": 25.0,
        "voltage": 52.35,
        "current": -0.5,
        "state_of_charge": 3.0,
        "state_of_health": 100.0,
        "capacity": 100.0,
        "packs": 1,
        "cells": 16,
        "chemistry": "LFP",
        "charge": 3.45,
        "floating": 3.35,
        "empty": 2.9,
        "least": 46.4,
    }


@pytest.mark.parametrize(
    ("at", "coldest", "text"),
    [
        (WALL - 3.2 * DAY, 12.4, "last heard 3.2 days ago at 12 °C"),
        (WALL, None, "last heard 0.0 days ago at an unknown temperature"),
        (WALL + DAY, 7.0, "last heard 0.0 days ago at 7 °C"),
    ],
)
def test_what_its_owner_is_told(at: float, coldest: float | None, text: str) -> None:
    known = asleep().asleep
    assert known
    assert told(Asleep.model_validate(known.model_dump() | {"at": at, "coldest": coldest}), WALL) == text
