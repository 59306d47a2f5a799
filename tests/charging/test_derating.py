"""Curves of one pack: five points each, and where a stop ends."""

from typing import Any

import pytest

from jkbms_addon.bank.bank import BatteryBank
from jkbms_addon.bank.candidate import View
from jkbms_addon.battery.alarms import Direction
from jkbms_addon.charging.cell_limits import CellLimits, CellLimitsOf
from jkbms_addon.charging.derating import Latches, by_lowest_cell, cause, charging, discharging, rated, rating
from jkbms_addon.charging.setpoints import Setpoints
from tests.bank.packs import candidate, values, with_cell


def view(told: dict[str, Any] | None = None) -> View:
    return BatteryBank().step([candidate(2, told)], 0.0).counted[0]


def limits(one: View) -> CellLimits:
    return CellLimitsOf(Setpoints())(one)


def charge(told: dict[str, Any], latches: Latches | None = None) -> float:
    one = view(told)
    return charging(one, limits(one), latches or Latches()).factor


def discharge(told: dict[str, Any], latches: Latches | None = None) -> float:
    one = view(told)
    return discharging(one, limits(one), one.low.value, latches or Latches()).factor


@pytest.mark.parametrize(
    ("volts", "factor"),
    [(3.40, 1), (3.45, 1), (3.51, 0.525), (3.57, 0.05), (3.58, 0.05), (3.589, 0.05), (3.59, 0), (3.65, 0)],
)
def test_highest_cell(volts: float, factor: float) -> None:
    assert charge(with_cell(3, volts)) == pytest.approx(factor, abs=1e-6)


@pytest.mark.parametrize(
    ("celsius", "factor"),
    [
        *((-5, 0), (0, 0), (1, 0.05), (2, 0.10), (6, 0.30), (10, 0.50), (12.5, 0.75), (15, 1), (40, 1)),
        *((45, 2 / 3), (47.5, 0.5), (54, 1 / 15), (55, 0), (60, 0)),
    ],
)
def test_charging_by_temperature(celsius: float, factor: float) -> None:
    assert charge(values(temperature_sensor_1=celsius, temperature_sensor_2=celsius)) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("settings", "celsius", "factor"),
    [
        ({"charge_undertemperature_protection": 5.0}, 5, 0),
        ({"charge_undertemperature_protection": 5.0}, 7, 0.10),
        ({"charge_undertemperature_protection": 5.0}, 20, 1),
        ({"charge_undertemperature_protection": -10.0}, 0, 0),
        ({"charge_overtemperature_protection": 45.0}, 45, 0),
        ({"charge_overtemperature_protection": 45.0}, 37.5, 0.5),
        ({"charge_overtemperature_protection": 70.0}, 55, 0),
        ({"temperature_sensor_temperature_protection": 50.0}, 50, 0),
    ],
)
def test_settings_of_the_pack_narrow_it(settings: dict[str, Any], celsius: float, factor: float) -> None:
    told = values(temperature_sensor_1=celsius, temperature_sensor_2=celsius, **settings)
    assert charge(told) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("celsius", "factor"),
    [(-25, 0), (-20, 0), (-12.5, 0.5), (-5, 1), (45, 1), (52.5, 0.5), (60, 0), (65, 0)],
)
def test_discharging_by_temperature(celsius: float, factor: float) -> None:
    assert discharge(values(temperature_sensor_1=celsius, temperature_sensor_2=celsius)) == pytest.approx(factor)


@pytest.mark.parametrize(("celsius", "factor"), [(60, 1), (70, 1), (80, 0.5), (89, 0.05), (90, 0), (100, 0)])
@pytest.mark.parametrize("share", [charge, discharge])
def test_mosfets(share: Any, celsius: float, factor: float) -> None:
    assert share(values(mosfet_temperature=celsius)) == pytest.approx(factor)


def test_mosfets_that_are_not_known_hinder_nothing() -> None:
    assert charge(values(mosfet_temperature=None)) == 1


def test_both_sensors_count() -> None:
    assert charge(values(temperature_sensor_1=2.0, temperature_sensor_2=25.0)) == pytest.approx(0.1)
    assert charge(values(temperature_sensor_1=25.0, temperature_sensor_2=54.0)) == pytest.approx(1 / 15)


@pytest.mark.parametrize(
    ("volts", "factor"), [(3.2, 1), (3.0, 1), (2.975, 0.8125), (2.95, 0.625), (2.9, 0.25), (2.85, 0.25)]
)
def test_lowest_cell(volts: float, factor: float) -> None:
    assert discharge(with_cell(3, volts)) == pytest.approx(factor)


def test_the_curve_of_the_lowest_cell_ends_at_all_of_it() -> None:
    one = view()
    assert by_lowest_cell(3.3, limits(one)) == 1.0


def test_the_charge_that_is_counted_hinders_nothing() -> None:
    assert charge(values(state_of_charge=100)) == 1
    assert discharge(values(state_of_charge=0)) == 1


