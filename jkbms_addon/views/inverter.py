"""The device "Inverter": the decision, the reasons, what was sent and heard, and what its owner may do. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from jkbms_addon.battery.quantities import Scalar, Spec
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.charging.decision import State, Targets
from jkbms_addon.inverter.emission import Emission
from jkbms_addon.inverter.service import InverterService
from jkbms_addon.views.bank import TEMPERATURE
from jkbms_addon.views.entities import Device, Entity, Identity, Shown, Takes, flag, measured, shown, text

INVERTER: Final = "inverter"
UNSAID: Final = ("module_addresses", "manufacturer")  # lists and constants, which are no news
REASONS: Final = ("charge_voltage", "charge_current", "discharge_current", "discharge_voltage")
LONGEST: Final = 255  # characters of a state in Home Assistant
DIGITS: Final = {"state_of_charge": 0, "state_of_health": 0, "max_cell_voltage": 3, "min_cell_voltage": 3, "voltage": 2}

ENTITIES: Final[Mapping[str, Spec]] = {
    "emitting": flag("Emitting"),
    "phase": Spec("Phase", kind="choice", device_class="enum", options=("bulk", "absorption", "float")),
    "charge_current": measured("Charge limit", "A", "current", 1),
    "charge_current_reason": text("Charge limit why"),
    "discharge_current": measured("Discharge limit", "A", "current", 1),
    "discharge_current_reason": text("Discharge limit why"),
    "charge_voltage": measured("Charge voltage", "V", "voltage", 1),
    "charge_voltage_reason": text("Charge voltage why"),
    "discharge_voltage": measured("Discharge voltage", "V", "voltage", 1),
    "discharge_voltage_reason": text("Discharge volt. why"),
    "charge_enabled": flag("Charge enabled"),
    "discharge_enabled": flag("Discharge enabled"),
    "force_charge_1": flag("Force charge 1"),
    "force_charge_2": flag("Force charge 2"),
    "full_charge_request": flag("Full charge request"),
    "protections": text("Protections"),
    "alarms": text("Alarms"),
    "state_of_charge": measured("State of charge", "%", "battery", 0),
    "state_of_health": measured("State of health", "%", None, 0),
    "voltage": measured("Voltage", "V", "voltage", 2),
    "current": measured("Current", "A", "current", 1),
    "temperature": measured("Temperature", *TEMPERATURE),
    "modules": measured("Modules", None, None, 0),
    "max_temperature": measured("Max temperature", *TEMPERATURE),
    "min_temperature": measured("Min temperature", *TEMPERATURE),
    "max_cell_voltage": measured("Max cell voltage", "V", "voltage", 3),
    "min_cell_voltage": measured("Min cell voltage", "V", "voltage", 3),
    "max_temperature_number": measured("Max temp. number", None, None, 0),
    "min_temperature_number": measured("Min temp. number", None, None, 0),
    "max_cell_number": measured("Max cell number", None, None, 0),
    "min_cell_number": measured("Min cell number", None, None, 0),
    "connected": Spec("Connected", kind="flag", device_class="connectivity", diagnostic=True),
    "reason": text("Reason", diagnostic=True),
    "heartbeat_age": Spec("Heartbeat age", unit="s", device_class="duration", digits=0, diagnostic=True),
    "heartbeat_ids": text("Heartbeat ids", diagnostic=True),
    "heartbeats": Spec("Heartbeats", state_class="total_increasing", diagnostic=True, enabled=False),
    "sets": Spec("Sets sent", state_class="total_increasing", diagnostic=True, enabled=False),
}

# What the owner does here; every row needs an action of the same key in ``takes``, a switch or a number its value.
CONTROLS: Final[Mapping[str, tuple[Spec, Takes]]] = {
    "enable": (
        Spec("Enable", kind="flag", icon="mdi:transmission-tower-export"),
        Takes("switch", config=False),
    ),
    "stop": (Spec("Stop", icon="mdi:stop-circle-outline"), Takes("button", press="STOP", config=False)),
}


def takes(service: InverterService) -> Mapping[str, Callable[[str], None]]:
    """What happens with the payload of a command, by key."""
    return {"enable": service.enable, "stop": service.stop}


def sent_keys(*, extremes: bool) -> tuple[str, ...]:
    """Keys of what is sent; the extremes only where the options ask for them."""
    model = Targets if extremes else State
    left_out = (*UNSAID, "valid_until", "phase", "reasons")
    return tuple(key for key in model.model_fields if key not in left_out)


EXTREMES: Final = frozenset(sent_keys(extremes=True)) - frozenset(sent_keys(extremes=False))


def device(title: str, *, extremes: bool) -> Device:
    """The inverter with what may be done; ``title`` is the dialect's."""
    wanted = {key: spec for key, spec in ENTITIES.items() if extremes or key not in EXTREMES}
    controls = tuple(Entity(key, spec, takes=takes) for key, (spec, takes) in CONTROLS.items())
    return Device(INVERTER, "jk_bms_inverter", "Inverter", INVERTER, (*shown(wanted), *controls), Identity(model=title))


