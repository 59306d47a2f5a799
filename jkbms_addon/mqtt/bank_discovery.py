"""The devices "Battery bank" and "Inverter": their entities, and when they are worth announcing. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from jkbms_addon.bank.bank import BankState, published
from jkbms_addon.battery.quantities import Scalar, Spec, specs
from jkbms_addon.inverter.report import Report, sent_keys
from jkbms_addon.inverter.service import InverterService
from jkbms_addon.mqtt.discovery import BRIDGE, Payload, Topics, component, origin
from jkbms_addon.mqtt.outbox import Extra

BANK, INVERTER = "jkbms_bank", "jkbms_inverter"


def _measured(name: str, unit: str | None, kind: str | None, digits: int | None) -> Spec:
    return Spec(name, unit=unit, device_class=kind, state_class="measurement", digits=digits)


def _flag(name: str) -> Spec:
    return Spec(name, kind="flag")


def _text(name: str, *, diagnostic: bool = False) -> Spec:
    return Spec(name, kind="text", diagnostic=diagnostic)


def _known(*keys: str) -> dict[str, Spec]:
    return {key: specs()[key] for key in keys}


TEMPERATURE: Final = ("°C", "temperature", 1)
BANK_ENTITIES: Final[Mapping[str, Spec]] = {
    **_known("total_voltage", "current", "power", "state_of_charge", "state_of_health"),
    **_known("capacity_remaining", "full_charge_capacity", "min_cell_voltage"),
    "min_cell_voltage_at": _text("Min cell voltage at"),
    **_known("max_cell_voltage"),
    "max_cell_voltage_at": _text("Max cell voltage at"),
    **_known("delta_cell_voltage"),
    "min_temperature": _measured("Min temperature", *TEMPERATURE),
    "min_temperature_at": _text("Min temperature at"),
    "max_temperature": _measured("Max temperature", *TEMPERATURE),
    "max_temperature_at": _text("Max temperature at"),
    "voltage_spread": _measured("Voltage spread", "V", "voltage", 2),
    "sharing_error": _measured("Sharing error", "%", None, 1),
    "packs_online": _measured("Packs online", None, None, 0),
    "packs_expected": _measured("Packs expected", None, None, 0),
    "packs_blocking_charge": _measured("Packs blocking charge", None, None, 0),
    "packs_blocking_discharge": _measured("Packs blocking discharge", None, None, 0),
    "packs_excluded": _text("Packs excluded"),
}
SHARING: Final = "sharing_"  # before the name of a pack: its share of the current

INVERTER_ENTITIES: Final[Mapping[str, Spec]] = {
    "emitting": _flag("Emitting"),
    "phase": Spec("Phase", kind="choice", device_class="enum", options=("bulk", "absorption", "float")),
    "charge_current": _measured("Charge current limit", "A", "current", 1),
    "charge_current_reason": _text("Charge current reason"),
    "discharge_current": _measured("Discharge current limit", "A", "current", 1),
    "discharge_current_reason": _text("Discharge current reason"),
    "charge_voltage": _measured("Charge voltage limit", "V", "voltage", 1),
    "charge_voltage_reason": _text("Charge voltage reason"),
    "discharge_voltage": _measured("Discharge voltage limit", "V", "voltage", 1),
    "discharge_voltage_reason": _text("Discharge voltage reason"),
    "charge_enabled": _flag("Charge enabled"),
    "discharge_enabled": _flag("Discharge enabled"),
    "force_charge_1": _flag("Force charge 1"),
    "force_charge_2": _flag("Force charge 2"),
    "full_charge_request": _flag("Full charge request"),
    "protections": _text("Protections"),
    "alarms": _text("Alarms"),
    "state_of_charge": _measured("State of charge", "%", "battery", 0),
    "state_of_health": _measured("State of health", "%", None, 0),
    "voltage": _measured("Voltage", "V", "voltage", 2),
    "current": _measured("Current", "A", "current", 1),
    "temperature": _measured("Temperature", *TEMPERATURE),
    "modules": _measured("Modules", None, None, 0),
    "max_temperature": _measured("Max temperature", *TEMPERATURE),
    "min_temperature": _measured("Min temperature", *TEMPERATURE),
    "max_cell_voltage": _measured("Max cell voltage", "V", "voltage", 3),
    "min_cell_voltage": _measured("Min cell voltage", "V", "voltage", 3),
    "max_temperature_number": _measured("Max temperature number", None, None, 0),
    "min_temperature_number": _measured("Min temperature number", None, None, 0),
    "max_cell_number": _measured("Max cell number", None, None, 0),
    "min_cell_number": _measured("Min cell number", None, None, 0),
    "connected": Spec("Connected", kind="flag", device_class="connectivity", diagnostic=True),
    "reason": _text("Reason", diagnostic=True),
    "heartbeat_age": Spec("Heartbeat age", unit="s", device_class="duration", digits=0, diagnostic=True),
    "heartbeat_ids": _text("Heartbeat ids", diagnostic=True),
    "heartbeats": Spec("Heartbeats", state_class="total_increasing", diagnostic=True, enabled=False),
    "sets": Spec("Sets sent", state_class="total_increasing", diagnostic=True, enabled=False),
}
EXTREMES: Final = frozenset(sent_keys(extremes=True)) - frozenset(sent_keys(extremes=False))


def bank_topic(topics: Topics) -> str:
    """State of the bank, JSON."""
    return f"{topics.base}/bank/state"


def inverter_topic(topics: Topics, leaf: str = "state") -> str:
    """State of the inverter's path, JSON, or one of its commands."""
    return f"{topics.base}/inverter/{leaf}"


