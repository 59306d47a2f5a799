"""Tables of the BMS's own CAN broadcast: each frame's id, period and life, and where its quantities sit.

Source: specification of the JK CAN protocol, chapters 2 to 5 and 8. Units are those of the published values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jkbms_addon.battery.quantities import Value
from jkbms_addon.wire.codec import At, Codec, Layout, bit, choice, number

EXTENDED: Final = 1 << 31  # marks a 29-bit id, so that both kinds of id fit into one dictionary
ADDRESSES: Final = range(12)  # 0x7F4 + 12 is no 11-bit id, and 0x2F4 + 12 is an inverter's
MAX_CELLS: Final = 25
WRAP: Final = 6553.6  # Ah after which the 16-bit cycle capacity begins anew

u8, u16, i16 = "B", "H", "h"
tenth, milli = number(u16, 10), number(u16, 1000)


def shifted(fmt: str, zero: int, divisor: int = 1, unknown: int | None = None) -> Codec:
    """Integer whose raw value ``zero`` means 0; ``unknown`` is the raw value that means "not known"."""

    def decode(raw: int) -> Value:
        if raw == unknown:
            return None
        return (raw - zero) / divisor if divisor != 1 else raw - zero

    def encode(value: float | None, _present: object) -> int:
        if value is None:
            return zero if unknown is None else unknown
        return round(value * divisor) + zero

    return Codec(fmt, decode, encode)


degrees = shifted(u8, 50, unknown=0xFF)
word24 = Codec("3s", lambda raw: int.from_bytes(raw, "little"), lambda value, _present: value.to_bytes(3, "little"))
zero_is_on = Codec(u8, lambda raw: raw == 0, lambda value, _present: int(not value))


@dataclass(frozen=True, slots=True)
class Kind:
    """A frame: its name in the document, its id at address 0, how often it comes and how long it holds, in s."""

    name: str
    base: int
    layout: Layout
    period: float
    fresh: float = 5.0
    extended: bool = True
    first: int = 0  # number of the first cell in a frame of cells


BATT_ST1 = Kind(
    "BATT_ST1",
    0x2F4,
    Layout(
        "<",
        5,
        At("total_voltage", 0, tenth),
        At("_current", 2, shifted(u16, 4000, 10)),  # A, signed as the version of the protocol does
        At("state_of_charge", 4, number(u8)),
    ),
    0.02,
    extended=False,
)
# In V1.02 only, and V1.01 cannot be told from it: shown by a decoder, never published.
DISCHARGE_TIME = Layout("<", 8, At("_discharge_time", 6, number(u16)))  # h
CELL_VOLT = Kind(
    "CELL_VOLT",
    0x4F4,
    Layout(
        "<",
        6,
        At("max_cell_voltage", 0, milli),
        At("max_voltage_cell", 2, number(u8)),
        At("min_cell_voltage", 3, milli),  # unaligned: bit 24, as in the document's example and the captures
        At("min_voltage_cell", 5, number(u8)),
    ),
    0.1,
    extended=False,
)
CELL_TEMP = Kind(
    "CELL_TEMP",
    0x5F4,
    Layout(
        "<",
        5,
        At("max_cell_temperature", 0, degrees),
        At("_max_position", 1, number(u8)),  # documented from 1 on, 0 was captured: never used as an index
        At("min_cell_temperature", 2, degrees),
        At("_min_position", 3, number(u8)),
        At("average_cell_temperature", 4, degrees),
    ),
    0.5,
    extended=False,
)
ALM_INFO = Kind("ALM_INFO", 0x7F4, Layout("<", 4, At("_levels", 0, number("I"))), 0.1, 1.0, extended=False)
BATT_ST2 = Kind(
    "BATT_ST2",
    0x18F128F4,
    Layout(
        "<",
        8,
        At("capacity_remaining", 0, tenth),
        At("full_charge_capacity", 2, tenth),
        At("_cycle_capacity", 4, tenth),  # Ah modulo WRAP
        At("charging_cycles", 6, number(u16)),
    ),
    0.1,
)
ALL_TEMP = Kind(
    "ALL_TEMP",
    0x18F228F4,
    Layout(
        "<",
        6,
        At("_mask", 0, number(u8)),
        At("temperature_sensor_1", 1, degrees),
        At("temperature_sensor_2", 2, degrees),
        At("mosfet_temperature", 3, degrees),  # T3; a cell's on the relay versions, which nothing tells apart
        At("temperature_sensor_4", 4, degrees),
        At("temperature_sensor_5", 5, degrees),
    ),
    0.5,
)
# Bits 0 to 17 are documented, 18 to 23 follow the alarm word of RS485 (unconfirmed on CAN).
BMSERR_INFO = Kind("BMSERR_INFO", 0x18F328F4, Layout("<", 3, At("errors_bitmask", 0, word24)), 0.1, 2.0)
BMS_INFO = Kind(
    "BMS_INFO",
    0x18F428F4,
    Layout(
        "<",
        7,
        At("total_runtime", 0, number("I")),
        At("heating_current", 4, milli),
        At("state_of_health", 6, number(u8)),
    ),
    0.5,
)
# States of the MOSFETs, not the user's switches: open may mean "switched off" or "protected".
SW_STA = Kind(
    "BMSSwSta",
    0x18F528F4,
    Layout(
        "<",
        1,
        At("charging", 0, bit(u8, 0)),
        At("discharging", 0, bit(u8, 1)),
        At("balancing", 0, bit(u8, 2)),
        At("heating", 0, bit(u8, 3)),
        At("charger_plugged", 0, bit(u8, 4)),
        At("acc_on", 0, bit(u8, 5)),
    ),
    0.5,
)
CELLS: Final = Layout("<", 8, At("cell_voltage", 0, milli, 4))
CELLVOL: Final = tuple(
    Kind(f"CELLVOL{n + 1}", 0x18E028F4 + (n << 16), CELLS, 1.0, first=4 * n + 1) for n in range((MAX_CELLS + 3) // 4)
)
CHG_INFO = Kind(
    "BMSChg_INFO",
    0x1806E5F4,
    Layout(
        ">",
        6,
        At("requested_charge_voltage", 0, tenth),
        At("requested_charge_current", 2, tenth),
        At("charger_requested", 4, zero_is_on),
        At("_mode", 5, choice("charge", "heat")),
    ),
    0.5,
    2.0,
)
# Captured on one BMS, in no document, and without an address: decoded for the curious, not used.
UNDOCUMENTED = Kind(
    "0x01F21400",
    0x01F21400,
    Layout(
        "<",
        8,
        At("total_voltage", 0, number(u16, 100)),
        At("current", 2, number(i16, 10)),
        At("_temperature", 4, number(i16, 10)),
        At("charging_cycles", 6, number(u16)),
    ),
    1.0,
)
# From a host to the BMS, acknowledged by nobody and perhaps obeyed by all.
CTRL_INFO = Kind(
    "Ctrl_INFO",
    0x18F0F428,
    Layout(
        "<",
        4,
        At("_mask", 0, number(u8)),
        At("_charge", 1, number(u8)),
        At("_discharge", 2, number(u8)),
        At("_balance", 3, number(u8)),
    ),
    0.0,
)
V1: Final = (BATT_ST1, CELL_VOLT, CELL_TEMP, ALM_INFO)
# What only V2 sends; the charge request is no proof, since other makers' chargers use that id too.
V2_ONLY: Final = (BATT_ST2, ALL_TEMP, BMSERR_INFO, BMS_INFO, SW_STA, *CELLVOL)
ADDRESSED: Final = (*V1, *V2_ONLY, CHG_INFO)
KINDS: Final = (*ADDRESSED, UNDOCUMENTED, CTRL_INFO)


def _key(kind: Kind, address: int = 0) -> int:
    return kind.base + address | (EXTENDED if kind.extended else 0)


PLACES: Final[Mapping[int, tuple[Kind, int | None]]] = {
    **{_key(kind, address): (kind, address) for kind in ADDRESSED for address in ADDRESSES},
    _key(UNDOCUMENTED): (UNDOCUMENTED, None),
    _key(CTRL_INFO): (CTRL_INFO, None),
}
