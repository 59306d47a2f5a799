"""Announcements for Home Assistant's MQTT discovery, made from the table. Pure.

One retained message per device. Its top level takes only keys that every supported release knows; one
unknown key there and the whole message would be refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jkbms_addon import __version__
from jkbms_addon.alarms import ALARMS, alarm_key
from jkbms_addon.bank import Key, Snapshot
from jkbms_addon.model import ERRORS, PROBLEM, Spec, alarm_spec, specs

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


def platform(spec: Spec) -> str:
    """Kind of entity."""
    return "binary_sensor" if spec.kind == "flag" else "sensor"


def component(key: str, spec: Spec, unique: str, entity: str, topic: str) -> Payload:
    """One entity."""
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
    topics: Topics, key: Key, keys: frozenset[str], known: Identity, *, single_bus: bool, latency: bool = True
) -> Payload:
    """Announcement of a BMS with the entities of ``keys``."""
    bus, address = key
    unique = device_id(key)
    entity = f"jk_bms_{address}" if single_bus else f"jk_bms_{bus}_{address}"
    components = {
        name: component(name, spec, f"{unique}_{name}", entity, topics.battery(key, spec.topic))
        for name, spec in entity_specs(keys).items()
    }
    for name, spec in BATTERY_DIAGNOSTICS.items():
        if name != "latency" or latency:
            components[name] = {
                **component(name, spec, f"{unique}_{name}", entity, topics.health),
                "value_template": f"{{{{ value_json.batteries.get('{bus}_{address}', {{}}).get('" + name + "') }}",
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
ANY_PROBLEM = Spec("Any battery problem", kind="flag", device_class="problem")
SAME_BATTERY = Spec("Same battery twice", kind="text", diagnostic=True, enabled=False)
CONFIGURATION = Spec("Configuration problem", kind="flag", device_class="problem", diagnostic=True)


def bridge_payload(topics: Topics, buses: Iterable[str]) -> Payload:
    """Announcement of the bridge: every bus with its diagnostics."""
    components = {
        key: component(key, spec, f"{BRIDGE}_{key}", BRIDGE, topics.health)
        for key, spec in (
            ("any_battery_problem", ANY_PROBLEM),
            ("configuration_problem", CONFIGURATION),
            ("same_battery", SAME_BATTERY),
        )
    }
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
