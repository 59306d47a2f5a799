"""What the inverter may do now: the safety core. Pure.

``Limiter.step`` is called about once a second with the bank and a monotonic time in s. Principles of the
specification: permissive values only from fresh, complete data; charging is stopped by current 0 and the
enable bit, never by a voltage below the battery's; limits fall at once and rise slowly; before the first
data, and after its decision has expired, there is silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, inf
from typing import Any, Final

from jkbms_addon.bank.bank import BankState
from jkbms_addon.bank.candidate import Extreme, Key
from jkbms_addon.charging import faults
from jkbms_addon.charging.cell_limits import Bounds, bounds
from jkbms_addon.charging.decision import ALARMS, PROTECTIONS, Protection, Targets, Warn
from jkbms_addon.charging.derating import Latches, Limit
from jkbms_addon.charging.faults import Direction
from jkbms_addon.charging.phases import Charging, Seen
from jkbms_addon.charging.requests import Requests, Wanted
from jkbms_addon.charging.setpoints import Policy
from jkbms_addon.charging.sharing import allowed
from jkbms_addon.charging.slew import Flow

GOODBYES: Final = 3  # cycles with zero limits before the silence of a clean stop
NOTHING: Final = 0.05  # A below which a limit is sent as 0
HELD: Final = 60.0  # s that a silent battery may still be discharged
HELD_SOC: Final = 30.0  # %
TAIL: Final = 0.02  # A per Ah
ABSORPTION: Final = 1800.0  # s
RESOLUTION: Final = 10  # steps per V of the voltage limits on the wire
NO_CHARGE: Final[Mapping[str, Any]] = {
    "charge_current": 0.0,
    **dict.fromkeys(("charge_enabled", "force_charge_1", "force_charge_2", "full_charge_request"), False),
}
NO_DISCHARGE: Final[Mapping[str, Any]] = {"discharge_current": 0.0, "discharge_enabled": False}


class Limiter:
    """State of the path: limits over time, phase, and the last thing that was known."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._flows: dict[Direction, Flow] = {
            "charge": Flow(0.0, policy.charge_rise, policy.departed_hold),
            # a house must not go dark because the program was restarted
            "discharge": Flow(inf, policy.discharge_rise, policy.departed_hold),
        }
        self._latches, self._charging, self._requests = Latches(), Charging(policy.rebulk_drop), Requests(policy)
        self._bounds: dict[Key, Bounds] = {}
        self._last: Targets | None = None
        self._bank = BankState()
        self._silent_since: float | None = None
        self._goodbyes = 0

    def step(self, bank: BankState, now: float, *, enabled: bool = True) -> Targets | None:
        """What to send, or None for silence. Without ``enabled``: zero limits a few times, then silence."""
        targets = self._live(bank, now) if bank.counted else self._stale(now)
        if enabled:
            self._goodbyes = GOODBYES if targets else 0
            return targets
        self._flows["charge"].stop(now)
        if self.policy.grid_tied:
            self._flows["discharge"].stop(now)
        if targets is None or self._goodbyes == 0:
            return None
        self._goodbyes -= 1
        return self._goodbye(targets)

    # --- with data -------------------------------------------------------------------------------------

    def _live(self, bank: BankState, now: float) -> Targets:
        self._silent_since = None
        self._bounds.update((view.key, bounds(view, self.policy)) for view in bank.counted)
        filled = (self._charging.phase, self._phase(bank, now)) == ("absorption", "float")
        charge, discharge = self._flow("charge", bank, now), self._flow("discharge", bank, now)
        protections = _protections(bank)
        wanted = self._requests.step(
            _known(bank.state_of_charge), now, starving=self._starving(bank, protections), filled=filled
        )
        voltage, because = self._charge_voltage(bank)
        least = self._least()
        reasons = {
            "charge_voltage": because,
            "charge_current": self._worded("charge", charge),
            "discharge_current": self._worded("discharge", discharge),
            "discharge_voltage": f"discharge down to {least:.1f} V",
        }
        self._bank = bank
        self._last = Targets(
            charge_voltage=voltage,
            charge_current=charge.amps,
            discharge_current=discharge.amps,
            discharge_voltage=least,
            **self._flags(wanted),
            **_measured(bank),
            protections=protections,
            alarms=_alarms(bank),
            manufacturer=self.policy.manufacturer,
            valid_until=now + self.policy.valid_for,
            phase=self._charging.phase,
            reasons=reasons,
        )
        return self._last

    def _phase(self, bank: BankState, now: float) -> str:
        limits = [self._bounds[view.key] for view in bank.counted]
        floating = min(limit.floating for limit in limits)
        capacity = bank.full_charge_capacity
        seen = Seen(
            voltage=max(view.voltage / view.cells for view in bank.counted),
            charge=min(limit.charge for limit in limits),
            floating=floating,
            rebulk=min(floating - 0.03, *(limit.chemistry.rebulk for limit in limits)),
            state_of_charge=_known(bank.state_of_charge),
            current=_known(bank.current),
            tail=None if capacity is None else TAIL * capacity,
            absorption=self._absorption(bank),
            refill=self._last is not None and self._last.full_charge_request,
        )
        return self._charging.step(seen, now)

    def _absorption(self, bank: BankState) -> float:
        if self.policy.absorption_time is not None:
            return self.policy.absorption_time
        hours = [view.setting("cell_request_charge_voltage_time", 0.1, 25) for view in bank.counted]
        return min((3600 * hour for hour in hours if hour is not None), default=ABSORPTION)

    def _flow(self, direction: Direction, bank: BankState, now: float) -> Limit:
        found = allowed(bank, self._bounds, self.policy, direction, self._latches)
        if direction == "charge" and self._charging.resting and found.limit.amps > 0:
            rest = Limit(0, f"float, resting until {self._wished('floating'):.1f} V")
            found = replace(found, limit=rest)
        return self._flows[direction].step(found, now, frozen=bank.aging)

    def _worded(self, direction: Direction, limit: Limit) -> str:
        if self._flows[direction].allowed.amps < NOTHING:
            return f"{direction} stopped: {limit.why}"
        return f"{direction} limited to {round(limit.amps, 1):g} A: {limit.why}"

    def _flags(self, wanted: Wanted) -> dict[str, Any]:
        may = {direction: flow.allowed.amps >= NOTHING for direction, flow in self._flows.items()}
        return {
            "charge_enabled": may["charge"],
            "discharge_enabled": may["discharge"],
            "force_charge_1": may["charge"] and wanted.urgent,
            "force_charge_2": may["charge"] and wanted.soon,
            "full_charge_request": wanted.full,
        }

    def _starving(self, bank: BankState, protections: Sequence[Protection]) -> bool:
        empty = any(view.low.value <= self._bounds[view.key].bottom for view in bank.counted)
        return empty or "under_voltage" in protections

    def _wished(self, what: str) -> float:
        """The lowest wish of all packs ever counted in V: one that left may still be connected."""
        return min(limit.cells * float(getattr(limit, what)) for limit in self._bounds.values())

    def _least(self) -> float:
        return max(limit.cells * limit.least for limit in self._bounds.values())

    def _charge_voltage(self, bank: BankState) -> tuple[float, str]:
        phase = self._charging.phase
        wish = self._wished("floating" if phase == "float" else "charge")
        present = _upwards(max(view.voltage for view in bank.counted))
        if present > wish:
            return present, f"charge up to {present:.1f} V: {phase} at {wish:.1f} V, but never below the battery"
        return wish, f"charge up to {wish:.1f} V: {phase}"

    # --- without data, and at the end --------------------------------------------------------------------

    def _stale(self, now: float) -> Targets | None:
        if self._last is None:
            return None
        self._silent_since = now if self._silent_since is None else self._silent_since
        silent, after = now - self._silent_since, self.policy.stop_after
        self._flows["charge"].stop(now)
        held = self._holds(silent)
        if not held:
            self._flows["discharge"].stop(now)
        if after is not None and silent >= after:
            return None
        return self._last.model_copy(update=self._frozen(now, held=held))

    def _frozen(self, now: float, *, held: bool) -> dict[str, Any]:
        """What changes when nothing is heard any more; the measured values stand still."""
        assert self._last is not None
        present = _upwards(max(view.voltage for view in self._bank.counted))
        voltage = max(present, min(self._wished("highest"), self._wished("floating")))
        why = "no battery is heard"
        return {
            **NO_CHARGE,
            **({} if held else NO_DISCHARGE),
            "charge_voltage": voltage,
            "alarms": _ordered({*self._last.alarms, "internal_comm_fail"}),
            "valid_until": now + self.policy.valid_for,
            "reasons": {
                **self._last.reasons,
                "charge_voltage": f"charge up to {voltage:.1f} V: {why}",
                "charge_current": f"charge stopped: {why}",
                "discharge_current": f"discharge {'held' if held else 'stopped'}: {why}",
            },
        }

    def _holds(self, silent: float) -> bool:
        """Whether the battery was so far from empty and full that it may be discharged a little longer."""
        if self.policy.stale_discharge != "hold" or silent >= HELD:
            return False
        return _known(self._bank.state_of_charge) > HELD_SOC and all(
            self._bounds[view.key].chemistry.resting[0] <= view.low.value
            and view.high.value <= self._bounds[view.key].chemistry.resting[1]
            for view in self._bank.counted
        )

    def _goodbye(self, targets: Targets) -> Targets:
        """Zero limits; loads off the grid keep their battery."""
        why = "switched off"
        reasons = {**targets.reasons, "charge_current": f"charge stopped: {why}"}
        update = dict(NO_CHARGE)
        if self.policy.grid_tied:
            update |= NO_DISCHARGE
            reasons["discharge_current"] = f"discharge stopped: {why}"
        return targets.model_copy(update={**update, "reasons": reasons})


