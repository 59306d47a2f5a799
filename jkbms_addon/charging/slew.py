"""A current limit over time: it falls at once and rises slowly. Pure.

Theory of operation. One ``Slew`` holds the limit of one direction. Each step is given what is allowed now and moves
the limit towards it: down at once, up by ``rise`` A/s, and not at all while the data is too old (``frozen``). A step
counts for 2 s at most, so that whoever stood still does not catch up in one leap. ``stop`` puts the limit to 0, from
where it rises again. ``Departed`` stands before it for charging: when a pack leaves, the others get no more than was
allowed with it, for five minutes or until it is back, since nobody knows what it does; but a limit of 0 is never held,
or a bank whose only stopped pack left would stay stopped.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

from jkbms_addon.bank.candidate import Key

LONGEST_STEP: Final = 2.0  # s
NOTHING: Final = 0.05  # A below which a limit is sent as 0
FELL_OUT: Final = " fell out; before that: "


@dataclass(frozen=True, slots=True)
class Limit:
    """A current in A and the reason for it."""

    amps: float
    why: str


class Slew:
    """The limit of one direction, from ``start`` A on."""

    def __init__(self, start: float) -> None:
        self.amps, self._at = start, -inf

    def stop(self, now: float) -> None:
        """Nothing flows: the next limit rises from 0."""
        self.amps, self._at = 0.0, now

    def step(self, allowed: Limit, now: float, rise: float, *, frozen: bool) -> Limit:
        """The limit now, rising by ``rise`` A/s at most; ``frozen`` where the data lets nothing rise."""
        seconds = min(max(now - self._at, 0.0), LONGEST_STEP) if self._at > -inf else 0.0
        highest = self.amps if frozen else self.amps + rise * seconds
        self.amps, self._at = min(allowed.amps, highest), now
        if highest >= allowed.amps:
            return allowed
        why = "data is aging" if frozen else "rising"
        return Limit(self.amps, f"{why} (then {allowed.amps:.0f} A: {allowed.why})")


class Departed:
    """No more than before for ``hold`` s after a pack has left."""

    def __init__(self, hold: float) -> None:
        self._hold = hold
        self._before = Limit(inf, "")
        self._carried: frozenset[Key] = frozenset()
        self._missing: frozenset[Key] = frozenset()
        self._cap, self._until = Limit(inf, ""), -inf

    def step(self, allowed: Limit, packs: frozenset[Key], now: float) -> Limit:
        """The limit where ``packs`` carry the current now."""
        gone = self._carried - packs
        if gone:
            self._missing |= gone
            self._cap, self._until = self._before, now + self._hold
        self._missing -= packs
        if not self._missing or now >= self._until or self._cap.amps < NOTHING:
            self._missing, self._cap = frozenset(), Limit(inf, "")
        self._carried = packs
        self._before = min(allowed, self._capped(), key=_amps)
        return self._before

    def _capped(self) -> Limit:
        if FELL_OUT in self._cap.why or self._cap.amps == inf:
            return self._cap
        names = " and ".join(f"pack {address} of {bus}" for bus, address in sorted(self._missing))
        return Limit(self._cap.amps, f"{names}{FELL_OUT}{self._cap.why}")


def _amps(limit: Limit) -> float:
    return limit.amps
