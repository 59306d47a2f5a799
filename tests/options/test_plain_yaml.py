"""YAML as it is shown, read by a reader of YAML."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.options.plain_yaml import changed, written
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
