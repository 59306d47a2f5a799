"""JSON as it is published: values of a device, written anew only where they changed. Pure."""

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from jkbms_addon.battery.quantities import Scalar

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Sheet:
    """The text of one topic: every one of its keys, null where a value is not known; a key keeps its type."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._values: list[Scalar] = [None] * len(keys)
        self._texts = [f'"{key}":null' for key in keys]

    def text(self, values: Mapping[str, Scalar]) -> str:
        """JSON of these values."""
        fresh = list(map(values.get, self._keys))
        if fresh != self._values:
            for n, (value, before) in enumerate(zip(fresh, self._values, strict=True)):
                if value != before:
                    self._texts[n] = f'"{self._keys[n]}":{written(value)}'
            self._values = fresh
        return f"{{{','.join(self._texts)}}}"


def written(value: Scalar) -> str:
    """One value; on/off as text, the form in which Home Assistant expects it."""
    if isinstance(value, bool):
        return '"ON"' if value else '"OFF"'
    if isinstance(value, str):
        return _ENCODER.encode(value)
    return "null" if value is None or not isfinite(value) else repr(value)


def encoded(values: Mapping[str, Scalar]) -> str:
    """All values of a device."""
    return "{" + ",".join([f'"{key}":{written(value)}' for key, value in values.items()]) + "}"


def compact(content: Mapping[str, Any]) -> str:
    """Anything else."""
    return _ENCODER.encode(content)
