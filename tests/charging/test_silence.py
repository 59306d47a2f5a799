"""Nothing is heard any more: held, woken, silent."""

from typing import Any

import pytest

from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.state import said
from tests.bank.packs import Bench, candidate, got, running, values, with_cell


def silent(told: Any = None, setpoints: Setpoints | None = None, before: int = 80, **changes: Any) -> Bench:
    bench = Bench(setpoints)
    bench.run(candidate(told=told if told is not None else values(**changes)), seconds=before)
    bench.step()
    return bench


def test_charging_stops_and_the_house_stays_lit_for_a_quarter_of_an_hour() -> None:
    bench = silent(current=-10.0)
    held = got(bench.decision)
    assert (held.charge_current, held.charge_enabled, held.lost) == (0, False, True)
    assert (held.discharge_current, held.discharge_enabled) == (30, True)
    assert held.charge_voltage == 53.6
    assert held.reasons["charge_voltage"] == "charge up to 53.6 V: no battery is heard"
    assert held.reasons["charge_current"] == "charge stopped: no battery is heard"
    assert held.reasons["discharge_current"] == "discharge held: no battery is heard"
    assert bench.run(seconds=899).discharge_current == 30
    over = got(bench.step())
    assert (over.discharge_current, over.discharge_enabled) == (0, False)
    assert over.reasons["discharge_current"] == "discharge stopped: no battery is heard"


def test_a_voltage_that_was_lower_stays() -> None:
    bench = Bench(Setpoints(float_voltage=3.38))
    bench.run(candidate(told=values(cell_request_charge_voltage=3.42)), seconds=3)
    assert got(bench.step()).charge_voltage == pytest.approx(53.92)
    low = silent(setpoints=Setpoints(float_voltage=3.20, charge_voltage=3.40))
    assert got(low.decision).charge_voltage == pytest.approx(51.2)


@pytest.mark.parametrize(
    ("changes", "amps"),
    [
        ({}, 30),
        ({"max_discharge_current": 20.0}, 18),
        ({"state_of_charge": 20}, 30),
        ({"state_of_charge": 19.9}, 0),
        ({"cell": 3.20, "current": 0.0}, 30),
        ({"cell": 3.199, "current": 0.0}, 0),
        ({"cell": 3.24, "current": 20.0}, 30),
        ({"cell": 3.239, "current": 20.0}, 0),
        ({"cell": 3.20, "current": -50.0}, 30),
        ({"full_charge_capacity": None}, 0),
    ],
)
def test_only_where_the_battery_was_far_from_empty(changes: Any, amps: float) -> None:
    assert got(silent(**({"current": 0.0} | changes)).decision).discharge_current == pytest.approx(amps)


@pytest.mark.parametrize(("minutes", "seconds"), [(0, 0), (1, 60), (2.5, 150)])
def test_the_owners_time(minutes: float, seconds: int) -> None:
    bench = silent(setpoints=Setpoints(hold_without_data=minutes), current=0.0)
    for _ in range(seconds):
        assert got(bench.decision).discharge_current == 30
        bench.step()
    assert got(bench.decision).discharge_current == 0


def test_switched_off_meanwhile() -> None:
    bench = silent(current=0.0)
    bench.controller.allow(Setpoints(discharging=False))
    assert got(bench.step()).discharge_current == 0


def test_what_the_owner_allows_now_bounds_what_was_decided_before() -> None:
    bench = silent(current=0.0)
    bench.controller.allow(Setpoints(max_discharge_current=5))
    assert got(bench.step()).discharge_current == 5
    bench.controller.allow(Setpoints(max_discharge_current=0))
    assert (got(bench.step()).discharge_current, got(bench.decision).discharge_enabled) == (0, False)
    bench.controller.allow(Setpoints(max_discharge_current=200))
    assert got(bench.step()).discharge_current == 30


def test_where_all_batteries_are_required_none_is_too_few() -> None:
    assert got(silent(current=0.0, setpoints=Setpoints(require_all=True)).decision).discharge_current == 0


