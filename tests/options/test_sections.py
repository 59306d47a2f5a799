"""The inverter's options in two sections: one to the program, two to the form."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.inverter.options import INVERTER_KEYS
from jkbms_addon.options.file import parse
from jkbms_addon.options.sections import joined, parted
from jkbms_addon.options.words import troubles

ONE = {"protocol": "pylontech", "channel": "can1", "confirmed": True}
VALUES: st.SearchStrategy[Any] = st.sampled_from(["", None, "x", 1, 2.5, True, [], {}])
SECTIONS = st.dictionaries(st.sampled_from([*sorted(INVERTER_KEYS), "colour"]), VALUES)


@pytest.mark.parametrize(
    ("options", "whole", "said"),
    [
        ({}, {}, []),
        ({"inverter": ONE}, {"inverter": ONE}, []),
        ({"inverter": ONE, "inverter_details": {}}, {"inverter": ONE}, []),
        ({"inverter": ONE, "inverter_details": None}, {"inverter": ONE}, []),
        ({"inverter": ONE, "inverter_details": {"dlc": "exact"}}, {"inverter": {**ONE, "dlc": "exact"}}, []),
        ({"inverter_details": {"dlc": "exact"}}, {"inverter": {"dlc": "exact"}}, []),
        ({"inverter": None, "inverter_details": {"dlc": "exact"}}, {"inverter": {"dlc": "exact"}}, []),
        ({"inverter": {"dlc": ""}, "inverter_details": {"dlc": "exact"}}, {"inverter": {"dlc": "exact"}}, []),
        ({"inverter": {"dlc": "padded"}, "inverter_details": {"dlc": ""}}, {"inverter": {"dlc": "padded"}}, []),
        (
            {"inverter": {"dlc": "padded"}, "inverter_details": {"dlc": "exact"}},
            {"inverter": {"dlc": "padded"}},
            ["inverter_details: dlc: ignored, as inverter has another value"],
        ),
    ],
)
def test_both_are_one(options: dict[str, Any], whole: dict[str, Any], said: list[str]) -> None:
    assert joined(options) == (whole, tuple(said))


@pytest.mark.parametrize("wrong", ["x", 5, ["dlc"], True])
def test_a_second_section_that_is_none_sends_nothing(wrong: object) -> None:
    options = parse({"inverter": ONE, "inverter_details": wrong})
    assert not options.inverter.emits
    assert troubles(options) == ["inverter: inverter_details: is not an option here"]


def test_what_is_wrong_is_told_where_the_form_has_it() -> None:
    assert parse({"inverter": {**ONE, "grid_tied": 5}}).inverter.problem.startswith("inverter_details: grid_tied: ")
    options = parse({"inverter": ONE, "inverter_details": {"colour": 1}})
    assert options.inverter.problem == "inverter: colour: is not an option here"
    assert not options.inverter.emits


def test_nothing_is_lost_where_the_first_section_is_none() -> None:
    options = {"inverter": "x", "inverter_details": {"dlc": "exact"}}
    assert joined(options) == (options, ())
    assert parted(options) == options


@given(first=SECTIONS, second=SECTIONS)
def test_what_is_saved_means_what_was_read(first: dict[str, Any], second: dict[str, Any]) -> None:
    whole, _ = joined({"inverter": first, "inverter_details": second, "log_level": "info"})
    again, said = joined(parted(whole))
    assert said == ()
    assert again["inverter"] == whole["inverter"]
    before, after = parse(whole).inverter, parse(parted(whole)).inverter
    # of several that are wrong, the first is named
    assert before == after or (before.problem and after.problem)
