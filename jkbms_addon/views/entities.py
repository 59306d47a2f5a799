"""Devices and their entities as data, for any sink: what is shown, under which key, and what it takes. Pure.

A sink renders them: ``mqtt.discovery`` for Home Assistant, a page for a browser.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from jkbms_addon.battery.quantities import Scalar, Spec
from jkbms_addon.commands.rules import Range

Kind = Literal["sensor", "binary_sensor", "number", "switch", "select", "button", "event"]
HEALTH: Final = "health"  # the part that tells of all buses and batteries, in the bridge's place


@dataclass(frozen=True, slots=True)
class Takes:
    """How an entity is commanded; ``config`` is false where it is for every day, not for a setup."""

    kind: Literal["number", "switch", "select", "button"]
    limits: Range | None = None  # of a number
    options: tuple[str, ...] = ()  # of a select
    press: str = "PRESS"  # what a button sends
    config: bool = True


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing that a device shows or takes.

    ``part`` names the values of the device in which it is found, by ``path`` where it does not simply stand under its
    key there. ``always`` means that it is there even while the device is silent. ``events`` are what may happen.
    ``word`` is how its proposed id ends where that is not its key.
    """

    key: str
    spec: Spec
    name: str = ""
    part: str = "state"
    path: tuple[str, ...] = ()
    takes: Takes | None = None
    always: bool = False
    events: tuple[str, ...] = ()
    word: str = ""

    @property
    def kind(self) -> Kind:
        """What it is in Home Assistant's words."""
        if self.takes:
            return self.takes.kind
        if self.events:
            return "event"
        return shown_as(self.spec)

    @property
    def label(self) -> str:
        """Its name for people."""
        return self.name or self.spec.name


def shown_as(spec: Spec) -> Kind:
    """Kind of an entity that only shows."""
    return "binary_sensor" if spec.kind == "flag" else "sensor"


def controlled(spec: Spec, limits: Range) -> Takes:
    """How a setting is commanded."""
    return Takes("switch") if spec.kind == "flag" else Takes("number", limits)


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of the thing itself."""

    manufacturer: str = "JK BMS"
    model: str | None = None
    serial_number: str | None = None
    hardware_version: str | None = None
    software_version: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device with everything that it shows.

    ``word`` names it in ids, ``entity`` is how the proposed ids of its entities begin, ``place`` where its values
    are: ``bank``, or ``rack/1``. ``leaves`` tells that it may be away while the program runs.
    """

    word: str
    entity: str
    name: str
    place: str
    entities: tuple[Entity, ...]
    identity: Identity = Identity()
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A device beside the batteries and the bridge, alive: a sink looks at it, and gives it commands.

    ``device`` is None as long as there is nothing to announce; its values are worth sending when ``news`` differs.
    ``takes`` has an action for the payload of each command, by key. Entities whose keys begin with ``keeps`` may be
    missing for a while.
    """

    word: str
    news: Callable[[], object]
    device: Callable[[], Device | None]
    values: Callable[[float], Mapping[str, Scalar]]
    takes: Mapping[str, Callable[[str], None]]
    keeps: str = ""


def shown(specs: Mapping[str, Spec], controls: Mapping[str, Takes] | None = None) -> tuple[Entity, ...]:
    """Entities of a table, in its order; those in ``controls`` take commands."""
    return tuple(Entity(key, spec, takes=(controls or {}).get(key)) for key, spec in specs.items())


def measured(name: str, unit: str | None, kind: str | None, digits: int | None) -> Spec:
    """Row of a measured number."""
    return Spec(name, unit=unit, device_class=kind, state_class="measurement", digits=digits)


def flag(name: str) -> Spec:
    """Row of something that is on or off."""
    return Spec(name, kind="flag")


def text(name: str, *, diagnostic: bool = False) -> Spec:
    """Row of a text."""
    return Spec(name, kind="text", diagnostic=diagnostic)


def platforms(entities: Iterable[Entity]) -> dict[str, Kind]:
    """Kind of each entity by key."""
    return {entity.key: entity.kind for entity in entities}


def specs_of(device: Device) -> dict[str, Spec]:
    """Rows of a device's entities by key."""
    return {entity.key: entity.spec for entity in device.entities}
