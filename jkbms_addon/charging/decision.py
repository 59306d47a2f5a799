"""What an inverter is told: the vocabulary that every CAN dialect encodes. Pure.

``State`` is what goes on the wire, ``Targets`` adds for how long it may be believed and why it is so.
"""

from collections.abc import Mapping
from datetime import datetime
from math import inf
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jkbms_addon.errors import OptionsError

Phase = Literal["bulk", "absorption", "float"]

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
