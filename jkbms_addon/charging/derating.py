"""How much of its current one pack bears now: by its cells, temperatures and MOSFETs. Pure.

A curve of straight lines gives the share of the full current. Where it has come to 0 it stays there until the value
has come back some way, so that a limit at its edge does not flutter. By charge alone nothing is limited: counters
drift, cells do not.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from jkbms_addon.bank.candidate import Key, View
from jkbms_addon.battery.alarms import Direction
from jkbms_addon.charging.cell_limits import CellLimits

TAIL: Final = 0.05  # of the current that is left near the stop, so that the balancer can work
BEFORE_STOP: Final = 0.02  # V below the stop from which on only the tail is left
CELL_BACK: Final = 0.05  # V below the stop at which charging begins again
FULL_CHARGE_ABOVE: Final = ((0.0, 0.0), (2.0, 0.10), (10.0, 0.50), (15.0, 1.0))  # K above the lowest: share
HOT_WIDTH: Final = 15.0  # K below the highest temperature from which on current falls
COLD_WIDTH: Final = 15.0  # K above the lowest one, discharging
MOSFET_WIDTH: Final = 20.0
TEMPERATURE_BACK: Final = 2.0  # K
MOSFET_BACK: Final = 5.0  # K
EMPTY_SHARE: Final = 0.25  # of the current that is left where a pack is nearly empty
C_RATE: Final = 0.5  # A per Ah where the settings are unknown

UNKNOWN: Final = 10.0  # A of a pack of which nothing is known
MOST: Final = 3000.0  # A that a setting can mean

Cause = Literal["", "cell", "cold", "hot", "mosfet", "temperature", "low"]


@dataclass(frozen=True, slots=True)
class Share:
    """Share of the full current, 0 to 1, and what makes it so."""

    factor: float
    cause: Cause = ""


FULL: Final = Share(1.0)


class Latches:
    """Which curves stand at 0 until their value has come back."""

    def __init__(self) -> None:
        self._held: set[tuple[Key, str, Cause]] = set()

    def factor(self, key: Key, direction: str, cause: Cause, factor: float, *, back: bool) -> float:
        """The share of one curve, remembered while it is 0 and not ``back``."""
        if factor > 0 and not self._held:
            return factor
        latch = (key, direction, cause)
        if factor <= 0:
            self._held.add(latch)
        elif latch in self._held:
            if not back:
                return 0.0
            self._held.discard(latch)
        return max(0.0, factor)


def falling(value: float, full: float, zero: float) -> float:
    """1 up to ``full``, 0 from ``zero`` on, a straight line between; ``full`` may lie above ``zero``."""
    factor = (zero - value) / (zero - full)
    # a value at its limit is at its limit, however its last bit was rounded
    return min(1.0, factor) if factor > 1e-6 else 0.0


def by_highest_cell(cell: float, limits: CellLimits) -> float:
    """All of the current at the charge voltage, the tail shortly before the stop, nothing at it."""
    if cell >= limits.stop - 1e-9:
        return 0.0
    low, high = limits.charge, limits.stop - BEFORE_STOP
    if cell >= high:
        return TAIL
    return 1.0 if cell <= low else 1.0 - (1.0 - TAIL) * (cell - low) / (high - low)


def by_cold(temperature: float, lowest: float) -> float:
    """Share of the charge current that cold cells bear."""
    above = temperature - lowest
    points = FULL_CHARGE_ABOVE
    if above <= points[0][0]:
        return 0.0
    if above >= points[-1][0]:
        return 1.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if above < x1:
            return y0 + (y1 - y0) * (above - x0) / (x1 - x0)
    return 1.0


def by_lowest_cell(low: float, limits: CellLimits) -> float:
    """All of the discharge current down to where slowing begins, a quarter where the pack is empty."""
    width = limits.tapering - limits.empty
    depth = (low - limits.empty) / width
    return EMPTY_SHARE + (1.0 - EMPTY_SHARE) * min(1.0, max(0.0, depth))


def charging(view: View, limits: CellLimits, latches: Latches) -> Share:
    """Share of its charge current that a pack bears, by the narrowest of all curves."""
    key, cell = view.key, view.high.value
    back = cell <= limits.stop - CELL_BACK
    found = latches.factor(key, "charge", "cell", by_highest_cell(cell, limits), back=back)
    cause: Cause = "cell"
    if view.coldest is None or view.warmest is None:
        return Share(0.0, "temperature") if found > 0 else Share(0.0, cause)
    cold, hot = view.coldest.value, view.warmest.value
    back = cold >= limits.cold + TEMPERATURE_BACK
    factor = latches.factor(key, "charge", "cold", by_cold(cold, limits.cold), back=back)
    if factor < found:
        found, cause = factor, "cold"
    factor, back = falling(hot, limits.hot - HOT_WIDTH, limits.hot), hot <= limits.hot - TEMPERATURE_BACK
    factor = latches.factor(key, "charge", "hot", factor, back=back)
    if factor < found:
        found, cause = factor, "hot"
    factor = _mosfet(view, limits, latches)
    return Share(factor, "mosfet") if factor < found else FULL if found >= 1 else Share(found, cause)


def discharging(view: View, limits: CellLimits, low: float, latches: Latches) -> Share:
    """Share of its discharge current that a pack bears; ``low`` is its smoothed lowest cell in V."""
    key, found = view.key, by_lowest_cell(low, limits)
    cause: Cause = "low"
    if view.coldest is not None and view.warmest is not None:
        cold, hot = view.coldest.value, view.warmest.value
        factor = falling(cold, limits.discharge_cold + COLD_WIDTH, limits.discharge_cold)
        back = cold >= limits.discharge_cold + TEMPERATURE_BACK
        factor = latches.factor(key, "discharge", "cold", factor, back=back)
        if factor < found:
            found, cause = factor, "cold"
        factor = falling(hot, limits.discharge_hot - HOT_WIDTH, limits.discharge_hot)
        back = hot <= limits.discharge_hot - TEMPERATURE_BACK
        factor = latches.factor(key, "discharge", "hot", factor, back=back)
        if factor < found:
            found, cause = factor, "hot"
    factor = _mosfet(view, limits, latches)
    return Share(factor, "mosfet") if factor < found else FULL if found >= 1 else Share(found, cause)


def _mosfet(view: View, limits: CellLimits, latches: Latches) -> float:
    if view.mosfet is None:
        return 1.0
    factor = falling(view.mosfet, limits.mosfet - MOSFET_WIDTH, limits.mosfet)
    return latches.factor(view.key, "both", "mosfet", factor, back=view.mosfet <= limits.mosfet - MOSFET_BACK)


def cause(view: View, share: Share) -> str:
    """In words what makes a share, with pack and place."""
    if share.cause == "cell":
        return f"cell {view.high.label} at {view.high.value:.2f} V"
    if share.cause == "low":
        return f"cell {view.low.label} at {view.low.value:.2f} V"
    if share.cause == "mosfet":
        return f"MOSFETs of pack {view.label} at {view.mosfet:.0f} °C"
    if share.cause == "temperature":
        return f"temperature of pack {view.label} unknown"
    probe = view.coldest if share.cause == "cold" else view.warmest
    assert probe is not None
    return f"sensor {probe.label} at {probe.value:.1f} °C"


def rating(view: View, direction: Direction) -> float:
    """Current of a pack in A by its settings, else by its capacity; never by what the whole bank is allowed."""
    setting = _setting(view, direction)
    if setting is not None:
        return setting
    return UNKNOWN if view.capacity is None else C_RATE * view.capacity


def rated(view: View, direction: Direction) -> str:
    """In words what that current rests on."""
    setting = _setting(view, direction)
    if setting is not None:
        return f"over-current setting of pack {view.label}, {setting:g} A"
    if view.capacity is not None:
        return f"{C_RATE:g} C of pack {view.label}, whose settings are unknown"
    return f"neither settings nor capacity of pack {view.label} are known"


def _setting(view: View, direction: Direction) -> float | None:
    setting = view.pack.max_charge_current if direction == "charge" else view.pack.max_discharge_current
    return setting if setting is not None and 0 <= setting <= MOST else None
