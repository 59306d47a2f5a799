"""What an inverter is told: the vocabulary that every dialect encodes, and a decision said in it. Pure.

``State`` is what goes on the wire, ``Targets`` adds for how long it may be believed and why it is so. The table of
bits says how an inverter calls what troubles a battery: a *protection* means "has disconnected", an *alarm* "is near
to it". As long as one pack may be discharged nothing has disconnected, whatever stops the others, and no inverter
must be told so.
"""

from collections.abc import Mapping
from datetime import datetime
from math import inf
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jkbms_addon.bank.bank import BankState
from jkbms_addon.bank.candidate import Extreme, View
from jkbms_addon.battery.alarms import Trouble, alarm_of
from jkbms_addon.battery.energy import Energy
from jkbms_addon.charging.decision import Decision
from jkbms_addon.charging.phases import Phase
from jkbms_addon.errors import OptionsError

# The closed lists: a protection means "has disconnected", an alarm "is near to it".
Protection = Literal[
    "over_voltage",
    "under_voltage",
    "over_temperature",
    "under_temperature",
    "discharge_over_current",
    "charge_over_current",
    "system_error",
    # finer ones, which some dialects can say; the others say the nearest of those above, or nothing
    "charge_over_temperature",
    "charge_under_temperature",
    "contactor",
    "short_circuit",
    "cell_imbalance",
]
Warn = Literal[
    "over_voltage",
    "under_voltage",
    "over_temperature",
    "under_temperature",
    "discharge_over_current",
    "charge_over_current",
    "internal_comm_fail",
    "cell_failure",
    "system_error",
    "charge_over_temperature",
    "charge_under_temperature",
    "contactor",
    "short_circuit",
    "cell_imbalance",
]
PROTECTIONS: Final[tuple[Protection, ...]] = get_args(Protection)
ALARMS: Final[tuple[Warn, ...]] = get_args(Warn)

Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(max_length=8, pattern=r"^[!-~][ -~]*$")]
Text = Annotated[str, Field(max_length=32, pattern=r"^[!-~][ -~]*$")]
Version = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){0,2}$")]


def _as_told(values: dict[str, Any]) -> float | None:
    """The charge itself, where nobody says that it is known in whole percent only."""
    return values.get("state_of_charge")


