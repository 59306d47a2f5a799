"""Pylontech low voltage CAN, V1.2 (2018-04-08): what most inverters understand, Deye and Sunsynk among them.

Facts: specification of the inverter path, sections 2 and 9; captures of US2000 and US3000 batteries. 500 kbit/s,
11-bit ids, little endian. 0x359 byte 1: bit 0 is charge over-current and bit 3 system error. Unknown: health 100 %,
temperature 25 °C; the wire has no word for it.
"""

from collections.abc import Mapping
from typing import Final

from jkbms_addon.inverter.dialects.dialect import Dialect, Stop
from jkbms_addon.inverter.dialects.message import (
    Field,
    Message,
    amperes,
    celsius,
    centivolts_signed,
    count,
    flags,
    health,
    letters,
    limit,
    percent,
    switch,
    volts,
)

# name -> bit of the two bytes; the finer names of a temperature are said by the nearest
TEMPERATURES: Final = {"charge_over_temperature": 3, "charge_under_temperature": 4}
BITS: Final[Mapping[str, int]] = {
    "over_voltage": 1,
    "under_voltage": 2,
    "over_temperature": 3,
    "under_temperature": 4,
    "discharge_over_current": 7,
    "charge_over_current": 8,
    **TEMPERATURES,
}
PROTECTIONS: Final[Mapping[str, int]] = {**BITS, "system_error": 11, "contactor": 11, "short_circuit": 7}
ALARMS: Final[Mapping[str, int]] = {**BITS, "internal_comm_fail": 11}

LIMITS: Final = Message(
    0x351,
    (
        Field("charge_voltage", 0, volts),
        Field("charge_current", 2, limit),
        Field("discharge_current", 4, limit),
        Field("discharge_voltage", 6, volts),
    ),
)
CHARGE: Final = Message(0x355, (Field("state_of_charge", 0, percent), Field("state_of_health", 2, health)), 4)
MEASURED: Final = Message(
    0x356,
    (
        Field("voltage", 0, centivolts_signed),
        Field("current", 2, amperes),
        Field("temperature", 4, celsius),
    ),
    6,
)
SWITCHES: Final = (
    Field("charge_enabled", 0, switch(7)),
    Field("discharge_enabled", 0, switch(6)),
    Field("force_charge_1", 0, switch(5)),
    Field("force_charge_2", 0, switch(4)),
)
# Sol-Ark and LuxPower call bit 4 "1" (low charge) and bit 5 "2" (at once)
RENAMED: Final = (
    *SWITCHES[:2],
    Field("force_charge_2", 0, switch(5)),
    Field("force_charge_1", 0, switch(4)),
    Field("full_charge_request", 0, switch(3)),
)
REQUESTS: Final = Message(0x35C, (*SWITCHES, Field("full_charge_request", 0, switch(3))), 2)
NAME: Final = Message(0x35E, (Field("manufacturer", 0, letters(8, b" ")),))


def errors(protections: Mapping[str, int], alarms: Mapping[str, int], *more: Field) -> tuple[Field, ...]:
    """Rows of 0x359: two bytes of protections, two of alarms, the number of modules."""
    return (
        Field("protections", 0, flags("H", protections)),
        Field("alarms", 2, flags("H", alarms)),
        Field("modules", 4, count),
        *more,
    )


ERRORS: Final = Message(0x359, errors(PROTECTIONS, ALARMS), 7, b"\0\0\0\0\0PN\0")

PYLONTECH: Final = Dialect(
    "pylontech",
    "Pylontech low voltage, V1.2",
    "PYLON",
    (ERRORS, LIMITS, CHARGE, MEASURED, REQUESTS, NAME),
    tuple(PROTECTIONS),
    tuple(ALARMS),
    stop_charging=Stop(
        "in part",
        "a current limit of 0 with the voltage limit near the battery's is heeded by most; some Deye ignore it",
        "reports: Battery-Emulator 873 and 1534, diyBMS 216, YamBMS 184",
    ),
    stop_discharging=Stop(
        "in part",
        "Deye off the grid goes by the charge told, Solis goes on drawing for its own use, Sofar ignores zeros",
        "reports: Battery-Emulator 767, diyBMS",
    ),
    soc_decides=True,
    never=(
        "a text in 0x35E that does not begin with PYLON, to a Deye",
        "a charge of 0 % before it is known: a Deye alarms",
    ),
    lacks=("highest and lowest cell", "which battery is missing", "that a temperature or the health is not known"),
    proof="capture",
)
