"""What the battery asks of the grid: nothing, unless the owner wants it. Pure."""

from dataclasses import dataclass
from typing import Final

from jkbms_addon.charging.setpoints import GridCharge

ENOUGH: Final = 0.05  # of its capacity that must have been charged until an emergency ends
HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """``now``: charge from the grid at once; ``full``: charge fully when it suits."""

    now: bool = False
    full: bool = False


class Requests:
    """The request for charge out of the grid, with its hysteresis in charged Ah."""

    def __init__(self) -> None:
        self._urgent = False
        self._charged = 0.0

    def step(
        self, grid: GridCharge, current: float, capacity: float, seconds: float, *, starving: bool, due: bool
    ) -> Wanted:
        """Requests now; ``starving`` where every pack is empty or hungry, ``due`` where a full charge is."""
        if starving:
            self._urgent, self._charged = True, 0.0
        elif self._urgent:
            self._charged = max(0.0, self._charged + current * seconds / HOUR)
            self._urgent = self._charged < ENOUGH * capacity
        if grid == "never":
            return Wanted()
        return Wanted(now=self._urgent, full=grid == "full" and due)
