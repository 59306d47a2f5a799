"""The capture file: time-stamped bytes of both directions as JSON lines. Pure.

The first line is an object with the key ``jkbms_capture``, which is the version of the format; every other
line is ``{"t": seconds since the start, "dir": "rx" or "tx", "hex": bytes}``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar, get_args

from jkbms_addon.errors import OptionsError
from jkbms_addon.link.tap import Direction

VERSION = 1
KEY = "jkbms_capture"
T = TypeVar("T")


class Passed(NamedTuple, Generic[T]):
    """What was handed over at once; ``seconds`` counts from the start of the capture."""

    seconds: float
    direction: Direction
    data: T


Chunk = Passed[bytes]


@dataclass(frozen=True, slots=True)
class Recording:
    """What a capture file holds."""

    header: Mapping[str, Any]
    chunks: Sequence[Chunk]

    @property
    def received(self) -> bytes:
        """Everything that came in."""
        return b"".join(chunk.data for chunk in self.chunks if chunk.direction == "rx")


def header(target: str, started: str, program: str) -> str:
    """The first line; ``started`` is an ISO time, ``program`` the version that wrote it."""
    return json.dumps({KEY: VERSION, "target": target, "started": started, "version": program})


def line(chunk: Chunk) -> str:
    """One line for one chunk."""
    return json.dumps({"t": round(chunk.seconds, 4), "dir": chunk.direction, "hex": chunk.data.hex()})


def is_capture(text: str) -> bool:
    """Whether a text begins like a capture file."""
    first = text.lstrip().partition("\n")[0]
    return first.startswith("{") and f'"{KEY}"' in first


def read(text: str, name: str) -> Recording:
    """The recording in a text; ``OptionsError`` names the line that is none. A last line cut short does not count."""
    lines = [(number, row) for number, row in enumerate(text.splitlines(), 1) if row.strip()]
    if not is_capture(text):
        raise OptionsError(f"{name} is no capture: its first line has no {KEY}")
    head = _object(*lines[0], name)
    if head[KEY] != VERSION:
        raise OptionsError(f"{name}: captures of version {head[KEY]} are not known")
    chunks, before = [], 0.0
    for number, row in lines[1:]:
        # a capture that was killed ends anywhere
        if number == lines[-1][0] and not text.endswith("\n") and not row.rstrip().endswith("}"):
            break
        chunk = _chunk(number, row, name)
        if chunk.seconds < before:
            raise OptionsError(f"{name}, line {number}: time runs backwards")
        chunks.append(chunk)
        before = chunk.seconds
    return Recording(head, chunks)


def _object(number: int, row: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(row)
    except ValueError as error:
        raise OptionsError(f"{name}, line {number}: is not JSON") from error
    if not isinstance(found, dict):
        raise OptionsError(f"{name}, line {number}: is no object")
    return found


def _chunk(number: int, row: str, name: str) -> Chunk:
    found = _object(number, row, name)
    try:
        seconds, data = float(found["t"]), bytes.fromhex(found["hex"])
    except (KeyError, ValueError, TypeError) as error:
        raise OptionsError(f"{name}, line {number}: needs t in seconds, dir and hex") from error
    if found.get("dir") not in get_args(Direction) or not 0 <= seconds < float("inf"):
        raise OptionsError(f"{name}, line {number}: needs t in seconds, dir rx or tx, and hex")
    return Chunk(seconds, found["dir"], data)
