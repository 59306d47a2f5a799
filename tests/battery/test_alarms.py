"""The one table of alarms: severity, trouble, and which direction each concerns."""

from itertools import chain

import pytest

from jkbms_addon.battery.alarms import (
    ALARMS,
    BOTH,
    CAN_ENTRIES,
    CAN_LEVELS,
    LEGACY,
    WORD,
    Alarm,
    Direction,
    alarm_of,
    faults,
    halting,
)


@pytest.mark.parametrize("alarm", [*WORD, *LEGACY, *CAN_ENTRIES], ids=lambda alarm: alarm.label)
def test_every_fault_says_which_direction_it_stops(alarm: Alarm) -> None:
    if alarm.severity == "fault":
        assert alarm.concerns
        assert alarm.trouble != "other"
    assert not alarm.full or (alarm.concerns == ("charge",) and alarm.trouble == "over_voltage")


@pytest.mark.parametrize(
    ("name", "stopped"),
    [
        ("charge_under_temperature_protection", ("charge",)),
        ("charge_over_temperature_protection", ("charge",)),
        ("cell_over_voltage_fully_charged", ("charge",)),
        ("battery_over_voltage_protection", ("charge",)),
        ("charge_over_current_protection", ("charge",)),
        ("temperature_sensor_anomaly", ("charge",)),
        ("cell_under_voltage_protection", ("discharge",)),
        ("discharge_over_current_protection_2", ("discharge",)),
        ("discharge_mosfet_anomaly", ("discharge",)),
        ("discharge_under_temperature_protection", BOTH),
        ("mosfet_over_temperature_protection", BOTH),
        ("discharge_short_circuit_protection", BOTH),
        ("battery_over_temperature_alarm", ()),
        ("gps_disconnected", ()),
        ("low_capacity", ()),
        ("charge_overvoltage", ("charge",)),
        ("discharge_undervoltage", ("discharge",)),
        ("battery_undertemperature", ("charge",)),
        ("bit_31", ()),
    ],
)
def test_which_directions_stop(name: str, stopped: tuple[Direction, ...]) -> None:
    assert tuple(direction for direction in BOTH if alarm_of(name).halts(direction)) == stopped


def test_on_can_only_the_severe_level_stops_anything() -> None:
    for severe, important, general in CAN_LEVELS:
        assert not important.halts("charge")
        assert not important.halts("discharge")
        assert not general.halts("charge")
        assert not general.halts("discharge")
        assert severe.concerns == important.concerns == general.concerns
    assert halting(("cell_over_voltage_severe", "cell_over_voltage_general"), "charge") == ("cell_over_voltage_severe",)


def test_a_charge_that_is_too_low_concerns_discharging_and_stops_nothing() -> None:
    alarm = alarm_of("state_of_charge_too_low_severe")
    assert (alarm.concerns, alarm.trouble, alarm.severity) == (("discharge",), "under_voltage", "warning")
    assert not any(alarm.halts(direction) for direction in BOTH)


def test_cold_and_full_never_touch_discharging() -> None:
    for alarm in ALARMS.values():
        if alarm.trouble in ("over_voltage", "charge_under_temperature", "charge_over_current"):
            assert not alarm.halts("discharge")
        if alarm.trouble in ("under_voltage", "discharge_over_current"):
            assert not alarm.halts("charge")


def test_faults_are_told_apart() -> None:
    assert faults(("gps_disconnected", "cell_under_voltage_protection")) == ("cell_under_voltage_protection",)
    assert len(ALARMS) == len({alarm.label for alarm in chain(WORD, LEGACY, *CAN_LEVELS)})
