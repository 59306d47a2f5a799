"""One battery as the bank sees it: heard, complete and possible, or the reason why it is not. Pure.

Whatever cannot be a number of a real battery (nothing, NaN, out of range) makes the whole battery count
as silent: a limit is never made from half a truth.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Final

from jkbms_addon.battery.alarms import alarm_text
from jkbms_addon.battery.quantities import Value, Values, specs
from jkbms_addon.charging.faults import Direction, faults, stops

Key = tuple[str, int]  # bus, address

SENSORS: Final = ("temperature_sensor_1", "temperature_sensor_2", "temperature_sensor_4", "temperature_sensor_5")
REQUIRED: Final = ("total_voltage", "current", "state_of_charge")
TOLD: Final = ("alarms", "charging", "discharging")  # what a battery that said it once must go on saying

# Outside of these nothing is true of any battery that the BMS knows.
POSSIBLE: Final[Mapping[str, tuple[float, float]]] = {
    "total_voltage": (1, 200),
    "current": (-1500, 1500),
    "state_of_charge": (0, 100),
    "state_of_health": (0, 100),
    "capacity_remaining": (0, 100000),
    "full_charge_capacity": (0, 100000),
    "mosfet_temperature": (-50, 150),
    **dict.fromkeys(SENSORS, (-50, 120)),
}
CELL_POSSIBLE: Final = (1.0, 4.5)


@dataclass(frozen=True, slots=True)
class Member:
    """What is known of one battery, by the keys of the table, and how old its live data is in s.

    ``fresh`` is the source's own judgement. Older than ``hold_after`` nothing may rise any more, older than
    ``stale_after`` the battery counts as silent: 2 and 5 s on a CAN bus, which never pauses, more where a
    battery is asked. ``required`` are keys without which it is not complete (the settings, where the format
    tells them), ``faults`` further reasons to leave it out.
    """

    bus: str
    address: int
    name: str
    values: Values
    age: float | None = 0.0
    fresh: bool = True
    faults: tuple[str, ...] = ()
    hold_after: float = 5.0
    stale_after: float = 10.0
    required: tuple[str, ...] = ()
    absent: str = ""  # why it does not count although it is heard

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
    closed: Mapping[Direction, bool]  # the MOSFETs, as far as they are known
    aging: bool
    values: Values = field(repr=False)

    def setting(self, key: str, low: float, high: float) -> float | None:
        """One of its settings; None where it is unknown or makes no sense."""
        value = number(self.values, key)
        return value if value is not None and low <= value <= high else None

    def stopped(self, direction: Direction) -> bool:
        """Whether an alarm or a fault says that no current may flow in a direction."""
        return bool(self.faults) or stops(self.alarms, direction)

    def usable(self, direction: Direction) -> bool:
        """Whether current may and can flow in a direction."""
        return self.closed[direction] and not self.stopped(direction)


@dataclass(frozen=True, slots=True)
class Judged:
    """The battery as far as it can be read, and why it must not be counted; ``faulty`` where an alarm says so."""

    view: View | None
    reason: str = ""
    faulty: bool = False


def number(values: Values, key: str) -> float | None:
    """A value that is a number; None otherwise."""
    value = values.get(key)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def cells_of(values: Values) -> list[tuple[int, float]]:
    """Number and voltage of each cell that exists."""
    cells = values.get("cell_voltage")
    listed = cells if isinstance(cells, tuple) else ()
    return [(n, cell) for n, cell in enumerate(listed, 1) if isinstance(cell, (int, float))]


def judged(member: Member, label: str) -> Judged:
    """What the bank thinks of a battery, taken by itself."""
    reason = _silent(member) or _no_number(member.values) or _incomplete(member)
    if reason:
        return Judged(None, reason)
    view = _view(member, label)
    if reason := _impossible(view):
        return Judged(view, reason)
    if raised := faults(view.alarms):
        return Judged(view, alarm_text(raised), faulty=True)
    if member.faults:
        return Judged(view, "; ".join(member.faults), faulty=True)
    return Judged(view)


def _silent(member: Member) -> str:
    if member.age is None or not isfinite(member.age):
        return "no data yet"
    if not member.fresh or member.age > member.stale_after:
        return member.absent or f"silent for {member.age:.0f} s"
    return ""


def _name(key: str) -> str:
    return specs()[key].name.lower() if key in specs() else key.replace("_", " ")


def _no_number(values: Values) -> str:
    for key, value in values.items():
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, float) and not isfinite(item):
                return f"{_name(key)} is not a number"
    return ""


def _incomplete(member: Member) -> str:
    values = member.values
    missing = [key for key in (*REQUIRED, *member.required) if values.get(key) is None]
    missing += [key for key in REQUIRED if key not in missing and number(values, key) is None]
    if not cells_of(values) and None in (number(values, "min_cell_voltage"), number(values, "max_cell_voltage")):
        missing.append("cell_voltage")
    return f"{_name(missing[0])} unknown" if missing else ""


def _impossible(view: View) -> str:
    for key, (low, high) in POSSIBLE.items():
        value = number(view.values, key)
        if value is not None and not low <= value <= high:
            return f"{_name(key)} of {value:g} is not possible"
    for extreme in (view.low, view.high):
        if not CELL_POSSIBLE[0] <= extreme.value <= CELL_POSSIBLE[1]:
            return f"cell {extreme.label} at {extreme.value:.2f} V is not possible"
    # loose on purpose: on a CAN bus cells and total are not measured at the same moment
    mean = view.voltage / view.cells
    if not 0.93 * view.low.value <= mean <= 1.07 * view.high.value:
        return f"{view.voltage:.1f} V does not fit {view.cells} cells"
    return ""


def _view(member: Member, label: str) -> View:
    values = member.values
    low, high = _cell_extremes(member, label)
    voltage, charge = _needed(values, "total_voltage"), _needed(values, "state_of_charge")
    capacity = number(values, "full_charge_capacity") or number(values, "total_battery_capacity") or None
    remaining = number(values, "capacity_remaining")
    if remaining is None and capacity is not None:
        remaining = capacity * charge / 100
    probes = _probes(member, label)
    return View(
        key=member.key,
        name=member.name,
        label=label,
        voltage=voltage,
        current=_needed(values, "current"),
        state_of_charge=charge,
        state_of_health=number(values, "state_of_health"),
        capacity=capacity,
        remaining=remaining,
        cells=_cell_count(values, voltage, (low.value + high.value) / 2),
        low=low,
        high=high,
        coldest=min(probes, key=_value, default=None),
        warmest=max(probes, key=_value, default=None),
        temperature=sum(map(_value, probes)) / len(probes) if probes else None,
        mosfet=number(values, "mosfet_temperature"),
        alarms=_alarms(values.get("alarms")),
        faults=member.faults,
        closed={"charge": _closed(values, "charging"), "discharge": _closed(values, "discharging")},
        aging=(member.age or 0) > member.hold_after,
        values=values,
    )


def _probes(member: Member, label: str) -> list[Extreme]:
    told = [(int(key[-1]), number(member.values, key)) for key in SENSORS]
    return [Extreme(value, f"{label}-T{n}", n, member.address) for n, value in told if value is not None]


def _value(extreme: Extreme) -> float:
    return extreme.value


def _needed(values: Values, key: str) -> float:
    value = number(values, key)
    assert value is not None
    return float(value)


def _alarms(value: Value) -> tuple[str, ...]:
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, tuple) else ()


def _closed(values: Values, mosfet: str) -> bool:
    return values.get(mosfet) is not False and values.get(f"{mosfet}_switch") is not False


def _cell_extremes(member: Member, label: str) -> tuple[Extreme, Extreme]:
    """Lowest and highest cell, over the list as well as what the BMS says itself."""
    values, address = member.values, member.address
    found = [Extreme(cell, f"{label}-{n}", n, address) for n, cell in cells_of(values)]
    for key, where in (("min_cell_voltage", "min_voltage_cell"), ("max_cell_voltage", "max_voltage_cell")):
        value, cell = number(values, key), int(number(values, where) or 0)
        if value is not None:
            found.append(Extreme(value, f"{label}-{cell or '?'}", cell, address))
    return min(found, key=_value), max(found, key=_value)


def _cell_count(values: Values, voltage: float, cell: float) -> int:
    """Cells in series: as listed, as set, or as total and cell voltage tell (at least 1)."""
    configured = number(values, "cell_count") or 0
    return len(cells_of(values)) or int(configured) or (max(1, round(voltage / cell)) if cell > 0 else 1)
