"""Sol-Ark CAN V1.3 (2023-01-20): Pylontech V1.2 and the capacity, always eight bytes, battery voltage in 0.1 V.

Facts: inverter profiles, section 5. A Sol-Ark in its Pylontech mode wants 0.01 V: then the protocol is ``pylontech``.
0x359 byte 3 bit 3 means "critical system error" here. Force charge: bit 4 is "1" (low charge), bit 5 "2" (immediately).
"""

from dataclasses import replace
from typing import Final

from jkbms_addon.inverter.dialects.dialect import Dialect, Stop, renamed_requests
from jkbms_addon.inverter.dialects.message import SIZE, Field, Message, Values, amount, amperes, celsius
from jkbms_addon.inverter.dialects.pylontech import ALARMS as WORDS
from jkbms_addon.inverter.dialects.pylontech import CHARGE, LIMITS, NAME, PROTECTIONS, RENAMED, errors
from jkbms_addon.inverter.dialects.victron import INSTALLED

ALARMS: Final = {**WORDS, "system_error": 11}
CRITICAL: Final = ("internal_comm_fail", "system_error")


def _adapted(values: Values) -> Values:
    """A lost battery is no critical error while others serve the house, or while one that sleeps is being woken."""
    values = renamed_requests(values)
    if not (values["discharge_enabled"] or values["charge_enabled"]):
        return values
    return {**values, "alarms": tuple(name for name in values["alarms"] if name not in CRITICAL)}


SOL_ARK: Final = Dialect(
    "sol_ark",
    "Sol-Ark V1.3",
    "PYLON",
    (
        Message(0x359, errors(PROTECTIONS, ALARMS), SIZE, b"\0\0\0\0\0PN\0"),
        LIMITS,
        replace(CHARGE, length=SIZE),
        Message(
            0x356,
            (
                Field("voltage", 0, amount("h", 10, -3276.8, 3276.7)),
                Field("current", 2, amperes),
                Field("temperature", 4, celsius),
            ),
        ),
        Message(0x35C, RENAMED),
        NAME,
        replace(INSTALLED, length=SIZE),
    ),
    tuple(PROTECTIONS),
    tuple(ALARMS),
    stop_charging=Stop("stops", "the current limit of 0 and the enable bit", "paper of Sol-Ark; not measured"),
    stop_discharging=Stop("stops", "the current limit of 0 and the enable bit", "paper of Sol-Ark; not measured"),
    adapted=_adapted,
    never=(
        "frames of another length than eight bytes",
        "the critical system error for one lost battery of several",
    ),
    lacks=("highest and lowest cell", "which battery is missing", "that a temperature or the health is not known"),
    proof="paper",
)
