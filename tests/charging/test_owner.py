"""What the owner may set, and how it meets the options."""

from dataclasses import astuple
from typing import Any

import pytest

from jkbms_addon.charging.owner import NUMBERS, RANGES, Owner, bound_of, chosen, chosen_grid, effective, number_of
from jkbms_addon.charging.setpoints import RULES, Setpoints
from jkbms_addon.errors import CommandError, OptionsError


def allowed(options: dict[str, Any]) -> Setpoints:
    return Setpoints(**options)


def test_the_table() -> None:
    assert {key: astuple(one)[1:] for key, one in NUMBERS.items()} == {
        "charge_voltage": ("V", 3.40, 3.60, 0.01, "above"),
        "float_voltage": ("V", 3.20, 3.55, 0.01, "above"),
        "max_charge_current": ("A", 0, 1000, 1, "above"),
        "max_discharge_current": ("A", 0, 1000, 1, "above"),
        "soc_limit": ("%", 20, 100, 1, "above"),
        "rebulk_drop": ("%", 2, 90, 1, ""),
        "full_charge_days": ("d", 0, 365, 1, ""),
        "empty_voltage": ("V", 2.50, 3.30, 0.01, "below"),
        "soc_floor": ("%", 0, 30, 1, ""),
        "voltage_offset": ("V", -0.5, 0.5, 0.1, ""),
    }
    assert RANGES["Li-ion"] == {
        "charge_voltage": (3.80, 4.20),
        "float_voltage": (3.70, 4.15),
        "empty_voltage": (2.90, 3.60),
    }
    assert RANGES["LTO"] == {
        "charge_voltage": (2.50, 2.80),
        "float_voltage": (2.30, 2.75),
        "empty_voltage": (1.60, 2.20),
    }
    assert number_of("soc_limit", "LTO").high == 100


@pytest.mark.parametrize(
    ("key", "option", "owner", "both"),
    [
        ("charge_voltage", 3.48, 3.50, 3.48),
        ("charge_voltage", 3.48, 3.42, 3.42),
        ("float_voltage", 3.35, 3.40, 3.35),
        ("max_charge_current", 100.0, 50.0, 50.0),
        ("max_charge_current", 100.0, 150.0, 100.0),
        ("max_discharge_current", 100.0, 150.0, 100.0),
        ("soc_limit", 80.0, 90.0, 80.0),
        ("empty_voltage", 3.0, 2.9, 3.0),
        ("empty_voltage", 3.0, 3.1, 3.1),
        ("rebulk_drop", 20.0, 5.0, 5.0),
        ("full_charge_days", 7.0, 30.0, 30.0),
        ("soc_floor", 10.0, 20.0, 20.0),
        ("voltage_offset", 0.1, 0.0, 0.0),
        ("grid_charge", "emergency", "full", "emergency"),
        ("grid_charge", "full", "never", "never"),
    ],
)
def test_the_options_are_the_outer_limit(key: str, option: Any, owner: Any, both: Any) -> None:
    def found(**sides: Any) -> Any:
        options = {key: sides["option"]} if "option" in sides else {}
        owners = {key: sides["owner"]} if "owner" in sides else {}
        return getattr(effective(allowed(options), Owner(**owners)), key)

    assert found(option=option, owner=owner) == both
    assert found(option=option) == option
    assert found(owner=owner) == owner
    assert found() is None


def test_switches_and_defaults() -> None:
    plain = effective(Setpoints(), Owner())
    assert (plain.charging, plain.discharging, plain.limit, plain.floor, plain.drop) == (True, True, 100, 15, 10)
    assert (plain.days, plain.grid, plain.hold, plain.offset) == (14, "never", 900, 0)
    assert (plain.charge_rise, plain.discharge_rise, plain.departed_hold, plain.valid_for) == (5, 20, 300, 3)
    off = effective(Setpoints(), Owner(charging=False, discharging=False))
    assert (off.charging, off.discharging) == (False, False)
    assert Setpoints(hold_without_data=2).hold == 120
    assert Setpoints(stale_discharge="zero").hold == 0


