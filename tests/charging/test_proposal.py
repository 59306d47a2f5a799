"""What the options of an inverter may be, by the packs' own settings."""

from typing import Any

import pytest

from jkbms_addon.bank.bank import BankState, BatteryBank
from jkbms_addon.battery.quantities import Value
from jkbms_addon.charging.proposal import HELD, NOBODY, packs, proposal
from jkbms_addon.charging.setpoints import Setpoints
from tests.bank.packs import candidate, running, values

EIGHT = (3.3,) * 8
OVERVOLTAGE, UNDERVOLTAGE = "cell_voltage_overvoltage_protection", "cell_voltage_undervoltage_protection"


def bank(*told: dict[str, Value]) -> BankState:
    return BatteryBank().step([candidate(n, one) for n, one in enumerate(told, 1)], 0.0)


def proposed(*told: dict[str, Value]) -> dict[str, float | None]:
    return {key: one.value for key, one in proposal(bank(*told)).items()}


def why(key: str, *told: dict[str, Value]) -> str:
    one = proposal(bank(*told))[key]
    assert one.value is None
    return one.why


def test_of_one_pack() -> None:
    assert {key: (one.value, one.why) for key, one in proposal(bank(values())).items()} == {
        "charge_voltage": (3.45, "requested voltage of pack 1"),
        "float_voltage": (3.35, "requested float voltage of pack 1"),
        "min_discharge_voltage": (2.9, "under-voltage protection of pack 1 and 0.10 V per cell"),
        "max_charge_current": (90, "over-current setting of pack 1, 100 A, times 0.9"),
        "max_discharge_current": (90, "over-current setting of pack 1, 100 A, times 0.9"),
    }


def test_of_several_the_most_worried_voltage_and_what_they_bear_together() -> None:
    careful = values(**{"cell_request_charge_voltage": 3.42, OVERVOLTAGE: 3.55, UNDERVOLTAGE: 3.0})
    weak = values(max_charge_current=50.0, max_discharge_current=30.0)
    found = proposed(values(), careful, weak)
    assert (found["charge_voltage"], found["min_discharge_voltage"]) == (3.42, 3.1)
    assert found["max_charge_current"] == 135  # the weakest has a third of all
    assert found["max_discharge_current"] == 85  # 207 A by the sum, but a third of it flows through the weak one


def test_a_small_pack_bounds_the_charge_by_its_share() -> None:
    small = values(full_charge_capacity=50.0, max_charge_current=100.0)
    assert proposed(values(), small)["max_charge_current"] == 135


@pytest.mark.parametrize(
    ("changes", "charge", "floating"),
    [
        ({"cell_request_charge_voltage": 3.6}, 3.55, 3.35),
        ({"cell_request_charge_voltage": 3.41, "cell_request_float_voltage": 3.4}, 3.41, 3.36),
        ({"cell_request_charge_voltage": None, "cell_request_float_voltage": None}, 3.45, 3.35),
        ({OVERVOLTAGE: 4.2, UNDERVOLTAGE: 2.9, "cell_request_charge_voltage": 4.15}, 4.1, 3.35),
        ({OVERVOLTAGE: 2.8, UNDERVOLTAGE: 1.8, "cell_request_charge_voltage": None, "cells": (2.3,) * 20}, 2.65, 2.6),
    ],
)
def test_voltages_by_cells_and_protections(changes: Any, charge: float, floating: float) -> None:
    found = proposed(values(**changes))
    assert (found["charge_voltage"], found["float_voltage"]) == (charge, floating)


def test_eight_cells_are_worked_as_sixteen() -> None:
    (pack,) = packs(bank(values(cells=EIGHT)))
    assert (pack.cells, pack.chemistry, pack.charge_voltage) == (8, "LFP", 3.45)
    assert proposed(values(cells=EIGHT)) == proposed(values())


# --- what is not known is left out, and says why ----------------------------------------------------------
def test_without_packs_nothing_is_proposed() -> None:
    assert {one.why for one in proposal(BankState()).values()} == {NOBODY}
    assert {one.value for one in proposal(BankState()).values()} == {None}
    assert packs(BankState()) == []


