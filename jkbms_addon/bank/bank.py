"""Several batteries in parallel as one: which of them count, and what they are together. Pure.

A battery that is silent, faulty or implausible leaves at once and is named; one that left comes back only
after ``rejoin_after`` seconds of good data and when its voltage is within ``window`` of the others', for
a pack connected 2 V away draws an equalising current that nobody limits. The others are those that can serve
the house: a pack whose discharge MOSFET is off may lie anywhere, and must not keep them out. Settings that a battery
does not tell any more stay as they were. Sums, means and shares are made over the counted packs alone. When every
battery that is heard has a fault, those are counted, so that an empty battery can still be charged; ``faulty`` says so.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median_low
from typing import Final

from jkbms_addon.bank.candidate import Candidate, Extreme, Judged, Key, View, judged, silent
from jkbms_addon.battery.alarms import Direction
from jkbms_addon.battery.quantities import Pack, Value, typed

TOLD: Final = ("alarms", "charging", "discharging")  # what a battery that said it once must go on saying
LATER: Final = 2  # times as long waits who cannot serve the house
# what limits are made from and stays as it was until a battery says something else
LASTING: Final = (
    *("cell_voltage_overvoltage_protection", "cell_voltage_undervoltage_protection", "battery_type"),
    *("total_voltage_overvoltage_protection", "total_voltage_undervoltage_protection"),
    *("cell_request_charge_voltage", "cell_request_float_voltage", "max_charge_current", "max_discharge_current"),
    *("charge_undertemperature_protection", "charge_overtemperature_protection"),
    *("discharging_low_temperature_protection", "discharge_overtemperature_protection"),
    *("temperature_sensor_temperature_protection", "mosfet_overtemperature_protection"),
)
Lasting = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Excluded:
    """A battery that does not count, and why; ``view`` as far as it is heard."""

    key: Key
    name: str
    label: str
    reason: str
    view: View | None = None

    @property
    def text(self) -> str:
        """Name and reason in one line."""
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class BankState:
    """All counted batteries as one; V, A, W, %, Ah, °C. Everything is None when none counts."""

    counted: tuple[View, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    expected: int = 0
    faulty: bool = False
    aging: bool = False  # a counted pack's data is so old that no limit may rise
    aliases: frozenset[Key] = frozenset()  # other wires of packs that are heard

    @property
    def total_voltage(self) -> float | None:
        """Mean of the packs."""
        return _mean([view.voltage for view in self.counted])

    @property
    def voltage_spread(self) -> float | None:
        """Difference of the packs' voltages; above 1 V something is wrong with the wiring."""
        voltages = [view.voltage for view in self.counted]
        return max(voltages) - min(voltages) if voltages else None

    @property
    def current(self) -> float | None:
        """Sum, positive while charging."""
        return sum(view.current for view in self.counted) if self.counted else None

    @property
    def power(self) -> float | None:
        """Sum, positive while charging."""
        return sum(view.voltage * view.current for view in self.counted) if self.counted else None

    @property
    def state_of_charge(self) -> float | None:
        """Mean weighted by capacity."""
        return _weighted([(view.state_of_charge, weight) for view, weight in weights(self.counted)])

    @property
    def state_of_health(self) -> float | None:
        """Mean weighted by capacity, of the packs that tell it."""
        told = [(view.state_of_health, weight) for view, weight in weights(self.counted)]
        return _weighted([(health, weight) for health, weight in told if health is not None])

    @property
    def capacity_remaining(self) -> float | None:
        """Sum; None when one pack's is unknown."""
        return _sum([view.remaining for view in self.counted])

    @property
    def full_charge_capacity(self) -> float | None:
        """Sum; None when one pack's is unknown."""
        return _sum([view.capacity for view in self.counted])

    @property
    def min_cell(self) -> Extreme | None:
        """Lowest cell of all packs."""
        return min((view.low for view in self.counted), key=_value, default=None)

    @property
    def max_cell(self) -> Extreme | None:
        """Highest cell of all packs."""
        return max((view.high for view in self.counted), key=_value, default=None)

    @property
    def delta_cell_voltage(self) -> float | None:
        """Between the lowest and the highest cell of all packs."""
        low, high = self.min_cell, self.max_cell
        return high.value - low.value if low and high else None

    @property
    def min_temperature(self) -> Extreme | None:
        """Coldest battery sensor."""
        return min((view.coldest for view in self.counted if view.coldest), key=_value, default=None)

    @property
    def max_temperature(self) -> Extreme | None:
        """Warmest battery sensor."""
        return max((view.warmest for view in self.counted if view.warmest), key=_value, default=None)

    @property
    def temperature(self) -> float | None:
        """Mean of the packs."""
        return _mean([view.temperature for view in self.counted if view.temperature is not None])

    @property
    def sharing(self) -> dict[str, float]:
        """Percentage of the current that each pack carries; empty where there is hardly any."""
        total = self.current or 0.0
        if abs(total) < 1:
            return {}
        return {view.label: 100 * view.current / total for view in self.counted}

    @property
    def sharing_error(self) -> float | None:
        """How many percent points the worst pack is away from its share by capacity."""
        sharing, weighted = self.sharing, weights(self.counted)
        total = sum(weight for _, weight in weighted)
        errors = [abs(sharing[view.label] - 100 * weight / total) for view, weight in weighted if sharing]
        return max(errors, default=None)

    @property
    def packs_online(self) -> int:
        """Packs that count."""
        return len(self.counted)

    def blocking(self, direction: Direction) -> int:
        """Counted packs through which no current may flow in a direction."""
        return sum(not view.may(direction) for view in self.counted)

    @property
    def heard(self) -> Iterator[View]:
        """All packs of which something is known, whether they count or not."""
        yield from self.counted
        yield from (one.view for one in self.excluded if one.view)


