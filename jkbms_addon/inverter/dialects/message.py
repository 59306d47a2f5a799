"""One frame of a dialect as a table: where a value sits, how it is coded, and in which range it is kept. Pure.

Values are rounded, never cut off, and kept within their fields and within the range that the inverter takes. The
numbers of a frame are packed at once; a set of twenty frames costs some ten microseconds. Every coding can be read
back, too, for who wants to see in words what was sent.
"""

import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal

from jkbms_addon.inverter.state import Targets

SIZE: Final = 8
Length = Literal["padded", "exact"]
LENGTHS: Final[tuple[Length, ...]] = ("padded", "exact")
Frame = tuple[int, bytes]  # id, data
Values = Mapping[str, Any]
# how many rows share a field, the raw field to begin with, key and encoder of each
Part = tuple[int, Any, tuple[tuple[str, Callable[[Any], Any]], ...]]
Said = float | str | bool | tuple[str, ...] | None

cached: Final = lru_cache(1024)  # texts are the same from set to set; whoever tries many must not fill the memory
MILD: Final = 25.0  # °C told where no temperature is known: never an extreme, and charging is 0 then


@dataclass(frozen=True, slots=True)
class Coding:
    """Raw field of a ``struct`` format; ``encode`` takes the value, None where it is unknown.

    ``decode`` gives what the raw field says: a number, a text, yes or no, or the names of what is raised.
    """

    fmt: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], "Said"] = lambda raw: raw


@dataclass(frozen=True, slots=True)
class Field:
    """One row: the key, where it sits and how it is coded. Rows of the same place are bits of one field."""

    key: str
    offset: int
    coding: Coding


def amount(fmt: str, divisor: int, low: float, high: float, unknown: float = 0) -> Coding:
    """Number rounded to 1/divisor and kept between low and high; ``unknown`` stands for None."""
    stand_in = round(min(max(unknown, low), high) * divisor)

    def encode(value: float | None) -> int:
        if value is None:
            return stand_in
        return round((low if value < low else min(value, high)) * divisor)

    return Coding(fmt, encode, lambda raw: raw / divisor)


def marked(fmt: str, divisor: int, low: float, high: float, unknown: int) -> Coding:
    """As ``amount``; None becomes the raw value that the dialect keeps for "not known"."""
    told = amount(fmt, divisor, low, high).encode
    return Coding(
        fmt,
        lambda value: unknown if value is None else told(value),
        lambda raw: None if raw == unknown else raw / divisor,
    )


def flags(fmt: str, names: Mapping[str, int], base: int = 0, mark: int = 1) -> Coding:
    """Word of flags: for each name the position that is turned over in ``base``; ``mark`` are the bits turned."""

    def encode(value: Collection[str]) -> int:
        raised = 0
        for name in value:
            if name in names:
                raised |= mark << names[name]
        return base ^ raised

    bits: dict[int, str] = {}
    for name, position in names.items():
        bits.setdefault(position, name)  # of several names for one bit the first one is said

    def decode(raw: int) -> tuple[str, ...]:
        turned = raw ^ base
        return tuple(name for position, name in bits.items() if turned >> position & mark == mark)

    return Coding(fmt, encode, decode)


def switch(position: int) -> Coding:
    """One bit of a byte."""
    mask = 1 << position
    return Coding("B", lambda value: mask if value else 0, lambda raw: bool(raw & mask))


def letters(length: int, fill: bytes = b"\0") -> Coding:
    """ASCII, filled up; longer texts are cut."""

    @cached
    def encode(value: str | None) -> bytes:
        return (value or "").encode("ascii", "replace")[:length].ljust(length, fill)

    return Coding(f"{length}s", encode, _text)


def part(start: int, length: int) -> Coding:
    """A piece of a longer text, filled up with NUL."""

    @cached
    def encode(value: str | None) -> bytes:
        return (value or "").encode("ascii", "replace")[start : start + length].ljust(length, b"\0")

    return Coding(f"{length}s", encode, _text)


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace").rstrip("\0 ")


def version(fmt: str, *, decimal: bool) -> Coding:
    """Two numbers of a text such as ``1.17`` in two bytes; ``decimal``: a digit in each half byte."""

    @cached
    def encode(value: str | None) -> bytes:
        numbers = [min(int(number), 99 if decimal else 255) for number in (value or "0").split(".")[:2]]
        return bytes(int(str(number), 16) if decimal else number for number in [*numbers, 0][:2])

    def decode(raw: bytes) -> str:
        return ".".join(f"{number:x}" if decimal else str(number) for number in raw)

    return Coding(fmt, encode, decode)


def clock(moment: datetime | None) -> int:
    """32 bits: seconds 0-5, minutes 6-11, hours 12-16, day 17-21, month 22-25, year from 2000 in 26-31; 0: unknown."""
    if moment is None:
        return 0
    year = min(max(moment.year - 2000, 0), 63)
    time = moment.second | moment.minute << 6 | moment.hour << 12
    return time | moment.day << 17 | moment.month << 22 | year << 26


