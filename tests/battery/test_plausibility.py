from dataclasses import replace
from typing import Any

import pytest

from jkbms_addon.battery.plausibility import COARSE, CONTRADICTIONS, FIRST_GENERATION, JUMPS, Gate, contradiction
from jkbms_addon.battery.reading import Reading
from jkbms_addon.wire.pb.frames import Frame, decode
from jkbms_addon.wire.ttl import frames as legacy
from tests.conftest import captures

BASE = decode(
    Frame(2, bytes.fromhex(next(c["hex"] for c in captures("jk_pb") if c["id"] == "rs485-16s-discharging")), 0), 1
)


def changed(**values: Any) -> Reading:
    return replace(BASE, values={**BASE.values, **values})


BROKEN: dict[str, dict[str, Any]] = {
    "cells against total voltage": {"total_voltage": 53.0},
    "cell voltage": {"cell_voltage": (5.1,), "total_voltage": 5.1},
    "state of charge": {"state_of_charge": 101},
    "state of health": {"state_of_health": 255},
    "temperature": {"temperature_sensor_2": -200.0},
    "current": {"current": -2000.0},
    "balancing current": {"balancing_current": 32.0},
    "capacity": {"capacity_remaining": 300.0},
    "setting": {"cell_count": 1065353216},
}


@pytest.mark.parametrize("rule", CONTRADICTIONS, ids=lambda r: r.name)
def test_each_contradiction_is_rejected_by_its_own_rule(rule: Any) -> None:
    reading = changed(**BROKEN[rule.name])
    assert contradiction(BASE.values) is None
    assert contradiction(reading.values) == rule.name
    gate = Gate()
    assert [gate.admit(reading, 0), gate.admit(reading, 1)] == ["rejected", "rejected"]
    assert gate.reason == rule.name


def test_a_loose_sense_wire_is_told_by_the_bms_and_not_hidden_by_us() -> None:
    cells: Any = (0.0, *BASE.values["cell_voltage"][1:])  # type: ignore[index]
    assert contradiction({**BASE.values, "cell_voltage": cells}) == "cells against total voltage"
    alarm = ("balance_wire_resistance_too_large",)
    assert contradiction({**BASE.values, "cell_voltage": cells, "alarms": alarm}) is None


def test_unknown_values_contradict_nothing() -> None:
    assert contradiction(dict.fromkeys(BASE.values)) is None


def settled() -> Gate:
    gate = Gate()
    assert gate.admit(BASE, 0) == "held"
    assert gate.admit(BASE, 1) == "accepted"
    return gate


def test_a_battery_is_believed_from_its_second_consistent_frame_on() -> None:
    gate = Gate()
    assert gate.admit(BASE, 0) == "held"
    assert gate.admit(changed(state_of_charge=20), 1) == "held"  # does not bear the first one out
    assert gate.admit(changed(state_of_charge=20), 2) == "accepted"


@pytest.mark.parametrize("jump", JUMPS, ids=lambda j: j.key)
def test_each_jump_is_held_until_it_is_said_twice(jump: Any) -> None:
    gate = settled()
    before: Any = BASE.values[jump.key]
    step = (jump.at_once + jump.per_second) * 1.01 + 0.02
    step = max(1, round(step + 0.5)) if isinstance(before, int) else step
    there = changed(**{jump.key: before - step if before >= step else before + step})
    assert contradiction(there.values) is None
    assert gate.admit(there, 2) == "held"
    assert jump.key in gate.reason
    assert gate.admit(there, 3) == "accepted"


FIRST = legacy.readings(
    legacy.parse(
        bytes.fromhex(next(c["hex"] for c in captures("jk_ttl") if c["id"] == "resp-all-16s-11.262H-opendtu-1"))
    ),
    1,
)[0]


def first(**values: Any) -> Reading:
    return replace(FIRST, values={**FIRST.values, **values})


def told(*readings: Reading, seconds: float = 2.0) -> list[str]:
    """Verdicts on what a first-generation battery says at that pace."""
    gate = Gate(FIRST_GENERATION)
    assert [gate.admit(FIRST, -1), gate.admit(FIRST, 0)] == ["held", "accepted"]
    return [gate.admit(reading, seconds * n) for n, reading in enumerate(readings, 1)]


def number(key: str) -> Any:
    return FIRST.values[key]


STEPS = {
    "mosfet_temperature": 1,
    "temperature_sensor_1": -1,
    "temperature_sensor_2": 1,
    "state_of_charge": -1,
    "capacity_remaining": -3.14,
    "total_runtime": 60,
    "total_charging_cycle_capacity": 1,
    "current": 2.4,
}


@pytest.mark.parametrize("key", STEPS)
def test_the_coarse_steps_of_the_first_generation_are_no_jumps(key: str) -> None:
    assert told(first(**{key: number(key) + STEPS[key]})) == ["accepted"]


