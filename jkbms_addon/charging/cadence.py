"""Moments on a fixed raster of a clock, so that what is done at them never drifts. Pure."""

from math import floor, inf

PERIOD = 1.0  # s


class Cadence:
    """One moment each second, ``offset`` s after the full second; missed ones are left out."""

    def __init__(self, offset: float) -> None:
        self._offset, self.due = offset, -inf

    def next(self, now: float) -> float:
        """The moment after the last one, as soon as it lies in the future."""
        due = self.due + PERIOD
        self.due = due if due > now else floor(now - self._offset) + PERIOD + self._offset
        return self.due
