"""Empty and ready, slowly."""

from typing import Any

import pytest

from jkbms_addon.bank.bank import BatteryBank
from jkbms_addon.charging.cell_limits import CellLimitsOf
from jkbms_addon.charging.emptiness import Emptiness
from jkbms_addon.charging.setpoints import Setpoints
from tests.bank.packs import candidate, values, with_cell

KEY = ("garage", 1)


class One:
    """One pack of 100 Ah on a clock."""

    def __init__(self, setpoints: Setpoints | None = None, *, empty: bool = False) -> None:
        self.emptiness = Emptiness({KEY} if empty else ())
        self.limits_of = CellLimitsOf(setpoints or Setpoints())
        self.now = 0.0

    def step(self, low: float, current: float = -20.0, seconds: float = 1.0, **changes: Any) -> float:
        self.now += seconds
        told = with_cell(3, low, current=current) | changes
        view = BatteryBank().step([candidate(1, told)], 0.0).counted[0]
        return self.emptiness.step(view, self.limits_of(view), 100.0, self.now, seconds)

    def run(self, low: float, seconds: int, current: float = -20.0) -> bool:
        for _ in range(seconds):
            self.step(low, current)
        return self.emptiness.is_empty(KEY)


def test_the_lowest_cell_is_the_mean_of_ten_seconds() -> None:
    one = One()
    one.run(3.20, 30)
    assert one.step(3.09) == pytest.approx((3.20 * 10 + 3.09) / 11)
    one.run(3.09, 10)
    assert one.step(3.09) == pytest.approx(3.09)


def test_after_a_gap_it_begins_anew() -> None:
    one = One()
    one.run(3.20, 30)
    assert one.step(3.00, seconds=10.5) == pytest.approx(3.00)
    other = One()
    other.run(3.20, 30)
    assert other.step(3.00, seconds=10.0) == pytest.approx(3.10)  # the last one is just young enough


def test_empty_after_ten_seconds_below() -> None:
    one = One()
    one.run(3.20, 5)
    one.emptiness = Emptiness()
    assert not one.run(2.89, 10)
    assert one.run(2.89, 1)
    assert one.emptiness.empty == {KEY}


def test_a_moment_above_begins_anew() -> None:
    one = One()
    assert not one.run(2.89, 9)
    assert not one.run(3.20, 2)
    assert not one.run(2.89, 9)


def test_a_kettle_does_not_empty_a_pack() -> None:
    one = One()
    one.run(3.10, 60)
    for _ in range(10):
        assert not one.run(2.70, 5)
        assert not one.run(3.10, 20)


@pytest.mark.parametrize(
    ("low", "current", "seconds", "ready"),
    [
        (3.10, 0.0, 61, True),
        (3.10, 0.0, 60, False),
        (3.10, -4.9, 61, True),
        (3.10, -5.0, 100, False),
        (3.10, 5.0, 100, False),
        (3.095, 0.0, 100, False),
    ],
)
def test_ready_when_it_stands_high_without_load(low: float, current: float, seconds: int, ready: bool) -> None:
    one = One(empty=True)
    assert one.run(low, seconds, current) is not ready


def test_ready_when_two_percent_were_charged() -> None:
    one = One(empty=True)
    assert one.run(3.00, 360, 20.0)  # 2 Ah of 100
    assert not one.run(3.00, 65, 20.0)
    other = One(empty=True)
    assert other.run(2.99, 1000, 20.0)


def test_exactly_two_percent_are_enough() -> None:
    one = One(empty=True)
    one.step(3.00, 20.0, seconds=360.0)  # 2 Ah
    assert one.run(3.00, 59, 0.0)
    assert not one.run(3.00, 1, 0.0)


def test_what_held_before_a_gap_does_not_count() -> None:
    for gap, empty in ((10.0, True), (10.5, False)):
        one = One()
        assert not one.run(2.85, 5)
        one.step(2.85, seconds=gap)
        assert one.run(2.85, 5) is empty
    one = One(empty=True)
    one.run(3.20, 50, 0.0)
    one.step(3.20, 0.0, seconds=11.0)
    assert one.run(3.20, 59, 0.0)
    assert not one.run(3.20, 1, 0.0)


def test_what_is_discharged_again_does_not_count() -> None:
    one = One(empty=True)
    one.run(3.00, 300, 20.0)
    one.run(3.00, 300, -20.0)
    assert one.run(3.00, 359, 20.0)
    assert not one.run(3.00, 80, 20.0)


def test_a_break_in_standing_high_begins_anew() -> None:
    one = One(empty=True)
    one.run(3.10, 55, 0.0)
    one.run(2.90, 3, 0.0)
    assert one.run(3.10, 55, 0.0)


def test_the_owners_voltage_of_the_whole_battery() -> None:
    one = One(Setpoints(min_discharge_voltage=50.0))
    for _ in range(12):
        one.now += 1
        told = values(3.12)
        view = BatteryBank().step([candidate(1, told)], 0.0).counted[0]
        low = one.emptiness.step(view, one.limits_of(view), 100.0, one.now, 1.0)
    assert low == pytest.approx(2.9 + 3.12 - 3.125)
    assert one.emptiness.is_empty(KEY)


def test_a_pack_that_was_never_seen_is_not_empty() -> None:
    assert not Emptiness().is_empty(KEY)
