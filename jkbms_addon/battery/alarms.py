"""The alarms of all formats: label, severity, and which direction each concerns, once.

Severity: *fault* means the BMS has disconnected or cannot be trusted, *warning* that it is near to it,
*info* never sets ``problem``. Labels and severities from the specification's alarm table.

``concerns`` are the directions in which the alarm is the trouble, ``halts`` whether no current may flow in them
while it is raised: every fault does, and so does what is raised at a full charge. What leaves it open whether
the BMS still discharges concerns charging alone: any doubt ends charging, but a battery whose discharge MOSFET
is closed keeps the house lit.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import Final, Literal

Severity = Literal["fault", "warning", "info"]
Direction = Literal["charge", "discharge"]
Trouble = Literal[
    "over_voltage",
    "under_voltage",
    "over_temperature",
    "under_temperature",
    "charge_over_temperature",
    "charge_under_temperature",
    "charge_over_current",
    "discharge_over_current",
    "short_circuit",
    "contactor",
    "imbalance",
    "system",
    "other",
]
BOTH: Final[tuple[Direction, ...]] = ("charge", "discharge")
CHARGE: Final[tuple[Direction, ...]] = ("charge",)
DISCHARGE: Final[tuple[Direction, ...]] = ("discharge",)


@dataclass(frozen=True, slots=True)
class Alarm:
    """What an alarm is called, how bad it is, what the trouble is, and which directions it concerns."""

    label: str
    severity: Severity = "fault"
    concerns: tuple[Direction, ...] = ()
    trouble: Trouble = "other"
    full: bool = False  # no fault, but charging has come to its end

    def halts(self, direction: Direction) -> bool:
        """Whether no current may flow in a direction while it is raised."""
        return (self.severity == "fault" or self.full) and direction in self.concerns


def slug(label: str) -> str:
    """Key form of a label: lower case, words joined by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


# Bit order of the alarm word of the RS485 frames; bits 0-17 are the same on the BMS's CAN.
WORD = (
    Alarm("Balance wire resistance too large", "warning"),
    Alarm("MOSFET over-temperature protection", "fault", BOTH, "over_temperature"),
    Alarm("Cell count differs from setting", "fault", BOTH, "system"),
    Alarm("Current sensor anomaly", "fault", CHARGE, "system"),
    # raised at every full charge, so it must not wake anybody
    Alarm("Cell over-voltage / fully charged", "info", CHARGE, "over_voltage", full=True),
    Alarm("Battery over-voltage protection", "fault", CHARGE, "over_voltage"),
    Alarm("Charge over-current protection", "fault", CHARGE, "charge_over_current"),
    Alarm("Charge short-circuit protection", "fault", BOTH, "short_circuit"),
    Alarm("Charge over-temperature protection", "fault", CHARGE, "charge_over_temperature"),
    Alarm("Charge under-temperature protection", "fault", CHARGE, "charge_under_temperature"),
    Alarm("Internal (CPU/AUX) communication anomaly", "fault", CHARGE, "system"),
    Alarm("Cell under-voltage protection", "fault", DISCHARGE, "under_voltage"),
    Alarm("Battery under-voltage protection", "fault", DISCHARGE, "under_voltage"),
    Alarm("Discharge over-current protection", "fault", DISCHARGE, "discharge_over_current"),
    Alarm("Discharge short-circuit protection", "fault", BOTH, "short_circuit"),
    # what is too hot or too cold to be discharged must not be charged either
    Alarm("Discharge over-temperature protection", "fault", BOTH, "over_temperature"),
    Alarm("Charge MOSFET anomaly", "fault", CHARGE, "contactor"),
    Alarm("Discharge MOSFET anomaly", "fault", DISCHARGE, "contactor"),
    Alarm("GPS disconnected", "info"),
    Alarm("Change the default password", "info"),
    Alarm("Discharge start failed", "fault", DISCHARGE, "contactor"),
    Alarm("Battery over-temperature alarm", "warning", BOTH, "over_temperature"),
    # whoever cannot feel the cold must not charge
    Alarm("Temperature sensor anomaly", "fault", CHARGE, "system"),
    Alarm("Parallel module anomaly", "fault", CHARGE, "system"),
    Alarm("Short-circuit protection release failed", "fault", BOTH, "short_circuit"),
    Alarm("Discharge over-current protection 2", "fault", DISCHARGE, "discharge_over_current"),
    Alarm("Discharge over-current protection 3", "fault", DISCHARGE, "discharge_over_current"),
    Alarm("Discharge under-temperature protection", "fault", BOTH, "under_temperature"),
    Alarm("GPS remote lock", "info"),
)