def moment(raw: int) -> str:
    """The same as text, such as ``2026-11-27 13:05:00``; empty where it is not known."""
    year, month, day = 2000 + (raw >> 26), raw >> 22 & 15, raw >> 17 & 31
    return f"{year}-{month:02}-{day:02} {raw >> 12 & 31:02}:{raw >> 6 & 63:02}:{raw & 63:02}" if raw else ""


def trailing(value: str | None) -> int:
    """Number at the end of a place such as ``2-11``; of one written as battery x 100 + number, the number; else 0."""
    digits = ""
    for letter in reversed(value or ""):
        if not letter.isdigit():
            break
        digits = letter + digits
    return int(digits or 0) % 100


def _addresses(value: Collection[int]) -> int:
    return sum({1 << n for n in value if 0 <= n < 8})


# bit n for address n; a byte has no place for more than eight
addresses: Final = Coding("B", _addresses, lambda raw: tuple(str(n) for n in range(8) if raw >> n & 1))
place: Final = Coding("B", cached(trailing))
volts, centivolts_signed = amount("H", 10, 0, 6553.5), amount("h", 100, -327.68, 327.67)
limit, amperes = amount("h", 10, 0, 3276.7), amount("h", 10, -3276.8, 3276.7)
celsius = amount("h", 10, -3276.8, 3276.7, unknown=MILD)
percent = amount("H", 1, 0, 100)
# first-generation packs do not tell their health, the wire cannot say "unknown", and 0 would stop an inverter
health = amount("H", 1, 0, 100, unknown=100)
count, number = amount("B", 1, 0, 255), amount("H", 1, 0, 65535)
millivolts, centivolts = amount("H", 1000, 0, 65.535), amount("H", 100, 0, 655.35)


@dataclass(frozen=True, slots=True)
class Message:
    """One frame: id, rows, the length real batteries send (0: that of the text), and what is always in it.

    ``needs`` are keys without which it is not sent at all. ``cuts`` are keys with the length at which the frame ends
    when their value is not known: in a dialect where a zero would be a value, nothing is better than a number.
    ``pads`` is False where the frame always has its own length. Raises ``ValueError`` at import when a row overruns,
    overlaps another one or is no word of the vocabulary.
    """

    can_id: int
    rows: tuple[Field, ...]
    length: int = SIZE
    fixed: bytes = bytes(SIZE)
    order: str = "<"
    needs: tuple[str, ...] = ()
    cuts: tuple[tuple[str, int], ...] = ()
    pads: bool = True
    blank: tuple[int, int] | None = None  # bytes that are zero in the exact length
    _struct: struct.Struct = field(init=False, repr=False, compare=False)
    _parts: tuple[Part, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            if row.key not in Targets.model_fields and not row.key.startswith("_"):
                raise ValueError(f"0x{self.can_id:03X}: {row.key} is not in the vocabulary")
        fmt, end = self.order, 0
        parts: list[Part] = []
        for offset, code in sorted({(row.offset, row.coding.fmt) for row in self.rows}):
            size = struct.calcsize(self.order + code)
            if offset < end or offset + size > SIZE:
                raise ValueError(f"0x{self.can_id:03X}: byte {offset} overlaps or overruns")
            if offset > end:
                fmt += f"{offset - end}s"
                parts.append((0, self.fixed[end:offset], ()))
            rows = tuple((row.key, row.coding.encode) for row in self.rows if row.offset == offset)
            base = 0 if code.endswith("s") else struct.unpack_from(self.order + code, self.fixed, offset)[0]
            fmt += code
            parts.append((len(rows), base, rows))
            end = offset + size
        if end < SIZE:
            fmt += f"{SIZE - end}s"
            parts.append((0, self.fixed[end:], ()))
        object.__setattr__(self, "_struct", struct.Struct(fmt))
        object.__setattr__(self, "_parts", tuple(parts))

    def read(self, data: bytes) -> list[tuple[str, Said]]:
        """What bytes of this frame say, in the order of the rows; what they are too short for is left out."""
        found: list[tuple[str, Said]] = []
        for row in self.rows:
            fmt = self.order + row.coding.fmt
            if row.offset + struct.calcsize(fmt) <= len(data):
                found.append((row.key, row.coding.decode(struct.unpack_from(fmt, data, row.offset)[0])))
        return found

    def known(self, values: Values) -> bool:
        """Whether it can be sent."""
        return all(values.get(key) is not None for key in self.needs)

    def data(self, values: Values, length: Length = "padded") -> bytes:
        """Bytes that say these values; ``padded`` to eight, or in the dialect's own length."""
        raws: list[Any] = []
        for number_of_rows, base, rows in self._parts:
            if number_of_rows == 0:
                raws.append(base)
            elif number_of_rows == 1:
                key, encode = rows[0]
                raws.append(encode(values[key]) if not base else base | encode(values[key]))
            else:
                word = base
                for key, encode in rows:
                    word |= encode(values[key])
                raws.append(word)
        payload = self._struct.pack(*raws)
        exact = length == "exact" or not self.pads
        if exact and self.blank:
            start, end = self.blank
            payload = payload[:start] + bytes(end - start) + payload[end:]
        for key, end in self.cuts:
            if values[key] is None:
                return payload[: min(end, self.length) if exact else end]
        if not exact:
            return payload
        return payload[: self.length] if self.length else payload.rstrip(b"\0") or payload[:1]
