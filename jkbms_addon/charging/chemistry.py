"""What each cell chemistry bears, where neither the pack's settings nor the owner say it. Pure.

The figures of LFP are those of the specification of the charge control; those of the other two are the usual
conservative ones of cell makers, in the same places of their curves.
"""

from dataclasses import dataclass
from typing import Final

from jkbms_addon.battery.chemistry import Name, detected


@dataclass(frozen=True, slots=True)
class Chemistry:
    """Voltages in V per cell, temperatures in °C."""

    name: Name
    charge: float
    least_charge: float  # below it a half-full battery looks full
    most_charge: float  # where the over-voltage protection is unknown
    stop: float  # one cell at which charging ends, where the over-voltage protection is unknown
    floating: float
    rebulk: float
    empty: float  # one cell at which a pack is empty, where the under-voltage protection is unknown
    tapering: float  # one cell from which on discharging is slowed
    hungry: float  # resting, at which the grid may be asked
    rested: float  # resting, above which a pack is not empty whatever its counter says
    sunk: float  # below which nobody says so any more
    sinking: float  # above which it is not quite empty
    cold: float
    hot: float
    discharge_cold: float
    discharge_hot: float


LFP: Final = Chemistry(
    "LFP",
    charge=3.45,
    least_charge=3.40,
    most_charge=3.51,
    stop=3.55,
    floating=3.35,
    rebulk=3.30,
    empty=2.90,
    tapering=3.00,
    hungry=3.05,
    rested=3.20,
    sunk=3.10,
    sinking=3.00,
    cold=0,
    hot=55,
    discharge_cold=-20,
    discharge_hot=60,
)
LI_ION: Final = Chemistry(
    "Li-ion",
    charge=4.10,
    least_charge=3.80,
    most_charge=4.10,
    stop=4.14,
    floating=4.00,
    rebulk=3.90,
    empty=3.10,
    tapering=3.25,
    hungry=3.40,
    rested=3.60,
    sunk=3.45,
    sinking=3.30,
    cold=0,
    hot=45,
    discharge_cold=-20,
    discharge_hot=60,
)
LTO: Final = Chemistry(
    "LTO",
    charge=2.65,
    least_charge=2.50,
    most_charge=2.66,
    stop=2.72,
    floating=2.50,
    rebulk=2.40,
    empty=1.80,
    tapering=1.90,
    hungry=2.00,
    rested=2.15,
    sunk=2.05,
    sinking=1.95,
    cold=-30,
    hot=55,
    discharge_cold=-30,
    discharge_hot=60,
)
CHEMISTRIES: Final = {chemistry.name: chemistry for chemistry in (LFP, LI_ION, LTO)}


def chemistry_of(
    option: str | None, overvoltage: float | None, undervoltage: float | None, battery_type: str | None
) -> Chemistry:
    """The chemistry by its strongest evidence, LFP without any; protections in V per cell."""
    return CHEMISTRIES[detected(option, overvoltage, undervoltage, battery_type) or LFP.name]
