"""Which of the units that scans found look like one battery."""

from dataclasses import replace

import pytest

from jkbms_addon.battery.sight import Sight
from jkbms_addon.doctor.same import same

CELLS = (3.3,) * 16
A = Sight(("a", 1), 100.0, -5000.0, cycled=812.5, cells=CELLS)
B = Sight(("b", 7), 130.0, -5001.2, cycled=812.6, cells=CELLS)


def test_by_running_time_or_by_serial_number() -> None:
    assert same([A, B]) == ["a/1 and b/7 look like one battery (equal running times)"]
    one, other = replace(A, serial="40119491481", began=None), replace(B, serial="40119491481")
    assert same([one, other]) == ["a/1 and b/7 look like one battery (equal serial numbers, 40119491481)"]
    assert same([A], [B]) == same([A, B])
    assert same([], [A, B]) == []  # what was known is not told


@pytest.mark.parametrize(
    "other",
    [
        replace(B, wire=("a", 7)),  # one bus: two units
        replace(B, began=-5030.0),
        replace(B, began=None),
        replace(B, cycled=900.0),
        replace(B, cycled=0.0),
        replace(B, cells=CELLS[:8]),
        replace(B, serial="40119491482"),
    ],
)
def test_what_proves_nothing(other: Sight) -> None:
    first = replace(A, serial="40119491481") if other.serial else A
    assert same([first, other]) == []


def test_a_third_unit_that_runs_for_as_long_leaves_it_open() -> None:
    assert same([A, B, replace(A, wire=("a", 2), began=-5040.0)]) == []


def test_a_serial_number_that_two_units_of_one_bus_tell_proves_nothing() -> None:
    copied = [replace(A, wire=("a", n), began=-1000.0 * n, serial="40119491481") for n in (1, 2)]
    assert same([*copied, replace(B, began=-9000.0, serial="40119491481")]) == []


def test_cells_that_differ_at_the_same_moment_are_two_batteries() -> None:
    assert same([A, replace(B, at=100.5, cells=(3.4,) * 16)]) == []
