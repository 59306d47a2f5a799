"""Whether a reading that passed its weak checksum may be believed.

A sum of bytes lets one damaged frame in some hundreds pass. Three kinds of rules stand against that, each
row with its reason: what cannot be is dropped and counted (``CONTRADICTIONS``); what no battery does
between two frames (``JUMPS``), or where the frame's own redundant fields disagree (``Reading.doubts``),
must be said twice before it is believed. So must the first frame of every battery, and every change of a
setting, so that damage never makes a device or a value.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal

from jkbms_addon.battery import settings
from jkbms_addon.battery.possible import CELL, POSSIBLE
from jkbms_addon.battery.quantities import Values
from jkbms_addon.battery.reading import Reading

Verdict = Literal["accepted", "held", "rejected"]
Who = tuple[int | None, str]  # address and kind of message


def _number(values: Values, key: str) -> float | None:
    value = values.get(key)
    return value if isinstance(value, (int, float)) else None


def _cells(values: Values) -> Sequence[float]:
    cells = values.get("cell_voltage")
    if not isinstance(cells, tuple):
        return ()
    # hardly ever one is missing, and this is looked at with every frame
    return cells if None not in cells else [cell for cell in cells if cell is not None]  # type: ignore[return-value, misc]


# A loose sense wire makes a cell read wrong while the pack is fine; then the BMS says so itself.
_WIRE_ALARMS = {"cell_count_differs_from_setting", "balance_wire_resistance_too_large"}


def _sum_differs(values: Values) -> bool:
    total, cells = _number(values, "total_voltage"), _cells(values)
    alarms = values.get("alarms")
    if total is None or "cell_voltage" not in values:
        return False
    if alarms and isinstance(alarms, tuple) and _WIRE_ALARMS & set(alarms):
        return False
    return abs(sum(cells) - total) > 0.05 + 0.01 * total if cells else total > 1


def _outside(*keys: str) -> Callable[[Values], bool]:
    bounds = [(key, *POSSIBLE[key].shown) for key in keys]

    def broken(values: Values) -> bool:
        for key, low, high in bounds:
            value = values.get(key)
            if isinstance(value, (int, float)) and not low <= value <= high:
                return True
        return False

    return broken


def _cell_impossible(values: Values) -> bool:
    cells = _cells(values)
    return bool(cells) and not (CELL.shows(min(cells)) and CELL.shows(max(cells)))


def _capacity_impossible(values: Values) -> bool:
    remaining, full = _number(values, "capacity_remaining"), _number(values, "full_charge_capacity")
    return remaining is not None and full is not None and remaining > 1 + 1.1 * full


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Something that cannot be true of any battery, and why."""

    name: str
    reason: str
    broken: Callable[[Values], bool]


def _by_name() -> Iterator[Contradiction]:
    """Rules of the table of what is possible, one for each name."""
    for one in dict.fromkeys(POSSIBLE.values()):
        if any(isfinite(bound) for bound in one.shown):
            keys = (key for key, other in POSSIBLE.items() if other.name == one.name)
            yield Contradiction(one.name, one.reason, _outside(*keys))


CONTRADICTIONS = (
    Contradiction(
        "cells against total voltage",
        "the cells are in series: their sum is the pack voltage (within 6 mV in every captured frame)",
        _sum_differs,
    ),
    Contradiction(CELL.name, CELL.reason, _cell_impossible),
    *{rule.name: rule for rule in _by_name()}.values(),
    Contradiction("capacity", "more cannot remain than a full battery holds", _capacity_impossible),
    Contradiction("setting", "far outside of what the vendor's application offers", settings.impossible),
)


def contradiction(values: Values, without: frozenset[str] = frozenset()) -> str | None:
    """Name of the first rule that the values break by themselves; None when they are possible."""
    for rule in CONTRADICTIONS:
        if rule.broken(values) and rule.name not in without:
            return rule.name
    return None


@dataclass(frozen=True, slots=True)
class Jump:
    """How far a quantity may move: at once, and further with every second that passed; and why."""

    key: str
    at_once: float
    per_second: float
    reason: str


