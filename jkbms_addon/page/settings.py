"""How the page orders settings, and within which ranges each may be changed. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jkbms_addon.battery.quantities import specs
from jkbms_addon.battery.snapshot import Snapshot
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.commands.rules import Range

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


def group_of(key: str) -> str:
    """The group in which a setting stands."""
    return next((group for word, group in _WORDS if word in key), "other")


def row(key: str) -> dict[str, Any]:
    """What the page must know of a setting: its name, unit, digits, kind, group and the level that it needs."""
    spec = specs()[key]
    level = spec.control.level if spec.control else None
    return {"n": spec.name, "u": spec.unit, "d": spec.digits, "k": spec.kind, "g": group_of(key), "lvl": level}


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
