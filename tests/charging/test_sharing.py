"""Measured shares."""

import pytest

from jkbms_addon.bank.bank import BatteryBank
from jkbms_addon.bank.candidate import View
from jkbms_addon.charging.sharing import Shares, capacity_of
from tests.bank.packs import candidate, values


def views(*currents: float, capacity: float | None = 100.0) -> tuple[View, ...]:
    told = [values(current=current, full_charge_capacity=capacity) for current in currents]
    return BatteryBank().step([candidate(n, one) for n, one in enumerate(told, 1)], 0.0).counted


def test_a_mean_of_a_minute() -> None:
    shares, packs = Shares(), views(-60.0, -20.0)
    key = packs[0].key
    assert shares.of(key, 0.4) == 0.4
    shares.step(packs, -80.0, 200.0, 6.0)
    assert shares.of(key, 0.4) == pytest.approx(0.5 + 0.1 * 0.25)
    shares.step(packs, -80.0, 200.0, 60.0)
    assert shares.of(key, 0.4) == pytest.approx(0.75)
    shares.step(packs, -80.0, 200.0, 600.0)
    assert shares.of(key, 0.4) == pytest.approx(0.75)


@pytest.mark.parametrize(("current", "measured"), [(-20.0, False), (-20.1, True), (20.1, False)])
def test_only_under_load(current: float, measured: bool) -> None:
    shares, packs = Shares(), views(current, 0.0)
    shares.step(packs, current, 200.0, 60.0)
    assert (shares.of(packs[0].key, 0.4) == pytest.approx(1.0)) is measured


def test_a_pack_that_is_charged_by_the_others_carries_nothing() -> None:
    shares, packs = Shares(), views(-60.0, 5.0)
    shares.step(packs, -55.0, 200.0, 60.0)
    assert shares.of(packs[1].key, 0.4) == 0


def test_an_unknown_capacity_is_that_of_a_small_pack() -> None:
    (one,) = BatteryBank().step([candidate(1, values(full_charge_capacity=None))], 0.0).counted
    assert capacity_of(one) == 50
