"""A dashboard for Home Assistant: its own cards only, one view for the bank and one for each battery. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jkbms_addon.views.battery import SWITCHES, numbered, table

Card = dict[str, Any]
HOURS: Final = 24  # of the curves
NARROW: Final = 4  # columns of cells

FIGURES: Final = ("total_voltage", "current", "power", "capacity_remaining", "charge_direction", "time_to_empty")
SPREAD: Final = ("min_cell_voltage", "max_cell_voltage", "delta_cell_voltage", "min_voltage_cell", "max_voltage_cell")
WARM: Final = ("mosfet_temperature", "min_temperature", "max_temperature", "temperature_sensor_1")
WARM_TOO: Final = ("temperature_sensor_2", "temperature_sensor_4", "temperature_sensor_5")
STATES: Final = ("connection", "problem", "alarms", "charging", "discharging", "balancing", "total_runtime_formatted")
ENERGY: Final = ("energy_charged", "energy_discharged", "stored_energy")
BANK: Final = ("packs_online", "packs_expected", "packs_excluded", "voltage_spread", "sharing_error")


@dataclass(frozen=True, slots=True)
class Known:
    """A device that was announced: its name, how the ids of its entities begin, and the kind of each by key."""

    name: str
    entity: str
    kinds: Mapping[str, str]

    def id(self, key: str) -> str:
        """Entity id as it is proposed."""
        kind = self.kinds[key]
        return f"{kind}.{self.entity}_{SWITCHES.get(key, key) if kind == 'switch' else key}"

    def ids(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that this device has."""
        return [self.id(key) for key in keys if key in self.kinds]


def dashboard(bank: Known | None, batteries: Sequence[Known]) -> dict[str, Any]:
    """The whole, as Home Assistant's dashboards are written."""
    views = [*([_view(bank, "bank", _bank_cards(bank))] if bank else [])]
    # Home Assistant takes a path that begins with a digit for the place of a view, and opens another one
    views += [_view(one, one.entity.replace("jk_bms_", "pack_", 1), _battery_cards(one)) for one in batteries]
    return {"title": "JK BMS", "views": views}


def _view(known: Known, path: str, cards: Iterator[Card]) -> Card:
    return {
        "title": known.name,
        "path": path.replace("_", "-"),
        "icon": "mdi:home-battery" if path == "bank" else "mdi:battery",
        "cards": [card for card in cards if card.get("entities") != [] and card.get("cards") != []],
    }


def _bank_cards(bank: Known) -> Iterator[Card]:
    yield from _head(bank)
    yield {"type": "entities", "title": "Packs", "entities": bank.ids(("problem", *BANK))}
    shares = [key for key in bank.kinds if key.startswith("sharing_") and key != "sharing_error"]
    yield {"type": "entities", "title": "Share of the current", "entities": bank.ids(shares)}
    yield from _tail(bank)


def _battery_cards(battery: Known) -> Iterator[Card]:
    yield from _head(battery)
    yield {"type": "entities", "title": "State", "entities": battery.ids(STATES)}
    cells = battery.ids(numbered("cell_voltage"))
    yield {"type": "glance", "title": "Cells", "columns": NARROW, "show_icon": False, "entities": cells}
    yield {"type": "history-graph", "title": "Cells", "hours_to_show": HOURS, "entities": cells}
    yield from _tail(battery)
    changed = [key for key, kind in battery.kinds.items() if kind in ("switch", "number")]
    rows = battery.ids([key for key in (*changed, "last_change") if key in table()])
    yield {"type": "entities", "title": "Settings", "show_header_toggle": False, "entities": rows if changed else []}


def _head(known: Known) -> Iterator[Card]:
    charge = known.ids(("state_of_charge",))
    if charge:
        levels = {"green": 40, "yellow": 20, "red": 0}
        yield {"type": "gauge", "entity": charge[0], "name": known.name, "needle": True, "severity": levels}
    yield {"type": "entities", "title": known.name, "entities": known.ids(FIGURES)}
    for key in ("state_of_charge", "power"):
        if key in known.kinds:
            yield {"type": "history-graph", "hours_to_show": HOURS, "entities": [known.id(key)]}


def _tail(known: Known) -> Iterator[Card]:
    yield {"type": "entities", "title": "Cell voltages", "entities": known.ids(SPREAD)}
    yield {"type": "glance", "title": "Temperatures", "columns": NARROW, "entities": known.ids((*WARM, *WARM_TOO))}
    days = {"days_to_show": 30, "stat_types": ["change"], "chart_type": "bar", "period": "day"}
    yield {"type": "statistics-graph", "title": "Energy", **days, "entities": known.ids(ENERGY[:2])}


def yaml(content: object, depth: int = 0) -> str:
    """Lists, dictionaries, texts, numbers and flags as YAML, which a person can read and paste."""
    pad = "  " * depth
    if isinstance(content, Mapping):
        return "".join(f"{pad}{key}:{_below(value, depth)}" for key, value in content.items())
    if isinstance(content, (list, tuple)):
        return "".join(f"{pad}- {yaml(item, depth + 1).lstrip(' ')}" for item in content)
    return f"{pad}{_scalar(content)}\n"


def _below(value: object, depth: int) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        return "\n" + yaml(value, depth + 1) if value else f" {'{}' if isinstance(value, Mapping) else '[]'}\n"
    return f" {_scalar(value)}\n"


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return value if value.replace(".", "").replace("_", "").replace("-", "").isalnum() else f'"{escaped}"'
    return str(value)
