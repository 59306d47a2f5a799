"""When no battery is heard any more: nothing is charged, and the house stays lit for a while. Pure.

Theory of operation. From the first step without data on charging is 0 and the voltage at most that of float, since an
MPPT goes on blindly. Discharging goes on with the last limit, but at most 0.3 C, if the battery was far enough from
empty when it was last heard; after ``hold`` s it is 0, too, or nothing at all is told. A battery whose last word was
"empty" has switched itself off and can never be heard again without charge: then, and only on the owner's word, it gets
5 A for ten minutes, if it was warm enough; also after a restart, where what was heard before is remembered, and also
where otherwise nothing at all would be told.
"""

from dataclasses import replace
from math import inf
from typing import Final

from jkbms_addon.charging.decision import Decision
from jkbms_addon.charging.requests import Wanted
from jkbms_addon.charging.setpoints import Setpoints

WHY: Final = "no battery is heard"
MOST: Final = 0.3  # A per Ah that may be discharged blindly
CHARGED_BY: Final = 0.2  # V per cell that 1 C of charge lifts a cell
LEAST_CHARGE: Final = 20.0  # %
WAKE_CURRENT: Final = 5.0  # A
WAKE_FOR: Final = 600.0  # s
WAKE_ABOVE: Final = 5.0  # °C
ASLEEP: Final = "empty and asleep: the batteries have switched themselves off; press Wake up"


class Silence:
    """Since when nothing is heard, and until when an empty battery is woken; times are monotonic s."""

    def __init__(self) -> None:
        self._since = inf
        self._awake_until = -inf

    def over(self) -> None:
        """A battery is heard."""
        self._since, self._awake_until = inf, -inf

    def waking(self, now: float) -> bool:
        """Whether an empty battery is being woken."""
        return now < self._awake_until

    def wake(self, last: Decision | None, setpoints: Setpoints, now: float) -> str:
        """Charge blindly for ten minutes; why not, empty where it may."""
        if last is None or self._since == inf:
            return "batteries are heard" if last else "no battery was ever heard"
        if not last.facts.asleep:
            return "the battery was not empty when it was last heard"
        if not setpoints.charging:
            return "switch Charging is off"
        if not waking_current(setpoints):
            return "the owner allows no current of charge"
        _, _, coldest = last.heard
        if coldest is None or coldest < WAKE_ABOVE:
            return f"its last temperature was {'unknown' if coldest is None else f'below {WAKE_ABOVE:.0f} °C'}"
        self._awake_until = now + WAKE_FOR
        return ""

    def step(self, last: Decision, setpoints: Setpoints, rested: float, floating: float, now: float) -> Decision | None:
        """What is told now, None for nothing; ``rested`` in V of the lowest cell, ``floating`` in V of the bank."""
        self._since = min(self._since, now)
        silent = now - self._since
        waking = self.waking(now) and setpoints.charging
        if setpoints.stop_after is not None and silent >= setpoints.stop_after and not waking:
            return None
        amps = blind(last, setpoints, rested) if silent < setpoints.hold else 0.0
        charged = waking_current(setpoints) if waking else 0.0
        voltage = min(last.charge_voltage, floating)
        held = f"held: {WHY}" if amps else f"stopped: {WHY}"
        return replace(
            last,
            charge_voltage=voltage,
            charge_current=charged,
            charge_enabled=charged > 0,
            discharge_current=amps,
            discharge_enabled=amps > 0,
            wanted=Wanted(),
            lost=True,
            valid_until=now + setpoints.valid_for,
            facts=replace(last.facts, findings=(ASLEEP,)) if last.facts.asleep else last.facts,
            reasons={
                **last.reasons,
                "charge_voltage": f"charge up to {voltage:.1f} V: {WHY}",
                "charge_current": f"charge limited to {charged:g} A: waking up" if waking else f"charge stopped: {WHY}",
                "discharge_current": f"discharge {held}",
            },
        )


def waking_current(setpoints: Setpoints) -> float:
    """A with which an empty battery is woken."""
    return _within(WAKE_CURRENT, setpoints.max_charge_current)


def blind(last: Decision, setpoints: Setpoints, rested: float) -> float:
    """A that may be discharged without any data; ``rested`` in V of the lowest cell."""
    if not setpoints.discharging or setpoints.require_all or last.facts.asleep:
        return 0.0
    return _within(min(last.discharge_current, _bearable(last, rested)), setpoints.max_discharge_current)


def _bearable(last: Decision, rested: float) -> float:
    """A that the battery bears blindly, as far from empty as it was."""
    bank = last.bank
    capacity = bank.full_charge_capacity
    if capacity is None or last.bank.min_cell is None or (bank.state_of_charge or 0.0) < LEAST_CHARGE:
        return 0.0
    lifted = CHARGED_BY * max(0.0, bank.current or 0.0) / capacity
    return MOST * capacity if last.bank.min_cell.value - lifted >= rested else 0.0


def _within(amps: float, most: float | None) -> float:
    """A current within what the owner allows now."""
    return amps if most is None else min(amps, most)
