"""A wish to change a setting of a battery, parsed once where it arrives, and what became of it. Pure."""

import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from jkbms_addon.battery.quantities import Pack, Scalar, Value, specs
from jkbms_addon.battery.snapshot import Key, label
from jkbms_addon.errors import CommandError

LONGEST: Final = 64  # characters of a payload; more is refused, never cut
SHOWN: Final = 40  # characters of a foreign text that are shown
SOURCE: Final = 120  # the same of where a command came from
KEPT: Final = 64  # outcomes
_NUMBER: Final = re.compile(r"[+-]?(\d{1,12}(\.\d*)?|\.\d+)(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
_FLAGS: Final = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a battery from the one that may be put in its place; None where it is not known."""

    serial_number: str | None = None
    cell_count: float | None = None

    def replaced(self, now: "Identity") -> str:
        """How the battery of now differs, in words; empty when nothing known differs."""
        for name, before, after in (
            ("serial number", self.serial_number, now.serial_number),
            ("cell count", self.cell_count, now.cell_count),
        ):
            if before is not None and after is not None and before != after:
                return f"{name} {after} instead of {before}"
        return ""


def identity_of(values: Mapping[str, Value]) -> Identity:
    """Who a battery says that it is."""
    pack = Pack.model_construct(None, **values)
    return Identity(pack.serial_number, pack.cell_count)


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody wants a BMS to be set to.

    ``at`` is when it was asked for, in s of the store's clock, ``battery`` who was at the address then. ``value`` of
    a command that could not be parsed is its text, shortened, for the eyes of whoever looks into it. ``seen`` is what
    the BMS held in the eyes of whoever asks, None where nobody looked. ``ticket`` is how he knows its outcome again.
    ``via`` is another wire of the battery over which it goes, None where it goes over the one that names it.
    """

    bus: str
    address: int
    key: str
    value: Scalar
    at: float
    source: str = ""
    battery: Identity = Identity()
    seen: Value = None
    ticket: int = 0
    via: Key | None = None

    @property
    def battery_key(self) -> Key:
        """The battery as it is shown."""
        return self.bus, self.address

    @property
    def wire(self) -> Key:
        """Bus and address over which it goes."""
        return self.via or self.battery_key


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command. ``before`` and ``after`` are what the BMS said, None when it was not asked."""

    command: Command
    result: str  # one of RESULTS
    reason: str = ""
    before: Value = None
    after: Value = None
    at: float = field(default_factory=time.time)

    def record(self) -> dict[str, object]:
        """One line of the audit."""
        command = self.command
        return {
            "time": round(self.at, 3),
            "bms": label(command.battery_key),
            **({"wire": label(command.via)} if command.via else {}),
            "key": shortened(command.key, LONGEST),
            "from": self.before,
            "to": spelt(command.value),
            "now": self.after,
            "source": shortened(command.source, SOURCE),
            "outcome": self.result,
            "reason": self.reason,
        }


RESULTS = ("applied", "unchanged", "refused", "not_taken", "failed")
DONE = ("applied", "unchanged")  # with these the BMS holds what was wanted


class OutcomeLog:
    """The outcomes of late, numbered from 1; every reader keeps a cursor, so none takes them from another.

    Whoever waits for one of his own gives its command a ``ticket``.
    """

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Outcome]] = deque(maxlen=KEPT)
        self.last = 0  # number of the newest
        self._tickets = 0
        self._told: dict[int, Callable[[Outcome], None]] = {}

    def ticket(self, told: Callable[[Outcome], None]) -> int:
        """A new ticket; ``told`` gets the outcome of the command that has it."""
        self._tickets += 1
        self._told[self._tickets] = told
        return self._tickets

    def add(self, outcome: Outcome) -> None:
        """Append one; the oldest is forgotten."""
        self.last += 1
        self._kept.append((self.last, outcome))
        if told := self._told.pop(outcome.command.ticket, None):
            told(outcome)

    def after(self, cursor: int) -> tuple[int, list[Outcome]]:
        """The cursor for the next look, and what is newer than ``cursor`` (0 at first), oldest first."""
        return self.last, [outcome for number, outcome in self._kept if number > cursor]


def value_of(key: str, text: str) -> Scalar:
    """The value that a text asks for, whatever its range; ``CommandError`` says why there is none.

    Digits of other alphabets, underscores and what is not finite are no numbers here, though Python takes them.
    """
    if len(text) > LONGEST:
        raise CommandError(f"{shortened(key)}: {len(text)} characters are no value")
    plain = text.strip() if text.isascii() else ""
    if key in specs() and specs()[key].kind == "flag":
        wanted = _FLAGS.get(plain.lower())
        if wanted is None:
            raise CommandError(f"{key}: {shortened(text)!r} is neither ON nor OFF")
        return wanted
    if not _NUMBER.fullmatch(plain):
        raise CommandError(f"{shortened(key)}: {shortened(text)!r} is not a number")
    return float(plain)


def spelt(value: Scalar) -> str:
    """A value as a command has it."""
    if isinstance(value, bool):
        return "ON" if value else "OFF"
    return shortened(value, LONGEST) if isinstance(value, str) else str(value).removesuffix(".0")


def shortened(text: str, limit: int = SHOWN) -> str:
    """A foreign text, so that it neither fills the log nor breaks its lines."""
    shown = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return shown if shown.isprintable() else "".join(one if one.isprintable() else "?" for one in shown)
