"""Between what a pack is worked: its settings, the owner, its chemistry."""

from dataclasses import astuple
from typing import Any

import pytest

from jkbms_addon.bank.bank import BatteryBank
from jkbms_addon.bank.candidate import View
from jkbms_addon.charging.cell_limits import CellLimits, CellLimitsOf, narrowest
from jkbms_addon.charging.chemistry import CHEMISTRIES
from jkbms_addon.charging.setpoints import Setpoints
from tests.bank.packs import candidate, values

UNSET = dict.fromkeys(
    (
        "cell_voltage_overvoltage_protection",
        "cell_voltage_undervoltage_protection",
        "cell_request_charge_voltage",
        "cell_request_float_voltage",
    )
)


def view(address: int = 3, **changes: Any) -> View:
    return BatteryBank().step([candidate(address, values(**changes))], 0.0).counted[0]


def limits(setpoints: Setpoints | None = None, **changes: Any) -> CellLimits:
    return CellLimitsOf(setpoints or Setpoints())(view(**changes))


@pytest.mark.parametrize(
    ("options", "changes", "charge", "why"),
    [
        ({}, {}, 3.45, "requested voltage of pack 3"),
        ({}, {"cell_request_charge_voltage": 3.5}, 3.5, "requested voltage of pack 3"),
        ({}, {"cell_request_charge_voltage": None}, 3.45, "usual for LFP"),
        ({}, {"cell_request_charge_voltage": 9.9}, 3.45, "usual for LFP"),
        ({"charge_voltage": 3.42}, {}, 3.42, "charge voltage of the owner"),
        ({"charge_voltage": 3.54}, {}, 3.54, "charge voltage of the owner"),
        ({"charge_voltage": 3.30}, {}, 3.40, "the least for LFP"),
        ({"charge_voltage": 3.40}, {}, 3.40, "charge voltage of the owner"),
        ({"charge_voltage": 3.55}, {}, 3.55, "charge voltage of the owner"),
        ({}, {"cell_request_charge_voltage": 1.49}, 3.45, "usual for LFP"),
        ({}, {"cell_request_charge_voltage": 1.5}, 3.40, "the least for LFP"),
        ({}, {"cell_request_charge_voltage": 4.51}, 3.45, "usual for LFP"),
        ({}, {"cell_request_charge_voltage": 4.5}, 3.55, "over-voltage protection of pack 3 less 0.10 V per cell"),
        ({"charge_voltage": 3.60}, {}, 3.55, "over-voltage protection of pack 3 less 0.10 V per cell"),
        ({"charge_voltage": 3.60}, UNSET, 3.51, "over-voltage protection of pack 3 less 0.10 V per cell"),
        (
            {},
            {"cell_voltage_overvoltage_protection": 3.45},
            3.35,
            "over-voltage protection of pack 3 less 0.10 V per cell",
        ),
    ],
)
def test_charge_voltage_and_what_it_rests_on(options: Any, changes: Any, charge: float, why: str) -> None:
    found = limits(Setpoints(**options), **changes)
    assert found.charge == pytest.approx(charge)
    assert found.why == why
    assert found.stop > found.charge


@pytest.mark.parametrize(
    ("options", "changes", "floating"),
    [
        ({}, {}, 3.35),
        ({}, {"cell_request_float_voltage": 3.38}, 3.38),
        ({}, {"cell_request_float_voltage": None}, 3.35),
        ({"float_voltage": 3.30}, {}, 3.30),
        ({}, {"cell_request_float_voltage": 1.49}, 3.35),
        ({}, {"cell_request_float_voltage": 1.5}, 1.5),
        ({}, {"cell_request_float_voltage": 4.5}, 3.40),
        ({}, {"cell_request_float_voltage": 4.51}, 3.35),
        ({"float_voltage": 3.44}, {"cell_request_charge_voltage": 3.45}, 3.40),
    ],
)
def test_float_voltage(options: Any, changes: Any, floating: float) -> None:
    assert limits(Setpoints(**options), **changes).floating == pytest.approx(floating)


@pytest.mark.parametrize(
    ("options", "changes", "balance"),
    [
        ({}, {}, 3.45),
        ({"balance_voltage": 3.53}, {}, 3.53),
        ({"balance_voltage": 3.60}, {}, 3.55),
        ({"balance_voltage": 3.40}, {}, 3.45),
        ({"balance_voltage": 3.60}, UNSET, 3.51),
    ],
)
def test_balance_voltage(options: Any, changes: Any, balance: float) -> None:
    assert limits(Setpoints(**options), **changes).balance == pytest.approx(balance)