def _known(value: float | None) -> float:
    """A sum over counted packs, of which there is at least one."""
    assert value is not None
    return value


def _upwards(voltage: float) -> float:
    """The next voltage that the wire can say, never a lower one."""
    return ceil(round(voltage * RESOLUTION, 6)) / RESOLUTION


def _measured(bank: BankState) -> dict[str, Any]:
    return {
        "state_of_charge": bank.state_of_charge,
        "state_of_health": bank.state_of_health,
        "voltage": bank.total_voltage,
        "current": bank.current,
        "temperature": bank.temperature,
        "modules": bank.packs_online,
        "module_addresses": tuple(sorted({view.key[1] for view in bank.counted})),
        **_extreme("max_temperature", bank.max_temperature),
        **_extreme("min_temperature", bank.min_temperature),
        **_extreme("max_cell", bank.max_cell),
        **_extreme("min_cell", bank.min_cell),
    }


def _extreme(key: str, extreme: Extreme | None) -> dict[str, Any]:
    return {
        key if key.endswith("temperature") else f"{key}_voltage": extreme.value if extreme else None,
        f"{key}_number": extreme.code if extreme else None,
    }


def _protections(bank: BankState) -> tuple[Protection, ...]:
    """Only when no pack without a fault is left; one of several is a warning."""
    if not bank.faulty:
        return ()
    found = {name for view in bank.counted for name in faults.protections(view.alarms)}
    if any(view.faults for view in bank.counted):
        found.add("system_error")
    return tuple(name for name in PROTECTIONS if name in found)


def _alarms(bank: BankState) -> tuple[Warn, ...]:
    found = {name for view in bank.counted for name in faults.warnings(view.alarms)}
    for one in bank.excluded:
        found |= (faults.warnings(one.view.alarms) if one.view else set()) or {"internal_comm_fail"}
    return _ordered(found)


def _ordered(names: set[Warn]) -> tuple[Warn, ...]:
    return tuple(name for name in ALARMS if name in names)