def test_an_unknown_temperature_stops_charging_and_nothing_else() -> None:
    told = values(temperature_sensor_1=None, temperature_sensor_2=None)
    one = view(told)
    share = charging(one, limits(one), Latches())
    assert (share.factor, cause(one, share)) == (0, "temperature of pack 2 unknown")
    assert discharge(told) == 1


@pytest.mark.parametrize(
    ("share", "at", "still", "back"),
    [
        (charge, with_cell(3, 3.59), with_cell(3, 3.541), with_cell(3, 3.539)),
        (charge, values(temperature_sensor_1=0.0), values(temperature_sensor_1=1.9), values(temperature_sensor_1=2.0)),
        (
            charge,
            values(temperature_sensor_1=55.0),
            values(temperature_sensor_1=53.1),
            values(temperature_sensor_1=53.0),
        ),
        (charge, values(mosfet_temperature=90), values(mosfet_temperature=85.1), values(mosfet_temperature=85)),
        (
            discharge,
            values(temperature_sensor_1=-20.0),
            values(temperature_sensor_1=-18.1),
            values(temperature_sensor_1=-18.0),
        ),
        (
            discharge,
            values(temperature_sensor_1=60.0),
            values(temperature_sensor_1=58.1),
            values(temperature_sensor_1=58.0),
        ),
    ],
)
def test_a_stop_ends_some_way_back(share: Any, at: Any, still: Any, back: Any) -> None:
    latches = Latches()
    assert share(at, latches) == 0
    assert share(still, latches) == 0
    assert share(back, latches) > 0
    assert share(still, latches) > 0


@pytest.mark.parametrize(
    ("told", "direction", "why"),
    [
        (with_cell(11, 3.52), "charge", "cell 2-11 at 3.52 V"),
        (with_cell(4, 2.93), "discharge", "cell 2-4 at 2.93 V"),
        (values(temperature_sensor_2=4.0), "charge", "sensor 2-T2 at 4.0 °C"),
        (values(temperature_sensor_1=50.0), "charge", "sensor 2-T1 at 50.0 °C"),
        (values(mosfet_temperature=80), "charge", "MOSFETs of pack 2 at 80 °C"),
        (values(temperature_sensor_1=-15.0), "discharge", "sensor 2-T1 at -15.0 °C"),
        (values(temperature_sensor_2=55.0), "discharge", "sensor 2-T2 at 55.0 °C"),
        (values(mosfet_temperature=80), "discharge", "MOSFETs of pack 2 at 80 °C"),
        # of several that hinder alike the first is named: cell, cold, hot, MOSFETs
        (with_cell(11, 3.60, temperature_sensor_1=-1.0, mosfet_temperature=95), "charge", "cell 2-11 at 3.60 V"),
        (with_cell(11, 3.60, temperature_sensor_1=None, temperature_sensor_2=None), "charge", "cell 2-11 at 3.60 V"),
        (values(temperature_sensor_1=-1.0, temperature_sensor_2=60.0), "charge", "sensor 2-T1 at -1.0 °C"),
        (values(temperature_sensor_2=60.0, mosfet_temperature=95), "charge", "sensor 2-T2 at 60.0 °C"),
        (values(temperature_sensor_1=-21.0, temperature_sensor_2=66.0), "discharge", "sensor 2-T1 at -21.0 °C"),
        (values(temperature_sensor_2=66.0, mosfet_temperature=95), "discharge", "sensor 2-T2 at 66.0 °C"),
        # of several that hinder the narrowest is
        (with_cell(11, 3.52, temperature_sensor_1=1.0), "charge", "sensor 2-T1 at 1.0 °C"),
        (with_cell(4, 2.93, temperature_sensor_1=-19.0), "discharge", "sensor 2-T1 at -19.0 °C"),
        (with_cell(4, 2.99, temperature_sensor_1=-6.0), "discharge", "cell 2-4 at 2.99 V"),
    ],
)
def test_the_reason_names_pack_and_place(told: Any, direction: Direction, why: str) -> None:
    one = view(told)
    share = (
        charging(one, limits(one), Latches())
        if direction == "charge"
        else discharging(one, limits(one), one.low.value, Latches())
    )
    assert cause(one, share) == why


@pytest.mark.parametrize(
    ("told", "amps", "why"),
    [
        (values(), 100, "over-current setting of pack 2, 100 A"),
        (values(max_charge_current=None), 50, "0.5 C of pack 2, whose settings are unknown"),
        (values(max_charge_current=-1.0), 50, "0.5 C of pack 2, whose settings are unknown"),
        (values(max_charge_current=3000.1), 50, "0.5 C of pack 2, whose settings are unknown"),
        (values(max_charge_current=3000.0), 3000, "over-current setting of pack 2, 3000 A"),
        (values(max_charge_current=0.0), 0, "over-current setting of pack 2, 0 A"),
        (
            values(max_charge_current=None, full_charge_capacity=None),
            10,
            "neither settings nor capacity of pack 2 are known",
        ),
    ],
)
def test_rating(told: Any, amps: float, why: str) -> None:
    assert (rating(view(told), "charge"), rated(view(told), "charge")) == (amps, why)
    assert rating(view(values(max_discharge_current=77.0)), "discharge") == 77
