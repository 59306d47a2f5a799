"""The device of one battery: which entities it has, and its values as they are published. Pure."""

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Final

from jkbms_addon.battery.alarms import ALARMS, alarm_key
from jkbms_addon.battery.quantities import ERRORS, PROBLEM, Scalar, Spec, Value, alarm_spec, specs
from jkbms_addon.battery.reading import alarm_values
from jkbms_addon.battery.store import Key, Part, Snapshot
from jkbms_addon.commands.command import RESULTS
from jkbms_addon.commands.rules import Range
from jkbms_addon.views.entities import HEALTH, Device, Entity, Identity, controlled

CELLS: Final = 32  # the most that a battery can have
LEAVES: Final = ("settings", "info")  # parts that change seldom
LAST_WRITE: Final = "last_write"

HEALTHS: Final = ("ok", "late", "silent", "corrupt", "frozen")
# Diagnostics of one BMS that stay available when it is silent.
DIAGNOSTICS: Final[Mapping[str, Spec]] = {
    "connection": Spec("Connection", kind="flag", device_class="connectivity"),
    "health": Spec("Health", kind="choice", device_class="enum", options=HEALTHS, diagnostic=True),
    "age": Spec("Age of the last frame", unit="s", device_class="duration", digits=0, diagnostic=True, enabled=False),
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
    found.update({"problem": PROBLEM, "errors": ERRORS})
    found.update((alarm_key(name), alarm_spec(alarm)) for name, alarm in ALARMS.items())
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
    single_bus: bool,
) -> Device:
    """The device of a BMS with the entities of ``keys``; those in ``controls`` may be changed."""
    bus, address = key
    return Device(
        word(key),
        f"jk_bms_{address}" if single_bus else f"jk_bms_{bus}_{address}",
        f"JK BMS {address}" if single_bus else f"JK BMS {bus} {address}",
        f"{bus}/{address}",
        (*_entities(keys, controls), *_diagnostics(key, changeable=bool(controls))),
        known,
        leaves=True,
    )


def _entities(keys: frozenset[str], controls: Mapping[str, Range]) -> Iterator[Entity]:
    for key, spec in entity_specs(keys).items():
        limits = controls.get(key)
        name = f"{spec.name} {key.rpartition('_')[2]}" if spec.listed else spec.name
        yield Entity(key, spec, name, spec.topic, takes=controlled(spec, limits) if limits else None)


def _diagnostics(key: Key, *, changeable: bool) -> Iterator[Entity]:
    if changeable:
        spec = Spec("Last write", kind="text", diagnostic=True, icon="mdi:pencil-lock")
        yield Entity(LAST_WRITE, spec, part=LAST_WRITE, events=RESULTS)
    for name, spec in DIAGNOSTICS.items():
        yield Entity(name, spec, part=HEALTH, path=("batteries", word(key), name), always=True)


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
        topic = topics.get(key)
        if topic is None:
            if key == "alarms":
                state.update(_alarms(value, alarm_names))
        elif isinstance(value, tuple):
            state.update([(name, item) for name, item in zip(numbered(key), value, strict=False) if item is not None])
        else:
            found[topic][key] = value
    return found


@cache
def _topics() -> Mapping[str, str]:
    return {key: spec.topic for key, spec in specs().items()}


@lru_cache(maxsize=256)
def _alarms(raised: tuple[str, ...], names: tuple[str, ...]) -> Mapping[str, Scalar]:
    return alarm_values(raised, names)
