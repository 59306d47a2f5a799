"""The device "Inverter": the decision, the reasons, what was sent and heard, and what its owner may do. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from jkbms_addon.battery.quantities import Scalar, Spec
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.inverter.emission import Emission
from jkbms_addon.inverter.service import InverterService, Outlet
from jkbms_addon.inverter.several import portion
from jkbms_addon.inverter.state import Targets, said
from jkbms_addon.views import charging
from jkbms_addon.views.bank import TEMPERATURE
from jkbms_addon.views.charging import LONGEST, Charge
from jkbms_addon.views.entities import Device, Entity, Identity, Shown, Takes, flag, measured, shown, text

INVERTER: Final = "inverter"
EXTREMES: Final = frozenset(
    f"{key}{number}" for key in ("max_temperature", "min_temperature") for number in ("", "_number")
) | frozenset(f"{key}_cell_{what}" for key in ("max", "min") for what in ("voltage", "number"))
# lists and constants, which are no news, and what the device "Battery bank" tells
UNSAID: Final = (
    *("module_addresses", "manufacturer", "state_of_charge_precise"),
    *(f"{key}_at" for key in EXTREMES),
    *("charging_cycles", "full_charge_capacity", "capacity_remaining", "charged_energy", "discharged_energy"),
    *("modules_blocking_charge", "modules_blocking_discharge", "modules_offline", "faulty_module", "cell_count"),
    *("model", "serial_number", "hardware_version", "software_version", "product", "date"),
)
REASONS: Final = ("charge_voltage", "charge_current", "discharge_current", "discharge_voltage", "state_of_charge")
DIGITS: Final = {"state_of_charge": 0, "state_of_health": 0, "max_cell_voltage": 3, "min_cell_voltage": 3, "voltage": 2}

ENTITIES: Final[Mapping[str, Spec]] = {
    "emitting": flag("Emitting"),
    **charging.LIMITS,
    "charge_enabled": flag("Charge enabled"),
    "discharge_enabled": flag("Discharge enabled"),
    "force_charge_1": flag("Force charge 1"),
    "force_charge_2": flag("Force charge 2"),
    "full_charge_request": flag("Full charge request"),
    "protections": text("Protections"),
    "alarms": text("Alarms"),
    "state_of_charge": measured("State of charge", "%", "battery", 0),
    "state_of_charge_reason": text("SOC reason", diagnostic=True),
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
    **charging.CHARGING,
}

# What the owner does here; every row needs an action of the same key in ``takes``, a switch or a number its value.
CONTROLS: Final[Mapping[str, tuple[Spec, Takes]]] = {
    "enable": (
        Spec("Enable", kind="flag", icon="mdi:transmission-tower-export"),
        Takes("switch", config=False),
    ),
    "stop": (Spec("Stop", icon="mdi:stop-circle-outline"), Takes("button", press="STOP", config=False)),
}


# what stands at one inverter only, where there are several
OF_THE_BANK: Final = frozenset({*charging.CHARGING, *charging.EVERY, "enable"})


def takes(service: InverterService) -> Mapping[str, Callable[[str], None]]:
    """What happens with the payload of a command, by key."""
    control = service.control
    own = {key: partial(control.command, key) for key in CONTROLS}
    return {**own, **charging.takes(control)}


def sent_keys(*, extremes: bool) -> tuple[str, ...]:
    """Keys of what is sent; the extremes only where the options ask for them."""
    left_out = {*UNSAID, "valid_until", "phase", "reasons", *(() if extremes else EXTREMES)}
    return tuple(key for key in Targets.model_fields if key not in left_out)


def word(number: int) -> str:
    """In topics and identities, by the number of the inverter."""
    return INVERTER if number == 1 else f"{INVERTER}_{number}"


def device(title: str, charge: Charge, *, extremes: bool, number: int = 1, steers: bool = True) -> Device:
    """An inverter; ``title`` is the dialect's. What concerns the whole bank stands at the one that ``steers``."""
    wanted = {key: spec for key, spec in ENTITIES.items() if extremes or key not in EXTREMES}
    if not steers:
        wanted = {key: spec for key, spec in wanted.items() if key not in OF_THE_BANK}
    own = tuple(Entity(key, spec, takes=takes) for key, (spec, takes) in CONTROLS.items())
    entities = (*shown(wanted), *own, *charging.controls(charge)) if steers else shown(wanted)
    name = "Inverter" if number == 1 else f"Inverter {number}"
    return Device(word(number), f"jk_bms_{word(number)}", name, word(number), entities, Identity(model=title))


def devices(service: InverterService) -> list[Shown]:
    """The inverters of a service."""
    return [_shown(service, outlet) for outlet in service.outlets]


def _shown(service: InverterService, outlet: Outlet) -> Shown:
    return view(
        lambda: report(service, outlet),
        lambda: service.news(outlet),
        outlet.title,
        extremes=outlet.extremes,
        takes=takes(service) if outlet is service.outlets[0] else None,
        number=outlet.number,
    )


def view(
    report: Callable[[], "Report"],
    news: Callable[[], object],
    title: str,
    *,
    extremes: bool,
    takes: Mapping[str, Callable[[str], None]] | None = MappingProxyType({}),
    number: int = 1,
) -> Shown:
    """An inverter as ``report`` tells it; with None nothing may be done there."""
    steers = takes is not None

    def found() -> Device:
        return device(title, report().charge, extremes=extremes, number=number, steers=steers)

    def told(now: float) -> Mapping[str, Scalar]:
        every = report().values(now)
        hidden = {*(() if extremes else EXTREMES), *(() if steers else OF_THE_BANK)}
        return {key: value for key, value in every.items() if key not in hidden}

    return Shown(word(number), news, found, told, takes or {})


@dataclass(frozen=True, slots=True)
class Report:
    """All that there is to tell at one moment."""

    charge: Charge
    emission: Emission
    link: BusStatus
    share: float = 1.0  # of the bank's current limits

    def values(self, now: float) -> dict[str, Scalar]:
        """Values by key; ``now`` is monotonic time in s."""
        emission, decision = self.emission, self.charge.decision
        warning = self.link.problem if self.link.connected else ""  # what is wrong although it is sent
        return {
            "emitting": emission.emitting,
            "enable": self.charge.owner.enabled,
            "connected": self.link.connected,
            "reason": (emission.why or self.charge.unkept or warning or "ok")[:LONGEST],
            **_values(portion(said(decision), self.share) if decision else None),
            **charging.reasons(self.charge, REASONS),
            **charging.values(self.charge),
            "heartbeat_age": None if emission.heard_at is None else round(now - emission.heard_at),
            "heartbeats": sum(emission.heard.values()),
            "heartbeat_ids": " ".join(f"{can_id:03X}" for can_id in sorted(emission.heard)) or None,
            "sets": emission.sets,
        }


def report(service: InverterService, outlet: Outlet) -> Report:
    """What one inverter is told now, and how its link is."""
    return Report(charging.charge(service.control), outlet.emission, outlet.link, outlet.options.share)


def _values(targets: Targets | None) -> Mapping[str, Scalar]:
    keys = sent_keys(extremes=True)
    return {key: _told(key, getattr(targets, key)) if targets else None for key in keys}


def _told(key: str, value: Scalar | tuple[str, ...]) -> Scalar:
    if isinstance(value, tuple):
        return ", ".join(word.replace("_", " ") for word in value)[:LONGEST] or "none"
    return round(value, DIGITS.get(key, 1)) if isinstance(value, float) else value
