"""The devices "Battery bank" and "Inverter": their entities, and when they are worth announcing. Pure."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from jkbms_addon.bank.bank import BankState, published
from jkbms_addon.battery.chemistry import Name
from jkbms_addon.battery.quantities import Scalar, Spec, specs
from jkbms_addon.charging.owner import NUMBERS, bound_of, number_of
from jkbms_addon.charging.phases import PHASES
from jkbms_addon.charging.setpoints import GRID_CHARGE, Setpoints
from jkbms_addon.inverter.report import SET, Report, sent_keys
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

# how charging goes: on the inverter, or on the bank where there is none
CHARGING_ENTITIES: Final[Mapping[str, Spec]] = {
    "phase": Spec("Phase", kind="choice", device_class="enum", options=PHASES),
    "last_full": Spec("Last full charge", kind="text", device_class="timestamp"),
    "days_since_full": _measured("Days since full", "d", "duration", 1),
    "time_absorbed": _measured("Time absorbed", "min", "duration", 0),
    "learned_offset": Spec("Learned meter offset", unit="V", device_class="voltage", digits=2, diagnostic=True),
    "voltage_trim": Spec("Charge voltage trim", unit="V", device_class="voltage", digits=2, diagnostic=True),
    "packs_may_charge": _measured("Packs that may charge", None, None, 0),
    "packs_may_discharge": _measured("Packs that may discharge", None, None, 0),
    "packs_empty": _text("Packs empty"),
    "findings": _text("Findings", diagnostic=True),
}
LIMIT_ENTITIES: Final[Mapping[str, Spec]] = {
    "charge_current": _measured("Charge current limit", "A", "current", 1),
    "charge_current_reason": _text("Charge current reason"),
    "discharge_current": _measured("Discharge current limit", "A", "current", 1),
    "discharge_current_reason": _text("Discharge current reason"),
    "charge_voltage": _measured("Charge voltage limit", "V", "voltage", 1),
    "charge_voltage_reason": _text("Charge voltage reason"),
    "discharge_voltage": _measured("Discharge voltage limit", "V", "voltage", 1),
    "discharge_voltage_reason": _text("Discharge voltage reason"),
}
INVERTER_ENTITIES: Final[Mapping[str, Spec]] = {
    "emitting": _flag("Emitting"),
    **LIMIT_ENTITIES,
    "charge_enabled": _flag("Charge enabled"),
    "discharge_enabled": _flag("Discharge enabled"),
    "force_charge_1": _flag("Force charge 1"),
    "force_charge_2": _flag("Force charge 2"),
    "full_charge_request": _flag("Full charge request"),
    "protections": _text("Protections"),
    "alarms": _text("Alarms"),
    "state_of_charge": _measured("State of charge", "%", "battery", 0),
    "state_of_charge_reason": _text("State of charge reason", diagnostic=True),
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
    **CHARGING_ENTITIES,
}
OWNER_SWITCHES: Final = {
    "charging": ("Charging", "mdi:battery-arrow-up"),
    "discharging": ("Discharging", "mdi:battery-arrow-down"),
}
OWNER_BUTTONS: Final = {
    "charge_fully": ("Charge fully now", "mdi:battery-charging-100"),
    "balance": ("Balance now", "mdi:scale-balance"),
    "wake_up": ("Wake up", "mdi:alarm"),
}
PRESS: Final = "PRESS"
EXTREMES: Final = frozenset(sent_keys(extremes=True)) - frozenset(sent_keys(extremes=False))


def bank_topic(topics: Topics) -> str:
    """State of the bank, JSON."""
    return f"{topics.base}/bank/state"


def inverter_topic(topics: Topics, leaf: str = "state") -> str:
    """State of the inverter's path, JSON, or one of its commands."""
    return f"{topics.base}/inverter/{leaf}"


def bank_payload(topics: Topics, labels: Iterable[str], report: Report | None = None) -> Payload:
    """Announcement of the bank; ``labels`` are those of the packs; with a ``report`` its limits and numbers, too."""
    shares = {
        f"{SHARING}{label.replace('/', '_')}": _measured(f"Share of pack {label}", "%", None, 1) for label in labels
    }
    more = {**LIMIT_ENTITIES, **CHARGING_ENTITIES} if report else {}
    payload = _device(topics, BANK, "Battery bank", {**BANK_ENTITIES, **shares, **more}, bank_topic(topics))
    if report:
        payload["components"] |= owner_components(BANK, bank_topic(topics), topics, "bank", report)
    return payload


def inverter_payload(topics: Topics, title: str, report: Report, *, extremes: bool) -> Payload:
    """Announcement of the inverter's path with what its owner can set; ``title`` is the dialect's."""
    wanted = {key: spec for key, spec in INVERTER_ENTITIES.items() if extremes or key not in EXTREMES}
    topic = inverter_topic(topics)
    payload = _device(topics, INVERTER, "Inverter", wanted, topic, title)
    enable = _switch(INVERTER, topic, "enable", "Enable", inverter_topic(topics, "enable/set"))
    payload["components"]["enable"] = {**enable, "icon": "mdi:transmission-tower-export"}
    stop = _button(INVERTER, "stop", "Stop", inverter_topic(topics, "stop/set"))
    payload["components"]["stop"] = {**stop, "payload_press": "STOP", "icon": "mdi:stop-circle-outline"}
    payload["components"] |= owner_components(INVERTER, topic, topics, "inverter", report)
    return payload


