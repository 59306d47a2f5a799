"""A plant to close the loop with: cells, packs and their BMSs, an inverter that obeys as it likes, a house and the sun.

Parameters are those that the specification of the charge control was tried on. A pack has a few groups of equal cells
instead of 16 single ones, which is what decides: the mean, a runner, a weak cell. Currents are A, positive while
charging; charge is a fraction of the capacity and may lie beyond 0 and 1.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import exp, inf, pi, sin
from random import Random
from typing import Literal

from jkbms_addon.bank.candidate import Candidate
from jkbms_addon.battery.alarms import BOTH, alarm_of
from jkbms_addon.battery.quantities import Value, typed
from jkbms_addon.charging.decision import Decision

CURVE = (
    (-0.05, 1.0), (0, 2.45), (0.005, 2.62), (0.01, 2.74), (0.02, 2.90), (0.035, 3.00), (0.05, 3.06), (0.075, 3.13),
    (0.10, 3.18), (0.15, 3.215), (0.20, 3.24), (0.30, 3.27), (0.40, 3.285), (0.50, 3.295), (0.60, 3.30), (0.70, 3.322),
    (0.80, 3.331), (0.90, 3.335), (0.95, 3.342), (0.97, 3.352), (0.98, 3.363), (0.99, 3.388), (0.995, 3.415),
    (1.0, 3.46), (1.005, 3.54), (1.01, 3.66), (1.02, 3.95), (1.05, 4.8),
)  # fmt: skip
CHARGES = [charge for charge, _ in CURVE]
VOLTS = [volts for _, volts in CURVE]
SLOPES = [(v1 - v0) / (c1 - c0) for (c0, v0), (c1, v1) in pairwise(CURVE)]
HOUR, DAY = 3600.0, 86400.0


def open_circuit(charge: float) -> float:
    """V of a resting LFP cell."""
    at = min(max(bisect_right(CHARGES, charge) - 1, 0), len(SLOPES) - 1)
    return VOLTS[at] + SLOPES[at] * (charge - CHARGES[at])


@dataclass(slots=True)
class Cells:
    """Equal cells of one pack: how many, their capacity against the pack's, their charge."""

    count: int
    size: float
    charge: float
    surface: float = 0.0
    lag: float = 0.0  # V over the RC
    rest: float = 0.0  # V without the present current
    volts: float = 3.3


