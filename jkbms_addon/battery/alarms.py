"""The alarms of all formats: label and severity, once.

Severity: *fault* means the BMS has disconnected or cannot be trusted, *warning* that it is near to it,
*info* never sets ``problem``. Labels and severities from the specification's alarm table.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Literal

Severity = Literal["fault", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """What an alarm is called and how bad it is."""

    label: str
    severity: Severity = "fault"


def slug(label: str) -> str:
    """Key form of a label: lower case, words joined by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


# Bit order of the alarm word of the RS485 frames; bits 0-17 are the same on the BMS's CAN.
WORD = (
    Alarm("Balance wire resistance too large", "warning"),
    Alarm("MOSFET over-temperature protection"),
    Alarm("Cell count differs from setting"),
    Alarm("Current sensor anomaly"),
    # raised at every full charge, so it must not wake anybody
    Alarm("Cell over-voltage / fully charged", "info"),
    Alarm("Battery over-voltage protection"),
    Alarm("Charge over-current protection"),
    Alarm("Charge short-circuit protection"),
    Alarm("Charge over-temperature protection"),
    Alarm("Charge under-temperature protection"),
    Alarm("Internal (CPU/AUX) communication anomaly"),
    Alarm("Cell under-voltage protection"),
    Alarm("Battery under-voltage protection"),
    Alarm("Discharge over-current protection"),
    Alarm("Discharge short-circuit protection"),
    Alarm("Discharge over-temperature protection"),
    Alarm("Charge MOSFET anomaly"),
    Alarm("Discharge MOSFET anomaly"),
    Alarm("GPS disconnected", "info"),
    Alarm("Change the default password", "info"),
    Alarm("Discharge start failed"),
    Alarm("Battery over-temperature alarm", "warning"),
    Alarm("Temperature sensor anomaly"),
    Alarm("Parallel module anomaly"),
    Alarm("Short-circuit protection release failed"),
    Alarm("Discharge over-current protection 2"),
    Alarm("Discharge over-current protection 3"),
    Alarm("Discharge under-temperature protection"),
    Alarm("GPS remote lock", "info"),
)

# Bit order of the alarm word (8B) of the first generation, UART-TTL protocol; bits 14 and 15 are reserved.
LEGACY = (
    # the charge fell below its threshold; nothing is disconnected
    Alarm("Low capacity", "warning"),
    Alarm("MOSFET overtemperature"),
    # normal at the end of a full charge
    Alarm("Charge overvoltage", "info"),
    Alarm("Discharge undervoltage"),
    Alarm("Battery overtemperature"),
    Alarm("Charge overcurrent"),
    Alarm("Discharge overcurrent"),
    Alarm("Cell voltage difference"),
    Alarm("Battery box overtemperature"),
    Alarm("Battery undertemperature"),
    Alarm("Cell overvoltage"),
    Alarm("Cell undervoltage"),
    Alarm("309_A protection"),
    Alarm("309_B protection"),
)

# Entries of the BMS's CAN alarm frame in order, with the severity of level 1, "severe".
CAN_ENTRIES = (
    # like its bit in WORD it may come with every full charge, but here nothing says "charged"
    Alarm("Cell over-voltage", "warning"),
    Alarm("Cell under-voltage"),
    Alarm("Battery over-voltage"),
    Alarm("Battery under-voltage"),
    Alarm("Cell voltage difference too large"),
    Alarm("Discharge over-current"),
    Alarm("Charge over-current"),
    Alarm("Temperature too high"),
    Alarm("Temperature too low"),
    Alarm("Temperature difference too large"),
    # the cure is to charge, so it must not put the battery out of use
    Alarm("State of charge too low", "warning"),
    Alarm("Insulation too low"),
    Alarm("High-voltage interlock"),
    # tells of whom the BMS talks to, not of the battery
    Alarm("External communication anomaly", "warning"),
    Alarm("Internal communication anomaly"),
)


def graded(entry: Alarm) -> tuple[Alarm, ...]:
    """The alarm at its levels 1 to 3; smaller is worse, and only level 1 may be a fault."""
    return (
        Alarm(f"{entry.label} (severe)", entry.severity),
        Alarm(f"{entry.label} (important)", "warning"),
        Alarm(f"{entry.label} (general)", "info"),
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


def alarm_text(names: Iterable[str]) -> str:
    """Labels of the raised alarms, joined; cut at what a state may hold."""
    return "; ".join(alarm_of(name).label for name in names)[:255]
