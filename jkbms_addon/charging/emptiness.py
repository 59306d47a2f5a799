"""Which packs are empty: slowly, so that no kettle and no inrush makes them so, and slowly back. Pure.

Theory of operation. Each pack's lowest cell is smoothed over 10 s. A pack that lies below its ``empty`` for 10 s is
*empty*; it is *ready* again after 60 s in which it stood well above without load, or a little above after 2 % of its
capacity have been charged, net, since. Between is hysteresis: nothing changes. Where the owner named a voltage of the
whole battery, the mean of the cells counts against it in the same way. What is empty survives a restart.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from math import inf
from typing import Final

from jkbms_addon.bank.candidate import Key, View
from jkbms_addon.charging.cell_limits import CellLimits

SMOOTHED: Final = 10.0  # s
EMPTY_AFTER: Final = 10.0  # s
READY_AFTER: Final = 60.0  # s
RESTED: Final = 0.20  # V above empty, without load, at which a pack is ready
CHARGED: Final = 0.10  # V above empty, charged again, at which it is ready
LOAD: Final = 0.05  # A per Ah that count as no load
NET: Final = 0.02  # of its capacity that must have been charged
HOUR: Final = 3600.0


@dataclass(slots=True)
class _Pack:
    """What is remembered of one pack."""

    empty: bool = False
    lows: deque[tuple[float, float]] = field(default_factory=deque)
    total: float = 0.0
    low_since: float = inf
    ready_since: float = inf
    charged: float = 0.0  # Ah since it was empty


class Emptiness:
    """The packs that are empty, by bus and address; times are seconds of one clock."""

    def __init__(self, empty: Collection[Key] = ()) -> None:
        self._packs: dict[Key, _Pack] = {key: _Pack(empty=True) for key in empty}

    @property
    def empty(self) -> frozenset[Key]:
        """Packs that are empty."""
        return frozenset(key for key, pack in self._packs.items() if pack.empty)

    def is_empty(self, key: Key) -> bool:
        """Whether a pack is empty."""
        pack = self._packs.get(key)
        return pack is not None and pack.empty

    def step(self, view: View, limits: CellLimits, capacity: float, now: float, seconds: float) -> float:
        """The smoothed lowest cell of a pack in V, after it was judged; ``seconds`` since the last step."""
        pack = self._packs.get(view.key)
        if pack is None:
            pack = self._packs[view.key] = _Pack()
        if pack.lows and now - pack.lows[-1][0] > SMOOTHED:
            pack.lows.clear()
            pack.total, pack.low_since, pack.ready_since = 0.0, inf, inf  # nobody knows how it was meanwhile
        low = _smoothed(pack, _lowest(view, limits), now)
        if pack.empty:
            self._back(pack, view, low - limits.empty, capacity, now, seconds)
        elif low >= limits.empty:
            pack.low_since = inf
        else:
            pack.low_since = min(pack.low_since, now)
            if now - pack.low_since >= EMPTY_AFTER:
                pack.empty, pack.charged, pack.ready_since = True, 0.0, inf
        return low

    @staticmethod
    def _back(pack: _Pack, view: View, above: float, capacity: float, now: float, seconds: float) -> None:
        pack.charged = max(0.0, pack.charged + view.current * seconds / HOUR)
        rested = above >= RESTED and abs(view.current) < LOAD * capacity
        if rested or (above >= CHARGED and pack.charged >= NET * capacity):
            pack.ready_since = min(pack.ready_since, now)
            if now - pack.ready_since >= READY_AFTER:
                pack.empty, pack.low_since = False, inf
        else:
            pack.ready_since = inf


def _lowest(view: View, limits: CellLimits) -> float:
    """The lowest cell in V, or as deep as the mean of all lies above the owner's least voltage."""
    low = view.low.value
    if limits.least is None:
        return low
    return min(low, limits.empty + view.voltage / view.cells - limits.least)


def _smoothed(pack: _Pack, low: float, now: float) -> float:
    """Mean of the last 10 s."""
    lows = pack.lows
    lows.append((now, low))
    pack.total += low
    while now - lows[0][0] > SMOOTHED:
        pack.total -= lows.popleft()[1]
    if len(lows) == 1:
        pack.total = low  # rounding errors do not add up
    return pack.total / len(lows)
