"""CAN dialects of inverters as tables: a state to frames. Pure.

Source: specification of the inverter path, sections 1, 2 and 4. All ids have 11 bits, values are
little-endian, current is positive while charging, limits of current are never negative. Values are
rounded, never cut off, and kept within their fields.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from jkbms_addon.inverter.state import State, Targets
from jkbms_addon.wire.codec import At, Codec, Layout, bit, text

SIZE: Final = 8
Extremes = Literal["off", "0x070", "0x370"]
EXTREMES: Final[tuple[Extremes, ...]] = ("off", "0x070", "0x370")
Length = Literal["padded", "exact"]
LENGTHS: Final[tuple[Length, ...]] = ("padded", "exact")
Frame = tuple[int, bytes]  # id, data


def amount(fmt: str, divisor: int, low: float, high: float, unknown: float = 0) -> Codec:
    """Number rounded to 1/divisor and kept between low and high; ``unknown`` stands for None."""

    def encode(value: float | None, _present: object) -> int:
        return round(min(max(unknown if value is None else value, low), high) * divisor)

    return Codec(fmt, lambda raw: raw / divisor if divisor != 1 else raw, encode, divisor)


def flags(names: Mapping[int, str]) -> Codec:
    """Two bytes of flags: name of each bit, counted from bit 0 of the first byte."""

    def decode(raw: int) -> tuple[str, ...]:
        return tuple(name for bit, name in names.items() if raw >> bit & 1)

    def encode(value: Sequence[str], _present: object) -> int:
        return sum(1 << bit for bit, name in names.items() if name in value)

    return Codec("H", decode, encode)


def _addresses(raw: int) -> tuple[float | None, ...]:
    return tuple(n for n in range(8) if raw >> n & 1)


# bit n for address n; a byte has no place for more than eight
mask: Final = Codec("B", _addresses, lambda value, _present: sum({1 << n for n in value if 0 <= n < 8}))
blanked: Final = Codec(
    "8s",
    lambda raw: raw.decode("ascii", "replace").rstrip(" \0"),
    lambda value, _present: str(value or "").encode("ascii", "replace")[:SIZE].ljust(SIZE),
)

volts, signed_volts = amount("H", 10, 0, 6553.5), amount("h", 100, -327.68, 327.67)
limit, amperes, celsius = amount("h", 10, 0, 3276.7), amount("h", 10, -3276.8, 3276.7), amount("h", 10, -3276.8, 3276.7)
percent = amount("H", 1, 0, 100)
# first-generation packs do not tell their health, the wire cannot say "unknown", and 0 would stop an inverter
health = amount("H", 1, 0, 100, unknown=100)
count, number = amount("B", 1, 0, 255), amount("H", 1, 0, 65535)
millivolts, centivolts = amount("H", 1000, 0, 65.535), amount("H", 100, 0, 655.35)

PROTECTION_BITS: Final = {
    1: "over_voltage",
    2: "under_voltage",
    3: "over_temperature",
    4: "under_temperature",
    7: "discharge_over_current",
    8: "charge_over_current",
}
ALARM_BITS: Final = PROTECTION_BITS | {11: "internal_comm_fail"}


def layout(*rows: At) -> Layout:
    """Position table of one frame."""
    return Layout("<", SIZE, *rows, vocabulary=Targets)


@dataclass(frozen=True, slots=True)
class Message:
    """One frame: id, positions, the length real batteries send (0: that of the text), and what is always in it."""

    can_id: int
    layout: Layout
    length: int = SIZE
    fixed: bytes = bytes(SIZE)

    def known(self, values: Mapping[str, Any]) -> bool:
        """Whether anything in it is known at all."""
        return any(values.get(row.key) is not None for row in self.layout.rows)

    def data(self, values: Mapping[str, Any], length: Length = "padded") -> bytes:
        """Bytes that say these values; ``padded`` to eight."""
        payload = bytearray(self.fixed)
        self.layout.encode(values, payload)
        if length == "padded":
            return bytes(payload)
        return bytes(payload[: self.length]) if self.length else bytes(payload).rstrip(b"\0")


@dataclass(frozen=True, slots=True)
class Profile:
    """A dialect: its messages in the order in which they are sent, and the text it introduces itself with."""

    name: str
    title: str
    manufacturer: str
    messages: tuple[Message, ...]
    protections: tuple[str, ...]
    alarms: tuple[str, ...]
    extremes: Mapping[Extremes, Message] = field(default_factory=lambda: MappingProxyType({}))
    numbers: Message | None = None


LIMITS: Final = Message(
    0x351,
    layout(
        At("charge_voltage", 0, volts),
        At("charge_current", 2, limit),
        At("discharge_current", 4, limit),
        At("discharge_voltage", 6, volts),
    ),
)
CHARGE: Final = Message(0x355, layout(At("state_of_charge", 0, percent), At("state_of_health", 2, health)), 4)
MEASURED: Final = Message(
    0x356, layout(At("voltage", 0, signed_volts), At("current", 2, amperes), At("temperature", 4, celsius)), 6
)
SWITCHES: Final = (
    At("charge_enabled", 0, bit("B", 7)),
    At("discharge_enabled", 0, bit("B", 6)),
    At("force_charge_1", 0, bit("B", 5)),
    At("force_charge_2", 0, bit("B", 4)),
)


def _errors(protections: Mapping[int, str], alarms: Mapping[int, str], *more: At) -> Layout:
    found = (At("protections", 0, flags(protections)), At("alarms", 2, flags(alarms)), At("modules", 4, count))
    return layout(*found, *more)


def _extremes(can_id: int, cell: Codec) -> Message:
    return Message(
        can_id,
        layout(
            At("max_temperature", 0, celsius),
            At("min_temperature", 2, celsius),
            At("max_cell_voltage", 4, cell),
            At("min_cell_voltage", 6, cell),
        ),
    )


NUMBERS: Final = Message(
    0x371,
    layout(
        At("max_temperature_number", 0, number),
        At("min_temperature_number", 2, number),
        At("max_cell_number", 4, number),
        At("min_cell_number", 6, number),
    ),
)

PYLONTECH_PROTECTIONS: Final = PROTECTION_BITS | {11: "system_error"}
PYLONTECH: Final = Profile(
    "pylontech",
    "Pylontech low voltage, V1.2",
    "PYLON",
    (
        Message(0x359, _errors(PYLONTECH_PROTECTIONS, ALARM_BITS), 7, b"\0\0\0\0\0PN\0"),
        LIMITS,
        CHARGE,
        MEASURED,
        Message(0x35C, layout(*SWITCHES, At("full_charge_request", 0, bit("B", 3))), 2),
        Message(0x35E, layout(At("manufacturer", 0, blanked))),
    ),
    tuple(PYLONTECH_PROTECTIONS.values()),
    tuple(ALARM_BITS.values()),
)

GOODWE_ALARMS: Final = ALARM_BITS | {12: "cell_failure"}
GOODWE: Final = Profile(
    "goodwe",
    'GoodWe V1.5, also cited as "Pylontech V1.3"',
    "Energy",
    (
        Message(0x359, _errors(PROTECTION_BITS, GOODWE_ALARMS, At("module_addresses", 7, mask))),
        LIMITS,
        CHARGE,
        MEASURED,
        Message(0x35C, layout(*SWITCHES), 1),
        Message(0x35E, layout(At("manufacturer", 0, text(SIZE))), 0),
    ),
    tuple(PROTECTION_BITS.values()),
    tuple(GOODWE_ALARMS.values()),
    # the paper prints 0x70 where its neighbours suggest 0x370, with cells in 0.01 V; 0x370 is seen with 1 mV
    MappingProxyType({"0x070": _extremes(0x070, centivolts), "0x370": _extremes(0x370, millivolts)}),
    NUMBERS,
)

PROFILES: Final = {profile.name: profile for profile in (PYLONTECH, GOODWE)}


def frames(
    profile: Profile,
    state: State,
    length: Length = "padded",
    cell_extremes: Extremes = "off",
    *,
    cell_numbers: bool = False,
) -> list[Frame]:
    """The full set in the order of sending: 11-bit id and data.

    Extremes (0x070 or 0x370) and their numbers (0x371) only for dialects that have them, and only when known.
    """
    values = dict(state) | {"manufacturer": state.manufacturer or profile.manufacturer}
    optional = [profile.extremes.get(cell_extremes), profile.numbers if cell_numbers else None]
    messages = [*profile.messages, *(message for message in optional if message and message.known(values))]
    return [(message.can_id, message.data(values, length)) for message in messages]


def ids(profile: Profile) -> frozenset[int]:
    """Every id that the dialect may send."""
    optional = (*profile.extremes.values(), *((profile.numbers,) if profile.numbers else ()))
    return frozenset(message.can_id for message in (*profile.messages, *optional))
