"""The data ids of the ``4E 57`` protocol: length, coding and key of each, and which may be written.

Source: specification of the UART-TTL protocol, chapters 3 and 5, checked on captures of firmware 6.1 to
11.54. Values are big-endian. The password (B2) has a length, because it must be skipped, but no row.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Final, Literal, NamedTuple

from jkbms_addon.battery.quantities import Value
from jkbms_addon.errors import FrameError
from jkbms_addon.wire.codec import At, Codec, Layout, bit, choice, flag, number

Kind = Literal["live", "settings", "about"]
KINDS: Final[tuple[Kind, ...]] = ("live", "settings", "about")

CELLS, PASSWORD, VERSION = 0x79, 0xB2, 0xC0
HEAD: Final = 11  # bytes of a message before the first id
MAX_CELLS: Final = 32
BASE: Final = 100  # of the temperature coding


def temperature() -> Codec:
    """°C; raw values above 100 are negative, 100 itself is 0, so that crossing zero never shows a false +100."""

    def decode(raw: int) -> Value:
        if raw > 2 * BASE:  # documented down to -40; below -100 it is no temperature
            return None
        return raw if raw < BASE else BASE - raw

    def encode(value: float | None, _present: object) -> int:
        if value is None:
            return 0xFFFF
        return round(value) if value >= 0 else BASE - round(value)

    return Codec("H", decode, encode)


def minutes() -> Codec:
    """Minutes on the wire, seconds in the model."""
    return Codec("I", lambda raw: raw * 60, lambda value, _present: round((value or 0) / 60))


_PRINTABLE: Final = bytes(byte if 0x20 <= byte < 0x7F or not byte else ord("?") for byte in range(256))


def words(length: int) -> Codec:
    """ASCII in which NUL may stand in the middle: the parts joined by a space; None when nothing is left."""

    def decode(raw: bytes) -> Value:
        parts = raw.translate(_PRINTABLE).decode("ascii").split("\0")
        return " ".join([part.strip() for part in parts if part and not part.isspace()]) or None

    return Codec(f"{length}s", decode, lambda value, _present: str(value or "").encode("ascii", "replace")[:length])


def hardware() -> Codec:
    """The part of the version text before ``_S``; None where there is none."""
    whole = words(15)

    def decode(raw: bytes) -> Value:
        before, _, after = str(whole.decode(raw)).partition("_S")
        return before.rstrip("_") or None if after else None

    return Codec(whole.fmt, decode, lambda _value, present: present)


def model() -> Codec:
    """The second half of the maker's text, where it begins as the maker's models do; users may rename it."""
    inner = words(12)
    return Codec(
        inner.fmt,
        lambda raw: inner.decode(raw) if raw.startswith(b"JK") else None,
        lambda value, present: inner.encode(value, present) if value else present,
    )


def cell_list(count: int) -> Codec:
    """Cell voltages in V: index from 1 and u16 mV each; ``FrameError`` for an index that cannot be."""
    unpack, in_order = struct.Struct(">" + "xH" * count).unpack, bytes(range(1, count + 1))

    def decode(raw: bytes) -> Value:
        volts = tuple([millivolts / 1000 for millivolts in unpack(raw)])
        return volts if raw[::3] == in_order else placed(raw[::3], volts)

    def encode(value: tuple[float | None, ...], _present: object) -> bytes:
        pairs = enumerate(value[:count], 1)
        return b"".join([struct.pack(">BH", n, round((volts or 0) * 1000)) for n, volts in pairs])

    return Codec(f"{3 * count}s", decode, encode)


def placed(indices: bytes, volts: tuple[float, ...]) -> tuple[float | None, ...]:
    """Cells by their index, None in the gaps; ``FrameError`` when one is doubled or no cell of a battery."""
    cells = dict(zip(indices, volts, strict=True))
    if len(cells) < len(volts) or not all(0 < index <= MAX_CELLS for index in cells):
        message = "the cells are not counted from 1"
        raise FrameError(message)
    return tuple(cells.get(index) for index in range(1, max(cells) + 1))


class Field(NamedTuple):
    """What a value tells: key, coding and place within it; a key with ``_`` is not published."""

    key: str
    codec: Codec
    at: int = 0


@dataclass(frozen=True, slots=True)
class Tag:
    """One data id: bytes behind it, the reading it belongs to, what is read from it."""

    id: int
    length: int
    kind: Kind = "live"
    fields: tuple[Field, ...] = ()


def tag(number: int, kind: Kind, key: str, codec: Codec) -> Tag:
    """Row of an id that tells one quantity."""
    return Tag(number, struct.calcsize(">" + codec.fmt), kind, (Field(key, codec),))


def live(number: int, key: str, codec: Codec) -> Tag:
    """Row of a measured quantity."""
    return tag(number, "live", key, codec)


def setting(number: int, key: str, codec: Codec) -> Tag:
    """Row of a setting."""
    return tag(number, "settings", key, codec)


def about(number: int, key: str, codec: Codec) -> Tag:
    """Row of what the BMS says about itself."""
    return tag(number, "about", key, codec)


u8, u16, u32 = number("B"), number("H"), number("I")
milli, centi, signed = number("H", 1000), number("H", 100), number("h")
celsius = temperature()

TABLE: Final = (
    Tag(CELLS, 0),  # has its length in its first byte
    live(0x80, "mosfet_temperature", celsius),
    live(0x81, "temperature_sensor_1", celsius),
    live(0x82, "temperature_sensor_2", celsius),
    live(0x83, "total_voltage", centi),
    live(0x84, "_current", u16),  # its coding depends on C0, which stands at the end
    live(0x85, "state_of_charge", u8),
    live(0x86, "temperature_sensor_count", u8),
    live(0x87, "charging_cycles", u16),
    live(0x89, "total_charging_cycle_capacity", u32),
    live(0x8A, "_cells", u16),
    live(0x8B, "errors_bitmask", u16),
    Tag(
        0x8C,
        2,
        "live",
        (
            Field("operation_mode_bitmask", u16),
            Field("charging", bit("H", 0)),
            Field("discharging", bit("H", 1)),
            Field("balancing", bit("H", 2)),
        ),
    ),
    setting(0x8E, "total_voltage_overvoltage_protection", centi),
    setting(0x8F, "total_voltage_undervoltage_protection", centi),
    setting(0x90, "cell_voltage_overvoltage_protection", milli),
    setting(0x91, "cell_voltage_overvoltage_recovery", milli),
    setting(0x92, "cell_voltage_overvoltage_delay", u16),
    setting(0x93, "cell_voltage_undervoltage_protection", milli),
    setting(0x94, "cell_voltage_undervoltage_recovery", milli),
    setting(0x95, "cell_voltage_undervoltage_delay", u16),
    setting(0x96, "cell_pressure_difference_protection", milli),
    setting(0x97, "max_discharge_current", u16),
    setting(0x98, "discharge_overcurrent_protection_delay", u16),
    setting(0x99, "max_charge_current", u16),
    setting(0x9A, "charge_overcurrent_protection_delay", u16),
    setting(0x9B, "balancing_start_voltage", milli),
    setting(0x9C, "balance_trigger_voltage", milli),
    setting(0x9D, "balancing_switch", flag()),
    setting(0x9E, "mosfet_overtemperature_protection", u16),
    setting(0x9F, "mosfet_overtemperature_recovery", u16),
    setting(0xA0, "temperature_sensor_temperature_protection", u16),
    setting(0xA1, "temperature_sensor_temperature_recovery", u16),
    setting(0xA2, "temperature_sensor_temperature_difference_protection", u16),
    setting(0xA3, "charge_overtemperature_protection", u16),
    setting(0xA4, "discharge_overtemperature_protection", u16),
    # two's complement, not the coding of 80 to 82
    setting(0xA5, "charge_undertemperature_protection", signed),
    setting(0xA6, "charge_undertemperature_recovery", signed),
    setting(0xA7, "discharging_low_temperature_protection", signed),
    setting(0xA8, "discharging_low_temperature_recovery", signed),
    setting(0xA9, "cell_count", u8),
    setting(0xAA, "total_battery_capacity", u32),
    setting(0xAB, "charging_switch", flag()),
    setting(0xAC, "discharging_switch", flag()),
    setting(0xAD, "current_calibration", milli),
    setting(0xAE, "device_address", u8),
    about(0xAF, "battery_type", choice("LFP", "Li-ion", "LTO")),
    setting(0xB0, "sleep_wait_time", u16),
    setting(0xB1, "alarm_low_volume", u8),
    Tag(PASSWORD, 10),
    setting(0xB3, "dedicated_charger_switch", flag()),
    about(0xB4, "device_type", words(8)),
    about(0xB5, "manufacturing_date", words(4)),  # YYMM
    live(0xB6, "total_runtime", minutes()),
    Tag(0xB7, 15, "about", (Field("software_version", words(15)), Field("hardware_version", hardware()))),
    Tag(0xB8, 1),  # start of the current calibration
    setting(0xB9, "actual_battery_capacity", u32),
    Tag(0xBA, 24, "about", (Field("manufacturer", words(24)), Field("model", model(), 12))),
    # orders, documented as write only: restart, factory reset, upgrade, GPS supply off and on
    Tag(0xBB, 1),
    Tag(0xBC, 1),
    Tag(0xBD, 1),
    Tag(0xBE, 2),
    Tag(0xBF, 2),
    about(VERSION, "protocol_version", u8),
)

TAGS: Final = {row.id: row for row in TABLE}
# What a whole table reports behind the cells; the only known frame of version 0 ends at B7.
REPORTED: Final = {
    0: bytes(row.id for row in TABLE if CELLS < row.id <= 0xB7),
    1: bytes(row.id for row in TABLE if CELLS < row.id <= 0xBA) + bytes((VERSION,)),
}

# --- the ids of one message --------------------------------------------------------------------------


def walk(info: bytes) -> tuple[bytes, int]:
    """Ids in their order, that of the cells followed by its length, and where the walk ended.

    It ends at an id outside the table, whose length nobody knows. ``FrameError`` when a value overruns.
    """
    if _usual(info):
        return info[:2] + REPORTED[1], len(info)
    found, position = bytearray(), 0
    while position < len(info):
        tag = info[position]
        if tag not in TAGS:
            return bytes(found), position
        found.append(tag)
        length = TAGS[tag].length
        if tag == CELLS:
            length = _cell_bytes(info[position + 1 : position + 2])
            found.append(length - 1)
        position += 1 + length
    if position > len(info):
        message = "a value runs over the end of the message"
        raise FrameError(message)
    return bytes(found), position


_SIZES: Final = [1 + TAGS[tag].length for tag in REPORTED[1]]
_USUAL_SIZE: Final = sum(_SIZES)
_USUAL_IDS: Final = tuple(REPORTED[1])
_ids_of: Final = itemgetter(*(sum(_SIZES[:n]) for n in range(len(_SIZES))))


def _usual(info: bytes) -> bool:
    """Whether the ids are those that every known firmware sends: one look instead of sixty steps."""
    if len(info) < 2 or info[0] != CELLS:
        return False
    rest = info[1 + _cell_bytes(info[1:2]) :]
    return len(rest) == _USUAL_SIZE and _ids_of(rest) == _USUAL_IDS


def _cell_bytes(length: bytes) -> int:
    """Size of the cell list together with its length byte."""
    if not length or length[0] % 3 or length[0] > 3 * MAX_CELLS:
        message = "the list of cells has an impossible length"
        raise FrameError(message)
    return 1 + length[0]


class Span(NamedTuple):
    """Where the value of an id stands in a message."""

    tag: int
    start: int
    stop: int


def spans(ids: bytes) -> Iterator[Span]:
    """Places of the values of a walk, the cells' without their length byte."""
    position, rest = HEAD, iter(ids)
    for tag in rest:
        start = position + (2 if tag == CELLS else 1)
        position = start + (next(rest) if tag == CELLS else TAGS[tag].length)
        yield Span(tag, start, position)


