"""The chemistry of a battery's cells, and the voltages that a cell of it may have at all. Pure.

Order of evidence: what the owner says; the over- and under-voltage protections that the pack is set to, as it is
worked between them; last the byte of the BMS, which its firmware leaves at "LFP" in packs of any other cells (a
real 6S LTO pack at 2.38 V a cell says so).
"""

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
