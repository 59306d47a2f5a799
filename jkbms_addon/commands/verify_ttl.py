"""One setting of a first-generation BMS changed as an owner can trust it.

Source: specification of the UART-TTL protocol, chapters 2.3 and 5. Fresh read, check, pairing message, pause,
write, answer, read again, compare; once more when it was not taken. An answer carries no status and comes for
values that are not taken, too: only what is read back counts. A table counts when two say the same settings; what
was known before is one of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from jkbms_addon.battery.quantities import Scalar, Value, Values
from jkbms_addon.battery.reading import Reading
from jkbms_addon.commands.command import identity_of
from jkbms_addon.commands.deed import Budget, Change, Deed, agree
from jkbms_addon.commands.rules import check_rules, checked, same
from jkbms_addon.commands.verify import judged
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.wire.ttl.frames import ACTIVATE, PAIRING, write_request
from jkbms_addon.wire.ttl.tags import CHANGEABLE, WRITABLE_BY_KEY

DEADLINE: Final = 4.0  # seconds for all questions and answers; nobody else waits on this port
RESERVE: Final = 2.0  # seconds of these that two writes with their checks take
TABLE: Final = 0.3  # seconds for a whole table; it takes 28 ms
PAIRED: Final = 0.15  # seconds from the pairing message, which is never answered, to the write
ANSWER: Final = 0.5  # seconds for the answer to a write
WAKING: Final = 0.1  # seconds from the activation to the next question
READS: Final = 6  # questions until two answers agree
SLEEPING: Final = 2  # questions without answer after which the BMS is woken
WRITES: Final = 2  # times that a value is written before it counts as not taken


class TableExchange(Protocol):
    """Who has the port, and the one BMS on it; a single task owns it. ``patience`` stretches time limits.

    All raise ``LinkError`` when the port is gone.
    """

    address: int
    patience: float

    async def read_table(self, seconds: float) -> Sequence[Reading]:
        """Ask once for everything; empty when nothing comes, or nothing that makes sense."""

    async def send(self, message: bytes, pause: float, tag: int | None = None) -> bool:
        """Send, and rest for ``pause`` seconds, or as long as the answer about ``tag`` takes; whether that came."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A change that passed the checks; ``request`` is the message that asks for it."""

    key: str
    wanted: Scalar
    before: Value
    request: bytes


async def change(line: TableExchange, deed: Deed) -> Change:
    """Carry one change out; what goes wrong is in the result.

    ``CommandError`` when it cannot be tried, ``LinkError`` only before anything was written.
    """
    key, address = deed.command.key, deed.command.address
    if key not in CHANGEABLE:
        raise CommandError(f"{key} is never written")
    if address != line.address:
        raise CommandError(f"BMS {address} is not on this port")
    return await _Attempt(line, deed).run()


class _Attempt:
    """One change under way."""

    def __init__(self, line: TableExchange, deed: Deed) -> None:
        self._line, self._deed = line, deed
        self._budget = Budget(DEADLINE, f"BMS {line.address}")

    async def run(self) -> Change:
        fresh = await self._agreed(self._deed.known)
        settings, key = _settings(fresh), self._deed.command.key
        before = settings.values.get(key)
        values = {**self._deed.known, **settings.values}
        replaced = self._deed.command.battery.replaced(identity_of(values))
        if replaced:
            return Change("refused", f"this is another battery: {replaced}", None, before, _told(fresh))
        try:
            wanted = checked(key, self._deed.command.value, values, self._deed.chemistry)
            if same(before, wanted):
                return Change("unchanged", "", before, before, _told(fresh))
            check_rules(key, wanted, values)
            wish = Wish(key, wanted, before, _request(key, wanted))
            await self._deed.begin(before)
            self._deed.permit()
        except CommandError as error:
            return Change("refused", str(error), before, before, _told(fresh))
        try:
            return await self._carried_out(wish, settings.values)
        except (CommandError, LinkError) as error:
            # the BMS may or may not have taken it: nothing is known until it is heard again
            return Change("failed", f"not verified: {error}", before, None)

    async def _carried_out(self, wish: Wish, known: Values) -> Change:
        """Write until it is read back; ``CommandError`` or ``LinkError`` when that is not possible."""
        answered = False
        for last in range(1, WRITES + 1):
            if last > 1:
                self._deed.permit()
            answered |= await self._written(wish)
            readings = await self._agreed({**known, wish.key: wish.wanted}, checking=True)
            # an exception does not exist in this protocol, so an answer counts as an acknowledgement
            found = judged(wish.key, wish.wanted, wish.before, _settings(readings), 0 if answered else None)
            if found.result == "applied" or last == WRITES:
                break
        if found.result == "not_taken" and WRITABLE_BY_KEY[wish.key].evidence == "refused by some":
            found = replace(found, reason=f"{found.reason}; firmware 11 is known not to")
        return replace(found, readings=_told(readings))

    async def _written(self, wish: Wish) -> bool:
        """Pair and write; whether the BMS answers. ``LinkError`` when the link is gone."""
        tag, line = WRITABLE_BY_KEY[wish.key].id, self._line
        await self._budget.spend(line.send(PAIRING, PAIRED))
        answered: bool = await self._budget.spend(line.send(wish.request, ANSWER * line.patience, tag))
        return answered

    async def _agreed(self, said: Values, *, checking: bool = False) -> Sequence[Reading]:
        """A table that says the settings as they were said, or that says them twice; ``CommandError`` without one."""
        heard, silent = False, 0
        for _ in range(READS):
            found = await self._read(checking=checking)
            if not any(reading.kind == "settings" for reading in found):
                silent += 1
                if silent == SLEEPING:
                    await self._budget.spend(self._line.send(ACTIVATE, WAKING * self._line.patience))
                continue
            values = _settings(found).values
            if agree(values, said, values):
                return found
            heard, said = True, values
        said_twice = "does not say the same twice" if heard else "does not answer"
        raise CommandError(f"BMS {self._line.address} {said_twice}")

    async def _read(self, *, checking: bool) -> Sequence[Reading]:
        seconds = TABLE * self._line.patience
        if not checking:
            seconds = self._budget.limit(seconds, RESERVE)
        found: Sequence[Reading] = await self._budget.spend(self._line.read_table(seconds))
        return found


def _told(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    """What is shown of them: measured values come with the next question."""
    return tuple(reading for reading in readings if reading.kind != "live")


def _settings(readings: Sequence[Reading]) -> Reading:
    return next(reading for reading in readings if reading.kind == "settings")


def _request(key: str, wanted: Scalar) -> bytes:
    """The message that writes it; ``CommandError`` outside the range that this protocol documents."""
    if not isinstance(wanted, (int, float)):
        raise CommandError(f"{key}: {wanted!r} is not a number")
    return write_request(WRITABLE_BY_KEY[key].id, wanted)
