"""What an alarm of a BMS means for the inverter: how it is called there and which current it stops. Pure.

Alarms are told by the words in their names, so that formats which name the same thing a little
differently need no table of their own. What nobody knows stops both directions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from jkbms_addon.battery.alarms import alarm_of
from jkbms_addon.charging.decision import Protection, Warn

Direction = Literal["charge", "discharge"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """Name on the inverter's side, and the directions that the fault stops."""

    protection: Protection
    stops: tuple[Direction, ...]


BOTH: Final[tuple[Direction, ...]] = ("charge", "discharge")
UNKNOWN: Final = Meaning("system_error", BOTH)

# First match wins; words are compared without underscores.
RULES: Final[tuple[tuple[str, Meaning], ...]] = (
    ("shortcircuit", UNKNOWN),
    ("overvoltage", Meaning("over_voltage", ("charge",))),
    ("undervoltage", Meaning("under_voltage", ("discharge",))),
    ("soclow", Meaning("under_voltage", ("discharge",))),
    ("dischargeovercurrent", Meaning("discharge_over_current", ("discharge",))),
    ("chargeovercurrent", Meaning("charge_over_current", ("charge",))),
    ("overtemperature", Meaning("over_temperature", BOTH)),
    ("temperaturetoohigh", Meaning("over_temperature", BOTH)),
    ("dischargeundertemperature", Meaning("under_temperature", BOTH)),
    ("undertemperature", Meaning("under_temperature", ("charge",))),
    ("temperaturetoolow", Meaning("under_temperature", ("charge",))),
    # whoever cannot feel the cold must not charge
    ("temperaturesensor", Meaning("system_error", ("charge",))),
    ("dischargestartfailed", Meaning("system_error", ("discharge",))),
)


@cache
def meaning(name: str) -> Meaning:
    """What an alarm of that name means."""
    words = name.replace("_", "")
    return next((found for pattern, found in RULES if pattern in words), UNKNOWN)


def faults(names: Iterable[str]) -> tuple[str, ...]:
    """Those alarms that say that the BMS has disconnected or cannot be trusted."""
    return tuple(name for name in names if alarm_of(name).severity == "fault")


def stops(names: Iterable[str], direction: Direction) -> bool:
    """Whether raised alarms stop a direction: any fault that says so, and "fully charged", which is only news."""
    return any(
        direction in meaning(name).stops
        for name in names
        if alarm_of(name).severity == "fault" or meaning(name).protection == "over_voltage"
    )


def protections(names: Iterable[str]) -> set[Protection]:
    """Protections that faults stand for."""
    return {meaning(name).protection for name in faults(names)}


def warnings(names: Iterable[str]) -> set[Warn]:
    """Alarms that faults and warnings stand for; a warning that has no name there stays at home."""
    found: set[Warn] = set()
    for name in names:
        known, severity = meaning(name).protection, alarm_of(name).severity
        if known != "system_error" and severity != "info":
            found.add(known)
        elif severity == "fault":
            found.add("internal_comm_fail")
    return found
