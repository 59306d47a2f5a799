"""What is remembered: beginnings, names of packs, and how exactly."""

from math import inf

import pytest

from jkbms_addon.charging.memory import WEEK, Asleep, Memory, finite, infinite, keys
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
