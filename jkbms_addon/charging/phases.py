"""Bulk, absorption, float and back: how far the battery is being charged. Pure.

Theory of operation. ``bulk`` charges to the ceiling, the owner's voltage. It ends when the battery has nearly that
voltage, when one cell has it, or when the current has dwindled for 15 min although the voltage told is not reached:
then the inverter's meter reads high, and by how much is learned. ``absorption`` holds the ceiling until the battery is
*full* (voltage there, hardly any current, all packs balanced, for 10 min) or its clock is over; the clock runs only
at that voltage and with little current. ``float`` goes down 0.1 V a minute whatever the battery does, and stays until
the battery was used, its voltage is low, or a full charge is due. ``limited`` is where the owner wants less than 100 %:
no current, and a voltage that is lowered while one flows. ``balance`` is one absorption at its own voltage, on
request. Only *full* resets the day counter. What was learned moves thresholds, never the voltage that is told.
Voltages here are V per cell unless named ``bank``; currents A; times s, ``wall`` since 1970, all else monotonic.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Final, Literal

from jkbms_addon.charging.lasting import GAP, Lasting

Phase = Literal["bulk", "absorption", "float", "limited", "balance"]
PHASES: Final[tuple[Phase, ...]] = ("bulk", "absorption", "float", "limited", "balance")

NEAR: Final = 0.02  # V per cell below the charge voltage that are nearly there
AT: Final = 0.03  # V per cell below it at which the clock of absorption runs
CELL_AT: Final = 0.01  # V below it at which one cell lets it run
REACHED_FOR: Final = 10.0  # s
CELL_FOR: Final = 60.0  # s
METER_CURRENT: Final = (0.002, 0.02)  # A per Ah between which the current has dwindled
METER_WITHIN: Final = 0.04  # V per cell of what is told
METER_STILL: Final = 0.1  # V that the bank may move meanwhile
METER_FOR: Final = 900.0  # s
LEARNED_MOST: Final = 0.5  # V of the bank
LEARNED_DOUBT: Final = 0.6  # V above which it is a finding
UNLEARN_FOR: Final = 60.0  # s
TAIL: Final = 0.03  # A per Ah of a full battery
BALANCED: Final = 0.020  # V between the cells of a pack
FULL_FOR: Final = 600.0  # s
CLOCK_CURRENT: Final = 0.05  # A per Ah up to which the clock runs
CLOCK: Final = 3600.0  # s
CLOCK_UNBALANCED: Final = 10800.0  # s
LONGEST: Final = 21600.0  # s at the voltage, and of a balance
BELOW_FOR: Final = 900.0  # s
FORGET: Final = 5.0  # % below where bulk begins again at which the clock begins anew
RAMP: Final = 0.1 / 60  # V/s of the bank
LOW_FOR: Final = 60.0  # s
LOADED: Final = 0.05  # A per Ah of a load under which a low voltage says nothing
RETRY: Final = 20 * 3600.0  # s between two tries of a full charge that is due
LIMITED_BAND: Final = 2.0  # % below the limit from which on some current may flow
LIMITED_LEAVE: Final = 5.0  # % below the limit at which bulk begins again
LIMITED_CURRENT: Final = (1.0, 0.005)  # A, and A per Ah, above which the voltage is lowered
BALANCE_WITHIN: Final = 86400.0  # s that a balance may take altogether
DAY: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The battery at this moment: mean and highest cell, the worst spread within a closed pack, current, capacity."""

    voltage: float
    hot: float
    spread: float
    current: float
    capacity: float
    state_of_charge: float
    sent: float  # bank: the voltage told last, without the owner's offset
    trimmed: bool  # whether it was told less than the phase wants


@dataclass(frozen=True, slots=True)
class Aims:
    """What is wanted: charge, float, balance and rebulk voltage, number of cells, limits in % and days."""

    charge: float
    floating: float
    balance: float
    rebulk: float
    cells: int
    limit: float
    drop: float
    days: float


