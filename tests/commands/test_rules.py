from typing import Any

import pytest

from jkbms_addon.battery.chemistry import CELLS, PRESETS, Name, presets
from jkbms_addon.battery.quantities import Scalar, specs
from jkbms_addon.commands.command import LONGEST, value_of
from jkbms_addon.commands.rules import (
    LEVELS,
    RULES,
    Rule,
    allowed_range,
    cells_of,
    check_rules,
    checked,
    documented,
    is_cell_voltage,
    permitted,
    same,
    shown,
)
from jkbms_addon.errors import CommandError
from jkbms_addon.simulator.pb import SimulatedBms, default_settings
from jkbms_addon.wire.pb.registers import WRITABLE


def parsed(key: str, payload: str, values: dict[str, Any]) -> Scalar:
    """As a command goes: a value first, then its range."""
    return checked(key, value_of(key, payload), values)


BY_NAME = pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.lower}<{rule.upper}")
VALUES: dict[str, Any] = {**default_settings(SimulatedBms(1)), "battery_type": "LFP"}


def unit(key: str) -> str:
    return f" {specs()[key].unit}"


@BY_NAME
def test_a_pair_that_breaks_a_rule_is_refused_from_both_sides(rule: Rule) -> None:
    values = {rule.lower: 10.0, rule.upper: 20.0}
    check_rules(rule.lower, 19.9, values)
    check_rules(rule.upper, 10.1, values)
    with pytest.raises(CommandError) as low:
        check_rules(rule.lower, 20.1, values)
    with pytest.raises(CommandError) as high:
        check_rules(rule.upper, 9.9, values)
    side = " or equal to" if rule.equal else ""
    upper, lower = f"{rule.upper}, which is 20.0{unit(rule.upper)}", f"{rule.lower}, which is 10.0{unit(rule.lower)}"
    assert str(low.value) == f"{rule.lower} 20.1{unit(rule.lower)} must be below{side} {upper}: {rule.reason}"
    assert str(high.value) == f"{rule.upper} 9.9{unit(rule.upper)} must be above{side} {lower}: {rule.reason}"


@BY_NAME
def test_equal_values(rule: Rule) -> None:
    values = {rule.lower: 10.0, rule.upper: 20.0}
    if rule.equal:
        check_rules(rule.lower, 20.0, values)
        check_rules(rule.upper, 10.0, values)
    else:
        for key, value in ((rule.lower, 20.0), (rule.upper, 10.0)):
            with pytest.raises(CommandError):
                check_rules(key, value, values)


@BY_NAME
def test_what_is_not_known_breaks_nothing(rule: Rule) -> None:
    check_rules(rule.lower, 99.0, {})
    check_rules(rule.lower, 99.0, {rule.upper: None})
    check_rules(rule.upper, -99.0, {rule.lower: None})


@BY_NAME
def test_the_rules_speak_of_the_table(rule: Rule) -> None:
    assert {rule.lower, rule.upper} <= specs().keys()
    assert specs()[rule.lower].unit == specs()[rule.upper].unit
    assert rule.reason


def test_what_a_battery_leaves_the_factory_with_breaks_no_rule() -> None:
    assert [rule for rule in RULES if not rule.holds(VALUES)] == []


@pytest.mark.parametrize("name", CELLS)
def test_what_is_told_as_usual_breaks_no_rule_and_lies_in_its_range(name: Name) -> None:
    values = {key: found[name] for key in PRESETS if name in (found := presets(key))}
    assert all(rule.holds(values) for rule in RULES)
    for key, value in values.items():
        limits = documented(key, values, name)
        assert limits.minimum <= value <= limits.maximum, key
        assert checked(key, value, {}, name) == value


def test_other_settings_are_not_held_up_by_a_rule_that_is_broken_already() -> None:
    check_rules("max_charge_current", 50.0, {"heating_start_temperature": 9, "heating_stop_temperature": 5})


# --- ranges --------------------------------------------------------------------------------------------
CELL_SETTINGS = [key for key in WRITABLE if specs()[key].kind == "number" and is_cell_voltage(key)]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("key", CELL_SETTINGS)
def test_cell_voltages_stay_within_the_chemistry(key: str, kind: str) -> None:
    cells, values = CELLS[kind], {"battery_type": kind}  # type: ignore[index]
    low, high = cells.lowest, cells.highest
    limits = allowed_range(key, values)
    assert (limits.minimum, limits.maximum, limits.step) == (low, high, 0.001)
    for value in (low - 0.001, high + 0.001):
        with pytest.raises(CommandError, match=f"not within {low} to {high} V"):
            parsed(key, f"{value:.3f}", values)
    assert parsed(key, str(high), values) == high