@dataclass(slots=True)
class Pack:
    """Cells in series, wiring, and the BMS: what it measures, protects and counts."""

    address: int
    capacity: float
    cells: list[Cells]
    r0: float = 0.08  # V at 1 C
    r1: float = 0.08
    tau: float = 300.0
    slow: float = 0.12
    wiring: float = 0.002  # ohm
    ovp: float = 3.65
    ovp_back: float = 3.45
    uvp: float = 2.8
    uvp_back: float = 2.95
    cold: float = 0.0
    temperature: float = 20.0
    balance_current: float = 0.4
    balance_above: float = 3.40
    balance_spread: float = 0.010
    counter_offset: float = 0.0
    counter_gain: float = 1.0
    counted: float = 50.0  # %
    alarms: tuple[str, ...] = ()
    raised: tuple[str, ...] = ()  # by a test; the BMS opens as they say
    heard: bool = True
    current: float = 0.0
    charge_open: bool = False
    discharge_open: bool = False
    openings: int = 0  # of the over-voltage protection
    shut: int = 0  # of the under-voltage protection
    over_for: float = 0.0
    under_for: float = 0.0
    emf: float = 0.0
    ohms: float = 0.0

    @property
    def high(self) -> float:
        return max(group.volts for group in self.cells)

    @property
    def low(self) -> float:
        return min(group.volts for group in self.cells)

    @property
    def voltage(self) -> float:
        return sum(group.count * group.volts for group in self.cells)

    @property
    def charge(self) -> float:
        """True charge: that of the cell which is full first and of the one which is empty first do not matter."""
        n = sum(group.count for group in self.cells)
        return sum(group.count * group.charge for group in self.cells) / n

    @property
    def cell_ohms(self) -> float:
        colder = 1.0 + max(0.0, 25.0 - self.temperature) * 0.02
        return self.r0 * colder / self.capacity

    def prepare(self) -> None:
        """Voltage without current, and resistance."""
        self.emf = 0.0
        count = 0
        for group in self.cells:
            group.rest = open_circuit(group.charge + group.surface) + group.lag
            self.emf += group.count * group.rest
            count += group.count
        self.ohms = count * self.cell_ohms + self.wiring

    def advance(self, current: float, seconds: float) -> None:
        """Let a current flow for a while."""
        self.current = current
        rate = current / self.capacity
        ohms, decay = self.cell_ohms, exp(-seconds / self.tau)
        pull = min(1.0, seconds / HOUR)
        for group in self.cells:
            group.volts = group.rest + ohms * current
            group.charge += current * seconds / HOUR / (self.capacity * group.size)
            group.lag = group.lag * decay + self.r1 * rate * (1 - decay)
            group.surface += (self.slow * rate - group.surface) * pull
        self._balance(seconds)
        self._protect(seconds)
        self._count(current, seconds)

    def _balance(self, seconds: float) -> None:
        high = max(self.cells, key=_volts)
        low = min(self.cells, key=_volts)
        if high.volts > self.balance_above and high.volts - low.volts > self.balance_spread:
            amount = 0.5 * self.balance_current * seconds / HOUR / self.capacity
            high.charge -= amount / high.count
            low.charge += 0.9 * amount / low.count

    def _protect(self, seconds: float) -> None:
        high, low = self.high, self.low
        self.over_for = self.over_for + seconds if high >= self.ovp else 0.0
        self.under_for = self.under_for + seconds if low <= self.uvp else 0.0
        cold = self.temperature <= self.cold
        if self.over_for >= 3 and not self.charge_open:
            self.openings += 1
        if self.under_for >= 3 and not self.discharge_open:
            self.shut += 1
        over = self.over_for >= 3 or (self.charge_open and not cold and high > self.ovp_back)
        under = self.under_for >= 3 or (self.discharge_open and low < self.uvp_back)
        forced = {direction for name in self.raised for direction in BOTH if alarm_of(name).halts(direction)}
        self.charge_open = over or cold or "charge" in forced
        self.discharge_open = under or "discharge" in forced
        found = list(self.raised)
        if over:
            found.append("cell_over_voltage_fully_charged")
        if cold:
            found.append("charge_under_temperature_protection")
        if under:
            found.append("cell_under_voltage_protection")
        self.alarms = tuple(found)

    def _count(self, current: float, seconds: float) -> None:
        told = current * self.counter_gain + self.counter_offset
        self.counted = min(100.0, max(0.0, self.counted + 100 * told * seconds / HOUR / self.capacity))
        if self.high >= 3.50:
            self.counted = 100.0

    def told(self) -> dict[str, Value]:
        """What the BMS says."""
        cells = tuple(round(group.volts, 3) for group in self.cells for _ in range(group.count))
        return {
            "cell_voltage": cells,
            "total_voltage": round(self.voltage, 2),
            "current": round(self.current, 2),
            "state_of_charge": round(self.counted),
            "full_charge_capacity": self.capacity,
            "temperature_sensor_1": self.temperature,
            "temperature_sensor_2": self.temperature,
            "mosfet_temperature": self.temperature + 10,
            "charging": not self.charge_open,
            "discharging": not self.discharge_open,
            "alarms": self.alarms,
            "cell_voltage_overvoltage_protection": self.ovp,
            "cell_voltage_undervoltage_protection": self.uvp,
            "cell_request_charge_voltage": 3.45,
            "cell_request_float_voltage": 3.35,
            "max_charge_current": self.capacity,
            "max_discharge_current": self.capacity,
            "charge_undertemperature_protection": self.cold,
        }


def _volts(cells: Cells) -> float:
    return cells.volts


