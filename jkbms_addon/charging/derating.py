"""How much current one pack bears now: its setting, tapered by cells, temperatures and charge. Pure.

A taper falls in a straight line from 1 to 0. Once it has reached 0 it stays there until the value has come
back some way (``release``), so that a limit at its edge does not flutter.
"""

from dataclasses import dataclass

from jkbms_addon.bank.candidate import Extreme, Key, View
from jkbms_addon.charging.cell_limits import Bounds
from jkbms_addon.charging.faults import Direction
from jkbms_addon.charging.setpoints import Policy

MARGIN = 0.9  # of the packs' limits, because currents are never shared ideally
C_RATE = 0.5  # A per Ah where neither setting nor option is known


@dataclass(frozen=True, slots=True)
class Limit:
    """A current in A and the reason for it."""

    amps: float
    why: str


@dataclass(frozen=True, slots=True)
class Taper:
    """A value, where it stops the current, where it hinders no more, and where a stop ends."""

    kind: str
    value: float
    zero: float
    full: float
    release: float
    why: str
    floor: float = 0.0

    @property
    def factor(self) -> float:
        """1 at ``full``, 0 (or ``floor``) at ``zero``, a straight line between."""
        factor = (self.value - self.zero) / (self.full - self.zero)
        # a value at its limit is at its limit, however its last bit was rounded
        return min(1.0, max(self.floor, factor)) if factor > 1e-6 else self.floor

    @property
    def released(self) -> bool:
        """Whether the value has come back far enough to end a stop."""
        return self.value >= self.release if self.full > self.zero else self.value <= self.release


class Latches:
    """Which tapers stand at 0 until they are released."""

    def __init__(self) -> None:
        self._held: set[tuple[Key, Direction, str]] = set()

    def factor(self, key: Key, direction: Direction, taper: Taper) -> float:
        """Factor of a taper of a pack, remembered when it is 0."""
        latch, factor = (key, direction, taper.kind), taper.factor
        if factor <= 0:
            self._held.add(latch)
        elif taper.released:
            self._held.discard(latch)
        return 0.0 if latch in self._held else factor


def highest_cell(view: View, limits: Bounds) -> Taper:
    """Charging ends at the cell that is full first."""
    why = f"cell {view.high.label} at {view.high.value:.2f} V"
    full = min(limits.charge, limits.stop - 0.05)
    return Taper("cell", view.high.value, limits.stop, full, limits.stop - 0.05, why)


def _lowest_cell(view: View, limits: Bounds) -> Taper:
    why = f"cell {view.low.label} at {view.low.value:.2f} V"
    return Taper("cell", view.low.value, limits.bottom, limits.bottom + 0.15, limits.bottom + 0.2, why)


def _least_voltage(view: View, limits: Bounds) -> Taper:
    why = f"pack {view.label} at {view.voltage:.1f} V, the least is {limits.least * view.cells:.1f} V"
    least = limits.least
    return Taper("voltage", view.voltage / view.cells, least, least + 0.05, least + 0.1, why)


def _warm(sensor: Extreme, zero: float, width: float) -> Taper:
    return Taper("hot", sensor.value, zero, zero - width, zero - 2, f"sensor {sensor.label} at {sensor.value:.1f} °C")


def _cold(sensor: Extreme, zero: float) -> Taper:
    return Taper("cold", sensor.value, zero, zero + 10, zero + 2, f"sensor {sensor.label} at {sensor.value:.1f} °C")


def _mosfet(view: View, limits: Bounds) -> list[Taper]:
    if view.mosfet is None:
        return []
    why = f"MOSFETs of pack {view.label} at {view.mosfet:.0f} °C"
    return [Taper("mosfet", view.mosfet, limits.mosfet, limits.mosfet - 20, limits.mosfet - 5, why)]


def _nearly(view: View, zero: float, full: float, floor: float) -> Taper:
    """By charge alone a current is never stopped: counters drift, cells do not."""
    why = f"pack {view.label} at {view.state_of_charge:.0f} %"
    return Taper("charge", view.state_of_charge, zero, full, full, why, floor)


def _unknown_temperature(view: View) -> Taper:
    return Taper("unknown temperature", 0, 0, 1, 1, f"temperature of pack {view.label} unknown")


def tapers(view: View, limits: Bounds, direction: Direction) -> list[Taper]:
    """All tapers of one pack in one direction."""
    if direction == "discharge":
        found = [_lowest_cell(view, limits), _least_voltage(view, limits), _nearly(view, -10, 10, 0.5)]
        if view.coldest and view.warmest:
            found += [_cold(view.coldest, limits.discharge_cold), _warm(view.warmest, limits.discharge_hot, 10)]
    else:
        found = [highest_cell(view, limits), _nearly(view, 101.7, 95, 0.25)]
        if view.coldest and view.warmest:
            known = Taper("unknown temperature", 1, 0, 1, 1, "")
            found += [known, _cold(view.coldest, limits.cold), _warm(view.warmest, limits.hot, 15)]
        else:
            found.append(_unknown_temperature(view))
    return found + _mosfet(view, limits)


def base(view: View, policy: Policy, direction: Direction) -> Limit:
    """What the pack bears when nothing hinders: its over-current setting, else what the options allow."""
    setting = view.setting(f"max_{direction}_current", 0, 3000)
    option = policy.max_charge_current if direction == "charge" else policy.max_discharge_current
    if setting is not None:
        return Limit(setting, f"over-current setting of pack {view.label}, {setting:g} A")
    if option is not None:
        return Limit(option / MARGIN, f"option max_{direction}_current")
    if view.capacity is not None:
        return Limit(C_RATE * view.capacity, f"{C_RATE:g} C of pack {view.label}, whose settings are unknown")
    return Limit(0, f"neither settings nor capacity of pack {view.label} known: set max_{direction}_current")


def pack_limit(view: View, limits: Bounds, policy: Policy, direction: Direction, latches: Latches) -> Limit:
    """Current that one pack bears now, and its narrowest reason."""
    free = base(view, policy, direction)
    found = [free]
    for taper in tapers(view, limits, direction):
        factor = latches.factor(view.key, direction, taper)
        if factor < 1:
            found.append(Limit(free.amps * factor, taper.why))
    return min(found, key=lambda limit: limit.amps)
