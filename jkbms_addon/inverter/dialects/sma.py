"""SMA Sunny Island (FSS-ConnectingBat-TI-en-10): few frames, narrow ranges, and no patience.

Facts: inverter profiles, section 3. A value out of its range is dropped without a word and the last good one stays, so
it is clamped: voltage limits 41.0 to 63.0 V and 41.0 to 48.0 V, currents up to 1200 A. Any alarm pair of 0x35A is
standby until it says "cleared"; off the grid the limit of discharge is ignored, only charge, lowest voltage and alarms
count. Without 0x355 or 0x351 for 60 s everything goes off and stays off until somebody presses start. Unknown is
0xFFFF, in signed fields 0x8000; frames are never filled up. 0x305 of the inverter counts its current the other way
round.
"""

from types import MappingProxyType
from typing import Any, Final

from jkbms_addon import __version__
from jkbms_addon.inverter.dialects.dialect import Dialect, Stop, as_alarms
from jkbms_addon.inverter.dialects.message import Field, Message, Values, amount, letters, marked, version
from jkbms_addon.inverter.dialects.victron import PAIRS, pairs

CLEARED: Final = 0x02AAAAAA  # the pairs that SMA knows; the reserved ones stay 00
LITHIUM: Final = 3  # type of battery in 0x35F
LEAST: Final = 41.0  # V of a limit
UNSIGNED, SIGNED = 0xFFFF, -0x8000
amperes: Final = amount("H", 10, 0, 1200)


def _derived(values: Values) -> dict[str, Any]:
    product = values["product"]
    return {
        "_type": LITHIUM if product is None else product,
        "_version": values["software_version"] or __version__,
    }


def _adapted(values: Values) -> Values:
    """An alarm is standby, so as long as a battery may be discharged its troubles are warnings."""
    return as_alarms(values) if values["discharge_enabled"] else values


SMA: Final = Dialect(
    "sma",
    "SMA Sunny Island",
    "JK BMS",
    (
        Message(
            0x351,
            (
                Field("charge_voltage", 0, amount("H", 10, LEAST, 63)),
                Field("charge_current", 2, amperes),
                Field("discharge_current", 4, amperes),
                Field("discharge_voltage", 6, amount("H", 10, LEAST, 48)),
            ),
        ),
        Message(
            0x355,
            (
                Field("state_of_charge", 0, amount("H", 1, 0, 100)),
                Field("state_of_health", 2, marked("H", 1, 0, 100, UNSIGNED)),
                Field("state_of_charge_precise", 4, marked("H", 100, 0, 100, UNSIGNED)),
            ),
            6,
            pads=False,
        ),
        Message(
            0x356,
            (
                Field("voltage", 0, amount("h", 100, -327.67, 327.67)),
                Field("current", 2, amount("h", 10, -3276.7, 3276.7)),
                Field("temperature", 4, marked("h", 10, -3276.7, 3276.7, SIGNED)),
            ),
            6,
            pads=False,
        ),
        Message(0x35A, (Field("protections", 0, pairs(CLEARED)), Field("alarms", 4, pairs(CLEARED)))),
        Message(0x35B, ()),  # events, of which there are none
        Message(0x35E, (Field("manufacturer", 0, letters(8)),)),
        Message(
            0x35F,
            (
                Field("_type", 0, amount("H", 1, 0, 65534)),
                Field("_version", 2, version("2s", decimal=False)),
                Field("full_charge_capacity", 4, marked("H", 1, 0, 65534, UNSIGNED)),
            ),
        ),
    ),
    tuple(PAIRS),
    tuple(PAIRS),
    least_voltage=LEAST,
    stop_charging=Stop(
        "stops",
        "within 10 s; a voltage limit below the battery's makes it discharge instead, whatever the other limit says",
        "paper of SMA",
    ),
    stop_discharging=Stop(
        "ignored",
        "off the grid it goes on until the charge told, the lowest voltage or an alarm stops it",
        "paper of SMA",
    ),
    derived=_derived,
    adapted=_adapted,
    heard=MappingProxyType(
        {
            0x305: "heartbeat: voltage, current, temperature, charge",
            **dict.fromkeys((0x300, 0x301, 0x302, 0x303, 0x304), "power and relays"),
            **dict.fromkeys((0x306, 0x307, 0x308, 0x309), "state and frequency"),
        }
    ),
    soc_decides=True,
    alarm_stops=True,
    silence_after=60.0,
    never=(
        "any id outside its table; 0x00F would be an immediate standby",
        "an alarm while one battery may still be discharged: told as a warning",
        "a value outside its range, which is dropped in silence",
    ),
    lacks=(
        "enable bits and requests to charge",
        "highest and lowest cell",
        "which battery is missing",
        "banks below 41 V",
        "an end of discharge above 48.0 V",
    ),
    proof="paper",
)
