"""A current limit over time: it falls at once and rises slowly. Pure."""

from math import inf

from jkbms_addon.charging.derating import Limit
from jkbms_addon.charging.sharing import Allowed, Standing

FELL_OUT = " fell out; before that: "
LONGEST_STEP = 2.0  # s; whoever was away for longer must not catch up in one leap


class Flow:
    """The limit of one direction, from ``start`` A on; ``rise`` in A/s.

    A pack that falls silent, leaves or stops carrying current never raises the limit of the others: for
    ``hold`` seconds they get no more than was allowed with it, since nobody knows what it does.
    """

    def __init__(self, start: float, rise: float, hold: float) -> None:
        self.amps, self._at = start, -inf
        self._rise, self._hold = rise, hold
        self._before = Allowed(Limit(inf, ""), frozenset())
        self._missing = frozenset[Standing]()
        self._cap, self._cap_until = Limit(inf, ""), -inf

    def stop(self, now: float) -> None:
        """Nothing flows: the next limit rises from 0."""
        self.amps, self._at = 0.0, now

    def step(self, allowed: Allowed, now: float, *, frozen: bool) -> Limit:
        """The limit now; ``frozen`` where the data is too old to let anything rise."""
        limit = self._capped(allowed, now)
        self._before = Allowed(limit, allowed.packs)
        seconds = min(max(now - self._at, 0.0), LONGEST_STEP) if self._at > -inf else 0.0
        ceiling = self.amps if frozen else self.amps + self._rise * seconds
        self.amps, self._at = min(limit.amps, ceiling), now
        if ceiling < limit.amps:
            return Limit(self.amps, f"{'data is aging' if frozen else 'rising'} (then {limit.amps:.0f} A: {limit.why})")
        return limit

    @property
    def allowed(self) -> Limit:
        """What the last step would give if limits rose at once."""
        return self._before.limit

    def _capped(self, allowed: Allowed, now: float) -> Limit:
        gone = self._before.packs - allowed.packs
        if gone:
            self._cap, self._cap_until = self._before.limit, now + self._hold
        self._missing = (self._missing | gone) - allowed.packs
        if not self._missing or now >= self._cap_until:
            self._missing, self._cap = frozenset(), Limit(inf, "")
        if self._cap.amps < allowed.limit.amps:
            why = self._cap.why if FELL_OUT in self._cap.why else f"{self._names()}{FELL_OUT}{self._cap.why}"
            return Limit(self._cap.amps, why)
        return allowed.limit

    def _names(self) -> str:
        return " and ".join(f"pack {address} of {bus}" for bus, address in sorted({key for key, _ in self._missing}))