JUMPS = (
    Jump("state_of_charge", 1, 0.05, "charge moves in hours"),
    Jump("state_of_health", 0, 0, "wear moves in months"),
    Jump("capacity_remaining", 0.005, 0.2, "600 A move 0.17 Ah a second"),
    Jump("full_charge_capacity", 0, 0, "learned at a full cycle only"),
    Jump("charging_cycles", 0, 0.01, "a cycle takes hours"),
    Jump("total_charging_cycle_capacity", 0.005, 0.2, "600 A move 0.17 Ah a second"),
    Jump("total_runtime", 2, 1.1, "a clock"),
    Jump("total_voltage", 0.4, 0.1, "larger steps come only with a switched load, which lasts"),
    Jump("mosfet_temperature", 0.5, 0.5, "heat has inertia"),
    Jump("temperature_sensor_1", 0.3, 0.1, "heat has inertia"),
    Jump("temperature_sensor_2", 0.3, 0.1, "heat has inertia"),
    Jump("temperature_sensor_4", 0.3, 0.1, "heat has inertia"),
    Jump("temperature_sensor_5", 0.3, 0.1, "heat has inertia"),
    Jump("balancing_current", 0.1, 0, "the balancer moves one constant current at a time"),
    Jump("emergency_time_countdown", 2, 1.1, "a clock"),
    Jump("smart_sleep_countdown", 2, 1.1, "a clock"),
    Jump("charge_status_time_elapsed", 2, 1.1, "a clock"),
    Jump("detail_log_entry_count", 0, 0.05, "events are rare"),
    Jump("heating_current", 0.1, 0.1, "a heater has one power"),
)
# Where the first generation (UART-TTL protocol) moves in another way than the PB series, for which JUMPS is.
COARSE = (
    Jump("current", 2.5, 0, "nothing else in the frame bears it out; one bit of its high byte is 2.56 A"),
    Jump("capacity_remaining", inf, 0, "the state of charge, which is doubted itself, times a confirmed setting"),
    Jump("total_charging_cycle_capacity", 1, 0.2, "counted in whole Ah; by firmware up to 10 in steps of 256"),
    Jump("total_runtime", 60, 1.1, "a clock of minutes; with firmware up to 10 of 256 minutes"),
    Jump("mosfet_temperature", 1, 0.5, "whole degrees"),
    Jump("temperature_sensor_1", 1, 0.1, "whole degrees"),
    Jump("temperature_sensor_2", 1, 0.1, "whole degrees"),
)
FIRST_GENERATION = (*(jump for jump in JUMPS if jump.key not in {coarse.key for coarse in COARSE}), *COARSE)


@dataclass(frozen=True, slots=True)
class Belief:
    """What it takes to believe a format: its jump table, and whether a first word must be said twice.

    ``without`` names rules that do not hold, ``ordinary`` doubts that healthy batteries raise all the time, so that
    they are no sign of damage. ``still_for`` is after how many seconds of the very same words a source counts as
    frozen: longer than the running time of a sound one stands still.
    """

    jumps: Sequence[Jump]
    twice: bool = True
    without: frozenset[str] = frozenset()
    ordinary: frozenset[str] = frozenset(("first seen", "changed"))
    still_for: float = 60.0


BELIEFS = {
    "pb": Belief(JUMPS),
    # a clock of minutes: a sound battery that rests says the same for up to one of them
    "ttl": Belief(FIRST_GENERATION, ordinary=frozenset(("first seen", "changed", "states", "current")), still_for=66.0),
    # CAN has a checksum of its own, so nothing must be told twice; the cells are up to a second older than the
    # voltage, and the bus compares them over time
    "can": Belief((), twice=False, without=frozenset(("cells against total voltage",))),
}
# of a plug-in, whose transport is its own affair
FOREIGN = Belief(JUMPS, twice=False)
CELL_JUMP = 0.003  # V that one cell may move against the mean of all; cells in series share their load
RESISTANCE_JUMP = 0  # ohm; the balancer's measurement of a wire stands still for hours
# what a load that switches moves in one frame and not in another, as the frame's own statistics lag
SWITCHED = frozenset(("total_voltage", "cell_voltage", "average", "power", "second voltage", "spread", "extremes"))
RESTLESS = 20.0  # seconds from one switching to the next: two cycles of a slow master
TOLERATED = 60.0  # seconds for which a battery that moves like that again and again is not doubted for it


