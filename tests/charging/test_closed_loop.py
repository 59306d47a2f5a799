"""The loop closed: what an owner sees with an inverter that reacts. The groups are those of the specification."""

from itertools import combinations

import pytest

from jkbms_addon.charging.setpoints import Setpoints
from tests.charging.draws import a_plant, a_weather
from tests.charging.loop import Loop
from tests.charging.plant import DAY, HOUR, Inverter, Kind, Plant, Weather, clear_sky, pack

OBEYING: tuple[Kind, ...] = ("both", "voltage", "current", "charge", "discharger", "off_at_zero")


def within_bounds(loop: Loop) -> None:
    """Group 1: never told above the ceiling, hardly above it, no cell near its protection."""
    seen, plant = loop.seen, loop.plant
    assert seen.told_most <= 1e-6
    assert seen.voltage_most <= (0.4 if plant.inverter.kind == "current" else 0.3)
    assert seen.above <= 60 * max(1.0, seen.days())
    assert seen.cell_most <= -0.03
    assert not any(one.openings for one in plant.packs)
    assert not seen.grid


class TestCeiling:
    """Group 1."""

    @pytest.mark.parametrize("kind", OBEYING)
    @pytest.mark.parametrize("offset", [-0.3, 0.0, 0.3])
    def test_the_owners_voltage_is_a_ceiling_for_every_meter_and_inverter(self, kind: Kind, offset: float) -> None:
        plant = Plant([pack(1, 100, 0.93, runner=0.004)], Inverter(kind, offset=offset, lag=8, tau=4))
        loop = Loop(plant, Setpoints(charge_voltage=3.40))
        loop.run(90 * 60, lambda _at: 48.0)
        within_bounds(loop)
        assert loop.decision
        assert loop.decision.charge_voltage <= 54.4

    @pytest.mark.parametrize("seed", range(8))
    def test_random_installations_near_the_top(self, seed: int) -> None:
        plant = a_plant(1000 + seed, 0.94)
        loop = Loop(plant, poll=3.0, begin=10 * HOUR)
        loop.run(HOUR, a_weather(seed, plant).surplus)
        within_bounds(loop)

    def test_an_inverter_that_ignores_both_limits_is_told_no_more(self) -> None:
        loop = Loop(Plant([pack(1, 100, 0.97)], Inverter("neither", most=30)))
        loop.run(HOUR, lambda _at: 30.0)
        assert loop.seen.told_most <= 1e-6

    def test_a_runner_cell_is_not_held_high(self) -> None:
        plant = Plant([pack(1, 280, 0.93, runner=0.02, balance_current=0.05)], Inverter(offset=0.0, most=100))
        loop = Loop(plant)
        loop.run(HOUR, lambda _at: 100.0, step=4.0)
        high = []
        for _ in range(900):
            loop.step(100.0, 2.0)
            high.append(plant.packs[0].high)
        within_bounds(loop)
        assert max(high) < 3.50


class TestFull:
    """Group 2."""

    @pytest.mark.parametrize("offset", [-0.3, 0.0, 0.2, 0.4, 0.6])
    def test_from_twenty_percent_to_float_for_every_meter(self, offset: float) -> None:
        plant = Plant([pack(1, 100, 0.2)], Inverter(offset=offset, most=50))
        loop = Loop(plant, begin=8 * HOUR)
        loop.run(5 * HOUR, lambda _at: 50.0, step=4.0)
        assert loop.decision
        assert loop.decision.phase == "float"
        assert all(charge >= 0.95 for charge in loop.seen.fulls)
        assert loop.seen.fulls
        assert loop.seen.phases <= 4
        assert loop.decision.facts.last_full is not None
        within_bounds(loop)

    def test_a_meter_that_reads_high_is_learned_and_never_told(self) -> None:
        loop = Loop(Plant([pack(1, 100, 0.9)], Inverter(offset=0.4, most=50)))
        loop.run(4 * HOUR, lambda _at: 50.0, step=4.0)
        assert loop.decision
        assert 0.3 <= loop.decision.facts.learned <= 0.5
        assert loop.seen.told_most <= 1e-6

    @pytest.mark.parametrize("seed", range(3))
    def test_loads_and_clouds_never_make_a_battery_full_that_is_not(self, seed: int) -> None:
        plant = a_plant(seed, 0.6, offset=0.3, packs=1)
        weather = Weather(plant.random, plant.capacity, peak=0.5, base=0.02, clouds=0.6, kettles=0)
        loop = Loop(plant, begin=9 * HOUR)

        def surplus(at: float) -> float:
            return -0.9 * plant.capacity if at % (4 * HOUR) < 600 else weather.surplus(at)

        loop.run(7 * HOUR, surplus, step=4.0)
        assert all(charge >= 0.95 for charge in loop.seen.fulls)
        assert loop.seen.phases <= 4

    def test_absorption_waits_for_the_balance(self) -> None:
        """The clock without a full battery, and the name of its end."""
        plant = Plant([pack(1, 100, 0.95, spread=0.03, balance_current=0.05)], Inverter(most=20))
        loop = Loop(plant)
        loop.run(2 * HOUR, lambda _at: 20.0, step=4.0)
        assert loop.phase == "absorption"
        loop.run(3 * HOUR, lambda _at: 20.0, step=4.0)
        assert loop.phase == "float"
        assert not loop.seen.fulls
        assert "unbalanced" in loop.events[-1]

    def test_absorption_does_not_run_without_voltage(self) -> None:
        loop = Loop(Plant([pack(1, 100, 0.97, spread=0.02, balance_current=0.05)], Inverter(most=20)))
        loop.run(40 * 60, lambda _at: 20.0)
        assert loop.decision
        assert loop.decision.phase == "absorption"
        before = loop.decision.facts.absorbed
        assert before > 0
        loop.run(14 * 60, lambda _at: -15.0)
        assert loop.decision.facts.absorbed - before < 60

    @pytest.mark.parametrize(("use", "setpoints"), [(0.010, Setpoints()), (0.003, Setpoints(full_charge_days=1))])
    def test_float_ends_although_little_is_used_a_day(self, use: float, setpoints: Setpoints) -> None:
        """By what was used over night, or by the days."""
        loop = Loop(Plant([pack(1, 280, 0.99)], Inverter(most=100)), setpoints, begin=12 * HOUR)
        sun = clear_sky(60.0)
        loop.run(2.3 * DAY, lambda at: sun(at) - use * 280, step=10.0)
        assert len(loop.seen.fulls) >= 2