@pytest.mark.parametrize("key", NUMBERS)
def test_numbers_at_the_ends_of_their_ranges(key: str) -> None:
    one = NUMBERS[key]
    assert chosen(Setpoints(), "LFP", key, f"{one.low:g}") == one.low
    assert chosen(Setpoints(), "LFP", key, f"{one.high:g}") == one.high
    for wrong in (one.low - 0.001, one.high + 0.001):
        with pytest.raises(CommandError, match="is not within"):
            chosen(Setpoints(), "LFP", key, f"{wrong:.3f}")


@pytest.mark.parametrize(
    "key", ["charge_voltage", "float_voltage", "max_charge_current", "max_discharge_current", "soc_limit"]
)
def test_beyond_the_option_is_refused_and_at_it_is_not(key: str) -> None:
    middle = round((NUMBERS[key].low + NUMBERS[key].high) / 2, 2)
    options = allowed({key: middle})
    assert bound_of(options, key) == middle
    assert chosen(options, "LFP", key, f"{middle}") == middle
    with pytest.raises(CommandError, match="is above the option"):
        chosen(options, "LFP", key, f"{middle + 0.01:.2f}")


@pytest.mark.parametrize("key", ["rebulk_drop", "full_charge_days", "soc_floor", "empty_voltage", "voltage_offset"])
def test_some_options_bound_nothing(key: str) -> None:
    assert bound_of(allowed({key: NUMBERS[key].low if key != "empty_voltage" else 3.0}), key) is None


@pytest.mark.parametrize("text", ["", "1" * 7, "1.1234567", "x", "1e3", "0x1", "--1", "1 2"])
def test_what_is_no_plain_number(text: str) -> None:
    with pytest.raises(CommandError, match="is not a number"):
        chosen(Setpoints(), "LFP", "max_charge_current", text)


def test_the_grid() -> None:
    assert chosen_grid(Setpoints(), "full") == "full"
    assert chosen_grid(Setpoints(grid_charge="emergency"), "emergency") == "emergency"
    with pytest.raises(CommandError):
        chosen_grid(Setpoints(grid_charge="never"), "emergency")


ENDS = {
    "charge_voltage": (1.2, 4.4),
    "float_voltage": (1.2, 4.4),
    "balance_voltage": (1.2, 4.4),
    "empty_voltage": (1.2, 4.4),
    "max_charge_current": (0, 3000),
    "max_discharge_current": (0, 3000),
    "min_discharge_voltage": (1.2, 1000),
    "soc_limit": (20, 100),
    "soc_floor": (0, 30),
    "rebulk_drop": (2, 90),
    "full_charge_days": (0, 365),
    "voltage_offset": (-0.5, 0.5),
    "hold_without_data": (0, 15),
    "stop_after": (0, 86400),
    "charge_rise": (0.1, 1000),
    "discharge_rise": (0.1, 1000),
    "departed_hold": (0, 86400),
    "valid_for": (0.5, 3),
}


@pytest.mark.parametrize("key", ENDS)
def test_which_numbers_the_options_take(key: str) -> None:
    low, high = ENDS[key]
    for good in (low, high):
        allowed({key: good})
    for wrong in (low - 0.001, high + 0.001, True, "1", float("nan")):
        with pytest.raises(OptionsError, match=f"^{key}: "):
            allowed({key: wrong})


def test_which_words_the_options_take() -> None:
    assert {*RULES} == {*ENDS, "grid_charge", "stale_discharge", "chemistry"}
    for key, good in (("grid_charge", "full"), ("stale_discharge", "hold"), ("chemistry", "LTO")):
        allowed({key: good})
        with pytest.raises(OptionsError, match=f"^{key}: "):
            allowed({key: "x"})
    with pytest.raises(OptionsError, match="above charge_voltage"):
        Setpoints(charge_voltage=3.4, float_voltage=3.41).check()
    assert Setpoints(charge_voltage=3.4, float_voltage=3.4).check().charge_voltage == 3.4
