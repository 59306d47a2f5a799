"""What may be charged and discharged now: the safety core. Pure.

``Controller.step`` is called about once a second with the bank and the time. Three rules stand above all: the
owner's voltage is a ceiling; a direction stops only where that direction is the trouble; a dark house is a fault,
too. Permissive values come only from fresh, complete data; charging falls to 0 on any doubt, discharging only when
no pack can discharge, or a stated time after the last data. Before the first data, and when a decision has expired,
there is silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import floor, inf
from typing import Final, Literal

from jkbms_addon.bank.bank import BankState
from jkbms_addon.bank.candidate import Key, View
from jkbms_addon.battery.chemistry import Name
from jkbms_addon.charging.cell_limits import CellLimits, CellLimitsOf
from jkbms_addon.charging.chemistry import LFP
from jkbms_addon.charging.current import Currents, Permitted
from jkbms_addon.charging.memory import WEEK, Memory, finite, infinite, keys, name
from jkbms_addon.charging.phases import BALANCED, DAY, Aims, Phase, Phases, Seen
from jkbms_addon.charging.requests import Requests, Wanted
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.charging.sharing import capacity_of
from jkbms_addon.charging.silence import Silence
from jkbms_addon.charging.slew import NOTHING, Limit
from jkbms_addon.charging.told_charge import REST, ToldCharge
from jkbms_addon.charging.trim import Battery, Brake, FloatTrim, Trim

GOODBYES: Final = 3  # cycles without charge before the silence of a clean stop
WAIT: Final = 15.0  # s at the start for every expected pack
LONGEST: Final = 10.0  # s that a step may count for; whoever stood still must not catch up in one leap
RESOLUTION: Final = 10  # steps per V of the voltage on the wire
SEEN_EVERY: Final = 3600.0  # s between two notes that a pack is there
UNBALANCED_DAYS: Final = 3
NEARLY: Final = 0.05  # V above empty at which a battery that falls silent has switched itself off

Switch = Literal["wake", "full", "balance"]
__all__ = ["Controller", "Decision", "Facts", "Limit", "Phase"]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is worth showing beside the limits; s, V, ``last_full`` in s since 1970."""

    last_full: float | None = None
    days_since_full: float | None = None
    absorbed: float = 0.0
    learned: float = 0.0
    trim: float = 0.0  # V by which the voltage is told lower than the phase wants
    may_charge: int = 0
    may_discharge: int = 0
    empty: tuple[str, ...] = ()
    chemistry: Name = LFP.name
    charge_voltage: float = 0.0  # V per cell, after all bounds
    float_voltage: float = 0.0
    empty_voltage: float = 0.0
    findings: tuple[str, ...] = ()
    asleep: bool = False  # empty, and switched off by itself


@dataclass(frozen=True, slots=True)
class Decision:
    """What is allowed, until when, and why; V, A, %. ``bank`` is what it rests on, ``lost`` where that is over."""

    charge_voltage: float
    charge_current: float
    discharge_current: float
    discharge_voltage: float
    charge_enabled: bool
    discharge_enabled: bool
    state_of_charge: float
    wanted: Wanted
    phase: Phase
    reasons: Mapping[str, str]
    bank: BankState
    valid_until: float
    lost: bool = False
    facts: Facts = field(default_factory=Facts)

    def expired(self, now: float) -> bool:
        """Whether it is too old to be told."""
        return not now < self.valid_until


@dataclass(frozen=True, slots=True)
class _Together:
    """The bank in numbers: V of the packs whose charge MOSFET is closed, their highest cell and worst spread."""

    voltage: float
    hot: float
    hottest: View
    spread: float
    low: float
    current: float
    capacity: float
    state_of_charge: float
    cells: int

    @property
    def battery(self) -> Battery:
        return Battery(self.voltage, self.hot, self.current, self.capacity, self.cells)


