"""What an inverter would be told with some options and the packs as they are: frame by frame, and in words. Pure.

Theory of operation. A charge control of its own decides, which remembers nothing and is thrown away; what rises slowly
has risen. Its decision goes through the dialect as the sender's does. Then the bytes are read back: what the protocol
could not say as it was decided is named. Nothing is sent, kept or logged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from jkbms_addon.bank.bank import BankState
from jkbms_addon.battery.energy import Energy
from jkbms_addon.charging.control import AHEAD
from jkbms_addon.charging.decide import Controller
from jkbms_addon.charging.decision import Decision
from jkbms_addon.charging.owner import Owner, effective
from jkbms_addon.inverter.bounds import too_low
from jkbms_addon.inverter.dialects import DIALECTS, Dialect
from jkbms_addon.inverter.dialects.pylontech_rs485 import OWN, Query, answer
from jkbms_addon.inverter.dialects.pylontech_rs485_words import SHOWN
from jkbms_addon.inverter.dialects.words import Statement, statements
from jkbms_addon.inverter.options import InverterOptions
from jkbms_addon.inverter.several import portion
from jkbms_addon.inverter.state import Targets, said

LIMITS: Final = ("charge_voltage", "charge_current", "discharge_current", "discharge_voltage")
NEAR: Final = 0.051  # V or A; half a step of the wire, and a little
WAITING: Final = "no battery has told all of its data yet"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One frame, or the answer to one query: its id or command, the bytes, and what they say."""

    number: int
    data: bytes
    says: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Otherwise:
    """A limit that the protocol cannot say as it was decided; V or A."""

    key: str
    decided: float
    told: float


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What was decided and how it would be said; ``why`` says why nothing would be, empty where something is."""

    decision: Decision | None
    spoken: tuple[Spoken, ...] = ()
    otherwise: tuple[Otherwise, ...] = ()
    why: str = ""


def rehearsed(
    options: InverterOptions,
    bank: BankState,
    now: float,
    local: datetime,
    owner: Owner | None = None,
    energy: Energy | None = None,
) -> Rehearsal:
    """A rehearsal with the packs of ``bank`` at ``now`` in monotonic s; ``owner`` is what he set beside the options."""
    decision = _decided(Controller(effective(options.setpoints, owner or Owner())), bank, now, local.timestamp())
    if decision is None:
        return Rehearsal(None, why="; ".join(one.text for one in bank.excluded) or WAITING)
    if problem := too_low(DIALECTS[options.protocol], decision):
        return Rehearsal(None, why=problem)
    told = portion(said(decision, options.manufacturer, local, energy), options.share)
    spoken = tuple(_spoken(options, told))
    return Rehearsal(decision, spoken, tuple(_otherwise(told, spoken)))


def _decided(control: Controller, bank: BankState, now: float, wall: float) -> Decision | None:
    decision = control.step(bank, now, wall)
    for seconds in AHEAD:
        control.risen()
        decision = control.step(bank, now + seconds, wall + seconds)
    return decision


def _spoken(options: InverterOptions, told: Targets) -> list[Spoken]:
    dialect = DIALECTS[options.protocol]
    if dialect.port == "serial":
        found = [(command, answer(Query(OWN[0], command), told)) for command in SHOWN]
    else:
        found = dialect.frames(
            told, options.dlc, options.cell_extremes, cell_numbers=options.cell_numbers, adapted=True
        )
    return [_read(dialect, number, data) for number, data in found]


def _read(dialect: Dialect, number: int, data: bytes) -> Spoken:
    return Spoken(number, data, tuple(statements(dialect, number, data)))


def _otherwise(told: Targets, spoken: Sequence[Spoken]) -> list[Otherwise]:
    """Limits that every frame that has them tells in another way than they were decided."""
    found = []
    for key in LIMITS:
        decided: float = getattr(told, key)
        values = [one.value for frame in spoken for one in frame.says if one.key == key]
        numbers = [value for value in values if isinstance(value, float | int)]
        if numbers and all(abs(value - decided) > NEAR for value in numbers):
            found.append(Otherwise(key, decided, float(numbers[0])))
    return found