@pytest.mark.parametrize("key", [key for key in WRITABLE if specs()[key].kind == "number"])
def test_what_the_bms_holds_is_allowed_and_widens_nothing(key: str) -> None:
    for present in (-999.0, 99_999_999.0):
        values: dict[str, Any] = {key: present, "battery_type": "LFP"}
        shown_range, limits = allowed_range(key, values), documented(key, values)
        assert shown_range.minimum <= present <= shown_range.maximum  # else it could not be shown
        assert parsed(key, str(present), values) == present
        far = max(limits.step, 1.0)
        between = present + (100 if present < 0 else -100) * far  # nearer to the range, and not in it
        for other in (present - far, present + far, between):
            with pytest.raises(CommandError, match="is not within"):
                parsed(key, str(other), values)


def test_a_held_20_v_lets_nothing_below_it_be_written() -> None:
    values = {"cell_voltage_overvoltage_protection": 20.0, "battery_type": "LFP"}
    with pytest.raises(CommandError, match=r"15\.0 is not within 2\.5 to 3\.65 V"):
        parsed("cell_voltage_overvoltage_protection", "15", values)
    assert parsed("cell_voltage_overvoltage_protection", "3.6", values) == 3.6


def test_what_is_no_cell_voltage_keeps_its_documented_range() -> None:
    assert not is_cell_voltage("balance_trigger_voltage")
    assert allowed_range("balance_trigger_voltage", VALUES).maximum == 1
    assert allowed_range("max_charge_current", VALUES).maximum == 600


@pytest.mark.parametrize(
    ("values", "option", "kind"),
    [
        # its own settings before the byte, which says LFP whatever the cells are
        ({"battery_type": "LFP", "cell_voltage_overvoltage_protection": 2.7}, None, "LTO"),
        ({"battery_type": "LTO", "cell_voltage_overvoltage_protection": 3.65}, None, "LFP"),
        ({"cell_voltage_overvoltage_protection": 2.8}, None, "LTO"),
        ({"cell_voltage_overvoltage_protection": 3.65}, None, "LFP"),
        ({"cell_voltage_overvoltage_protection": 3.85}, None, "LFP"),
        ({"battery_type": None, "cell_voltage_overvoltage_protection": 4.2}, None, "Li-ion"),
        ({"battery_type": "Li-ion"}, None, "Li-ion"),
        # the owner before everything
        ({"battery_type": "LFP", "cell_voltage_overvoltage_protection": 3.65}, "LTO", "LTO"),
        ({}, None, None),
    ],
)
def test_chemistry(values: dict[str, Any], option: str | None, kind: str | None) -> None:
    cells = cells_of(values, option)
    assert (cells.name if cells else None) == kind


@pytest.mark.parametrize(
    ("top", "fine", "wrong"), [(3.65, "3.0", "2.999"), (4.2, "3.9", "3.899"), (2.8, "2.0", "1.999")]
)
def test_no_write_can_make_it_another_chemistry(top: float, fine: str, wrong: str) -> None:
    """Else all ranges would move with it, and there would be no way back."""
    key = "cell_voltage_overvoltage_protection"
    values = {"battery_type": "LFP", key: top, "cell_voltage_undervoltage_protection": None}
    assert parsed(key, fine, values) == float(fine)
    with pytest.raises(CommandError, match="cells, and these are"):
        parsed(key, wrong, values)


