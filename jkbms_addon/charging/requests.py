"""What the battery asks of the inverter: to be charged before it dies, and to be filled now and then. Pure."""

from dataclasses import dataclass
from typing import Final

from jkbms_addon.charging.setpoints import Policy

RELEASE: Final = 3.0  # % of charge above its threshold at which a request ends
FULL: Final = 97.0  # % of charge that counts as filled
DAY: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The request bits; ``urgent`` is force charge 1 of the Pylontech paper, ``soon`` its number 2."""

    urgent: bool = False
    soon: bool = False
    full: bool = False


class Requests:
    """Requests with their hysteresis. ``filled_at`` is when the battery was last full, for who wants to keep it."""

    def __init__(self, policy: Policy) -> None:
        self._threshold = policy.force_charge_soc
        self._days = policy.full_charge_days
        self._urgent = self._soon = False
        self.filled_at: float | None = None

    def step(self, state_of_charge: float, now: float, *, starving: bool, filled: bool) -> Wanted:
        """Requests now; ``starving`` when a cell is empty, ``filled`` when charging came to its end."""
        if self.filled_at is None or filled or state_of_charge >= FULL:
            self.filled_at = now
        full = 0 < self._days <= (now - self.filled_at) / DAY
        if self._threshold is None:
            return Wanted(full=full)
        self._soon = state_of_charge <= self._threshold + (RELEASE if self._soon else 0)
        low = state_of_charge <= self._threshold / 2 + (RELEASE if self._urgent else 0)
        self._urgent = starving or low
        return Wanted(self._urgent, self._soon, full)
