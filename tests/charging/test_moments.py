"""Moments on a raster, and how long something lasts."""

import pytest

from jkbms_addon.charging.cadence import Cadence
from jkbms_addon.charging.lasting import GAP, Lasting


@pytest.mark.parametrize(
    ("offset", "nows", "dues"),
    [
        (0.0, (0.0, 1.0, 2.0), (1.0, 2.0, 3.0)),
        (0.0, (10.4, 11.0, 12.3), (11.0, 12.0, 13.0)),
        (0.0, (10.0, 12.0), (11.0, 13.0)),  # exactly one was missed: the next one lies in the future
        (0.0, (10.0, 15.7), (11.0, 16.0)),
        (-0.05, (10.5, 10.96), (10.95, 11.95)),
        (-0.05, (10.97,), (11.95,)),
        (0.25, (10.1, 10.3), (10.25, 11.25)),
        (0.25, (10.25,), (11.25,)),
    ],
)
def test_moments(offset: float, nows: tuple[float, ...], dues: tuple[float, ...]) -> None:
    cadence = Cadence(offset)
    assert [cadence.next(now) for now in nows] == pytest.approx(dues)


def test_lasting() -> None:
    one = Lasting()
    assert [one.step(holds, now) for now, holds in enumerate((False, True, True, False, True, True, True))] == [
        *(0.0, 0.0, 1.0),
        *(0.0, 0.0, 1.0, 2.0),
    ]
    one.clear()
    assert one.step(True, 20.0) == 0.0


@pytest.mark.parametrize(("gap", "lasted"), [(GAP, GAP), (GAP + 0.1, 0.0)])
def test_what_nobody_has_looked_at_has_not_lasted(gap: float, lasted: float) -> None:
    one = Lasting()
    one.step(True, 5.0)
    assert one.step(True, 5.0 + gap) == lasted
    assert GAP == 15
