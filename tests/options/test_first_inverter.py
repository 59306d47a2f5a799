"""A first inverter, drafted by somebody who sees no file: checked as the file is, and nothing else is touched."""

import json
from copy import deepcopy
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jkbms_addon.errors import OptionsError
from jkbms_addon.inverter.options import INVERTER, INVERTER_KEYS
from jkbms_addon.options.editor import Editor
from jkbms_addon.options.file import Options, parse
from jkbms_addon.options.first_inverter import LONGEST
from tests.options_form import files
from tests.test_manifest import CONFIG, faults

RAW: dict[str, Any] = {
    **CONFIG["options"],
    "buses": [
        {"name": "garage", "strategy": "master", "port": "/dev/ttyUSB0", "addresses": "1-4"},
        {"name": "can", "strategy": "can_broadcast", "channel": "can0", "bitrate": "250000"},
    ],
    "mqtt": {"password": "geheim-4711"},
}
DRAFT: dict[str, Any] = {
    "protocol": "pylontech",
    "channel": "can1",
    "set_up_link": True,
    "charge_voltage": 3.45,
    "max_charge_current": 150,
    "confirmed": True,
}


def reviewed(draft: object, raw: Any = RAW) -> Any:
    return Editor(Options()).reviewed(raw, {"inverter": draft})


def test_it_is_what_the_parser_takes_and_the_supervisor_keeps() -> None:
    found = reviewed(DRAFT)
    assert (found.errors, found.notes) == ((), ())
    assert found.options["inverter"] == DRAFT
    assert {**found.options, "inverter": RAW["inverter"]} == RAW
    options = parse(found.options)
    assert (options.inverter.emits, options.inverter.channel, options.inverter.problem) == (True, "can1", "")
    assert len(options.inverters) == 1
    assert list(faults(CONFIG["schema"], found.options)) == []


def test_it_is_told_what_changes_and_what_to_paste() -> None:
    found = reviewed(DRAFT)
    assert [line for line in found.diff if line[0] in "+-"] == [
        "-  protocol: none",
        "-  confirmed: false",
        "+  protocol: pylontech",
        "+  confirmed: true",
        "+  channel: can1",
        "+  set_up_link: true",
        "+  charge_voltage: 3.45",
        "+  max_charge_current: 150",
    ]
    assert found.text.startswith("inverter:\n  protocol: pylontech\n")
    assert json.loads(f"{{{found.json}}}") == {"inverter": DRAFT}
    assert "geheim" not in json.dumps(found.told())


def test_what_the_section_holds_already_stays_unless_it_is_named() -> None:
    raw = {**RAW, "inverter": {"protocol": "none", "confirmed": False, "soc_limit": 90, "float_voltage": 3.4}}
    found = reviewed({**DRAFT, "float_voltage": None}, raw)
    assert found.options["inverter"] == DRAFT
    assert found.options["inverter_details"] == {"soc_limit": 90}
    assert found.text.endswith("\ninverter_details:\n  soc_limit: 90")
    assert json.loads(f"{{{found.json}}}")["inverter_details"] == {"soc_limit": 90}


@pytest.mark.parametrize(
    ("changes", "key", "text"),
    [
        ({"protocol": "none"}, "protocol", "is missing"),
        ({"protocol": ""}, "protocol", "is missing"),
        ({"protocol": "solax"}, "protocol", "must be one of none, pylontech"),
        ({"protocol": 7}, "protocol", "must be one of "),
        ({"channel": ""}, "channel", "is missing"),
        ({"channel": "/dev/../etc"}, "", ""),
        ({"channel": "can 1"}, "channel", "must be "),
        ({"channel": "/dev/ttyUSB0"}, "channel", "/dev/ttyUSB0 is already used by bus garage"),
        ({"channel": "can0"}, "bitrate", "can0 already runs at 250000 bit/s by bus can"),
        ({"protocol": "pylontech_rs485"}, "channel", "must be the path of an RS485 adapter"),
        ({"bitrate": 123456}, "bitrate", "must be 250000 or 500000"),
        ({"confirmed": "yes"}, "confirmed", "must be true or false"),
        ({"confirmed": 1}, "confirmed", "must be true or false"),
        ({"charge_voltage": 99}, "charge_voltage", "99 is not a voltage per cell from 1.2 to 4.4"),
        ({"charge_voltage": "3.45"}, "charge_voltage", "'3.45' is not a voltage per cell"),
        ({"charge_voltage": True}, "charge_voltage", "True is not a voltage"),
        ({"float_voltage": 3.5}, "float_voltage", "3.5 V is above charge_voltage"),
        ({"max_charge_current": -1}, "max_charge_current", "-1 is not a current from 0 to 3000"),
        ({"max_discharge_current": 1e14}, "max_discharge_current", "100000000000000.0 is not a current"),
        ({"cell_numbers": True}, "cell_extremes", "pylontech has no such frames"),
    ],
)
def test_what_is_wrong_is_told_at_its_key(changes: dict[str, Any], key: str, text: str) -> None:
    found = reviewed({**DRAFT, **changes})
    if not text:
        assert found.errors == ()
        return
    ((where, told, line),) = found.errors
    assert (where, told) == ("inverter", key)
    assert line.startswith(text)
    assert found.notes == ()


