"""The two current limits: who carries, how much together, what bounds it."""

from typing import Any

import pytest

from jkbms_addon.bank.bank import BatteryBank
from jkbms_addon.charging.cell_limits import CellLimitsOf
from jkbms_addon.charging.current import Currents, Permitted
from jkbms_addon.charging.phases import Phase
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.charging.together import together
from tests.bank.packs import Bench, candidate, got, running, values, with_cell


class TestCharging:
    def test_the_weakest_by_its_share(self) -> None:
        small = values(full_charge_capacity=50.0, max_charge_current=40.0)
        assert Bench().run(candidate(1), candidate(2, small), seconds=80).charge_current == pytest.approx(108)
        assert Bench().run(candidate(1), seconds=80).charge_current == 90

    def test_one_pack_that_slows_down_slows_the_bank(self) -> None:
        bench = running(packs=2)
        one = got(bench.step(candidate(1), candidate(2, with_cell(11, 3.51))))
        assert one.charge_current == pytest.approx(180 * 0.525)
        assert one.reasons["charge_current"] == "charge limited to 94.5 A: cell 2-11 at 3.51 V"

    @pytest.mark.parametrize(
        ("cell", "share"), [(3.419, 1), (3.42, 1), (3.435, 0.525), (3.449, 0.05 + 0.95 / 30), (3.4531, 0.05)]
    )
    def test_slower_near_the_charge_voltage(self, cell: float, share: float) -> None:
        bench = running()
        told = values(cell)
        assert got(bench.step(candidate(told=told))).charge_current == pytest.approx(90 * share)

    def test_above_the_ceiling_there_is_a_pause(self) -> None:
        bench = running()
        over = got(bench.step(candidate(told=values(3.4532))))  # 55.2512 V
        assert (over.charge_current, over.charge_enabled) == (0, False)
        assert over.reasons["charge_current"] == "charge stopped: battery at 55.3 V"
        assert bench.run(candidate(told=values(3.432)), seconds=100).charge_current == 0  # 54.912 V
        back = values(3.43)
        assert bench.run(candidate(told=back), seconds=2).charge_current > 0
        bench.step(candidate(told=values(3.4532)))
        assert bench.run(candidate(told=back), seconds=59).charge_current == 0
        assert bench.run(candidate(told=back), seconds=1).charge_current > 0

    @pytest.mark.parametrize(("total", "amps"), [(56.05, 4.5), (56.06, 0.0)])
    def test_the_pause_begins_above_its_mark(self, total: float, amps: float) -> None:
        bench = running(Setpoints(charge_voltage=3.50))
        told = values(3.5, total_voltage=total)
        assert got(bench.step(candidate(told=told))).charge_current == pytest.approx(amps)

    @pytest.mark.parametrize(("total", "pause"), [(55.70, True), (55.69, False)])
    def test_the_pause_ends_below_its_mark(self, total: float, pause: bool) -> None:
        bench = running(Setpoints(charge_voltage=3.50))
        bench.step(candidate(told=values(3.5, total_voltage=56.06)))
        told = candidate(told=values(3.48, total_voltage=total))
        assert (bench.run(told, seconds=70).charge_current == 0) is pause

    def test_rises_to_its_sum_in_a_minute_and_by_five_amperes_at_most(self) -> None:
        bench = Bench()
        assert [got(bench.step(candidate())).charge_current for _ in range(4)] == pytest.approx([0, 1.5, 3, 4.5])
        large = Bench()
        packs = [candidate(n) for n in range(1, 6)]
        assert [got(large.step(*packs)).charge_current for _ in range(4)] == pytest.approx([0, 5, 10, 15])

    def test_a_tiny_pack_rises_by_a_tenth_of_an_ampere(self) -> None:
        told = values(max_charge_current=2.0)
        bench = Bench()
        rising = [got(bench.step(candidate(told=told))).charge_current for _ in range(4)]
        assert rising == pytest.approx([0, 0.1, 0.2, 0.3])

    def test_settings_unknown(self) -> None:
        """Half the capacity of those that are there, never the whole bank's option."""
        told = values(max_charge_current=None, max_discharge_current=None)
        one = Bench(Setpoints(max_charge_current=200, max_discharge_current=200)).run(candidate(told=told), seconds=80)
        assert (one.charge_current, one.discharge_current) == (45, 45)
        assert "0.5 C of pack 1" in one.reasons["charge_current"]

    def test_each_direction_has_its_own_setting(self) -> None:
        told = values(max_charge_current=80.0, max_discharge_current=120.0)
        one = Bench().run(candidate(told=told), seconds=80)
        assert one.reasons["charge_current"] == "charge limited to 72 A: over-current setting of pack 1, 80 A"
        assert one.reasons["discharge_current"] == "discharge limited to 108 A: over-current setting of pack 1, 120 A"

    def test_options_bound_everything(self) -> None:
        decision = got(running(Setpoints(max_charge_current=30, max_discharge_current=20), packs=4).decision)
        assert (decision.charge_current, decision.discharge_current) == (30, 20)
        assert decision.reasons["discharge_current"] == "discharge limited to 20 A: discharge current of the owner"

    def test_a_full_cell_stops_charging_even_where_it_does_not_count(self) -> None:
        bench = running(packs=2)
        told = with_cell(7, 3.60, alarms=("cell_count_differs_from_setting",))
        full = got(bench.step(candidate(1), candidate(2, told)))
        assert [full.charge_current, full.discharge_current] == pytest.approx([0, 90])
        assert full.reasons["charge_current"] == "charge stopped: cell 2-7 at 3.60 V"
        open_one = with_cell(7, 3.60, alarms=("cell_count_differs_from_setting",), charging=False)
        assert bench.run(candidate(1), candidate(2, open_one), seconds=30).charge_current > 0

    def test_who_left_does_not_raise_the_limit_of_the_others(self) -> None:
        bench = running(packs=2)
        weak = candidate(2, values(max_charge_current=10.0))
        assert bench.run(candidate(1), weak, seconds=80).charge_current == 18
        assert bench.run(candidate(1), seconds=299).charge_current == 18
        assert "pack 2 of garage fell out" in got(bench.decision).reasons["charge_current"]
        assert bench.run(candidate(1), seconds=80).charge_current == 90

    def test_a_stopped_pack_that_left_holds_nothing(self) -> None:
        bench = running(packs=2)
        cold = candidate(2, values(temperature_sensor_1=-1.0))
        assert bench.run(candidate(1), cold, seconds=5).charge_current == 0
        assert bench.run(candidate(1), seconds=80).charge_current == 90

    @pytest.mark.parametrize("key", ["charging", "charging_switch"])
    def test_mosfets(self, key: str) -> None:
        bench = running(packs=2)
        one = bench.run(candidate(1), candidate(2, values(**{key: False})), seconds=3)
        assert [one.charge_current, one.discharge_current] == pytest.approx([90, 180])
        both = [candidate(n, values(**{key: False})) for n in (1, 2)]
        none = got(bench.step(*both))
        assert (none.charge_current, none.charge_enabled, none.discharge_enabled) == (0, False, True)
        assert none.reasons["charge_current"] == (
            "charge stopped: charge MOSFET of pack 1 off, charge MOSFET of pack 2 off"
        )


