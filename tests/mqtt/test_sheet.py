"""The text of one topic is always that of its values, however they came about."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.mqtt.sheet import Sheet, encoded

KEYS = ("a", "b", "c")
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "a": st.none() | st.booleans(),
        "b": st.none() | st.integers() | st.floats(),
        "c": st.none() | st.text(),
    },
)


def told(value: object) -> object:
    """How a value reads after JSON."""
    if isinstance(value, bool):
        return "ON" if value else "OFF"
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


@given(st.lists(VALUES, min_size=1))
def test_every_text_is_the_whole_of_the_latest_values(steps: list[dict[str, Any]]) -> None:
    sheet = Sheet(KEYS)
    for values in steps:
        text = sheet.text(values)
        assert json.loads(text) == {key: told(values.get(key)) for key in KEYS}
        assert json.loads(encoded(values)) == {key: told(value) for key, value in values.items()}
