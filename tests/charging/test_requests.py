"""What is asked of the grid, and the charge that is told."""

from typing import Any

import pytest

from jkbms_addon.charging.requests import Requests, Wanted
from jkbms_addon.charging.setpoints import GRID_CHARGE, Setpoints
from jkbms_addon.charging.told_charge import ToldCharge
from tests.bank.packs import Bench, candidate, got, values, with_cell


def asked(requests: Requests, grid: Any, current: float = 0.0, *, starving: bool = False, due: bool = False) -> Wanted:
    return requests.step(grid, current, 100.0, 360.0, starving=starving, due=due)


@pytest.mark.parametrize(
    ("grid", "now", "full"), [("never", False, False), ("emergency", True, False), ("full", True, True)]
)
def test_nothing_that_the_owner_does_not_want(grid: Any, now: bool, full: bool) -> None:
    assert asked(Requests(), grid, starving=True, due=True) == Wanted(now, full)
    assert asked(Requests(), grid) == Wanted()


def test_an_emergency_lasts_until_some_was_charged() -> None:
    requests = Requests()
    asked(requests, "emergency", starving=True)
    assert asked(requests, "emergency", 30.0).now  # 3 Ah
    assert asked(requests, "emergency", -5.0).now
    assert asked(requests, "emergency", 24.95).now  # 4.995 Ah
    assert not asked(requests, "emergency", 2.0).now
    assert not asked(requests, "emergency").now


def test_what_is_discharged_is_no_debt_beyond_nothing() -> None:
    requests = Requests()
    asked(requests, "emergency", starving=True)
    asked(requests, "emergency", -100.0)
    assert not asked(requests, "emergency", 50.0).now


class TestBank:
    EMPTY = with_cell(4, 2.85, current=-2.0)
    HUNGRY = with_cell(4, 3.05, current=0.0)

    @pytest.mark.parametrize(
        ("told", "wanted"),
        [
            ((EMPTY, EMPTY), True),
            ((EMPTY, HUNGRY), True),
            ((HUNGRY, HUNGRY), True),
            ((EMPTY, values(current=-2.0)), False),
            ((HUNGRY, with_cell(4, 3.051, current=0.0)), False),
            ((HUNGRY, with_cell(4, 3.05, current=2.0)), False),
            ((HUNGRY, with_cell(4, 3.05, current=-1.99)), True),
        ],
    )
    def test_an_emergency_is_every_pack(self, told: Any, wanted: bool) -> None:
        bench = Bench(Setpoints(grid_charge="emergency"))
        decision = bench.run(*(candidate(n, one) for n, one in enumerate(told, 1)), seconds=30)
        assert decision.wanted == Wanted(now=wanted)

    def test_the_default_asks_for_nothing(self) -> None:
        assert Bench().run(candidate(told=self.EMPTY)).wanted == Wanted()
        assert GRID_CHARGE == ("never", "emergency", "full")

    def test_not_while_charging_is_stopped(self) -> None:
        bench = Bench(Setpoints(grid_charge="emergency"))
        cold = self.EMPTY | {"temperature_sensor_1": -5.0}
        assert not bench.run(candidate(told=cold), seconds=30).wanted.now


def told(
    one: ToldCharge, charge: float, low: float, *, resting: bool = True, empty: bool = False, now: float = 0.0
) -> float:
    return one.step(charge, low, (3.20, 3.10, 3.00), 15.0, now, resting=resting, empty=empty)[0]


def rested(low: float = 3.21, seconds: float = 60.0, *, resting: bool = True) -> ToldCharge:
    one = ToldCharge()
    for now in (0, 15, 30, 45, seconds):
        told(one, 5, low, now=now, resting=resting)
    return one


@pytest.mark.parametrize(
    ("one", "charge", "low", "shown"),
    [
        (rested(), 5, 3.15, 15),
        (rested(), 5, 3.10, 15),
        (rested(), 5, 3.09, 5),
        (rested(), 1, 3.09, 2),
        (rested(), 1, 3.01, 2),
        (rested(), 1, 3.00, 1),
        (rested(), 40, 3.30, 40),
        (rested(seconds=59.9), 5, 3.15, 5),
        (rested(3.20), 5, 3.15, 5),
        (rested(resting=False), 5, 3.15, 5),
        (ToldCharge(), 0, 3.30, 2),
    ],
)
def test_at_least_the_floor_once_the_cells_have_rested_high(
    one: ToldCharge, charge: float, low: float, shown: float
) -> None:
    assert told(one, charge, low, resting=False, now=61) == shown


def test_once_low_it_has_to_rest_again() -> None:
    one = rested()
    told(one, 5, 3.09, resting=False, now=70)
    assert told(one, 5, 3.30, resting=False, now=80) == 5


def test_an_empty_battery_has_one_percent_at_most() -> None:
    one = rested()
    assert one.step(30, 3.3, (3.2, 3.1, 3.0), 15, 70, resting=True, empty=True) == (1, "all packs are empty")
    assert one.step(0.5, 3.3, (3.2, 3.1, 3.0), 15, 71, resting=True, empty=True) == (0.5, "")
    assert one.step(1, 3.3, (3.2, 3.1, 3.0), 15, 71, resting=True, empty=True) == (1, "")
    assert one.step(5, 3.3, (3.2, 3.1, 3.0), 15, 72, resting=True, empty=False) == (15, "no cell is below 3.30 V")
    assert one.step(15, 3.3, (3.2, 3.1, 3.0), 15, 73, resting=True, empty=False) == (15, "")


def test_the_charge_is_told_as_it_is_unless_it_decides() -> None:
    empty = with_cell(4, 2.85, current=-2.0, state_of_charge=30)
    assert Bench().run(candidate(told=empty), seconds=30).state_of_charge == 30
    follows = Bench(Setpoints(soc_follows=True)).run(candidate(told=empty), seconds=30)
    assert (follows.state_of_charge, follows.reasons["state_of_charge"]) == (1, "all packs are empty")
    drifted = values(3.30, current=1.9, state_of_charge=3)
    bench = Bench(Setpoints(soc_follows=True, soc_floor=12))
    assert bench.run(candidate(told=drifted), seconds=60).state_of_charge == 3
    assert got(bench.step(candidate(told=drifted))).state_of_charge == 12
    loaded = Bench(Setpoints(soc_follows=True)).run(candidate(told=drifted | {"current": -2.0}), seconds=100)
    assert loaded.state_of_charge == 3