class TestPhases:
    def bench(self, phase: str, **memory: Any) -> Bench:
        from jkbms_addon.charging.memory import Memory

        return Bench(memory=Memory.model_validate({"phase": phase, "highest": 99, "sent": 53.6, "ramp": 53.6} | memory))

    @pytest.mark.parametrize(
        ("volts", "share"),
        [(53.6, 1), (53.68, 1), (53.88, 0.55), (54.07, 0.1 + 0.9 * 0.025), (54.08, 0), (54.5, 0)],
    )
    @pytest.mark.parametrize(("capacity", "most"), [(80.0, 5.0), (280.0, 14.0)])
    def test_float_gives_little_and_nothing_above_what_is_told(
        self, volts: float, share: float, capacity: float, most: float
    ) -> None:
        bench = self.bench("float")
        told = values(volts / 16, state_of_charge=98, full_charge_capacity=capacity, current=0.0)
        decision = bench.run(candidate(told=told), seconds=30)
        assert decision.phase == "float"
        assert decision.charge_current == pytest.approx(most * share, abs=1e-6)
        assert decision.reasons["charge_current"].endswith("A: float") is (share > 0)

    def test_float_rests_until_the_battery_has_come_down(self) -> None:
        bench = self.bench("float")

        def at(volts: float) -> float:
            told = values(volts / 16, state_of_charge=98, current=0.0)
            return bench.run(candidate(told=told), seconds=20).charge_current

        assert at(54.10) == 0
        assert "float, resting from 54.1 V" in got(bench.decision).reasons["charge_current"]
        assert at(53.77) == 0
        assert at(53.75) > 0
        assert at(54.0) > 0

    def test_what_float_rested_from_is_forgotten_in_other_phases(self) -> None:
        """Between its two marks float goes on as it was, and begins with current."""
        told = values(53.8 / 16, state_of_charge=98, current=0.0)
        state = BatteryBank().step([candidate(told=told)], 0.0)
        limits = {view.key: CellLimitsOf(Setpoints())(view) for view in state.counted}
        battery = together(state).battery
        currents = Currents(Setpoints())

        def allowed(phase: Phase, sent: float) -> float:
            currents.step(Permitted(state, limits, 3.45, phase, sent, 98.0), battery, 0.0, 1.0, starting=False)
            return currents.allowed["charge"].amps

        assert 0 < allowed("float", 53.6) < 5
        assert allowed("float", 53.2) == 0
        assert allowed("float", 53.6) == 0
        assert allowed("bulk", 55.2) == 90
        assert 0 < allowed("float", 53.6) < 5

    def test_limited(self) -> None:
        bench = self.bench("limited")
        bench.controller.allow(Setpoints(soc_limit=80))
        stopped = bench.run(candidate(told=values(state_of_charge=78)), seconds=20)
        assert (stopped.charge_current, stopped.charge_enabled) == (0, False)
        assert stopped.reasons["charge_current"] == "charge stopped: 78 % of the 80 % that the owner wants"
        assert bench.run(candidate(told=values(state_of_charge=77)), seconds=20).charge_current == 5
        large = values(state_of_charge=77, full_charge_capacity=400.0)
        assert bench.run(candidate(told=large), seconds=30).charge_current == 8

    def test_balance(self) -> None:
        bench = running()
        bench.controller.ask("balance")
        told = bench.run(candidate(), seconds=20)
        assert (told.charge_current, told.reasons["charge_current"]) == (5, "charge limited to 5 A: balancing")


