"""How much is told of noise, and that nothing that matters is held back."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from jkbms_addon.battery.reading import derive
from jkbms_addon.views.battery import split, table
from jkbms_addon.views.quiet import BANDS, SUMS, Calm

STEP = 2.0  # s between two readings, as by default
ENABLED = {key for key, spec in table().items() if spec.enabled}


def pack(dice: random.Random, current: float, cells: list[float] | None = None) -> dict[str, Any]:
    """What a 16-cell pack says with noise of 0.6 mV a cell and 0.15 A, in the digits of its frame."""
    volts = [round(cell + dice.gauss(0, 0.0006), 3) for cell in cells or [3.3 + 0.001 * n for n in range(16)]]
    values: dict[str, Any] = {
        "cell_voltage": tuple(volts),
        "total_voltage": round(sum(volts), 3),
        "current": round(current + dice.gauss(0, 0.15), 3),
        "state_of_charge": 57,
        "mosfet_temperature": round(24.0 + dice.gauss(0, 0.1), 1),
        "temperature_sensor_1": round(21.0 + dice.gauss(0, 0.1), 1),
        "temperature_sensor_2": round(21.0 + dice.gauss(0, 0.1), 1),
        "capacity_remaining": 160.0,
        "balancing_current": 0.0,
        "total_runtime": 1000,
        "alarms": (),
    }
    derive(values)
    return split(values, ("charge_mosfet_anomaly",))["state"]


def rows(calm: Calm, readings: Sequence[Mapping[str, Any]]) -> tuple[Counter[str], dict[str, Any]]:
    """How often each key was told anew, and what is told in the end."""
    found: Counter[str] = Counter()
    before: dict[str, Any] = dict(calm.told(readings[0], 0.0))
    for number, reading in enumerate(readings[1:], 1):
        told = dict(calm.told(reading, STEP * number))
        found.update(key for key, value in told.items() if value != before.get(key))
        before = told
    return found, before


def test_a_calm_pack_makes_few_rows_and_no_entry_of_the_logbook() -> None:
    dice, minutes = random.Random(1), 20
    for current in (0.0, 12.0, -60.0):
        found, _ = rows(Calm(table()), [pack(dice, current) for _ in range(30 * minutes)])
        enabled = {key: count / minutes for key, count in found.items() if key in ENABLED}
        assert sum(enabled.values()) <= 40, (current, enabled)
        logged = [key for key in enabled if not (table()[key].unit or table()[key].state_class)]
        assert logged == [], current


def test_while_power_changes_quickly_there_are_more_but_not_many() -> None:
    dice, minutes = random.Random(2), 10
    swing = [dice.uniform(-150, 150) for _ in range(30 * minutes)]
    sagging = [[3.3 + 0.001 * cell + 0.0002 * current for cell in range(16)] for current in swing]  # 0.2 mOhm a cell
    found, _ = rows(Calm(table()), [pack(dice, current, cells) for current, cells in zip(swing, sagging, strict=True)])
    assert found["current"] / minutes > 27  # each of them is told
    assert sum(count for key, count in found.items() if key in ENABLED) / minutes <= 120


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        ("current", 10.0, 11.0),
        ("current", 0.3, -0.3),
        ("power", 500.0, 530.0),
        ("cell_voltage_3", 3.300, 3.305),
        ("mosfet_temperature", 20.0, 20.5),
        ("state_of_charge", 57, 56),
        ("charging", True, False),
        ("problem", False, True),
        ("errors", "", "Cell under-voltage protection"),
        ("total_voltage", 52.0, None),
        ("total_voltage", None, 52.0),
    ],
)
def test_what_matters_is_told_at_once(key: str, before: Any, after: Any) -> None:
    calm = Calm(table())
    assert calm.told({key: before} if before is not None else {}, 0.0).get(key) == before
    assert calm.told({key: after} if after is not None else {}, 45.0).get(key) == after


def test_what_follows_from_the_load_is_told_once_a_minute() -> None:
    calm = Calm({})
    for now, hours, error in ((0.0, 8.0, 2.0), (20.0, 7.0, 9.0), (40.0, 8.8, 40.0), (61.0, 7.5, 30.0)):
        told = dict(calm.told({"time_to_empty": hours, "sharing_error": error}, now))
        assert told == ({"time_to_empty": 7.5, "sharing_error": 30.0} if now > 60 else told | {"sharing_error": 2.0})
        assert now > 60 or told["time_to_empty"] == 8.0


def test_a_bank_waits_for_its_other_packs() -> None:
    """They tell the same change of the load one after the other, within two seconds."""
    calm = Calm({}, SUMS)
    steps = ((0.0, 100.0, 100.0), (0.5, 110.0, 100.0), (1.0, 120.0, 100.0), (2.0, 130.0, 130.0), (2.5, 140.0, 130.0))
    for now, power, told in (*steps, (2.6, 900.0, 130.0), (3.9, 800.0, 130.0), (4.1, 800.0, 800.0)):
        assert calm.told({"power": 10 * power}, now)["power"] == 10 * told


def test_a_dead_band_grows_with_the_value() -> None:
    calm = Calm(table())
    for current, told in ((100.0, 100.0), (104.0, 100.0), (95.1, 100.0), (105.0, 105.0), (0.0, 0.0), (0.4, 0.0)):
        assert calm.told({"current": current}, 1.0)["current"] == told


def test_a_cell_that_leaps_is_told_at_once_and_otherwise_not_too_often() -> None:
    calm = Calm(table())
    steps = ((3.3, 0), (3.306, 20), (3.306, 45), (3.312, 50), (3.42, 52))
    assert [calm.told({"cell_voltage_1": volts}, at)["cell_voltage_1"] for volts, at in steps] == [
        *(3.3, 3.3, 3.306),
        *(3.306, 3.42),
    ]


def test_what_hardly_moved_is_told_after_a_minute() -> None:
    calm = Calm(table())
    assert [calm.told({"cell_voltage_1": 3.3 + 0.001 * (at > 0)}, at)["cell_voltage_1"] for at in (0, 59, 60)] == [
        3.3,
        3.3,
        3.301,
    ]


def test_values_are_told_in_the_digits_that_are_shown() -> None:
    told = Calm(table()).told(
        {"current": 1.23456, "power": 70.04, "cell_voltage_1": 3.30049, "unknown_key": 0.123456}, 0.0
    )
    assert told == {"current": 1.23, "power": 70.0, "cell_voltage_1": 3.3, "unknown_key": 0.123456}


def leading(calm: Calm, cells: tuple[float, float], at: float) -> Any:
    lowest = 1 if cells[0] <= cells[1] else 2
    values = {"cell_voltage_1": cells[0], "cell_voltage_2": cells[1], "min_voltage_cell": lowest}
    return calm.told(values, at)["min_voltage_cell"]


def test_another_cell_leads_when_it_does_so_clearly_and_for_a_while() -> None:
    calm = Calm(table())
    assert leading(calm, (3.300, 3.301), 0) == 1
    assert leading(calm, (3.302, 3.301), 10) == 1  # by a millivolt
    assert leading(calm, (3.303, 3.301), 20) == 1
    assert leading(calm, (3.300, 3.301), 40) == 1  # the lead is lost
    assert leading(calm, (3.304, 3.301), 50) == 1
    assert leading(calm, (3.304, 3.301), 79) == 1
    assert leading(calm, (3.304, 3.301), 80) == 2


def test_a_key_that_is_not_known_any_more_is_not_told() -> None:
    calm = Calm(table())
    calm.told({"current": 1.0, "power": 2.0}, 0.0)
    assert calm.told({"power": 2.0}, 1.0) == {"power": 2.0}
    assert calm.told({"current": 1.1, "power": 2.0}, 2.0)["current"] == 1.1


def test_after_forgetting_everything_is_told_as_it_is() -> None:
    calm = Calm(table())
    calm.told({"current": 10.0}, 0.0)
    calm.forget()
    assert calm.told({"current": 10.2}, 1.0) == {"current": 10.2}


def test_a_reason_in_which_only_numbers_differ_is_no_news() -> None:
    calm = Calm(table())
    texts = (("3.41 V at cell 5", 0), ("3.42 V at cell 6", 2), ("12 s without data", 4), ("13 s without data", 904))
    told = [calm.told({"charge_current_reason": text}, at)["charge_current_reason"] for text, at in texts]
    assert told == [texts[0][0], texts[0][0], texts[2][0], texts[3][0]]


def test_bands_are_about_keys_that_exist() -> None:
    from jkbms_addon.views import bank, inverter

    known = {*table(), *bank.ENTITIES, *inverter.ENTITIES, "stored_energy", "quality"}
    assert set(BANDS) <= known
