from collections.abc import Mapping
from typing import Any

import pytest

from jkbms_addon.views.findings import (
    CALM,
    HOLD,
    NOT_FULL_FOR,
    QUIRKS,
    BusSeen,
    Finding,
    PackSeen,
    Seen,
    Watch,
    conditions,
    differing,
    told,
)

GOOD: Mapping[str, Any] = {
    "soc": 60.0,
    "spread": 0.006,
    "lowest": 11,
    "below": 0.003,
    "lowest_share": 0.5,
    "hours": 24.0,
    "share": 50.0,
    "fair": 50.0,
    "voltage": 53.9,
    "temperature": 20.0,
    "settings": {"max_charge_current": 100.0, "balancing_switch": True, "device_address": 1},
    "cells": 16,
    "firmware": "15.41",
    "full_ago": 86400.0,
}


def pack(number: int = 1, **changed: Any) -> PackSeen:
    return PackSeen(f"a/{number}", f"Pack {number}", **{**GOOD, **changed})


def keys(*packs: PackSeen, **more: Any) -> list[str]:
    found = conditions(Seen(packs=packs, **more))
    for finding in found:
        assert finding.text == finding.text.strip()
        assert len(finding.text.splitlines()) == 1
    return [finding.key for finding in found]


def test_nothing_to_say_of_good_packs() -> None:
    assert keys(pack(1), pack(2), buses=[BusSeen("a", 100)]) == []
    assert keys() == []


# each condition just beyond its limit and just within it
WEAK = {"lowest_share": 0.90, "below": 0.010, "hours": 6.0}
ONE_PACK: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    (
        "weak",
        WEAK,
        [{**WEAK, "lowest_share": 0.899}, {**WEAK, "below": 0.0099}, {**WEAK, "hours": 5.9}, {**WEAK, "lowest": None}],
    ),
    ("unequal", {"share": 47.0}, [{"share": 47.1}, {"share": 52.9}, {"share": None}]),
    ("unequal", {"share": 53.0}, [{"fair": None}]),
    (
        "spread",
        {"spread": 0.031, "soc": 94.9},
        [{"spread": 0.030}, {"spread": 0.2, "soc": 95.0}, {"spread": 0.2, "soc": None}, {"spread": None}],
    ),
    ("full", {"full_ago": NOT_FULL_FOR + 1}, [{"full_ago": NOT_FULL_FOR}, {"full_ago": None}]),
    ("password", {"alarms": ("change_the_default_password",)}, [{"alarms": ("gps_disconnected",)}]),
    ("silent", {"heard": False, "silent_for": 192.0}, [{"heard": True}]),
    (
        "quirk",
        {"firmware": "19.10"},
        [{"firmware": "19.09"}, {"firmware": "20.1"}, {"firmware": ""}, {"firmware": "x"}],
    ),
    ("quirk", {"firmware": "V15.40"}, [{"firmware": "15.41"}, {"firmware": "15.09"}]),
]


@pytest.mark.parametrize(("key", "beyond", "within"), ONE_PACK)
def test_raised_beyond_the_limit_and_not_at_it(key: str, beyond: dict[str, Any], within: list[dict[str, Any]]) -> None:
    assert keys(pack(**beyond)) == [key]
    for one in within:
        assert keys(pack(**one)) == []


TWO_PACKS = [
    ("apart", {"voltage": 55.0}, {"voltage": 54.9}),
    ("soc", {"soc": 70.1}, {"soc": 70.0}),
    ("warm", {"temperature": 30.1}, {"temperature": 30.0}),
]


@pytest.mark.parametrize(("key", "beyond", "within"), TWO_PACKS)
def test_packs_against_each_other(key: str, beyond: dict[str, Any], within: dict[str, Any]) -> None:
    assert keys(pack(1), pack(2, **beyond)) == [key]
    assert keys(pack(1), pack(2, **within)) == []
    assert keys(pack(1), pack(2, **dict.fromkeys(beyond))) == []
    assert keys(pack(2, **beyond)) == []
    assert keys(pack(1), pack(2, **beyond, heard=False)) == ["silent"]


