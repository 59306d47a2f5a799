"""The device "Battery bank": its entities, its values, and when it is worth showing. Pure."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from jkbms_addon.bank.bank import BankState
from jkbms_addon.bank.candidate import Extreme
from jkbms_addon.battery.energy import Energy
from jkbms_addon.battery.quantities import PROBLEM, Scalar, Spec, specs
from jkbms_addon.clock import MONOTONIC
from jkbms_addon.inverter.service import InverterService
from jkbms_addon.views import charging
from jkbms_addon.views import energy as energies
from jkbms_addon.views.charging import Charge
from jkbms_addon.views.entities import Device, Shown, measured, shown, text

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
# the charge control dates the last full charge by itself
COUNTED: Final = {key: spec for key, spec in energies.ENTITIES.items() if key != "last_full_charge"}
PATIENCE: Final = 60.0  # s after which a pack that was never heard is a problem
SHARING: Final = "sharing_"  # before the name of a pack: its share of the current


def device(labels: Iterable[str], charge: Charge | None = None, *, counted: bool = False) -> Device:
    """The bank; ``labels`` are those of the packs. With a ``charge`` its limits and what the owner steers, too."""
    shares = {
        f"{SHARING}{label.replace('/', '_')}": measured(f"Share of pack {label}", "%", None, 1) for label in labels
    }
    entities = shown({**ENTITIES, **(COUNTED if counted else {}), **shares})
    if charge:
        entities += (*shown({**charging.LIMITS, **charging.CHARGING}), *charging.controls(charge))
    return Device(BANK, "jk_bms_bank", "Battery bank", BANK, entities)


def devices(service: InverterService, energy: Callable[[], Energy | None] | None = None) -> list[Shown]:
    """The bank of a service, where there can be one; where there is no inverter it shows how charging goes.

    ``energy`` is what was counted of all packs together.
    """
    control = service.control
    if not service.shows_bank:
        return []
    if service.wanted or not service.decides:
        return [view(lambda: control.state, lambda: control.count, always=service.always, energy=energy)]
    return [
        view(
            lambda: control.state,
            lambda: (control.count, control.kept.shown),
            always=service.always,
            charge=lambda: charging.charge(control),
            energy=energy,
            takes=charging.takes(control),
        )
    ]


def view(
    state: Callable[[], BankState],
    count: Callable[[], object],
    *,
    always: bool,
    charge: Callable[[], Charge] | None = None,
    energy: Callable[[], Energy | None] | None = None,
    takes: Mapping[str, Callable[[str], None]] = MappingProxyType({}),
) -> Shown:
    """The bank, shown once there is more than one battery, or ``always``; ``count`` differs with every new state."""

    def found() -> Device | None:
        now = state()
        labels = sorted({*(view.label for view in now.counted), *(one.label for one in now.excluded)})
        shows = always or len(labels) > 1
        return device(labels, charge() if charge else None, counted=energy is not None) if shows else None

    complete, began = False, MONOTONIC()

    def now_told() -> Mapping[str, Scalar]:
        nonlocal complete
        found = values(state())
        complete = complete or not found["problem"]
        waiting = not complete and MONOTONIC() - began < PATIENCE  # who is not heard yet may still be on its way
        return {**found, "problem": None} if waiting else found

    def told(_now: float = 0.0) -> Mapping[str, Scalar]:
        more = {**charging.limits(charge()), **charging.values(charge())} if charge else {}
        counted = energies.values(energy()) if energy else {}
        counted.pop("last_full_charge", None)
        return {**dict.fromkeys(ENTITIES), **now_told(), **counted, **more}

    return Shown(BANK, _Changes(count, told), found, told, takes, keeps=SHARING)


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
        "packs_excluded": "; ".join(one.text for one in state.excluded)[:255] or "none",
        "problem": bool(state.excluded) or state.faulty or state.packs_online < state.expected,
        **{f"{SHARING}{label.replace('/', '_')}": round(share, 1) for label, share in state.sharing.items()},
    }


def _located(key: str, extreme: Extreme | None) -> dict[str, Scalar]:
    return {key: extreme.value if extreme else None, f"{key}_at": extreme.label if extreme else None}
