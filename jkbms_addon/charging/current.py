"""The two current limits of the bank: what the packs bear together, within what the owner allows. Pure.

Each direction by itself: who may carry it, what each of them bears, what they bear together, what bounds that, and
how fast the limit may move there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from jkbms_addon.bank.bank import BankState, weights
from jkbms_addon.bank.candidate import Key, View
from jkbms_addon.battery.alarms import Direction, alarm_of, halting
from jkbms_addon.charging import derating
from jkbms_addon.charging.cell_limits import CellLimits
from jkbms_addon.charging.derating import Latches
from jkbms_addon.charging.emptiness import Emptiness
from jkbms_addon.charging.phases import LIMITED_BAND, Phase
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.charging.sharing import Carrier, Shares, borne, capacity_of, together_charging, together_discharging
from jkbms_addon.charging.slew import Departed, Limit, Slew
from jkbms_addon.charging.trim import Battery

NEAR: Final = 0.03  # V per cell below the charge voltage from which on charging is slowed
TAIL: Final = 0.05  # of the current at the charge voltage
OVER: Final = 0.05  # V of the bank above the ceiling at which charging ends
BACK: Final = 0.3  # V of the bank below the ceiling at which it begins again
PAUSE: Final = 60.0  # s that it ends for at least
FLOAT_CURRENT: Final = (5.0, 0.05)  # A, and A per Ah: the larger
LIMITED_CURRENT: Final = (5.0, 0.02)
BALANCE_CURRENT: Final = 0.05  # A per Ah
FLOAT_FULL: Final = 0.005  # V per cell above what is told up to which float gives all of its current
FLOAT_ZERO: Final = 0.03  # ... and above which it gives none
FLOAT_BACK: Final = 0.01  # ... until it is back here
FLOAT_TAIL: Final = 0.10
SUM_IN: Final = 60.0  # s in which charging may rise to its full sum


@dataclass(frozen=True, slots=True)
class Permitted:
    """What the currents are made from; ``charge`` in V per cell, ``sent`` the voltage told last, in V of the bank."""

    bank: BankState
    limits: Mapping[Key, CellLimits]
    charge: float
    phase: Phase
    sent: float
    state_of_charge: float


class Currents:
    """The limits over time; ``allowed`` is what they would be if they rose at once.

    ``bears`` is what each pack that counts contributes at most in a direction, in A; it is only shown.
    """

    def __init__(self, setpoints: Setpoints, empty: frozenset[Key] = frozenset()) -> None:
        self.setpoints = setpoints
        self.emptiness = Emptiness(empty)
        self.allowed: dict[Direction, Limit] = {"charge": Limit(0.0, ""), "discharge": Limit(0.0, "")}
        self.bears: dict[Direction, dict[Key, float]] = {"charge": {}, "discharge": {}}
        self._charge, self._discharge = Slew(0.0), Slew(inf)
        self._departed = Departed(setpoints.departed_hold)
        self._latches, self._shares = Latches(), Shares()
        self._over_until, self._floating = -inf, False
        self._over = False

    def stop(self, now: float, *, discharge: bool) -> None:
        """Charging rises from 0 again, and discharging where that is wanted."""
        self._charge.stop(now)
        if discharge:
            self._discharge.stop(now)

    def risen(self) -> None:
        """Let every limit have risen to what is allowed; only for a look ahead."""
        self._charge.amps = self._discharge.amps = inf

    def all_empty(self, bank: BankState) -> bool:
        """Whether no pack can discharge because it is empty."""
        return all(not view.may_discharge or self.emptiness.is_empty(view.key) for view in bank.counted) and any(
            self.emptiness.is_empty(view.key) or _under_voltage(view) for view in bank.counted
        )

    def usable(self, bank: BankState) -> int:
        """How many packs can discharge."""
        return sum(view.may_discharge and not self.emptiness.is_empty(view.key) for view in bank.counted)

    def step(
        self, now_is: Permitted, battery: Battery, now: float, seconds: float, *, starting: bool
    ) -> tuple[Limit, Limit]:
        """The limits of charging and discharging; while ``starting`` discharging need not rise slowly."""
        lows = {
            view.key: self.emptiness.step(view, now_is.limits[view.key], capacity_of(view), now, seconds)
            for view in now_is.bank.counted
        }
        self.bears = {"charge": {}, "discharge": {}}
        charge, full = self._charging(now_is, battery, now)
        discharge = self._discharging(now_is, battery, lows, seconds)
        self.allowed = {"charge": charge, "discharge": discharge}
        frozen = now_is.bank.aging
        rise = min(self.setpoints.charge_rise, max(full / SUM_IN, 0.1))
        if starting and not frozen and self._discharge.amps > 0:
            self._discharge = Slew(inf)
        return (
            self._charge.step(charge, now, rise, frozen=frozen),
            self._discharge.step(discharge, now, self.setpoints.discharge_rise, frozen=frozen),
        )

    # --- charging -----------------------------------------------------------------------------------------

    def _charging(self, now_is: Permitted, battery: Battery, now: float) -> tuple[Limit, float]:
        """What may be charged, and what could be if nothing hindered."""
        bank = now_is.bank
        views = [view for view in bank.counted if view.may_charge]
        stopped = self._forbidden("charge", bank) or self._full_cell(bank, now_is.limits)
        if not views:
            return Limit(0.0, _nobody(bank, "charge")), 0.0
        carriers = [
            Carrier(
                view,
                derating.rating(view, "charge"),
                derating.charging(view, now_is.limits[view.key], self._latches),
                weight,
            )
            for view, weight in weights(views)
        ]
        if not stopped:
            self.bears["charge"] = borne(carriers)
        together, full = together_charging(carriers)
        held = self._departed.step(together, frozenset(view.key for view in views), now)
        found = [held, *self._by_voltage(now_is, battery, full, now), *self._by_phase(now_is, battery)]
        if self.setpoints.max_charge_current is not None:
            found.append(Limit(self.setpoints.max_charge_current, "charge current of the owner"))
        if stopped:
            found.append(stopped)
        return min(found, key=_amps), full

    def _by_voltage(self, now_is: Permitted, battery: Battery, full: float, now: float) -> list[Limit]:
        """All of it shortly below the charge voltage, the tail at it, nothing above the ceiling."""
        ceiling = now_is.charge * battery.cells
        if battery.voltage > ceiling + OVER:
            self._over, self._over_until = True, now + PAUSE
        elif self._over and battery.voltage < ceiling - BACK and now >= self._over_until:
            self._over = False
        why = f"battery at {battery.voltage:.1f} V"
        if self._over:
            return [Limit(0.0, why)]
        cell = battery.voltage / battery.cells
        share = derating.falling(cell, now_is.charge - NEAR, now_is.charge)
        share = TAIL + (1 - TAIL) * share
        return [Limit(full * share, why)] if share < 1 else []

    def _by_phase(self, now_is: Permitted, battery: Battery) -> list[Limit]:
        phase, capacity = now_is.phase, battery.capacity
        if phase == "balance":
            return [Limit(BALANCE_CURRENT * capacity, "balancing")]
        if phase == "limited":
            limit = self.setpoints.limit
            if now_is.state_of_charge >= limit - LIMITED_BAND:
                return [Limit(0.0, f"{now_is.state_of_charge:.0f} % of the {limit:.0f} % that the owner wants")]
            return [Limit(max(LIMITED_CURRENT[0], LIMITED_CURRENT[1] * capacity), f"near the limit of {limit:.0f} %")]
        if phase == "float":
            return [self._floating_current(now_is, battery)]
        self._floating = False
        return []

    def _floating_current(self, now_is: Permitted, battery: Battery) -> Limit:
        most = max(FLOAT_CURRENT[0], FLOAT_CURRENT[1] * battery.capacity)
        above = (battery.voltage - min(now_is.sent, now_is.charge * battery.cells)) / battery.cells
        if above >= FLOAT_ZERO:
            self._floating = True
        elif above <= FLOAT_BACK:
            self._floating = False
        if self._floating:
            return Limit(0.0, f"float, resting from {battery.voltage:.1f} V")
        share = derating.falling(above, FLOAT_FULL, FLOAT_ZERO)
        return Limit(most * (FLOAT_TAIL + (1 - FLOAT_TAIL) * share), "float")

    def _full_cell(self, bank: BankState, limits: Mapping[Key, CellLimits]) -> Limit | None:
        """A full cell that is heard stops charging, even in a pack that does not count: its MOSFET may be stuck."""
        stop = min(one.stop for one in limits.values())
        for one in bank.excluded:
            view = one.view
            if view is not None and view.charge_closed and view.high.value >= stop:
                return Limit(0.0, f"cell {view.high.label} at {view.high.value:.2f} V")
        return None

    # --- discharging --------------------------------------------------------------------------------------

    def _discharging(self, now_is: Permitted, battery: Battery, lows: Mapping[Key, float], seconds: float) -> Limit:
        bank = now_is.bank
        closed = [view for view in bank.counted if view.discharge_closed]
        self._shares.step(closed, battery.current, battery.capacity, seconds)
        views = [view for view in bank.counted if view.may_discharge and not self.emptiness.is_empty(view.key)]
        if not views:
            return Limit(0.0, self._nobody_discharges(bank))
        carriers = [
            Carrier(
                view,
                derating.rating(view, "discharge"),
                derating.discharging(view, now_is.limits[view.key], lows[view.key], self._latches),
                weight,
            )
            for view, weight in weights(views)
        ]
        found = [together_discharging(carriers, self._shares)]
        if self.setpoints.max_discharge_current is not None:
            found.append(Limit(self.setpoints.max_discharge_current, "discharge current of the owner"))
        if stopped := self._forbidden("discharge", bank):
            found.append(stopped)
        else:
            self.bears["discharge"] = borne(carriers)
        return min(found, key=_amps)

    def _nobody_discharges(self, bank: BankState) -> str:
        if self.all_empty(bank):
            lowest = min((view.low for view in bank.counted), key=lambda low: low.value)
            return f"every pack is empty, cell {lowest.label} at {lowest.value:.2f} V"
        return _nobody(bank, "discharge")

    def _forbidden(self, direction: Direction, bank: BankState) -> Limit | None:
        """What the owner does not want at all."""
        wanted = self.setpoints.charging if direction == "charge" else self.setpoints.discharging
        if not wanted:
            return Limit(0.0, f"switch {'Charging' if direction == 'charge' else 'Discharging'} is off")
        if self.setpoints.require_all and len(bank.counted) < bank.expected:
            return Limit(0.0, f"{len(bank.counted)} of {bank.expected} packs, and all are required")
        return None


def _amps(limit: Limit) -> float:
    return limit.amps


def _under_voltage(view: View) -> bool:
    return any(alarm_of(name).trouble == "under_voltage" for name in halting(view.alarms, "discharge"))


def _nobody(bank: BankState, direction: Direction) -> str:
    return ", ".join(filter(None, (view.hindered(direction) for view in bank.counted)))