class TestDischarging:
    def test_one_weak_pack_takes_away_its_own_current_and_no_more(self) -> None:
        bench = running(packs=4)
        packs = [candidate(n, values(current=-2.0)) for n in (1, 2, 3)]
        one = bench.run(*packs, candidate(4, with_cell(4, 2.95, current=-2.0)), seconds=30)
        assert one.discharge_current == pytest.approx(90 * 3 + 90 * 0.625)
        assert one.reasons["discharge_current"] == "discharge limited to 326.3 A: cell 4-4 at 2.95 V"
        empty = bench.run(*packs, candidate(4, with_cell(4, 2.85, current=-2.0)), seconds=30)
        assert empty.discharge_current == pytest.approx(270)
        assert empty.facts.empty == ("4",)
        assert empty.facts.may_discharge == 3

    def test_only_when_all_are_empty_it_is_nothing(self) -> None:
        bench = running(packs=2)
        low = [candidate(n, with_cell(4, 2.85, current=-2.0)) for n in (1, 2)]
        for _ in range(19):
            assert got(bench.step(*low)).discharge_current > 0
        decision = bench.run(*low, seconds=5)
        assert (decision.discharge_current, decision.discharge_enabled) == (0, False)
        assert decision.reasons["discharge_current"] == ("discharge stopped: every pack is empty, cell 1-4 at 2.85 V")
        assert decision.charge_current > 0

    def test_an_empty_pack_beside_one_that_has_opened(self) -> None:
        bench = running(packs=2)
        opened = candidate(1, with_cell(4, 2.7, discharging=False, alarms=("cell_under_voltage_protection",)))
        low = candidate(2, with_cell(4, 2.85, current=-2.0))
        reason = bench.run(opened, low, seconds=30).reasons["discharge_current"]
        assert reason == "discharge stopped: every pack is empty, cell 1-4 at 2.70 V"

    def test_measured_shares_bound_the_bank(self) -> None:
        bench = running(packs=2)
        packs = [candidate(1, values(current=-60.0)), candidate(2, values(current=-20.0))]
        decision = bench.run(*packs, seconds=600)
        assert decision.discharge_current == pytest.approx(95 / 0.75, rel=1e-3)
        assert "pack 1 carries 75 %" in decision.reasons["discharge_current"]

    @pytest.mark.parametrize("current", [-9.0, 30.0])
    def test_with_hardly_any_current_the_share_by_capacity_counts(self, current: float) -> None:
        bench = running(packs=2)
        packs = [candidate(1, values(current=current)), candidate(2, values(current=0.0))]
        assert bench.run(*packs, seconds=600).discharge_current == pytest.approx(180)

    def test_rises_by_twenty_amperes_a_second_later_on(self) -> None:
        bench = running(packs=2)
        closed = candidate(2, values(discharging=False))
        assert bench.run(candidate(1), closed, seconds=2).discharge_current == 90
        rising = [got(bench.step(candidate(1), candidate(2))).discharge_current for _ in range(6)]
        assert rising == pytest.approx([110, 130, 150, 170, 180, 180])

    def test_at_the_start_it_has_its_sum_at_once(self) -> None:
        bench = Bench()
        assert got(bench.step(candidate(1))).discharge_current == 90
        assert got(bench.step(candidate(1), candidate(2))).discharge_current == pytest.approx(180)

    @pytest.mark.parametrize(
        ("first", "amps"),
        [(Setpoints(discharging=False), 20.0), (Setpoints(max_discharge_current=0.5), 90.0)],
    )
    def test_what_was_stopped_at_the_start_rises(self, first: Setpoints, amps: float) -> None:
        bench = Bench(first)
        bench.run(candidate(), seconds=5)
        bench.controller.allow(Setpoints())
        assert got(bench.step(candidate())).discharge_current == amps

    def test_a_pack_whose_bms_says_so_is_empty_at_once(self) -> None:
        opened = values(3.1, discharging=False, alarms=("cell_under_voltage_protection",))
        reason = got(running().step(candidate(told=opened))).reasons["discharge_current"]
        assert reason == "discharge stopped: every pack is empty, cell 1-1 at 3.10 V"
        hot = values(3.1, discharging=False, alarms=("discharge_over_current_protection",))
        reason = got(running().step(candidate(told=hot))).reasons["discharge_current"]
        assert reason == "discharge stopped: pack 1: Discharge over-current protection"

    def test_an_empty_pack_beside_one_that_is_switched_off(self) -> None:
        bench = running(packs=2)
        off, low = candidate(1, values(discharging=False)), candidate(2, with_cell(4, 2.85, current=-2.0))
        reason = bench.run(off, low, seconds=30).reasons["discharge_current"]
        assert reason == "discharge stopped: every pack is empty, cell 2-4 at 2.85 V"


