"""One battery as the bank sees it: heard, complete and possible, or the reason why it is not. Pure.

Whatever cannot be a number of a real battery (nothing, NaN, out of range) makes the whole battery count
as silent: a limit is never made from half a truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Final

from jkbms_addon.battery.alarms import Direction, alarm_of, alarm_text, faults, halting
from jkbms_addon.battery.possible import CELL, POSSIBLE
from jkbms_addon.battery.quantities import Pack, specs

Key = tuple[str, int]  # bus, address
TRUSTED: Final = {key: one.trusted for key, one in POSSIBLE.items()}
LOOSE: Final = (0.93, 1.07)  # mean of the cells against the lowest and the highest: not measured at one moment


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of one battery, and how old its live data is in s.

    ``pack`` is None with the reason in ``problem`` where its values are not usable. ``fresh`` is the source's own
    judgement. Older than ``hold_after`` nothing may rise any more, older than ``stale_after`` the battery counts as
    silent: 2 and 5 s on a CAN bus, which never pauses, more where a battery is asked. With ``settings_required`` it
    is not charged without them, ``faults`` are further reasons to leave it out. ``also`` are its other wires, and
    ``source`` is the one that tells its live data.
    """

    bus: str
    address: int
    name: str
    pack: Pack | None
    age: float | None = 0.0
    fresh: bool = True
    problem: str = ""
    faults: tuple[str, ...] = ()
    hold_after: float = 5.0
    stale_after: float = 10.0
    settings_required: bool = False
    absent: str = ""  # why it does not count although it is heard
    also: frozenset[Key] = frozenset()
    source: Key | None = None

    @property
    def key(self) -> Key:
        """Bus and address."""
        return self.bus, self.address


@dataclass(frozen=True, slots=True)
class Extreme:
    """A highest or lowest value and where it is, such as cell ``2-11``: number 11 of battery 2."""

    value: float
    label: str
    number: int
    address: int = 0

    @property
    def code(self) -> int:
        """Place as one number: address x 100 + number."""
        return self.address * 100 + self.number


@dataclass(frozen=True, slots=True)
class View:
    """A battery whose numbers can be reckoned with; V, A, %, Ah, °C."""

    key: Key
    name: str
    label: str
    voltage: float
    current: float
    state_of_charge: float
    state_of_health: float | None
    capacity: float | None
    remaining: float | None
    cells: int
    low: Extreme
    high: Extreme
    coldest: Extreme | None
    warmest: Extreme | None
    temperature: float | None  # mean of its sensors
    mosfet: float | None
    alarms: tuple[str, ...]
    faults: tuple[str, ...]  # known otherwise than by alarms
    unset: str  # the first setting that should be known and is not
    charge_closed: bool  # the MOSFETs, as far as they are known
    discharge_closed: bool
    may_charge: bool
    may_discharge: bool
    pack: Pack = field(repr=False)

    def may(self, direction: Direction) -> bool:
        """Whether current may and can flow in a direction."""
        return self.may_charge if direction == "charge" else self.may_discharge

    def hindered(self, direction: Direction) -> str:
        """Why no current may flow in a direction; empty where it may."""
        if self.may(direction):
            return ""
        if self.faults:
            return f"pack {self.label}: {'; '.join(self.faults)}"
        if raised := halting(self.alarms, direction):
            return f"pack {self.label}: {alarm_text(raised)}"
        if self.unset and direction == "charge":
            return f"pack {self.label}: {self.unset} unknown"
        return f"{direction} MOSFET of pack {self.label} off"


@dataclass(frozen=True, slots=True)
class Judged:
    """The battery as far as it can be read, and why it must not be counted; ``faulty`` where it says so itself."""

    view: View | None
    reason: str = ""
    faulty: bool = False


def judged(candidate: Candidate, label: str) -> Judged:
    """What the bank thinks of a battery, taken by itself."""
    pack = candidate.pack
    reason = silent(candidate) or (_incomplete(pack) if pack else "")
    if pack is None or reason:
        return Judged(None, reason or candidate.problem or "no data yet")
    view = _view(candidate, pack, label)
    if reason := _impossible(view):
        return Judged(view, reason)
    if candidate.faults:
        return Judged(view, "; ".join(candidate.faults), faulty=True)
    if view.may_charge or view.may_discharge or not (raised := _both(view.alarms)):
        return Judged(view)
    return Judged(view, alarm_text(raised), faulty=True)


def silent(candidate: Candidate) -> str:
    """Why a battery counts as silent; empty where it is heard."""
    if candidate.age is None or not isfinite(candidate.age):
        return "no data yet"
    if not candidate.fresh or candidate.age > candidate.stale_after:
        return candidate.absent or f"silent for {candidate.age:.0f} s"
    return ""


def _both(alarms: tuple[str, ...]) -> tuple[str, ...]:
    """Raised faults, where they forbid both directions."""
    stopped = {direction for name in alarms for direction in alarm_of(name).concerns if alarm_of(name).halts(direction)}
    return faults(alarms) if len(stopped) > 1 else ()


def _named(key: str) -> str:
    name = specs()[key].name
    return " ".join(word if word.isupper() else word.lower() for word in name.split())


def _incomplete(pack: Pack) -> str:
    missing = ""
    if pack.total_voltage is None or pack.current is None or pack.state_of_charge is None:
        known = (("total_voltage", pack.total_voltage), ("current", pack.current))
        missing = _first_unknown(known) or _named("state_of_charge")
    elif (pack.min_cell_voltage is None or pack.max_cell_voltage is None) and not _listed(pack):
        missing = _named("cell_voltage")
    return f"{missing} unknown" if missing else ""