def test_default_passwords_are_one_finding() -> None:
    packs = [pack(number, alarms=("change_the_default_password",)) for number in range(1, 7)]
    (found,) = conditions(Seen(packs))
    assert (found.key, found.pack, found.args["count"]) == ("password", "", 6)
    assert found.text == "Pack 1, Pack 2, Pack 3, Pack 4 …: still the default password"
    assert conditions(Seen(packs[:1]))[0].pack == "a/1"


def test_settings_that_differ() -> None:
    other = {**GOOD["settings"], "max_charge_current": 80.0, "device_address": 2}
    assert differing([pack(1), pack(2, settings=other)]) == ["max_charge_current"]
    assert keys(pack(1), pack(2, settings=other)) == ["settings"]
    assert keys(pack(1), pack(2, settings={**GOOD["settings"], "device_address": 2})) == []
    assert keys(pack(1), pack(2, settings=other, cells=8)) == []
    assert keys(pack(1), pack(2, settings={})) == []
    assert keys(pack(1), pack(2, settings={"max_charge_current": None})) == []
    assert "1 setting differs" in conditions(Seen([pack(1), pack(2, settings=other)]))[0].text


def test_buses() -> None:
    assert keys(buses=[BusSeen("a", 94)]) == ["score"]
    assert keys(buses=[BusSeen("a", 95), BusSeen("b", None)]) == []
    assert keys(buses=[BusSeen("a", 100, connected=False, problem="no such port")]) == ["bus"]
    assert keys(buses=[BusSeen("a", None, connected=False, problem="not opened yet")]) == []  # a moment after the start


def test_twins_and_options() -> None:
    found = conditions(Seen(twins=["the same BMS is seen at a/1 and b/1"], problems=["mqtt: port: must be a number"]))
    assert [(one.key, one.severity, one.text) for one in found] == [
        ("option", "bad", "Option mqtt: port: must be a number"),
        ("twin", "warn", "The same BMS is seen at a/1 and b/1"),
    ]
    assert len({one.id for one in found}) == 2


def test_what_the_charge_control_found() -> None:
    (found,) = conditions(Seen(charging=["the inverter's meter reads high"]))
    assert (found.key, found.text) == ("charging", "The inverter's meter reads high")


def test_every_quirk_is_met_at_both_ends() -> None:
    for quirk in QUIRKS:
        for major, minor in (quirk.first, quirk.last):
            assert keys(pack(firmware=f"{major}.{minor:02}")) == ["quirk"]


@pytest.mark.parametrize("key", HOLD)
def test_what_may_flicker_must_hold(key: str) -> None:
    beyond = {**{one: two for one, two, _ in ONE_PACK}, **{one: two for one, two, _ in TWO_PACKS}}
    bad = (
        Seen(buses=[BusSeen("a", 50)])
        if key == "score"
        else Seen([pack(1, soc=94.0 if key == "spread" else 60.0), pack(2, **beyond[key])])
    )
    good = Seen([pack(1), pack(2)])
    watch = Watch()
    watch.step(bad, 0.0)
    assert watch.step(bad, HOLD[key] - 0.1) == ()
    assert [one.key for one in watch.step(bad, HOLD[key])] == [key]
    later = HOLD[key]
    assert [one.key for one in watch.step(good, later + CALM - 0.1)] == [key]
    assert watch.step(good, later + CALM) == ()
    assert watch.step(bad, later + CALM + 1) == ()  # it must hold once more


def test_what_cannot_flicker_is_told_and_gone_at_once() -> None:
    watch = Watch()
    assert [one.key for one in watch.step(Seen([pack(heard=False)]), 0.0)] == ["silent"]
    assert watch.step(Seen([pack()]), 1.0) == ()


def test_the_worst_comes_first() -> None:
    password = pack(3, alarms=("change_the_default_password",))
    found = Watch().step(Seen([password, pack(2, heard=False)], problems=["x: y"]), 0.0)
    assert [one.severity for one in found] == ["bad", "warn", "info"]


def test_one_text_of_all() -> None:
    short, long = Finding("a", "info", "x" * 100), Finding("b", "info", "y" * 200)
    assert told([]) == "none"
    assert told([short]) == "x" * 100
    assert told([short, short]) == f"{'x' * 100}; {'x' * 100}"
    assert told([short, long]) == "x" * 100
    assert told([Finding("c", "bad", "z" * 300)]) == "z" * 255
