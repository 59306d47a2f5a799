"""The ``4E 57`` protocol of the first generation on its UART-TTL port: framer, requests, decode, encode.

Source: specification of the UART-TTL protocol, chapters 2 to 5, checked on captures of firmware 6.1 to
11.54. One reply holds the whole table as ids with values. There is no address: one BMS per port. The
password is skipped by its length and never kept; raw bytes hold it, so they are in no ``repr``.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal

from jkbms_addon.battery.alarms import LEGACY_NAMES, raised_bits
from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.reading import Reading, derive
from jkbms_addon.errors import CommandError, FrameError
from jkbms_addon.wire.framing import StreamFramer
from jkbms_addon.wire.ttl.tags import CELLS, HEAD, MAX_CELLS, PASSWORD, REPORTED, WRITABLE, layouts, spans, walk

START: Final = b"NW"
END: Final = 0x68
TAIL: Final = 9  # record number, end byte and checksum
MIN_SIZE, MAX_SIZE = HEAD + TAIL, 512 + 2
ACTIVATE_COMMAND, WRITE, READ_ONE, PAIR, READ = 0x01, 0x02, 0x03, 0x05, 0x06
BMS, GPS, PC = 0, 2, 3  # sources
ASK, ANSWER, UPLOAD = 0, 1, 2  # transport types

FrameKind = Literal["table", "written", "activated", "paired", "echo"]
ANSWERS: Final[Mapping[int, FrameKind]] = {
    ACTIVATE_COMMAND: "activated",
    WRITE: "written",
    READ_ONE: "table",
    PAIR: "paired",
    READ: "table",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole message whose checksum is right; ``offset`` counts from the start of the stream."""

    command: int
    source: int
    transport: int
    offset: int
    data: bytes = field(repr=False)

    @property
    def kind(self) -> FrameKind:
        """What it is; ``echo`` is a request, thus our own words coming back."""
        asked = self.transport == ASK or (self.transport == UPLOAD and self.source != BMS)
        return "echo" if asked else ANSWERS[self.command]

    @property
    def info(self) -> bytes:
        """Ids and values; may hold the password."""
        return self.data[HEAD:-TAIL]

    @property
    def tag(self) -> int | None:
        """The first id: of a write answer the one that was written."""
        return self.data[HEAD] if len(self.data) > MIN_SIZE else None


def checksum(data: bytes | bytearray) -> int:
    """Sum of all bytes up to and including the end byte, modulo 65536."""
    return sum(data[:-4]) & 0xFFFF


def valid(data: bytes | bytearray) -> bool:
    """Whether end byte and checksum of a whole message are right; the checksum's high word is 0."""
    return data[-5] == END and checksum(data) == int.from_bytes(data[-4:])


class Framer(StreamFramer[Frame]):
    """Finds messages; to be flushed after a silence of 50 ms.

    A message ends where its length says: start and end bytes also occur inside. After a wrong one the search
    goes on at the next start byte.
    """

    def _size(self, found: Frame) -> int:
        return len(found.data)

    def _skip(self, buffer: bytearray, position: int) -> int:
        following = buffer.find(START[0], position + 1)
        return (following if following > 0 else len(buffer)) - position

    def _at(self, buffer: bytearray, position: int) -> Frame | Literal[False] | None:
        """The message at a position, False when there is none, None when more bytes are needed."""
        size = possible_size(buffer[position : position + HEAD])
        if not size:
            return False if size == 0 else None
        data = bytes(buffer[position : position + size])
        if len(data) < size:
            return None
        if valid(data):
            return Frame(data[8], data[9], data[10], self._offset + position, data)
        self.checksum_failures += 1
        return False


def possible_size(head: bytes | bytearray) -> int | None:
    """Size of the message that begins so, 0 when none can, None when more bytes are needed."""
    if not START.startswith(head[:2]):
        return 0
    size = int.from_bytes(head[2:4]) + 2
    if len(head) >= 4 and not MIN_SIZE <= size <= MAX_SIZE:
        return 0
    if len(head) < HEAD:
        return None
    return size if head[8] in ANSWERS and head[10] <= UPLOAD else 0


def parse(message: bytes) -> Frame:
    """One whole message; ``FrameError`` when it is none."""
    if possible_size(message[:HEAD]) != len(message) or not valid(message):
        text = f"{len(message)} bytes that are no message of this protocol"
        raise FrameError(text)
    return Frame(message[8], message[9], message[10], 0, message)