def _value(extreme: Extreme) -> float:
    return extreme.value


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _weighted(pairs: Sequence[tuple[float, float]]) -> float | None:
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total > 0 else None


def weights(views: Sequence[View]) -> list[tuple[View, float]]:
    """Each pack with its capacity; all alike where one capacity is unknown."""
    if any(view.capacity is None for view in views):
        return [(view, 1.0) for view in views]
    return [(view, view.capacity or 0.0) for view in views]


class BatteryBank:
    """Remembers who counted and since when the others have been good again. Times are seconds of one clock."""

    def __init__(
        self,
        expected: int = 0,
        rejoin_after: float = 10.0,
        window: float = 1.0,
        settings: Mapping[Key, Lasting] | None = None,
    ) -> None:
        self.settings: dict[Key, Lasting] = dict(settings or {})  # as each battery told them last
        self.expected, self._rejoin_after, self._window = expected, rejoin_after, window
        self._known: dict[Key, tuple[str, str]] = {}  # name and label
        self._told: dict[tuple[Key, Key | None], frozenset[str]] = {}  # by battery and the wire that tells it
        self._verdicts: dict[Key, tuple[Pack | None, object, Judged]] = {}
        self._counted: set[Key] = set()
        self._left: set[Key] = set()
        self._good_since: dict[Key, float] = {}
        self._reference = 0.0

    def step(self, candidates: Iterable[Candidate], now: float) -> BankState:
        """The bank at this moment."""
        listed = {candidate.key: candidate for candidate in candidates}
        self._forget({key for one in listed.values() for key in one.also} - listed.keys())
        everybody = self._judged(listed)
        healthy = self._healthy(everybody, listed, now)
        joined = self._joined(healthy, now)
        counted = joined or {key for key, one in everybody.items() if one.faulty}
        self._left = (self._left | self._counted) - counted
        if self._left and not counted:
            self._left |= self._known.keys()  # nobody is there any more, and who was too far away is the first no more
        self._counted = counted
        views = tuple(one.view for key, one in everybody.items() if key in counted and one.view)
        excluded = tuple(self._excluded(key, one, now) for key, one in everybody.items() if key not in counted)
        aging = any((listed[view.key].age or 0.0) > listed[view.key].hold_after for view in views)
        faulty = bool(counted) and not joined
        expected = max(self.expected, len(self._known))
        also = [listed[key].also for key, one in everybody.items() if one.view]
        return BankState(views, excluded, expected, faulty=faulty, aging=aging, aliases=frozenset().union(*also))

    def _forget(self, wires: set[Key]) -> None:
        """These turned out to be wires of batteries that go by another one."""
        for key in wires & self._known.keys():
            del self._known[key]
            self._verdicts.pop(key, None)
        self._counted -= wires
        self._left -= wires

    def _judged(self, listed: Mapping[Key, Candidate]) -> dict[Key, Judged]:
        self._name(listed.values())
        found = {key: Judged(None, "not heard any more") for key in self._known if key not in listed}
        for key, candidate in listed.items():
            found[key] = self._one(candidate)
        return dict(sorted(found.items()))

    def _one(self, candidate: Candidate) -> Judged:
        """The verdict on one battery; while it says nothing new it stays the same."""
        reason = silent(candidate)
        if reason:
            return Judged(None, reason)
        before = self._verdicts.get(candidate.key)
        label = self._known[candidate.key][1]
        asked = (label, candidate.faults, candidate.problem, candidate.settings_required)
        if before and before[0] is candidate.pack and before[1] == asked:
            return before[2]
        verdict = self._consistent(candidate, self._settled(candidate.key, judged(candidate, label)))
        self._verdicts[candidate.key] = (candidate.pack, asked, verdict)
        return verdict

    def _name(self, candidates: Iterable[Candidate]) -> None:
        fresh = {one.key: one.name for one in candidates if self._known.get(one.key, ("",))[0] != one.name}
        if not fresh:
            return
        names = {key: name for key, (name, _) in self._known.items()} | fresh
        addresses = [address for _, address in names]
        for key, name in names.items():
            bus, address = key
            self._known[key] = name, f"{address}" if addresses.count(address) == 1 else f"{bus}/{address}"

    def _settled(self, key: Key, one: Judged) -> Judged:
        """With the settings that are not told any more: what would be supposed instead may be more than they allow."""
        if one.view is None:
            return one
        pack = one.view.pack
        told: Lasting = {name: value for name in LASTING if (value := getattr(pack, name)) is not None}
        known = self.settings[key] = self.settings.get(key, {}) | told
        if len(known) == len(told):
            return one
        return replace(one, view=replace(one.view, pack=typed(dict(pack) | known)))

    def _consistent(self, candidate: Candidate, one: Judged) -> Judged:
        """A battery that told its alarms or MOSFET states once and does not any more may hide the worst."""
        if one.view is None:
            return one
        pack = one.view.pack
        if pack.alarms is not None and pack.charging is not None and pack.discharging is not None:
            self._told[candidate.key, candidate.source] = frozenset(TOLD)
            return one
        telling, where = _telling(pack), (candidate.key, candidate.source)
        told = self._told[where] = self._told.get(where, frozenset()) | telling
        lost = [key for key in TOLD if key in told and key not in telling]
        if lost and not one.reason:
            return Judged(one.view, f"{' and '.join(lost)} not heard any more")
        return one

    def _healthy(self, everybody: dict[Key, Judged], listed: Mapping[Key, Candidate], now: float) -> dict[Key, View]:
        healthy = {key: one.view for key, one in everybody.items() if one.view and not one.reason}
        # good since it was heard, not since somebody looked
        self._good_since = {key: self._good_since.get(key, now - (listed[key].age or 0.0)) for key in healthy}
        return healthy

    def _steady(self, key: Key, view: View, now: float) -> bool:
        return key not in self._left or now - self._good_since[key] >= self._waits(view)

    def _waits(self, view: View) -> float:
        """Seconds of good data; who cannot serve the house must not be back first, or it goes dark for a moment."""
        return self._rejoin_after if view.discharge_closed else LATER * self._rejoin_after

    def _joined(self, healthy: dict[Key, View], now: float) -> set[Key]:
        """Packs that count already, and those that are steady and close enough to them."""
        steady = {key: view for key, view in healthy.items() if key in self._counted or self._steady(key, view, now)}
        if not steady:
            return set()
        others = {key: view for key, view in steady.items() if view.discharge_closed} or steady
        present = [view.voltage for key, view in others.items() if key in self._counted]
        voltages = [view.voltage for view in others.values()]
        self._reference = sum(present) / len(present) if present else median_low(voltages)
        return {key for key, view in steady.items() if key in self._counted or self._close(view)}

    def _close(self, view: View) -> bool:
        return abs(view.voltage - self._reference) <= self._window

    def _excluded(self, key: Key, one: Judged, now: float) -> Excluded:
        name, label = self._known[key]
        reason = one.reason
        if not reason and one.view and not self._steady(key, one.view, now):
            reason = f"good for {now - self._good_since[key]:.0f} of {self._waits(one.view):.0f} s"
        elif not reason and one.view:
            away = one.view.voltage - self._reference
            reason = f"{one.view.voltage:.1f} V, {abs(away):.1f} V {'above' if away > 0 else 'below'} the others"
        return Excluded(key, name, label, reason, one.view)


def _telling(pack: Pack) -> frozenset[str]:
    told = {"alarms": pack.alarms, "charging": pack.charging, "discharging": pack.discharging}
    return frozenset(key for key, value in told.items() if value is not None)
