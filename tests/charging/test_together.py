"""The bank in numbers: which packs make which of them."""

from typing import Any

import pytest

from jkbms_addon.bank.bank import BankState, BatteryBank
from jkbms_addon.charging.together import Together, together
from tests.bank.packs import candidate, values, with_cell

STUCK = ("cell_count_differs_from_setting",)  # a fault for which a pack does not count


def bank(*told: dict[str, Any]) -> BankState:
    return BatteryBank().step([candidate(n, one) for n, one in enumerate(told, 1)], 0.0)


def of(*told: dict[str, Any]) -> Together:
    return together(bank(*told))


LOW = with_cell(3, 3.28, current=4.0, full_charge_capacity=100.0, state_of_charge=40)  # 52.78 V, 20 mV
HIGH = with_cell(5, 3.36, 3.31, current=-1.0, full_charge_capacity=300.0, state_of_charge=80)  # 53.01 V, 50 mV


def test_two_packs() -> None:
    one = of(LOW, HIGH)
    assert (one.voltage, one.hot, one.low, one.spread) == pytest.approx((53.01, 3.36, 3.28, 0.05))
    assert (one.current, one.capacity, one.state_of_charge, one.cells) == pytest.approx((3.0, 400.0, 70.0, 16))
    assert one.hottest.high.label == "2-5"
    assert one.battery.voltage == one.voltage
    assert (one.battery.hot, one.battery.current, one.battery.capacity, one.battery.cells) == (3.36, 3.0, 400.0, 16)


def test_only_closed_packs_are_charged_but_all_are_carried() -> None:
    """Voltage, highest cell and spread are those of closed packs; lowest cell, current and Ah those of all."""
    one = of(LOW, HIGH | {"charging": False})
    assert (one.voltage, one.hot, one.spread) == pytest.approx((52.78, 3.30, 0.02))
    assert (one.low, one.current, one.capacity) == pytest.approx((3.28, 3.0, 400.0))
    other = of(LOW | {"charging": False}, HIGH)
    assert (other.voltage, other.hot, other.spread) == pytest.approx((53.01, 3.36, 0.05))
    assert (other.low, other.current, other.capacity) == pytest.approx((3.28, 3.0, 400.0))


def test_where_none_is_closed_all_count() -> None:
    one = of(LOW | {"charging": False}, HIGH | {"charging": False})
    assert (one.voltage, one.hot, one.spread) == pytest.approx((53.01, 3.36, 0.05))


def test_the_fewest_cells_in_series_count() -> None:
    fifteen = values(cells=(3.52,) * 15, cell_count=15.0)
    assert of(LOW, fifteen).cells == 15
    assert of(fifteen, LOW).cells == 15


@pytest.mark.parametrize(
    ("cell", "closed", "where"),
    [(3.50, True, "2-7"), (3.50, False, "1-5"), (3.37, True, "2-7"), (3.36, True, "1-5"), (3.30, True, "1-5")],
)
def test_a_higher_cell_that_is_heard_counts_even_where_its_pack_does_not(cell: float, closed: bool, where: str) -> None:
    seen = bank(HIGH, with_cell(7, cell, 3.30, alarms=STUCK, charging=closed))
    assert [view.key for view in seen.counted] == [("garage", 1)]
    one = together(seen)
    assert one.hottest.high.label == where
    assert one.hot == max(3.36, cell if closed else 0.0)
    assert one.voltage == pytest.approx(53.01)


def test_a_pack_that_does_not_say_its_capacity_is_a_small_one() -> None:
    assert of(values(full_charge_capacity=None)).capacity == 50.0
