"""For how long something has held without a break. Pure."""

from math import inf


class Lasting:
    """Seconds since something began to hold; 0 while it does not."""

    def __init__(self) -> None:
        self._since = inf

    def clear(self) -> None:
        """It does not hold."""
        self._since = inf

    def step(self, holds: bool, now: float) -> float:  # noqa: FBT001 - the only argument there could be
        """Seconds for which it has held at ``now``."""
        if not holds:
            self._since = inf
            return 0.0
        self._since = min(self._since, now)
        return now - self._since
