"""Pylontech low voltage RS485, V3.3 (2018-08-21) and the queries to the whole system of V3.5 (2019-08-07). Pure.

The inverter asks, we answer as one battery, the first of its group. Facts gathered from transcriptions of both papers
(Fahmula/esphome-pylontech-rs485), from receivers of real batteries and their captures (Frankkkkk/python-pylontech with
US2000, US3000 and UP2500 frames, Martin Steppuhn's us2000, OpenDTU-OnBattery) and from another sender
(dalathegreat/Battery-Emulator PYLON-LV-RS485). 8N1 at 9600 or 115200.

Frame: ``~ VER ADR 46 CID2 LENGTH INFO CHKSUM CR``, all but ``~`` and CR as pairs of hexadecimal letters, high byte
first. LENGTH: how many letters INFO has in 12 bits, above them the two's complement of the sum of its three half
bytes. CHKSUM: two's complement of the sum of all letters between ``~`` and CHKSUM. In an answer CID2 is a return code.

V3.3: 42 analog values, 44 alarms, 47 limits, 4F version, 51 maker, 92 management, 93 serial number, 96 program. V3.5:
60 to 63 for the whole system. Voltages in mV, currents in 0.1 A (0.01 A in 61), temperatures in 0.1 K + 2731,
capacities in mAh. In 47 and 92 real batteries tell the limit of discharge as a negative number (-55.5 A is ``FDD5``);
in 63 it is positive. 44 has one byte more than the paper says. 42 has the charge only as what remains of the whole,
so both are made from the charge that is told. 94 (set limits), 95 and 64 (turn off) are refused. FF stands for what
is not known, where the paper says so (61).
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from jkbms_addon import __version__
from jkbms_addon.inverter.dialects.dialect import Dialect, Stop
from jkbms_addon.inverter.dialects.message import MILD, Values, amount, flags
from jkbms_addon.inverter.state import State

START, END = 0x7E, 0x0D
VERSION: Final = 0x20  # what real batteries put there, whatever paper they follow
BATTERY: Final = 0x46  # CID1
OWN: Final = (0x02, 0x12)  # the first battery alone, or of the first group of several
ALL: Final = 0xFF  # command value of 42 and 44: the whole system
LONGEST: Final = 64  # letters of a query; more is noise
BAUDRATES: Final = (9600, 115200)

NORMAL, BAD_LENGTH, BAD_COMMAND, BAD_FORMAT, BAD_DATA = 0x00, 0x03, 0x04, 0x05, 0x06
# what an answer has in the place of a command: our own, when an adapter echoes, or another battery's
RETURN_CODES: Final = frozenset({NORMAL, 0x01, 0x02, BAD_LENGTH, BAD_COMMAND, BAD_FORMAT, BAD_DATA, 0x90, 0x91})
SEVERAL: Final = 0x11  # data flag of real batteries: there may be news
SMALL: Final = 65.0  # Ah; more needs three bytes
SUPPOSED: Final = 100.0  # Ah where the capacity is not known: only the ratio counts
MOST: Final = 16777.215  # Ah that three bytes hold
SUPPOSED_CELLS, MOST_CELLS = 16, 32
MODULE: Final = 1
CHARGING_RANGE, DISCHARGING_RANGE = (55.0, 0.0), (60.0, -20.0)  # °C, highest and lowest


@dataclass(frozen=True, slots=True)
class Query:
    """What the inverter asks: address, command, and the bytes that go with it; ``problem`` is a return code."""

    address: int
    command: int
    info: bytes = b""
    problem: int = NORMAL


def checksum(letters: bytes) -> int:
    """Two's complement of the sum of the letters in 16 bits."""
    return -sum(letters) & 0xFFFF


def length_field(letters: int) -> int:
    """Number of letters of INFO with its own checksum in the highest four bits."""
    return (-(letters + (letters >> 4) + (letters >> 8)) & 0xF) << 12 | letters


def framed(address: int, code: int, info: bytes = b"") -> bytes:
    """A whole frame; ``code`` is the command of a query or the return code of an answer."""
    letters = info.hex().upper().encode()
    body = f"{VERSION:02X}{address:02X}{BATTERY:02X}{code:02X}{length_field(len(letters)):04X}".encode() + letters
    return b"~" + body + f"{checksum(body):04X}\r".encode()


