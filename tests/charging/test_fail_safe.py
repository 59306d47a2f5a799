"""Every row of the fail-safe table of the inverter path."""

from itertools import pairwise
from math import inf, nan
from typing import Any

import pytest

from jkbms_addon.charging.setpoints import Setpoints
from tests.bank.packs import Bench, candidate, got, running, values, with_cell


class TestFailSafe:
    """One test for each row of the table."""

    def test_start_without_data_is_silence(self) -> None:
        bench = Bench()
        assert bench.step() is None
        assert bench.step(candidate(age=None)) is None
        assert bench.step(candidate(told={})) is None
        incomplete = values()
        del incomplete["state_of_charge"]
        assert bench.step(candidate(told=incomplete)) is None

    def test_first_data_raises_charge_from_zero_and_gives_discharge_at_once(self) -> None:
        bench = Bench()
        first = got(bench.step(candidate()))
        assert (first.charge_current, first.discharge_current) == (0, 90)
        assert first.charge_enabled
        assert first.discharge_enabled
        assert got(bench.step(candidate())).charge_current == 5
        assert got(bench.step(candidate())).charge_current == 10
        assert bench.run(candidate()).charge_current == 90

    def test_a_late_step_does_not_leap(self) -> None:
        bench = Bench()
        bench.step(candidate())
        assert got(bench.step(candidate(), seconds=3600)).charge_current == 10

    def test_aging_data_keeps_limits_but_raises_none(self) -> None:
        bench = Bench()
        bench.step(candidate())
        bench.step(candidate())
        old = candidate(age=2.5, hold_after=2.0)
        assert got(bench.step(old)).charge_current == 5
        assert got(bench.step(old)).charge_current == 5
        assert "aging" in got(bench.decision).reasons["charge_current"]
        lower = candidate(told=values(max_discharge_current=40.0), age=2.5, hold_after=2.0)
        assert got(bench.step(lower)).discharge_current == 36
        assert got(bench.step(old)).discharge_current == 36

    @pytest.mark.parametrize("told", [{"age": 10.1}, {"age": 5.1, "stale_after": 5.0}, {"fresh": False}, {"age": nan}])
    def test_stale_pack(self, told: Any) -> None:
        bench = running()
        stale = got(bench.step(candidate(**told)))
        assert (stale.charge_current, stale.discharge_current) == (0, 0)

    def test_all_stale(self) -> None:
        bench = Bench()
        before = bench.run(candidate(told=values(state_of_charge=8)))
        assert before.force_charge_2
        stale = got(bench.step())
        assert (stale.charge_current, stale.discharge_current) == (0, 0)
        assert not any((stale.charge_enabled, stale.discharge_enabled, stale.force_charge_1, stale.force_charge_2))
        assert not stale.full_charge_request
        assert stale.alarms == ("internal_comm_fail",)
        assert (stale.state_of_charge, stale.voltage, stale.modules) == (8, before.voltage, 1)
        assert stale.charge_voltage == 53.6
        assert stale.valid_until == bench.now + 3
        assert "no battery" in stale.reasons["charge_current"]

    def test_all_stale_never_lowers_the_voltage_below_the_battery(self) -> None:
        bench = Bench()
        bench.run(candidate(told=values(3.42)), seconds=5)
        assert got(bench.step()).charge_voltage == 54.8  # 54.72 V, upwards

    def test_stop_after(self) -> None:
        bench = running(Setpoints(stop_after=60))
        for _ in range(60):
            assert bench.step() is not None
        assert bench.step() is None
        assert bench.step() is None

    def test_without_stop_after_the_zero_limits_go_on(self) -> None:
        bench = running()
        assert bench.run(seconds=7200).charge_current == 0

    def test_one_of_several_stale(self) -> None:
        bench = running(packs=4)
        assert got(bench.decision).charge_current == pytest.approx(360)
        fewer = got(bench.step(*(candidate(n) for n in (1, 2, 3)), candidate(4, age=11)))
        assert fewer.charge_current == pytest.approx(270)
        assert fewer.discharge_current == pytest.approx(270)
        assert fewer.modules == 3
        assert fewer.module_addresses == (1, 2, 3)
        assert fewer.alarms == ("internal_comm_fail",)
        assert fewer.protections == ()
        assert fewer.charge_enabled

    def test_require_all(self) -> None:
        bench = running(Setpoints(require_all=True), packs=2)
        assert got(bench.decision).charge_current == pytest.approx(180)
        alone = got(bench.step(candidate(1)))
        assert (alone.charge_current, alone.discharge_current) == (0, 0)
        assert not alone.charge_enabled
        assert not alone.discharge_enabled
        assert "1 of 2 packs" in alone.reasons["charge_current"]

    def test_require_all_waits_for_packs_that_were_never_heard(self) -> None:
        bench = Bench(Setpoints(require_all=True), expected=2)
        assert bench.run(candidate(1)).discharge_current == 0

    def test_charge_mosfet_off_in_one(self) -> None:
        bench = running(packs=2)
        one = got(bench.step(candidate(1), candidate(2, values(charging=False))))
        assert one.charge_current == 90
        assert one.discharge_current == pytest.approx(180)
        assert one.charge_enabled
        assert bench.state.blocking("charge") == 1
        assert bench.state.blocking("discharge") == 0

    @pytest.mark.parametrize("key", ["charging", "charging_switch"])
    def test_charge_mosfet_off_in_all(self, key: Any) -> None:
        bench = running()
        off = got(bench.step(candidate(told=values(3.46, **{key: False}))))
        assert off.charge_current == 0
        assert not off.charge_enabled
        assert off.discharge_current == 90
        assert off.discharge_enabled
        assert off.charge_voltage == 55.4  # 55.36 V: never below the battery
        assert off.reasons["charge_current"] == "charge stopped: charge MOSFET of pack 1 off"

    def test_discharge_mosfet_off_in_all(self) -> None:
        bench = running()
        off = got(bench.step(candidate(told=values(discharging=False, state_of_charge=4))))
        assert off.discharge_current == 0
        assert not off.discharge_enabled
        assert off.charge_current == 90
        assert off.charge_enabled
        assert off.force_charge_1

    def test_alarm_in_one_excludes_it_with_a_warning(self) -> None:
        bench = running(packs=2)
        told = values(alarms=("battery_over_voltage_protection",))
        one = got(bench.step(candidate(1), candidate(2, told)))
        assert one.modules == 1
        assert one.protections == ()
        assert one.alarms == ("over_voltage",)
        assert one.charge_current == 90

    def test_charge_alarm_of_the_only_pack(self) -> None:
        bench = running()
        only = got(bench.step(candidate(told=values(alarms=("charge_over_temperature_protection",)))))
        assert (only.charge_current, only.charge_enabled) == (0, False)
        assert only.protections == ("over_temperature",)

    def test_over_voltage_of_the_only_pack(self) -> None:
        bench = running()
        only = got(bench.step(candidate(told=values(3.64, alarms=("battery_over_voltage_protection",)))))
        assert (only.charge_current, only.charge_enabled) == (0, False)
        assert only.discharge_enabled
        assert only.discharge_current > 0
        assert only.protections == ("over_voltage",)
        assert only.modules == 1

    def test_fully_charged_stops_charging_without_waking_anybody(self) -> None:
        bench = running()
        only = got(bench.step(candidate(told=values(3.45, alarms=("cell_over_voltage_fully_charged",)))))
        assert (only.charge_current, only.charge_enabled) == (0, False)
        assert only.protections == ()
        assert only.alarms == ()

    def test_under_voltage_of_the_only_pack(self) -> None:
        bench = running()
        bench.run(candidate(told=values(2.85)), seconds=2)
        only = bench.run(candidate(told=values(2.79, alarms=("cell_under_voltage_protection",))), seconds=2)
        assert (only.discharge_current, only.discharge_enabled) == (0, False)
        assert only.protections == ("under_voltage",)
        assert only.charge_enabled
        assert only.charge_current > 0
        assert only.force_charge_1

    def test_all_packs_empty_may_be_charged_with_what_the_weakest_bears(self) -> None:
        bench = running(packs=2)
        empty = values(2.79, alarms=("cell_under_voltage_protection",))
        weak = empty | {"max_charge_current": 50.0}
        both = got(bench.step(candidate(1, empty), candidate(2, weak)))
        assert both.modules == 2
        assert both.charge_current == 45
        assert both.discharge_current == 0

    def test_unknown_fault_stops_everything(self) -> None:
        bench = running()
        only = got(bench.step(candidate(told=values(alarms=("parallel_module_anomaly",)))))
        assert (only.charge_current, only.discharge_current) == (0, 0)
        assert only.protections == ("system_error",)
        told = got(bench.step(candidate(faults=("two batteries with this address",))))
        assert (told.charge_current, told.discharge_current) == (0, 0)

    def test_temperature_unknown(self) -> None:
        bench = running()
        told = values()
        del told["temperature_sensor_1"], told["temperature_sensor_2"]
        blind = got(bench.step(candidate(told=told)))
        assert (blind.charge_current, blind.charge_enabled) == (0, False)
        assert blind.discharge_current == 90
        assert blind.temperature is None
        assert "temperature of pack 1 unknown" in blind.reasons["charge_current"]

    @pytest.mark.parametrize("temperature", [0.0, -5.0, 55.0, 70.0])
    def test_temperature_out_of_the_table(self, temperature: Any) -> None:
        bench = running()
        assert got(bench.step(candidate(told=values(temperature_sensor_2=temperature)))).charge_current == 0

    @pytest.mark.parametrize(
        "wrong",
        [
            {"total_voltage": nan},
            {"total_voltage": None},
            {"current": inf},
            {"state_of_charge": nan},
            {"state_of_charge": 101},
            {"state_of_charge": True},
            {"cell_voltage": (3.3,) * 15 + (nan,)},
            {"cell_voltage": (3.3,) * 15 + (0.0,)},
            {"cell_voltage": (), "min_cell_voltage": None},
            {"max_charge_current": nan},
            {"temperature_sensor_1": 200.0},
            {"total_voltage": 40.0},
            {"state_of_health": 255},
        ],
    )
    def test_what_is_no_number_or_out_of_range_is_stale(self, wrong: Any) -> None:
        bench = running()
        stale = got(bench.step(candidate(told=values() | wrong)))
        assert (stale.charge_current, stale.discharge_current) == (0, 0)
        assert bench.state.excluded[0].reason

    @pytest.mark.parametrize("grid_tied", [True, False])
    def test_clean_stop(self, grid_tied: Any) -> None:
        bench = running(Setpoints(grid_tied=grid_tied))
        for _ in range(3):
            last = got(bench.step(candidate(), enabled=False))
            assert (last.charge_current, last.charge_enabled) == (0, False)
            assert last.discharge_current == (0 if grid_tied else 90)
            assert last.discharge_enabled is not grid_tied
        assert bench.step(candidate(), enabled=False) is None
        assert bench.step(candidate(), enabled=False) is None

    def test_enabled_again_rises_from_zero(self) -> None:
        bench = running()
        bench.step(candidate(), enabled=False)
        assert got(bench.step(candidate())).charge_current == 5
        for _ in range(3):
            assert bench.step(candidate(), enabled=False) is not None
        assert bench.step(candidate(), enabled=False) is None

    def test_never_enabled_is_silence(self) -> None:
        bench = Bench()
        assert bench.step(candidate(), enabled=False) is None

    def test_a_decision_expires(self) -> None:
        decision = got(running().decision)
        assert not decision.expired(decision.valid_until - 0.1)
        assert decision.expired(decision.valid_until)
        assert decision.expired(nan)


class TestStaleDischarge:
    def test_hold_for_a_minute(self) -> None:
        bench = running(Setpoints(stale_discharge="hold"))
        held = got(bench.step())
        assert (held.discharge_current, held.discharge_enabled) == (90, True)
        assert (held.charge_current, held.charge_enabled) == (0, False)
        assert bench.run(seconds=59).discharge_current == 90
        assert got(bench.step()).discharge_current == 0

    @pytest.mark.parametrize("told", [values(state_of_charge=30), values(3.45), with_cell(3, 3.09)])
    def test_no_hold_near_an_end(self, told: Any) -> None:
        bench = Bench(Setpoints(stale_discharge="hold"))
        bench.run(candidate(told=told))
        assert got(bench.step()).discharge_current == 0

    def test_discharge_rises_slowly_afterwards(self) -> None:
        bench = running()
        bench.step()
        back = [got(bench.step(candidate())).discharge_current for _ in range(16)]
        assert back[0] == 0
        assert max(b - a for a, b in pairwise(back)) == 20
        assert back[-1] == 90
