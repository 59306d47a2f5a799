"""What is remembered: beginnings, names of packs, and how exactly."""

import re
from inspect import getsource
from math import inf
from typing import Any

import pytest

from jkbms_addon.bank.bank import LASTING, Lasting
from jkbms_addon.battery.quantities import specs
from jkbms_addon.charging import cell_limits, derating
from jkbms_addon.charging.memory import WEEK, Asleep, Memory, finite, infinite, keys, noted
from jkbms_addon.charging.phases import Progress
from jkbms_addon.charging.voltage import ChargeVoltage
from tests.bank.packs import WALL


def test_an_empty_memory_is_a_beginning() -> None:
    assert Memory().progress() == Progress()
    voltage = ChargeVoltage(Memory())
    assert (voltage.trim.value, voltage.float_trim.value, voltage.brake.value, voltage.sent) == (inf, 0.0, inf, inf)
    assert (Memory().empty, Memory().seen, Memory().asleep) == ((), {}, None)


@pytest.mark.parametrize(
    ("age", "expected"),
    [(0.0, True), (1.0, True), (WEEK, True), (WEEK + 1, False), (-1.0, False)],
)
def test_packs_of_the_last_week_are_expected(age: float, expected: bool) -> None:
    assert Memory(seen={"garage/3": WALL - age}).expected(WALL) == (frozenset({("garage", 3)}) if expected else set())
    assert WEEK == 7 * 24 * 60 * 60


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("garage/0", ("garage", 0)),
        ("garage/255", ("garage", 255)),
        ("garage/999", ("garage", 999)),
        ("garage/1000", None),
        ("garage/", None),
        ("garage", None),
        ("garage/1.5", None),
        ("garage/-1", None),
        ("garage/²", None),
        ("garage/٣", None),
    ],
)
def test_names_of_packs(name: str, key: tuple[str, int] | None) -> None:
    assert list(keys([name])) == ([] if key is None else [key])


def test_voltages_are_kept_to_the_millivolt() -> None:
    assert finite(54.12345) == 54.123
    assert finite(54.1239) == 54.124
    assert finite(inf) is None
    assert (infinite(None), infinite(54.1)) == (inf, 54.1)


def test_a_file_without_the_number_of_packs_is_read() -> None:
    kept = Asleep.model_validate(
        {
            "at": 1.0,
            "voltage": 45.0,
            "current": 0.0,
            "state_of_charge": 3.0,
            "cells": 16,
            "chemistry": "LFP",
            "charge": 3.45,
            "floating": 3.35,
            "empty": 2.9,
            "least": 46.4,
        }
    )
    assert (kept.packs, kept.coldest, kept.state_of_health, kept.capacity) == (0, None, None, None)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"a/1": {"max_charge_current": 30}}, {("a", 1): {"max_charge_current": 30}}),
        ({"a/1": {"battery_type": "LTO", "cell_count": 16}}, {("a", 1): {"battery_type": "LTO"}}),
        ({"a/1": {"max_charge_current": "LTO"}, "a/2": {}}, {("a", 2): {}}),  # no number
        ({"a": {"max_charge_current": 30}}, {}),
        ({"a/1": {"nonsense": 3.0}}, {("a", 1): {}}),
    ],
)
def test_settings_of_packs(settings: Any, told: Any) -> None:
    assert Memory.model_validate({"settings": settings}).told() == told


def test_limits_are_made_from_nothing_else() -> None:
    """What is read of the settings of a pack is remembered."""
    read = [name for name in specs() if re.search(rf"pack\.{name}\b", "".join(map(getsource, (cell_limits, derating))))]
    assert set(read) == set(LASTING)


def test_what_no_setting_can_be_is_not_noted() -> None:
    settings: dict[tuple[str, int], Lasting] = {
        ("a", 1): {"max_charge_current": 1e9, "max_discharge_current": -1e5, "battery_type": "lead"},
        ("a", 2): {"max_charge_current": 30.0},
    }
    assert noted(settings, ["a/1"]) == {"a/1": {"max_discharge_current": -1e5}}