def test_several_are_told_at_once() -> None:
    found = reviewed({**DRAFT, "protocol": "x", "channel": "", "bitrate": 1, "dlc": "y"})
    assert {key for _, key, _ in found.errors} == {"protocol", "bitrate", "dlc"}


def test_a_port_goes_by_several_names(tmp_path: Any) -> None:
    link = tmp_path / "by-id"
    link.symlink_to("/dev/ttyUSB0")
    found = reviewed({**DRAFT, "channel": str(link)})
    assert found.errors == (("inverter", "channel", "is already used by bus garage"),)


@pytest.mark.parametrize(
    "draft",
    [
        *(None, [], "x", 1, {"protocl": "pylontech"}, {"x" * 1000: 1}, dict.fromkeys(map(str, range(500)), 1)),
        *(
            {"charge_voltage": value}
            for value in (nan, inf, -inf, 10**400, 1e300, [3.4], {"a": 1}, "x" * (LONGEST + 1))
        ),
    ],
)
def test_what_is_no_draft_is_refused_in_one_line(draft: object) -> None:
    editor = Editor(Options())
    with pytest.raises(OptionsError, match=r"^inverter: .{1,200}$"):
        editor.reviewed(RAW, {"inverter": draft})
    with pytest.raises(OptionsError, match=r"^inverter: .{1,200}$"):
        editor.rehearsed(RAW, draft)


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({"inverter": {"protocol": "victron", "channel": "can1"}}, ["victron"]),
        ({"inverter": {"protocol": "victron"}}, [""]),
        ({"inverter": {"protocol": "solax"}}, [""]),
        ({"inverter": [1]}, [""]),
        ({"inverters": [{"protocol": "sma", "channel": "can1"}]}, ["sma"]),
        ({"inverters": "x"}, [""]),
        ({}, []),
        ({"inverter": {}}, []),
        ({"inverter": {"soc_limit": 80}}, []),
        ({"inverter": ""}, []),
        ({"inverter": None, "inverters": None}, []),
    ],
)
def test_where_one_is_named_no_first_one_is_set_up(more: dict[str, Any], shown: list[str]) -> None:
    raw, editor = {**RAW, **more}, Editor(Options())
    told = editor.inverter(raw)
    json.dumps(told, allow_nan=False)
    assert [one["protocol"] if not one["problem"] else "" for one in told["named"]] == shown
    if shown:
        with pytest.raises(OptionsError, match="there is one in the options already"):
            editor.reviewed(raw, {"inverter": DRAFT})
    else:
        assert editor.reviewed(raw, {"inverter": DRAFT}).errors == ()


def test_it_waits_for_a_restart() -> None:
    raw = reviewed(DRAFT).options
    assert Editor(parse(RAW)).inverter(raw)["pending"] is True
    assert Editor(parse(RAW)).shown(raw)["pending"] is True
    assert Editor(parse(raw)).inverter(raw)["pending"] is False


def test_a_rehearsal_is_with_what_would_run() -> None:
    options, wrong = Editor(Options()).rehearsed(RAW, {**DRAFT, "protocol": "sma", "stop_after": 30})
    assert (options.protocol, options.setpoints.charge_voltage, wrong) == ("sma", 3.45, [])
    assert options.setpoints.soc_follows  # the inverter obeys nothing else
    assert options.setpoints.stop_after is None  # a silence would end it for good
    options, wrong = Editor(Options()).rehearsed(RAW, {**DRAFT, "charge_voltage": 9})
    assert (options.wanted, wrong) == (False, [("charge_voltage", "9 is not a voltage per cell from 1.2 to 4.4")])


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=LONGEST + 5), st.just([]), st.just({})
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(INVERTER_KEYS)), VALUES, max_size=6), files())
def test_whatever_is_typed_gets_an_answer_in_one_line(draft: dict[str, Any], raw: dict[str, Any]) -> None:
    before = deepcopy(raw)
    refused = ""
    try:
        found = reviewed({"protocol": "pylontech", "channel": "can1", **draft}, raw)
    except OptionsError as error:
        refused = str(error)
    assert raw == before
    assert len(refused) < 300
    assert "\n" not in refused
    if not refused:
        json.dumps(found.told(), allow_nan=False).encode()
        assert all(key in INVERTER_KEYS or not key for _, key, _ in found.errors)
        assert parse(found.options).inverter.wanted or found.errors


def test_every_option_may_be_drafted() -> None:
    assert {str(row) for row in INVERTER.schema} == INVERTER_KEYS