# Bit order of the alarm word (8B) of the first generation, UART-TTL protocol; bits 14 and 15 are reserved.
LEGACY = (
    # the charge fell below its threshold; nothing is disconnected
    Alarm("Low capacity", "warning", DISCHARGE, "under_voltage"),
    Alarm("MOSFET overtemperature", "fault", BOTH, "over_temperature"),
    # normal at the end of a full charge
    Alarm("Charge overvoltage", "info", CHARGE, "over_voltage", full=True),
    Alarm("Discharge undervoltage", "fault", DISCHARGE, "under_voltage"),
    Alarm("Battery overtemperature", "fault", BOTH, "over_temperature"),
    Alarm("Charge overcurrent", "fault", CHARGE, "charge_over_current"),
    Alarm("Discharge overcurrent", "fault", DISCHARGE, "discharge_over_current"),
    Alarm("Cell voltage difference", "fault", CHARGE, "imbalance"),
    Alarm("Battery box overtemperature", "fault", BOTH, "over_temperature"),
    Alarm("Battery undertemperature", "fault", CHARGE, "under_temperature"),
    Alarm("Cell overvoltage", "fault", CHARGE, "over_voltage"),
    Alarm("Cell undervoltage", "fault", DISCHARGE, "under_voltage"),
    # the chips that measure the cells
    Alarm("309_A protection", "fault", BOTH, "system"),
    Alarm("309_B protection", "fault", BOTH, "system"),
)

# Entries of the BMS's CAN alarm frame in order, with the severity of level 1, "severe".
CAN_ENTRIES = (
    # like its bit in WORD it may come with every full charge, but here nothing says "charged"
    Alarm("Cell over-voltage", "warning", CHARGE, "over_voltage", full=True),
    Alarm("Cell under-voltage", "fault", DISCHARGE, "under_voltage"),
    Alarm("Battery over-voltage", "fault", CHARGE, "over_voltage"),
    Alarm("Battery under-voltage", "fault", DISCHARGE, "under_voltage"),
    Alarm("Cell voltage difference too large", "fault", CHARGE, "imbalance"),
    Alarm("Discharge over-current", "fault", DISCHARGE, "discharge_over_current"),
    Alarm("Charge over-current", "fault", CHARGE, "charge_over_current"),
    Alarm("Temperature too high", "fault", BOTH, "over_temperature"),
    Alarm("Temperature too low", "fault", CHARGE, "under_temperature"),
    Alarm("Temperature difference too large", "fault", CHARGE, "system"),
    # the cure is to charge, so it must not put the battery out of use
    Alarm("State of charge too low", "warning", DISCHARGE, "under_voltage"),
    Alarm("Insulation too low", "fault", CHARGE, "system"),
    Alarm("High-voltage interlock", "fault", BOTH, "system"),
    # tells of whom the BMS talks to, not of the battery
    Alarm("External communication anomaly", "warning"),
    Alarm("Internal communication anomaly", "fault", CHARGE, "system"),
)


def graded(entry: Alarm) -> tuple[Alarm, ...]:
    """The alarm at its levels 1 to 3; smaller is worse, and only level 1 may be a fault or the end of charging."""
    return (
        replace(entry, label=f"{entry.label} (severe)"),
        replace(entry, label=f"{entry.label} (important)", severity="warning", full=False),
        replace(entry, label=f"{entry.label} (general)", severity="info", full=False),
    )


CAN_LEVELS = tuple(graded(entry) for entry in CAN_ENTRIES)

ALARMS: dict[str, Alarm] = {slug(alarm.label): alarm for alarm in chain(WORD, LEGACY, *CAN_LEVELS)}
WORD_NAMES: tuple[str, ...] = tuple(slug(alarm.label) for alarm in WORD)
LEGACY_NAMES: tuple[str, ...] = tuple(slug(alarm.label) for alarm in LEGACY)
CAN_LEVEL_NAMES: tuple[tuple[str, ...], ...] = tuple(tuple(slug(alarm.label) for alarm in row) for row in CAN_LEVELS)


def alarm_key(name: str) -> str:
    """Published key of an alarm."""
    return f"alarm_{name}"


@cache
def raised_bits(word: int, names: tuple[str, ...] = WORD_NAMES) -> tuple[str, ...]:
    """Names of the set bits, unknown ones as ``bit_n``."""
    return tuple(
        names[bit] if bit < len(names) and names[bit] else f"bit_{bit}"
        for bit in range(word.bit_length())
        if word >> bit & 1
    )


def alarm_of(name: str) -> Alarm:
    """The alarm of that name; an undocumented bit is a warning, since nobody knows better."""
    return ALARMS.get(name) or Alarm(name.replace("_", " "), "warning")


def raised_problem(names: Iterable[str]) -> bool:
    """Whether any of the raised alarms is a fault or a warning."""
    return any(alarm_of(name).severity != "info" for name in names)


def halting(names: Iterable[str], direction: Direction) -> tuple[str, ...]:
    """Those raised alarms because of which no current may flow in a direction."""
    return tuple(name for name in names if alarm_of(name).halts(direction))


def faults(names: Iterable[str]) -> tuple[str, ...]:
    """Those raised alarms that say that the BMS has disconnected or cannot be trusted."""
    return tuple(name for name in names if alarm_of(name).severity == "fault")


def alarm_text(names: Iterable[str]) -> str:
    """Labels of the raised alarms, joined; cut at what a state may hold."""
    return "; ".join(alarm_of(name).label for name in names)[:255]
