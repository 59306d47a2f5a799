"""Energy in and out of every battery and of the bank: integrated from readings, kept over restarts.

Theory of operation
- ``Energies.look`` is called once a second. It takes the live data of each battery at the time when it was
  heard, so a value that is looked at twice counts once. The bank is one more account, fed with ``combined``.
- Between two moments the power is a straight line. A gap of more than ``GAP`` is not counted: nobody knows
  what flowed. All time is monotonic; the wall clock only dates the last full charge and the file.
- What is shown (``Energy.charged`` and ``discharged``) is what the last write holds: it moves with every
  write, every five minutes, so that no crash can take back a number that somebody was told.
- A cycle lasts from full to full (100 %, armed again below 97 %). It gives an efficiency if at least half of
  the battery went through it and hardly any time was lost.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Any, Final, Literal

from jkbms_addon import worker
from jkbms_addon.battery.quantities import Values
from jkbms_addon.battery.reading import number
from jkbms_addon.kept import LAST, LAST_DAY, PATIENCE, JsonFile

_LOGGER = logging.getLogger(__name__)
Direction = Literal["charging", "discharging", "idle"]
DIRECTIONS: Final[tuple[Direction, ...]] = ("charging", "discharging", "idle")

NAME: Final = "energy.json"
SLOW: Final = "the energies cannot be written: the disk does not answer"
BANK: Final = "bank"  # key of the account of all batteries together; a battery's is "bus/address"
GAP: Final = 30.0  # s between two moments that are still joined
SAVE_EVERY: Final = 300.0  # s
STARTS, ENDS = 0.8, 0.4  # A from which current has a direction, and below which it has none any more
MEAN_OVER: Final = 15  # minutes
MEAN_NEEDS: Final = 60.0  # s of data before a mean is one
FLOWING: Final = 2.0  # A of mean current below which no time is foretold
FOREVER: Final = 30 * 86400.0  # s beyond which a time says nothing
FULL, NOT_FULL = 99.5, 97.0  # %
DEEP: Final = 0.5  # share of the battery that a cycle needs before it tells an efficiency
LOST: Final = 300.0  # s of a cycle that may be missing
EFFICIENCIES: Final = (0.5, 1.0)  # outside of it the current sensor is off, not the battery
MOST: Final = 1e12  # Wh, Ah or s that a file may tell; 100 kW for a thousand years
BOUNDS: Final = {"last_full": (0.0, LAST_DAY), "began": (0.0, LAST_DAY), "efficiency": EFFICIENCIES}
NOMINAL: Final[Mapping[str, float]] = {"LFP": 3.2, "Li-ion": 3.6, "LTO": 2.3}  # V per cell, as on the label


@dataclass(frozen=True, slots=True)
class Moment:
    """What a battery, or several as one, did at one time. ``at`` is monotonic s; unknown is None."""

    at: float
    power: float  # W, positive while charging
    current: float  # A, positive while charging
    soc: float | None = None  # %
    remaining: float | None = None  # Ah
    capacity: float | None = None  # Ah
    nominal: float | None = None  # V that turns Ah into Wh

    @property
    def stored(self) -> float | None:
        """Energy that is left, Wh."""
        return None if self.remaining is None or self.nominal is None else self.remaining * self.nominal

    @property
    def full(self) -> float | None:
        """Energy when full, Wh."""
        return None if self.capacity is None or self.nominal is None else self.capacity * self.nominal


@dataclass(frozen=True, slots=True)
class Energy:
    """What there is to tell of one account; kWh, s, %. Unknown is None; the two counters never fall."""

    charged: float
    discharged: float
    stored: float | None = None
    full: float | None = None
    direction: Direction | None = None
    to_full: float | None = None  # s at the mean current of the last 15 minutes
    to_empty: float | None = None
    last_full: float | None = None  # s since 1970
    efficiency: float | None = None  # of the last cycle from full to full
    cycles: float | None = None  # equivalent full cycles since counting began
    began: float | None = None  # when that was, s since 1970


def moment(values: Values, at: float) -> Moment | None:
    """The moment that these values tell; None without voltage and current."""
    voltage, current = number(values, "total_voltage"), number(values, "current")
    if voltage is None or current is None:
        return None
    capacity = number(values, "full_charge_capacity") or number(values, "total_battery_capacity") or None
    soc, remaining = number(values, "state_of_charge"), number(values, "capacity_remaining")
    if remaining is None and None not in (soc, capacity):
        remaining = (capacity or 0.0) * (soc or 0.0) / 100
    return Moment(at, voltage * current, current, soc, remaining, capacity, _nominal(values, voltage))


def _nominal(values: Values, voltage: float) -> float:
    """Nominal voltage by kind and number of cells; the present one where that is not known."""
    listed, kind = values.get("cell_voltage"), values.get("battery_type")
    cells = sum(cell is not None for cell in listed) if isinstance(listed, tuple) else 0
    cells = cells or int(number(values, "cell_count") or 0)
    return cells * NOMINAL[str(kind)] if cells and kind in NOMINAL else voltage


def combined(moments: Iterable[Moment], at: float) -> Moment | None:
    """Batteries in parallel as one at ``at``; a sum is unknown where a part of it is. None for none."""
    every = list(moments)
    if not every:
        return None
    capacity = _sum(one.capacity for one in every)
    full = _sum(one.full for one in every)
    remaining = _sum(one.remaining for one in every)
    soc = 100 * remaining / capacity if remaining is not None and capacity else None
    if soc is not None and any(one.soc is None or one.soc < FULL for one in every):
        soc = min(soc, FULL - 0.1)  # full is what all of them are
    nominal = full / capacity if full is not None and capacity else None
    current = sum(one.current for one in every)
    return Moment(at, sum(one.power for one in every), current, soc, remaining, capacity, nominal)


def _sum(parts: Iterable[float | None]) -> float | None:
    every = list(parts)
    known = [part for part in every if part is not None]
    return sum(known) if len(known) == len(every) else None


def upper(before: float, after: float) -> float:
    """Mean of the part above zero of a straight line between two values."""
    if before >= 0 and after >= 0:
        return (before + after) / 2
    top, low = max(before, after), min(before, after)
    return 0.0 if top <= 0 else top * top / (2 * (top - low))


@dataclass(slots=True)
class Counts:
    """What is kept of one account; Wh and Ah since counting began, and of the cycle that runs."""

    charged: float = 0.0
    discharged: float = 0.0
    charged_ah: float = 0.0
    discharged_ah: float = 0.0
    cycle_in: float = 0.0
    cycle_out: float = 0.0
    cycle_lost: float = 0.0  # s
    cycling: bool = False  # whether the cycle began with a full battery
    armed: bool = False  # whether it was low enough since, so that the next 100 % is news
    last_full: float | None = None  # s since 1970
    efficiency: float | None = None
    began: float | None = None  # when counting did, s since 1970

    @classmethod
    def read(cls, raw: object) -> "tuple[Counts, bool]":
        """Counts of a file, and whether all made sense; what cannot be true is left out."""
        found, entries = cls(), raw if isinstance(raw, dict) else {}
        for one in fields(cls):
            value, (low, high) = entries.get(one.name), BOUNDS.get(one.name, (0.0, MOST))
            if isinstance(getattr(found, one.name), bool):
                setattr(found, one.name, value is True)
            elif isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:
                setattr(found, one.name, float(value))
        same = all(entries.get(key) in (None, value) for key, value in asdict(found).items())
        return found, same and isinstance(raw, dict)


@dataclass(slots=True)
class Account:
    """Counts of one battery with what is needed to go on counting."""

    counts: Counts = field(default_factory=Counts)
    shown: tuple[float, float] = (0.0, 0.0)  # Wh in and out that are on disk
    last: Moment | None = None
    direction: Direction = "idle"
    _minutes: deque[list[float]] = field(default_factory=lambda: deque(maxlen=MEAN_OVER))  # number, s, As

    def take(self, now: Moment, wall: float) -> None:
        """The next moment; what was taken already, or comes from before it, changes nothing."""
        before = self.last
        if before is not None and now.at <= before.at:
            return
        self.last = now
        if self.counts.began is None:
            self.counts.began = wall
        if before is not None:
            self._flow(before, now)
        self._turn(now.current)
        self._fill(now, wall)

    def _flow(self, before: Moment, now: Moment) -> None:
        seconds, counts = now.at - before.at, self.counts
        if seconds > GAP:
            counts.cycle_lost += seconds
            return
        taken = upper(before.power, now.power) * seconds / 3600
        given = upper(-before.power, -now.power) * seconds / 3600
        counts.charged += taken
        counts.discharged += given
        counts.cycle_in += taken
        counts.cycle_out += given
        counts.charged_ah += upper(before.current, now.current) * seconds / 3600
        counts.discharged_ah += upper(-before.current, -now.current) * seconds / 3600
        self._average(now.at, seconds, (before.current + now.current) / 2 * seconds)

    def _average(self, at: float, seconds: float, amount: float) -> None:
        number = at // 60
        if not self._minutes or self._minutes[-1][0] != number:
            self._minutes.append([number, 0.0, 0.0])
        self._minutes[-1][1] += seconds
        self._minutes[-1][2] += amount

    def mean(self, now: float) -> float | None:
        """Mean current of the last 15 minutes, A; None before there is a minute of it."""
        recent = [minute for minute in self._minutes if minute[0] > now // 60 - MEAN_OVER]
        seconds = sum(minute[1] for minute in recent)
        return sum(minute[2] for minute in recent) / seconds if seconds >= MEAN_NEEDS else None

    def _turn(self, current: float) -> None:
        if abs(current) >= STARTS:
            self.direction = "charging" if current > 0 else "discharging"
        elif abs(current) < ENDS or (current > 0) != (self.direction == "charging"):
            self.direction = "idle"

    def _fill(self, now: Moment, wall: float) -> None:
        counts = self.counts
        if now.soc is None:
            return
        if now.soc < NOT_FULL:
            counts.armed = True
        elif now.soc >= FULL and counts.armed:
            self._finish(now)
            counts.cycle_in = counts.cycle_out = counts.cycle_lost = 0.0
            counts.cycling, counts.armed, counts.last_full = True, False, wall
        elif now.soc >= FULL and counts.last_full is None:
            counts.last_full = wall  # met full; when it became so nobody knows, so no cycle begins

    def _finish(self, now: Moment) -> None:
        """A battery is full again: the cycle behind it may tell its efficiency."""
        counts = self.counts
        whole = counts.cycling and counts.cycle_lost <= LOST and counts.cycle_in > 0 and now.full is not None
        if whole and counts.cycle_out >= DEEP * (now.full or 0.0):
            ratio = counts.cycle_out / counts.cycle_in
            counts.efficiency = ratio if EFFICIENCIES[0] <= ratio <= EFFICIENCIES[1] else None

    def energy(self, now: float) -> Energy:
        """All there is to tell; of a battery that was not heard for ``GAP`` only what is kept."""
        counts, last = self.counts, self.last
        heard = last is not None and now - last.at <= GAP
        capacity = last.capacity if last else None
        throughput = (counts.charged_ah + counts.discharged_ah) / 2
        to_full, to_empty = self._times(now) if heard else (None, None)
        return Energy(
            charged=self.shown[0] / 1000,
            discharged=self.shown[1] / 1000,
            stored=_kilo(last.stored) if last and heard else None,
            full=_kilo(last.full) if last and heard else None,
            direction=self.direction if heard else None,
            to_full=to_full,
            to_empty=to_empty,
            last_full=counts.last_full,
            efficiency=None if counts.efficiency is None else 100 * counts.efficiency,
            cycles=throughput / capacity if capacity else None,
            began=counts.began,
        )

    def _times(self, now: float) -> tuple[float | None, float | None]:
        """Seconds to full and to empty at the mean current; one of them at most."""
        mean, last = self.mean(now), self.last
        if last is None or mean is None or abs(mean) < FLOWING or last.remaining is None:
            return None, None
        if mean < 0:
            return None, _foretold(last.remaining, -mean)
        return (None if last.capacity is None else _foretold(last.capacity - last.remaining, mean)), None


def _foretold(amount: float, current: float) -> float | None:
    seconds = max(0.0, amount) / current * 3600
    return seconds if seconds <= FOREVER else None


def _kilo(value: float | None) -> float | None:
    return None if value is None else value / 1000


class Energies:
    """The accounts of all batteries, kept in one file; ``every`` is how often it is written, s."""

    def __init__(
        self,
        kept: JsonFile,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        every: float = SAVE_EVERY,
    ) -> None:
        self._kept, self._clock, self._wall, self._every = kept, clock, wall, every
        self.accounts: dict[str, Account] = {}
        self._saved: dict[str, Any] = {}
        self._saved_at = clock()
        self._load()

    def _load(self) -> None:
        content = self._kept.load()
        raw, written = content.get("accounts"), content.get("at")
        away = self._wall() - written if isinstance(written, (int, float)) and 0 <= written <= LAST_DAY else -1.0
        strange = 0
        for key, entry in raw.items() if isinstance(raw, dict) else ():
            counts, sensible = Counts.read(entry)
            strange += not sensible
            # after a stop, or where the clock was set back meanwhile, nobody knows what flowed
            counts.cycle_lost += away if away >= 0 else LOST + 1
            self.accounts[key] = Account(counts, (counts.charged, counts.discharged))
        if strange:
            _LOGGER.warning("%s: values of %d accounts cannot be true and are ignored", self._kept.path, strange)

    def take(self, key: str, now: Moment) -> None:
        """The next moment of an account; a new one begins at zero."""
        self.accounts.setdefault(key, Account()).take(now, self._wall())

    def look(self, batteries: Iterable[tuple[str, Values, float]], bank: Moment | None) -> None:
        """Key, values and time of the live data of each battery that is heard, and the bank as it is now."""
        for key, values, at in batteries:
            if now := moment(values, at):
                self.take(key, now)
        if bank:
            self.take(BANK, bank)

    def of(self, key: str) -> Energy | None:
        """What there is to tell of an account; None where nothing was ever counted."""
        account = self.accounts.get(key)
        return None if account is None else account.energy(self._clock())

    def due(self) -> bool:
        """Whether it is time to write."""
        return self._clock() - self._saved_at >= self._every

    def content(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "at": self._wall(),
            "accounts": {key: asdict(account.counts) for key, account in self.accounts.items()},
        }

    def save(self, content: dict[str, Any]) -> bool:
        """Write what ``content`` gave; whether it is on disk now. It blocks."""
        return content["accounts"] == self._saved or not self._kept.save(content)

    def wrote(self, content: dict[str, Any], *, kept: bool) -> None:
        """It was written: what is ``kept`` on disk may be shown now, anything else is tried again later."""
        self._saved_at = self._clock()
        if not kept:
            return
        self._saved = content["accounts"]
        for key, counts in self._saved.items():
            self.accounts[key].shown = counts["charged"], counts["discharged"]


async def own(
    energies: Energies,
    batteries: Callable[[], Iterable[tuple[str, Values, float]]],
    bank: Callable[[], Moment | None],
) -> None:
    """Count until cancelled; written from the owner's thread, and once more at the end."""
    thread = worker.own()
    try:
        while True:
            energies.look(batteries(), bank())
            if energies.due():
                content = energies.content()
                energies.wrote(content, kept=await thread.call(partial(energies.save, content), PATIENCE, SLOW))
            await asyncio.sleep(1.0)
    finally:
        await thread.finish(partial(energies.save, energies.content()), LAST, SLOW)