class Controller:
    """State of the charge control: limits over time, phase, corrections, and the last thing that was known."""

    def __init__(
        self, setpoints: Setpoints, memory: Memory | None = None, expected: frozenset[Key] = frozenset()
    ) -> None:
        memory = memory or Memory()
        self._setpoints, self._memory, self._named = setpoints, memory, expected
        self._limits_of = CellLimitsOf(setpoints)
        self._phases = Phases(memory.progress())
        self._trim = Trim(infinite(memory.trim))
        self._float_trim, self._brake = FloatTrim(memory.float_trim), Brake(infinite(memory.brake))
        self._currents = Currents(setpoints, frozenset(keys(memory.empty)))
        self._requests, self._told, self._silence = Requests(), ToldCharge(), Silence()
        self._seen = dict(memory.seen)
        self._sent = infinite(memory.sent)
        self._last: Decision | None = None
        self._begun: float | None = None
        self._waiting = True
        self._before = -inf
        self._goodbyes = 0
        self._shown = Facts()

    # --- what the owner does --------------------------------------------------------------------------------

    @property
    def setpoints(self) -> Setpoints:
        """What the owner allows."""
        return self._setpoints

    def allow(self, setpoints: Setpoints) -> None:
        """The owner has changed what is allowed."""
        self._setpoints = setpoints
        self._limits_of = self._limits_of.under(setpoints)
        self._currents.setpoints = setpoints

    def ask(self, what: Literal["full", "balance"]) -> None:
        """Charge fully, or balance, now."""
        self._phases.ask(what)

    def wake(self, now: float) -> str:
        """Let an empty battery that sleeps be charged blindly for a while; why not, empty if it may."""
        return self._silence.wake(self._last, now)

    def events(self) -> list[str]:
        """What happened since this was asked last, in words."""
        found, self._phases.events = self._phases.events, []
        return found

    def memory(self) -> Memory:
        """What has to survive a restart."""
        progress = self._phases.progress
        return Memory(
            phase=progress.phase,
            clock=round(progress.clock),
            at_voltage=round(progress.at_voltage),
            highest=progress.highest,
            ramp=finite(progress.ramp),
            learned=round(progress.learned, 3),
            doubtful=progress.doubtful,
            last_full=progress.last_full,
            counted_from=progress.counted_from,
            tried=progress.tried,
            unbalanced=tuple(progress.unbalanced),
            unlimited=progress.unlimited,
            trim=finite(self._trim.value),
            float_trim=round(self._float_trim.value, 3),
            brake=finite(self._brake.value),
            sent=finite(self._sent),
            empty=tuple(sorted(map(name, self._currents.emptiness.empty))),
            seen=self._seen,
        )

    # --- step by step ---------------------------------------------------------------------------------------

    def step(self, bank: BankState, now: float, wall: float, *, enabled: bool = True) -> Decision | None:
        """What to tell, or None for silence. Without ``enabled``: no charge a few times, then silence."""
        seconds = min(max(now - self._before, 0.0), LONGEST) if self._before > -inf else 0.0
        self._before = now
        self._begun = now if self._begun is None else self._begun
        self._notice(bank, wall)
        decision = self._live(bank, now, wall, seconds) if bank.counted else self._without(now)
        if decision is None or self._waits(bank, now, wall):
            return None
        if enabled:
            self._goodbyes = GOODBYES
            return decision
        self._currents.stop(now, discharge=self._setpoints.grid_tied)
        if self._goodbyes == 0:
            return None
        self._goodbyes -= 1
        return self._goodbye(decision)

    def _notice(self, bank: BankState, wall: float) -> None:
        for view in bank.counted:
            if not 0 <= wall - self._seen.get(name(view.key), -inf) < SEEN_EVERY:
                self._seen[name(view.key)] = wall
        for old in [one for one, at in self._seen.items() if wall - at > WEEK]:
            del self._seen[old]

    def _waits(self, bank: BankState, now: float, wall: float) -> bool:
        """Whether packs that must be there have not been heard yet; only at the start, and not for long."""
        assert self._begun is not None
        if self._waiting:
            expected = self._named or self._memory.expected(wall)
            heard = {view.key for view in bank.heard}
            self._waiting = not expected <= heard and now - self._begun < WAIT
        return self._waiting

    # --- with data ------------------------------------------------------------------------------------------

    def _live(self, bank: BankState, now: float, wall: float, seconds: float) -> Decision:
        self._silence.over()
        limits = {view.key: self._limits_of(view) for view in bank.counted}
        ever = self._limits_of.ever()
        together = _together(bank)
        narrowest = min(ever, key=lambda one: one.cells * one.charge)
        aims = self._aims(ever)
        wanted = self._phases.step(self._seen_by(together, aims), aims, now, wall, seconds)
        charge = aims.balance if self._phases.phase == "balance" else aims.charge
        battery = together.battery
        trim = self._trim.step(battery, charge, aims.floating, seconds)
        if self._phases.phase == "float" and wanted <= aims.floating * aims.cells:
            self._float_trim.step(battery, min(one.floating for one in ever), seconds)
        starting = self._begun is not None and now - self._begun <= WAIT
        situation = Permitted(bank, limits, charge, self._phases.phase, self._sent, together.state_of_charge)
        charging, discharging = self._currents.step(situation, battery, now, seconds, starting=starting)
        stopped = self._currents.allowed["charge"].amps < NOTHING
        brake = self._brake.step(battery, narrowest.chemistry.tapering, now, seconds, stopped=stopped)
        self._sent = _downwards(min(wanted, trim, brake))
        told = _downwards(min(wanted, trim, brake) + self._setpoints.offset)
        why = self._voltage_reason(told, (wanted, trim, brake), narrowest, together)
        return self._decided(bank, limits, together, (told, why), charging, discharging, now, wall, seconds)

    def _aims(self, ever: list[CellLimits]) -> Aims:
        cells = min(one.cells for one in ever)
        per_cell = 1 / cells
        charge = min(one.cells * one.charge for one in ever) * per_cell
        floating = min(one.cells * one.floating for one in ever) * per_cell + self._float_trim.value * per_cell
        return Aims(
            charge=charge,
            floating=min(floating, charge),
            balance=min(one.cells * one.balance for one in ever) * per_cell,
            rebulk=min(one.chemistry.rebulk for one in ever),
            cells=cells,
            limit=self._setpoints.limit,
            drop=self._setpoints.drop,
            days=self._setpoints.days,
        )

    def _seen_by(self, together: _Together, aims: Aims) -> Seen:
        return Seen(
            voltage=together.voltage / together.cells,
            hot=together.hot,
            spread=together.spread,
            current=together.current,
            capacity=together.capacity,
            state_of_charge=together.state_of_charge,
            sent=min(self._sent, aims.charge * aims.cells),
            trimmed=self._trim.active,
        )

    def _voltage_reason(
        self, told: float, voltages: tuple[float, float, float], narrowest: CellLimits, together: _Together
    ) -> str:
        wanted, trim, brake = voltages
        phase = self._phases.phase
        if brake < min(wanted, trim):
            why = f"brake, as {together.current:.0f} A flow although charging is stopped"
        elif trim < wanted and together.hot > narrowest.charge:
            high = together.hottest.high
            why = f"trimmed for cell {high.label} at {high.value:.2f} V"
        elif trim < wanted:
            why = f"trimmed, as the battery came to more than {narrowest.cells * narrowest.charge:.1f} V"
        elif phase == "float":
            why = "float"
        elif phase == "limited":
            why = f"limited to {self._setpoints.limit:.0f} %"
        elif phase == "balance":
            why = "balance voltage of the owner"
        else:
            why = narrowest.why
        offset = f", with an offset of {self._setpoints.offset:+.1f} V" if self._setpoints.offset else ""
        return f"charge up to {told:.1f} V: {why}{offset}"

    def _decided(
        self,
        bank: BankState,
        limits: Mapping[Key, CellLimits],
        together: _Together,
        voltage: tuple[float, str],
        charging: Limit,
        discharging: Limit,
        now: float,
        wall: float,
        seconds: float,
    ) -> Decision:
        least = min(one.cells * max(one.empty, one.least or 0.0) for one in limits.values())
        empty = self._currents.all_empty(bank)
        hungry = empty or self._hungry(bank, limits)
        due = self._phases.due(self._setpoints.days, wall)
        wanted = self._requests.step(
            self._setpoints.grid, together.current, together.capacity, seconds, starving=hungry, due=due
        )
        may = {direction: one.amps >= NOTHING for direction, one in self._currents.allowed.items()}
        charge, why = self._charge_told(together, limits, now, empty=empty)
        self._shown = self._facts(bank, limits, wall)
        self._last = Decision(
            charge_voltage=voltage[0],
            charge_current=charging.amps,
            discharge_current=discharging.amps,
            discharge_voltage=round(least, 2),
            charge_enabled=may["charge"],
            discharge_enabled=may["discharge"],
            state_of_charge=charge,
            wanted=Wanted(now=may["charge"] and wanted.now, full=wanted.full),
            phase=self._phases.phase,
            reasons={
                "charge_voltage": voltage[1],
                "charge_current": self._worded("charge", charging),
                "discharge_current": self._worded("discharge", discharging),
                "discharge_voltage": f"discharge down to {least:.1f} V",
                "state_of_charge": why,
            },
            bank=bank,
            valid_until=now + self._setpoints.valid_for,
            facts=self._shown,
        )
        return self._last

    def _worded(self, direction: Literal["charge", "discharge"], limit: Limit) -> str:
        if self._currents.allowed[direction].amps < NOTHING:
            return f"{direction} stopped: {limit.why}"
        return f"{direction} limited to {round(limit.amps, 1):g} A: {limit.why}"

    def _hungry(self, bank: BankState, limits: Mapping[Key, CellLimits]) -> bool:
        """Whether every pack is empty, or rests so low that it soon will be."""
        return all(
            self._currents.emptiness.is_empty(view.key)
            or (abs(view.current) < REST * capacity_of(view) and view.low.value <= limits[view.key].chemistry.hungry)
            for view in bank.counted
        )

    def _charge_told(
        self, together: _Together, limits: Mapping[Key, CellLimits], now: float, *, empty: bool
    ) -> tuple[float, str]:
        if not self._setpoints.soc_follows:
            return together.state_of_charge, ""
        chemistry = next(iter(limits.values())).chemistry
        resting = abs(together.current) < REST * together.capacity
        thresholds = chemistry.rested, chemistry.sunk, chemistry.sinking
        return self._told.step(
            together.state_of_charge,
            together.low,
            thresholds,
            self._setpoints.floor,
            now,
            resting=resting,
            empty=empty,
        )

    def _facts(self, bank: BankState, limits: Mapping[Key, CellLimits], wall: float) -> Facts:
        progress = self._phases.progress
        since = progress.last_full
        narrowest = min(limits.values(), key=lambda one: one.charge)
        usable = self._currents.usable(bank)
        return Facts(
            last_full=since,
            days_since_full=None if since is None else max(0.0, (wall - since) / DAY),
            absorbed=progress.clock,
            learned=progress.learned,
            trim=0.0 if self._trim.value == inf else max(0.0, narrowest.cells * narrowest.charge - self._trim.value),
            may_charge=sum(view.may_charge for view in bank.counted),
            may_discharge=usable,
            empty=tuple(view.label for view in bank.counted if self._currents.emptiness.is_empty(view.key)),
            chemistry=narrowest.chemistry.name,
            charge_voltage=narrowest.charge,
            float_voltage=narrowest.floating,
            empty_voltage=max(one.empty for one in limits.values()),
            asleep=all(
                self._currents.emptiness.is_empty(view.key) or view.low.value < limits[view.key].empty + NEARLY
                for view in bank.counted
            ),
            findings=self._findings(wall),
        )

    def _findings(self, wall: float) -> tuple[str, ...]:
        progress, found = self._phases.progress, []
        if progress.doubtful:
            found.append("the inverter's meter reads more than 0.6 V high: measure at its terminals")
        days = {int(at // DAY) for at in progress.unbalanced if wall - at < 30 * DAY}
        if len(days) >= UNBALANCED_DAYS:
            found.append(
                f"on {len(days)} days charging ended with more than {1000 * BALANCED:.0f} mV between the cells"
            )
        return tuple(found)

    # --- without data, and at the end -----------------------------------------------------------------------

    def _without(self, now: float) -> Decision | None:
        if self._last is None:
            return None
        self._currents.stop(now, discharge=False)
        floating = min((one.cells * one.floating for one in self._limits_of.ever()), default=inf)
        found = self._silence.step(self._last, self._setpoints, self._rested(), floating, now)
        if found is None or found.discharge_current < NOTHING:
            self._currents.stop(now, discharge=True)
        if found:
            self._sent = found.charge_voltage - self._setpoints.offset
        return found

    def _rested(self) -> float:
        """V that the lowest cell must have had without data."""
        return min((one.chemistry.rested for one in self._limits_of.ever()), default=LFP.rested)

    def _goodbye(self, decision: Decision) -> Decision:
        """No charge; loads off the grid keep their battery."""
        reasons = {**decision.reasons, "charge_current": "charge stopped: switched off"}
        found = replace(decision, charge_current=0.0, charge_enabled=False, wanted=Wanted(), reasons=reasons)
        if not self._setpoints.grid_tied:
            return found
        reasons["discharge_current"] = "discharge stopped: switched off"
        return replace(found, discharge_current=0.0, discharge_enabled=False)


def _downwards(voltage: float) -> float:
    """The voltage in steps that the wire can say, never a higher one."""
    return floor(round(voltage * RESOLUTION, 6)) / RESOLUTION


def _together(bank: BankState) -> _Together:
    views = bank.counted
    closed = [view for view in views if view.charge_closed] or list(views)
    hottest = max(closed, key=_highest)
    # a full cell that is heard counts even where its pack does not: the MOSFET may be stuck
    for one in bank.excluded:
        if one.view is not None and one.view.charge_closed and one.view.high.value > hottest.high.value:
            hottest = one.view
    charge = bank.state_of_charge
    return _Together(
        voltage=max(view.voltage for view in closed),
        hot=hottest.high.value,
        hottest=hottest,
        spread=max(view.high.value - view.low.value for view in closed),
        low=min(view.low.value for view in views),
        current=sum(view.current for view in views),
        capacity=sum(map(capacity_of, views)),
        state_of_charge=0.0 if charge is None else charge,
        cells=min(view.cells for view in closed),
    )


def _highest(view: View) -> float:
    return view.high.value