def owner_components(device: str, topic: str, topics: Topics, place: str, report: Report) -> Payload:
    """Numbers, select, switches and buttons with which the owner steers the charge."""
    found: Payload = {}
    chemistry = report.decision.facts.chemistry if report.decision else "LFP"
    for key in NUMBERS:
        found[f"{SET}{key}"] = _number(
            device, topic, key, report.options, chemistry, _set_topic(topics, place, SET + key)
        )
    for key, (name, icon) in OWNER_SWITCHES.items():
        found[key] = {**_switch(device, topic, key, name, _set_topic(topics, place, key)), "icon": icon}
    for key, (name, icon) in OWNER_BUTTONS.items():
        found[key] = {**_button(device, key, name, _set_topic(topics, place, key)), "icon": icon}
    key = f"{SET}grid_charge"
    shown = component(key, Spec("Charge from the grid", kind="text"), f"{device}_{key}", _entity(device), topic)
    most = report.options.grid_charge or GRID_CHARGE[-1]
    found[key] = {
        **shown,
        "p": "select",
        "default_entity_id": f"select.{_entity(device)}_{key}",
        "command_topic": _set_topic(topics, place, key),
        "options": list(GRID_CHARGE[: GRID_CHARGE.index(most) + 1]),
        "entity_category": "config",
        "optimistic": False,
        "icon": "mdi:transmission-tower-import",
    }
    return found


def _set_topic(topics: Topics, place: str, key: str) -> str:
    return f"{topics.base}/{place}/{key}/set"


def _entity(device: str) -> str:
    return device.replace("jkbms", "jk_bms")


def _number(device: str, topic: str, key: str, options: Setpoints, chemistry: Name, command: str) -> Payload:
    number = number_of(key, chemistry)
    entity, low, high = _entity(device), number.low, number.high
    option = bound_of(options, key)
    if option is not None and number.bound == "above":
        high = max(low, min(high, option))
    kind = {"V": "voltage", "A": "current"}.get(number.unit or "")
    shown = component(
        f"{SET}{key}",
        Spec(number.name, unit=number.unit, device_class=kind),
        f"{device}_{SET}{key}",
        entity,
        topic,
    )
    return {
        **shown,
        "p": "number",
        "default_entity_id": f"number.{entity}_{SET}{key}",
        "command_topic": command,
        "min": low,
        "max": high,
        "step": number.step,
        "mode": "box",
        "entity_category": "config",
        "optimistic": False,
    }


def _switch(device: str, topic: str, key: str, name: str, command: str) -> Payload:
    return {
        **component(key, _flag(name), f"{device}_{key}", "", topic),
        "p": "switch",
        "default_entity_id": f"switch.{_entity(device)}_{key}",
        "command_topic": command,
        "optimistic": False,
    }


def _button(device: str, key: str, name: str, command: str) -> Payload:
    return {
        "p": "button",
        "unique_id": f"{device}_{key}",
        "default_entity_id": f"button.{_entity(device)}_{key}",
        "name": name,
        "command_topic": command,
        "payload_press": PRESS,
    }


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

    def __init__(self, count: Callable[[], object], told: Callable[[], Mapping[str, Scalar]]) -> None:
        self._count, self._told = count, told
        self._seen: object = None
        self._number = 0
        self._last: Mapping[str, Scalar] = {}

    def __call__(self) -> int:
        count = self._count()
        if count != self._seen:
            self._seen, told = count, self._told()
            self._number += told != self._last
            self._last = told
        return self._number


def bank_extra(
    topics: Topics,
    state: Callable[[], BankState],
    count: Callable[[], object],
    report: Callable[[], Report] | None = None,
    *,
    always: bool,
) -> Extra:
    """The bank, told once there is more than one battery, or ``always``; with a ``report`` its limits, too."""

    def payload() -> Payload | None:
        now = state()
        labels = sorted({*(view.label for view in now.counted), *(one.label for one in now.excluded)})
        return bank_payload(topics, labels, report() if report else None) if always or len(labels) > 1 else None

    def values(_now: float = 0.0) -> Mapping[str, Scalar]:
        limits = report().limits() if report else {}
        return {**dict.fromkeys(BANK_ENTITIES), **published(state()), **limits}

    return Extra(BANK, bank_topic(topics), _Changes(count, values), payload, values, keeps=SHARING)


def inverter_extra(
    topics: Topics, report: Callable[[], Report], news: Callable[[], object], title: str, *, extremes: bool
) -> Extra:
    """The inverter's path."""

    def values(now: float) -> Mapping[str, Scalar]:
        told = report().published(now)
        return told if extremes else {key: value for key, value in told.items() if key not in EXTREMES}

    def payload() -> Payload:
        return inverter_payload(topics, title, report(), extremes=extremes)

    return Extra(INVERTER, inverter_topic(topics), news, payload, values)


def extras(service: InverterService, topics: Topics) -> list[Extra]:
    """The devices of bank and inverter."""
    control, found = service.control, []
    report = None if service.wanted else service.report
    if service.shows_bank:
        shown = (lambda: control.state), (lambda: (control.count, control.owner))
        found.append(bank_extra(topics, *shown, report if service.decides else None, always=service.always))
    if service.wanted:
        found.append(inverter_extra(topics, service.report, service.news, service.title, extremes=service.extremes))
    return found


def routes(service: InverterService, topics: Topics) -> dict[str, Callable[[str], None]]:
    """What to do with a command, by its topic."""
    if not service.decides:
        return {}
    place = "inverter" if service.wanted else "bank"
    keys = {f"{SET}{key}": key for key in (*NUMBERS, "grid_charge")}
    keys |= {key: key for key in (*OWNER_SWITCHES, *OWNER_BUTTONS)}
    if service.wanted:
        keys |= {"enable": "enable", "stop": "stop"}
    return {_set_topic(topics, place, name): partial(service.control.command, key) for name, key in keys.items()}