# --- requests ------------------------------------------------------------------------------------------


def closed(data: bytes | bytearray) -> bytes:
    """The same message with its checksum made anew."""
    return bytes(data[:-4]) + checksum(data).to_bytes(4)


def _message(command: int, info: bytes | bytearray, source: int, transport: int) -> bytes:
    head = struct.pack(">2sH4xBBB", START, HEAD + TAIL - 2 + len(info), command, source, transport)
    return closed(head + info + struct.pack(">4xB4x", END))


READ_ALL: Final = _message(READ, b"\0", PC, ASK)
ACTIVATE: Final = _message(ACTIVATE_COMMAND, b"\0", PC, ASK)
PAIRING: Final = _message(PAIR, b"\0\0", GPS, ASK)  # before a write; its content is not looked at, no answer


def write_request(tag: int, value: float) -> bytes:
    """The message that writes a setting, in the unit of its key; ``CommandError`` for others or out of range.

    An answer to it does not mean that the value was taken: only reading back does.
    """
    row = WRITABLE.get(tag)
    if row is None:
        message = f"id {tag:02X} is never written"
        raise CommandError(message)
    if not row.minimum <= value <= row.maximum:
        message = f"{row.field.key} must be from {row.minimum} to {row.maximum}, not {value}"
        raise CommandError(message)
    raw = row.field.codec.encode(value, 0)
    return _message(WRITE, struct.pack(">B" + row.field.codec.fmt, tag, raw), PC, ASK)


def write_answer(tag: int) -> bytes:
    """What a BMS answers to a write, taken or not (for simulators)."""
    return _message(WRITE, bytes((tag,)), BMS, ANSWER)


# --- decode --------------------------------------------------------------------------------------------


def readings(frame: Frame, address: int | None = None, *, settled: bool = False) -> tuple[Reading, ...]:
    """What a table tells: telemetry, settings and identity, those of which it says anything.

    What a BMS reports wrongly just after its start is None (see ``starting``), unless it is ``settled``, that is,
    known to run for longer. ``FrameError`` when it is not a table or its values overrun.
    """
    if frame.kind != "table":
        message = f"a message of kind {frame.kind} is no table"
        raise FrameError(message)
    info = frame.info
    ids, end = walk(info)
    live, settings, about = [layout.decode(frame.data) for layout in layouts(ids)]
    if ids and end == len(info):
        about.setdefault("protocol_version", 0)
    doubts = _doubts(live)
    _live(live, settings, about.get("protocol_version"), settled=settled)
    found = (
        Reading(address, "live", live, LEGACY_NAMES, _fingerprint(ids, live), doubts, format="ttl"),
        Reading(address, "settings", settings, LEGACY_NAMES, format="ttl"),
        Reading(address, "about", about, LEGACY_NAMES, format="ttl"),
    )
    return tuple([reading for reading in found if reading.values])


def _doubts(live: dict[str, Value]) -> frozenset[str]:
    """Where the table's redundant values disagree."""
    count, cells = live.pop("_cells", None), live.get("cell_voltage")
    return frozenset(("cell count",)) if isinstance(cells, tuple) and count not in (None, len(cells)) else frozenset()


def _fingerprint(ids: bytes, live: Mapping[str, Any]) -> bytes:
    """The ids that were sent, alarms and states."""
    alarms, states = live.get("errors_bitmask", 0), live.get("operation_mode_bitmask", 0)
    return ids + struct.pack(">HH", alarms, states)


def _live(live: dict[str, Value], settings: Mapping[str, Value], version: Value, *, settled: bool) -> None:
    if "_current" in live:
        # a lone answer carries no version, so nobody knows the coding
        live["current"] = amperes(live.pop("_current"), version if "cell_voltage" in live else None)  # type: ignore[arg-type]
    if "errors_bitmask" in live:
        live["alarms"] = raised_bits(live["errors_bitmask"], LEGACY_NAMES)
    if "operation_mode_bitmask" in live:
        live["operation_mode"] = mode_text(live["operation_mode_bitmask"])
    if not settled and just_started(live):
        live["state_of_charge"] = live["charging_cycles"] = None
    if "state_of_charge" in live:
        live["capacity_remaining"] = _remaining(live["state_of_charge"], settings.get("total_battery_capacity"))
    derive(live)