@dataclass(slots=True)
class Progress:
    """What survives a restart."""

    phase: Phase = "bulk"
    clock: float = 0.0  # s of absorption that counted
    at_voltage: float = 0.0  # s at its voltage
    highest: float = 0.0  # % since float began, or absorption
    ramp: float = inf  # bank: where float or limited is on its way
    learned: float = 0.0  # bank: V by which the inverter's meter reads high
    doubtful: bool = False  # whether it was more than a meter may be off
    last_full: float | None = None  # wall
    counted_from: float | None = None  # wall: when counting days began, where it was never full
    tried: float | None = None  # wall
    unbalanced: list[float] = field(default_factory=list)  # wall: ends of absorption without balance
    unlimited: bool = False  # a full charge that ignores the owner's limit is under way


class Phases:
    """The phase and the voltage that it wants. ``events`` are told once by whoever takes them."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.progress = progress or Progress()
        self.events: list[str] = []
        self._asked: Literal["", "full", "balance"] = ""
        self._lasting = {name: Lasting() for name in ("near", "cell", "full", "below", "low", "unlearn")}
        self._still = _Still()
        self._balancing_since = inf

    @property
    def phase(self) -> Phase:
        """The phase now."""
        return self.progress.phase

    def ask(self, what: Literal["full", "balance"]) -> None:
        """The owner wants a full charge, or a balance, now."""
        self._asked = what

    def due(self, days: float, wall: float) -> bool:
        """Whether a full charge is due: not asked for, but too long ago."""
        since = self.progress.last_full if self.progress.last_full is not None else self.progress.counted_from
        # a day that lies ahead was noted by a clock that was wrong, and nobody knows how long ago that was
        return days > 0 and since is not None and not -DAY <= wall - since < days * DAY

    def step(self, seen: Seen, aims: Aims, now: float, wall: float, seconds: float) -> float:
        """Go on by ``seconds``; the voltage of the bank that the phase wants, in V."""
        progress = self.progress
        if progress.counted_from is None:
            progress.counted_from = wall
        following = self._asked_for() or self._step(seen, aims, now, wall, seconds)
        if following != progress.phase:
            self._enter(following, seen, aims, now)
        self._asked = ""
        return self._wanted(seen, aims, seconds)

    # --- from phase to phase -----------------------------------------------------------------------------

    def _asked_for(self) -> Phase | None:
        if self._asked == "balance":
            return "balance"
        if self._asked == "full":
            self.progress.unlimited = True
            return "absorption" if self.progress.phase == "absorption" else "bulk"
        return None

    def _step(self, seen: Seen, aims: Aims, now: float, wall: float, seconds: float) -> Phase:
        phase = self.progress.phase
        if phase == "bulk":
            return self._bulk(seen, aims, now)
        if phase == "absorption":
            return self._absorption(seen, aims, now, wall, seconds)
        if phase == "float":
            return self._float(seen, aims, now, wall)
        if phase == "limited":
            return self._limited(seen, aims, wall)
        return self._balance(seen, aims, now, wall, seconds)

    def _bulk(self, seen: Seen, aims: Aims, now: float) -> Phase:
        progress = self.progress
        progress.highest = max(progress.highest, seen.state_of_charge)
        if seen.state_of_charge <= progress.highest - aims.drop - FORGET:
            progress.clock, progress.at_voltage, progress.highest = 0.0, 0.0, seen.state_of_charge
        if self._restrained(seen, aims):
            return "limited"
        self._unlearn(seen, aims, now)
        near = self._lasting["near"].step(seen.voltage >= self._reference(aims) - NEAR, now)
        cell = self._lasting["cell"].step(seen.hot >= aims.charge, now)
        if near >= REACHED_FOR or cell >= CELL_FOR or self._meter_reads_high(seen, aims, now):
            return "absorption"
        return "bulk"

    def _meter_reads_high(self, seen: Seen, aims: Aims, now: float) -> bool:
        """Whether the current has dwindled although the voltage told is not reached; then learn by how much."""
        bank, low, high = seen.voltage * aims.cells, *METER_CURRENT
        dwindled = low * seen.capacity < seen.current < high * seen.capacity
        within = abs(seen.sent - bank) <= METER_WITHIN * aims.cells
        if self._still.step(bank, now, holds=dwindled and within and not seen.trimmed) < METER_FOR:
            return False
        off = max(0.0, seen.sent - bank)
        self.progress.learned = min(off, LEARNED_MOST)
        self.progress.doubtful = off > LEARNED_DOUBT
        self.events.append(f"the inverter's meter reads {off:.1f} V high; the end of charging is looked for there")
        return True

    def _unlearn(self, seen: Seen, aims: Aims, now: float) -> None:
        """A voltage above what the learned offset would allow shows that it is less."""
        below = aims.charge * aims.cells - seen.voltage * aims.cells
        holds = below < self.progress.learned - METER_STILL
        if self._lasting["unlearn"].step(holds, now) >= UNLEARN_FOR:
            self.progress.learned, self.progress.doubtful = max(0.0, below), False

    def _absorption(self, seen: Seen, aims: Aims, now: float, wall: float, seconds: float) -> Phase:
        self.progress.highest = max(self.progress.highest, seen.state_of_charge)
        if self._restrained(seen, aims):
            return "limited"
        self._unlearn(seen, aims, now)
        at = self._absorbing(seen, self._reference(aims), aims.charge, seconds)
        # under a load the cells lie together, and say nothing about their balance
        if self._ended(seen, self._reference(aims), now, wall, self._clock_limit(seen) if at else inf):
            return "float"
        return "bulk" if self._lasting["below"].step(not at, now) >= BELOW_FOR else "absorption"

    @staticmethod
    def _clock_limit(seen: Seen) -> float:
        return CLOCK_UNBALANCED if seen.spread > BALANCED else CLOCK

    def _absorbing(self, seen: Seen, reference: float, charge: float, seconds: float) -> bool:
        """Let the clock run while the battery is at its voltage; whether it is."""
        at = seen.voltage >= reference - AT or seen.hot >= charge - CELL_AT
        if at:
            self.progress.at_voltage += seconds
            if seen.current <= CLOCK_CURRENT * seen.capacity:
                self.progress.clock += seconds
        return at

    def _ended(self, seen: Seen, reference: float, now: float, wall: float, clock: float) -> bool:
        """Whether the battery is full, or has been at its voltage for long enough."""
        progress = self.progress
        tail = 0.0 <= seen.current <= TAIL * seen.capacity
        full = seen.voltage >= reference - NEAR and tail and seen.spread <= BALANCED
        if self._lasting["full"].step(full, now) >= FULL_FOR:
            progress.last_full, progress.unbalanced = wall, []
            self.events.append("full")
            return True
        if clock == inf or (progress.clock < clock and progress.at_voltage < LONGEST):
            return False
        if seen.spread > BALANCED:
            progress.unbalanced = [*(at for at in progress.unbalanced if wall - at < 30 * DAY), wall][-10:]
            self.events.append(f"absorption ended unbalanced, with {1000 * seen.spread:.0f} mV between the cells")
        else:
            self.events.append("absorption ended before the battery was full")
        return True

    def _float(self, seen: Seen, aims: Aims, now: float, wall: float) -> Phase:
        progress = self.progress
        progress.highest = max(progress.highest, seen.state_of_charge)
        if self._full_charge_now(aims, wall):
            return "bulk"
        if self._restrained(seen, aims):
            return "limited"
        loaded = seen.current < -LOADED * seen.capacity
        low = self._lasting["low"].step(seen.voltage <= aims.rebulk and not loaded, now)
        used = seen.state_of_charge <= progress.highest - aims.drop
        return "bulk" if used or low >= LOW_FOR else "float"

    def _limited(self, seen: Seen, aims: Aims, wall: float) -> Phase:
        if self._full_charge_now(aims, wall) or not aims.limit < 100:
            return "bulk"
        return "bulk" if seen.state_of_charge <= aims.limit - LIMITED_LEAVE else "limited"

    def _balance(self, seen: Seen, aims: Aims, now: float, wall: float, seconds: float) -> Phase:
        at = self._absorbing(seen, aims.balance, aims.balance, seconds)
        self._balancing_since = min(self._balancing_since, now)  # as of the start of the program, too
        late = now - self._balancing_since >= BALANCE_WITHIN
        return "float" if self._ended(seen, aims.balance, now, wall, LONGEST if at else inf) or late else "balance"

    def _full_charge_now(self, aims: Aims, wall: float) -> bool:
        progress = self.progress
        if not self.due(aims.days, wall) or (progress.tried is not None and 0 <= wall - progress.tried < RETRY):
            return False
        progress.tried, progress.unlimited = wall, True
        return True

    def _restrained(self, seen: Seen, aims: Aims) -> bool:
        return aims.limit < 100 and seen.state_of_charge >= aims.limit and not self.progress.unlimited

    def _reference(self, aims: Aims) -> float:
        return aims.charge - self.progress.learned / aims.cells

    def _enter(self, phase: Phase, seen: Seen, aims: Aims, now: float) -> None:
        progress, before = self.progress, self.progress.phase
        progress.phase = phase
        for lasting in self._lasting.values():
            lasting.clear()
        self._still.clear()
        if phase == "float":
            progress.ramp, progress.unlimited = seen.sent, False
        elif phase == "limited":
            progress.ramp = seen.voltage * aims.cells
        if phase == "balance":
            self._balancing_since = now
        # clouds lead from absorption to bulk and back; that is one charge
        if (before, phase) not in (("absorption", "bulk"), ("bulk", "absorption")):
            progress.clock, progress.at_voltage, progress.highest = 0.0, 0.0, seen.state_of_charge

    # --- the voltage --------------------------------------------------------------------------------------

    def _wanted(self, seen: Seen, aims: Aims, seconds: float) -> float:
        progress = self.progress
        if progress.phase == "float":
            progress.ramp = max(
                aims.floating * aims.cells, min(progress.ramp, aims.charge * aims.cells) - RAMP * seconds
            )
            return progress.ramp
        if progress.phase == "limited":
            progress.ramp = self._limited_ramp(seen, aims, seconds)
            return progress.ramp
        return (aims.balance if progress.phase == "balance" else aims.charge) * aims.cells

    def _limited_ramp(self, seen: Seen, aims: Aims, seconds: float) -> float:
        ramp, ceiling = min(self.progress.ramp, aims.charge * aims.cells), aims.charge * aims.cells
        if seen.state_of_charge < aims.limit - LIMITED_BAND:
            return min(ceiling, ramp + RAMP * seconds)
        fixed, share = LIMITED_CURRENT
        if seen.current > max(fixed, share * seen.capacity):
            return max(min(ramp, aims.rebulk * aims.cells), ramp - RAMP * seconds)
        return ramp


class _Still:
    """For how long the bank's voltage has stayed within a band while something held."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._since, self._low, self._high, self._seen = inf, inf, -inf, -inf

    def step(self, bank: float, now: float, *, holds: bool) -> float:
        """Seconds so far."""
        if now - self._seen > GAP:
            self.clear()
        self._seen = now
        self._low, self._high = min(self._low, bank), max(self._high, bank)
        if not holds:
            self.clear()
            return 0.0
        if self._since == inf or self._high - self._low > METER_STILL:
            self._since, self._low, self._high = now, bank, bank
        return now - self._since
