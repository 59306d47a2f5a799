"""Limits over time."""

import pytest

from jkbms_addon.charging.slew import Departed, Limit, Slew

A, B, C = ("x", 1), ("x", 2), ("y", 3)


def test_falls_at_once_and_rises_slowly() -> None:
    slew = Slew(0.0)
    assert slew.step(Limit(100, "why"), 0, 5, frozen=False) == Limit(0, "rising (then 100 A: why)")
    assert [slew.step(Limit(100, "why"), at, 5, frozen=False).amps for at in (1, 2, 2.5)] == [5, 10, 12.5]
    assert slew.step(Limit(7, "less"), 3, 5, frozen=False) == Limit(7, "less")
    assert slew.step(Limit(100, "why"), 1003, 5, frozen=False).amps == 17  # 2 s of it, not 1000
    assert slew.step(Limit(100, "why"), 1000, 5, frozen=False).amps == 17  # a clock that goes back


def test_there_is_nothing_to_rise_to() -> None:
    assert Slew(5.0).step(Limit(5, "why"), 0, 5, frozen=True) == Limit(5, "why")


def test_aging_data_lets_nothing_rise() -> None:
    slew = Slew(20.0)
    slew.step(Limit(20, "why"), 0, 5, frozen=False)
    assert slew.step(Limit(100, "why"), 1, 5, frozen=True) == Limit(20, "data is aging (then 100 A: why)")
    assert slew.step(Limit(10, "why"), 2, 5, frozen=True) == Limit(10, "why")


def test_after_a_stop_it_rises_from_zero() -> None:
    slew = Slew(50.0)
    slew.stop(10)
    assert [slew.step(Limit(50, "why"), at, 20, frozen=False).amps for at in (10, 11, 12)] == [0, 20, 40]


class TestDeparted:
    def test_who_leaves_does_not_raise_the_limit_of_the_others(self) -> None:
        departed = Departed(300)
        assert departed.step(Limit(18, "weak"), frozenset({A, B}), 0).amps == 18
        held = departed.step(Limit(90, "strong"), frozenset({A}), 1)
        assert held == Limit(18, "pack 2 of x fell out; before that: weak")
        assert departed.step(Limit(90, "strong"), frozenset({A}), 300.9).amps == 18
        assert departed.step(Limit(10, "less"), frozenset({A}), 300.95).amps == 10
        assert departed.step(Limit(90, "strong"), frozenset({A}), 301) == Limit(90, "strong")

    def test_who_is_back_ends_it(self) -> None:
        departed = Departed(300)
        departed.step(Limit(18, "weak"), frozenset({A, B, C}), 0)
        held = departed.step(Limit(90, "strong"), frozenset({C}), 1)
        assert held.why == "pack 1 of x and pack 2 of x fell out; before that: weak"
        assert departed.step(Limit(90, "strong"), frozenset({A, C}), 2).amps == 18
        assert departed.step(Limit(90, "strong"), frozenset({A, B, C}), 3).amps == 90

    @pytest.mark.parametrize(("before", "after"), [(0.0, 90.0), (0.0499, 90.0), (0.05, 0.05), (0.0505, 0.0505)])
    def test_nothing_is_never_held(self, before: float, after: float) -> None:
        departed = Departed(300)
        departed.step(Limit(before, "stopped"), frozenset({A, B}), 0)
        assert departed.step(Limit(90, "strong"), frozenset({A}), 1).amps == after

    def test_one_after_the_other(self) -> None:
        departed = Departed(300)
        departed.step(Limit(30, "all"), frozenset({A, B, C}), 0)
        departed.step(Limit(50, "two"), frozenset({A, B}), 100)
        held = departed.step(Limit(90, "one"), frozenset({A}), 200)
        assert (held.amps, held.why.count("fell out")) == (30, 1)
        assert departed.step(Limit(90, "one"), frozenset({A}), 450).amps == 30
        assert departed.step(Limit(90, "one"), frozenset({A}), 501).amps == 90
