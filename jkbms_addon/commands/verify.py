"""One setting of a PB-series BMS changed as an owner can trust it (specification, chapter 4).

Fresh read, check, write of exactly the documented width, acknowledgement or exception, pause, read again,
compare. An acknowledgement proves acceptance, not storage: only what is read back counts.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from jkbms_addon.battery.quantities import Scalar, Value
from jkbms_addon.battery.reading import Reading
from jkbms_addon.commands.rules import check_rules, parsed, same
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.wire.pb.frames import Frame
from jkbms_addon.wire.pb.modbus import ABOUT, SETTINGS
from jkbms_addon.wire.pb.registers import WRITABLE, write

_LOGGER = logging.getLogger(__name__)
PAUSE = 0.25  # seconds between a write and the read that checks it
EXCEPTIONS = {
    1: "the BMS does not know this function (exception 1)",
    2: "the BMS does not have this register (exception 2)",
    3: "the value is beyond this model's limit (exception 3)",
    4: "the BMS found the request damaged (exception 4)",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one change, and the readings that tell it."""

    result: str
    reason: str
    before: Value
    after: Value
    readings: tuple[Reading, ...] = ()


class Asking(Protocol):
    """Who has the wire and may send; a single task owns it."""

    async def read_page(self, address: int, register: int) -> tuple[Frame, Reading]:
        """A page as it is now, believed; ``CommandError`` when the BMS does not answer well."""

    async def exchange(self, request: bytes, pause: float) -> int | None:
        """Send a write; 0 when it is acknowledged, the code of an exception, None without an answer."""


async def change(master: Asking, address: int, key: str, payload: str, known: Mapping[str, Value]) -> Change:
    """Carry one change out; what goes wrong is in the result. ``LinkError`` only before anything was sent."""
    place = WRITABLE.get(key)
    if place is None:
        raise CommandError(f"{key} is never written")
    register = SETTINGS if place.page == 1 else ABOUT
    frame, fresh = await master.read_page(address, register)
    before = fresh.values.get(key)
    values = {**known, **fresh.values}
    try:
        wanted = parsed(key, payload, values)
        if same(before, wanted):
            return Change("unchanged", "", before, before, (fresh,))
        check_rules(key, wanted, values)
        request = write(address, key, wanted, frame)
    except CommandError as error:
        return Change("refused", str(error), before, before, (fresh,))
    try:
        answer = await master.exchange(request, PAUSE)
        _, again = await master.read_page(address, register)
    except (CommandError, LinkError) as error:
        # the BMS may or may not have taken it: nothing is known until it is heard again
        return Change("failed", f"not verified: {error}", before, None)
    return judged(key, wanted, before, again, answer)


def judged(key: str, wanted: Scalar, before: Value, again: Reading, answer: int | None) -> Change:
    """Compare what was wanted with what the BMS says now; ``answer`` is None without one, 0 for an acknowledgement."""
    after = again.values.get(key)
    if same(after, wanted):
        return Change("applied", "" if answer == 0 else "taken without acknowledgement", before, after, (again,))
    if answer:
        return Change("refused", EXCEPTIONS.get(answer, f"exception {answer}"), before, after, (again,))
    if answer is None:
        return Change("failed", "the BMS did not acknowledge", before, after, (again,))
    return Change("not_taken", "the BMS acknowledged but did not take the value", before, after, (again,))
