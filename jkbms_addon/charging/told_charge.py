"""The state of charge that is told, for inverters that switch off by it and by nothing else. Pure.

Counters drift: a battery that shows 5 % may be half full, and one that shows 30 % empty. Where the owner has an
inverter that obeys only the charge, what is told follows the cells: hardly anything while every pack is empty, and
at least the floor once the lowest cell has rested high enough.
"""

from math import inf
from typing import Final

from jkbms_addon.charging.lasting import Lasting

EMPTY: Final = 1.0  # % told at most while all packs are empty
SINKING: Final = 2.0  # % told at least while the lowest cell is above its last mark
REST: Final = 0.02  # A per Ah that count as rest
RESTED_FOR: Final = 60.0  # s


class ToldCharge:
    """The charge in % that follows the cells; thresholds are V of the lowest cell."""

    def __init__(self) -> None:
        self._rested = Lasting()
        self._high = False

    def step(
        self,
        charge: float,
        low: float,
        thresholds: tuple[float, float, float],
        floor: float,
        now: float,
        *,
        resting: bool,
        empty: bool,
    ) -> tuple[float, str]:
        """What is told of ``charge`` %, and why it is something else; thresholds: rested, sunk, sinking."""
        rested, sunk, sinking = thresholds
        if self._rested.step(resting and low > rested, now) >= RESTED_FOR:
            self._high = True
        if low < sunk:
            self._high = False
        if empty:
            return min(charge, EMPTY), "all packs are empty" if charge > EMPTY else ""
        least = floor if self._high else SINKING if low > sinking else -inf
        if charge < least:
            return least, f"no cell is below {low:.2f} V"
        return charge, ""