class TestOneByOne:
    """An adapter that dies takes its batteries along one by one, as each was heard at another moment."""

    def bench(self, last: dict[int, Any] | None = None, every: int = 1, packs: int = 4) -> Bench:
        told = {n: values(current=-10.0) for n in range(1, packs + 1)} | (last or {})
        bench = Bench()
        bench.run(*(candidate(n, told[n]) for n in told), seconds=60)
        for gone in range(1, packs + 1):
            ages = {n: 11.0 if n <= gone else 1.0 for n in told}
            bench.run(*(candidate(n, told[n], age=ages[n]) for n in told), seconds=every)
        return bench

    @pytest.mark.parametrize(("every", "amps"), [(1, 120), (10, 120), (11, 90), (40, 30)])
    def test_what_all_of_them_bore_counts(self, every: int, amps: float) -> None:
        """Within half a minute; who was silent before that has gone for a reason of its own."""
        bench = self.bench(every=every)
        lost = got(bench.decision)
        assert lost.lost
        assert lost.discharge_current == pytest.approx(amps)
        assert (len(lost.bank.counted), lost.charge_voltage) == (amps / 30, 53.6)
        assert got(bench.step()).discharge_current == pytest.approx(amps)

    def test_a_low_cell_of_the_first_one_counts_as_much_as_that_of_the_last_one(self) -> None:
        for n in (1, 4):
            assert got(self.bench({n: with_cell(4, 3.19, current=-10.0)}).decision).discharge_current == 0
        charged = {1: values(state_of_charge=0), 4: values(state_of_charge=90, full_charge_capacity=400.0)}
        assert got(self.bench(charged).decision).discharge_current > 0  # the mean counts, 66 %

    def test_they_sleep_only_where_all_of_them_were_empty(self) -> None:
        empty = with_cell(4, 2.85, current=0.0)
        assert not got(self.bench({4: empty}).decision).facts.asleep
        assert got(self.bench(dict.fromkeys(range(1, 5), empty)).decision).facts.asleep

    def test_last_words_count(self) -> None:
        """One switches itself off, its load pulls the other one down."""
        bench = Bench()
        low, lower = with_cell(4, 2.94, current=-5.0), with_cell(4, 2.97, current=-5.0)
        bench.run(candidate(1, low), candidate(2, lower), seconds=30)
        bench.run(candidate(1, age=11.0), candidate(2, low), seconds=5)
        assert got(bench.step()).facts.asleep

    def test_who_was_heard_and_must_not_serve_is_left_out(self) -> None:
        bench = running(packs=2)
        hot = values(alarms=("mosfet_over_temperature_protection",))
        bench.run(candidate(1, hot), candidate(2), seconds=3)
        assert got(bench.step()).discharge_current == 30
        bench = running(packs=3)
        bench.step(candidate(1, age=11.0), candidate(2), candidate(3))
        bench.step(candidate(1, age=11.0), candidate(2, hot), candidate(3))
        assert got(bench.step()).discharge_current == 30

    OFF = values(charging=False, discharging=False, current=0.0)
    SHUT = values(discharging=False, alarms=("cell_under_voltage_protection",), current=0.0)

    @pytest.mark.parametrize("away", [OFF, SHUT])
    def test_the_house_is_not_dark_while_one_is_still_heard_that_cannot_serve(self, away: dict[str, Any]) -> None:
        bench = Bench()
        bench.run(candidate(1), candidate(2, away), seconds=30)
        for _ in range(31):
            held = got(bench.step(candidate(1, age=11.0), candidate(2, away)))
            assert (held.discharge_current, held.discharge_enabled, held.lost) == (60, True, False)
            assert held.reasons["discharge_current"] == "discharge held: no battery is heard"
            assert said(held).protections == ()
        over = got(bench.step(candidate(1, age=11.0), candidate(2, away)))
        assert (over.discharge_current, over.discharge_enabled) == (0, False)
        bench = Bench()
        bench.run(candidate(1), candidate(2, away), seconds=30)
        bench.step(candidate(1, age=11.0), candidate(2, away))
        assert got(bench.step()).discharge_current == 60

    @pytest.mark.parametrize(
        ("setpoints", "last", "still"),
        [
            (Setpoints(hold_without_data=0), values(), OFF),
            (Setpoints(discharging=False), values(), OFF),
            (None, with_cell(4, 3.19, current=0.0), OFF),
            (None, values(), OFF | {"state_of_charge": 0, "full_charge_capacity": 200.0}),
        ],
    )
    def test_it_is_dark_where_it_would_be_without_any_data(self, setpoints: Any, last: Any, still: Any) -> None:
        bench = Bench(setpoints)
        bench.run(candidate(1, last), candidate(2, still), seconds=30)
        dark = got(bench.step(candidate(1, last, age=11.0), candidate(2, still)))
        assert (dark.discharge_current, dark.discharge_enabled) == (0, False)

    @pytest.mark.parametrize(
        "trouble",
        [
            {"discharging": False},
            {"alarms": ("discharge_short_circuit_protection",)},
            {"discharging": False, "charging": False},
        ],
    )
    def test_it_is_dark_where_who_is_heard_could_serve_just_now(self, trouble: dict[str, Any]) -> None:
        bench = running(packs=2)
        bench.step(candidate(1, age=11.0), candidate(2, values(**trouble)))
        assert got(bench.decision).discharge_current == 0

    def test_who_came_back_meanwhile_counts_as_he_is_then(self) -> None:
        bench = running(packs=2)
        bench.step(candidate(1, age=11.0), candidate(2))
        bench.run(candidate(1, with_cell(4, 3.1)), candidate(2), seconds=12)
        assert len(bench.state.counted) == 2
        assert got(bench.step()).discharge_current == 0