@pytest.mark.parametrize(
    ("key", "missing", "text"),
    [
        ("charge_voltage", OVERVOLTAGE, "the over-voltage protection of pack 2 is not known"),
        ("float_voltage", OVERVOLTAGE, "the over-voltage protection of pack 2 is not known"),
        ("min_discharge_voltage", UNDERVOLTAGE, "the under-voltage protection of pack 2 is not known"),
        ("max_charge_current", "max_charge_current", "the charge over-current setting of pack 2 is not known"),
        ("max_discharge_current", "max_discharge_current", "the discharge over-current setting of pack 2 is not known"),
    ],
)
def test_one_pack_that_does_not_tell_leaves_it_out(key: str, missing: str, text: str) -> None:
    told = [values(), {**values(), missing: None}]
    assert why(key, *told) == text
    assert proposed(values())[key] is not None
    (_, pack) = packs(bank(*told))
    attribute = {OVERVOLTAGE: "charge_voltage", "max_charge_current": "charge_current"}.get(missing)
    assert attribute is None or getattr(pack, attribute) is None


def test_packs_with_different_cells_have_no_voltage_in_common() -> None:
    ion = values(**{OVERVOLTAGE: 4.2, UNDERVOLTAGE: 2.9, "cell_request_charge_voltage": 4.1})
    assert why("charge_voltage", values(), ion) == "the packs have different cells: LFP and Li-ion"
    assert proposed(values(), ion)["max_charge_current"] == 180


def test_a_current_of_nothing_is_no_limit() -> None:
    assert why("max_charge_current", values(max_charge_current=0.0)) == "over-current setting of pack 1, 0 A"
    assert why("max_charge_current", values(max_charge_current=1.1)) == "over-current setting of pack 1, 1.1 A"
    assert proposed(values(max_charge_current=1.2))["max_charge_current"] == 1


def test_what_a_voltage_rests_on() -> None:
    def float_of(*told: dict[str, Value]) -> tuple[float | None, str]:
        one = proposal(bank(*told))["float_voltage"]
        return one.value, one.why

    request = "cell_request_float_voltage"
    assert float_of(values(), values(**{request: 3.3})) == (3.3, "requested float voltage of pack 2")
    assert float_of({**values(), request: None}) == (3.35, "usual for LFP")
    assert float_of(values(**{request: 3.45})) == (3.4, "a little below the charge voltage")


def test_currents_say_how_many_packs_bear_them() -> None:
    one = proposal(bank(values(), values()))["max_charge_current"]
    assert (one.value, one.why) == (180, "over-current setting of pack 1, 100 A, 2 packs together, times 0.9")


# --- never above what an option may be --------------------------------------------------------------------
def test_nothing_is_above_what_an_option_may_be() -> None:
    mighty = [values(max_charge_current=2500.0, max_discharge_current=2500.0) for _ in range(4)]
    found = proposed(*mighty)
    assert (found["max_charge_current"], found["max_discharge_current"]) == (3000, 3000)
    several: Any = found
    Setpoints(**several).check()


@pytest.mark.parametrize(
    ("owner", "key", "value", "why"),
    [
        ({"max_charge_current": 60}, "max_charge_current", 60, HELD),
        ({"max_charge_current": 500}, "max_charge_current", 90, "over-current setting of pack 1, 100 A, times 0.9"),
        ({"max_discharge_current": 0}, "max_discharge_current", 0, HELD),
        ({"charge_voltage": 3.42}, "charge_voltage", 3.42, HELD),
        ({"charge_voltage": 3.6}, "charge_voltage", 3.55, "over-voltage protection of pack 1 less 0.10 V per cell"),
        ({"float_voltage": 3.3}, "float_voltage", 3.3, HELD),
        ({"min_discharge_voltage": 48}, "min_discharge_voltage", 48, HELD),
        ({"min_discharge_voltage": 3.1}, "min_discharge_voltage", 3.1, HELD),
    ],
)
def test_never_beyond_what_stands_in_the_options(owner: Any, key: str, value: float, why: str) -> None:
    one = proposal(bank(values()), Setpoints(**owner))[key]
    assert (one.value, one.why) == (value, why)


def test_what_stands_in_the_options_needs_no_packs() -> None:
    found = proposal(BankState(), Setpoints(charge_voltage=3.4, max_charge_current=50))
    assert (found["charge_voltage"].value, found["max_charge_current"].value) == (3.4, 50)
    assert found["charge_voltage"].why == HELD
    assert found["float_voltage"].value is None


def test_what_is_proposed_is_what_the_control_allows_when_nothing_hinders() -> None:
    told = [values(), values(max_charge_current=60.0, full_charge_capacity=200.0)]
    found = proposal(bank(*told))
    free = running().run(*(candidate(n, one) for n, one in enumerate(told, 1)), seconds=600)
    assert found["max_charge_current"].value == int(free.charge_current)
    assert found["max_discharge_current"].value == int(free.discharge_current)
    voltage = found["charge_voltage"].value
    assert voltage is not None
    assert free.charge_voltage == pytest.approx(16 * voltage, abs=0.1)