class State(BaseModel):
    """One state of the whole battery in V, A, % and °C; current is positive while charging.

    Numbers are always finite. ``None`` is unknown; what an inverter cannot do without has no ``None``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    charge_voltage: float
    charge_current: float
    discharge_current: float
    discharge_voltage: float
    state_of_charge: float
    state_of_health: float | None = None
    voltage: float
    current: float
    temperature: float | None = None
    charge_enabled: bool = False
    discharge_enabled: bool = False
    force_charge_1: bool = False
    force_charge_2: bool = False
    full_charge_request: bool = False
    protections: tuple[Protection, ...] = ()
    alarms: tuple[Warn, ...] = ()
    modules: Count = 0
    module_addresses: tuple[Count, ...] = ()
    manufacturer: Name | None = None

    # what only some dialects have a frame for; V, °C, Ah, kWh
    state_of_charge_precise: float | None = Field(default_factory=_as_told)  # None: known in whole percent only
    min_cell_voltage: float | None = None
    max_cell_voltage: float | None = None
    min_temperature: float | None = None
    max_temperature: float | None = None
    # where these four are, as text such as ``2-11``: number 11 of battery 2
    min_cell_voltage_at: Text | None = None
    max_cell_voltage_at: Text | None = None
    min_temperature_at: Text | None = None
    max_temperature_at: Text | None = None
    charging_cycles: Annotated[float, Field(ge=0)] | None = None
    full_charge_capacity: float | None = None
    capacity_remaining: float | None = None
    charged_energy: float | None = None
    discharged_energy: float | None = None
    modules_blocking_charge: Count = 0
    modules_blocking_discharge: Count = 0
    modules_offline: Count = 0
    faulty_module: Count = 0  # number of the one with a fault, 0 for none
    cell_count: Count = 0  # cells in series, 0 where it is not known
    model: Text | None = None
    serial_number: Text | None = None
    hardware_version: Version | None = None
    software_version: Version | None = None
    product: Count | None = None
    date: datetime | None = None  # the clock of the battery


class Targets(State):
    """A decision: the state to send, until when, and the reason of every limit."""

    # where the four extremes are: address x 100 + number of the sensor or cell
    max_temperature_number: int | None = None
    min_temperature_number: int | None = None
    max_cell_number: int | None = None
    min_cell_number: int | None = None

    valid_until: Annotated[float, Field(allow_inf_nan=True)] = inf  # monotonic seconds
    phase: Phase = "bulk"
    reasons: Mapping[str, str] = Field(default_factory=dict)

    def expired(self, now: float) -> bool:
        """Whether the decision is too old to be sent; a frame must never be built from it then."""
        return not now < self.valid_until


def said(
    decision: Decision, manufacturer: str | None = None, date: datetime | None = None, energy: Energy | None = None
) -> Targets:
    """A decision in the inverter's words.

    Some inverters want to know the local time, ``date``, and what was counted of all batteries, ``energy``.
    """
    bank, facts = decision.bank, decision.facts
    low, high, cold, warm = bank.min_cell, bank.max_cell, bank.min_temperature, bank.max_temperature
    protections, alarms = _troubles(decision)
    voltage, current, _ = decision.heard
    health, capacity, packs, cells = _lasting(decision)
    return Targets(
        charge_voltage=decision.charge_voltage,
        charge_current=decision.charge_current,
        discharge_current=decision.discharge_current,
        discharge_voltage=decision.discharge_voltage,
        state_of_charge=decision.state_of_charge,
        state_of_health=health,
        voltage=voltage,
        current=current,
        temperature=bank.temperature,
        charge_enabled=decision.charge_enabled,
        discharge_enabled=decision.discharge_enabled,
        force_charge_1=decision.wanted.now,
        full_charge_request=decision.wanted.full,
        protections=protections,
        alarms=alarms,
        modules=packs,
        module_addresses=tuple(sorted({view.key[1] for view in bank.counted})),
        manufacturer=manufacturer,
        min_cell_voltage=_value(low),
        max_cell_voltage=_value(high),
        min_temperature=_value(cold),
        max_temperature=_value(warm),
        min_cell_voltage_at=low.label if low else None,
        max_cell_voltage_at=high.label if high else None,
        min_temperature_at=cold.label if cold else None,
        max_temperature_at=warm.label if warm else None,
        charging_cycles=_most_cycles(bank),
        full_charge_capacity=capacity,
        capacity_remaining=bank.capacity_remaining,
        charged_energy=energy.charged if energy else None,
        discharged_energy=energy.discharged if energy else None,
        modules_blocking_charge=bank.packs_online - facts.may_charge,
        modules_blocking_discharge=bank.packs_online - facts.may_discharge,
        modules_offline=max(0, bank.expected - bank.packs_online),
        faulty_module=next((view.key[1] for view in bank.heard if _faulty(view)), 0),
        cell_count=cells,
        max_temperature_number=warm.code if warm else None,
        min_temperature_number=cold.code if cold else None,
        max_cell_number=high.code if high else None,
        min_cell_number=low.code if low else None,
        date=date,
        valid_until=decision.valid_until,
        phase=decision.phase,
        reasons=decision.reasons,
    )


def _lasting(decision: Decision) -> tuple[float | None, float | None, int, int]:
    """What hardly ever changes: health in %, capacity in Ah, number of packs, and of cells in series (0: unknown)."""
    bank, before = decision.bank, decision.recalled
    if before:
        return before.state_of_health, before.capacity, before.packs, before.cells
    cells = min((view.cells for view in bank.counted), default=0)
    return bank.state_of_health, bank.full_charge_capacity, bank.packs_online, cells


def _value(extreme: Extreme | None) -> float | None:
    return extreme.value if extreme else None


def _most_cycles(bank: BankState) -> float | None:
    cycles = [view.pack.charging_cycles for view in bank.counted]
    return max((one for one in cycles if one is not None), default=None)


def _faulty(view: View) -> bool:
    return bool(view.faults) or any(alarm_of(name).severity == "fault" for name in view.alarms)


# how an inverter calls a trouble, as a protection and as alarms; what it has no name for there stays at home
BITS: Final[Mapping[Trouble, tuple[Protection, tuple[Warn, ...]]]] = {
    "over_voltage": ("over_voltage", ("over_voltage",)),
    "under_voltage": ("under_voltage", ("under_voltage",)),
    "over_temperature": ("over_temperature", ("over_temperature",)),
    "under_temperature": ("under_temperature", ("under_temperature",)),
    "charge_over_temperature": ("charge_over_temperature", ("charge_over_temperature",)),
    "charge_under_temperature": ("charge_under_temperature", ("charge_under_temperature",)),
    "charge_over_current": ("charge_over_current", ("charge_over_current",)),
    "discharge_over_current": ("discharge_over_current", ("discharge_over_current",)),
    "short_circuit": ("short_circuit", ("short_circuit", "internal_comm_fail")),
    "contactor": ("contactor", ("contactor", "internal_comm_fail")),
    "imbalance": ("cell_imbalance", ("cell_imbalance", "cell_failure")),
    "system": ("system_error", ("internal_comm_fail",)),
}


def _troubles(decision: Decision) -> tuple[tuple[Protection, ...], tuple[Warn, ...]]:
    """Protections where no pack can serve any more, alarms for everything that is a warning or a fault."""
    bank = decision.bank
    alarms: set[Warn] = {"internal_comm_fail"} if decision.lost else set()
    protections: set[Protection] = set()
    for one in bank.excluded:
        alarms |= (_warnings(one.view) if one.view else set()) or {"internal_comm_fail"}
    held = decision.lost or decision.discharge_enabled
    dead = not held and not any(view.may_discharge for view in bank.counted)
    for view in bank.counted:
        alarms |= _warnings(view)
        if dead:
            protections |= _protections(view)
    ordered = tuple(name for name in PROTECTIONS if name in protections)
    return ordered, tuple(name for name in ALARMS if name in alarms)


def _warnings(view: View) -> set[Warn]:
    found: set[Warn] = set()
    for name in view.alarms:
        alarm = alarm_of(name)
        if alarm.severity != "info" and alarm.trouble in BITS:
            names = BITS[alarm.trouble][1]
            found |= set(names) if alarm.severity == "fault" else set(names) - {"internal_comm_fail"}
    return found


def _protections(view: View) -> set[Protection]:
    found = {alarm_of(name) for name in view.alarms}
    known: set[Protection] = {BITS[one.trouble][0] for one in found if one.severity == "fault" and one.trouble in BITS}
    return known | {"system_error"} if view.faults else known


def read_state(text: str) -> State:
    """A state from JSON; ``OptionsError`` says in one line which key is wrong."""
    try:
        return State.model_validate_json(text)
    except ValidationError as error:
        raise OptionsError(_explained(error)) from error


def _explained(error: ValidationError) -> str:
    """The first of several errors in one line: which key, and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    words = {"missing": "is missing", "extra_forbidden": "is not a key of a state"}
    message = words.get(first["type"], first["msg"])
    return " ".join((f"{where}: {message}" if where else message).split())