@pytest.mark.parametrize(
    ("options", "changes", "empty", "least", "tapering"),
    [
        ({}, {}, 2.9, None, 3.0),
        ({}, {"cell_voltage_undervoltage_protection": 2.5}, 2.6, None, 3.0),
        ({}, {"cell_voltage_undervoltage_protection": 2.85}, 2.95, None, 3.05),
        ({}, UNSET, 2.9, None, 3.0),
        ({"min_discharge_voltage": 3.1}, {}, 3.1, None, 3.2),
        ({"min_discharge_voltage": 2.0}, {}, 2.9, None, 3.0),
        ({"min_discharge_voltage": 48.0}, {}, 2.9, 3.0, 3.0),
        ({"min_discharge_voltage": 5.0}, {}, 5.0, None, 5.1),
        ({"min_discharge_voltage": 5.05}, {}, 2.9, 5.05 / 16, 3.0),
        ({"chemistry": "LFP"}, {"cell_voltage_undervoltage_protection": 0.99}, 2.9, None, 3.0),
        ({"chemistry": "LFP"}, {"cell_voltage_undervoltage_protection": 1.0}, 1.1, None, 3.0),
        ({"chemistry": "LFP"}, {"cell_voltage_undervoltage_protection": 4.0}, 4.1, None, 4.2),
        ({"chemistry": "LFP"}, {"cell_voltage_undervoltage_protection": 4.01}, 2.9, None, 3.0),
        ({"empty_voltage": 3.05}, {}, 3.05, None, 3.15),
    ],
)
def test_empty(options: Any, changes: Any, empty: float, least: float | None, tapering: float) -> None:
    found = limits(Setpoints(**options), **changes)
    assert [found.empty, found.tapering] == pytest.approx([empty, tapering])
    assert found.least == least


def test_stop() -> None:
    assert limits().stop == 3.59
    assert limits(**UNSET).stop == 3.55


def test_protections_of_the_whole_battery_count_too() -> None:
    found = limits(**UNSET, total_voltage_overvoltage_protection=56.0, total_voltage_undervoltage_protection=44.8)
    assert (found.stop, found.empty) == (3.44, 2.9)
    narrower = limits(total_voltage_overvoltage_protection=56.0, total_voltage_undervoltage_protection=48.0)
    assert (narrower.stop, narrower.empty) == (3.44, 3.1)


@pytest.mark.parametrize(
    ("changes", "cold", "hot", "discharge_cold", "discharge_hot", "mosfet"),
    [
        ({}, 0, 55, -20, 60, 90),
        ({"charge_undertemperature_protection": 4.0}, 4, 55, -20, 60, 90),
        ({"charge_undertemperature_protection": -51.0}, 0, 55, -20, 60, 90),
        ({"charge_undertemperature_protection": 30.0}, 30, 55, -20, 60, 90),
        ({"charge_undertemperature_protection": 30.3}, 0, 55, -20, 60, 90),
        ({"charge_overtemperature_protection": 50.0}, 0, 50, -20, 60, 90),
        ({"charge_overtemperature_protection": 30.0}, 0, 30, -20, 60, 90),
        ({"charge_overtemperature_protection": 29.7}, 0, 55, -20, 60, 90),
        ({"mosfet_overtemperature_protection": 40.0}, 0, 55, -20, 60, 40),
        ({"charge_overtemperature_protection": 29.0}, 0, 55, -20, 60, 90),
        ({"discharging_low_temperature_protection": -10.0}, 0, 55, -10, 60, 90),
        ({"discharge_overtemperature_protection": 55.0}, 0, 55, -20, 55, 90),
        ({"temperature_sensor_temperature_protection": 52.0}, 0, 52, -20, 52, 90),
        ({"mosfet_overtemperature_protection": 85.0}, 0, 55, -20, 60, 85),
        ({"mosfet_overtemperature_protection": 39.0}, 0, 55, -20, 60, 90),
        ({"mosfet_overtemperature_protection": 121.0}, 0, 55, -20, 60, 90),
    ],
)
def test_temperatures(
    changes: Any, cold: float, hot: float, discharge_cold: float, discharge_hot: float, mosfet: float
) -> None:
    found = limits(**changes)
    assert (found.cold, found.hot) == (cold, hot)
    assert (found.discharge_cold, found.discharge_hot, found.mosfet) == (discharge_cold, discharge_hot, mosfet)


