"""GoodWe V1.5, also cited as "Pylontech V1.3", as published by Seplos ("CANBUS V1.0", 2020).

Facts: specification of the inverter path, section 4. As Pylontech V1.2, but: no system error, cell failure in 0x359
byte 3 bit 4, no letters there but a mask of the addresses in byte 7, any name in 0x35E. The paper prints 0x70 for the
extremes where its neighbours suggest 0x370, with cells in 0.01 V; 0x370 is seen with 1 mV. No source shows an
inverter that needs them, so they are an option.
"""

from types import MappingProxyType
from typing import Final

from jkbms_addon.inverter.dialects.dialect import Dialect, Stop
from jkbms_addon.inverter.dialects.message import (
    Coding,
    Field,
    Message,
    addresses,
    celsius,
    centivolts,
    letters,
    millivolts,
    number,
)
from jkbms_addon.inverter.dialects.pylontech import BITS, CHARGE, LIMITS, MEASURED, SWITCHES, errors

PROTECTIONS: Final = {**BITS, "short_circuit": 7}
ALARMS: Final = {**BITS, "internal_comm_fail": 11, "cell_failure": 12}


def _extremes(can_id: int, cell: Coding) -> Message:
    return Message(
        can_id,
        (
            Field("max_temperature", 0, celsius),
            Field("min_temperature", 2, celsius),
            Field("max_cell_voltage", 4, cell),
            Field("min_cell_voltage", 6, cell),
        ),
    )


GOODWE: Final = Dialect(
    "goodwe",
    'GoodWe V1.5, also cited as "Pylontech V1.3"',
    "Energy",
    (
        Message(0x359, errors(PROTECTIONS, ALARMS, Field("module_addresses", 7, addresses))),
        LIMITS,
        CHARGE,
        MEASURED,
        Message(0x35C, SWITCHES, 1),
        Message(0x35E, (Field("manufacturer", 0, letters(8)),), 0),
    ),
    tuple(PROTECTIONS),
    tuple(ALARMS),
    stop_charging=Stop("stops", "the current limit of 0 and the enable bit", "paper of Seplos; not measured"),
    stop_discharging=Stop("stops", "the current limit of 0 and the enable bit", "paper of Seplos; not measured"),
    extremes=MappingProxyType({"0x070": _extremes(0x070, centivolts), "0x370": _extremes(0x370, millivolts)}),
    numbers=Message(
        0x371,
        (
            Field("max_temperature_number", 0, number),
            Field("min_temperature_number", 2, number),
            Field("max_cell_number", 4, number),
            Field("min_cell_number", 6, number),
        ),
    ),
    lacks=("a request for a full charge", "that a temperature or the health is not known"),
    proof="capture",
)
