"""Codecs and position tables, which decode and encode.

A row says at which offset a quantity sits and in which coding. Divisors, not factors: 3281 / 1000 is the
float nearest to 3.281, 3281 * 0.001 is not.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jkbms_addon.battery.quantities import Pack, Value
from jkbms_addon.errors import FrameError

Decode = Callable[[Any], Value]
Encode = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Codec:
    """How one raw field becomes a value and back; ``encode`` also gets the present raw field."""

    fmt: str
    decode: Decode
    encode: Encode
    # what the compiled layout does by itself, faster than by a call: a division, a test for not 0
    divisor: int = 0
    unknown: int | None = None
    truth: bool = False


def number(fmt: str, divisor: int = 1, unknown: int | None = None) -> Codec:
    """Integer of a struct format, divided; ``unknown`` is the raw value that means "not known"."""

    def decode(raw: int) -> Value:
        if raw == unknown:
            return None
        return raw / divisor if divisor != 1 else raw

    def encode(value: float | None, _present: object) -> int:
        if value is None:
            return 0 if unknown is None else unknown
        return round(value * divisor)

    return Codec(fmt, decode, encode, divisor, unknown)


def flag(fmt: str = "B") -> Codec:
    """On where the field is not 0; encoded as 1."""
    return Codec(fmt, lambda raw: raw != 0, lambda value, _present: int(bool(value)), truth=True)


def bit(fmt: str, position: int) -> Codec:
    """One bit of a word; encoding keeps the others."""
    mask = 1 << position
    return Codec(
        fmt,
        lambda raw: raw & mask != 0,
        lambda value, present: present | mask if value else present & ~mask,
    )


def text(length: int) -> Codec:
    """ASCII up to the first byte that cannot be printed; None when nothing is left."""

    def decode(raw: bytes) -> Value:
        end = next((i for i, byte in enumerate(raw) if not 0x20 <= byte < 0x7F), length)
        return raw[:end].decode("ascii").strip() or None

    return Codec(f"{length}s", decode, lambda value, _present: str(value or "").encode("ascii", "replace")[:length])


def choice(*names: str) -> Codec:
    """Byte that counts through names; None beyond them."""
    return Codec(
        "B",
        lambda raw: names[raw] if raw < len(names) else None,
        lambda value, _present: names.index(value) if value in names else 0,
    )


@dataclass(frozen=True, slots=True)
class At:
    """One row: the key, where it sits and how it is coded; ``count`` > 1 for a list."""

    key: str
    offset: int
    codec: Codec
    count: int = 1


class Layout:
    """Position table of one message of fixed size. Raises at import when a row overruns or is unknown."""

    def __init__(self, order: str, size: int, *rows: At, vocabulary: type = Pack) -> None:
        self.order, self.size, self.rows = order, size, rows
        self.by_key = {row.key: row for row in rows}
        for row in rows:
            if row.key not in vocabulary.model_fields and not row.key.startswith("_"):  # type: ignore[attr-defined]
                message = f"{row.key} is not in the vocabulary"
                raise ValueError(message)
            if row.offset + row.count * struct.calcsize(order + row.codec.fmt) > size:
                message = f"{row.key} overruns {size} bytes"
                raise ValueError(message)
        self._compile()

    def _compile(self) -> None:
        spots = sorted({(row.offset, row.codec.fmt, row.count) for row in self.rows})
        fmt, end, index, position = self.order, 0, {}, 0
        overlapping: list[tuple[int, str, int]] = []
        for offset, code, count in spots:
            if offset < end:
                overlapping.append((offset, code, count))
                continue
            fmt += f"{offset - end}x" + code * count
            index[offset, code, count] = position
            position += count
            end = offset + count * struct.calcsize(self.order + code)
        self._struct = struct.Struct(fmt)
        self._scaled: list[tuple[str, int, int]] = []
        self._guarded: list[tuple[str, int, int, int]] = []
        self._flags: list[tuple[str, int]] = []
        self._plain: list[tuple[str, int]] = []
        self._other: list[tuple[str, int, Decode]] = []
        self._lists: list[tuple[str, int, int, Decode, int]] = []
        self._apart: list[tuple[str, int, struct.Struct, Decode]] = []
        for row in self.rows:
            self._place(row, index.get((row.offset, row.codec.fmt, row.count)))

    def _place(self, row: At, spot: int | None) -> None:
        codec = row.codec
        if spot is None:
            single = struct.Struct(self.order + codec.fmt)
            self._apart.append((row.key, row.offset, single, codec.decode))
        elif row.count > 1:
            plain = codec.divisor if codec.unknown is None else 0
            self._lists.append((row.key, spot, spot + row.count, codec.decode, plain))
        elif codec.unknown is not None and codec.divisor > 1:
            self._guarded.append((row.key, spot, codec.divisor, codec.unknown))
        elif codec.truth:
            self._flags.append((row.key, spot))
        elif codec.divisor == 1 and codec.unknown is None:
            self._plain.append((row.key, spot))
        elif codec.divisor > 1:
            self._scaled.append((row.key, spot, codec.divisor))
        else:
            self._other.append((row.key, spot, codec.decode))

    def decode(self, payload: bytes | bytearray | memoryview, length: int | None = None) -> dict[str, Value]:
        """Values of all rows, lists cut to ``length`` items; ``FrameError`` when the payload is too short."""
        if len(payload) < self.size:
            message = f"{len(payload)} bytes instead of {self.size}"
            raise FrameError(message)
        raw = self._struct.unpack_from(payload)
        values: dict[str, Value] = {key: raw[i] / divisor for key, i, divisor in self._scaled}
        for key, i in self._plain:
            values[key] = raw[i]
        for key, i in self._flags:
            values[key] = raw[i] != 0
        for key, i, divisor, unknown in self._guarded:
            values[key] = None if raw[i] == unknown else raw[i] / divisor
        for key, i, decode in self._other:
            values[key] = decode(raw[i])
        for key, start, stop, decode, divisor in self._lists:
            items = raw[start : stop if length is None else min(stop, start + length)]
            if divisor > 1:
                values[key] = tuple([item / divisor for item in items])
            else:
                values[key] = tuple([decode(item) for item in items])  # type: ignore[assignment]
        for key, offset, single, decode in self._apart:
            values[key] = decode(single.unpack_from(payload, offset)[0])
        return values

    def encode(self, values: Mapping[str, Any], into: bytearray) -> None:
        """Write the rows whose keys are in ``values`` into a message; other bytes keep their value."""
        for row in self.rows:
            if row.key in values:
                self._write(row, values[row.key], into)

    def _write(self, row: At, value: Any, into: bytearray) -> None:  # noqa: ANN401
        single = struct.Struct(self.order + row.codec.fmt)
        items = value if row.count > 1 else (value,)
        for n, item in enumerate(items[: row.count]):
            offset = row.offset + n * single.size
            present = single.unpack_from(into, offset)[0]
            single.pack_into(into, offset, row.codec.encode(item, present))
