"""How much current all packs together bear in one direction. Pure.

Charging follows the weakest pack by its share, for a pack whose one cell is full takes its share all the same.
Discharging is the sum: one weak cell takes away its own pack's current and no more, and how unequally the packs
really share is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from jkbms_addon.bank.candidate import Key, View
from jkbms_addon.battery.alarms import Direction
from jkbms_addon.charging.derating import Share, cause, rated
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
    """A pack through which current may flow: its rating in A, the share of it that it bears now, its weight in Ah."""

    view: View
    rating: float
    share: Share
    weight: float

    def why(self, direction: Direction) -> str:
        """What makes its current what it is."""
        return rated(self.view, direction) if self.share.factor >= 1 else cause(self.view, self.share)


def borne(carriers: Sequence[Carrier]) -> dict[Key, float]:
    """What each pack bears by itself, in A."""
    return {one.view.key: one.rating * one.share.factor for one in carriers}


def together_charging(carriers: Sequence[Carrier]) -> tuple[Limit, float]:
    """What the bank may be charged with, and what it could be if no pack were hindered, in A."""
    total = sum([one.weight for one in carriers])
    narrowest, least, full = carriers[0], inf, inf
    for one in carriers:
        amps = MARGIN * one.rating * total / one.weight
        full = min(full, amps)
        amps *= one.share.factor
        if amps < least:
            narrowest, least = one, amps
    return Limit(least, narrowest.why("charge")), full


def together_discharging(carriers: Sequence[Carrier], shares: "Shares") -> Limit:
    """What the bank may be discharged with, in A."""
    total = sum([one.weight for one in carriers])
    amps, worst = 0.0, carriers[0]
    bound, bounding = inf, carriers[0]
    for one in carriers:
        amps += MARGIN * one.rating * one.share.factor
        if (one.share.factor, one.rating) < (worst.share.factor, worst.rating):
            worst = one
        share = shares.of(one.view.key, one.weight / total)
        if share > 0 and MEASURED * one.rating < bound * share:
            bound, bounding = MEASURED * one.rating / share, one
    if amps <= bound:
        return Limit(amps, worst.why("discharge"))
    share = shares.of(bounding.view.key, bounding.weight / total)
    label = bounding.view.label
    return Limit(bound, f"pack {label} carries {100 * share:.0f} %: {rated(bounding.view, 'discharge')}")


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
