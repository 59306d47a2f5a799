"""The chemistry of a battery's cells, and the voltages that a cell of it may have at all. Pure.

Order of evidence: what the owner says; the over- and under-voltage protections that the pack is set to, as it is
worked between them; last the byte of the BMS, which its firmware leaves at "LFP" in packs of any other cells (a
real 6S LTO pack at 2.38 V a cell says so).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeGuard

Name = Literal["LFP", "Li-ion", "LTO"]


@dataclass(frozen=True, slots=True)
class Cells:
    """Between which voltages cells of a chemistry are set, and between which only their over-voltage protection lies.

    V per cell, from the presets of the vendor's application and makers' sheets.
    """

    name: Name
    lowest: float
    highest: float
    tops: tuple[float, float]


LTO: Final = Cells("LTO", 1.6, 2.85, (2.0, 3.0))
LFP: Final = Cells("LFP", 2.5, 3.65, (3.0, 3.9))
LI_ION: Final = Cells("Li-ion", 2.5, 4.25, (3.9, 4.6))
BOTTOM_OF_LTO: Final = (1.0, 2.0)  # V; no other cell is discharged so far
CELLS: Final[dict[Name, Cells]] = {cells.name: cells for cells in (LFP, LI_ION, LTO)}

# What a BMS sets itself to when its owner chooses LFP, Li-ion or LTO in the vendor's application, as one of firmware
# 15.30 told it after each. None is what its owner may have changed since, and capacities and currents are his alone.
Preset = tuple[float, float | None, float]
PRESETS: Final[Mapping[str, Preset]] = {
    "smart_sleep_voltage": (3.5, 4.15, 2.5),
    "cell_voltage_undervoltage_protection": (2.58, 2.82, 1.8),
    "cell_voltage_undervoltage_recovery": (2.62, 2.85, 1.85),
    "cell_voltage_overvoltage_protection": (3.65, 4.2, 2.7),
    "cell_voltage_overvoltage_recovery": (3.58, 4.17, 2.64),
    "balance_trigger_voltage": (0.01, 0.01, 0.01),
    "balancing_start_voltage": (3.0, 3.0, 2.0),
    "cell_soc100_voltage": (3.59, 4.18, 2.65),
    "cell_soc0_voltage": (2.6, 2.84, 1.84),
    "cell_request_charge_voltage": (3.6, 4.19, 2.68),
    "cell_request_float_voltage": (3.5, 4.1, 2.55),
    "power_off_voltage": (2.5, 2.8, 1.7),
    "charge_overcurrent_protection_delay": (3, 3, 3),
    "charge_overcurrent_protection_recovery_time": (60, 60, 60),
    "discharge_overcurrent_protection_delay": (300, 300, 300),
    "discharge_overcurrent_protection_recovery_time": (60, 60, 60),
    "short_circuit_protection_delay": (1500, 1500, 1500),
    "short_circuit_protection_recovery_time": (5, 5, 5),
    "charge_overtemperature_protection": (70.0, 70.0, 70.0),
    "charge_overtemperature_recovery": (60.0, 60.0, 60.0),
    "discharge_overtemperature_protection": (70.0, 70.0, 70.0),
    "discharge_overtemperature_recovery": (60.0, 60.0, 60.0),
    "charge_undertemperature_protection": (2.0, None, 2.0),
    "charge_undertemperature_recovery": (7.0, None, 7.0),
    "mosfet_overtemperature_protection": (80.0, None, 80.0),
    "mosfet_overtemperature_recovery": (70.0, None, 70.0),
    "discharge_precharge_time": (0, 0, 0),
    "smart_sleep_delay": (24, 24, 24),
}


def presets(key: str) -> Mapping[Name, float]:
    """The presets of a setting by chemistry, as far as they are known."""
    return {name: value for name, value in zip(CELLS, PRESETS.get(key, ()), strict=False) if value is not None}


def known(name: str | None) -> TypeGuard[Name]:
    """Whether a name is that of a chemistry."""
    return name in CELLS


def detected(
    option: str | None = None,
    overvoltage: float | None = None,
    undervoltage: float | None = None,
    battery_type: str | None = None,
) -> Name | None:
    """The chemistry, by the strongest evidence there is; None without any. Protections in V per cell.

    ``option`` is the owner's word, ``battery_type`` the BMS's.
    """
    if known(option):
        return option
    for cells in (LTO, LFP, LI_ION):
        if overvoltage is not None and cells.tops[0] <= overvoltage < cells.tops[1]:
            return cells.name
    # without its top a low bottom still tells LTO, and nothing else
    if undervoltage is not None and BOTTOM_OF_LTO[0] <= undervoltage < BOTTOM_OF_LTO[1]:
        return "LTO"
    return battery_type if known(battery_type) else None
