"""Renders devices of ``views`` as announcements for Home Assistant's MQTT discovery. Pure.

One retained message per device. Its top level takes only keys that every supported release knows; one
unknown key there and the whole message would be refused.
"""

import re
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from jkbms_addon import __version__
from jkbms_addon.battery.snapshot import Key
from jkbms_addon.views.entities import HEALTH, Device, Entity
from jkbms_addon.views.languages import Language, translated

Payload = dict[str, Any]
BRIDGE: Final = "bridge"
DEFAULT_BASE: Final = "jkbms"


@dataclass(frozen=True, slots=True)
class Topics:
    """Where everything is published, and under which identifiers."""

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

    def of(self, place: str, part: str) -> str:
        """Where one part of a device's values is."""
        return self.health if part == HEALTH else f"{self.base}/{place}/{part}"

    @property
    def space(self) -> str:
        """Part of all names that keeps apps with other base topics apart; empty for the default one.

        A hyphen is in no name of a bus, so nothing that we name can be the same as something of another app.
        """
        if self.base == DEFAULT_BASE:
            return ""
        plain = re.sub(r"[^A-Za-z0-9]+", "-", self.base).strip("-")
        return plain if plain == self.base else f"{plain}-{crc32(self.base.encode()):08x}"

    def identifier(self, word: str) -> str:
        """Identifier of a device."""
        return f"jkbms-{self.space}_{word}" if self.space else f"jkbms_{word}"

    def entity(self, start: str) -> str:
        """How the proposed ids of a device's entities begin."""
        space = self.space.replace("-", "_").lower()
        return f"{start}_{space}" if space else start

    def config(self, device: str) -> str:
        """Announcement of a device."""
        return f"{self.prefix}/device/{device}/config"

    @property
    def instance(self) -> str:
        """Who publishes here: one app at a time."""
        return f"{self.base}/bridge/instance"

    @property
    def ask(self) -> str:
        """Where another app asks whether the one that claims to publish is alive."""
        return f"{self.instance}/set"

    @property
    def settings(self) -> str:
        """Pattern of the topics on which settings of batteries are changed."""
        return f"{self.base}/+/+/+/set"

    def command(self, place: str, key: str) -> str:
        """Where an entity of a device takes its commands."""
        return f"{self.base}/{place}/{key}/set"

    @property
    def writing(self) -> str:
        """The lock of all writing."""
        return f"{self.base}/bridge/writing"

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.prefix}/status"


def payload(topics: Topics, device: Device, language: Language = "en") -> Payload:
    """Announcement of a device with all of its entities, named in a language."""
    identifier, known = topics.identifier(device.word), device.identity
    name = translated(device.name, language)
    about = {
        "identifiers": [identifier],
        "name": f"{name} ({topics.base})" if topics.space else name,
        "manufacturer": known.manufacturer,
        "model": known.model,
        "serial_number": known.serial_number,
        "hw_version": known.hardware_version,
        "sw_version": known.software_version,
        "via_device": None if device.word == BRIDGE else topics.identifier(BRIDGE),
    }
    availability = [{"topic": topics.bridge_state}]
    if device.leaves:
        availability.append({"topic": topics.of(device.place, "availability")})
    return {
        "device": {name: value for name, value in about.items() if value is not None},
        "origin": {"name": "JK BMS", "sw_version": __version__},
        "availability": availability,
        **({"availability_mode": "all"} if device.leaves else {}),
        "qos": 1,
        "components": {entity.key: component(topics, device, entity, language) for entity in device.entities},
    }


def component(topics: Topics, device: Device, entity: Entity, language: Language = "en") -> Payload:
    """One entity."""
    kind, spec = entity.kind, entity.spec
    part: Payload = {
        "p": kind,
        "unique_id": f"{topics.identifier(device.word)}_{entity.key}",
        "default_entity_id": f"{kind}.{topics.entity(device.entity)}_{entity.word or entity.key}",
        "name": _named(entity, language),
    }
    if kind != "button":
        part["state_topic"] = topics.of(device.place, entity.part)
    if kind == "event":
        part["event_types"] = list(entity.events)
    elif kind != "button":
        part["value_template"] = _template(entity)
    optional = {
        "device_class": None if kind in ("switch", "event", "button") else spec.device_class,
        "unit_of_measurement": spec.unit,
        "state_class": spec.state_class if kind == "sensor" else None,
        "suggested_display_precision": spec.digits if kind == "sensor" else None,
        "entity_category": "diagnostic" if spec.diagnostic else None,
        "icon": spec.icon,
        "options": list(spec.options) or None,
        "enabled_by_default": None if spec.enabled else False,
        "availability": [{"topic": topics.bridge_state}] if entity.always else None,
    }
    part |= {field: value for field, value in optional.items() if value is not None}
    return {**part, **_taking(topics, device, entity)}


def _named(entity: Entity, language: Language) -> str:
    """The name of an entity; what stands around that of its quantity, a number or a bus, stays."""
    label, quantity = entity.label, entity.spec.name
    return label.replace(quantity, translated(quantity, language), 1) if quantity in label else label


def _template(entity: Entity) -> str:
    """Where the value stands; get(), as a missing key would be a warning in the log of Home Assistant."""
    if not entity.path:
        return f"{{{{ value_json.get('{entity.key}') }}}}"
    first, *between, last = entity.path
    steps = "".join(f".get('{step}', {{}})" for step in between)
    return f"{{{{ value_json.{first}{steps}.get('{last}') }}}}"


def _taking(topics: Topics, device: Device, entity: Entity) -> Payload:
    """What an entity has in addition that takes commands; it shows what is, never what was sent."""
    takes = entity.takes
    if takes is None:
        return {}
    part: Payload = {"command_topic": topics.command(device.place, entity.key)}
    if takes.config:
        part["entity_category"] = "config"
    if takes.kind == "button":
        return {**part, "payload_press": takes.press}
    part |= {"optimistic": False, "retain": False}
    if takes.kind == "select":
        part["options"] = list(takes.options)
    elif takes.kind == "number" and takes.limits:
        limits = takes.limits
        step = max(0.001, limits.step)  # a smaller one is refused by Home Assistant
        part |= {"min": limits.minimum, "max": limits.maximum, "step": step, "mode": "box"}
    return part
