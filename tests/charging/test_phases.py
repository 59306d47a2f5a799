"""Phases: every mark and every time, on a battery of 16 cells and 100 Ah."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from jkbms_addon.charging.phases import DAY, PHASES, Aims, Phase, Phases, Progress, Seen, _Still
from tests.bank.packs import WALL

AIMS = Aims(3.45, 3.35, 3.55, 3.30, 16, 100.0, 10.0, 14.0)
SEEN = Seen(3.35, 3.36, 0.005, 10.0, 100.0, 80.0, 55.2, trimmed=False)
TOP = replace(SEEN, voltage=3.44, hot=3.445, current=2.0, state_of_charge=99.0)


class One:
    def __init__(self, aims: Aims = AIMS, **progress: Any) -> None:
        self.phases = Phases(Progress(**progress))
        self.aims, self.now, self.voltage = aims, 0.0, 0.0

    def run(self, seen: Seen = SEEN, seconds: float = 1.0, step: float = 1.0, **changes: Any) -> str:
        for _ in range(round(seconds / step)):
            self.now += step
            self.voltage = self.phases.step(replace(seen, **changes), self.aims, self.now, WALL + self.now, step)
        return self.phases.phase

    @property
    def progress(self) -> Progress:
        return self.phases.progress


def test_every_phase_has_its_name() -> None:
    assert get_args(Phase) == PHASES


class TestBulk:
    @pytest.mark.parametrize(
        ("changes", "seconds", "phase"),
        [
            ({"voltage": 3.43}, 11, "absorption"),
            ({"voltage": 3.43}, 10, "bulk"),
            ({"voltage": 3.4299}, 100, "bulk"),
            ({"hot": 3.45}, 61, "absorption"),
            ({"hot": 3.45}, 60, "bulk"),
            ({"hot": 3.4499}, 200, "bulk"),
        ],
    )
    def test_ends_at_the_voltage_or_with_the_first_cell(self, changes: Any, seconds: float, phase: str) -> None:
        one = One()
        assert one.run(seconds=seconds, **changes) == phase
        assert one.voltage == pytest.approx(55.2)

    def test_a_learned_offset_moves_the_mark_and_not_the_voltage(self) -> None:
        one = One(learned=0.32)
        assert one.run(voltage=3.41, seconds=11) == "absorption"
        assert one.voltage == pytest.approx(55.2)

    @pytest.mark.parametrize(
        ("changes", "seconds", "learned"),
        [
            ({}, 901, 0.32),
            ({}, 900, None),
            ({"current": 0.2}, 2000, None),
            ({"current": 0.21}, 901, 0.32),
            ({"current": 2.0}, 2000, None),
            ({"current": 1.99}, 901, 0.32),
            ({"trimmed": True}, 2000, None),
            ({"voltage": 3.40, "sent": 55.03}, 901, 0.5),
            ({"voltage": 3.409, "sent": 55.2}, 2000, None),
            ({"voltage": 3.44, "sent": 55.0}, 901, 0.0),
            ({"voltage": 3.411, "sent": 55.2}, 901, 0.5),
        ],
    )
    def test_a_meter_that_reads_high(self, changes: Any, seconds: float, learned: float | None) -> None:
        one = One(replace(AIMS, charge=3.47))
        seen = replace(SEEN, voltage=3.43, hot=3.44, current=1.0, sent=55.2)
        phase = one.run(seen, seconds, **changes)
        assert phase == ("bulk" if learned is None else "absorption")
        assert one.progress.learned == pytest.approx(learned or 0.0)
        assert one.progress.doubtful is (learned == 0.5)

    def test_the_voltage_must_stand_still_meanwhile(self) -> None:
        one = One(replace(AIMS, charge=3.47))
        seen = replace(SEEN, voltage=3.43, hot=3.44, current=1.0)
        one.run(seen, 500)
        one.run(seen, 500, voltage=3.4365)
        assert one.phases.phase == "bulk"
        assert one.run(seen, 401, voltage=3.4365) == "absorption"

    def test_less_is_learned_again_when_the_battery_comes_higher(self) -> None:
        one = One(learned=0.5, doubtful=True)
        one.run(voltage=3.4195, hot=3.44, seconds=5)
        assert one.progress.learned == 0.5
        one.run(voltage=3.4275, hot=3.44, seconds=75)
        assert one.progress.learned == pytest.approx(0.36)
        assert not one.progress.doubtful

    def test_a_battery_above_its_voltage_has_nothing_to_learn(self) -> None:
        one = One(learned=0.3)
        one.run(voltage=3.46, hot=3.46, seconds=75)
        assert one.progress.learned == 0

    def test_without_a_limit_a_full_counter_changes_nothing(self) -> None:
        assert One().run(SEEN, 5, state_of_charge=100.0) == "bulk"

    def test_the_clock_of_absorption_is_kept_until_the_battery_was_used(self) -> None:
        one = One(clock=1000.0, at_voltage=2000.0, highest=90.0)
        one.run(state_of_charge=75.1)
        assert (one.progress.clock, one.progress.at_voltage) == (1000, 2000)
        one.run(state_of_charge=75.0)
        assert (one.progress.clock, one.progress.at_voltage, one.progress.highest) == (0, 0, 75)


def test_a_voltage_that_stands_still() -> None:
    still = _Still()
    told = [(55.0, False), (55.0, True), (55.05, True), (55.099, True), (55.101, True), (55.1, True), (55.0, False)]
    assert [still.step(bank, now, holds=holds) for now, (bank, holds) in enumerate(told)] == [0, 0, 1, 2, 0, 1, 0]


class TestAbsorption:
    @pytest.mark.parametrize(
        ("changes", "seconds", "full"),
        [
            ({}, 601, True),
            ({}, 600, False),
            ({"current": 3.0}, 601, True),
            ({"current": 3.01}, 3000, False),
            ({"current": 0.0}, 601, True),
            ({"current": -0.01}, 3000, False),
            ({"spread": 0.020}, 601, True),
            ({"spread": 0.021}, 3000, False),
            ({"voltage": 3.43}, 601, True),
            ({"voltage": 3.4299}, 3000, False),
        ],
    )
    def test_full(self, changes: Any, seconds: float, full: bool) -> None:
        one = One(phase="absorption")
        assert one.run(TOP, seconds, **changes) == ("float" if full else "absorption")
        assert (one.progress.last_full is not None) is full
        assert one.phases.events == (["full"] if full else [])

    def test_full_by_a_learned_offset(self) -> None:
        one = One(phase="absorption", learned=0.32)
        assert one.run(TOP, 601, voltage=3.41) == "float"

    @pytest.mark.parametrize(
        ("changes", "clock"),
        [
            ({"current": 5.0}, 100),
            ({"current": 5.1}, 0),
            ({"current": -1.0}, 100),
            ({"voltage": 3.4201, "current": -1.0}, 100),
            ({"voltage": 3.419, "current": -1.0}, 0),
            ({"voltage": 3.40, "hot": 3.4401, "current": -1.0}, 100),
            ({"voltage": 3.40, "hot": 3.4399, "current": -1.0}, 0),
        ],
    )
    def test_the_clock_runs_only_at_the_voltage_and_with_little_current(self, changes: Any, clock: float) -> None:
        one = One(phase="absorption")
        one.run(replace(TOP, hot=3.43, spread=0.03), 100, **changes)
        assert one.progress.clock == clock

    @pytest.mark.parametrize(
        ("spread", "current", "hours", "event"),
        [
            (0.010, -0.5, 1.0, "absorption ended before the battery was full"),
            (0.030, 1.0, 3.0, "absorption ended unbalanced, with 30 mV between the cells"),
            (0.030, 20.0, 6.0, "absorption ended unbalanced, with 30 mV between the cells"),
        ],
    )
    def test_the_clock_ends_it(self, spread: float, current: float, hours: float, event: str) -> None:
        one = One(phase="absorption")
        seen = replace(TOP, spread=spread, current=current)
        assert one.run(seen, 3600 * hours - 10, 10) == "absorption"
        assert one.run(seen, 10, 10) == "float"
        assert one.phases.events == [event]
        assert one.progress.last_full is None
        assert len(one.progress.unbalanced) == (spread > 0.02)

    def test_a_load_that_hides_the_spread_does_not_end_it(self) -> None:
        one = One(phase="absorption", clock=5000.0)
        assert one.run(TOP, 60, voltage=3.25, hot=3.26, spread=0.005, current=-50.0) == "absorption"

    @pytest.mark.parametrize(("seconds", "phase"), [(900, "absorption"), (901, "bulk")])
    def test_a_quarter_of_an_hour_below_leads_back(self, seconds: float, phase: str) -> None:
        one = One(phase="absorption", clock=500.0)
        assert one.run(SEEN, seconds, voltage=3.3, hot=3.31) == phase
        assert one.progress.clock == 500

    def test_full_forgets_what_was_unbalanced(self) -> None:
        one = One(phase="absorption", unbalanced=[WALL])
        one.run(TOP, 601)
        assert one.progress.unbalanced == []

    def test_old_ends_are_forgotten(self) -> None:
        one = One(phase="absorption", unbalanced=[WALL - 31 * DAY, WALL - 29 * DAY], clock=10800.0)
        one.run(TOP, 1, spread=0.03)
        assert [round((WALL - at) / DAY) for at in one.progress.unbalanced] == [29, 0]


class TestFloat:
    REST = replace(SEEN, voltage=3.35, current=1.0, state_of_charge=98.0)

    def floating(self, aims: Aims = AIMS, **progress: Any) -> One:
        return One(aims, **{"phase": "float", "highest": 98.0, "ramp": 53.6, "last_full": WALL} | progress)

    def test_goes_down_whatever_the_battery_does(self) -> None:
        one = One(phase="absorption", clock=4000.0)
        one.run(TOP, 1, current=-0.5, sent=55.0)
        assert one.phases.phase == "float"
        before = one.voltage
        one.run(TOP, 60, voltage=3.46)
        assert before - one.voltage == pytest.approx(0.1)
        one.run(TOP, 3000)
        assert one.voltage == pytest.approx(53.6)

    def test_follows_a_float_voltage_that_is_set_higher(self) -> None:
        one = self.floating(replace(AIMS, floating=3.37))
        one.run(self.REST)
        assert one.voltage == pytest.approx(53.92)

    @pytest.mark.parametrize(("charge", "phase"), [(88.1, "float"), (88.0, "bulk")])
    def test_ends_when_the_battery_was_used(self, charge: float, phase: str) -> None:
        assert self.floating().run(self.REST, state_of_charge=charge) == phase

    def test_the_highest_charge_since_it_began_counts(self) -> None:
        one = self.floating(highest=90.0)
        one.run(self.REST, state_of_charge=99.0)
        assert one.run(self.REST, state_of_charge=89.0) == "bulk"

    @pytest.mark.parametrize(
        ("voltage", "current", "seconds", "phase"),
        [
            (3.30, 0.0, 61, "bulk"),
            (3.30, 0.0, 60, "float"),
            (3.301, 0.0, 200, "float"),
            (3.20, -5.0, 61, "bulk"),
            (3.20, -5.1, 200, "float"),
        ],
    )
    def test_ends_at_a_low_voltage_without_load(
        self, voltage: float, current: float, seconds: float, phase: str
    ) -> None:
        assert self.floating().run(self.REST, seconds, voltage=voltage, current=current) == phase

    @pytest.mark.parametrize(("days", "phase"), [(13.99, "float"), (14.0, "bulk")])
    def test_ends_when_a_full_charge_is_due(self, days: float, phase: str) -> None:
        assert self.floating(last_full=WALL + 1 - days * DAY).run(self.REST) == phase

    def test_days_are_counted_from_the_beginning_where_it_was_never_full(self) -> None:
        assert self.floating(last_full=None, counted_from=WALL - 15 * DAY).run(self.REST) == "bulk"
        one = self.floating(last_full=None)
        one.run(self.REST)
        assert one.progress.counted_from == WALL + 1

    def test_never(self) -> None:
        assert self.floating(replace(AIMS, days=0.0), last_full=WALL - 900 * DAY).run(self.REST) == "float"

    @pytest.mark.parametrize(("hours", "phase"), [(0.0, "float"), (19.9, "float"), (20.0, "bulk"), (-1.0, "bulk")])
    def test_a_full_charge_that_is_due_is_tried_once_in_twenty_hours(self, hours: float, phase: str) -> None:
        one = self.floating(last_full=WALL - 20 * DAY, tried=WALL + 1 - hours * 3600)
        assert one.run(self.REST) == phase

    def test_begins_a_new_clock(self) -> None:
        one = self.floating(clock=1000.0)
        one.run(self.REST, state_of_charge=80.0)
        assert (one.phases.phase, one.progress.clock) == ("bulk", 0.0)


class TestLimited:
    AIMS = replace(AIMS, limit=80.0)

    @pytest.mark.parametrize("phase", ["bulk", "absorption", "float"])
    def test_begins_at_the_limit_from_every_phase(self, phase: str) -> None:
        one = One(self.AIMS, phase=phase, ramp=53.6, highest=80.0, last_full=WALL)
        assert one.run(SEEN, state_of_charge=79.9, voltage=3.345) != "limited"
        assert one.run(SEEN, state_of_charge=80.0, voltage=3.345) == "limited"
        assert one.voltage == pytest.approx(53.52 - 0.1 / 60)

    @pytest.mark.parametrize(
        ("charge", "current", "change"),
        [
            (78.0, 1.01, -0.1),
            (78.0, 1.0, 0.0),
            (77.9, 5.0, 0.1),
            (77.9, 0.0, 0.1),
        ],
    )
    def test_is_lowered_while_current_flows(self, charge: float, current: float, change: float) -> None:
        one = One(self.AIMS, phase="limited", ramp=53.5)
        one.run(SEEN, 60, state_of_charge=charge, current=current)
        assert one.voltage == pytest.approx(53.5 + change)

    def test_the_current_that_counts_grows_with_the_bank(self) -> None:
        one = One(self.AIMS, phase="limited", ramp=53.5)
        one.run(SEEN, 60, state_of_charge=79.0, current=1.9, capacity=400.0)
        assert one.voltage == pytest.approx(53.5)
        one.run(SEEN, 60, state_of_charge=79.0, current=2.1, capacity=400.0)
        assert one.voltage == pytest.approx(53.4)

    def test_between_its_floor_and_the_ceiling(self) -> None:
        low = One(self.AIMS, phase="limited", ramp=52.85)
        low.run(SEEN, 120, state_of_charge=79.0)
        assert low.voltage == pytest.approx(52.8)
        high = One(self.AIMS, phase="limited", ramp=55.15)
        high.run(SEEN, 120, state_of_charge=77.0)
        assert high.voltage == pytest.approx(55.2)

    def test_below_its_floor_it_goes_no_lower_and_does_not_leap_up(self) -> None:
        """A battery with a load may have been below when it began, and one of Li-ion cells is."""
        low = One(self.AIMS, phase="limited", ramp=51.0)
        low.run(SEEN, 120, state_of_charge=79.0)
        assert low.voltage == pytest.approx(51.0)

    @pytest.mark.parametrize(("charge", "phase"), [(75.1, "limited"), (75.0, "bulk")])
    def test_ends_five_percent_below(self, charge: float, phase: str) -> None:
        assert One(self.AIMS, phase="limited", ramp=53.5).run(SEEN, state_of_charge=charge) == phase

    def test_ends_where_the_owner_wants_no_limit(self) -> None:
        assert One(AIMS, phase="limited", ramp=53.5).run(SEEN) == "bulk"

    def test_a_full_charge_that_is_due_ignores_it(self) -> None:
        one = One(self.AIMS, phase="limited", ramp=53.5, last_full=WALL - 15 * DAY)
        assert one.run(SEEN, 100, state_of_charge=90.0) == "bulk"
        assert one.run(TOP, 11) == "absorption"
        assert one.run(TOP, 601) == "float"
        assert one.run(TOP, 1) == "limited"


class TestAsked:
    def test_a_full_charge(self) -> None:
        one = One(replace(AIMS, limit=80.0), phase="limited", ramp=53.5)
        one.phases.ask("full")
        assert one.run(SEEN, 5, state_of_charge=85.0) == "bulk"
        floating = One(phase="float", ramp=53.6)
        floating.phases.ask("full")
        assert floating.run(SEEN, 5) == "bulk"
        absorbing = One(phase="absorption", clock=100.0)
        absorbing.phases.ask("full")
        assert absorbing.run(TOP, 1) == "absorption"

    def test_a_balance_once(self) -> None:
        one = One(phase="float", ramp=53.6)
        one.phases.ask("balance")
        assert one.run(SEEN, 2000) == "balance"  # however far it is below
        assert one.voltage == pytest.approx(56.8)
        high = replace(TOP, voltage=3.54, hot=3.55, spread=0.03)
        assert one.run(high, 6 * 3600 - 10, 10) == "balance"
        assert one.run(high, 20, 10) == "float"

    def test_a_balance_ends_when_it_is_done_or_after_a_day(self) -> None:
        one = One()
        one.phases.ask("balance")
        assert one.run(replace(TOP, voltage=3.53, hot=3.55), 602) == "float"
        late = One()
        late.phases.ask("balance")
        assert late.run(SEEN, DAY, 10) == "balance"
        assert late.run(SEEN, 20, 10) == "float"

    def test_a_balance_that_was_under_way_at_the_start_ends_within_a_day_too(self) -> None:
        again = One(phase="balance")
        assert again.run(SEEN, DAY, 10) == "balance"
        assert again.run(SEEN, 20, 10) == "float"


@pytest.mark.parametrize(
    ("ahead", "days", "due"),
    [(-13.99, 14, False), (-14, 14, True), (0.01, 14, False), (1.0, 14, False), (1.01, 14, True), (400, 0, False)],
)
def test_a_day_that_lies_ahead_was_noted_by_a_wrong_clock(ahead: float, days: float, due: bool) -> None:
    noted = WALL + ahead * DAY
    assert One(last_full=noted).phases.due(days, WALL) is due
    assert One(counted_from=noted).phases.due(days, WALL) is due