def parsed(frame: bytes) -> Query | None:
    """A query from what stands between ``~`` and CR; None for noise, for answers, and for what is about no battery."""
    body, told = frame[:-4], frame[-4:]
    try:
        if int(told, 16) != checksum(body):
            return None
        head = bytes.fromhex(body[:12].decode("ascii"))
        _, address, kind, command, length = struct.unpack(">BBBBH", head)
        info = bytes.fromhex(body[12:].decode("ascii"))
    except (ValueError, struct.error):
        return None
    if kind != BATTERY or command in RETURN_CODES:
        return None
    letters = len(body) - 12
    return Query(address, command, info, NORMAL if length == length_field(letters) else BAD_LENGTH)


class QueryFramer:
    """Takes the line apart: bytes in whatever pieces, queries out. What is too long was noise."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inside = False

    def feed(self, data: bytes) -> list[Query]:
        """Queries that are complete now."""
        found: list[Query] = []
        for byte in data:
            if byte == START:
                self._buffer.clear()
                self._inside = True
            elif self._inside and byte == END:
                self._inside = False
                query = parsed(bytes(self._buffer))
                if query:
                    found.append(query)
            elif self._inside:
                self._buffer.append(byte)
                self._inside = len(self._buffer) <= LONGEST
        return found


# --- codings ---------------------------------------------------------------------------------------------
_millivolts = amount("H", 1000, 0, 65.535).encode
_signed = amount("h", 10, -3276.8, 3276.7).encode
_unsigned = amount("H", 10, 0, 6553.5).encode
_fine = amount("h", 100, -327.68, 327.67).encode
_percent = amount("B", 1, 0, 100, unknown=100).encode
_number = amount("H", 1, 0, 65534).encode
UNKNOWN: Final = 0xFFFF


def _kelvin(value: float | None) -> int:
    return min(max(round((MILD if value is None else value) * 10) + 2731, 0), 32767)


def _milliampere_hours(value: float) -> bytes:
    return min(max(round(value * 1000), 0), 0xFFFFFF).to_bytes(3, "big")


def _text(value: str, length: int, fill: bytes = b"\0") -> bytes:
    return value.encode("ascii", "replace")[:length].ljust(length, fill)


def _module(place: str | None) -> int:
    """Battery of a place such as ``2-11``, in group 0."""
    digits = (place or "").partition("-")[0]
    return min(int(digits), 255) if digits.isdecimal() else UNKNOWN


def _temperature(values: Values, key: str) -> int:
    return _kelvin(values["temperature"] if values[key] is None else values[key])


def _numbers(text: str) -> list[int]:
    return [*(min(int(word), 255) for word in text.split(".")), 0, 0, 0][:3]


def _count(values: Values) -> int:
    return min(values["cell_count"] or SUPPOSED_CELLS, MOST_CELLS)


# --- answers ---------------------------------------------------------------------------------------------
def _cells(values: Values) -> list[float]:
    """Lowest, highest, and the mean of the others: single cells are not known here."""
    cells = _count(values)
    mean = values["voltage"] / cells
    low, high = values["min_cell_voltage"], values["max_cell_voltage"]
    if low is None or high is None or cells < 3:
        return [mean] * cells
    rest = min(max((values["voltage"] - low - high) / (cells - 2), low), high)
    return [low, high, *[rest] * (cells - 2)]


def _analog(values: Values, value: int) -> bytes:
    cells = [_millivolts(cell) for cell in _cells(values)]
    mean = _kelvin(values["temperature"])
    warm = [mean, _temperature(values, "min_temperature"), _temperature(values, "max_temperature"), mean, mean]
    capacity = min(max(values["full_charge_capacity"] or 0, 0) or SUPPOSED, MOST)
    left = capacity * min(max(values["state_of_charge"], 0), 100) / 100
    small = capacity <= SMALL
    found = bytes([SEVERAL, value, len(cells)]) + struct.pack(f">{len(cells)}HB5h", *cells, len(warm), *warm)
    found += struct.pack(">hH", _signed(values["current"]), _millivolts(values["voltage"]))
    found += struct.pack(">HB", round(left * 1000) if small else UNKNOWN, 2 if small else 4)
    found += struct.pack(">HH", round(capacity * 1000) if small else UNKNOWN, _number(values["charging_cycles"]))
    return found if small else found + _milliampere_hours(left) + _milliampere_hours(capacity)


BELOW, ABOVE = 0x01, 0x02
STATUS_1: Final = {
    "under_voltage": 1,
    "over_voltage": 0,
    "charge_over_current": 2,
    "discharge_over_current": 4,
    "short_circuit": 4,
    "charge_over_temperature": 6,
}
OVER_TEMPERATURE: Final = 0b11 << 5


def _side(raised: frozenset[str], below: str, above: str) -> int:
    return ABOVE if above in raised else BELOW if below in raised else 0


def _alarms(values: Values, value: int) -> bytes:
    raised = frozenset(values["protections"])
    cells = len(_cells(values))
    single = bytearray(cells)
    if cells >= 2:
        single[0] = BELOW if "under_voltage" in raised else 0
        single[1] = ABOVE if "over_voltage" in raised else 0
    hot = {"over_temperature", "charge_over_temperature"} & raised
    cold = {"under_temperature", "charge_under_temperature"} & raised
    warm = bytes([0, BELOW if cold else 0, ABOVE if hot else 0, 0, 0])
    first = flags("B", STATUS_1).encode(values["protections"])
    first |= OVER_TEMPERATURE if "over_temperature" in raised else 0
    second = 0b1000 | bool(values["discharge_enabled"]) << 2 | bool(values["charge_enabled"]) << 1
    current = values["current"]
    third = (current > 0.1) << 7 | (current < -0.1) << 6 | (values["state_of_charge"] >= 99.5) << 3
    return (
        bytes([SEVERAL, value, cells])
        + single
        + bytes([len(warm)])
        + warm
        + bytes(
            [
                ABOVE if "charge_over_current" in raised else 0,
                _side(raised, "under_voltage", "over_voltage"),
                ABOVE if {"discharge_over_current", "short_circuit"} & raised else 0,
                *(first, second, third, 0, 0, 0),
            ]
        )
    )


def _limits(values: Values) -> bytes:
    cells = _count(values)
    highest, lowest = values["charge_voltage"], values["discharge_voltage"]
    return bytes([SEVERAL]) + struct.pack(
        ">HHHhhhHHHhhh",
        *(_millivolts(highest / cells), _millivolts(lowest / cells), _millivolts(lowest / cells)),
        *(_kelvin(one) for one in CHARGING_RANGE),
        _signed(max(values["charge_current"], 0)),
        *(_millivolts(highest), _millivolts(lowest), _millivolts(lowest)),
        *(_kelvin(one) for one in DISCHARGING_RANGE),
        _signed(-max(values["discharge_current"], 0)),
    )


def _requests(values: Values, *positions: int) -> int:
    keys = ("charge_enabled", "discharge_enabled", "force_charge_1", "force_charge_2", "full_charge_request")
    return sum(bool(values[key]) << at for key, at in zip(keys, positions, strict=True) if at >= 0)


def _management(values: Values, value: int) -> bytes:
    return struct.pack(
        ">BHHhhB",
        value,
        _millivolts(values["charge_voltage"]),
        _millivolts(values["discharge_voltage"]),
        _signed(max(values["charge_current"], 0)),
        _signed(-max(values["discharge_current"], 0)),
        _requests(values, 7, 6, 5, 4, 3),
    )


def _system_management(values: Values) -> bytes:
    status = _requests(values, 7, 6, 5, -1, 4) | (0b10_0000 if values["force_charge_2"] else 0)
    return struct.pack(
        ">HHHHB",
        _millivolts(values["charge_voltage"]),
        _millivolts(values["discharge_voltage"]),
        _unsigned(values["charge_current"]),
        _unsigned(values["discharge_current"]),
        status,
    )


def _system_analog(values: Values) -> bytes:
    cycles = UNKNOWN if values["charging_cycles"] is None else _number(values["charging_cycles"])
    health, low, high = _percent(values["state_of_health"]), values["min_cell_voltage"], values["max_cell_voltage"]
    return (
        struct.pack(
            ">HhBHHBBHHHHHHHHH",
            *(_millivolts(values["voltage"]), _fine(values["current"]), _percent(values["state_of_charge"])),
            *(cycles, cycles, health, health),
            *(UNKNOWN if high is None else _millivolts(high), _module(values["max_cell_voltage_at"])),
            *(UNKNOWN if low is None else _millivolts(low), _module(values["min_cell_voltage_at"])),
            _kelvin(values["temperature"]),
            *(_temperature(values, "max_temperature"), _module(values["max_temperature_at"])),
            *(_temperature(values, "min_temperature"), _module(values["min_temperature_at"])),
        )
        + b"\xff" * 20
    )  # MOSFETs and boards: not known


SYSTEM_ALARMS: Final = {  # bit of two bytes, the first is the high one
    "over_voltage": 13,
    "under_voltage": 12,
    "over_temperature": 11,
    "charge_over_temperature": 11,
    "under_temperature": 10,
    "charge_under_temperature": 10,
    "cell_imbalance": 8,
    "charge_over_current": 6,
    "discharge_over_current": 5,
    "short_circuit": 5,
    "internal_comm_fail": 4,
}
SYSTEM_PROTECTIONS: Final = {
    **{name: bit for name, bit in SYSTEM_ALARMS.items() if bit not in {8, 4}},
    "system_error": 3,
    "contactor": 3,
}
_alarm_word, _protection_word = flags("H", SYSTEM_ALARMS).encode, flags("H", SYSTEM_PROTECTIONS).encode


def _system_alarms(values: Values) -> bytes:
    return struct.pack(">HH", _alarm_word(values["alarms"]), _protection_word(values["protections"]))


MODEL: Final = "JK BMS"


def _maker(values: Values) -> bytes:
    version = _numbers(values["software_version"] or __version__)
    name = values["manufacturer"] or PYLONTECH_RS485.manufacturer
    return _text(values["model"] or MODEL, 10) + bytes(version[:2]) + _text(name, 20, b"-")


def _system(values: Values) -> bytes:
    version = _numbers(values["software_version"] or __version__)
    name = values["manufacturer"] or PYLONTECH_RS485.manufacturer
    serial = _text(values["serial_number"] or MODEL, 16)
    return _text(values["model"] or MODEL, 10) + _text(name, 20) + bytes(version[:2]) + bytes([MODULE]) + serial


def _serial(values: Values, value: int) -> bytes:
    return bytes([value]) + _text(values["serial_number"] or MODEL, 16)


def _program(values: Values, value: int) -> bytes:
    version = _numbers(values["software_version"] or __version__)
    return bytes([value, 0, 0, *version])


PLAIN: Final[Mapping[int, Callable[[Values], bytes]]] = MappingProxyType(
    {
        0x47: _limits,
        0x4F: lambda _values: b"",
        0x51: _maker,
        0x60: _system,
        0x61: _system_analog,
        0x62: _system_alarms,
        0x63: _system_management,
    }
)
# those which name the battery they are about in one byte
OF_BATTERY: Final[Mapping[int, Callable[[Values, int], bytes]]] = MappingProxyType(
    {0x42: _analog, 0x44: _alarms, 0x92: _management, 0x93: _serial, 0x96: _program}
)
QUERIES: Final = (*OF_BATTERY, *PLAIN)


def answer(query: Query, state: State) -> bytes:
    """The frame that answers; empty where the query is for another battery."""
    if query.address not in OWN:
        return b""
    code, info = _answered(query, vars(state))
    return framed(query.address, code, info)


def _answered(query: Query, values: Values) -> tuple[int, bytes]:
    """Return code and data."""
    command, address = query.command, query.address
    asked = query.info[0] if query.info else address
    whole = asked == ALL and command in {0x42, 0x44}
    if query.problem == NORMAL and command in PLAIN:
        return NORMAL, PLAIN[command](values)
    problems = (
        (query.problem != NORMAL, query.problem),
        (command not in OF_BATTERY, BAD_COMMAND),
        (len(query.info) > 1, BAD_FORMAT),
        (asked != address and not whole, BAD_DATA),
    )
    for wrong, code in problems:
        if wrong:
            return code, b""
    return NORMAL, OF_BATTERY[command](values, MODULE if whole else asked)


PYLONTECH_RS485: Final = Dialect(
    "pylontech_rs485",
    "Pylontech low voltage on RS485, V3.3 and V3.5",
    "Pylon",
    (),
    tuple(SYSTEM_PROTECTIONS),
    tuple(SYSTEM_ALARMS),
    stop_charging=Stop(
        "not known", "the current limit of 0 and the enable bit are sent", "paper and other senders; not measured"
    ),
    stop_discharging=Stop(
        "not known", "the current limit of 0 and the enable bit are sent", "paper and other senders; not measured"
    ),
    heard=MappingProxyType(dict.fromkeys(QUERIES, "query")),
    soc_decides=True,
    never=("an answer to a query for another battery", "obedience to 94, 95 and 64, which set limits and turn off"),
    lacks=(
        "warnings, to inverters that ask with 44 only",
        "single cells: lowest, highest and the mean of the others are told",
        "more than 327 A with 61, 65.5 V, or 16.7 kAh",
        "that a temperature or the health is not known",
    ),
    proof="capture",
    port="serial",
)