class TestDirections:
    """Group 3."""

    ALARMS = (
        "charge_under_temperature_protection",
        "cell_over_voltage_fully_charged",
        "battery_over_voltage_protection",
        "cell_under_voltage_protection",
        "discharge_over_current_protection",
        "charge_mosfet_anomaly",
    )
    CHARGE_ONLY = frozenset(
        {
            "charge_under_temperature_protection",
            "cell_over_voltage_fully_charged",
            "battery_over_voltage_protection",
            "charge_mosfet_anomaly",
        }
    )

    @pytest.mark.parametrize("raised", list(combinations(ALARMS, 2)))
    def test_a_direction_stops_only_where_it_is_the_trouble(self, raised: tuple[str, str]) -> None:
        from tests.bank.packs import Bench, candidate, values

        bench = Bench()
        bench.run(candidate(1), candidate(2), seconds=70)
        told = [candidate(n, values(alarms=(name,))) for n, name in enumerate(raised, 1)]
        decision = bench.run(*told, seconds=70)
        may_discharge = [name in self.CHARGE_ONLY for name in raised]
        may_charge = [name not in self.CHARGE_ONLY for name in raised]
        assert (decision.discharge_current > 0) == any(may_discharge)
        assert decision.discharge_current == pytest.approx(90 * sum(may_discharge))
        assert (decision.charge_current > 0) == any(may_charge)
        assert (decision.charge_enabled, decision.discharge_enabled) == (any(may_charge), any(may_discharge))

    def test_frost_leaves_the_house_its_light(self) -> None:
        packs = [pack(n, 150, 0.5, temperature=-6.0) for n in range(1, 5)]
        loop = Loop(Plant(packs))
        loop.run(60, lambda _at: -20.0)
        assert loop.decision
        assert loop.decision.charge_current == 0
        assert loop.decision.discharge_current == pytest.approx(504)  # 14 K above the lowest
        packs[0].cells[3].charge = 0.01
        loop.run(120, lambda _at: -20.0)
        assert loop.decision.discharge_current >= 0.9 * 3 * 150 * 0.9
        assert loop.seen.told_dark == 0

    def test_frost_all_day_with_an_inverter_that_ignores_the_current(self) -> None:
        """Group 10."""
        plant = Plant([pack(1, 100, 0.5, temperature=-6.0)], Inverter("voltage", most=50))
        plant.packs[0].cold = -20.0  # the BMS would let it happen
        loop = Loop(plant, begin=6 * HOUR)
        sun = clear_sky(45.0)
        loop.run(12 * HOUR, sun, step=4.0)
        assert loop.seen.charged < 0.005 * 100
        assert loop.seen.told_dark == 0


