"""Answers of the dialect ``pylontech_rs485`` read back, for who wants to see in words what would be answered. Pure.

Only the answers that carry values: 42, 44, 47, 61, 62, 63 and 92. What is about single cells is left out: an inverter
is told the lowest, the highest and the mean of the others.
"""

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from jkbms_addon.inverter.dialects.message import Said, flags
from jkbms_addon.inverter.dialects.pylontech_rs485 import STATUS_1, SYSTEM_ALARMS, SYSTEM_PROTECTIONS, UNKNOWN

SHOWN: Final = (0x61, 0x62, 0x63, 0x42, 0x44, 0x47, 0x92)
Row = tuple[str, str, Callable[[Any], Said]]  # key, empty for what is not shown; format; what the raw field says


def _volts(raw: int) -> float:
    return raw / 1000


def _known_volts(raw: int) -> float | None:
    return None if raw == UNKNOWN else raw / 1000


def _tenths(raw: int) -> float:
    return abs(raw) / 10


def _celsius(raw: int) -> float:
    return (raw - 2731) / 10


def _skipped(_raw: object) -> None:
    return None


def _bits(*positions: tuple[str, int]) -> Callable[[int], tuple[str, ...]]:
    return lambda raw: tuple(name for name, at in positions if raw >> at & 1)


_MANAGED: Final = _bits(
    *(("charge_enabled", 7), ("discharge_enabled", 6), ("force_charge_1", 5)),
    *(("force_charge_2", 4), ("full_charge_request", 3)),
)
_SYSTEM: Final = _bits(
    ("charge_enabled", 7), ("discharge_enabled", 6), ("force_charge_1", 5), ("full_charge_request", 4)
)
_ALLOWED: Final = _bits(("discharge_enabled", 2), ("charge_enabled", 1))
_LIMITS: Final[tuple[Row, ...]] = (
    ("charge_voltage", "H", _volts),
    ("discharge_voltage", "H", _volts),
    ("charge_current", "h", _tenths),
    ("discharge_current", "h", _tenths),
)
FIXED: Final[Mapping[int, tuple[Row, ...]]] = MappingProxyType(
    {
        0x47: (
            ("", "B", _skipped),
            *(("cell_charge_voltage", "H", _volts), ("cell_discharge_voltage", "H", _volts), ("", "H", _skipped)),
            *(("", "h", _skipped), ("", "h", _skipped), ("charge_current", "h", _tenths)),
            *(("charge_voltage", "H", _volts), ("discharge_voltage", "H", _volts), ("", "H", _skipped)),
            *(("", "h", _skipped), ("", "h", _skipped), ("discharge_current", "h", _tenths)),
        ),
        0x61: (
            *(("voltage", "H", _volts), ("current", "h", lambda raw: raw / 100), ("state_of_charge", "B", float)),
            *(("charging_cycles", "H", lambda raw: None if raw == UNKNOWN else raw), ("", "H", _skipped)),
            *(("state_of_health", "B", float), ("", "B", _skipped)),
            *(("max_cell_voltage", "H", _known_volts), ("", "H", _skipped)),
            *(("min_cell_voltage", "H", _known_volts), ("", "H", _skipped)),
            ("temperature", "H", _celsius),
            *(("max_temperature", "H", _celsius), ("", "H", _skipped), ("min_temperature", "H", _celsius)),
        ),
        0x62: (
            ("alarms", "H", flags("H", SYSTEM_ALARMS).decode),
            ("protections", "H", flags("H", SYSTEM_PROTECTIONS).decode),
        ),
        0x63: (
            *_LIMITS[:2],
            ("charge_current", "H", _tenths),
            ("discharge_current", "H", _tenths),
            ("status", "B", _SYSTEM),
        ),
        0x92: (("", "B", _skipped), *_LIMITS, ("status", "B", _MANAGED)),
    }
)
KEYS: Final = frozenset(key for rows in FIXED.values() for key, _, _ in rows if key) | {
    "capacity_remaining",
    "full_charge_capacity",
}


def read(command: int, answer: bytes) -> list[tuple[str, Said]]:
    """What a whole answer to a command says; nothing where it is none of those that are shown."""
    info = bytes.fromhex(answer[13:-5].decode("ascii"))
    if command == 0x42:
        return _analog(info)
    if command == 0x44:
        return _alarms(info)
    return _walked(FIXED.get(command, ()), info)


def _walked(rows: tuple[Row, ...], info: bytes) -> list[tuple[str, Said]]:
    found: list[tuple[str, Said]] = []
    at = 0
    for key, fmt, says in rows:
        (raw,) = struct.unpack_from(f">{fmt}", info, at)
        at += struct.calcsize(f">{fmt}")
        if key:
            found.append((key, says(raw)))
    return found


def _analog(info: bytes) -> list[tuple[str, Said]]:
    """Behind the cells and the temperatures, whose numbers it names."""
    at = 3 + 2 * info[2]
    warm = info[at]
    mean = _celsius(*struct.unpack_from(">h", info, at + 1))
    current, voltage, left, kind, whole, cycles = struct.unpack_from(">hHHBHH", info, at + 1 + 2 * warm)
    if kind == 4:
        left, whole = int.from_bytes(info[-6:-3], "big"), int.from_bytes(info[-3:], "big")
    return [
        *(("voltage", voltage / 1000), ("current", current / 10), ("temperature", mean)),
        *(("capacity_remaining", left / 1000), ("full_charge_capacity", whole / 1000), ("charging_cycles", cycles)),
    ]


def _alarms(info: bytes) -> list[tuple[str, Said]]:
    at = 3 + info[2]
    first, second = info[at + 4 + info[at] :][:2]
    return [("protections", flags("B", STATUS_1).decode(first)), ("status", _ALLOWED(second))]