def pack(
    address: int = 1,
    capacity: float = 100.0,
    charge: float = 0.5,
    runner: float = 0.0,
    weak: float = 0.0,
    spread: float = 0.0,
    **more: float,
) -> Pack:
    """A pack of 16 cells: a ``runner`` ahead, a ``weak`` one that is smaller, some behind by a ``spread``."""
    groups = [Cells(8, 1.0, charge), Cells(6, 1.0 + 0.01 * (spread > 0), charge - spread / 2)]
    groups += [Cells(1, 1.0, charge + runner), Cells(1, 1.0 - weak, charge - spread - weak * (1 - charge) * 0)]
    found = Pack(address, capacity, groups, counted=100 * charge, **more)  # type: ignore[arg-type]
    found.prepare()
    for group in found.cells:
        group.volts = group.rest
    return found


Kind = Literal["both", "voltage", "current", "neither", "charge", "discharger", "off_at_zero"]
KINDS: tuple[Kind, ...] = ("both", "voltage", "current", "charge", "discharger", "off_at_zero")


@dataclass(slots=True)
class Inverter:
    """What is told and what comes of it. ``offset`` is what its meter reads too much."""

    kind: Kind = "both"
    offset: float = 0.0  # V
    lag: float = 2.0  # s
    tau: float = 2.0  # s
    ripple: float = 0.0
    most: float = 50.0  # A
    own_limit: float = 58.4  # V
    wire: float = 0.0005  # ohm to the packs
    on: bool = True
    zero_for: float = 0.0
    current: float = 0.0
    told: tuple[float, float, float, float] = (54.0, 0.0, 0.0, 50.0)  # CVL, CCL, DCL, charge
    waiting: deque[tuple[float, tuple[float, float, float, float]]] = field(default_factory=deque)

    def tell(self, decision: Decision | None, now: float) -> None:
        """A set arrives, and is obeyed after the lag."""
        if decision is not None:
            said = (
                decision.charge_voltage,
                decision.charge_current,
                decision.discharge_current,
                decision.state_of_charge,
            )
            self.waiting.append((now + self.lag, said))
        while self.waiting and self.waiting[0][0] <= now:
            self.told = self.waiting.popleft()[1]

    def wants(self, surplus: float, emf: float, ohms: float, capacity: float, seconds: float) -> float:
        """A into the battery, with the sun's surplus and the battery as it is."""
        voltage, most, least, charge = self.told
        self._switch(least, charge, seconds)
        if self.kind in ("current", "neither"):
            voltage = self.own_limit
        regulated = (voltage - self.offset - emf) / (ohms + self.wire)
        target = surplus
        if surplus > 0:
            if self.kind not in ("voltage", "neither"):
                target = min(target, most)
            target = min(target, self.most, max(0.0, regulated))
        elif not self.on:
            target = 0.0
        if self.kind == "discharger" and regulated < 0 and self.on:
            target = min(target, max(regulated, -0.1 * capacity))
        return target

    def _switch(self, least: float, charge: float, seconds: float) -> None:
        if self.kind == "charge":
            self.on = charge > 10 if self.on else charge >= 20
        elif self.kind == "off_at_zero":
            self.zero_for = self.zero_for + seconds if least <= 0 else 0.0
            self.on = self.zero_for < 60


