"""The BMS's own CAN broadcast, V1.0x and V2.0/2.1: ids, tables, decode and encode of one frame.

Source: specification of the JK CAN protocol, chapters 2 to 5, checked on captures of a PB board. Values are
little-endian except those of the charge request. The transmitted id is the documented one plus the address
0 to 11. V1.0x has only the four 11-bit frames, and there a positive current discharges; in V2 it charges.
Nothing here is ever sent to a BMS: the documented control frame is read, and refused by ``encoded``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

from jkbms_addon.battery.alarms import CAN_LEVEL_NAMES, WORD_NAMES, raised_bits
from jkbms_addon.battery.quantities import Value
from jkbms_addon.errors import FrameError
from jkbms_addon.wire.can import Frame
from jkbms_addon.wire.jkcan.kinds import (
    ADDRESSED,
    ADDRESSES,
    ALL_TEMP,
    ALM_INFO,
    BATT_ST1,
    BMS_INFO,
    BMSERR_INFO,
    CELL_TEMP,
    CELL_VOLT,
    CELLS,
    CHG_INFO,
    CTRL_INFO,
    DISCHARGE_TIME,
    EXTENDED,
    MAX_CELLS,
    PLACES,
    UNDOCUMENTED,
    V1,
    WRAP,
    Kind,
)

Version = Literal[1, 2]


@dataclass(frozen=True, slots=True)
class Message:
    """One frame: who sent it (None: the id does not say), which one it is, what it says.

    Keys that begin with an underscore are the frame's own and are not published. ``first`` is the number of
    the first cell in a frame of cells.
    """

    address: int | None
    kind: str
    base: int
    values: dict[str, Value]
    first: int = 0


def decode(can_id: int, extended: bool, data: bytes | bytearray, version: Version | None = None) -> Message | None:  # noqa: FBT001
    """The message in a frame; None when the id is not of this protocol.

    ``current`` is None as long as the version, and with it the sign, is not given. ``FrameError`` when the
    frame is too short or says what no battery can.
    """
    found = PLACES.get(can_id | EXTENDED if extended else can_id)
    if found is None:
        return None
    kind, address = found
    return Message(address, kind.name, kind.base, decoded(kind, data, version), kind.first)


def decoded(kind: Kind, data: bytes | bytearray, version: Version | None = None) -> dict[str, Value]:
    """Values of a frame of known kind; ``FrameError`` when it is too short or impossible."""
    if kind.first:
        return {"cell_voltage": _cells(kind, data)}
    values = kind.layout.decode(data)
    finish = _FINISH.get(kind.name)
    if finish:
        finish(values)
    if kind is BATT_ST1:
        values["current"] = signed(values["_current"], version)  # type: ignore[arg-type]
        if version == 1 and len(data) >= DISCHARGE_TIME.size:
            values.update(DISCHARGE_TIME.decode(data))
    return values


def signed(amps: float, version: Version | None) -> float | None:
    """Current that is positive while charging, from the wire's or to it; None when the version is not known."""
    if version is None:
        return None
    return amps if version == 2 else 0.0 - amps