def jumps(before: Values, after: Values, seconds: float, table: Sequence[Jump] = JUMPS) -> frozenset[str]:
    """Names of quantities that moved further than a battery's do in that time."""
    found = {
        jump.key
        for jump in table
        if (old := before.get(jump.key)) != (new := after.get(jump.key))
        and (
            not isinstance(old, (int, float))
            or not isinstance(new, (int, float))
            or abs(new - old) > jump.at_once + jump.per_second * seconds
        )
    }
    if _moved_apart(before, after, "cell_voltage", CELL_JUMP, relative=True):
        found.add("cell_voltage")
    if _moved_apart(before, after, "cell_resistance", RESISTANCE_JUMP, relative=False):
        found.add("cell_resistance")
    return frozenset(found)


def _moved_apart(before: Values, after: Values, key: str, limit: float, *, relative: bool) -> bool:
    old, new = before.get(key), after.get(key)
    if old == new or not isinstance(old, tuple) or not isinstance(new, tuple):
        return old != new
    if len(old) != len(new):
        return True
    moves = [float(b) - float(a) for a, b in zip(old, new, strict=True) if a is not None and b is not None]
    common = sum(moves) / len(moves) if relative and moves else 0.0
    return any(abs(move - common) > limit for move in moves)


@dataclass(slots=True)
class _Told:
    """What a battery said, when, and what was doubted of it."""

    reading: Reading
    at: float
    found: frozenset[str] = frozenset()


def _alike(held: _Told, now: float) -> frozenset[str]:
    """What may be doubted of the next reading, too, of a battery that moves like that."""
    switched = held.found & SWITCHED and now - held.at <= RESTLESS
    return held.found - {"first seen"} | (SWITCHED if switched else frozenset())


class Gate:
    """Decides for each battery which of its readings are believed.

    What is doubted is held until the next reading says the same. A battery that moves in the same doubtful
    way twice running (a load that switches all the time) is believed and not doubted for that for a while.
    """

    FORGET = 120.0  # seconds without a word after which a battery must prove itself anew

    def __init__(self, belief: Belief | Sequence[Jump] = BELIEFS["pb"]) -> None:
        self._belief = belief if isinstance(belief, Belief) else Belief(belief)
        self._table = self._belief.jumps
        self._believed: dict[Who, _Told] = {}
        self._held: dict[Who, _Told] = {}
        self._tolerated: dict[tuple[Who, str], float] = {}
        self.reason = ""

    def admit(self, reading: Reading, now: float) -> Verdict:
        """Verdict on a reading; ``reason`` says why it was not accepted."""
        broken = contradiction(reading.values, self._belief.without)
        if broken:
            self.reason = broken
            return "rejected"
        if not self._table:
            self.reason = ""
            return "accepted"
        who: Who = (reading.address, reading.kind)
        found = self._found(who, reading, now)
        self.reason = ", ".join(sorted(found))
        if found:
            self._held[who] = _Told(reading, now, found)
            return "held"
        self._held.pop(who, None)
        self._believed[who] = _Told(reading, now)
        return "accepted"

    def forget(self, address: int | None) -> None:
        """A battery went away: when it is back it proves itself anew."""
        for told in (self._believed, self._held):
            for who in [who for who in told if who[0] == address]:
                del told[who]

    def _found(self, who: Who, reading: Reading, now: float) -> frozenset[str]:
        """What is doubted of a reading; empty when an earlier one, believed or held, bears it out."""
        doubts: list[frozenset[str]] = []
        for known in (self._held, self._believed):
            told = known.get(who)
            if told and (now - told.at <= self.FORGET or reading.kind != "live"):
                doubts.append(self._against(who, told, reading, now))
        if not self._belief.twice and (reading.kind != "live" or not doubts):
            return frozenset()  # a setting or a first word is taken as it is said
        found = min(doubts, key=len, default=frozenset({"first seen"}))
        held = self._held.get(who)
        if found and held and reading.kind == "live" and found <= _alike(held, now):
            self._tolerated.update({(who, name): now + TOLERATED for name in found})
            return frozenset()
        return found

    def _against(self, who: Who, told: _Told, reading: Reading, now: float) -> frozenset[str]:
        before = told.reading
        if reading.kind != "live":
            return frozenset() if before.values == reading.values else frozenset({"changed"})
        found = (reading.doubts - before.doubts) | jumps(before.values, reading.values, now - told.at, self._table)
        if reading.fingerprint != before.fingerprint:
            found |= {"states"}
        return frozenset(name for name in found if self._tolerated.get((who, name), 0) < now)