@lru_cache(maxsize=16)
def layouts(ids: bytes) -> tuple[Layout, ...]:
    """Position tables of live values, settings and identity for the ids of a walk; a BMS always sends the same."""
    rows: dict[str, list[At]] = {kind: [] for kind in KINDS}
    end = HEAD
    for tag, start, end in spans(ids):
        fields = TAGS[tag].fields
        if tag == CELLS:
            fields = (Field("cell_voltage", cell_list((end - start) // 3)),)
        rows[TAGS[tag].kind] += [At(key, start + at, codec) for key, codec, at in fields]
    return tuple(Layout(">", end, *rows[kind]) for kind in KINDS)


# --- writing -----------------------------------------------------------------------------------------

Evidence = Literal["proven", "refused by some", "experimental"]
# Passwords, calibrations, texts, cell count, address, orders, and what the BMS computes itself.
NEVER: Final = frozenset((0xB2, 0xB8, 0xAD, 0xBA, 0xB4, 0xA9, 0xBB, 0xBC, 0xBD, 0xAE, 0x8E, 0x8F))


@dataclass(frozen=True, slots=True)
class Writable:
    """An id that may be written: its range in the unit of the key, and what speaks for its working.

    ``proven`` was applied in the field, ``refused by some`` is not taken by firmware 11, ``experimental`` has
    only the vendor's document for it and stays read-only by default.
    """

    id: int
    minimum: float = 0
    maximum: float = 1
    evidence: Evidence = "experimental"

    @property
    def field(self) -> Field:
        """Key and coding, as in the table."""
        return TAGS[self.id].fields[0]

    @property
    def width(self) -> int:
        """Bytes of the value."""
        return TAGS[self.id].length


WRITABLE: Final = {
    row.id: row
    for row in (
        Writable(0xAB, evidence="proven"),
        Writable(0xAC, evidence="proven"),
        Writable(0x9D, evidence="refused by some"),
        Writable(0x90, 1, 4.5),
        Writable(0x91, 1, 4.5),
        Writable(0x93, 1, 4.5),
        Writable(0x94, 1, 4.5),
        Writable(0x96, 0, 1),
        Writable(0x97, 1, 1000),
        Writable(0x99, 1, 1000),
        Writable(0x9B, 2, 4.5),
        Writable(0x9C, 0.01, 1),
        Writable(0x9E, 0, 100),
        Writable(0x9F, 0, 100),
        Writable(0xA0, 40, 100),
        Writable(0xA1, 40, 100),
        Writable(0xA2, 5, 20),
        Writable(0xA3, 0, 100),
        Writable(0xA4, 0, 100),
        Writable(0xA5, -45, 25),
        Writable(0xA6, -45, 25),
        Writable(0xA7, -45, 25),
        Writable(0xA8, -45, 25),
        Writable(0xAA, 2, 20000),  # no documented range; that of the vendor's application
        Writable(0xB1, 0, 80),
        Writable(0xB3),
    )
}
WRITABLE_BY_KEY: Final = {row.field.key: row for row in WRITABLE.values()}
# The settings that owners may change: those that batteries are known to take.
CHANGEABLE: Final = frozenset(key for key, row in WRITABLE_BY_KEY.items() if row.evidence != "experimental")
