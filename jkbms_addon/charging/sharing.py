"""How much current all packs together bear in one direction. Pure.

Charging follows the weakest pack by its share, for a pack whose one cell is full takes its share all the same.
Discharging is the sum: one weak cell takes away its own pack's current and no more, and how unequally the packs
really share is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jkbms_addon.bank.candidate import Key, View
from jkbms_addon.charging.derating import Rating, Share, cause
from jkbms_addon.charging.slew import Limit

MARGIN: Final = 0.9  # of the packs' limits, because currents are never shared ideally
MEASURED: Final = 0.95  # of a pack's limit, where its share is measured
MEAN: Final = 60.0  # s over which shares are measured
LOADED: Final = 0.1  # A per Ah from which on they are
UNKNOWN_CAPACITY: Final = 50.0  # Ah, a small pack: every threshold is a share of the capacity


def capacity_of(view: View) -> float:
    """Ah of a pack, a small one where it does not say."""
    return view.capacity or UNKNOWN_CAPACITY


@dataclass(frozen=True, slots=True)
class Carrier:
    """A pack through which current may flow: its full rating, the share of it that it bears now, its weight in Ah."""

    view: View
    rating: Rating
    share: Share
    capacity: float

    @property
    def limit(self) -> Limit:
        """What it bears now."""
        why = self.rating.why if self.share.factor >= 1 else cause(self.view, self.share)
        return Limit(self.rating.amps * self.share.factor, why)


def together_charging(carriers: Sequence[Carrier]) -> tuple[Limit, float]:
    """What the bank may be charged with, and what it could be if no pack were hindered, in A."""
    total = sum(one.capacity for one in carriers)
    narrowest, full = carriers[0], float("inf")
    least = float("inf")
    for one in carriers:
        scale = MARGIN * total / one.capacity
        full = min(full, scale * one.rating.amps)
        amps = scale * one.rating.amps * one.share.factor
        if amps < least:
            narrowest, least = one, amps
    return Limit(least, narrowest.limit.why), full


def together_discharging(carriers: Sequence[Carrier], shares: "Shares") -> Limit:
    """What the bank may be discharged with, in A."""
    total = sum(one.capacity for one in carriers)
    amps = [one.rating.amps * one.share.factor for one in carriers]
    hindered = [one for one in carriers if one.share.factor < 1]
    worst = min(hindered, key=_factor) if hindered else min(carriers, key=_rated)
    found = Limit(MARGIN * sum(amps), worst.limit.why)
    for one in carriers:
        share = shares.of(one.view.key, one.capacity / total)
        bound = MEASURED * one.rating.amps / share if share > 0 else float("inf")
        if bound < found.amps:
            found = Limit(bound, f"pack {one.view.label} carries {100 * share:.0f} %: {one.rating.why}")
    return found


def _factor(carrier: Carrier) -> float:
    return carrier.share.factor


def _rated(carrier: Carrier) -> float:
    return carrier.rating.amps


class Shares:
    """Which part of the discharge current each pack carries, measured while there is enough of it."""

    def __init__(self) -> None:
        self._mean: dict[Key, float] = {}

    def step(self, views: Sequence[View], current: float, capacity: float, seconds: float) -> None:
        """Take in the currents of the packs that carry; ``current`` is that of the bank, in A."""
        if not current < -LOADED * capacity:
            return
        weight = min(1.0, seconds / MEAN)
        for view in views:
            known = self._mean.get(view.key, capacity_of(view) / capacity)
            self._mean[view.key] = known + weight * (max(0.0, view.current / current) - known)

    def of(self, key: Key, expected: float) -> float:
        """Measured share of a pack, ``expected`` before it was measured."""
        return self._mean.get(key, expected)
