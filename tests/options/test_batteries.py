"""The section ``batteries``: a wrong line costs no more than itself."""

import pytest

from jkbms_addon.options.batteries import BatteryOptions, battery_options
from jkbms_addon.options.file import parse

BUSES = {"garage", "ctrl", "can"}
G3, C1, K0 = ("garage", 3), ("ctrl", 1), ("can", 0)


@pytest.mark.parametrize(
    ("raw", "same", "never"),
    [
        (None, (), ()),
        ([], (), ()),
        (["", None, "  "], (), ()),
        (["garage/3 = ctrl/1"], ((G3, C1),), ()),
        (["garage/3=ctrl/1=can/0"], ((G3, C1), (G3, K0)), ()),
        (["garage/3 = ctrl/1", "ctrl/1 = can/0"], ((G3, C1), (C1, K0)), ()),
        (["garage/3 != ctrl/1"], (), ((G3, C1),)),
    ],
)
def test_what_is_one_battery_and_what_is_two(raw: object, same: object, never: list[tuple[object, object]]) -> None:
    assert battery_options(raw, BUSES) == BatteryOptions(same, frozenset(map(frozenset, never)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("garage/3", "'garage/3' must be batteries such as 'garage/3 = ctrl/1'"),
        (
            "garage = ctrl/1",
            "'garage = ctrl/1' must be batteries such as 'garage/3 = ctrl/1', each a bus and an address",
        ),
        ("garage/3 = shed/1", "'garage/3 = shed/1': there is no bus 'shed'"),
        ("garage/3 = ctrl/16", "addresses are 0 to 15"),
        ("garage/3 = garage/3", "'garage/3 = garage/3' names a battery twice"),
        (
            "garage/3 = garage/4",
            "'garage/3 = garage/4': garage/3 and garage/4 are on one bus and cannot be one battery",
        ),
        ("garage/3 != ctrl/1 != can/0", "'garage/3 != ctrl/1 != can/0' must be batteries such as 'garage/3 = ctrl/1'"),
        ("ctrl/1 != garage/1", "'ctrl/1 != garage/1': garage/1 and ctrl/1 cannot be one battery and two"),
        (7, "7 must be batteries such as 'garage/3 = ctrl/1', each a bus and an address"),
        (
            "\u0661/3 = ctrl/1",
            "'\u0661/3 = ctrl/1' must be batteries such as 'garage/3 = ctrl/1', each a bus and an address",
        ),
    ],
)
def test_a_wrong_line_is_told_and_the_others_hold(line: object, why: str) -> None:
    told = battery_options(["garage/1 = ctrl/1", line], BUSES)
    assert told.same == ((("garage", 1), C1),)
    assert told.never == frozenset()
    assert told.problems == (f"batteries: {why}; this line is not used",)


@pytest.mark.parametrize("raw", ["garage/3 = ctrl/1", 7, {"a": 1}, ["garage/3 = ctrl/1"] * 65])
def test_what_is_no_list_of_lines_is_told(raw: object) -> None:
    told = battery_options(raw, BUSES)
    assert (told.same, told.problems) == (
        (),
        ("batteries: must be a list of at most 64 lines such as 'garage/3 = ctrl/1'",),
    )


def test_it_is_a_problem_of_the_configuration_and_keeps_nothing_else_from_running() -> None:
    options = parse({"buses": [{"name": "a", "strategy": "listen", "port": "/dev/x"}], "batteries": ["a/1 = b/1"]})
    assert options.buses[0].plugin
    assert options.problems == ["batteries: 'a/1 = b/1': there is no bus 'b'; this line is not used"]


def test_an_option_of_this_name_of_another_app_is_none_of_ours() -> None:
    assert parse({"batteries": [{"type": "jkbms"}], "jkbms": {"jkbms_path": "/dev/ttyUSB0"}}).batteries.problems == ()
