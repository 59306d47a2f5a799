"""Trim, float trim and brake: rates, marks and ends."""

from math import inf
from typing import Any

import pytest

from jkbms_addon.charging.trim import Battery, Brake, FloatTrim, Trim


def battery(voltage: float = 55.0, hot: float | None = None, current: float = 10.0, capacity: float = 100.0) -> Battery:
    return Battery(voltage, voltage / 16 if hot is None else hot, current, capacity, 16)


def trimmed(start: float, seconds: float = 1.0, **state: Any) -> float:
    trim = Trim(start)
    return trim.step(battery(**state), 3.45, 3.35, seconds)


@pytest.mark.parametrize(
    ("hot", "fall"),
    [(3.4699, 0.0), (3.471, 0.0125), (3.474, 0.02), (3.482, 0.04), (3.506, 0.1), (3.60, 0.1)],
)
def test_a_runner_cell_lets_it_fall_the_faster_the_higher_it_is(hot: float, fall: float) -> None:
    assert trimmed(55.0, voltage=54.8, hot=hot) == pytest.approx(55.0 - fall, abs=1e-6)


@pytest.mark.parametrize(
    ("voltage", "fall"),
    [
        (55.23, 0.0),
        (55.24, 0.01 * (1 + 3 * 0.01 / 16 / 0.004)),
        (55.4, 0.01 * (1 + 3 * 0.17 / 16 / 0.004)),
        (55.55, 0.1),
    ],
)
def test_a_battery_above_its_ceiling_does_the_same(voltage: float, fall: float) -> None:
    assert trimmed(55.2, voltage=voltage, hot=3.44) == pytest.approx(55.2 - fall if fall else inf, abs=1e-6)


def test_it_gets_below_the_battery_but_not_far_and_not_below_float() -> None:
    trim = Trim()
    for _ in range(100):
        value = trim.step(battery(54.9, hot=3.56), 3.45, 3.35, 1.0)
    assert value == pytest.approx(54.4)
    for _ in range(100):
        value = trim.step(battery(53.9, hot=3.56), 3.45, 3.35, 1.0)
    assert value == pytest.approx(53.6)
    assert trimmed(53.0, voltage=54.9, hot=3.56) == 53.0  # it is never raised by what should lower it


@pytest.mark.parametrize(
    ("hot", "voltage", "start", "value"),
    [
        (3.456, 54.7, inf, 55.0),  # from the ceiling at 0.2 V/s
        (3.456, 54.7, 55.1, 55.0),  # down to 0.3 V above the battery
        (3.456, 54.7, 54.8, 54.8),
        (3.455, 54.7, 55.1, 55.1),  # not yet
        (3.456, 55.15, 55.19, 55.19),  # not ahead of the others
    ],
)
def test_a_cell_that_runs_ahead_is_met_early(hot: float, voltage: float, start: float, value: float) -> None:
    assert trimmed(start, voltage=voltage, hot=hot) == pytest.approx(value)


@pytest.mark.parametrize(
    ("start", "voltage", "hot", "seconds", "value"),
    [
        (54.0, 54.5, 3.44, 1, 54.005),
        (54.0, 54.5, 3.44, 10, 54.05),
        (54.499, 54.5, 3.44, 1, 54.5),  # up to the battery, not past it at that rate
        (54.6, 54.5, 3.44, 60, 54.65),
        (54.6, 54.5, 3.45, 60, 54.6),  # a cell that is there holds it
        (54.6, 55.18, 3.44, 60, 54.6),  # and so does a battery that is there
        (55.19, 54.5, 3.44, 60, inf),
    ],
)
def test_it_rises_slowly_again(start: float, voltage: float, hot: float, seconds: float, value: float) -> None:
    assert trimmed(start, seconds, voltage=voltage, hot=hot) == pytest.approx(value)


def test_without_trouble_there_is_none() -> None:
    trim = Trim()
    trim.step(battery(54.0), 3.45, 3.35, 1.0)
    assert (trim.value, trim.active) == (inf, False)
    trim.step(battery(54.0, hot=3.5), 3.45, 3.35, 1.0)
    assert trim.active


@pytest.mark.parametrize(
    ("voltage", "current", "start", "value"),
    [
        (53.49, 1.4, 0.0, 0.05),
        (53.49, 1.5, 0.0, 0.0),
        (53.50, 0.0, 0.0, 0.0),
        (53.49, 0.0, 0.38, 0.4),
        (53.71, 0.1, 0.0, -0.05),
        (53.71, 0.0, 0.0, 0.0),
        (53.70, 1.0, 0.0, 0.0),
        (53.71, 1.0, -0.38, -0.4),
    ],
)
def test_float_trim(voltage: float, current: float, start: float, value: float) -> None:
    trim = FloatTrim(start)
    trim.step(battery(voltage, current=current), 3.35, 60.0)
    assert trim.value == pytest.approx(value)


class TestBrake:
    @pytest.mark.parametrize(
        ("current", "capacity", "brakes"), [(0.31, 100, True), (0.3, 100, False), (0.5, 300, False)]
    )
    def test_begins_after_twenty_seconds_of_current_that_should_not_flow(
        self, current: float, capacity: float, brakes: bool
    ) -> None:
        brake = Brake()
        for now in range(20):
            assert brake.step(battery(53.0, None, current, capacity), 3.0, now, 1.0, stopped=True) == inf
        value = brake.step(battery(53.0, None, current, capacity), 3.0, 20, 1.0, stopped=True)
        assert value == (pytest.approx(52.99) if brakes else inf)

    def test_goes_down_while_it_flows_and_holds_while_it_does_not(self) -> None:
        brake = Brake(52.5)
        assert brake.step(battery(53.0), 3.0, 0, 10.0, stopped=True) == pytest.approx(52.4)
        assert brake.step(battery(53.0, current=0.0), 3.0, 10, 10.0, stopped=True) == pytest.approx(52.4)
        assert brake.step(battery(52.0), 3.0, 20, 10.0, stopped=True) == pytest.approx(51.9)  # from the battery down

    def test_has_a_floor_and_an_end(self) -> None:
        brake = Brake(48.05)
        assert brake.step(battery(53.0), 3.0, 0, 10.0, stopped=True) == 48.0
        assert brake.step(battery(53.0), 3.0, 10, 10.0, stopped=False) == inf
        assert brake.step(battery(53.0), 3.0, 20, 10.0, stopped=True) == inf