@dataclass(slots=True)
class Plant:
    """Packs in parallel at an inverter."""

    packs: list[Pack]
    inverter: Inverter = field(default_factory=Inverter)
    random: Random = field(default_factory=lambda: Random(1))
    common: float = 0.0

    @property
    def capacity(self) -> float:
        return sum(one.capacity for one in self.packs)

    @property
    def charge(self) -> float:
        """True charge of all."""
        return sum(one.charge * one.capacity for one in self.packs) / self.capacity

    @property
    def serves(self) -> bool:
        """Whether a pack could serve the house."""
        return any(not one.discharge_open for one in self.packs)

    def step(self, surplus: float, seconds: float) -> float:
        """Go on with so many A of sun minus house; the current that flows."""
        for one in self.packs:
            one.prepare()
        discharging = surplus < 0
        able = [one for one in self.packs if not (one.discharge_open if discharging else one.charge_open)]
        if able:
            conductance = sum(1 / one.ohms for one in able)
            emf = sum(one.emf / one.ohms for one in able) / conductance
            wanted = self.inverter.wants(surplus, emf, 1 / conductance + self.common, self.capacity, seconds)
        else:
            wanted = 0.0
        inverter = self.inverter
        follow = min(1.0, seconds / inverter.tau) if wanted * inverter.current >= 0 else 1.0
        inverter.current += (wanted - inverter.current) * follow
        flowing = inverter.current
        if inverter.ripple and flowing > 0:
            flowing *= 1 + inverter.ripple * self.random.uniform(-1, 1)
        self._share(flowing, seconds)
        return flowing

    def _share(self, current: float, seconds: float) -> None:
        """Divide a current by the resistances; nothing flows through an open MOSFET."""
        carrying = list(self.packs)
        currents = {id(one): 0.0 for one in carrying}
        for _ in range(len(self.packs) + 1):
            if not carrying:
                break
            conductance = sum(1 / one.ohms for one in carrying)
            volts = (current + sum(one.emf / one.ohms for one in carrying)) / conductance
            found = {id(one): (volts - one.emf) / one.ohms for one in carrying}
            wrong = [
                one
                for one in carrying
                if (one.charge_open and found[id(one)] > 1e-9) or (one.discharge_open and found[id(one)] < -1e-9)
            ]
            if not wrong:
                currents.update(found)
                break
            carrying = [one for one in carrying if one not in wrong]
        for one in self.packs:
            one.advance(currents[id(one)], seconds)


def candidates(packs: list[Pack], known: dict[int, tuple[float, object]], now: float, poll: float) -> list[Candidate]:
    """The packs as the bank sees them; ``known`` keeps what was read last."""
    found = []
    for one in packs:
        at, read = known.get(one.address, (-inf, None))
        if one.heard and now - at >= poll:
            at, read = now, typed(one.told())
            known[one.address] = (at, read)
        if read is not None:
            age = now - at
            found.append(Candidate("garage", one.address, f"Pack {one.address}", read, age=age, fresh=age < 10))  # type: ignore[arg-type]
    return found


Sun = Callable[[float], float]


def clear_sky(peak: float, night: float = 0.0) -> Sun:
    """A of the sun by seconds of the day: from 6 to 18 o'clock."""

    def sun(at: float) -> float:
        hour = at % DAY / HOUR
        return peak * max(0.0, sin((hour - 6) / 12 * pi)) + night if 6 <= hour <= 18 else night

    return sun


@dataclass(slots=True)
class Weather:
    """Sun behind clouds, and a house with kettles; A of the battery, drawn day by day."""

    random: Random
    capacity: float
    peak: float = 0.4  # C
    base: float = 0.015  # C
    kettles: int = 6
    clouds: float = 0.5
    seasons: bool = False
    _shade: float = 1.0
    _until: float = 0.0
    _loads: list[tuple[float, float, float]] = field(default_factory=list)
    _day: int = -1

    def surplus(self, at: float) -> float:
        """Sun minus house at ``at`` s."""
        day = int(at // DAY)
        if day != self._day:
            self._new_day(day)
        hour = at % DAY / HOUR
        season = 1.0 - (0.65 * (0.5 + 0.5 * sin((day / 365 + 0.25) * 2 * pi)) if self.seasons else 0.0)
        if at >= self._until:
            self._until = at + self.random.uniform(20, 600)
            self._shade = self.random.uniform(0.15, 0.6) if self.random.random() < self.clouds else 1.0
        sun = self.peak * season * max(0.0, sin((hour - 6) / 12 * pi)) * self._shade if 6 <= hour <= 18 else 0.0
        load = self.base
        for begin, end, size in self._loads:
            if begin <= at < end:
                load += size
        return (sun - load) * self.capacity

    def _new_day(self, day: int) -> None:
        self._day = day
        self._loads = []
        for _ in range(self.kettles):
            begin = day * DAY + self.random.uniform(0, DAY)
            self._loads.append((begin, begin + 600, self.random.uniform(0.05, 0.25)))
            self._loads.append((begin, begin + 30, 0.1))
