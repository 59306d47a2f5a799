"""What the inverter may do: tapers, voltages, phases. The fail-safe table has its own file."""

from math import inf, nan
from typing import Any

import pytest

from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.errors import OptionsError
from tests.bank.packs import Bench, candidate, got, running, values, with_cell


class TestTapers:
    def test_reason_of_a_cell(self) -> None:
        bench = running()
        targets = got(bench.step(candidate(2, with_cell(11, 3.52))))
        assert targets.reasons["charge_current"].endswith("cell 2-11 at 3.52 V")
        bench = Bench()
        targets = bench.run(candidate(2, with_cell(11, 3.51, max_charge_current=111.0)))
        assert targets.reasons["charge_current"] == "charge limited to 40 A: cell 2-11 at 3.51 V"

    def test_cell_at_its_limit_is_remembered(self) -> None:
        bench = running()
        assert got(bench.step(candidate(told=with_cell(1, 3.55)))).charge_current == 0
        assert got(bench.step(candidate(told=with_cell(1, 3.51)))).charge_current == 0
        assert got(bench.step(candidate(told=with_cell(1, 3.49)))).charge_current == 5

    def test_lowest_cell(self) -> None:
        bench = running()
        assert got(bench.step(candidate(told=with_cell(4, 2.925)))).discharge_current == pytest.approx(45)
        assert got(bench.step(candidate(told=with_cell(4, 2.85)))).discharge_current == 0
        assert got(bench.decision).force_charge_1
        assert got(bench.step(candidate(told=with_cell(4, 3.04)))).discharge_current == 0
        assert got(bench.step(candidate(told=with_cell(4, 3.06)))).discharge_current == 20

    def test_least_voltage(self) -> None:
        bench = running(Setpoints(min_discharge_voltage=50.0))
        assert got(bench.decision).discharge_voltage == 50
        assert got(bench.step(candidate(told=values(3.12)))).discharge_current == 0

    @pytest.mark.parametrize(
        ("told", "amps"), [({"temperature_sensor_1": 5.0}, 45), ({"mosfet_temperature": 80.0}, 45)]
    )
    def test_temperatures(self, told: Any, amps: Any) -> None:
        bench = running()
        assert got(bench.step(candidate(told=values(**told)))).charge_current == pytest.approx(amps)

    def test_charge_counter_slows_but_never_stops(self) -> None:
        bench = running()
        assert 0 < got(bench.step(candidate(told=values(state_of_charge=100)))).charge_current < 30
        assert 0 < got(bench.step(candidate(told=values(state_of_charge=0)))).discharge_current < 60

    def test_shares(self) -> None:
        """The smaller pack reaches its limit first."""
        small = values(full_charge_capacity=50.0, max_charge_current=40.0)
        assert Bench().run(candidate(1), candidate(2, small)).charge_current == pytest.approx(0.9 * 40 / (50 / 150))

    def test_options_bound_everything(self) -> None:
        targets = running(Setpoints(max_charge_current=30, max_discharge_current=20), packs=4).decision
        assert (got(targets).charge_current, got(targets).discharge_current) == (30, 20)

    def test_unknown_settings(self) -> None:
        told = values()
        for key in ("max_charge_current", "max_discharge_current", "cell_voltage_overvoltage_protection"):
            del told[key]
        assert Bench().run(candidate(told=told)).charge_current == 45  # 0.5 C
        assert Bench(Setpoints(max_charge_current=70)).run(candidate(told=told)).charge_current == 70
        told["full_charge_capacity"] = None
        nothing = Bench().run(candidate(told=told))
        assert nothing.charge_current == 0
        assert "set max_charge_current" in nothing.reasons["charge_current"]

    def test_a_full_cell_stops_charging_even_where_it_does_not_count(self) -> None:
        bench = running(packs=2)
        told = with_cell(7, 3.6, alarms=("charge_mosfet_anomaly",))
        assert got(bench.step(candidate(1), candidate(2, told))).charge_current == 0
        assert "cell 2-7" in got(bench.decision).reasons["charge_current"]

    def test_a_pack_that_left_does_not_raise_the_limit_of_the_others(self) -> None:
        bench = running(packs=2)
        weak = candidate(2, values(max_charge_current=10.0))
        assert bench.run(candidate(1), weak).charge_current == 18
        assert bench.run(candidate(1), seconds=299).charge_current == 18
        assert "pack 2 of garage fell out" in got(bench.decision).reasons["charge_current"]
        assert bench.run(candidate(1), seconds=60).charge_current == 90