def test_stop_after() -> None:
    bench = running(Setpoints(stop_after=60))
    for _ in range(60):
        assert bench.step() is not None
    assert bench.step() is None
    assert bench.step() is None


def test_heard_again_it_counts_from_the_beginning() -> None:
    bench = silent(current=0.0)
    bench.run(seconds=800)
    back = [got(bench.step(candidate())).discharge_current for _ in range(11)]
    assert back[:10] == [30] * 10  # good for 10 s first
    assert back[10] == 90
    assert got(bench.step()).discharge_current == 30  # and a new quarter of an hour
    assert bench.run(seconds=899).discharge_current == 30


def test_after_the_hold_discharging_rises_slowly() -> None:
    bench = silent(setpoints=Setpoints(hold_without_data=0))
    back = [got(bench.step(candidate())).discharge_current for _ in range(16)]
    assert back[10:] == [20, 40, 60, 80, 90, 90]


class TestAsleep:
    EMPTY = with_cell(4, 2.85, current=0.0)

    def bench(self, **changes: Any) -> Bench:
        return silent(self.EMPTY | changes, before=30)

    def test_it_is_told_and_nothing_is_charged_by_itself(self) -> None:
        bench = self.bench()
        decision = bench.run(seconds=60)
        assert (decision.charge_current, decision.discharge_current) == (0, 0)
        assert decision.facts.findings == (
            "empty and asleep: the batteries have switched themselves off; press Wake up",
        )

    def test_waking_up_is_five_amperes_for_ten_minutes(self) -> None:
        bench = self.bench()
        assert bench.controller.wake(bench.now) == ""
        awake = got(bench.step())
        assert (awake.charge_current, awake.charge_enabled) == (5, True)
        assert awake.charge_voltage <= 53.6
        assert awake.reasons["charge_current"] == "charge limited to 5 A: waking up"
        assert bench.run(seconds=598).charge_current == 5
        assert bench.run(seconds=2).charge_current == 0

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"temperature_sensor_1": 4.9}, "its last temperature was below 5 °C"),
            ({"temperature_sensor_1": None, "temperature_sensor_2": None}, "its last temperature was unknown"),
            ({"cell_voltage": (3.2,) * 16, "total_voltage": 51.2}, "the battery was not empty when it was last heard"),
        ],
    )
    def test_refused(self, changes: Any, why: str) -> None:
        bench = self.bench(**changes)
        assert bench.controller.wake(bench.now) == why
        assert got(bench.step()).charge_current == 0

    def test_waking_up_within_the_owners_limits_and_beyond_stop_after(self) -> None:
        bench = silent(self.EMPTY, setpoints=Setpoints(stop_after=60, max_charge_current=2), before=30)
        for _ in range(60):
            bench.step()
        assert bench.step() is None
        bench.controller.allow(Setpoints(stop_after=60, max_charge_current=2, charging=False))
        assert bench.controller.wake(bench.now) == "switch Charging is off"
        bench.controller.allow(Setpoints(stop_after=60, max_charge_current=0))
        assert bench.controller.wake(bench.now) == "the owner allows no current of charge"
        bench.controller.allow(Setpoints(stop_after=60, max_charge_current=2))
        assert bench.controller.wake(bench.now) == ""
        assert bench.controller.waking_current == 2
        assert got(bench.step()).charge_current == 2
        bench.controller.allow(Setpoints(stop_after=60, charging=False))
        assert bench.step() is None

    def test_refused_while_somebody_is_heard_or_never_was(self) -> None:
        assert running().controller.wake(1.0) == "batteries are heard"
        assert Bench().controller.wake(1.0) == "no battery was ever heard"

    @pytest.mark.parametrize(("cell", "asleep"), [(2.949, True), (2.95, False)])
    def test_nearly_empty_and_silent_is_asleep_too(self, cell: float, asleep: bool) -> None:
        bench = silent(with_cell(4, cell, current=0.0), before=3)
        assert got(bench.decision).facts.asleep is asleep

    def test_it_ends_with_the_first_word(self) -> None:
        bench = self.bench()
        bench.controller.wake(bench.now)
        bench.run(candidate(told=self.EMPTY), seconds=20)
        assert got(bench.decision).facts.findings == ()
        assert got(bench.step()).charge_current == 0
