"""Text of can-utils' ``candump``: both of its notations, read and written.

The log notation ``(1753000000.123456) can0 2F4#1302B20F51000000`` and the one for people,
``can0  2F4   [8]  13 02 B2 0F 51 00 00 00``, each with or without a time. An id of eight digits is a 29-bit
one, of three an 11-bit one.
"""

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from jkbms_addon.wire.can import Frame


class Captured(NamedTuple):
    """A frame as captured; ``timestamp`` in seconds, of whatever clock the capture used."""

    timestamp: float | None
    channel: str
    can_id: int
    extended: bool
    data: bytes


_TIME: Final = r"\s*(?:\((?P<time>[\d.: -]+)\)\s+)?"
_ID: Final = r"(?P<id>[0-9A-F]{8}|[0-9A-F]{3})"
_LOG: Final = re.compile(
    rf"{_TIME}(?P<channel>\S+)\s+{_ID}#(?P<data>(?:[0-9A-F]{{2}}){{0,8}})(?:\s+[RT])?\s*", re.IGNORECASE
)
_PEOPLE: Final = re.compile(
    rf"{_TIME}(?P<channel>\S+)\s+(?:[RT]X\s+[B-]\s+[E-]\s+)?{_ID}\s+\[0?(?P<size>[0-8])\]"
    r"(?P<data>(?:\s+[0-9A-F]{2})*)\s*(?:'.*'\s*)?",
    re.IGNORECASE,
)


def candump(line: str) -> Captured | None:
    """The data frame of one line; None for blank lines, remote, error and CAN FD frames, and anything else."""
    match = _LOG.fullmatch(line) or _PEOPLE.fullmatch(line)
    if match is None:
        return None
    digits, data = match["id"], bytes.fromhex(match["data"])
    can_id, size = int(digits, 16), match.groupdict().get("size")
    if can_id > (0x1FFFFFFF if len(digits) == 8 else 0x7FF) or (size is not None and int(size) != len(data)):
        return None
    return Captured(_seconds(match["time"]), match["channel"], can_id, len(digits) == 8, data)


def _seconds(text: str | None) -> float | None:
    """Time in s as a number or as a date, of which only differences mean anything."""
    if text is None:
        return None
    try:
        return float(text) if ":" not in text else datetime.fromisoformat(text.strip()).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def identified(frame: Frame) -> str:
    """The id of a frame: eight digits, or three where it has 11 bits."""
    return f"{frame.can_id:08X}" if frame.extended else f"{frame.can_id:03X}"


def written(frame: Frame, channel: str = "can0", timestamp: float | None = None, *, sent: bool = False) -> str:
    """A line in the log notation, with ``T`` where it was ``sent``; or without a time in the one for people."""
    digits = identified(frame)
    if timestamp is not None:
        return f"({timestamp:.6f}) {channel} {digits}#{frame.data.hex().upper()}{' T' if sent else ''}"
    return f"{channel}  {digits}   [{len(frame.data)}]  {frame.data.hex(' ').upper()}".rstrip()
