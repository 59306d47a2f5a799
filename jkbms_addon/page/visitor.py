"""What one client may do: read, until it was unlocked for ten minutes. Pure.

The lock belongs to the connection and is gone with it; the switch *Writing* of MQTT is another one and not touched.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from jkbms_addon.page.gate import NOBODY

OPEN_FOR: Final = 600.0  # s
LOCKED: Final = "writing is locked in this page"


@dataclass(slots=True)
class Visitor:
    """Who looks, and until when he may write, in s of the clock."""

    name: str
    clock: Callable[[], float]
    _until: float = -inf

    @property
    def source(self) -> str:
        """How he stands in the audit."""
        return NOBODY if self.name == NOBODY else f"page {self.name}"

    @property
    def left(self) -> float:
        """Seconds for which he may write."""
        return max(0.0, self._until - self.clock())

    def unlocked(self) -> bool:
        """Whether he may write now."""
        return self.clock() < self._until

    def unlock(self) -> None:
        """From now on, for a while."""
        self._until = self.clock() + OPEN_FOR

    def lock(self) -> None:
        """Not any more; also when the connection is gone."""
        self._until = -inf