def _listed(pack: Pack) -> int:
    """How many cells are told one by one."""
    return len(pack.cell_voltage) - pack.cell_voltage.count(None)


def _unset(pack: Pack) -> str:
    """Settings without which a limit would be a guess; where they are asked for they come within seconds."""
    return _first_unknown(
        (
            ("max_charge_current", pack.max_charge_current),
            ("max_discharge_current", pack.max_discharge_current),
            ("cell_voltage_overvoltage_protection", pack.cell_voltage_overvoltage_protection),
            ("cell_voltage_undervoltage_protection", pack.cell_voltage_undervoltage_protection),
        )
    )


def _first_unknown(values: Sequence[tuple[str, float | None]]) -> str:
    return next((_named(key) for key, value in values if value is None), "")


def _impossible(view: View) -> str:
    pack = view.pack
    for key, value in (
        ("total_voltage", view.voltage),
        ("current", view.current),
        ("state_of_charge", view.state_of_charge),
        ("state_of_health", view.state_of_health),
        ("capacity_remaining", pack.capacity_remaining),
        ("full_charge_capacity", pack.full_charge_capacity),
        ("mosfet_temperature", view.mosfet),
        ("temperature_sensor_1", pack.temperature_sensor_1),
        ("temperature_sensor_2", pack.temperature_sensor_2),
        ("temperature_sensor_4", pack.temperature_sensor_4),
        ("temperature_sensor_5", pack.temperature_sensor_5),
    ):
        if value is None:
            continue
        low, high = TRUSTED[key]
        if not low <= value <= high:
            return f"{_named(key)} of {value:g} is not possible"
    for extreme in (view.low, view.high):
        if not CELL.trusts(extreme.value):
            return f"cell {extreme.label} at {extreme.value:.2f} V is not possible"
    mean = view.voltage / view.cells
    if not LOOSE[0] * view.low.value <= mean <= LOOSE[1] * view.high.value:
        return f"{view.voltage:.1f} V does not fit {view.cells} cells"
    return ""


def _view(candidate: Candidate, pack: Pack, label: str) -> View:
    assert pack.total_voltage is not None
    assert pack.current is not None
    assert pack.state_of_charge is not None
    low, high = _cell_extremes(pack, label, candidate.address)
    capacity = pack.full_charge_capacity or pack.total_battery_capacity or None
    remaining = pack.capacity_remaining
    if remaining is None and capacity is not None:
        remaining = capacity * pack.state_of_charge / 100
    coldest, warmest, temperature = _probes(pack, label, candidate.address)
    alarms = pack.alarms or ()
    unset = _unset(pack) if candidate.settings_required else ""
    charge_closed = pack.charging is not False and pack.charging_switch is not False
    discharge_closed = pack.discharging is not False and pack.discharging_switch is not False
    return View(
        key=candidate.key,
        name=candidate.name,
        label=label,
        voltage=pack.total_voltage,
        current=pack.current,
        state_of_charge=pack.state_of_charge,
        state_of_health=pack.state_of_health,
        capacity=capacity,
        remaining=remaining,
        cells=_cell_count(pack, pack.total_voltage, (low.value + high.value) / 2),
        low=low,
        high=high,
        coldest=coldest,
        warmest=warmest,
        temperature=temperature,
        mosfet=pack.mosfet_temperature,
        alarms=alarms,
        faults=candidate.faults,
        unset=unset,
        charge_closed=charge_closed,
        discharge_closed=discharge_closed,
        may_charge=charge_closed and not (candidate.faults or unset or halting(alarms, "charge")),
        may_discharge=discharge_closed and not candidate.faults and not halting(alarms, "discharge"),
        pack=pack,
    )


def _probes(pack: Pack, label: str, address: int) -> tuple[Extreme | None, Extreme | None, float | None]:
    """Coldest and warmest sensor, and the mean of all."""
    told = (
        (1, pack.temperature_sensor_1),
        (2, pack.temperature_sensor_2),
        (4, pack.temperature_sensor_4),
        (5, pack.temperature_sensor_5),
    )
    known = [(value, n) for n, value in told if value is not None]
    if not known:
        return None, None, None
    low, high = min(known, key=_first), max(known, key=_first)
    mean = sum([value for value, _ in known]) / len(known)
    coldest, warmest = (Extreme(value, f"{label}-T{n}", n, address) for value, n in (low, high))
    return coldest, warmest, mean


def _first(pair: tuple[float, int]) -> float:
    return pair[0]


def _cell_extremes(pack: Pack, label: str, address: int) -> tuple[Extreme, Extreme]:
    """Lowest and highest cell, over the list as well as what the BMS says itself."""
    told = pack.cell_voltage
    cells = told if None not in told else tuple([cell for cell in told if cell is not None])
    low, high = pack.min_cell_voltage, pack.max_cell_voltage
    lowest, highest = (min(cells), max(cells)) if cells else (None, None)  # type: ignore[type-var]
    if lowest is None or (low is not None and low < lowest):
        lowest, low_at = low, int(pack.min_voltage_cell or 0)
    else:
        low_at = told.index(lowest) + 1
    if highest is None or (high is not None and high > highest):
        highest, high_at = high, int(pack.max_voltage_cell or 0)
    else:
        high_at = told.index(highest) + 1
    assert lowest is not None
    assert highest is not None
    return (
        Extreme(lowest, f"{label}-{low_at or '?'}", low_at, address),
        Extreme(highest, f"{label}-{high_at or '?'}", high_at, address),
    )


def _cell_count(pack: Pack, total: float, cell: float) -> int:
    """Cells in series: as listed, as set, or as total and cell voltage tell (at least 1)."""
    return _listed(pack) or int(pack.cell_count or 0) or (max(1, round(total / cell)) if cell > 0 else 1)
