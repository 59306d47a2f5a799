"""Pylontech "V2": the set of V1.2 with the pairs of flags, the modules and the extremes of the Victron family.

Facts: inverter profiles, section 9. Two things go under this name: the set of YamBMS, which users of GoodWe, Solis,
SRNE, Studer and Schneider run, and the firmware 1.3 of US3000 batteries (captured), whose shorter 0x355 and 0x356 are
the exact lengths here. 0x355: charge also in 0.01 %, and what remains in 0.1 Ah (captured from YamBMS). 0x370 is left
out: sources differ about its order.
"""

from typing import Final

from jkbms_addon.inverter.dialects.dialect import Dialect, Stop
from jkbms_addon.inverter.dialects.message import Field, Message, amount, health, percent
from jkbms_addon.inverter.dialects.pylontech import ALARMS as WORDS
from jkbms_addon.inverter.dialects.pylontech import ERRORS, LIMITS, MEASURED, NAME, PROTECTIONS, REQUESTS
from jkbms_addon.inverter.dialects.victron import EXTREMES, FLAGS, INSTALLED, MODULES, PAIRS, PLACES, hundredths

PYLONTECH_V2: Final = Dialect(
    "pylontech_v2",
    "Pylontech V2: V1.2 with modules and extremes",
    "PYLON",
    (
        NAME,
        LIMITS,
        Message(
            0x355,
            (
                Field("state_of_charge", 0, percent),
                Field("state_of_health", 2, health),
                Field("state_of_charge_precise", 4, hundredths),
                Field("capacity_remaining", 6, amount("H", 10, 0, 6553.5)),
            ),
            6,
            cuts=(("state_of_charge_precise", 4), ("capacity_remaining", 6)),
            blank=(4, 6),  # the firmware leaves this place empty
        ),
        MEASURED,
        ERRORS,
        REQUESTS,
        FLAGS,
        MODULES,
        EXTREMES,
        *PLACES,
        INSTALLED,
    ),
    tuple({**PROTECTIONS, **PAIRS}),
    tuple({**WORDS, **PAIRS}),
    stop_charging=Stop("stops", "the current limit of 0 and the enable bit", "reports of YamBMS users"),
    stop_discharging=Stop(
        "in part", "the current limit of 0 and the enable bit; Solis goes on drawing", "report: Battery-Emulator 767"
    ),
    never=("0x370 and 0x371, whose meaning differs from inverter to inverter",),
    lacks=("that a temperature or the health is not known",),
    proof="capture",
)
