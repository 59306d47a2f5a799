"""YAML as it is shown, read by a reader of YAML."""

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jkbms_addon.errors import OptionsError
from jkbms_addon.options.plain_yaml import changed, read, written
from tests.test_manifest import CONFIG

TEXTS = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXTS
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=12
)


@given(TREES)
def test_a_reader_reads_the_same(content: Any) -> None:
    assert yaml.safe_load(written(content)) == content


def test_the_options_of_a_new_installation() -> None:
    assert yaml.safe_load(written(CONFIG["options"])) == CONFIG["options"]
    assert 'level: "off"' in written(CONFIG["options"])


@pytest.mark.parametrize(
    "text", ["on", "No", "null", "~", "1-15", "0x10", "1e3", "a: b", "a #b", " a", "- a", "a:", ""]
)
def test_what_looks_like_something_else_is_quoted(text: str) -> None:
    assert yaml.safe_load(written({"key": text})) == {"key": text}


def test_a_path_and_a_name_are_not_quoted() -> None:
    assert written([{"port": "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0", "name": "rs485"}]) == (
        "- port: /dev/serial/by-id/usb-1a86_USB_Serial-if00-port0\n  name: rs485"
    )


def test_whole_numbers_are_whole() -> None:
    assert written({"interval": 2.0, "share": 1.5}) == "interval: 2\nshare: 1.5"


def test_what_changed() -> None:
    before = [f"line {n}" for n in range(10)]
    after = [*before[:5], "another", *before[6:]]
    assert changed("\n".join(before), "\n".join(after)) == [
        *("@", " line 3", " line 4", "-line 5", "+another", " line 6", " line 7")
    ]
    assert changed("same", "same") == []


# --- reading -------------------------------------------------------------------------------------------
@given(TREES)
def test_what_is_written_is_read(content: Any) -> None:
    assert read(written(content)) == content


def test_the_form_is_read() -> None:
    assert read(written(CONFIG["options"])) == CONFIG["options"]
    assert read("\ufeff" + written(CONFIG["options"]).replace("\n", "\r\n") + "\r\n\r\n") == CONFIG["options"]


COPIED = """\
# from their form
jkbms:
- path: /dev/serial/by-id/usb-1a86_USB_Serial-if00-port0
  nb-jkbms: 3
  CAN bus usage: false

mqttadresse_port: core-mosquitto.local.hass.io:1883
gateway_ip_port: 192.168.1.100:5000
gateway_ip: 192.168.1.100
mqttpass: 'it''s'
mqttuser: p@ss!word, {x}
addresses: 1-3, 7
pause: 1.5
premium_key:
"""


def test_what_people_copy() -> None:
    assert read(COPIED) == yaml.safe_load(COPIED)
    assert read(COPIED)["addresses"] == "1-3, 7"


# a middle dot is a blank here
PIECES = r"""a b: a:· -· · ·· ' " # ·# :· : [] {} {a on Yes null ~ 1 0 01 0x1 1e3 1.5 .5 1-2 1:30 1_0 &x *x !t | >
--- % ? , 2026-01-02 10.0.0.5:80 ü << = /dev true False \ -1 1-2,·3 a(b) y"""
TOKENS = [*(piece.replace("·", " ") for piece in PIECES.split()), "\n", "\n  ", "\n- ", "\t", "\r", "\u2028"]


@settings(max_examples=600)
@given(st.lists(st.sampled_from(TOKENS), max_size=14).map("".join))
@example("a : 1")
@example("a:  b ")
@example("a: 1-2\nb:\n- a\n-  b: c\n   d: 'e'")
def test_what_is_read_is_what_a_reader_reads(text: str) -> None:
    try:
        found = read(text)
    except OptionsError:
        return
    assert repr(found) == repr(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: on", 1),
        ("a: 1\nb: |\n  text", 2),
        ("a: 1\n\tb: 2", 2),
        ("a: 1\n  b: 2", 2),
        ("a:\n    b: 1\n  c: 2", 3),
        ("a: 1\na: 2", 2),
        ("a: &x 1", 1),
        ("a: [1, 2]", 1),
        ("a: 010", 1),
        ("a: 1 # one", 1),
        ("on: 1", 1),
        ('a: "x" y', 1),
        ("- 1\nb: 2", 2),
        ("-", 1),
        ("- " * 5000, 1),
        ("just: one: two", 1),
        ("\n".join(" " * n + "a:" for n in range(2000)), 62),
    ],
)
def test_everything_else_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(OptionsError, match=rf"^line {line}: "):
        read(text)
