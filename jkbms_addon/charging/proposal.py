"""What the options of an inverter may be with the packs that count now, for an owner who has set none yet. Pure.

Theory of operation. Each number is what the charge control would take from the packs by itself when nothing hinders
them: no full or empty cell, no frost, no limit that still rises. It rests on the packs' own settings alone; where one
of them does not tell what a number needs, the number is left out with the reason, and the control goes on deciding it
from moment to moment. None is above what the option of that name may be, or beyond what the owner has written there
already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Final

from jkbms_addon.bank.bank import BankState, weights
from jkbms_addon.bank.candidate import Key, View
from jkbms_addon.battery.alarms import Direction
from jkbms_addon.charging.cell_limits import ABOVE_PROTECTION, CellLimits, CellLimitsOf
from jkbms_addon.charging.derating import FULL, rating
from jkbms_addon.charging.setpoints import RULES, Setpoints
from jkbms_addon.charging.sharing import MARGIN, Carrier, Shares, together_charging, together_discharging
from jkbms_addon.charging.slew import Limit

MOST: Final = 3000.0  # A that an option may be
NOBODY: Final = "no battery counts now"
HELD: Final = "as it stands in the options"


@dataclass(frozen=True, slots=True)
class Proposed:
    """A value for an option, in V per cell or A, and what it rests on; None with the reason where there is none."""

    value: float | None
    why: str


@dataclass(frozen=True, slots=True)
class OfPack:
    """What one pack brings: cells in series and their kind, V per cell and A by its own settings, None for unknown."""

    key: Key
    cells: int
    chemistry: str
    charge_voltage: float | None
    charge_current: float | None
    discharge_current: float | None


Each = Sequence[tuple[View, CellLimits]]


def packs(bank: BankState) -> list[OfPack]:
    """Every pack that counts."""
    return [
        OfPack(
            view.key,
            view.cells,
            limits.chemistry.name,
            None if _overvoltage(view) is None else limits.charge,
            view.pack.max_charge_current,
            view.pack.max_discharge_current,
        )
        for view, limits in _each(bank, Setpoints())
    ]


def proposal(bank: BankState, owner: Setpoints | None = None) -> Mapping[str, Proposed]:
    """A value for each option that says how far and how fast, by its name; ``owner`` is what stands there already."""
    owner = owner or Setpoints()
    each = _each(bank, owner)
    found = {
        "charge_voltage": _charge(each),
        "float_voltage": _float(each),
        "min_discharge_voltage": _empty(each),
        "max_charge_current": _current(bank, "charge"),
        "max_discharge_current": _current(bank, "discharge"),
    }
    return {key: _allowed(key, _bounded(one, getattr(owner, key), key)) for key, one in found.items()}


def _bounded(one: Proposed, held: float | None, key: str) -> Proposed:
    """The same, unless the owner's own is the more careful one, or the only one."""
    if held is None:
        return one
    low = key == "min_discharge_voltage"  # the owner may mean the whole battery
    return Proposed(held, HELD) if low or one.value is None or held <= one.value else one


def _each(bank: BankState, owner: Setpoints) -> Each:
    limits = CellLimitsOf(owner)
    return [(view, limits(view)) for view in bank.counted]


def _overvoltage(view: View) -> float | None:
    return view.pack.cell_voltage_overvoltage_protection


def _undervoltage(view: View) -> float | None:
    return view.pack.cell_voltage_undervoltage_protection


def _apart(each: Each) -> str:
    """Why the cells of these packs have no voltage in common; empty where they have."""
    kinds = sorted({limits.chemistry.name for _, limits in each})
    return f"the packs have different cells: {' and '.join(kinds)}" if len(kinds) > 1 else ""


def _unknown(each: Each, *, low: bool = False) -> str:
    """Why a voltage cannot be proposed; empty where it can."""
    if not each:
        return NOBODY
    told = _undervoltage if low else _overvoltage
    missing = next((view for view, _ in each if told(view) is None), None)
    if missing:
        return f"the {'under' if low else 'over'}-voltage protection of pack {missing.label} is not known"
    return _apart(each)


def _charge(each: Each) -> Proposed:
    if why := _unknown(each):
        return Proposed(None, why)
    _, decides = min(each, key=lambda one: one[1].charge)
    return Proposed(decides.charge, decides.why)


def _float(each: Each) -> Proposed:
    if why := _unknown(each):
        return Proposed(None, why)
    view, decides = min(each, key=lambda one: one[1].floating)
    requested = view.pack.cell_request_float_voltage
    if requested == decides.floating:
        return Proposed(decides.floating, f"requested float voltage of pack {view.label}")
    if decides.floating == decides.chemistry.floating:
        return Proposed(decides.floating, f"usual for {decides.chemistry.name}")
    return Proposed(decides.floating, "a little below the charge voltage")


def _empty(each: Each) -> Proposed:
    if why := _unknown(each, low=True):
        return Proposed(None, why)
    view, decides = max(each, key=lambda one: one[1].empty)
    why = f"under-voltage protection of pack {view.label} and {ABOVE_PROTECTION:.2f} V per cell"
    return Proposed(decides.empty, why)


def _current(bank: BankState, direction: Direction) -> Proposed:
    if not bank.counted:
        return Proposed(None, NOBODY)
    missing = next((view for view in bank.counted if _setting(view, direction) is None), None)
    if missing:
        return Proposed(None, f"the {direction} over-current setting of pack {missing.label} is not known")
    together = _together(bank, direction)
    amps = floor(round(min(together.amps, MOST), 6))  # so that 89.99999 is 90
    if not amps:
        return Proposed(None, together.why)
    several = f", {len(bank.counted)} packs together" if len(bank.counted) > 1 else ""
    return Proposed(amps, f"{together.why}{several}, times {MARGIN:g}")


def _setting(view: View, direction: Direction) -> float | None:
    return view.pack.max_charge_current if direction == "charge" else view.pack.max_discharge_current


def _together(bank: BankState, direction: Direction) -> Limit:
    carriers = [Carrier(view, rating(view, direction), FULL, weight) for view, weight in weights(bank.counted)]
    if direction == "charge":
        return together_charging(carriers)[0]
    return together_discharging(carriers, Shares())


def _allowed(key: str, one: Proposed) -> Proposed:
    """The same, unless no option may be so."""
    allowed, says = RULES[key]
    return one if one.value is None or allowed(one.value) else Proposed(None, f"{one.value:g} is not {says}")
