"""One setting of a first-generation BMS changed as an owner can trust it.

Source: specification of the UART-TTL protocol, chapters 2.3 and 5. Fresh read, check, pairing message, pause,
write, answer, read again, compare; once more when it was not taken. An answer carries no status and comes for
values that are not taken, too: only what is read back counts.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from jkbms_addon.acquisition.ttl_line import Line
from jkbms_addon.battery.quantities import Scalar, Value
from jkbms_addon.battery.reading import Reading
from jkbms_addon.commands.rules import check_rules, parsed, same
from jkbms_addon.commands.verify import Change, judged
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.wire.ttl.frames import PAIRING, write_request
from jkbms_addon.wire.ttl.tags import CHANGEABLE, WRITABLE_BY_KEY

REST = 0.1  # seconds between two messages, as the vendor asks for
PAIRED = 0.15  # seconds from the pairing message, which is never answered, to the write
ANSWER = 0.5  # seconds for the answer to a write
WRITES = 2  # times that a value is written before it counts as not taken


class Asking(Protocol):
    """Who has the port, and the one BMS on it; a single task owns it. ``patience`` stretches time limits."""

    address: int
    patience: float
    line: Line

    async def read_table(self) -> tuple[Reading, ...]:
        """What the BMS says now, its settings believed; ``CommandError`` when it does not answer well."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A change that passed the checks; ``request`` is the message that asks for it."""

    key: str
    wanted: Scalar
    before: Value
    request: bytes


async def change(ttl: Asking, address: int, key: str, payload: str, known: Mapping[str, Value]) -> Change:
    """Carry one change out; what goes wrong is in the result.

    ``CommandError`` when it cannot be tried, ``LinkError`` only before anything was written.
    """
    if key not in CHANGEABLE:
        raise CommandError(f"{key} is never written")
    if address != ttl.address:
        raise CommandError(f"BMS {address} is not on this port")
    fresh = await ttl.read_table()
    settings = _settings(fresh)
    before = settings.values.get(key)
    values = {**known, **settings.values}
    try:
        wanted = parsed(key, payload, values)
        if same(before, wanted):
            return Change("unchanged", "", before, before, fresh)
        check_rules(key, wanted, values)
        wish = Wish(key, wanted, before, _request(key, wanted))
    except CommandError as error:
        return Change("refused", str(error), before, before, fresh)
    try:
        return await _carried_out(ttl, wish)
    except (CommandError, LinkError) as error:
        # the BMS may or may not have taken it: nothing is known until it is heard again
        return Change("failed", f"not verified: {error}", before, None)


def _settings(readings: tuple[Reading, ...]) -> Reading:
    return next(reading for reading in readings if reading.kind == "settings")


def _request(key: str, wanted: Scalar) -> bytes:
    """The message that writes it; ``CommandError`` outside the range that this protocol documents."""
    if not isinstance(wanted, (int, float)):
        raise CommandError(f"{key}: {wanted!r} is not a number")
    return write_request(WRITABLE_BY_KEY[key].id, wanted)


async def _carried_out(ttl: Asking, wish: Wish) -> Change:
    """Write until it is read back; ``CommandError`` or ``LinkError`` when that is not possible."""
    answered = False
    for last in range(1, WRITES + 1):
        answered |= await _written(ttl, wish)
        readings = await ttl.read_table()
        # an exception does not exist in this protocol, so an answer counts as an acknowledgement
        found = judged(wish.key, wish.wanted, wish.before, _settings(readings), 0 if answered else None)
        if found.result == "applied" or last == WRITES:
            break
    if found.result == "not_taken" and WRITABLE_BY_KEY[wish.key].evidence == "refused by some":
        found = replace(found, reason=f"{found.reason}; firmware 11 is known not to")
    return replace(found, readings=readings)


async def _written(ttl: Asking, wish: Wish) -> bool:
    """Pair and write; whether the BMS answers. ``LinkError`` when the link is gone."""
    line, tag = ttl.line, WRITABLE_BY_KEY[wish.key].id
    await line.rest(REST)
    line.ask(PAIRING)
    await line.rest(PAIRED)
    line.ask(wish.request)
    limit = time.monotonic() + ANSWER * ttl.patience
    while (left := limit - time.monotonic()) > 0:
        if any((frame.kind, frame.tag) == ("written", tag) for frame in await line.read(left)):
            return True
    return False
