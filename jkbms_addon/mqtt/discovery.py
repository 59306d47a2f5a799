"""Announcements for Home Assistant's MQTT discovery, made from the table. Pure.

One retained message per device. Its top level takes only keys that every supported release knows; one
unknown key there and the whole message would be refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from jkbms_addon import __version__
from jkbms_addon.battery.alarms import ALARMS, alarm_key
from jkbms_addon.battery.quantities import ERRORS, PROBLEM, Spec, alarm_spec, specs
from jkbms_addon.battery.store import Key, Snapshot
from jkbms_addon.commands.command import RESULTS
from jkbms_addon.commands.rules import Range

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Topics:
    """Where everything is published."""

    base: str = "jkbms"
    prefix: str = "homeassistant"

    @property
    def bridge_state(self) -> str:
        """Last will: ``online`` or ``offline``."""
        return f"{self.base}/bridge/state"

    @property
    def health(self) -> str:
        """Diagnostics of the buses and of every BMS, as JSON."""
        return f"{self.base}/bridge/health"

    def battery(self, key: Key, leaf: str) -> str:
        """``state``, ``settings``, ``info`` or ``availability`` of a BMS."""
        return f"{self.base}/{key[0]}/{key[1]}/{leaf}"

    def config(self, device: str) -> str:
        """Announcement of a device."""
        return f"{self.prefix}/device/{device}/config"

    @property
    def commands(self) -> tuple[str, ...]:
        """Patterns of the topics on which commands arrive."""
        return f"{self.base}/+/+/set", f"{self.base}/+/+/+/set"

    def command(self, key: Key, name: str) -> str:
        """Where a setting of a BMS is changed."""
        return self.battery(key, f"{name}/set")

    @property
    def writing(self) -> str:
        """The lock of all writing."""
        return f"{self.base}/bridge/writing"

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.prefix}/status"


BRIDGE = "jkbms_bridge"


def device_id(key: Key) -> str:
    """Identifier of a BMS's device."""
    return f"jkbms_{key[0]}_{key[1]}"


@lru_cache(maxsize=64)
def entity_specs(wanted: frozenset[str]) -> Mapping[str, Spec]:
    """Rows of published keys, in the order of the table; numbered keys get their number in the name."""
    found: dict[str, Spec] = {}
    for key, spec in specs().items():
        if not spec.listed and key in wanted:
            found[key] = spec
        elif spec.listed:
            found.update((name, spec) for n in range(1, 33) if (name := f"{key}_{n}") in wanted)
    found.update((key, spec) for key, spec in (("problem", PROBLEM), ("errors", ERRORS)) if key in wanted)
    found.update((key, alarm_spec(alarm)) for name, alarm in ALARMS.items() if (key := alarm_key(name)) in wanted)
    return found


def platform(spec: Spec, *, controlled: bool = False) -> str:
    """Kind of entity; a setting that may be changed is a switch or a number."""
    if controlled:
        return "switch" if spec.kind == "flag" else "number"
    return "binary_sensor" if spec.kind == "flag" else "sensor"


def component(key: str, spec: Spec, unique: str, entity: str, topic: str) -> Payload:
    """One entity that only shows."""
    kind = platform(spec)
    name = f"{spec.name} {key.rpartition('_')[2]}" if spec.listed else spec.name
    optional = {
        "device_class": spec.device_class,
        "unit_of_measurement": spec.unit,
        "state_class": spec.state_class,
        "suggested_display_precision": spec.digits if kind == "sensor" else None,
        "entity_category": "diagnostic" if spec.diagnostic else None,
        "icon": spec.icon,
        "options": list(spec.options) or None,
        "enabled_by_default": None if spec.enabled else False,
    }
    return {
        "p": kind,
        "unique_id": unique,
        "default_entity_id": f"{kind}.{entity}_{key}",
        "name": name,
        "state_topic": topic,
        # get(), as a missing key would be a warning in the log of Home Assistant
        "value_template": f"{{{{ value_json.get('{key}') }}}}",
        **{field: value for field, value in optional.items() if value is not None},
    }


def control(shown: Payload, spec: Spec, entity: str, command: str, limits: Range) -> Payload:
    """The same entity taking commands; it shows what the BMS says, never what was sent."""
    kind = platform(spec, controlled=True)
    only_shown = ("state_class", "suggested_display_precision", "device_class" if kind == "switch" else "")
    part = {name: value for name, value in shown.items() if name not in only_shown}
    _, _, key = shown["default_entity_id"].partition(f".{entity}_")
    part |= {
        "p": kind,
        "default_entity_id": f"{kind}.{entity}_{key}",
        "command_topic": command,
        "entity_category": "config",
        "optimistic": False,
        "retain": False,
    }
    if kind == "number":
        step = max(0.001, limits.step)  # a smaller one is refused by Home Assistant
        part |= {"min": limits.minimum, "max": limits.maximum, "step": step, "mode": "box"}
    return part


@dataclass(frozen=True, slots=True)
class Identity:
    """What the device page says of a battery."""

    model: str | None = None
    serial_number: str | None = None
    hardware_version: str | None = None
    software_version: str | None = None


def identity(snapshot: Snapshot) -> Identity:
    """Identity as last heard; it does not age."""
    about = snapshot.parts.get("about")
    values: Mapping[str, Any] = about.values if about else {}
    return Identity(*(values.get(name) for name in ("model", "serial_number", "hardware_version", "software_version")))