def _cells(kind: Kind, data: bytes | bytearray) -> tuple[float | None, ...]:
    """Voltages in V of the whole words; 0 is padding or a broken sense wire, so not a voltage."""
    count = min(len(data) // 2, 4, MAX_CELLS + 1 - kind.first)
    if not count:
        raise FrameError(f"{len(data)} bytes hold no cell")
    values: tuple[float, ...] = CELLS.decode(data.ljust(8, b"\0"), count)["cell_voltage"]  # type: ignore[assignment]
    if max(values) > 5:
        raise FrameError(f"cell of {max(values)} V")
    return tuple([value or None for value in values])


def _within(what: str, value: float | None, low: float, high: float, unit: str = "") -> None:
    if value is not None and not low <= value <= high:
        raise FrameError(f"{what} of {value} {unit}".rstrip())


Finish = Callable[[dict[str, Any]], None]


def _status(values: dict[str, Any]) -> None:
    if not values["total_voltage"] and values["_current"] == -400:
        raise FrameError("all zero")
    _within("voltage", values["total_voltage"], 0, 1000, "V")
    _within("current", values["_current"], -400, 1000, "A")
    _within("state of charge", values["state_of_charge"], 0, 100, "%")


# A BMS samples its highest and its lowest at different moments, so that of a balanced battery they may cross.
CROSSED_VOLTS: Final = 0.01
CROSSED_DEGREES: Final = 2.0


def _ordered(what: str, values: dict[str, Any], pairs: tuple[tuple[str, str], ...], tolerance: float) -> None:
    """Put a pair of statistics that crossed in order; ``FrameError`` when they are too far apart for that.

    The first of ``pairs`` are the keys of the lowest and the highest, the others what belongs to them.
    """
    low, high = (values[key] for key in pairs[0])
    if low is None or high is None or low <= high:
        return
    if low - high > tolerance + 1e-6:
        raise FrameError(f"lowest {what} of {low} above the highest of {high}")
    for lowest, highest in pairs:
        values[lowest], values[highest] = values[highest], values[lowest]


CELL_PAIRS: Final = (("min_cell_voltage", "max_cell_voltage"), ("min_voltage_cell", "max_voltage_cell"))
TEMPERATURE_PAIRS: Final = (("min_cell_temperature", "max_cell_temperature"), ("_min_position", "_max_position"))


def _extremes(values: dict[str, Any]) -> None:
    _within("cell", values["max_cell_voltage"], 0, 5, "V")
    _within("lowest cell", values["min_cell_voltage"], 0, 5, "V")
    _ordered("cell", values, CELL_PAIRS, CROSSED_VOLTS)
    for key in ("max_voltage_cell", "min_voltage_cell"):
        if not 1 <= values[key] <= MAX_CELLS:
            values[key] = None


HOTTEST: Final = 150  # °C; neither sensors nor electronics survive more


def _temperature_extremes(values: dict[str, Any]) -> None:
    low, high = values["min_cell_temperature"], values["max_cell_temperature"]
    _within("temperature", high, -50, HOTTEST, "°C")
    _within("lowest temperature", low, -50, HOTTEST, "°C")
    _ordered("temperature", values, TEMPERATURE_PAIRS, CROSSED_DEGREES)
    _within("average temperature", values["average_cell_temperature"], -50, HOTTEST, "°C")


def _levels(values: dict[str, Any]) -> None:
    values["alarms"] = raised_levels(values["_levels"])


PROBES: Final = tuple(row.key for row in ALL_TEMP.layout.rows[1:])


def _temperatures(values: dict[str, Any]) -> None:
    mask = values["_mask"]
    _within("mask", mask, 0, 0x1F)
    for n, key in enumerate(PROBES):
        if not mask >> n & 1:
            values[key] = None
        _within("temperature", values[key], -50, HOTTEST, "°C")


def _faults(values: dict[str, Any]) -> None:
    values["alarms"] = raised_bits(values["errors_bitmask"])


def _health(values: dict[str, Any]) -> None:
    _within("state of health", values["state_of_health"], 0, 100, "%")


def _request(values: dict[str, Any]) -> None:
    """Some senders use the other byte order: the voltage must suit at least one possible count of cells."""
    if values["requested_charge_voltage"] or values["charger_requested"]:
        _within("requested voltage", values["requested_charge_voltage"], 2.0, 4.5 * MAX_CELLS, "V")
    else:
        values["requested_charge_voltage"] = None
    _within("requested current", values["requested_charge_current"], 0, 1000, "A")


def _undocumented(values: dict[str, Any]) -> None:
    _within("current", values["current"], -1000, 1000, "A")
    _within("temperature", values["_temperature"], -50, HOTTEST, "°C")


def _control(values: dict[str, Any]) -> None:
    for n, key in enumerate(("_charge", "_discharge", "_balance")):
        values[key] = values[key] != 0 if values["_mask"] >> n & 1 else None


_FINISH: Final[Mapping[str, Finish]] = {
    BATT_ST1.name: _status,
    CELL_VOLT.name: _extremes,
    CELL_TEMP.name: _temperature_extremes,
    ALM_INFO.name: _levels,
    ALL_TEMP.name: _temperatures,
    BMSERR_INFO.name: _faults,
    BMS_INFO.name: _health,
    CHG_INFO.name: _request,
    UNDOCUMENTED.name: _undocumented,
    CTRL_INFO.name: _control,
}

# Alarms that each version documents. General ones (level 3) get no flag: they are named in ``errors`` only.
_V2_ENTRIES: Final = (0, 1, 4, 5, 6, 7, 8, 10, 14)
V1_ALARMS: Final = tuple(name for names in CAN_LEVEL_NAMES for name in names[:2])
V2_LEVELS: Final = tuple(name for entry in _V2_ENTRIES for name in CAN_LEVEL_NAMES[entry][:2])
V2_ALARMS: Final = WORD_NAMES[:24] + V2_LEVELS


@cache
def raised_levels(word: int) -> tuple[str, ...]:
    """Names of the alarms in the word of the alarm frame: two bits each, 1 severe, 2 important, 3 general."""
    return tuple(
        CAN_LEVEL_NAMES[entry][level - 1] if entry < len(CAN_LEVEL_NAMES) else f"entry_{entry + 1}_level_{level}"
        for entry in range(16)
        if (level := word >> 2 * entry & 3)
    )


def level_word(names: Iterable[str]) -> int:
    """Word of the alarm frame that raises these alarms; other names do not count."""
    wanted, word = set(names), 0
    for entry, levels in enumerate(CAN_LEVEL_NAMES):
        for level, name in enumerate(levels, 1):
            word |= level << 2 * entry if name in wanted else 0
    return word


def unwrapped(wrapped: float, cycles: float, full: float) -> float | None:
    """Cycle capacity in Ah from its low 16 bits; None where cycles times capacity does not tell it surely."""
    estimate = cycles * full
    total = round(wrapped + WRAP * max(0, round((estimate - wrapped) / WRAP)), 1)
    # the capacity fades over the cycles, and the last cycle is not complete
    slack = full + 0.05 * estimate
    return total if slack < WRAP / 2 and abs(total - estimate) <= slack else None


def foreign(can_id: int, extended: bool) -> bool:  # noqa: FBT001
    """Whether only the maker's dialect that reuses these ids with other layouts sends it."""
    return extended and (
        can_id == 0x18F0F472 or (can_id & 0xFFFF0000 == 0x18E70000 and (can_id & 0xFF) - 0xF4 in ADDRESSES)
    )


def encoded(kind: Kind, values: Mapping[str, Any], address: int = 0, version: Version = 2) -> Frame:
    """A frame of eight bytes that says these values (for simulators); ``ValueError`` for what is never sent."""
    if kind is CTRL_INFO or address not in ADDRESSES:
        raise ValueError(f"{kind.name} of address {address} is never sent")
    data = bytearray(8)
    kind.layout.encode(_raw(values, version), data)
    if version == 1 and kind is BATT_ST1:
        DISCHARGE_TIME.encode(values, data)
    return Frame(kind.base + address, kind.extended, bytes(data))


def _raw(values: Mapping[str, Any], version: Version) -> dict[str, Any]:
    """The frames' own quantities, from the published ones where they are missing."""
    raw = dict(values)
    # a raw 0 would be -400 A
    raw.setdefault("_current", signed(raw.get("current") or 0.0, version))
    if raw.get("total_charging_cycle_capacity") is not None:
        raw.setdefault("_cycle_capacity", round(raw["total_charging_cycle_capacity"] * 10) % 65536 / 10)
    raw.setdefault("_levels", level_word(raw.get("alarms") or ()))
    raw.setdefault("_mask", sum(1 << n for n, key in enumerate(PROBES) if raw.get(key) is not None))
    return raw


def frames(values: Mapping[str, Any], address: int = 0, version: Version = 2) -> list[tuple[Kind, Frame]]:
    """All that a BMS in this state sends; event-driven frames only while they are due."""
    said: list[tuple[Kind, Frame]] = []
    cells = values.get("cell_voltage", ())
    for kind in V1 if version == 1 else ADDRESSED:
        own = dict(values)
        if kind.first:
            own["cell_voltage"] = cells[kind.first - 1 : kind.first + 3]
            due = bool(own["cell_voltage"])
        elif kind is ALM_INFO:
            due = bool(_raw(values, version)["_levels"])
        else:
            due = kind is not CHG_INFO or bool(values.get("charger_plugged"))
        if due:
            said.append((kind, encoded(kind, own, address, version)))
    return said