# --- what a command says -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("key", "payload", "words"),
    [
        ("max_charge_current", "nan", "'nan' is not a number"),
        ("max_charge_current", "inf", "'inf' is not a number"),
        ("max_charge_current", "1e99", "not within 1 to 600 A"),
        ("max_charge_current", "1e999", "is not a number"),
        ("max_charge_current", "1_0", "'1_0' is not a number"),
        ("max_charge_current", "\u0663\u0660", "'\u0663\u0660' is not a number"),
        ("max_charge_current", "\uff15\uff10", "'\uff15\uff10' is not a number"),
        ("max_charge_current", "50" + " " * 63, "65 characters are no value"),
        ("max_charge_current", "50." + "0" * LONGEST, "67 characters are no value"),
        ("charging_switch", "OFF" + " " * LONGEST, "67 characters are no value"),
        ("charging_switch", "\uff11", "'\uff11' is neither ON nor OFF"),
        ("max_charge_current", "-inf", "is not a number"),
        ("max_charge_current", "0.9", "max_charge_current: 0.9 is not within 1 to 600 A"),
        ("max_charge_current", "600.1", "not within"),
        ("max_charge_current", "50.05", "50.05 is not a multiple of 0.1"),
        ("max_charge_current", "", "'' is not a number"),
        ("max_charge_current", "ON", "'ON' is not a number"),
        ("max_charge_current", "x" * 60, f"'{'x' * 39}…' is not a number"),
        ("heating_start_temperature", "1.5", "not a multiple of 1"),
        ("smart_sleep_delay", "0", "not within 1 to 100 h"),
        ("cell_request_charge_voltage_time", "2.55", "not a multiple of 0.1"),
        ("cell_voltage_overvoltage_protection", "3.6505", "not within 2.5 to 3.65 V"),
        ("charging_switch", "maybe", "neither ON nor OFF"),
        ("charging_switch", "2", "neither ON nor OFF"),
        ("charging_switch", "", "neither ON nor OFF"),
    ],
)
def test_commands_that_are_refused(key: str, payload: str, words: str) -> None:
    with pytest.raises(CommandError) as refusal:
        parsed(key, payload, VALUES)
    assert words in str(refusal.value)
    assert str(refusal.value).startswith(f"{key}: ")


@pytest.mark.parametrize(
    ("key", "payload", "value"),
    [
        ("charging_switch", " on ", True),
        ("charging_switch", "OFF", False),
        ("charging_switch", "1", True),
        ("charging_switch", "false", False),
        ("max_charge_current", " 50.1 ", 50.1),
        ("max_charge_current", "5e1", 50.0),
        ("cell_voltage_overvoltage_protection", "3.6", 3.6),
        ("cell_voltage_overvoltage_protection", "3.6000000001", 3.6),
        ("charge_undertemperature_protection", "-12.5", -12.5),
        ("short_circuit_protection_delay", "1000000", 1000000),
    ],
)
def test_commands_that_are_understood(key: str, payload: str, value: Any) -> None:
    found = parsed(key, payload, VALUES)
    assert found == value
    assert type(found) is type(value)


def test_whole_steps_give_whole_numbers() -> None:
    found = parsed("heating_start_temperature", "-5.0", VALUES)
    assert isinstance(found, int)
    assert found == -5


# --- levels --------------------------------------------------------------------------------------------
def test_each_level_includes_the_ones_before() -> None:
    allowed = [{key for key in specs() if permitted(key, level)} for level in ("off", *LEVELS)]
    assert allowed[0] == set()
    assert allowed[0] < allowed[1] < allowed[2] < allowed[3] == {key for key, spec in specs().items() if spec.control}


@pytest.mark.parametrize("key", WRITABLE)
def test_what_protects_needs_the_highest_level(key: str) -> None:
    control = specs()[key].control
    assert control is not None
    words = ("protection", "recovery", "power_off", "max_charge", "max_discharge")
    assert (control.level == "protections") is any(word in key for word in words)
    assert (control.level == "switches") is (specs()[key].kind == "flag")


@pytest.mark.parametrize("key", ["cell_count", "device_address", "total_voltage", "nonsense", "battery_type"])
def test_no_level_permits_what_is_no_setting_of_the_owner(key: str) -> None:
    assert not any(permitted(key, level) for level in ("off", *LEVELS, "everything"))


# --- words ---------------------------------------------------------------------------------------------
def test_values_with_their_units() -> None:
    assert shown("charging_switch", True) == "on"
    assert shown("charging_switch", False) == "off"
    assert shown("max_charge_current", 50.0) == "50.0 A"
    assert shown("cell_count", 16) == "16"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (3.65, 3.6500001, True),
        (3.65, 3.651, False),
        (100, 100.0, True),
        (True, True, True),
        (True, 1, False),
        (None, None, True),
        (None, 0, False),
        (None, False, False),
    ],
)
def test_equal_within_the_resolution_of_the_wire(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal
