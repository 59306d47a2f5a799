"""Buses changed by forms: the same tables and the same words as for the options file, and no secret told."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jkbms_addon.acquisition.contract import known, load
from jkbms_addon.errors import OptionsError
from jkbms_addon.options.editor import CHOICES, KINDS, LONGEST, MOST, Editor, forms
from jkbms_addon.options.file import Options, parse
from tests.acquisition.test_plugins import install
from tests.options_form import files
from tests.test_manifest import CONFIG, faults

PIN, PASSWORD, MQTT_TOKEN = "471108", "geheim-4711", "token of sixteen letters"
OPTIONS: dict[str, Any] = {
    "log_level": "info",
    "buses": [
        {"name": "garage", "strategy": "master", "port": "/dev/ttyUSB0", "addresses": "1-4", "interval": 2.0},
        {"name": "roof", "strategy": "ble", "mac": "C8:47:80:12:34:56", "pin": PIN},
    ],
    "mqtt": {"host": "broker", "username": "anna", "password": PASSWORD},
    "page": {"port": 8099, "token": MQTT_TOKEN},
    "bank": {"members": "garage/1"},
    "writes": {"level": "off"},
}


@pytest.fixture
def editor() -> Editor:
    return Editor(parse(OPTIONS))


def options(**more: Any) -> dict[str, Any]:
    return {**deepcopy(OPTIONS), **more}


def kept(count: int = 2) -> list[dict[str, Any]]:
    return [{"was": n} for n in range(count)]


def no_secret(told: object) -> None:
    text = json.dumps(told)
    assert not [one for one in (PIN, PASSWORD, MQTT_TOKEN, "anna") if one in text], text


# --- forms ------------------------------------------------------------------------------------------------
def test_the_fields_of_each_strategy_are_those_that_check_it() -> None:
    told = forms()
    assert told.keys() == set(known())
    for name, fields in told.items():
        assert [one["key"] for one in fields] == [str(marker) for marker in load(name).rows]


def test_every_field_is_asked_for_as_in_the_form_of_home_assistant() -> None:
    ours = {"port": "str", "channel": "str", "text": "str", "secret": "password", "flag": "bool", "choice": "list"}
    (row,) = CONFIG["schema"]["buses"]
    for fields in forms().values():
        for one in fields:
            theirs = row[one["key"]].rstrip("?").partition("(")[0]
            if one["kind"] == "number":
                assert theirs in ("int", "float", "port"), one
            else:
                assert one["kind"] in ours, (
                    f"{one}: editor.KINDS does not know its validator; take one of validators.py"
                )
                assert theirs == ours[one["kind"]], one
            if one["kind"] == "choice":
                assert sorted(map(str, one["choices"])) == sorted(row[one["key"]].rstrip("?")[5:-1].split("|"))


def test_defaults_and_what_is_required_are_told() -> None:
    fields = {one["key"]: one for one in forms()["gateway"]}
    assert fields["host"] == {"key": "host", "kind": "text", "required": True, "default": None}
    assert fields["mode"]["choices"] == ["poll", "listen"]
    assert (fields["mode"]["default"], fields["interval"]["default"]) == ("poll", 2.0)


def test_choices_are_what_the_validator_takes() -> None:
    for validator, choices in CHOICES.items():
        assert callable(validator)
        assert [validator(one) for one in choices] == list(choices)
    assert not KINDS.keys() & CHOICES.keys()


# --- what is shown ----------------------------------------------------------------------------------------
def test_no_secret_is_shown(editor: Editor) -> None:
    told = editor.shown(OPTIONS)
    no_secret(told)
    assert told["buses"][1] == {
        "bus": {"name": "roof", "strategy": "ble", "mac": "C8:47:80:12:34:56"},
        "kept": ["pin"],
        "problem": "",
    }
    assert told["pending"] is False


def test_it_is_told_that_other_options_wait_for_a_restart(editor: Editor) -> None:
    raw = options()
    raw["buses"][0]["interval"] = 3
    assert editor.shown(raw)["pending"] is True


def test_a_sum_tells_nothing_and_changes_with_every_secret(editor: Editor) -> None:
    other = options()
    other["buses"][1]["pin"] = "123456"
    assert editor.total(OPTIONS) == editor.total(options())
    assert editor.total(OPTIONS) != editor.total(other)
    assert editor.total(OPTIONS) != Editor(Options()).total(OPTIONS)  # so nobody can try PINs against it


def test_options_of_another_app_are_shown_in_our_words(editor: Editor) -> None:
    told = editor.shown({**CONFIG["options"], "jkbms_path": "/dev/ttyUSB3", "jkbms_count": "4", "mqttpass": PASSWORD})
    assert told["buses"][0]["bus"]["port"] == "/dev/ttyUSB3"
    no_secret(told)


def test_options_of_another_app_are_saved_in_our_words(editor: Editor) -> None:
    raw = {**CONFIG["options"], "jkbms": {"jkbms_path": "/dev/ttyUSB3"}, "mqttpass": PASSWORD, "mqttadresse": "b"}
    found = editor.reviewed(raw, kept(1))
    assert found.options["buses"][0]["port"] == "/dev/ttyUSB3"
    assert found.options["jkbms"] == {}
    assert found.options["mqtt"]["password"] == PASSWORD
    assert "mqttpass" not in found.options
    assert list(faults(CONFIG["schema"], found.options)) == []
    no_secret(found.told())


@pytest.mark.parametrize("buses", [[], CONFIG["options"]["buses"]])
def test_the_supervisor_takes_what_is_saved_from_a_new_installation(editor: Editor, buses: list[Any]) -> None:
    raw = {**CONFIG["options"], "buses": buses}
    found = editor.reviewed(raw, [*kept(len(buses)), {"bus": {"name": "c", "strategy": "listen", "port": "/dev/x"}}])
    assert list(faults(CONFIG["schema"], found.options)) == []


# --- what is found by a scan ------------------------------------------------------------------------------
FOUND = {"name": "rs485", "strategy": "master", "port": "/dev/ttyUSB9", "addresses": "1-4"}


def test_an_entry_takes_the_place_of_the_bus_that_nobody_filled_in(editor: Editor) -> None:
    assert editor.shown(CONFIG["options"], FOUND)["proposed"] == {"was": 0, "bus": FOUND, "keep": []}


def test_an_entry_takes_the_place_of_the_bus_on_that_link(editor: Editor, tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    link.symlink_to("/dev/ttyUSB0")
    proposed = editor.shown(OPTIONS, {**FOUND, "port": str(link)})["proposed"]
    assert proposed == {"was": 0, "bus": {**FOUND, "port": str(link), "name": "garage", "interval": 2.0}, "keep": []}
    gateway = {"name": "a", "strategy": "gateway", "host": "10.0.0.9", "tcp_port": 8899}
    entry = {**gateway, "name": "rs485", "mode": "listen"}
    proposed = editor.shown(options(buses=[gateway]), entry)["proposed"]
    assert proposed == {"was": 0, "bus": {**entry, "name": "a"}, "keep": []}


def test_a_battery_in_the_air_is_a_bus_of_its_own(editor: Editor) -> None:
    known = {"name": "ble1", "strategy": "ble", "mac": "C8:47:80:00:00:01", "address": 1, "pin": "1234"}
    other = {"name": "ble1", "strategy": "ble", "mac": "C8:47:80:00:00:02", "address": 1}
    proposed = editor.shown(options(buses=[known]), other)["proposed"]
    assert proposed == {"was": None, "bus": {**other, "name": "ble1_2"}, "keep": []}


@pytest.mark.parametrize("mac", ["C8:47:80:00:00:01", " c8-47-80-00-00-01"])
def test_a_battery_of_the_options_that_is_found_in_the_air_keeps_what_was_set(editor: Editor, mac: str) -> None:
    known = {"name": "cellar", "strategy": "ble", "mac": mac, "address": 7, "pin": PASSWORD, "adapter": "hci1"}
    found = {"name": "ble1", "strategy": "ble", "mac": "C8:47:80:00:00:01", "address": 1}
    told = editor.shown(options(buses=[{"name": "a", "strategy": "listen", "port": "/dev/x"}, known]), found)
    own = {"name": "cellar", "address": 7, "adapter": "hci1"}
    assert told["proposed"] == {"was": 1, "bus": {**found, **own}, "keep": ["pin"]}
    no_secret(told)


def test_of_a_bus_that_is_found_anew_only_what_its_strategy_knows_stays(editor: Editor) -> None:
    known = {
        "name": "a",
        "strategy": "master",
        "port": "/dev/ttyUSB9",
        "baudrate": 9600,
        "interval": 5,
        "addresses": "1-15",
    }
    asked = editor.shown(options(buses=[known]), FOUND)["proposed"]
    assert asked == {"was": 0, "bus": {**FOUND, "name": "a", "interval": 5}, "keep": []}
    heard = {"name": "rs485", "strategy": "listen", "port": "/dev/ttyUSB9"}
    only = editor.shown(options(buses=[known]), heard)["proposed"]
    assert only == {"was": 0, "bus": {**heard, "name": "a"}, "keep": []}


def test_an_entry_is_a_new_bus_with_a_name_of_its_own(editor: Editor) -> None:
    buses = [{**FOUND, "port": "/dev/a"}, {**FOUND, "port": "/dev/b", "name": "rs485_2"}]
    assert editor.shown(options(buses=buses), FOUND)["proposed"] == {
        "was": None,
        "bus": {**FOUND, "name": "rs485_3"},
        "keep": [],
    }
    assert editor.shown(options(buses=[]), FOUND)["proposed"] == {"was": None, "bus": FOUND, "keep": []}


# --- drafts -----------------------------------------------------------------------------------------------
def test_nothing_was_changed(editor: Editor) -> None:
    found = editor.reviewed(OPTIONS, kept())
    assert found.options == OPTIONS
    assert (found.errors, found.notes, found.diff) == ((), (), ())


def test_a_bus_is_added_changed_and_removed(editor: Editor) -> None:
    new = {"name": "cellar", "strategy": "gateway", "host": "10.0.0.9", "tcp_port": 8899}
    found = editor.reviewed(OPTIONS, [*kept(), {"was": None, "bus": new}])
    assert found.errors == ()
    assert found.options == options(buses=[*OPTIONS["buses"], new])
    assert "+  - name: cellar" in found.diff
    assert not [line for line in found.diff if line.startswith("-")]
    changed = {**OPTIONS["buses"][0], "addresses": "1-5"}
    found = editor.reviewed(OPTIONS, [{"was": 0, "bus": changed}, {"was": 1}])
    assert found.options["buses"][0] == changed
    assert [line for line in found.diff if line[0] in "+-"] == ['-    addresses: "1-4"', '+    addresses: "1-5"']
    found = editor.reviewed(OPTIONS, [{"was": 0}])
    assert found.options["buses"] == OPTIONS["buses"][:1]
    assert "-  - name: roof" in found.diff
    no_secret(found.told())


def test_a_secret_is_kept_replaced_or_removed(editor: Editor) -> None:
    bus = {"name": "roof", "strategy": "ble", "mac": "C8:47:80:12:34:57"}
    found = editor.reviewed(OPTIONS, [{"was": 0}, {"was": 1, "bus": bus, "keep": ["pin"]}])
    assert found.options["buses"][1] == {**bus, "pin": PIN}
    assert 'pin: "(kept)"' in found.text
    no_secret(found.told())
    found = editor.reviewed(OPTIONS, [{"was": 0}, {"was": 1, "bus": {**bus, "pin": "815"}}])
    assert found.options["buses"][1]["pin"] == "815"
    assert '-    pin: "(kept)"' in found.diff
    assert '+    pin: "(new)"' in found.diff
    assert "815" not in json.dumps(found.told())
    found = editor.reviewed(OPTIONS, [{"was": 0}, {"was": 1, "bus": bus}])
    assert "pin" not in found.options["buses"][1]


def test_keeping_works_for_secrets_of_the_same_bus_only(editor: Editor) -> None:
    bus = {"name": "attic", "strategy": "ble", "mac": "C8:47:80:12:34:57"}
    found = editor.reviewed(OPTIONS, [*kept(), {"was": None, "bus": bus, "keep": ["pin"]}])
    assert "pin" not in found.options["buses"][2]
    found = editor.reviewed(OPTIONS, [{"was": 0, "bus": {"name": "a"}, "keep": ["port", "pin"]}, {"was": 1}])
    assert found.options["buses"][0] == {"name": "a"}


def test_each_wrong_value_has_the_sentence_of_the_options_file(editor: Editor) -> None:
    bus = {"name": "cellar", "strategy": "master", "port": "tcp://10.0.0.9:8899", "addresses": "1-99", "interval": 9e9}
    found = editor.reviewed(OPTIONS, [{"was": 0}, {"was": None, "bus": bus}])
    assert {key for _, key, _ in found.errors} == {"port", "addresses", "interval"}
    assert {n for n, _, _ in found.errors} == {1}
    for _, key, text in found.errors:
        one = {**bus, **{other: good for other, good in OPTIONS["buses"][0].items() if other not in (key, "name")}}
        (read,) = parse({"buses": [{**one, key: bus[key]}]}).buses
        assert read.problem == f"{key}: {text}"


@pytest.mark.parametrize(
    ("bus", "key", "text"),
    [
        ({"name": "A b", "strategy": "master"}, "name", "'A b' must consist of a-z, 0-9 and _"),
        ({"strategy": "master"}, "name", "None must consist of a-z, 0-9 and _"),
        ({"name": "c"}, "strategy", "is missing"),
        ({"name": "c", "strategy": "mastr"}, "strategy", "'mastr' is not one of "),
        ({"name": "c", "strategy": "plugin"}, "plugin", "must be the name of the plug-in that is installed"),
        ({"name": "c", "strategy": "master"}, "port", "is missing"),
        ({"name": "c", "strategy": "auto"}, "port", "needs either port or host with tcp_port"),
        ({"name": "c", "strategy": "listen", "port": "/dev/x", "mode": "poll"}, "mode", "is not an option here"),
        ({"name": "garage", "strategy": "listen", "port": "/dev/x"}, "name", "'garage' is used twice"),
        ({"name": "c", "strategy": "listen", "port": "/dev/ttyUSB0"}, "port", "uses the same port as bus garage"),
        ({"name": "c", "strategy": "ble", "mac": "x", "pin": "secret"}, "pin", "must be 1 to 6 digits"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(editor: Editor, bus: dict[str, Any], key: str, text: str) -> None:
    found = editor.reviewed(OPTIONS, [*kept(), {"was": None, "bus": bus}])
    ((n, where, told),) = found.errors
    assert (n, where) == (2, key)
    assert told.startswith(text)


def test_a_bus_that_was_not_touched_and_is_wrong_by_now_is_told(editor: Editor) -> None:
    new = {"name": "roof", "strategy": "listen", "port": "/dev/ttyUSB0"}
    found = editor.reviewed(OPTIONS, [{"was": None, "bus": new}, *kept()])
    assert found.errors == (
        (1, "", "port: uses the same port as bus roof: /dev/ttyUSB0"),
        (2, "", "name: 'roof' is used twice"),
    )


def test_a_bus_that_was_wrong_before_keeps_nobody_from_saving(editor: Editor) -> None:
    raw = options(buses=[*OPTIONS["buses"], {"name": "old", "strategy": "mastr"}, "junk"])
    told = editor.shown(raw)
    assert told["buses"][2]["problem"].startswith("strategy: 'mastr' is not one of ")
    assert told["buses"][3]["bus"] == {}
    assert editor.reviewed(raw, kept(4)).errors == ()


def test_what_would_be_wrong_elsewhere_is_a_note(editor: Editor) -> None:
    bus = {**OPTIONS["buses"][0], "name": "cellar"}
    found = editor.reviewed(OPTIONS, [{"was": 0, "bus": bus}, {"was": 1}])
    assert found.errors == ()
    assert len(found.notes) == 1
    assert "garage" in found.notes[0]


@pytest.mark.parametrize(
    "draft",
    [
        *(None, {}, "x", [1], [{"was": 2}], [{"was": -1}], [{"was": True}], [{"was": "0"}], [{"was": 0}, {"was": 0}]),
        *([{"bus": []}], [{"bus": {"name": ["a"]}}], [{"bus": {"name": "x" * (LONGEST + 1)}}]),
        *([{"bus": {"interval": float("nan")}}], [{"bus": {"x" * 1000: 1}}], [{}] * (MOST + 1)),
        [{"bus": {"interval": 10**400}}],
    ],
)
def test_what_is_no_draft_is_refused(editor: Editor, draft: object) -> None:
    with pytest.raises(OptionsError, match="buses: "):
        editor.reviewed(OPTIONS, draft)


@pytest.mark.parametrize("raw", [None, [], "x", {"buses": {}}])
def test_what_are_no_options_is_refused(editor: Editor, raw: object) -> None:
    with pytest.raises(OptionsError):
        editor.shown(raw)


def test_null_is_not_saved(editor: Editor) -> None:
    found = editor.reviewed(options(mqtt={"host": None, "port": 1883}), kept())
    assert found.options["mqtt"] == {"port": 1883}


@settings(max_examples=60, deadline=None)
@given(files(), st.data())
def test_whatever_the_form_holds_can_be_shown_and_saved_again(raw: dict[str, Any], data: st.DataObject) -> None:
    editor = Editor(Options())
    told = editor.shown(raw)
    json.dumps(told, allow_nan=False).encode()
    rows: list[dict[str, Any]] = [{"was": n} for n in range(len(told["buses"]))]
    for n in data.draw(st.sets(st.sampled_from(range(len(rows))))) if rows else ():
        bus = {key: value for key, value in told["buses"][n]["bus"].items() if len(str(value)) <= LONGEST}
        rows[n] |= {"bus": bus, "keep": told["buses"][n]["kept"]}
    found = editor.reviewed(raw, rows)
    json.dumps(found.told(), allow_nan=False).encode()
    assert len(parse(found.options).buses) == len(rows)


# --- the words of others ----------------------------------------------------------------------------------
def test_words_of_others_are_told_without_secrets(editor: Editor) -> None:
    text = f"the Supervisor refuses: bad option 'pin' {PIN} of anna Got {OPTIONS}"
    assert editor.scrubbed(text, OPTIONS) == "the Supervisor refuses: bad option 'pin' *** of ***"
    assert editor.scrubbed("one of 1-15", {"buses": [{"pin": "1"}]}) == "one of ***-15"
    assert editor.scrubbed("a port of the rack", {"mqtt": {"username": "a"}}) == "*** port of the rack"


def test_what_is_held_as_text_is_the_same(editor: Editor) -> None:
    assert editor.same(
        {"a": [{"baudrate": 9600, "interval": 2}]}, {"a": [{"baudrate": "9600", "interval": 2.0}], "b": 1}
    )
    assert not editor.same({"a": [{"x": 1}]}, {"a": []})
    assert not editor.same({"a": 1}, {})


# --- plug-ins from elsewhere ------------------------------------------------------------------------------
GOOD = """
import voluptuous as vol
from contextlib import asynccontextmanager
from jkbms_addon.acquisition.contract import Plugin

def whole(value):
    if not isinstance(value, int):
        raise vol.Invalid("must be a whole number")
    return value

@asynccontextmanager
async def opened(options, status):
    yield None

PLUGIN = Plugin(
    vol.Schema({
        vol.Required("unit"): whole,
        vol.Optional("secret_word"): str,
        vol.Optional("way", default="up"): vol.In(("up", "down")),
        vol.Optional("odd", default=list): [str],
        "plain": str,
    }),
    opened,
)
"""
ODD = """
import voluptuous as vol
from jkbms_addon.acquisition.contract import Plugin
PLUGIN = Plugin(vol.Schema(dict), 1)
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in (("far_fields", GOOD), ("odd_rows", ODD), ("broken_one", "raise RuntimeError('no')\n")):
        install(tmp_path, name, source)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("plugins")
def test_plug_ins_have_forms_too_and_odd_ones_cost_nobody_else(editor: Editor) -> None:
    told = editor.shown(OPTIONS)
    json.dumps(told, allow_nan=False)
    assert told["foreign"] == ["broken_one", "far_fields", "odd_rows"]
    assert told["forms"].keys() == {*forms()} - {"broken_one", "odd_rows"}
    kinds = {one["key"]: one["kind"] for one in told["forms"]["far_fields"]}
    assert kinds == {"unit": "any", "secret_word": "secret", "way": "choice", "odd": "any", "plain": "any"}
    assert {"master", "auto", "ttl"} <= told["forms"].keys()


@pytest.mark.usefixtures("plugins")
def test_a_bus_of_a_plug_in_is_checked_by_it(editor: Editor) -> None:
    bus = {"name": "far", "strategy": "plugin", "plugin": "far_fields", "unit": "x", "way": "left", "plain": "y"}
    found = editor.reviewed(OPTIONS, [*kept(), {"bus": bus}])
    assert {(key, text) for _, key, text in found.errors} >= {("unit", "must be a whole number")}
    assert {key for _, key, _ in found.errors} == {"unit", "way"}
    found = editor.reviewed(OPTIONS, [*kept(), {"bus": {**bus, "unit": 7, "way": "down", "secret_word": "xyzzy"}}])
    assert found.errors == ()
    assert found.options["buses"][2]["secret_word"] == "xyzzy"
    assert "xyzzy" not in json.dumps(found.told())
