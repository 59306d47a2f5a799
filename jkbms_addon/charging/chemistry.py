"""What each cell chemistry bears, where neither the pack's settings nor the options say it. Pure.

LFP figures follow the specification of the inverter path (3.45 V bulk, 53.6 V float, 52.8 V rebulk and
48.0 V minimum for 16 cells); those of the other two are the usual conservative ones of cell makers.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Chemistry:
    """Voltages in V per cell, temperatures in °C."""

    name: str
    charge: float
    floating: float
    rebulk: float
    highest: float
    lowest: float
    least: float  # the battery's mean cell voltage at which discharging ends
    resting: tuple[float, float]  # neither full nor empty: where a silent battery may be discharged a little longer
    cold: float
    hot: float
    discharge_cold: float
    discharge_hot: float


LFP: Final = Chemistry("LFP", 3.45, 3.35, 3.30, 3.65, 2.80, 3.00, (3.1, 3.4), 0, 55, -20, 60)
LI_ION: Final = Chemistry("Li-ion", 4.10, 4.00, 3.90, 4.20, 3.00, 3.30, (3.5, 4.0), 0, 45, -20, 60)
LTO: Final = Chemistry("LTO", 2.65, 2.50, 2.40, 2.80, 1.60, 1.90, (2.1, 2.5), -30, 55, -30, 60)
CHEMISTRIES: Final = {chemistry.name: chemistry for chemistry in (LFP, LI_ION, LTO)}


def chemistry_of(battery_type: str | None, overvoltage: float | None) -> Chemistry:
    """Chemistry as the pack names it, else as its over-voltage setting shows it, else LFP."""
    if battery_type in CHEMISTRIES:
        return CHEMISTRIES[battery_type]
    if overvoltage is None:
        return LFP
    if overvoltage < 3.0:
        return LTO
    return LFP if overvoltage < 3.9 else LI_ION
