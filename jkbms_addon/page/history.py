"""What was: rings in memory for 2 hours, 24 hours and 30 days. Pure; files are the business of ``history_file``.

Theory of operation
- Once a second ``take`` gets what is known now; steps of 10 s are averaged, closed steps of one tier feed the next.
- A row is one step, numbered by the wall clock: ``number = seconds since 1970 // step``. Columns are arrays of int16 in
  tenths, hundredths or thousandths of their unit, ``NONE`` where nothing was known: a gap is a gap, never 0.
- Someone sets the clock forward: the steps between are gaps. Someone sets it back: nothing is taken until time has
  caught up; after ``PATIENCE`` it is believed, and what lies in its future is forgotten. So a computer without a
  battery for its clock does not lose its history at every start.
"""

import base64
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Final

NONE: Final = -32768
LARGEST: Final = 32767
TIERS: Final[tuple[tuple[int, int], ...]] = ((10, 720), (60, 1440), (900, 2880))  # s of a step, steps
PATIENCE: Final = 600.0  # s that a clock which was set back is waited for
HOURS: Final = 24
LONGEST: Final = 64  # columns of one answer

# column -> units of one count
PACK: Final[Mapping[str, float]] = {
    "power": 10.0,  # W
    "current": 0.1,  # A
    "voltage": 0.01,  # V
    "soc": 0.1,  # %
    "delta": 0.001,  # V
    "min_cell": 0.001,
    "max_cell": 0.001,
    "mean_cell": 0.001,
    "temperature": 0.1,  # °C, mean of the sensors
    "mosfet": 0.1,
}
BANK: Final[Mapping[str, float]] = {
    "power": 10.0,
    "charged": 10.0,  # W, mean of what flowed in, from the counted energy
    "discharged": 10.0,
    "soc": 0.1,
    "voltage": 0.01,
    "current": 0.1,
    "delta": 0.001,
    "charge_limit": 0.1,  # A
    "discharge_limit": 0.1,
}
CELL: Final = 0.001  # V of one count of a cell's column


def scale(column: str) -> float:
    """Units of one count of a column."""
    return CELL if column.startswith("cell_") else (PACK.get(column) or BANK[column])


@dataclass(slots=True)
class Ring:
    """The steps of one tier. ``head`` is the number of the newest closed step, -1 before there is one."""

    step: int
    rows: int
    columns: "dict[str, array[int]]" = field(default_factory=dict)
    head: int = -1

    def put(self, number: int, values: Mapping[str, float]) -> None:
        """Close step ``number`` with these means; the steps that were left out are gaps."""
        if number <= self.head:
            return
        for skipped in range(max(self.head + 1, number - self.rows + 1), number + 1) if self.head >= 0 else ():
            for column in self.columns.values():
                column[skipped % self.rows] = NONE
        self.head = number
        for name, value in values.items():
            if name not in self.columns:
                self.columns[name] = array("h", (NONE,)) * self.rows
            self.columns[name][number % self.rows] = counts(value, scale(name))

    def forget_after(self, number: int) -> None:
        """The clock was set back: what is later than step ``number`` never was."""
        for later in range(number + 1, min(self.head, number + self.rows) + 1):
            for column in self.columns.values():
                column[later % self.rows] = NONE
        self.head = min(self.head, number)

    def last(self, name: str, number: int, rows: int) -> "array[int]":
        """The counts of a column in the ``rows`` steps up to ``number``."""
        column = self.columns.get(name)
        if column is None or self.head < 0:
            return array("h", (NONE,)) * rows
        first, last = max(number - rows + 1, self.head - self.rows + 1), min(number, self.head)
        if last < first:
            return array("h", (NONE,)) * rows
        # in slices, as the inverter waits while this is done
        begin, end = first % self.rows, last % self.rows + 1
        known = column[begin:end] if begin < end else column[begin:] + column[:end]
        return array("h", (NONE,)) * (first - (number - rows + 1)) + known + array("h", (NONE,)) * (number - last)


def counts(value: float, unit: float) -> int:
    """A value as a whole number of units, within what a column holds."""
    if not isfinite(value):
        return NONE
    return max(-LARGEST, min(LARGEST, round(value / unit)))


