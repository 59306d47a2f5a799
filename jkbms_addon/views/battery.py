"""The device of one battery: which entities it has, and its values as they are published. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from math import inf
from types import MappingProxyType
from typing import Any, Final

from jkbms_addon.battery.alarms import ALARMS, alarm_key, alarm_of
from jkbms_addon.battery.quantities import ERRORS, PROBLEM, Scalar, Spec, Value, alarm_spec, specs
from jkbms_addon.battery.reading import alarm_values
from jkbms_addon.battery.snapshot import Key, Part, Snapshot
from jkbms_addon.commands.command import RESULTS, Outcome
from jkbms_addon.commands.rules import Range
from jkbms_addon.views import energy
from jkbms_addon.views.entities import HEALTH, Device, Entity, Identity, controlled
from jkbms_addon.views.names import ALARM_NAMES

SEVERITIES: Final = ("fault", "warning", "info")
LONGEST: Final = 255  # characters of a state in Home Assistant
CELLS: Final = 32  # the most that a battery can have
LEAVES: Final = ("settings", "info")  # parts that change seldom
LAST_WRITE: Final = "last_write"
LAST_CHANGE: Final = "last_change"
# What cards look for: the proposed ids of these switches end in other words than their keys.
SWITCHES: Final = {
    "charging_switch": "charging",
    "discharging_switch": "discharging",
    "balancing_switch": "balancer",
    "heating_switch": "heater",
}

HEALTHS: Final = ("ok", "late", "silent", "corrupt", "frozen")
# Diagnostics of one BMS that stay available when it is silent.
DIAGNOSTICS: Final[Mapping[str, Spec]] = {
    "connection": Spec("Connection", kind="flag", device_class="connectivity"),
    "health": Spec("Health", kind="choice", device_class="enum", options=HEALTHS, diagnostic=True, enabled=False),
    "age": Spec("Last frame age", unit="s", device_class="duration", digits=0, diagnostic=True, enabled=False),
    "reason": Spec("Link trouble", kind="text", diagnostic=True),
    "latency": Spec(
        "Response latency",
        unit="ms",
        device_class="duration",
        state_class="measurement",
        digits=0,
        diagnostic=True,
        enabled=False,
    ),
    **{
        name: Spec(label, state_class="total_increasing", diagnostic=True, enabled=False)
        for name, label in (("frames", "Frames"), ("failures", "Failures"))
    },
}


# Follows from other values, behind whose row it stands.
DERIVED: Final[Mapping[str, Mapping[str, Spec]]] = {
    # the word that dashboards and cards look for
    "total_runtime": {"total_runtime_formatted": Spec("Running for", kind="text", diagnostic=True)},
}
ALARMS_TEXT: Final = Spec("Alarms", kind="text", diagnostic=True, icon="mdi:alert-outline")
CHANGED: Final = Spec("Last change", kind="text", diagnostic=True, icon="mdi:pencil-lock-outline")
# What an owner looks at; everything else is there, but disabled.
ENABLED: Final = frozenset(
    {
        *("total_voltage", "current", "power", "state_of_charge", "capacity_remaining"),
        *("min_cell_voltage", "max_cell_voltage", "average_cell_voltage", "delta_cell_voltage"),
        *("min_voltage_cell", "max_voltage_cell"),
        *(f"cell_voltage_{n}" for n in range(1, CELLS + 1)),
        *("mosfet_temperature", "temperature_sensor_1", "temperature_sensor_2"),
        *("min_cell_temperature", "max_cell_temperature"),  # where there are no others
        *("charging", "discharging", "balancing", "balancing_current"),
        *("problem", "alarms", "total_runtime_formatted"),
        *("energy_charged", "energy_discharged"),
        LAST_CHANGE,
    }
)


@cache
def numbered(key: str) -> tuple[str, ...]:
    """Keys of the members of a list."""
    return tuple(f"{key}_{n}" for n in range(1, CELLS + 1))


@cache
def table() -> Mapping[str, Spec]:
    """Row of every key that a battery can publish, in order; lists by number."""
    found: dict[str, Spec] = {}
    for key, spec in specs().items():
        found.update(dict.fromkeys(numbered(key), spec) if spec.listed else {key: spec})
        if key in DERIVED:
            found.update(DERIVED[key])
    found.update({"problem": PROBLEM, "errors": ERRORS, "alarms": ALARMS_TEXT, **energy.ENTITIES, LAST_CHANGE: CHANGED})
    found = {key: replace(spec, enabled=key in ENABLED) for key, spec in found.items()}
    for name, alarm in ALARMS.items():
        found[alarm_key(name)] = replace(alarm_spec(alarm), name=ALARM_NAMES[name], enabled=False)
    return MappingProxyType(found)


@lru_cache(maxsize=64)
def entity_specs(wanted: frozenset[str]) -> Mapping[str, Spec]:
    """Rows of these keys, in the order of the table."""
    return {key: spec for key, spec in table().items() if key in wanted}


@lru_cache(maxsize=64)
def columns(known: frozenset[str], part: str) -> tuple[str, ...]:
    """The keys of one part, in the order of the table."""
    return tuple(key for key, spec in entity_specs(known).items() if spec.topic == part)


def cell(key: str) -> int:
    """Number of the cell that a key belongs to; 0 when it belongs to none."""
    return _CELLS.get(key, 0)


_CELLS: Final[Mapping[str, int]] = {
    key: n for name in ("cell_voltage", "cell_resistance") for n, key in enumerate(numbered(name), 1)
}


def word(key: Key) -> str:
    """How a battery is called in ids."""
    return f"{key[0]}_{key[1]}"


def identity(snapshot: Snapshot) -> Identity:
    """Identity as last heard; it does not age."""
    about = snapshot.parts.get("about")
    values: Mapping[str, Any] = about.values if about else {}
    told = (values.get(name) for name in ("model", "serial_number", "hardware_version", "software_version"))
    return Identity("Jikong", *told)


def battery(
    key: Key,
    keys: frozenset[str],
    known: Identity,
    controls: Mapping[str, Range] = MappingProxyType({}),
    *,
    plain: bool = True,
) -> Device:
    """The device of a BMS with the entities of ``keys``; those in ``controls`` may be changed.

    ``plain`` leaves the bus out of ids and name.
    """
    bus, address = key
    return Device(
        word(key),
        f"jk_bms_{address}" if plain else f"jk_bms_{bus}_{address}",
        f"JK BMS {address}" if plain else f"JK BMS {bus} {address}",
        f"{bus}/{address}",
        (*_entities(keys, controls), *_diagnostics(key, changeable=bool(controls))),
        known,
        leaves=True,
    )


def _entities(keys: frozenset[str], controls: Mapping[str, Range]) -> Iterator[Entity]:
    for key, spec in entity_specs(keys).items():
        limits = controls.get(key)
        name = f"{spec.name} {key.rpartition('_')[2]}" if spec.listed else spec.name
        if limits is None:
            yield Entity(key, spec, name, spec.topic)
        else:  # what may be changed is there to be changed
            takes = controlled(spec, limits)
            word = SWITCHES.get(key, "") if takes.kind == "switch" else ""
            yield Entity(key, specs()[key], name, spec.topic, takes=takes, word=word)


def _diagnostics(key: Key, *, changeable: bool) -> Iterator[Entity]:
    if changeable:
        spec = Spec("Last write", kind="text", diagnostic=True, icon="mdi:pencil-lock")
        yield Entity(LAST_WRITE, spec, part=LAST_WRITE, events=RESULTS)
    for name, spec in DIAGNOSTICS.items():
        yield Entity(name, spec, part=HEALTH, path=("batteries", word(key), name), always=True)


def in_words(outcome: Outcome) -> str:
    """What became of a change, as it can be read on a device page."""
    spec, wanted = specs().get(outcome.command.key), outcome.command.value
    name = spec.name if spec else outcome.command.key
    reason = f": {outcome.reason}" if outcome.reason else ""
    return f"{outcome.result.replace('_', ' ')}{reason} ({name} {wanted})"[:LONGEST]


# --- values ----------------------------------------------------------------------------------------------
class Values:
    """Values of one battery by part and published key; what has not changed is not worked out again."""

    def __init__(self) -> None:
        self._seen: dict[str, Part] = {}
        self._flat: dict[str, Mapping[str, dict[str, Scalar]]] = {}

    def of(self, snapshot: Snapshot, now: float) -> dict[str, dict[str, Scalar]]:
        """What is known now: ``state``, ``settings`` and ``info``."""
        found: dict[str, dict[str, Scalar]] = {"state": {}, "settings": {}, "info": {}}
        for kind, part in snapshot.parts.items():
            if now >= part.expires:
                continue
            if self._seen.get(kind) is not part:
                self._seen[kind], self._flat[kind] = part, split(part.values, snapshot.alarm_names)
            for topic, values in self._flat[kind].items():
                known = found[topic]
                if known:
                    found[topic] = {**known, **values}
                elif values:
                    found[topic] = values
        return found


def split(values: Mapping[str, Value], alarm_names: tuple[str, ...]) -> Mapping[str, dict[str, Scalar]]:
    """Known values by part and published key; a list is numbered from 1, each alarm is a flag of its own."""
    found: dict[str, dict[str, Scalar]] = {"state": {}, "settings": {}, "info": {}}
    topics, state = _topics(), found["state"]
    for key, value in values.items():
        if value is None:
            continue
        if key == "total_runtime":
            state["total_runtime_formatted"] = formatted(value)
        topic = topics.get(key)
        if topic is None:
            if key == "alarms":
                state.update(_alarms(value, alarm_names))
        elif isinstance(value, tuple):
            state.update([(name, item) for name, item in zip(numbered(key), value, strict=False) if item is not None])
        else:
            found[topic][key] = value
    return found


def formatted(seconds: Value) -> str | None:
    """A running time in words; without minutes, as every change of a text is an entry in a logbook."""
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < inf:
        return None
    days, rest = divmod(int(seconds), 86400)
    return f"{days} d {rest // 3600} h"


@cache
def _topics() -> Mapping[str, str]:
    return {key: spec.topic for key, spec in specs().items()}


@lru_cache(maxsize=256)
def _alarms(raised: tuple[str, ...], names: tuple[str, ...]) -> Mapping[str, Scalar]:
    worst = sorted(raised, key=lambda name: SEVERITIES.index(alarm_of(name).severity))
    told = "; ".join(f"{alarm_of(name).severity}: {alarm_of(name).label}" for name in worst)
    return {**alarm_values(raised, names), "alarms": told[:LONGEST] or "none"}
