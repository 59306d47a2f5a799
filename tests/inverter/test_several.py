"""The list ``inverters``: everybody gets a part, nobody more than there is, and the old section is the first of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.inverter.several import portion
from jkbms_addon.inverter.state import Targets
from jkbms_addon.options.file import Options, parse
from tests.inverter.test_first_dialects import NEUTRAL

BUS = {"name": "rs485", "strategy": "master", "port": "/dev/ttyUSB0"}
CAN = {"name": "can", "strategy": "can_broadcast", "channel": "can0", "bitrate": 500000}
VICTRON = {"protocol": "victron", "channel": "can1", "confirmed": True}
DEYE = {"protocol": "pylontech", "channel": "can2", "confirmed": True}
ASKING = {"protocol": "pylontech_rs485", "channel": "/dev/ttyUSB9", "confirmed": True}


def options(inverters: Any, inverter: dict[str, Any] | None = None, *buses: dict[str, Any]) -> Options:
    return parse({"buses": list(buses) or [BUS], "inverters": inverters, "inverter": inverter or {}})


def shares(found: Options) -> list[float]:
    return [one.share for one in found.inverters]


def problems(found: Options) -> list[str]:
    return [one.problem for one in found.inverters]


def test_the_old_section_goes_on_as_the_only_inverter() -> None:
    found = options([], {"protocol": "pylontech", "channel": "can1", "confirmed": True})
    assert found.inverters == (found.inverter,)
    assert found.inverter.emits
    assert shares(found) == [1.0]
    assert options([]).inverters == ()
    assert options(None).inverters == ()


def test_the_old_section_is_the_first_of_the_list() -> None:
    found = options([VICTRON], {"protocol": "goodwe", "channel": "can2", "confirmed": True})
    assert [one.protocol for one in found.inverters] == ["goodwe", "victron"]
    assert shares(found) == [0.5, 0.5]
    assert problems(found) == ["", ""]


def test_parts_of_the_whole() -> None:
    assert shares(options([VICTRON, DEYE, ASKING])) == pytest.approx([1 / 3] * 3)
    assert shares(options([VICTRON | {"share": 40}, DEYE])) == pytest.approx([0.4, 0.6])
    assert shares(options([VICTRON | {"share": 40}, DEYE, ASKING])) == pytest.approx([0.4, 0.3, 0.3])
    assert shares(options([VICTRON | {"share": 40}, DEYE | {"share": 30}])) == pytest.approx([0.4, 0.3])
    assert shares(options([VICTRON])) == [1.0]


def test_more_than_the_whole_is_refused_for_all() -> None:
    for wrong in ([VICTRON | {"share": 60}, DEYE | {"share": 50}], [VICTRON | {"share": 100}, DEYE]):
        found = options(wrong)
        assert all("together more than 100 %" in problem for problem in problems(found))
        assert not any(one.emits for one in found.inverters)


def test_what_concerns_the_bank_holds_for_all() -> None:
    found = options([VICTRON, DEYE], {"max_charge_current": 80, "charge_voltage": 3.4})
    assert found.inverter.setpoints.max_charge_current == 80
    assert {one.setpoints.charge_voltage for one in found.inverters} == {3.4}


def test_the_charge_follows_the_cells_where_any_inverter_obeys_only_that() -> None:
    def follows(inverters: Any, **section: Any) -> bool:
        return options(inverters, section).inverter.setpoints.soc_follows

    assert follows([VICTRON, DEYE])
    assert not follows([VICTRON])
    assert not follows([VICTRON, DEYE], soc_follows=False)
    assert follows([VICTRON], soc_follows=True)
    assert follows([], protocol="sma", channel="can1")


def test_no_silence_where_it_would_be_the_end() -> None:
    sma = {"protocol": "sma", "channel": "can3", "confirmed": True}
    assert options([VICTRON], {"stop_after": 60}).inverter.setpoints.stop_after == 60
    assert options([VICTRON, sma], {"stop_after": 60}).inverter.setpoints.stop_after is None
    assert options([], sma | {"stop_after": 60}).inverter.setpoints.stop_after is None


def test_a_name_for_each() -> None:
    found = options([VICTRON | {"manufacturer": "BYD"}, DEYE], {"manufacturer": "PYLONX"})
    assert [one.manufacturer for one in found.inverters] == ["BYD", None]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"protocol": "fronius"}, "inverters 2: protocol: must be one of none, pylontech"),
        ({"channel": "can2"}, "inverters 2: protocol: is missing"),
        ({"protocol": "sma"}, "inverters 2: channel: is missing"),
        (ASKING | {"channel": "can2"}, "inverters 2: channel: must be the path of an RS485 adapter"),
        (DEYE | {"share": 0}, "inverters 2: share: must be 1 to 100 percent"),
        (DEYE | {"share": True}, "inverters 2: share: must be 1 to 100 percent"),
        (DEYE | {"charge_voltage": 3.4}, "inverters 2: charge_voltage"),
        (DEYE | {"cell_numbers": True}, "inverters 2: cell_extremes: pylontech has no such frames"),
        (DEYE | {"channel": "can1"}, "inverters: channel: can1 is used twice"),
        ("victron", "inverters 2: must be an object"),
    ],
)
def test_a_wrong_entry_costs_only_itself(entry: Any, message: str) -> None:
    found = options([VICTRON, entry])
    assert problems(found)[0] == ""
    assert found.inverters[0].emits
    assert problems(found)[1].startswith(message)
    assert not found.inverters[1].emits
    assert shares(found)[0] == 0.5  # what a wrong entry would have had stays unused


def test_no_list_at_all() -> None:
    found = options("victron")
    assert problems(found) == ["inverters: must be a list"]
    found = options({"protocol": "sma"}, DEYE)
    assert problems(found) == ["", "inverters: must be a list"]


def test_a_bus_and_an_inverter_do_not_share_a_channel_in_two_ways() -> None:
    found = options([VICTRON | {"channel": "can0", "bitrate": 250000}, DEYE], {}, CAN)
    assert "already runs at 500000" in problems(found)[0]
    assert problems(found)[1] == ""


def test_a_wrong_bank_stops_all() -> None:
    found = parse({"buses": [BUS], "bank": {"members": "nobody"}, "inverters": [VICTRON, DEYE]})
    assert all("the bank is wrong" in one.problem for one in found.inverters)


AMPS = st.floats(0, 3000)


@given(AMPS, AMPS, st.lists(st.integers(1, 60) | st.none(), min_size=1, max_size=4))
def test_together_they_are_never_told_more_than_the_bank_bears(charge: float, discharge: float, parts: Any) -> None:
    entries = [
        {"protocol": "pylontech", "channel": f"can{n}", "confirmed": True, **({} if part is None else {"share": part})}
        for n, part in enumerate(parts, 1)
    ]
    targets = Targets(**(NEUTRAL | {"charge_current": charge, "discharge_current": discharge}))
    told = [portion(targets, one.share) for one in options(entries).inverters if one.emits]
    assert sum(one.charge_current for one in told) <= charge + 1e-6
    assert sum(one.discharge_current for one in told) <= discharge + 1e-6
    assert all(one.charge_voltage == targets.charge_voltage for one in told)


def test_a_part_changes_nothing_else() -> None:
    targets = Targets(**NEUTRAL, protections=("over_voltage",), reasons={"charge_current": "x"}, valid_until=5.0)
    told = portion(targets, 0.25)
    changed = {key for key in Targets.model_fields if getattr(told, key) != getattr(targets, key)}
    assert changed <= {"charge_current", "discharge_current"}
    assert portion(targets, 1.0) is targets


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_the_inverter_of_an_earlier_version_goes_on(version: str) -> None:
    folder = Path(__file__).parents[1] / "options"
    found = parse(json.loads((folder / f"{version}-full.json").read_text(encoding="utf-8")))
    (one,) = found.inverters
    assert (one.protocol, one.channel, one.problem, one.share) == (found.inverter.protocol, "can1", "", 1.0)
    assert one.emits