@pytest.mark.parametrize(
    ("option", "changes", "name"),
    [
        ("LTO", {}, "LTO"),
        (None, {"cell_voltage_overvoltage_protection": 3.85, "battery_type": "Li-ion"}, "LFP"),
        (None, {"cell_voltage_overvoltage_protection": 4.2, "battery_type": "LFP"}, "Li-ion"),
        (None, {"cell_voltage_overvoltage_protection": 2.7, "battery_type": "LFP", "cell": 2.38}, "LTO"),
        (None, {**UNSET, "battery_type": "Li-ion"}, "Li-ion"),
        (None, {**UNSET, "cell_voltage_undervoltage_protection": 1.8, "battery_type": "LFP"}, "LTO"),
        (None, UNSET, "LFP"),
    ],
)
def test_chemistry_by_the_strongest_evidence(option: str | None, changes: Any, name: str) -> None:
    assert limits(Setpoints(chemistry=option), **changes).chemistry.name == name


def test_a_real_lto_pack_that_calls_itself_lfp_is_not_empty() -> None:
    """6 cells at 2.38 V, set to 2.7 and 1.9 V."""
    found = limits(
        cells=(2.38,) * 6,
        battery_type="LFP",
        cell_voltage_overvoltage_protection=2.7,
        cell_voltage_undervoltage_protection=1.9,
        cell_request_charge_voltage=2.6,
        cell_request_float_voltage=2.5,
    )
    assert (found.charge, found.floating, found.stop, found.empty) == (2.6, 2.5, 2.64, 2.0)


@pytest.mark.parametrize(
    ("options", "changes", "name", "charge"),
    [
        ({"charge_voltage": 2.65}, {}, "LTO", 2.65),
        ({"charge_voltage": 2.0}, {}, "LTO", 2.50),
        ({"charge_voltage": 1.99}, {}, "LFP", 3.40),
        ({"charge_voltage": 2.99}, {}, "LTO", 2.66),
        ({"charge_voltage": 3.0}, {}, "LFP", 3.40),
        ({"charge_voltage": 4.1}, {}, "LFP", 3.51),
        ({}, {"cell_request_charge_voltage": 2.6}, "LTO", 2.6),
        ({}, {"cell_request_charge_voltage": 2.6, "battery_type": "LFP"}, "LTO", 2.6),
        ({"charge_voltage": 2.65, "chemistry": "LFP"}, {}, "LFP", 3.40),
        ({"charge_voltage": 2.65}, {"cell_voltage_overvoltage_protection": 3.65}, "LFP", 3.40),
        ({"charge_voltage": 2.65}, {"cell_voltage_undervoltage_protection": 2.8}, "LFP", 3.40),
    ],
)
def test_who_wants_the_voltage_of_lto_has_lto(options: Any, changes: Any, name: str, charge: float) -> None:
    """Where no protection is told, as on CAN: that of LFP would be far above what is wanted."""
    found = limits(Setpoints(**options), **(UNSET | changes))
    assert found.chemistry.name == name
    assert found.charge == pytest.approx(charge)


@pytest.mark.parametrize("chemistry", CHEMISTRIES.values(), ids=lambda one: one.name)
def test_every_chemistry_is_in_order(chemistry: Any) -> None:
    rising = (
        chemistry.empty,
        chemistry.tapering,
        chemistry.sunk,
        chemistry.rested,
        chemistry.rebulk,
        chemistry.floating,
        chemistry.charge,
    )
    assert list(rising) == sorted(rising)
    assert chemistry.tapering <= chemistry.sinking < chemistry.sunk
    assert chemistry.empty < chemistry.hungry < chemistry.rested
    assert chemistry.least_charge <= chemistry.charge <= chemistry.most_charge < chemistry.stop


