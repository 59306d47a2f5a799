"""A decision in the inverter's words."""

from typing import Any

import pytest

from jkbms_addon.battery.alarms import ALARMS
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.state import BITS, Targets, said
from tests.bank.packs import Bench, candidate, got, running, values, with_cell


def told(*packs: Any, seconds: int = 30, setpoints: Setpoints | None = None) -> Targets:
    bench = Bench(setpoints)
    return said(bench.run(*(candidate(n, pack) for n, pack in enumerate(packs, 1)), seconds=seconds), "PYLON")


def test_everything_that_is_known_is_said() -> None:
    state = told(
        with_cell(4, 3.2, charging_cycles=7), with_cell(11, 3.35, temperature_sensor_2=31.5, charging_cycles=9)
    )
    assert (state.state_of_charge, state.state_of_health, state.modules) == (50, 100, 2)
    assert (state.module_addresses, state.manufacturer, state.cell_count) == ((1, 2), "PYLON", 16)
    assert (state.min_cell_voltage, state.min_cell_voltage_at, state.min_cell_number) == (3.2, "1-4", 104)
    assert (state.max_cell_voltage, state.max_cell_voltage_at, state.max_cell_number) == (3.35, "2-11", 211)
    assert (state.max_temperature, state.max_temperature_at, state.max_temperature_number) == (31.5, "2-T2", 202)
    assert (state.min_temperature, state.min_temperature_at, state.min_temperature_number) == (25, "1-T1", 101)
    assert (state.charging_cycles, state.full_charge_capacity, state.capacity_remaining) == (9, 200, 100)
    assert (state.modules_blocking_charge, state.modules_blocking_discharge, state.modules_offline) == (0, 0, 0)
    assert (state.charge_enabled, state.discharge_enabled, state.faulty_module) == (True, True, 0)
    assert (state.force_charge_1, state.force_charge_2, state.full_charge_request) == (False, False, False)
    assert [state.current, state.voltage] == pytest.approx([20, 52.775])


def test_an_unknown_temperature_is_no_number() -> None:
    state = told(values(temperature_sensor_1=None, temperature_sensor_2=None))
    assert (state.temperature, state.min_temperature, state.max_temperature) == (None, None, None)
    assert state.charge_current == 0
    assert state.discharge_current > 0


@pytest.mark.parametrize(
    ("alarm", "alarms"),
    [
        ("charge_under_temperature_protection", ("charge_under_temperature",)),
        ("battery_over_voltage_protection", ("over_voltage",)),
        ("cell_over_voltage_fully_charged", ()),
        ("battery_over_temperature_alarm", ("over_temperature",)),
        ("state_of_charge_too_low_important", ("under_voltage",)),
        ("current_sensor_anomaly", ("internal_comm_fail",)),
        ("charge_mosfet_anomaly", ("internal_comm_fail", "contactor")),
        ("cell_voltage_difference", ("cell_failure", "cell_imbalance")),
        ("cell_voltage_difference_too_large_important", ("cell_failure", "cell_imbalance")),
        ("gps_disconnected", ()),
        ("bit_40", ()),
    ],
)
def test_while_a_pack_can_serve_every_trouble_is_an_alarm(alarm: str, alarms: tuple[str, ...]) -> None:
    state = told(values(alarms=(alarm,)))
    assert state.protections == ()
    assert state.alarms == alarms


@pytest.mark.parametrize(
    ("alarm", "protections"),
    [
        ("cell_under_voltage_protection", ("under_voltage",)),
        ("discharge_over_current_protection", ("discharge_over_current",)),
        ("mosfet_over_temperature_protection", ("over_temperature",)),
        ("discharge_short_circuit_protection", ("short_circuit",)),
        ("cell_count_differs_from_setting", ("system_error",)),
        ("discharge_under_temperature_protection", ("under_temperature",)),
    ],
)
def test_when_none_can_serve_it_is_a_protection(alarm: str, protections: tuple[str, ...]) -> None:
    assert told(values(alarms=(alarm,)), values(alarms=(alarm,))).protections == protections
    assert told(values(alarms=(alarm,)), values()).protections == ()


def test_a_pack_that_is_known_twice_is_a_system_error_where_it_is_all_there_is() -> None:
    bench = Bench()
    twin = candidate(1, faults=("the same battery as a/1",))
    assert said(got(bench.step(twin))).protections == ("system_error",)


def test_one_lost_pack_is_an_alarm() -> None:
    bench = running(packs=3)
    state = said(got(bench.step(candidate(1), candidate(2), candidate(3, age=11.0))))
    assert (state.alarms, state.protections) == (("internal_comm_fail",), ())
    assert (state.modules, state.modules_offline, state.module_addresses) == (2, 1, (1, 2))


def test_a_faulty_pack_that_is_left_out_says_its_own_alarm() -> None:
    bench = running(packs=2)
    hot = candidate(2, values(alarms=("mosfet_over_temperature_protection",)))
    state = said(got(bench.step(candidate(1), hot)))
    assert (state.alarms, state.faulty_module) == (("over_temperature",), 2)


def test_all_silent() -> None:
    bench = running()
    before = said(got(bench.decision))
    state = said(got(bench.step()))
    assert state.alarms == ("internal_comm_fail",)
    assert (state.voltage, state.state_of_charge, state.modules) == (before.voltage, before.state_of_charge, 1)
    assert state.protections == ()


def test_packs_that_block_are_counted() -> None:
    state = told(values(charging=False), values(discharging=False), values())
    assert (state.modules_blocking_charge, state.modules_blocking_discharge) == (1, 1)


def test_requests() -> None:
    state = told(with_cell(4, 2.85), setpoints=Setpoints(grid_charge="emergency"))
    assert (state.force_charge_1, state.full_charge_request) == (True, False)
    assert told(with_cell(4, 2.85)).force_charge_1 is False


def test_every_trouble_has_its_bits() -> None:
    troubles = {alarm.trouble for alarm in ALARMS.values() if alarm.severity != "info"} - {"other"}
    assert troubles <= set(BITS)