# Diagnostics of one BMS that stay available when it is silent.
BATTERY_DIAGNOSTICS: dict[str, Spec] = {
    "health": Spec(
        "Health", kind="choice", device_class="enum", options=("ok", "late", "silent", "corrupt"), diagnostic=True
    ),
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


def battery_payload(
    topics: Topics,
    key: Key,
    keys: frozenset[str],
    known: Identity,
    controls: Mapping[str, Range] = MappingProxyType({}),
    *,
    single_bus: bool,
) -> Payload:
    """Announcement of a BMS with the entities of ``keys``; those in ``controls`` may be changed."""
    bus, address = key
    unique = device_id(key)
    entity = f"jk_bms_{address}" if single_bus else f"jk_bms_{bus}_{address}"
    components = {}
    for name, spec in entity_specs(keys).items():
        shown = component(name, spec, f"{unique}_{name}", entity, topics.battery(key, spec.topic))
        limits = controls.get(name)
        components[name] = control(shown, spec, entity, topics.command(key, name), limits) if limits else shown
    if controls:
        components["last_write"] = last_write(topics, key, unique, entity)
    for name, spec in BATTERY_DIAGNOSTICS.items():
        components[name] = {
            **component(name, spec, f"{unique}_{name}", entity, topics.health),
            "value_template": f"{{{{ value_json.batteries.get('{bus}_{address}', {{}}).get('{name}') }}}}",
            "availability": [{"topic": topics.bridge_state}],
        }
    device = {
        "identifiers": [unique],
        "name": f"JK BMS {address}" if single_bus else f"JK BMS {bus} {address}",
        "manufacturer": "Jikong",
        "model": known.model,
        "serial_number": known.serial_number,
        "hw_version": known.hardware_version,
        "sw_version": known.software_version,
        "via_device": BRIDGE,
    }
    return {
        "device": {name: value for name, value in device.items() if value is not None},
        "origin": origin(),
        "availability": [{"topic": topics.bridge_state}, {"topic": topics.battery(key, "availability")}],
        "availability_mode": "all",
        "qos": 1,
        "components": components,
    }


def last_write(topics: Topics, key: Key, unique: str, entity: str) -> Payload:
    """The event that tells what became of a change."""
    return {
        "p": "event",
        "unique_id": f"{unique}_last_write",
        "default_entity_id": f"event.{entity}_last_write",
        "name": "Last write",
        "state_topic": topics.battery(key, "last_write"),
        "event_types": list(RESULTS),
        "entity_category": "diagnostic",
        "icon": "mdi:pencil-lock",
    }


def origin() -> Payload:
    """Who announces."""
    return {"name": "JK BMS", "sw_version": __version__}


BUS_DIAGNOSTICS: dict[str, Spec] = {
    "connected": Spec("connected", kind="flag", device_class="connectivity", diagnostic=True),
    "problem": Spec("problem", kind="flag", device_class="problem", diagnostic=True),
    "reason": Spec("reason", kind="text", diagnostic=True),
    "quality": Spec("quality", unit="%", state_class="measurement", digits=0, diagnostic=True),
    "mode": Spec("mode", kind="text", diagnostic=True, enabled=False),
    "worst_incident": Spec("worst incident", kind="text", diagnostic=True, enabled=False),
    "worst_incident_time": Spec("worst incident time", device_class="timestamp", diagnostic=True, enabled=False),
    "since": Spec("since", device_class="timestamp", diagnostic=True, enabled=False),
    "last_error": Spec("last error", kind="text", diagnostic=True, enabled=False),
    **{
        name: Spec(label, state_class="total_increasing", diagnostic=True, enabled=False)
        for name, label in (
            ("bytes", "bytes"),
            ("frames", "frames"),
            ("checksum_errors", "checksum errors"),
            ("implausible", "implausible frames"),
            ("junk", "junk bytes"),
            ("timeouts", "time-outs"),
            ("reconnects", "reconnects"),
        )
    },
}
BRIDGE_DIAGNOSTICS: dict[str, Spec] = {
    "any_battery_problem": Spec("Any battery problem", kind="flag", device_class="problem"),
    "configuration_problem": Spec("Configuration problem", kind="flag", device_class="problem", diagnostic=True),
    "configuration_reason": Spec("Configuration reason", kind="text", diagnostic=True),
    "same_battery": Spec("Same battery twice", kind="text", diagnostic=True, enabled=False),
}
WRITING = Spec("Writing", kind="flag", icon="mdi:lock-open-variant")


def bridge_payload(topics: Topics, buses: Iterable[str], *, writing: bool = False) -> Payload:
    """Announcement of the bridge: every bus with its diagnostics, and the lock of all writing."""
    components = {
        key: component(key, spec, f"{BRIDGE}_{key}", BRIDGE, topics.health) for key, spec in BRIDGE_DIAGNOSTICS.items()
    }
    if writing:
        lock = component("writing", WRITING, f"{BRIDGE}_writing", BRIDGE, topics.health)
        components["writing"] = control(lock, WRITING, BRIDGE, f"{topics.writing}/set", Range(0, 1, 1))
    for bus in buses:
        for name, spec in BUS_DIAGNOSTICS.items():
            key = f"{bus}_{name}"
            components[key] = {
                **component(key, spec, f"{BRIDGE}_{key}", BRIDGE, topics.health),
                "name": f"{bus} {spec.name}",
                "value_template": f"{{{{ value_json.buses.get('{bus}', {{}}).get('{name}') }}}}",
            }
    return {
        "device": {
            "identifiers": [BRIDGE],
            "name": "JK BMS bridge",
            "manufacturer": "JK BMS",
            "model": "RS485, CAN and UART bridge",
            "sw_version": __version__,
        },
        "origin": origin(),
        "availability": [{"topic": topics.bridge_state}],
        "qos": 1,
        "components": components,
    }
