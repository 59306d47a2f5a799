"""The device "Battery bank": its entities, its values, and when it is worth showing. Pure."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from jkbms_addon.bank.bank import BankState
from jkbms_addon.bank.candidate import Extreme
from jkbms_addon.battery.quantities import PROBLEM, Scalar, Spec, specs
from jkbms_addon.inverter.service import InverterService
from jkbms_addon.views.entities import Device, Shown, Takes, measured, shown, text

BANK: Final = "bank"
TEMPERATURE: Final = ("°C", "temperature", 1)


def _known(*keys: str) -> dict[str, Spec]:
    return {key: specs()[key] for key in keys}


ENTITIES: Final[Mapping[str, Spec]] = {
    **_known("total_voltage", "current", "power", "state_of_charge", "state_of_health"),
    **_known("capacity_remaining", "full_charge_capacity", "min_cell_voltage"),
    "min_cell_voltage_at": text("Min cell voltage at"),
    **_known("max_cell_voltage"),
    "max_cell_voltage_at": text("Max cell voltage at"),
    **_known("delta_cell_voltage"),
    "min_temperature": measured("Min temperature", *TEMPERATURE),
    "min_temperature_at": text("Min temperature at"),
    "max_temperature": measured("Max temperature", *TEMPERATURE),
    "max_temperature_at": text("Max temperature at"),
    "voltage_spread": measured("Voltage spread", "V", "voltage", 2),
    "sharing_error": measured("Sharing error", "%", None, 1),
    "packs_online": measured("Packs online", None, None, 0),
    "packs_expected": measured("Packs expected", None, None, 0),
    "packs_blocking_charge": measured("Charge blocked", None, None, 0),
    "packs_blocking_discharge": measured("Discharge blocked", None, None, 0),
    "packs_excluded": text("Packs excluded"),
    "problem": PROBLEM,
}
PATIENCE: Final = 60  # decisions, of one a second, after which a pack that was never heard is a problem
SHARING: Final = "sharing_"  # before the name of a pack: its share of the current

# What the owner sets here, by key; a row needs an action of the same key in ``takes`` and a value in ``values``.
CONTROLS: Final[Mapping[str, Takes]] = {}


def takes(_service: InverterService) -> Mapping[str, Callable[[str], None]]:
    """What happens with the payload of a command, by key."""
    return {}


def device(labels: Iterable[str]) -> Device:
    """The bank; ``labels`` are those of the packs."""
    shares = {
        f"{SHARING}{label.replace('/', '_')}": measured(f"Share of pack {label}", "%", None, 1) for label in labels
    }
    return Device(BANK, "jk_bms_bank", "Battery bank", BANK, shown({**ENTITIES, **shares}, CONTROLS))


def devices(service: InverterService, batteries: int) -> list[Shown]:
    """The bank of a service, where there can be one; ``batteries`` is how many there can be."""
    control = service.control
    if not service.always and batteries < 2:
        return []
    return [view(lambda: control.state, lambda: control.count, always=service.always, takes=takes(service))]


def view(
    state: Callable[[], BankState],
    count: Callable[[], int],
    *,
    always: bool,
    takes: Mapping[str, Callable[[str], None]] = MappingProxyType({}),
) -> Shown:
    """The bank, shown once there is more than one battery, or ``always``; ``count`` grows with every new state."""

    def found() -> Device | None:
        now = state()
        labels = sorted({*(view.label for view in now.counted), *(one.label for one in now.excluded)})
        return device(labels) if always or len(labels) > 1 else None

    complete = False

    def now_told() -> Mapping[str, Scalar]:
        nonlocal complete
        found = values(state())
        complete = complete or not found["problem"]
        waiting = not complete and count() < PATIENCE  # who is not heard yet may still be on its way
        return {**found, "problem": None} if waiting else found

    def told(_now: float) -> Mapping[str, Scalar]:
        return {**dict.fromkeys(ENTITIES), **now_told()}

    changes = _Changes(count, now_told)
    return Shown(BANK, changes, found, told, takes, keeps=SHARING)


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


def values(state: BankState) -> dict[str, Scalar]:
    """Values by key; V, A, W, %, Ah, °C."""
    low, high, cold, warm = state.min_cell, state.max_cell, state.min_temperature, state.max_temperature
    numbers = {
        "total_voltage": (state.total_voltage, 2),
        "current": (state.current, 2),
        "power": (state.power, 1),
        "state_of_charge": (state.state_of_charge, 1),
        "state_of_health": (state.state_of_health, 1),
        "capacity_remaining": (state.capacity_remaining, 1),
        "full_charge_capacity": (state.full_charge_capacity, 1),
        "delta_cell_voltage": (state.delta_cell_voltage, 3),
        "voltage_spread": (state.voltage_spread, 2),
        "sharing_error": (state.sharing_error, 1),
    }
    return {
        **{key: None if value is None else round(value, digits) for key, (value, digits) in numbers.items()},
        **_located("min_cell_voltage", low),
        **_located("max_cell_voltage", high),
        **_located("min_temperature", cold),
        **_located("max_temperature", warm),
        "packs_online": state.packs_online,
        "packs_expected": state.expected,
        "packs_blocking_charge": state.blocking("charge"),
        "packs_blocking_discharge": state.blocking("discharge"),
        "packs_excluded": "; ".join(one.text for one in state.excluded)[:255],
        "problem": bool(state.excluded) or state.faulty or state.packs_online < state.expected,
        **{f"{SHARING}{label.replace('/', '_')}": round(share, 1) for label, share in state.sharing.items()},
    }


def _located(key: str, extreme: Extreme | None) -> dict[str, Scalar]:
    return {key: extreme.value if extreme else None, f"{key}_at": extreme.label if extreme else None}