class TestVoltage:
    def test_lowest_wish_of_all(self) -> None:
        low = values(cell_request_charge_voltage=3.40)
        assert Bench().run(candidate(1), candidate(2, low)).charge_voltage == 54.4

    def test_wish_of_a_pack_that_left_still_counts(self) -> None:
        bench = Bench()
        bench.run(candidate(1), candidate(2, values(cell_request_charge_voltage=3.40)))
        assert bench.run(candidate(1)).charge_voltage == 54.4

    def test_protection_and_options(self) -> None:
        assert running(Setpoints(charge_voltage=3.5)).decision.charge_voltage == 55.2  # type: ignore[union-attr]
        assert running(Setpoints(charge_voltage=3.4)).decision.charge_voltage == 54.4  # type: ignore[union-attr]
        told = values(cell_voltage_overvoltage_protection=3.45)
        assert Bench().run(candidate(told=told)).charge_voltage == pytest.approx(54.4)

    @pytest.mark.parametrize(("battery_type", "cell", "voltage"), [("Li-ion", 3.7, 65.6), ("LTO", 2.3, 42.4)])
    def test_chemistry(self, battery_type: Any, cell: Any, voltage: Any) -> None:
        told = values(cell, battery_type=battery_type)
        for key in ("voltage_overvoltage_protection", "voltage_undervoltage_protection", "request_charge_voltage"):
            del told[f"cell_{key}"]
        assert Bench().run(candidate(told=told)).charge_voltage == pytest.approx(voltage)

    def test_over_voltage_is_never_answered_with_a_lower_voltage(self) -> None:
        bench = running()
        over = got(bench.step(candidate(told=values(3.7))))
        assert over.charge_voltage == 59.2
        assert over.charge_current == 0


class TestPhases:
    FULL = values(3.45, state_of_charge=99, current=30.0)

    def test_bulk_absorption_float_rebulk(self) -> None:
        bench = running()
        assert got(bench.decision).phase == "bulk"
        bench.step(candidate(told=self.FULL))
        assert got(bench.decision).phase == "absorption"
        assert bench.run(candidate(told=self.FULL), seconds=1799).phase == "absorption"
        floating = got(bench.step(candidate(told=self.FULL)))
        assert floating.phase == "float"
        # charging is stopped by its current while the voltage stays above the battery's
        assert floating.charge_current == 0
        assert floating.charge_voltage == 55.2
        assert "resting until 53.6 V" in floating.reasons["charge_current"]
        rested = bench.run(candidate(told=values(3.34, state_of_charge=98)))
        assert (rested.phase, rested.charge_voltage) == ("float", 53.6)
        assert rested.charge_current > 0
        assert bench.run(candidate(told=values(3.34, state_of_charge=84))).phase == "bulk"

    def test_absorption_ends_when_hardly_any_current_flows(self) -> None:
        bench = running()
        assert bench.run(candidate(told=self.FULL | {"current": 1.5}), seconds=62).phase == "float"

    def test_clouds_lead_back_to_bulk(self) -> None:
        bench = running()
        bench.run(candidate(told=self.FULL), seconds=5)
        assert bench.run(candidate(told=values(3.29)), seconds=61).phase == "bulk"

    def test_a_short_load_does_not_start_a_new_charge(self) -> None:
        bench = running()
        bench.run(candidate(told=self.FULL | {"current": 1.0}), seconds=62)
        assert bench.run(candidate(told=values(3.25, state_of_charge=99)), seconds=59).phase == "float"
        assert bench.run(candidate(told=values(3.34, state_of_charge=99)), seconds=30).phase == "float"
        assert bench.run(candidate(told=values(3.25, state_of_charge=99)), seconds=61).phase == "bulk"

    def test_time_of_the_packs_own_setting(self) -> None:
        bench = running()
        told = self.FULL | {"cell_request_charge_voltage_time": 0.1}
        assert bench.run(candidate(told=told), seconds=362).phase == "float"

    def test_full_charge_request(self) -> None:
        bench = running(Setpoints(full_charge_days=0.01))
        assert not got(bench.decision).full_charge_request
        assert bench.run(candidate(), seconds=864).full_charge_request
        assert not got(bench.step(candidate(told=values(state_of_charge=97)))).full_charge_request

    def test_force_charge_has_a_hysteresis(self) -> None:
        bench = Bench()
        for charge, soon, urgent in ((11, False, False), (10, True, False), (5, True, True), (8, True, True)):
            targets = bench.run(candidate(told=values(state_of_charge=charge)), seconds=2)
            assert (targets.force_charge_2, targets.force_charge_1) == (soon, urgent)
        assert not bench.run(candidate(told=values(state_of_charge=14)), seconds=2).force_charge_2
        assert (
            not running(Setpoints(force_charge_soc=None)).run(candidate(told=values(state_of_charge=1))).force_charge_1
        )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("charge_voltage", 55.2),
        ("charge_voltage", nan),
        ("float_voltage", 0),
        ("max_charge_current", -1),
        ("min_discharge_voltage", 0),
        ("stale_discharge", "maybe"),
        ("stop_after", inf),
        ("chemistry", "lead"),
        ("manufacturer", "PYLONTECH"),
        ("manufacturer", "Pylön"),
        ("valid_for", 10),
    ],
)
def test_policy_refuses_nonsense(option: Any, value: Any) -> None:
    with pytest.raises(OptionsError, match=f"^{option}: "):
        Setpoints(**{option: value})


def test_policy_refuses_float_above_charge() -> None:
    with pytest.raises(OptionsError, match="float_voltage"):
        Setpoints(charge_voltage=3.4, float_voltage=3.45)
