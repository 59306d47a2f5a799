"""Simulated batteries of every wire format, and what Home Assistant must know of each of them.

Which entities there must be follows from the tables of position (what the format carries) and of meaning (what
that is); what they must show follows from what the simulated BMS says, worked out here once more.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jkbms_addon.battery.alarms import ALARMS, LEGACY_NAMES, WORD_NAMES, alarm_key
from jkbms_addon.battery.quantities import Spec, specs
from jkbms_addon.simulator.can import CanBms
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.simulator.ttl import IDENTITY, SimulatedFirst
from jkbms_addon.views.battery import DIAGNOSTICS, SEVERITIES, formatted, table
from jkbms_addon.wire.jkcan.frames import V1_ALARMS, V2_ALARMS
from jkbms_addon.wire.jkcan.kinds import ADDRESSED, V1
from jkbms_addon.wire.pb import registers, tables
from jkbms_addon.wire.ttl import tags as legacy_tags

POWERS = ("power", "charging_power", "discharging_power")
EXTREMES = ("min_cell_voltage", "max_cell_voltage", "min_voltage_cell", "max_voltage_cell")
COMPUTED = (*POWERS, *EXTREMES, "average_cell_voltage", "delta_cell_voltage")
LFP = (2.5, 3.65)  # V of a cell, within which its voltages may be set
Values = dict[str, Any]


def ladder(count: int, lowest: float) -> list[float]:
    """Cells of which no two are alike, so that a wrong number shows."""
    return [round(lowest + 0.01 * n, 3) for n in range(count)]


class SteadyBms(SimulatedBms):
    """Its charge does not move, so that what it says can be compared at leisure."""

    lowest = 3.2  # V

    def live(self) -> Values:
        self._at = time.monotonic()
        return super().live()

    def cell_voltages(self, share: float, current: float) -> list[float]:  # noqa: ARG002
        return ladder(self.cells, self.lowest)


class SteadyFirst(SimulatedFirst):
    """The same of the first generation."""

    lowest = 3.2  # V

    def live(self) -> Values:
        cells = tuple(ladder(self.cells, self.lowest))
        return {**super().live(), "cell_voltage": cells, "total_voltage": round(sum(cells), 2)}


def carried(rows: Iterable[str]) -> list[str]:
    """Keys of a table of positions; what begins with an underscore is not published."""
    return [key for key in rows if not key.startswith("_")]


PAGES = {
    page: carried(row.key for row in layout.rows)
    for page, layout in (("live", tables.LIVE), ("settings", tables.SETTINGS), ("about", tables.ABOUT))
}
TTL_ROWS = ["cell_voltage", "current", *carried(f.key for row in legacy_tags.TABLE for f in row.fields)]
TTL_COMPUTED = ("operation_mode", "capacity_remaining")
CAN_ROWS = ["current", "total_charging_cycle_capacity", *carried(row.key for k in ADDRESSED for row in k.layout.rows)]
CAN_V1_ROWS = ["current", *carried(row.key for kind in V1 for row in kind.layout.rows)]


def numbered(values: Mapping[str, Any], counts: Mapping[str, int]) -> Values:
    """Lists as one key for each element."""
    found: Values = {}
    for key, value in values.items():
        if key in counts:
            found |= {f"{key}_{n}": value[n - 1] for n in range(1, counts[key] + 1)}
        else:
            found[key] = value
    return found


def told_alarms(names: Iterable[str], raised: Iterable[str]) -> Values:
    """A flag for each alarm that the format has, the sum of them and their text."""
    raised = list(raised)
    return {
        **{alarm_key(name): name in raised for name in names},
        "problem": any(ALARMS[name].severity != "info" for name in raised),
        "errors": "; ".join(ALARMS[name].label for name in raised),
        "alarms": "; ".join(
            f"{ALARMS[name].severity}: {ALARMS[name].label}"
            for name in sorted(raised, key=lambda name: SEVERITIES.index(ALARMS[name].severity))
        )
        or "none",
    }


def bits(word: int, names: tuple[str, ...]) -> list[str]:
    return [name for position, name in enumerate(names) if word & 1 << position]


def computed(values: Mapping[str, Any]) -> Values:
    """What follows from voltage, current and cells."""
    power = values["total_voltage"] * values["current"]
    found: Values = {"power": power, "charging_power": max(power, 0.0), "discharging_power": max(-power, 0.0)}
    cells = list(values.get("cell_voltage", ()))
    if cells:
        low, high = min(cells), max(cells)
        found |= {"min_cell_voltage": low, "max_cell_voltage": high, "delta_cell_voltage": high - low}
        found |= {"average_cell_voltage": sum(cells) / len(cells)}
        found |= {"min_voltage_cell": cells.index(low) + 1, "max_voltage_cell": cells.index(high) + 1}
    return found


@dataclass(slots=True)
class Battery:
    """One battery on a bus: what it is called, what of it may be changed, what its format tells."""

    bus: str
    address: int
    bms: SteadyBms | SteadyFirst
    rows: list[str]
    alarms: tuple[str, ...]
    controls: frozenset[str] = frozenset()
    writable: bool = False
    can: CanBms | None = None

    @property
    def device(self) -> str:
        return f"jkbms_{self.bus}_{self.address}"

    def _known(self) -> Values:
        """What this BMS says, by the keys of the table, lists as they are."""
        if self.can:
            values = self.can.values()
            raised = [*bits(values["errors_bitmask"], WORD_NAMES), *values["alarms"]]
            if self.can.version == 1:
                raised = list(values["alarms"])
                values = {key: value for key, value in values.items() if key != "cell_voltage"}
                values["delta_cell_voltage"] = values["max_cell_voltage"] - values["min_cell_voltage"]
            return {**computed(values), **values, **told_alarms(self.alarms, raised)}
        if isinstance(self.bms, SteadyFirst):
            values = {**self.bms.live(), **self.bms.settings, **IDENTITY, "protocol_version": self.bms.version}
            values["hardware_version"] = "11.XW"
            values["capacity_remaining"] = values["state_of_charge"] * values["total_battery_capacity"] / 100
            states = (("charging", "Charging"), ("discharging", "Discharging"), ("balancing", "Balancer"))
            values["operation_mode"] = "; ".join(f"{word} enabled" for key, word in states if values[key])
            return {
                **values,
                **computed(values),
                **told_alarms(self.alarms, bits(values["errors_bitmask"], LEGACY_NAMES)),
            }
        live = self.bms.live()
        cells = {key: live[key][: self.bms.cells] for key in ("cell_voltage", "cell_resistance")}
        values = {**live, **cells, **self.bms.settings, **self.bms.about()}
        values |= {"dry_contact_1": False, "dry_contact_2": False}
        return {**values, **computed(values), **told_alarms(self.alarms, bits(self.bms.errors, WORD_NAMES))}

    @property
    def counts(self) -> dict[str, int]:
        return dict.fromkeys(("cell_voltage", "cell_resistance"), self.bms.cells)

    def says(self) -> Values:
        """What every entity of its values must show now."""
        known = numbered(self._known(), self.counts)
        if "total_runtime" in known:
            known["total_runtime_formatted"] = formatted(known["total_runtime"])
        return {key: known[key] for key in self.value_specs()}

    def value_specs(self) -> dict[str, Spec]:
        """Every value that must have an entity: what the format carries, of what this battery has."""
        found: dict[str, Spec] = {}
        for key in self.rows:
            if key == "temperature_sensor_5":  # the simulated probe is absent
                continue
            listed = specs()[key].listed
            every = [f"{key}_{n}" for n in range(1, self.bms.cells + 1)] if listed else [key]
            found |= {name: specs()[key] if key in self.controls else table()[name] for name in every}
        if "total_runtime" in found:
            found["total_runtime_formatted"] = table()["total_runtime_formatted"]
        summaries = (*(alarm_key(name) for name in self.alarms), "problem", "errors", "alarms")
        return {**found, **{key: table()[key] for key in summaries}}

    def entities(self) -> dict[str, Spec]:
        """All of its entities by key."""
        return {**self.value_specs(), **DIAGNOSTICS}

    def limits(self, key: str) -> tuple[float, float, float]:
        """Smallest, largest value and step of a number of this battery, all of which are LFP."""
        control, unit = specs()[key].control, specs()[key].unit
        assert control is not None
        low, high = control.minimum, control.maximum
        if unit == "V" and low > 1:  # of a cell, and no difference of two
            low, high = max(low, LFP[0]), min(high, LFP[1])
        present = self._known()[key]
        return min(low, present), max(high, present), control.step


@dataclass(slots=True)
class Park:
    """All batteries of the stage, by bus."""

    batteries: list[Battery] = field(default_factory=list)

    def pb(self, bus: str, bms: SteadyBms, *, asked: bool) -> SteadyBms:
        """A PB-series BMS; only who asks gets the page about itself, and may write."""
        pages = ("live", "settings", "about") if asked else ("live", "settings")
        rows = [key for page in pages for key in PAGES[page]]
        controls = frozenset(key for key in registers.WRITABLE if specs()[key].control) if asked else frozenset()
        self.batteries.append(Battery(bus, bms.address, bms, [*rows, *COMPUTED], WORD_NAMES, controls, asked))
        return bms

    def first(self, bus: str, bms: SteadyFirst, address: int) -> SteadyFirst:
        rows = [*TTL_ROWS, *TTL_COMPUTED, *COMPUTED]
        # id AB to AD of the table and 9D: those that batteries are known to take
        controls = frozenset(("charging_switch", "discharging_switch", "balancing_switch"))
        self.batteries.append(Battery(bus, address, bms, rows, LEGACY_NAMES, controls, writable=True))
        return bms

    def can(self, bus: str, can: CanBms) -> CanBms:
        assert isinstance(can.bms, SteadyBms)
        computed_keys = COMPUTED if can.version == 2 else (*POWERS, "delta_cell_voltage")
        rows = CAN_ROWS if can.version == 2 else CAN_V1_ROWS
        names = V2_ALARMS if can.version == 2 else V1_ALARMS
        keys = list(dict.fromkeys([*rows, *computed_keys]))
        self.batteries.append(Battery(bus, can.bms.address, can.bms, keys, names, can=can))
        return can

    def of(self, bus: str) -> list[Battery]:
        return [battery for battery in self.batteries if battery.bus == bus]

    def one(self, bus: str, address: int) -> Battery:
        return next(battery for battery in self.of(bus) if battery.address == address)

    def without(self, *gone: Battery) -> "Park":
        return Park([battery for battery in self.batteries if battery not in gone])