def bank_payload(topics: Topics, labels: Iterable[str]) -> Payload:
    """Announcement of the bank; ``labels`` are those of the packs."""
    shares = {
        f"{SHARING}{label.replace('/', '_')}": _measured(f"Share of pack {label}", "%", None, 1) for label in labels
    }
    return _device(topics, BANK, "Battery bank", {**BANK_ENTITIES, **shares}, bank_topic(topics))


def inverter_payload(topics: Topics, title: str, *, extremes: bool) -> Payload:
    """Announcement of the inverter's path with its switch and button; ``title`` is the dialect's."""
    wanted = {key: spec for key, spec in INVERTER_ENTITIES.items() if extremes or key not in EXTREMES}
    payload = _device(topics, INVERTER, "Inverter", wanted, inverter_topic(topics), title)
    enable = component("enable", _flag("Enable"), f"{INVERTER}_enable", "", inverter_topic(topics))
    payload["components"]["enable"] = {
        **enable,
        "p": "switch",
        "default_entity_id": "switch.jk_bms_inverter_enable",
        "command_topic": inverter_topic(topics, "enable/set"),
        "optimistic": False,
        "icon": "mdi:transmission-tower-export",
    }
    payload["components"]["stop"] = {
        "p": "button",
        "unique_id": f"{INVERTER}_stop",
        "default_entity_id": "button.jk_bms_inverter_stop",
        "name": "Stop",
        "command_topic": inverter_topic(topics, "stop/set"),
        "payload_press": "STOP",
        "icon": "mdi:stop-circle-outline",
    }
    return payload


def _device(
    topics: Topics, device: str, name: str, entities: Mapping[str, Spec], topic: str, model: str = ""
) -> Payload:
    entity = device.replace("jkbms", "jk_bms")
    about = {"identifiers": [device], "name": name, "manufacturer": "JK BMS", "via_device": BRIDGE}
    return {
        "device": {**about, "model": model} if model else about,
        "origin": origin(),
        "availability": [{"topic": topics.bridge_state}],
        "qos": 1,
        "components": {key: component(key, spec, f"{device}_{key}", entity, topic) for key, spec in entities.items()},
    }


class _Changes:
    """A number that grows when there is something new to tell, looked at only when there was a new decision."""

    def __init__(self, count: Callable[[], int], told: Callable[[], Mapping[str, Scalar]]) -> None:
        self._count, self._told = count, told
        self._seen, self._number = -1, 0
        self._last: Mapping[str, Scalar] = {}

    def __call__(self) -> int:
        count = self._count()
        if count != self._seen:
            self._seen, told = count, self._told()
            self._number += told != self._last
            self._last = told
        return self._number


def bank_extra(topics: Topics, state: Callable[[], BankState], count: Callable[[], int], *, always: bool) -> Extra:
    """The bank, told once there is more than one battery, or ``always``."""

    def payload() -> Payload | None:
        now = state()
        labels = sorted({*(view.label for view in now.counted), *(one.label for one in now.excluded)})
        return bank_payload(topics, labels) if always or len(labels) > 1 else None

    def values(_now: float) -> Mapping[str, Scalar]:
        told = published(state())
        return {**dict.fromkeys(BANK_ENTITIES), **told}

    changes = _Changes(count, lambda: published(state()))
    return Extra(BANK, bank_topic(topics), changes, payload, values, keeps=SHARING)


def inverter_extra(
    topics: Topics, report: Callable[[], Report], news: Callable[[], object], title: str, *, extremes: bool
) -> Extra:
    """The inverter's path."""

    def values(now: float) -> Mapping[str, Scalar]:
        told = report().published(now)
        return told if extremes else {key: value for key, value in told.items() if key not in EXTREMES}

    announcement = inverter_payload(topics, title, extremes=extremes)
    return Extra(INVERTER, inverter_topic(topics), news, lambda: announcement, values)


def extras(service: InverterService, topics: Topics, batteries: int) -> list[Extra]:
    """The devices of bank and inverter; ``batteries`` is how many there can be."""
    control, found = service.control, []
    if service.always or batteries > 1:
        found.append(bank_extra(topics, lambda: control.state, lambda: control.count, always=service.always))
    if service.wanted:
        found.append(inverter_extra(topics, service.report, service.news, service.title, extremes=service.extremes))
    return found


def routes(service: InverterService, topics: Topics) -> dict[str, Callable[[str], None]]:
    """What to do with a command, by its topic."""
    if not service.wanted:
        return {}
    return {inverter_topic(topics, "enable/set"): service.enable, inverter_topic(topics, "stop/set"): service.stop}
