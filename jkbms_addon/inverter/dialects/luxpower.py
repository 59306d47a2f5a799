"""LuxPower and EG4 (V04, 2023-09-05): Pylontech V1.2 whose spare bytes have a meaning.

Facts: inverter profiles, section 6, and the older specification, section 7; no capture is known, only the paper and
YamBMS, whose 16-bit capacity and whose warmest cell 0.1 °C above the coldest are kept. 0x355 bytes 4 to 7 are the
extreme cells: where they are not known the frame ends before them, as a zero there would be a cell without voltage.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from jkbms_addon.inverter.dialects.dialect import Dialect, Stop, renamed_requests
from jkbms_addon.inverter.dialects.message import (
    MILD,
    SIZE,
    Field,
    Message,
    Values,
    amperes,
    celsius,
    centivolts_signed,
    health,
    letters,
    millivolts,
    number,
    percent,
)
from jkbms_addon.inverter.dialects.pylontech import ALARMS, LIMITS, PROTECTIONS, RENAMED, errors

STEP: Final = 0.1  # °C
SHUT_DOWN: Final = 0x300


def _derived(values: Values) -> Mapping[str, Any]:
    mean = MILD if values["temperature"] is None else values["temperature"]
    coldest = mean if values["min_temperature"] is None else values["min_temperature"]
    warmest = mean if values["max_temperature"] is None else values["max_temperature"]
    return {"_coldest": coldest, "_warmest": max(warmest, round(coldest, 1) + STEP)}


def _wish(can_id: int, data: bytes) -> str:
    if can_id == SHUT_DOWN and data[:1] and data[0] & 1:
        return "the inverter asks to shut the battery down (0x300), which is shown and not obeyed"
    return ""


LUXPOWER: Final = Dialect(
    "luxpower",
    "LuxPower and EG4, V04",
    "JK BMS",
    (
        Message(0x359, errors(PROTECTIONS, ALARMS, Field("full_charge_capacity", 5, number))),
        LIMITS,
        Message(
            0x355,
            (
                Field("state_of_charge", 0, percent),
                Field("state_of_health", 2, health),
                Field("max_cell_voltage", 4, millivolts),
                Field("min_cell_voltage", 6, millivolts),
            ),
            cuts=(("max_cell_voltage", 4), ("min_cell_voltage", 4)),
        ),
        Message(
            0x356,
            (
                Field("voltage", 0, centivolts_signed),
                Field("current", 2, amperes),
                Field("_warmest", 4, celsius),
                Field("_coldest", 6, celsius),
            ),
        ),
        Message(0x35C, (*RENAMED, Field("charging_cycles", 2, number)), SIZE),
        Message(0x35E, (Field("manufacturer", 0, letters(8)),)),
    ),
    tuple(PROTECTIONS),
    tuple(ALARMS),
    stop_charging=Stop("not known", "the current limit of 0 and the enable bit are sent", "paper only"),
    stop_discharging=Stop("not known", "the current limit of 0 and the enable bit are sent", "paper only"),
    derived=_derived,
    adapted=renamed_requests,
    wish=_wish,
    heard=MappingProxyType({SHUT_DOWN: "asks to shut the battery down: shown, never obeyed", 0x305: "heartbeat"}),
    never=(
        "a zero for a cell voltage that is not known",
        "a request to charge that nobody asked for: the inverter charges from the mains and cannot be told not to",
    ),
    lacks=("which battery is missing", "that a temperature, the health or the capacity is not known"),
    proof="paper",
)
