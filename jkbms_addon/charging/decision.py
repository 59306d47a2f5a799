"""What an inverter is told: the vocabulary that every CAN dialect encodes. Pure.

``State`` is what goes on the wire, ``Targets`` adds for how long it may be believed and why it is so.
"""

from collections.abc import Mapping
from math import inf
from typing import Annotated, Final, Literal, get_args

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
]
PROTECTIONS: Final[tuple[Protection, ...]] = get_args(Protection)
ALARMS: Final[tuple[Warn, ...]] = get_args(Warn)

Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(max_length=8, pattern=r"^[!-~][ -~]*$")]


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


class Targets(State):
    """A decision: the state to send, until when, and the reason of every limit."""

    max_temperature: float | None = None
    min_temperature: float | None = None
    max_cell_voltage: float | None = None
    min_cell_voltage: float | None = None
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
