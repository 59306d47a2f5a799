"""When a set goes out: each second by itself, or when the inverter asks for one. Pure.

Theory of operation. Dialects without a query send on a raster of a second. One with a query answers each, but not more
than once a second: a query that comes earlier waits, and several that wait get one set. A set that went out by itself
delays no answer, and an inverter whose seconds are a little shorter is still answered at once. While queries come,
nothing goes out by itself; when none came for ``PATIENCE`` the raster is taken up again, as an inverter that waits for
its battery would never ask. Times are monotonic, in s.
"""

from math import ceil, floor, inf
from typing import Final

from jkbms_addon.charging.cadence import PERIOD

PATIENCE: Final = 2.5  # s without a query; inverters ask each second
EARLY: Final = 0.05  # s by which a timer may ring too soon
AGAIN: Final = 0.2  # s between two frames of one id, at least
SLACK: Final = 0.2  # s by which a query may come before its second is over, once in a while


class Turns:
    """Tells the moment of the next set."""

    def __init__(self) -> None:
        self._asked, self._begun = -inf, -inf
        self._allowed = -inf
        self._waiting = False

    def asked(self, now: float) -> None:
        """The inverter asks for a set."""
        self._asked, self._waiting = now, True

    def begun(self, now: float) -> None:
        """A set begins."""
        if self._waiting:
            self._allowed = max(self._allowed + PERIOD, now + PERIOD - SLACK)
        self._begun, self._waiting = now, False

    @property
    def earliest(self) -> float:
        """Before this no value is told again: some inverters forbid it."""
        return self._begun + AGAIN

    def next(self, now: float) -> float:
        """The next full second, later when the inverter has asked lately."""
        due = floor(max(now, self._begun + EARLY)) + PERIOD
        return max(due, ceil(self._asked + PATIENCE)) if self._asked > -inf else due

    def answering(self, now: float) -> bool:
        """Whether a query is to be answered now."""
        return self._waiting and now >= self._allowed