@dataclass(slots=True)
class Mean:
    """Sums of a step that is not closed yet."""

    number: int = -1
    sums: dict[str, float] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)

    def add(self, values: Mapping[str, float]) -> None:
        """One more sample of each of these columns."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.weights[name] = self.weights.get(name, 0) + 1

    def close(self) -> dict[str, float]:
        """The means; it begins anew."""
        means = {name: total / self.weights[name] for name, total in self.sums.items()}
        self.sums, self.weights = {}, {}
        return means


@dataclass(slots=True)
class Places:
    """How long each cell was the lowest and the highest of its pack, hour by hour; s."""

    low: "dict[int, array[float]]" = field(default_factory=dict)
    high: "dict[int, array[float]]" = field(default_factory=dict)

    def note(self, hour: int, cells: Sequence[float | None], seconds: float) -> None:
        """Cells at one moment; several that are equally low share the time."""
        known = [cell for cell in cells if cell is not None]
        if not known or max(known) == min(known):
            return
        for hours, extreme in ((self.low, min(known)), (self.high, max(known))):
            if hour not in hours:
                hours[hour] = array("f", (0.0,)) * len(cells)
                for old in [one for one in hours if not hour - HOURS < one <= hour]:
                    del hours[old]
            found = [n for n, cell in enumerate(cells) if cell == extreme and n < len(hours[hour])]
            for n in found:
                hours[hour][n] += seconds / len(found)

    def shares(self, hour: int) -> tuple[list[float], list[float], float]:
        """Share of the last 24 hours that each cell was lowest and highest, 0 to 1, and the hours that are known."""
        low, _ = _shares(self.low, hour)
        high, seconds = _shares(self.high, hour)
        return low, high, seconds / 3600


def _shares(hours: "Mapping[int, array[float]]", now: int) -> tuple[list[float], float]:
    recent = [sums for hour, sums in hours.items() if now - HOURS < hour <= now]
    cells = max(map(len, recent), default=0)
    sums = [sum(one[n] for one in recent if n < len(one)) for n in range(cells)]
    total = sum(sums)
    return [one / total if total else 0.0 for one in sums], total


class Series:
    """All tiers of one battery or of the bank."""

    def __init__(self, tiers: Iterable[tuple[int, int]] = TIERS) -> None:
        self.rings = [Ring(step, rows) for step, rows in tiers]
        self.places = Places()
        self._means = [Mean() for _ in self.rings]

    def take(self, at: float, values: Mapping[str, float]) -> None:
        """A sample at ``at``, wall clock s."""
        self._feed(0, at, values)

    def _feed(self, tier: int, at: float, values: Mapping[str, float]) -> None:
        ring, mean = self.rings[tier], self._means[tier]
        number = int(at // ring.step)
        if number != mean.number:
            if mean.sums:
                closed = mean.close()
                ring.put(mean.number, closed)
                if tier + 1 < len(self.rings):
                    self._feed(tier + 1, mean.number * ring.step, closed)
            mean.number = number
        mean.add(values)

    def newest(self) -> float:
        """Wall clock s of the newest closed step; 0 where there is none."""
        return max(float((ring.head + 1) * ring.step) for ring in self.rings)

    def forget_after(self, at: float) -> None:
        """What is later than ``at`` never was."""
        for ring, mean in zip(self.rings, self._means, strict=True):
            ring.forget_after(int(at // ring.step) - 1)
            mean.close()
            mean.number = -1

    def ring(self, step: int) -> Ring | None:
        """The tier with that step."""
        return next((ring for ring in self.rings if ring.step == step), None)


class History:
    """Series by key: ``bank`` or ``bus/address``. ``now`` is wall clock s, ``tick`` monotonic s."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self._back: float | None = None  # since when the clock is behind the newest step, monotonic s
        self._newest = 0.0

    def believed(self, now: float, tick: float) -> bool:
        """Whether the clock may be believed now; forgets the future where it has to be."""
        if now >= self._newest:
            self._newest, self._back = now, None
            return True
        if now >= self._newest - TIERS[0][0]:
            return False
        self._back = tick if self._back is None else self._back
        if tick - self._back < PATIENCE:
            return False
        for series in self.series.values():
            series.forget_after(now)
        self._newest, self._back = now, None
        return True

    def take(self, key: str, now: float, values: Mapping[str, float | None]) -> None:
        """A sample of one series; unknown values are left out."""
        known = {name: value for name, value in values.items() if value is not None and isfinite(value)}
        if known:
            self.series.setdefault(key, Series()).take(now, known)

    def note(self, key: str, now: float, cells: Sequence[float | None], seconds: float = 1.0) -> None:
        """Cells of a battery at this moment."""
        self.series.setdefault(key, Series()).places.note(int(now // 3600), cells, seconds)

    def shares(self, key: str, now: float) -> tuple[list[float], list[float], float]:
        """Shares of the day that each cell was lowest and highest, and the hours that are known."""
        series = self.series.get(key)
        return series.places.shares(int(now // 3600)) if series else ([], [], 0.0)

    def adopt(self, other: "History", now: float) -> None:
        """Take the series of an earlier run over; batteries that are gone for longer than 30 days are forgotten."""
        oldest = now - max(step * rows for step, rows in TIERS)
        self.series.update({key: series for key, series in other.series.items() if series.newest() >= oldest})
        self.loaded()

    def loaded(self) -> None:
        """Series came from a file: time must not lie before them."""
        self._newest = max((series.newest() for series in self.series.values()), default=0.0)

    def answer(self, key: str, step: int, columns: Sequence[str], now: float) -> dict[str, object] | None:
        """A window up to now as the page gets it; None where there is no such tier."""
        rows = dict(TIERS).get(step)
        if rows is None:
            return None
        names = [name for name in columns[:LONGEST] if _exists(name)]
        number = int(now // step) - 1  # the newest step that can be closed
        series = self.series.get(key)
        ring = series.ring(step) if series else None
        ring = ring or Ring(step, rows)
        data = array("h")
        for name in names:
            data.extend(ring.last(name, number, rows))
        return {
            "of": key,
            "tier": step,
            "from": (number - rows + 1) * step,
            "rows": rows,
            "cols": names,
            "scale": [scale(name) for name in names],
            "data": base64.b64encode(little(data)).decode("ascii"),
        }


def _exists(name: str) -> bool:
    cell = name.removeprefix("cell_")
    return name in PACK or name in BANK or (name != cell and cell.isascii() and cell.isdecimal() and len(cell) < 3)


def little(data: "array[int]") -> bytes:
    """Bytes with the lowest first, whatever this computer prefers."""
    if array("h", (1,)).tobytes()[0] == 0:
        data = array("h", data)
        data.byteswap()
    return data.tobytes()
