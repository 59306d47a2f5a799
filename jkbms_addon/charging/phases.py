"""Bulk, absorption, float and back: in which phase of charging the battery is. Pure.

``bulk`` ends when the wanted voltage is reached, ``absorption`` after its time or when hardly any current
flows any more, ``float`` when the battery was used again. Times are seconds of one clock.
"""

from dataclasses import dataclass

from jkbms_addon.charging.decision import Phase

REACHED = 0.01  # V per cell below the wanted voltage that count as reached
TAIL = 0.02  # A per Ah below which a battery at its voltage is full
SUSTAINED = 60.0  # s that a condition must last
OVERSHOOT = 0.03  # V per cell above float at which charging rests again


@dataclass(frozen=True, slots=True)
class Seen:
    """What decides on the phase: V per cell, %, A and s.

    ``tail`` is the current of a full battery, ``absorption`` the time that phase takes at most, ``refill`` a
    wish for a full charge.
    """

    voltage: float
    charge: float
    floating: float
    rebulk: float
    state_of_charge: float
    current: float
    tail: float | None
    absorption: float = 1800.0
    refill: bool = False


class Charging:
    """The phase, and whether charging rests until the battery has relaxed to the float voltage."""

    def __init__(self, rebulk_drop: float = 15.0) -> None:
        self._rebulk_drop = rebulk_drop
        self.phase: Phase = "bulk"
        self.resting = False
        self._entered = 0.0
        self._floated_at = 100.0
        self._since: dict[str, float] = {}

    def step(self, seen: Seen, now: float) -> Phase:
        """The phase now."""
        following = {"bulk": self._bulk, "absorption": self._absorption, "float": self._float}[self.phase]
        phase = following(seen, now)
        if phase != self.phase:
            self._enter(phase, seen, now)
        self._rest(seen)
        return self.phase

    def _enter(self, phase: Phase, seen: Seen, now: float) -> None:
        self.phase, self._entered, self._since = phase, now, {}
        if phase == "float":
            self._floated_at, self.resting = seen.state_of_charge, seen.voltage > seen.floating

    def _bulk(self, seen: Seen, _now: float) -> Phase:
        return "absorption" if seen.voltage >= seen.charge - REACHED else "bulk"

    def _absorption(self, seen: Seen, now: float) -> Phase:
        if self._lasts("low", now, holds=seen.voltage <= seen.rebulk):
            return "bulk"
        at_rest = seen.tail is not None and 0 <= seen.current <= seen.tail and seen.voltage >= seen.charge - REACHED
        full = self._lasts("tail", now, holds=at_rest)
        return "float" if full or now - self._entered >= seen.absorption else "absorption"

    def _float(self, seen: Seen, now: float) -> Phase:
        low = self._lasts("low", now, holds=seen.voltage <= seen.rebulk)
        used = seen.state_of_charge <= self._floated_at - self._rebulk_drop
        return "bulk" if low or used or seen.refill else "float"

    def _lasts(self, what: str, now: float, *, holds: bool) -> bool:
        if not holds:
            self._since.pop(what, None)
            return False
        return now - self._since.setdefault(what, now) >= SUSTAINED

    def _rest(self, seen: Seen) -> None:
        """Charging is stopped by its current, since the voltage must never be set below the battery's."""
        if self.phase != "float" or seen.voltage <= seen.floating:
            self.resting = False
        elif seen.voltage > seen.floating + OVERSHOOT:
            self.resting = True