def devices(service: InverterService) -> list[Shown]:
    """The inverter of a service, where there is one."""
    if not service.wanted:
        return []
    extremes, title = service.extremes, service.title
    return [view(lambda: report(service), service.news, title, extremes=extremes, takes=takes(service))]


def view(
    report: Callable[[], "Report"],
    news: Callable[[], object],
    title: str,
    *,
    extremes: bool,
    takes: Mapping[str, Callable[[str], None]] = MappingProxyType({}),
) -> Shown:
    """The inverter as ``report`` tells it."""
    announced = device(title, extremes=extremes)

    def told(now: float) -> Mapping[str, Scalar]:
        found = report().values(now)
        return found if extremes else {key: value for key, value in found.items() if key not in EXTREMES}

    return Shown(INVERTER, news, lambda: announced, told, takes)


@dataclass(frozen=True, slots=True)
class Report:
    """All that there is to tell at one moment; ``unkept`` says what is wrong with the switch."""

    targets: Targets | None
    emission: Emission
    link: BusStatus
    enabled: bool
    unkept: str = ""

    def values(self, now: float) -> dict[str, Scalar]:
        """Values by key; ``now`` is monotonic time in s."""
        emission, targets = self.emission, self.targets
        warning = self.link.problem if self.link.connected else ""  # what is wrong although it is sent
        return {
            "emitting": emission.emitting,
            "enable": self.enabled,
            "connected": self.link.connected,
            "reason": (emission.why or self.unkept or warning or "ok")[:LONGEST],
            "phase": targets.phase if targets else None,
            **_values(targets),
            **{f"{key}_reason": _reason(targets, key) for key in REASONS},
            "heartbeat_age": None if emission.heard_at is None else round(now - emission.heard_at),
            "heartbeats": sum(emission.heard.values()),
            "heartbeat_ids": " ".join(f"{can_id:03X}" for can_id in sorted(emission.heard)) or None,
            "sets": emission.sets,
        }


def report(service: InverterService) -> Report:
    """What the inverter is told now, and how its link is."""
    decision, switch = service.control.decision(service.control.clock()), service.switch
    return Report(decision, service.emission, service.link, switch.shown, switch.problem)


def _values(targets: Targets | None) -> Mapping[str, Scalar]:
    keys = sent_keys(extremes=True)
    return {key: _told(key, getattr(targets, key)) if targets else None for key in keys}


def _told(key: str, value: Scalar | tuple[str, ...]) -> Scalar:
    if isinstance(value, tuple):
        return ", ".join(word.replace("_", " ") for word in value)[:LONGEST] or "none"
    return round(value, DIGITS.get(key, 1)) if isinstance(value, float) else value


def _reason(targets: Targets | None, key: str) -> str | None:
    return targets.reasons.get(key, "")[:LONGEST] if targets else None
