"""What a dialect is: its frames, and everything else that is particular about the inverters that speak it. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from jkbms_addon.inverter.dialects.message import Frame, Length, Message, Said, Values
from jkbms_addon.inverter.state import State

Extremes = Literal["off", "0x070", "0x370"]
EXTREMES: Final[tuple[Extremes, ...]] = ("off", "0x070", "0x370")
Effect = Literal["stops", "in part", "ignored", "shuts down", "not known"]
Proof = Literal["capture", "paper", "reports", "untried"]
Port = Literal["can", "serial"]


@dataclass(frozen=True, slots=True)
class Stop:
    """What an inverter makes of a current limit of 0, in a word and in a sentence, and what that rests on."""

    effect: Effect
    says: str
    rests_on: str


# nearly all inverters send 0x305, those that speak with several kinds of battery the other two
HEARTBEATS: Final[Mapping[int, str]] = MappingProxyType({0x305: "heartbeat", 0x306: "state", 0x307: "identity"})


def _same(values: Values) -> Mapping[str, Any]:
    return values


def _no_wish(_can_id: int, _data: bytes) -> str:
    return ""


def _nothing(_values: Values) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Dialect:
    """A dialect. ``messages`` stand in the order in which they are sent.

    ``manufacturer`` is the text it introduces itself with; ``protections`` and ``alarms`` are the names it has bits
    for. ``derived`` makes further values for its rows, their keys begin with ``_``. ``adapted`` makes of a
    decision what this inverter must be told instead: it takes back what would darken a house that a battery can still
    serve, and calls requests by the dialect's own names. ``heard`` are the ids
    that the inverter sends and what they are; ``query`` is the one that asks for a set. Times are s.
    """

    name: str
    title: str
    manufacturer: str
    messages: tuple[Message, ...]
    protections: tuple[str, ...]
    alarms: tuple[str, ...]
    stop_charging: Stop
    stop_discharging: Stop
    extremes: Mapping[Extremes, Message] = field(default_factory=lambda: MappingProxyType({}))
    numbers: Message | None = None
    derived: Callable[[Values], Mapping[str, Any]] = _nothing
    adapted: Callable[[Values], Values] = _same
    heard: Mapping[int, str] = field(default_factory=lambda: HEARTBEATS)
    query: int | None = None
    wish: Callable[[int, bytes], str] = _no_wish  # what a frame of the inverter asks of the battery, in words
    period: float = 1.0
    gap: float = 0.012  # between two frames; inverters want 10 to 20 ms
    soc_decides: bool = False  # the inverter goes by the charge told, whatever the limits are
    alarm_stops: bool = False  # any alarm bit stops both directions
    obeys_voltage_only: bool = False  # a charger heeds the voltage limit and no other
    least_voltage: float = 0.0  # V; a lower charge voltage cannot be said
    silence_after: float | None = None  # until the inverter falls back to its own values, where that is known
    never: tuple[str, ...] = ()  # what must not be sent
    lacks: tuple[str, ...] = ()  # what it cannot say
    proof: Proof = "untried"
    port: Port = "can"

    def frames(
        self,
        state: State,
        length: Length = "padded",
        cell_extremes: Extremes = "off",
        *,
        cell_numbers: bool = False,
        adapted: bool = False,
    ) -> list[Frame]:
        """The whole set in the order of sending: 11-bit id and data.

        Extremes (0x070 or 0x370) and their numbers (0x371) only for dialects that have them as an option. A sender
        asks for them ``adapted``; without it the state is said word for word.
        """
        values = vars(state)
        if adapted:
            values = dict(self.adapted(values))
        derived = self.derived(values)
        values = {**NUMBERLESS, **values, **derived}
        values["manufacturer"] = values["manufacturer"] or self.manufacturer
        messages: tuple[Message, ...] = self.messages
        if self.extremes:
            optional = (self.extremes.get(cell_extremes), self.numbers if cell_numbers else None)
            messages = (*messages, *(one for one in optional if one and _any_known(one, values)))
        return [(one.can_id, one.data(values, length)) for one in messages if not one.needs or one.known(values)]

    def read(self, can_id: int, data: bytes) -> list[tuple[str, Said]]:
        """What a frame of this dialect says, by the keys of its rows."""
        return next((one.read(data) for one in self.all_messages if one.can_id == can_id), [])

    @property
    def ids(self) -> frozenset[int]:
        """Every id that the dialect may send."""
        return frozenset(message.can_id for message in self.all_messages)

    @property
    def all_messages(self) -> tuple[Message, ...]:
        """Every frame that the dialect may send."""
        return (*self.messages, *self.extremes.values(), *((self.numbers,) if self.numbers else ()))

    def changed_by_adapting(self, state: State) -> list[str]:
        """Names of protections and alarms that are not sent as they are while a battery can serve."""
        values = vars(state)
        milder = self.adapted(values)
        return sorted(
            name for key in ("protections", "alarms") for name in values[key] if name not in milder.get(key, ())
        )


# a state without a decision does not tell where its extremes are in numbers
NUMBERLESS: Final[Mapping[str, Any]] = MappingProxyType(
    dict.fromkeys(("max_temperature_number", "min_temperature_number", "max_cell_number", "min_cell_number"))
)


def _any_known(message: Message, values: Values) -> bool:
    return any(values.get(row.key) is not None for row in message.rows)


def renamed_requests(values: Values) -> Values:
    """For a dialect whose "1" is the request for a low charge and whose "2" means at once: the other way round."""
    return {**values, "force_charge_1": values["force_charge_2"], "force_charge_2": values["force_charge_1"]}


def as_alarms(values: Values, *moved: str) -> Values:
    """The same with some protections told as alarms only; without names all of them."""
    protections = values["protections"]
    going = {name for name in protections if not moved or name in moved}
    if not going:
        return values
    alarms = (*values["alarms"], *(name for name in protections if name in going and name not in values["alarms"]))
    return {**values, "protections": tuple(name for name in protections if name not in going), "alarms": alarms}