class TestEmpty:
    """Group 4."""

    def test_one_weak_cell_in_one_of_four_never_darkens_the_bank(self) -> None:
        packs = [pack(n, 100, 0.5) for n in range(1, 5)]
        packs[0].cells[3].charge = 0.06
        loop = Loop(Plant(packs, Inverter("off_at_zero")))
        loop.run(2 * HOUR, lambda _at: -60.0, step=4.0)
        assert packs[0].shut  # its own BMS has opened, and the house stays lit
        assert loop.seen.told_dark == 0
        assert loop.seen.dark == 0

    @pytest.mark.parametrize("seed", range(3))
    def test_near_empty_with_kettles_and_weak_sun(self, seed: int) -> None:
        plant = a_plant(50 + seed, 0.06, kind="both")
        weather = Weather(plant.random, plant.capacity, peak=0.06, base=0.012, kettles=12, clouds=0.5)
        loop = Loop(plant, poll=3.0, begin=0.0)
        loop.run(DAY, weather.surplus, step=10.0)
        assert loop.seen.discharge_edges <= 5
        assert loop.seen.told_dark == 0


class TestLoss:
    """Group 5."""

    @pytest.mark.parametrize("lost", [(1,), (2,), (1, 2, 3)])
    @pytest.mark.parametrize("seconds", [30, 60])
    def test_who_falls_silent_for_a_while_never_darkens_the_house(self, lost: tuple[int, ...], seconds: int) -> None:
        packs = [pack(n, 100, 0.5) for n in (1, 2, 3)]
        loop = Loop(Plant(packs, Inverter("off_at_zero")))
        loop.run(60, lambda _at: -30.0)
        for one in packs:
            one.heard = one.address not in lost
        for _ in range(seconds):
            decision = loop.step(-30.0)
            assert decision
            assert decision.discharge_current > 0
        for one in packs:
            one.heard = True
        for _ in range(60):
            decision = loop.step(-30.0)
            assert decision
            assert decision.discharge_current > 0
        assert loop.seen.dark == 0

    def test_the_hold_opens_no_battery(self) -> None:
        """Far enough from empty for 15 minutes at 0.3 C, wherever it begins."""
        for charge in (0.08, 0.12, 0.2, 0.3):
            one = pack(1, 100, charge)
            loop = Loop(Plant([one], Inverter(most=50)))
            loop.run(120, lambda _at: -5.0)
            one.heard = False
            for _ in range(16 * 60):
                decision = loop.step(-min(30.0, loop.plant.inverter.told[2]))
            assert not one.shut
            assert decision
            assert decision.discharge_current == 0  # the 15 minutes are over
            assert decision.charge_current == 0

    @pytest.mark.parametrize("away", [2, 10])
    def test_a_restart_of_the_program_is_not_dark(self, away: int) -> None:
        loop = Loop(Plant([pack(n, 100, 0.5) for n in (1, 2)], Inverter("off_at_zero")))
        loop.run(60, lambda _at: -30.0)
        loop.restart(away)
        told = [loop.step(-30.0) for _ in range(20)]
        first = next(decision for decision in told if decision)
        assert first.discharge_current == pytest.approx(180)
        assert loop.seen.dark == 0


class TestRestart:
    """Group 7."""

    @pytest.mark.parametrize(("charge", "hours"), [(0.5, 0.2), (0.97, 0.8), (0.985, 3.0)])
    def test_no_phase_is_lost(self, charge: float, hours: float) -> None:
        loop = Loop(Plant([pack(1, 100, charge, spread=0.002)], Inverter(offset=-0.3, most=40)))
        loop.run(hours * HOUR, lambda _at: 40.0, step=4.0)
        before = loop.decision
        assert before
        loop.restart(3.0)
        after = loop.step(40.0)
        assert after
        assert after.phase == before.phase
        assert abs(after.charge_voltage - before.charge_voltage) <= 0.1 + 1e-9
        assert after.facts.last_full == before.facts.last_full
        assert after.facts.learned == pytest.approx(before.facts.learned, abs=1e-3)
        assert abs(after.facts.absorbed - before.facts.absorbed) <= 5


class TestSample:
    """Group 9, three days of it; the fortnight and the year are printed by the benchmark."""

    @pytest.mark.parametrize("kind", ["both", "voltage"])
    def test_three_days(self, kind: Kind) -> None:
        plant = a_plant(4, 0.5, kind=kind)
        weather = a_weather(4, plant, peak=0.4, base=0.02, kettles=6, clouds=0.3)
        loop = Loop(plant)
        loop.run(3 * DAY, weather.surplus, step=10.0)
        seen = loop.seen
        within_bounds(loop)
        assert seen.high <= 2 * HOUR * 3
        assert seen.charge_edges <= 3 * (60 if kind == "voltage" else 30)
        assert seen.told_dark == 0

    @pytest.mark.parametrize("limit", [80.0])
    def test_the_owners_limit_of_charge_is_held(self, limit: float) -> None:
        plant = Plant([pack(1, 100, 0.7)], Inverter("voltage", most=50))
        loop = Loop(plant, Setpoints(soc_limit=limit, full_charge_days=0))
        loop.run(3 * HOUR, lambda _at: 40.0, step=4.0)
        assert plant.packs[0].counted <= limit + 1
        assert loop.decision
        assert loop.decision.phase == "limited"
