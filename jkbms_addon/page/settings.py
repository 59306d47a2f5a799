"""How the page orders settings, within which ranges each may be changed, and what is usual. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jkbms_addon.battery.chemistry import CELLS, Name, presets
from jkbms_addon.battery.quantities import specs
from jkbms_addon.battery.snapshot import Snapshot
from jkbms_addon.battery.store import Store
from jkbms_addon.charging.chemistry import CHEMISTRIES
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.commands.rules import Range, cells_of

GROUPS: Final = ("cell", "current", "balance", "temperature", "sleep", "switches", "other")
_WORDS: Final = (  # the first that is a part of the key decides
    ("sleep", "sleep"),
    ("power_off", "sleep"),
    ("balanc", "balance"),
    ("pressure_difference", "balance"),
    ("temperature", "temperature"),
    ("heating", "temperature"),
    ("short_circuit", "current"),
    ("current", "current"),
    ("switch", "switches"),
    ("voltage", "cell"),
)
# What the charge control has of its own for a setting: which words tell it, and its name in the table of chemistries
OWN: Final[Mapping[str, tuple[str, str]]] = {
    "cell_request_charge_voltage": ("own", "charge"),
    "cell_request_float_voltage": ("own", "floating"),
    "charge_overtemperature_protection": ("charging", "hot"),
    "charge_undertemperature_protection": ("charging", "cold"),
    "discharge_overtemperature_protection": ("discharging", "discharge_hot"),
    "discharging_low_temperature_protection": ("discharging", "discharge_cold"),
}
Fact = tuple[str, Name | None, float]  # which words tell it, for which cells (None: for all), the value


def group_of(key: str) -> str:
    """The group in which a setting stands."""
    return next((group for word, group in _WORDS if word in key), "other")


def row(key: str) -> dict[str, Any]:
    """What the page must know of a setting: its name, unit, digits, kind, group and the level that it needs."""
    spec = specs()[key]
    level = spec.control.level if spec.control else None
    return {"n": spec.name, "u": spec.unit, "d": spec.digits, "k": spec.kind, "g": group_of(key), "lvl": level}


def usual(key: str, cells: Iterable[Name]) -> list[Fact]:
    """What is usual for a setting with such cells; nothing where nothing is known."""
    names, known = list(cells), presets(key)
    if len(known) == len(CELLS) and len(set(known.values())) == 1:
        told: list[Fact] = [("preset", None, next(iter(known.values())))]
    else:
        told = [("preset", name, known[name]) for name in names if name in known]
    if found := OWN.get(key):
        words, field_of = found
        told += [(words, name, getattr(CHEMISTRIES[name], field_of)) for name in names]
    return told


def chemistries(snapshots: Iterable[Snapshot], option: str | None) -> list[Name]:
    """Which cells there are, of silent batteries, too; ``option`` is the owner's word."""
    known = [{key: one for part in each.parts.values() for key, one in part.values.items()} for each in snapshots]
    found = {cells.name for values in known if (cells := cells_of(values, option))}
    return [name for name in CELLS if name in found]


@dataclass(slots=True)
class Ranges:
    """Which settings may be changed, and within which range: tables, and which one each pack has.

    Most packs have the same one. A pack's is worked out when its settings are new.
    """

    store: Store
    commands: CommandQueue
    _known: dict[str, tuple[object, Mapping[str, Range]]] = field(default_factory=dict)

    def told(self, named: Iterable[tuple[str, Snapshot]], now: float) -> dict[str, Any]:
        """For packs by name; monotonic s."""
        tables: list[Mapping[str, Range]] = []
        packs = {}
        for name, snapshot in named:
            if found := self._of(name, snapshot, now):
                if found not in tables:
                    tables.append(found)
                packs[name] = tables.index(found)
        told = [{key: [one.minimum, one.maximum, one.step] for key, one in table.items()} for table in tables]
        return {"tables": told, "packs": packs}

    def _of(self, name: str, snapshot: Snapshot, now: float) -> Mapping[str, Range]:
        part = snapshot.parts.get("settings")
        if part is None or not self.commands.changeable(snapshot.key):
            return {}
        known = self._known.get(name)
        if known is None or known[0] is not part:
            values = snapshot.values(now)
            held = {key: one for key, one in self.commands.controls(snapshot.key, values).items() if key in values}
            known = self._known[name] = part, held
        return known[1]
