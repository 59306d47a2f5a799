"""For how long something has held without a break. Pure."""

from math import inf
from typing import Final

GAP: Final = 15.0  # s without a look after which nobody knows whether it held meanwhile


class Lasting:
    """Seconds since something began to hold; 0 while it does not."""

    def __init__(self) -> None:
        self._since, self._seen = inf, -inf

    def clear(self) -> None:
        """It does not hold."""
        self._since = inf

    def step(self, holds: bool, now: float) -> float:  # noqa: FBT001 - the only argument there could be
        """Seconds for which it has held at ``now``."""
        if not holds or now - self._seen > GAP:
            self._since = inf
        self._seen = now
        if not holds:
            return 0.0
        self._since = min(self._since, now)
        return now - self._since