def amperes(raw: int, version: Value) -> float | None:
    """Current in A, positive while charging; None when the protocol version does not say how it is coded."""
    if version == 0:
        return (10000 - raw) / 100
    if version != 1:
        return None
    # bit 15 means charging; it is not two's complement, and 0 has no sign
    return (raw & 0x7FFF) / 100 if raw & 0x8000 or not raw else -raw / 100


MODES: Final = ("Charging enabled", "Discharging enabled", "Balancer enabled")


@lru_cache(maxsize=64)
def mode_text(word: Any) -> str:  # noqa: ANN401
    """The operating states that are on; bit 3 is left out, since real packs contradict its documentation."""
    return "; ".join(label for position, label in enumerate(MODES) if word >> position & 1)


UNDERVOLTAGE: Final = 1 << 3 | 1 << 11


def just_started(live: Mapping[str, Any]) -> bool:
    """Whether charge and cycles of 0 are those of the first 16 s after a start of the BMS.

    They are where the other counters remember a past; a pack that reports under-voltage may well be empty.
    """
    return (
        live.get("state_of_charge") == 0
        and live.get("charging_cycles") == 0
        and not live.get("errors_bitmask", 0) & UNDERVOLTAGE
        and bool(live.get("total_charging_cycle_capacity") or live.get("total_runtime"))
    )


def starting(reading: Reading) -> bool:
    """Whether charge and cycles of a live reading were withheld, because the BMS has just started."""
    return reading.values.get("state_of_charge", 0) is None


def _remaining(percent: Any, capacity: Any) -> float | None:  # noqa: ANN401
    """Ah left; None when either is unknown or no capacity is set."""
    return percent * capacity / 100 if percent is not None and capacity else None


# --- captures and simulators ---------------------------------------------------------------------------


def masked(message: bytes) -> bytes:
    """The same message without password, its checksum made anew; ``FrameError`` when it is no message.

    What stands behind an id that is not known is blanked too, for the password could be there.
    """
    frame = parse(message)
    data = bytearray(message)
    for start, stop in _secrets(frame):
        data[start:stop] = b"x" * (stop - start)
    return closed(data)


def _secrets(frame: Frame) -> list[tuple[int, int]]:
    """Parts of a message that are, or may be, the password."""
    end = len(frame.data) - TAIL
    if frame.command == PAIR:
        return [(HEAD, end)]
    if frame.kind != "table":
        return [(HEAD + 1, end)] if frame.tag == PASSWORD else []
    ids, stopped = walk(frame.info)
    found = [(start, stop) for tag, start, stop in spans(ids) if tag == PASSWORD]
    return found if found or stopped == len(frame.info) else [(HEAD + stopped + 1, end)]


def encode_reply(values: Mapping[str, Value], version: int = 1, *, password: bytes = b"") -> bytes:
    """The answer to a read-all that says these values (for simulators); what is not given is 0."""
    told: dict[str, Any] = {**values, "protocol_version": version}
    cells = tuple(told.get("cell_voltage") or ())[:MAX_CELLS]
    told |= {"cell_voltage": cells, "_cells": len(cells), "_current": raw_current(told.get("current") or 0, version)}
    # the model stands in the second half of BA and gets there by its own row
    told["manufacturer"] = (told.get("manufacturer") or "").removesuffix(told.get("model") or "").strip()
    ids = bytes((CELLS, 3 * len(cells))) + REPORTED[version]
    data = bytearray(_message(READ, _blank(ids, password), BMS, ANSWER))
    for layout in layouts(ids):
        layout.encode(told, data)
    return closed(data)


def _blank(ids: bytes, password: bytes) -> bytes:
    """A table that says 0 of everything."""
    table = b""
    for tag, start, stop in spans(ids):
        value = password if tag == PASSWORD else b""
        length = bytes((stop - start,)) if tag == CELLS else b""
        table += bytes((tag,)) + length + value[: stop - start].ljust(stop - start, b"\0")
    return table


def raw_current(amps: float, version: int) -> int:
    """Current as that protocol version codes it."""
    hundredths = round(amps * 100)
    if version == 0:
        return 10000 - hundredths
    return 0x8000 | hundredths if hundredths > 0 else -hundredths
