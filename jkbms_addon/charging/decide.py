"""What may be charged and discharged now: the safety core. Pure.

``Controller.step`` is called about once a second with the bank and the time. Three rules stand above all: the
owner's voltage is a ceiling; a direction stops only where that direction is the trouble; a dark house is a fault,
too. Permissive values come only from fresh, complete data; charging falls to 0 on any doubt, discharging only when
no pack can discharge, or a stated time after the last data. Before the first data, and when a decision has expired,
there is silence.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Final, Literal

from jkbms_addon.bank.bank import BankState, Lasting
from jkbms_addon.bank.candidate import Key, View
from jkbms_addon.battery.snapshot import label
from jkbms_addon.charging import asleep
from jkbms_addon.charging.cell_limits import CellLimits, CellLimitsOf
from jkbms_addon.charging.current import Currents, Permitted
from jkbms_addon.charging.decision import Decision, Facts
from jkbms_addon.charging.memory import WEEK, Asleep, Memory, finite, keys, noted
from jkbms_addon.charging.phases import BALANCED, DAY
from jkbms_addon.charging.requests import Requests, Wanted
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.charging.sharing import capacity_of
from jkbms_addon.charging.silence import WHY, Silence, blind, waking_current
from jkbms_addon.charging.slew import NOTHING, Limit
from jkbms_addon.charging.together import Together, together
from jkbms_addon.charging.told_charge import REST, ToldCharge
from jkbms_addon.charging.voltage import ChargeVoltage

GOODBYES: Final = 3  # cycles without charge before the silence of a clean stop
WAIT: Final = 15.0  # s at the start for every expected pack
LONGEST: Final = 10.0  # s that a step may count for; whoever stood still must not catch up in one leap
SEEN_EVERY: Final = 3600.0  # s between two notes that a pack is there
UNBALANCED_DAYS: Final = 3
UNBALANCED_WITHIN: Final = 30.0  # days
RECALL_AFTER: Final = 60.0  # s without a word after a start until a battery remembered empty is told to be asleep
ONE_BY_ONE: Final = 30.0  # s within which packs that fall silent have one cause, as old as data may be at most
NEARLY: Final = 0.05  # V above empty at which a battery that falls silent has switched itself off


@dataclass(frozen=True, slots=True)
class _Moment:
    """What one decision is made from."""

    bank: BankState
    one: Together
    limits: Mapping[Key, CellLimits]
    now: float
    wall: float
    seconds: float


class Controller:
    """State of the charge control: limits over time, phase, corrections, and the last thing that was known.

    ``expected`` are packs that are named one by one; without them those of the last days are.
    """

    def __init__(
        self, setpoints: Setpoints, memory: Memory | None = None, expected: frozenset[Key] = frozenset()
    ) -> None:
        memory = memory or Memory()
        self._setpoints, self._memory, self._named = setpoints, memory, expected
        self._limits_of = CellLimitsOf(setpoints)
        self._voltage = ChargeVoltage(memory)
        self._currents = Currents(setpoints, frozenset(keys(memory.empty)))
        self._requests, self._told, self._silence = Requests(), ToldCharge(), Silence()
        self._seen = dict(memory.seen)
        self.last: Decision | None = None  # what was last decided from data
        self._heard_at = 0.0  # wall
        self._fallen: list[tuple[Decision, float]] = []  # before packs fell silent, and when
        self._words: dict[Key, View] = {}  # the last ones of each pack
        self._phase, self._phase_since = memory.phase, memory.phase_since
        self._begun: float | None = None
        self._waiting = True
        self._before = -inf
        self._goodbyes = 0

    # --- what the owner does --------------------------------------------------------------------------------

    def allow(self, setpoints: Setpoints) -> None:
        """The owner has changed what is allowed."""
        self._setpoints = setpoints
        self._limits_of = self._limits_of.under(setpoints)
        self._currents.setpoints = setpoints

    def ask(self, what: Literal["full", "balance"]) -> None:
        """Charge fully, or balance, now."""
        self._voltage.phases.ask(what)

    def risen(self) -> None:
        """Let every limit have risen to what is allowed; only for a look ahead, on a copy."""
        self._currents.risen()

    def wake(self, now: float) -> str:
        """Let an empty battery that sleeps be charged blindly for a while; why not, empty if it may."""
        return self._silence.wake(self.last or self._recalled(0.0), self._setpoints, now)

    @property
    def waking_current(self) -> float:
        """A with which it is charged then."""
        return waking_current(self._setpoints)

    @property
    def asleep(self) -> Asleep | None:
        """The battery as it was last heard, in this run or before, if it was empty then."""
        if self.last is None:
            return self._memory.asleep
        return asleep.noted(self.last, self._limits_of.narrowest, self._heard_at)

    def events(self) -> list[str]:
        """What happened since this was asked last, in words."""
        phases = self._voltage.phases
        found, phases.events = phases.events, []
        return found

    def usable(self, bank: BankState) -> int:
        """How many packs can be discharged."""
        return self._currents.usable(bank)

    def bears(self, bank: BankState) -> dict[Key, tuple[float, float]]:
        """What each pack that counts contributes at most to charging and discharging, in A; 0 where it may not."""
        charge, discharge = self._currents.bears["charge"], self._currents.bears["discharge"]
        return {view.key: (charge.get(view.key, 0.0), discharge.get(view.key, 0.0)) for view in bank.counted}

    def memory(self, settings: Mapping[Key, Lasting] | None = None) -> Memory:
        """What has to survive a restart; ``settings`` are those of the packs."""
        voltage, progress = self._voltage, self._voltage.phases.progress
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
            trim=finite(voltage.trim.value),
            float_trim=round(voltage.float_trim.value, 3),
            brake=finite(voltage.brake.value),
            sent=finite(voltage.sent),
            empty=tuple(sorted(map(label, self._currents.emptiness.empty))),
            seen=self._seen,
            asleep=self.asleep,
            phase_since=self._phase_since,
            settings=noted(settings or {}, self._seen),
        )

    # --- step by step ---------------------------------------------------------------------------------------

    def step(self, bank: BankState, now: float, wall: float, *, enabled: bool = True) -> Decision | None:
        """What to tell, or None for silence. Without ``enabled``: no charge a few times, then silence."""
        seconds = min(max(now - self._before, 0.0), LONGEST) if self._before > -inf else 0.0
        self._before = now
        self._begun = now if self._begun is None else self._begun
        self._notice(bank, wall)
        decision = self._live(bank, now, wall, seconds) if bank.counted else self._without(now, wall)
        if decision is None or (self._waits(bank, now, wall) and not self._silence.waking(now)):
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
            if not 0 <= wall - self._seen.get(label(view.key), -inf) < SEEN_EVERY:
                self._seen[label(view.key)] = wall
                for old in [one for one, at in self._seen.items() if wall - at > WEEK]:
                    del self._seen[old]

    def _waits(self, bank: BankState, now: float, wall: float) -> bool:
        """Whether packs that must be there have not been heard yet; only at the start, and not for long."""
        assert self._begun is not None
        if self._waiting:
            expected = self._named or self._memory.expected(wall)
            heard = {view.key for view in bank.heard} | bank.aliases
            self._waiting = not expected <= heard and now - self._begun < WAIT
        return self._waiting

    # --- with data ------------------------------------------------------------------------------------------

    def _live(self, bank: BankState, now: float, wall: float, seconds: float) -> Decision:
        self._silence.over()
        limits = {view.key: self._limits_of(view) for view in bank.counted}
        one, narrowest, voltage = together(bank), self._limits_of.narrowest, self._voltage
        voltage.aim(one, narrowest, self._setpoints, now, wall, seconds)
        if voltage.phases.phase != self._phase:
            self._phase, self._phase_since = voltage.phases.phase, wall
        starting = self._begun is not None and now - self._begun <= WAIT
        situation = Permitted(bank, limits, voltage.charge, voltage.phases.phase, voltage.sent, one.state_of_charge)
        currents = self._currents.step(situation, one.battery, now, seconds, starting=starting)
        stopped = self._currents.allowed["charge"].amps < NOTHING
        told = voltage.tell(one, narrowest, self._setpoints, now, seconds, stopped=stopped)
        self._note_fallen(bank, now)
        self.last, self._heard_at = self._decided(_Moment(bank, one, limits, now, wall, seconds), told, *currents), wall
        return self._bridged(self.last, now) if self._fallen and not self.usable(bank) else self.last

    def _note_fallen(self, bank: BankState, now: float) -> None:
        """Keep what was decided before packs fell silent: a wire that comes loose takes them along one by one."""
        here = {view.key: view for view in bank.counted}
        self._words |= here
        gone = _keys(self.last) - here.keys() if self.last else set()
        if gone - {one.key for one in bank.excluded if one.view is None}:
            self._fallen = []  # somebody is heard and must not serve
        elif gone and self.last:
            self._fallen.append((self.last, now))
        self._fallen = [
            (before, at) for before, at in self._fallen if now - at <= ONE_BY_ONE and not _keys(before) <= here.keys()
        ]

    def _bridged(self, last: Decision, now: float) -> Decision:
        """Who could serve the house has fallen silent just now: the others may be about to, and it must not go dark."""
        before = self._last_words(last, now)
        could = {view.key for view in self._fallen[0][0].bank.counted if view.may_discharge}
        amps = blind(before, self._setpoints, self._limits_of.narrowest.rested) if self._setpoints.hold else 0.0
        if amps < NOTHING or could & _keys(last):
            return last  # or who is heard could serve just now, too, and something is wrong
        return replace(
            last,
            discharge_current=amps,
            discharge_enabled=True,
            state_of_charge=before.state_of_charge,
            reasons={**last.reasons, "discharge_current": f"discharge held: {WHY}"},
        )

    def _last_words(self, last: Decision, now: float) -> Decision:
        """What was last decided, of all packs that fell silent together."""
        whole = next((before for before, at in self._fallen if now - at <= ONE_BY_ONE), None)
        if whole is None:
            return last
        bank = replace(whole.bank, counted=tuple([self._words[view.key] for view in whole.bank.counted]))
        return replace(
            last,
            discharge_current=whole.discharge_current,
            state_of_charge=whole.state_of_charge,
            bank=bank,
            facts=replace(last.facts, asleep=self._asleep(bank)),
        )

    def _decided(self, moment: _Moment, voltage: tuple[float, str], charging: Limit, discharging: Limit) -> Decision:
        ends = [(one.cells * max(one.empty, one.least or 0.0), one.least_why) for one in moment.limits.values()]
        least, rests_on = min(ends, key=lambda one: one[0])
        empty = self._currents.all_empty(moment.bank)
        may = {direction: one.amps >= NOTHING for direction, one in self._currents.allowed.items()}
        wanted = self._wanted(moment, empty=empty)
        charge, why = self._charge_told(moment, empty=empty)
        return Decision(
            charge_voltage=voltage[0],
            charge_current=charging.amps,
            discharge_current=discharging.amps,
            discharge_voltage=round(least, 2),
            charge_enabled=may["charge"],
            discharge_enabled=may["discharge"],
            state_of_charge=charge,
            wanted=Wanted(now=may["charge"] and wanted.now, full=wanted.full),
            phase=self._voltage.phases.phase,
            reasons={
                "charge_voltage": voltage[1],
                "charge_current": self._worded("charge", charging),
                "discharge_current": self._worded("discharge", discharging),
                "discharge_voltage": f"discharge down to {least:.1f} V: {rests_on}",
                "state_of_charge": why,
            },
            bank=moment.bank,
            valid_until=moment.now + self._setpoints.valid_for,
            facts=self._facts(moment),
        )

    def _worded(self, direction: Literal["charge", "discharge"], limit: Limit) -> str:
        if self._currents.allowed[direction].amps < NOTHING:
            return f"{direction} stopped: {limit.why}"
        return f"{direction} limited to {round(limit.amps, 1):g} A: {limit.why}"

    def _wanted(self, moment: _Moment, *, empty: bool) -> Wanted:
        """What is asked of the grid: every pack is empty, or rests so low that it soon will be."""
        starving = empty or all(
            self._currents.emptiness.is_empty(view.key)
            or (
                abs(view.current) < REST * capacity_of(view)
                and view.low.value <= moment.limits[view.key].chemistry.hungry
            )
            for view in moment.bank.counted
        )
        due = self._voltage.phases.due(self._setpoints.days, moment.wall)
        one = moment.one
        return self._requests.step(
            self._setpoints.grid, one.current, one.capacity, moment.seconds, starving=starving, due=due
        )

    def _charge_told(self, moment: _Moment, *, empty: bool) -> tuple[float, str]:
        one = moment.one
        if not self._setpoints.soc_follows:
            return one.state_of_charge, ""
        chemistry = next(iter(moment.limits.values())).chemistry
        resting = abs(one.current) < REST * one.capacity
        thresholds = chemistry.rested, chemistry.sunk, chemistry.sinking
        floor = self._setpoints.floor
        return self._told.step(
            one.state_of_charge, one.low, thresholds, floor, moment.now, resting=resting, empty=empty
        )

    def _facts(self, moment: _Moment) -> Facts:
        progress, narrowest = self._voltage.phases.progress, self._limits_of.narrowest
        since, trim = progress.last_full, self._voltage.trim.value
        counted, emptiness = moment.bank.counted, self._currents.emptiness
        return Facts(
            last_full=since,
            days_since_full=None if since is None else max(0.0, (moment.wall - since) / DAY),
            absorbed=progress.clock,
            learned=progress.learned,
            trim=0.0 if trim == inf else max(0.0, narrowest.cells * narrowest.charge - trim),
            may_charge=len([view for view in counted if view.may_charge]),
            may_discharge=self._currents.usable(moment.bank),
            empty=tuple([view.label for view in counted if emptiness.is_empty(view.key)]),
            chemistry=narrowest.chemistry,
            charge_voltage=narrowest.charge,
            float_voltage=narrowest.floating,
            empty_voltage=narrowest.empty,
            asleep=self._asleep(moment.bank),
            findings=self._findings(moment.wall),
            phase_since=self._phase_since,
        )

    def _asleep(self, bank: BankState) -> bool:
        """Whether every pack is so empty that it switches itself off."""
        empty = self._currents.emptiness.is_empty
        return all(empty(view.key) or view.low.value < self._limits_of(view).empty + NEARLY for view in bank.counted)

    def _findings(self, wall: float) -> tuple[str, ...]:
        progress, found = self._voltage.phases.progress, []
        if progress.doubtful:
            found.append("the inverter's meter reads more than 0.6 V high: measure at its terminals")
        days = {int(at // DAY) for at in progress.unbalanced if wall - at < UNBALANCED_WITHIN * DAY}
        if len(days) >= UNBALANCED_DAYS:
            spread = 1000 * BALANCED
            found.append(f"on {len(days)} days charging ended with more than {spread:.0f} mV between the cells")
        return tuple(found)

    # --- without data, and at the end -----------------------------------------------------------------------

    def _without(self, now: float, wall: float) -> Decision | None:
        if self.last is None:
            return self._before_any_data(now, wall)
        self.last, self._fallen = self._last_words(self.last, now), []
        narrowest = self._limits_of.narrowest
        self._currents.stop(now, discharge=False)
        found = self._silence.step(
            self.last, self._setpoints, narrowest.rested, narrowest.cells * narrowest.floating, now
        )
        if found is None or found.discharge_current < NOTHING:
            self._currents.stop(now, discharge=True)
        return found

    def _before_any_data(self, now: float, wall: float) -> Decision | None:
        """Silence; but a battery that was empty before the restart may never be heard unless it is woken."""
        last = self._recalled(wall)
        if last is None or self._begun is None:
            return None
        found = self._silence.step(last, self._setpoints, inf, last.charge_voltage, now)
        if now - self._begun < RECALL_AFTER and not self._silence.waking(now):
            return None
        self._currents.stop(now, discharge=True)
        return found

    def _recalled(self, wall: float) -> Decision | None:
        if self._memory.asleep is None:
            return None
        return asleep.recalled(self._memory.asleep, self._setpoints, self._voltage.phases.progress, wall)

    def _goodbye(self, decision: Decision) -> Decision:
        """No charge; loads off the grid keep their battery."""
        reasons = {**decision.reasons, "charge_current": "charge stopped: switched off"}
        found = replace(decision, charge_current=0.0, charge_enabled=False, wanted=Wanted(), reasons=reasons)
        if not self._setpoints.grid_tied:
            return found
        reasons["discharge_current"] = "discharge stopped: switched off"
        return replace(found, discharge_current=0.0, discharge_enabled=False)


def _keys(decision: Decision) -> set[Key]:
    return {view.key for view in decision.bank.counted}