@pytest.mark.parametrize(
    ("key", "step"),
    [
        ("mosfet_temperature", 4),
        ("temperature_sensor_1", -2),
        ("temperature_sensor_2", 2),
        ("total_runtime", 256 * 60),
        ("total_charging_cycle_capacity", 256),
        ("charging_cycles", 1),
        ("current", 2.56),
        ("state_of_charge", 4),
    ],
)
def test_larger_steps_of_the_first_generation_are_said_twice(key: str, step: float) -> None:
    there = first(**{key: number(key) + step})
    gate = Gate(FIRST_GENERATION)
    assert [gate.admit(FIRST, -1), gate.admit(FIRST, 0)] == ["held", "accepted"]
    assert [gate.admit(there, 2), gate.reason] == ["held", key]
    assert gate.admit(there, 2.5) == "accepted"


def test_the_table_of_the_first_generation_leaves_that_of_the_pb_series_alone() -> None:
    assert len({jump.key for jump in FIRST_GENERATION}) == len(FIRST_GENERATION)
    assert {jump.key for jump in FIRST_GENERATION} == {jump.key for jump in JUMPS} | {"current"}
    assert all(jump.reason for jump in COARSE)
    assert settled().admit(changed(total_runtime=BASE.values["total_runtime"] + 60), 2) == "held"  # type: ignore[operator]


def test_a_single_damaged_frame_between_good_ones_costs_nothing_else() -> None:
    gate = settled()
    assert gate.admit(changed(state_of_charge=5), 2) == "held"
    assert gate.admit(BASE, 3) == "accepted"
    assert gate.admit(changed(state_of_charge=5), 4) == "held"


def test_one_cell_against_the_others_is_doubted_all_together_are_not() -> None:
    cells: Any = BASE.values["cell_voltage"]
    gate = settled()
    drop = tuple(cell - 0.05 for cell in cells)
    assert gate.admit(changed(cell_voltage=drop, total_voltage=sum(drop)), 2) == "held"  # 0.8 V at once
    together = tuple(cell - 0.01 for cell in cells)
    assert settled().admit(changed(cell_voltage=together, total_voltage=sum(together)), 2) == "accepted"
    alone = (cells[0] - 0.02, *cells[1:])
    gate = settled()
    assert gate.admit(changed(cell_voltage=alone, total_voltage=sum(alone)), 2) == "held"
    assert "cell_voltage" in gate.reason


def test_changed_states_are_held_once() -> None:
    gate = settled()
    there = replace(changed(charging=False), fingerprint=b"other")
    assert gate.admit(there, 2) == "held"
    assert gate.reason == "states"
    assert gate.admit(there, 2.2) == "accepted"


def test_doubts_that_a_battery_always_raises_are_its_habit() -> None:
    odd = replace(BASE, doubts=frozenset({"power"}))
    gate = settled()
    assert gate.admit(odd, 2) == "held"
    assert gate.admit(odd, 3) == "accepted"
    assert gate.admit(odd, 4) == "accepted"


def test_a_battery_that_moves_all_the_time_is_shown_all_the_same() -> None:
    gate = settled()
    verdicts = []
    for n in range(20):
        cells: Any = tuple(c + (-1) ** n * 0.06 for c in BASE.values["cell_voltage"])  # type: ignore[union-attr]
        verdicts.append(gate.admit(changed(cell_voltage=cells, total_voltage=sum(cells)), 2 + 2 * n))
    assert verdicts.count("held") <= 2


def test_a_load_that_switches_hides_no_battery() -> None:
    """Followed every five seconds, each frame is of another moment of the load, and so are its own statistics."""
    gate = settled()
    lags = ({"power"}, {"spread", "extremes"}, {"average", "second voltage"}, {"power", "average"}, {"spread"})
    verdicts = []
    for n in range(60):
        steps = (0.01 * (n % 3), -0.02 * (n % 2), 0.015 * (n % 5))
        first: Any = BASE.values["cell_voltage"]
        cells = tuple(cell - 0.01 * (n % 7) - steps[k % 3] for k, cell in enumerate(first))
        one = replace(changed(cell_voltage=cells, total_voltage=sum(cells)), doubts=frozenset(lags[n % len(lags)]))
        verdicts.append("+" if gate.admit(one, 5 * n + 5) == "accepted" else "-")
    assert "--" not in "".join(verdicts)  # or it would count as gone after three
    # what a load does not move is doubted as ever
    gate = settled()
    assert gate.admit(replace(BASE, doubts=frozenset({"power"})), 5) == "held"
    assert gate.admit(changed(state_of_charge=5), 10) == "held"


def test_settings_are_believed_when_they_are_said_twice() -> None:
    def told(volts: float) -> Reading:
        return Reading(1, "settings", {"cell_voltage_overvoltage_protection": volts})

    gate = Gate()
    said = [gate.admit(told(v), n) for n, v in enumerate((3.65, 3.65, 3.65, 3.45, 3.65, 3.5, 3.5))]
    assert said == ["held", "accepted", "accepted", "held", "accepted", "held", "accepted"]


def test_who_was_away_proves_itself_anew() -> None:
    gate = settled()
    gate.forget(1)
    assert gate.admit(BASE, 2) == "held"
    gate = settled()
    assert gate.admit(BASE, 1 + Gate.FORGET + 1) == "held"


def test_two_addresses_do_not_bear_each_other_out() -> None:
    gate = Gate()
    assert gate.admit(BASE, 0) == "held"
    assert gate.admit(replace(BASE, address=2), 1) == "held"