def test_the_numbers_of_every_chemistry() -> None:
    """Voltages in the order of the table, then temperatures; those of LFP are the specification's."""
    numbers = {name: astuple(one)[1:] for name, one in CHEMISTRIES.items()}
    assert numbers == {
        "LFP": (
            *(3.45, 3.40, 3.51, 3.55, 3.35, 3.30, 2.90, 3.00, 3.05, 3.20, 3.10, 3.00),
            *(0, 55, -20, 60),
        ),
        "Li-ion": (
            *(4.10, 3.80, 4.10, 4.14, 4.00, 3.90, 3.10, 3.25, 3.40, 3.60, 3.45, 3.30),
            *(0, 45, -20, 60),
        ),
        "LTO": (
            *(2.65, 2.50, 2.66, 2.72, 2.50, 2.40, 1.80, 1.90, 2.00, 2.15, 2.05, 1.95),
            *(-30, 55, -30, 60),
        ),
    }


def test_the_narrowest_of_all_packs_counts_and_is_named() -> None:
    one = CellLimitsOf(Setpoints(balance_voltage=3.5))
    for address, wish in ((1, 3.45), (2, 3.42), (3, 3.44)):
        one(view(address, cell_request_charge_voltage=wish, cell_request_float_voltage=wish - 0.1 * address))
    narrowest = one.narrowest
    assert narrowest.charge == pytest.approx(3.42)
    assert narrowest.why == "requested voltage of pack 2"
    assert [narrowest.floating, narrowest.cells] == pytest.approx([3.14, 16])
    assert (narrowest.rebulk, narrowest.tapering, narrowest.rested, narrowest.empty) == (3.30, 3.0, 3.2, 2.9)
    assert one.under(Setpoints(charge_voltage=3.41)).narrowest.charge == pytest.approx(3.41)


def test_a_setting_that_changed_counts_at_once() -> None:
    one = CellLimitsOf(Setpoints())
    assert one(view()).charge == 3.45
    assert one(view(cell_request_charge_voltage=3.41)).charge == 3.41
    assert one.narrowest.charge == pytest.approx(3.41)


# --- packs of different lengths, ends of ranges ----------------------------------------------------------------
def test_packs_of_different_length_are_narrowed_by_the_whole_battery() -> None:
    """In parallel they have one voltage: 15 cells of 3.45 V decide for 16 of 3.45 V."""
    of = CellLimitsOf(Setpoints(balance_voltage=3.5))
    short = view(1, cells=(3.3,) * 15, total_voltage=49.5, cell_count=15)
    long = view(2)
    found = narrowest([of(short), of(long)])
    assert found.cells == 15
    assert found.charge == pytest.approx(3.45)
    assert found.floating == pytest.approx(3.35)
    assert found.balance == pytest.approx(3.5)
    assert narrowest([of(long), of(short)]) == found
    assert found.why == "requested voltage of pack 1"


@pytest.mark.parametrize(("told", "counts"), [(1.49, False), (1.5, True), (4.6, True), (4.61, False)])
def test_an_overvoltage_protection_counts_from_1_5_to_4_6_v(told: float, counts: bool) -> None:
    found = limits(
        Setpoints(chemistry="LFP"),
        cell_voltage_overvoltage_protection=told,
        cell_voltage_undervoltage_protection=None,
        cell_request_charge_voltage=None,
    )
    assert (found.stop == CHEMISTRIES["LFP"].stop) is not counts


@pytest.mark.parametrize(
    ("told", "counts"), [(39.0, False), (40.0, True), (89.0, True), (120.0, False), (121.0, False)]
)
def test_a_mosfet_protection_counts_from_40_to_120_degrees(told: float, counts: bool) -> None:
    """Above the usual 90 °C it narrows nothing."""
    usual = limits(mosfet_overtemperature_protection=None).mosfet
    found = limits(mosfet_overtemperature_protection=told).mosfet
    assert found == (told if counts and told < usual else usual)


def test_of_two_chemistries_the_narrower_mark_counts() -> None:
    """Nobody should, and if somebody does nothing is told that one of them does not bear."""
    of, other = CellLimitsOf(Setpoints(chemistry="LFP")), CellLimitsOf(Setpoints(chemistry="Li-ion"))
    lfp = of(view(1))
    lithium = other(
        view(2, cell_voltage_overvoltage_protection=4.2, cell_voltage_undervoltage_protection=3.0, **NO_WISHES)
    )
    for both in ([lfp, lithium], [lithium, lfp]):
        found = narrowest(both)
        assert (found.chemistry, found.charge, found.floating, found.rebulk) == ("LFP", 3.45, 3.35, 3.30)
        assert (found.tapering, found.rested, found.empty) == (3.00, 3.60, 3.10)


NO_WISHES = {"cell_request_charge_voltage": None, "cell_request_float_voltage": None}
