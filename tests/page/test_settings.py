"""What is usual for a setting, by the cells that there are."""

from types import MappingProxyType

import pytest

from jkbms_addon.battery.chemistry import CELLS, PRESETS, Name
from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.snapshot import Part, Snapshot
from jkbms_addon.charging.chemistry import CHEMISTRIES
from jkbms_addon.page.parts import SETTINGS
from jkbms_addon.page.settings import OWN, chemistries, usual


def pack(address: int, at: float = 0.0, **told: Value) -> Snapshot:
    return Snapshot("garage", address, parts=MappingProxyType({"settings": Part(told, at, at + 1)}))


def test_each_chemistry_is_told_once_and_in_order() -> None:
    packs = [
        pack(1, cell_voltage_overvoltage_protection=2.7),
        pack(2, cell_voltage_overvoltage_protection=3.6, battery_type="Li-ion"),
        pack(3, cell_voltage_overvoltage_protection=3.65),
        pack(4, at=-1e6, battery_type="Li-ion"),  # silent for long, and shown all the same
        pack(5),
    ]
    assert chemistries(packs, None) == ["LFP", "Li-ion", "LTO"]
    assert chemistries(packs[:3], None) == ["LFP", "LTO"]
    assert chemistries(packs[:3], "Li-ion") == ["Li-ion"]
    assert chemistries(packs[4:], None) == []


def test_what_is_usual_is_told_for_each_chemistry() -> None:
    assert usual("power_off_voltage", ["LFP", "LTO"]) == [("preset", "LFP", 2.5), ("preset", "LTO", 1.7)]
    assert usual("charge_undertemperature_recovery", ["LFP", "Li-ion"]) == [("preset", "LFP", 7.0)]
    assert usual("cell_request_float_voltage", ["Li-ion"]) == [("preset", "Li-ion", 4.1), ("own", "Li-ion", 4.0)]


def test_what_does_not_depend_on_chemistry_is_told_without_one() -> None:
    assert usual("short_circuit_protection_delay", ["LFP", "LTO"]) == [("preset", None, 1500)]
    assert usual("short_circuit_protection_delay", []) == [("preset", None, 1500)]  # nor where none is known


@pytest.mark.parametrize("key", ["max_charge_current", "total_battery_capacity", "heating_start_temperature", "cells"])
def test_nothing_is_told_where_nothing_is_known(key: str) -> None:
    assert usual(key, CELLS) == []


@pytest.mark.parametrize("name", CELLS)
def test_what_the_charge_control_has_of_its_own_is_what_it_uses(name: Name) -> None:
    told = {key: [value for kind, _, value in usual(key, [name]) if kind != "preset"] for key in OWN}
    own = CHEMISTRIES[name]
    assert told == {
        "cell_request_charge_voltage": [own.charge],
        "cell_request_float_voltage": [own.floating],
        "charge_overtemperature_protection": [own.hot],
        "charge_undertemperature_protection": [own.cold],
        "discharge_overtemperature_protection": [own.discharge_hot],
        "discharging_low_temperature_protection": [own.discharge_cold],
    }
    assert {*OWN, *PRESETS} <= set(SETTINGS)