class TestOwner:
    def test_require_all(self) -> None:
        bench = running(Setpoints(require_all=True), packs=2)
        assert got(bench.decision).charge_current == pytest.approx(180)
        alone = got(bench.step(candidate(1)))
        assert (alone.charge_current, alone.discharge_current) == (0, 0)
        assert alone.reasons["discharge_current"] == "discharge stopped: 1 of 2 packs, and all are required"
        waiting = Bench(Setpoints(require_all=True), expected=2)
        assert waiting.run(candidate(1)).discharge_current == 0


class TestWhatEachPackBears:
    """Only shown: A for charging and discharging of every pack that counts."""

    def test_derated_blocked_and_gone(self) -> None:
        bench = running(packs=4)
        bench.step(
            candidate(1),
            candidate(2, with_cell(11, 3.51)),
            candidate(3, values(charging=False)),
            candidate(4, values(discharging=False)),
        )
        borne = bench.bears()
        assert borne["1"] == (100, 100)
        assert borne["2"][0] == pytest.approx(52.5)
        assert borne["2"][1] == 100
        assert borne["3"] == (0, 100)
        assert borne["4"] == (100, 0)
        bench.step(candidate(1))
        assert set(bench.bears()) == {"1"}

    def test_nothing_where_the_owner_wants_nothing(self) -> None:
        bench = running(Setpoints(charging=False, discharging=False))
        bench.step(candidate(1))
        assert bench.bears() == {"1": (0, 0)}
