"""One setting of a PB-series BMS changed as an owner can trust it (specification, chapter 4).

Theory of operation. The pages are read anew: device information (who answers at this address, and is it one alone?)
and settings. A page counts when two messages say the same of it; what was known before is one of them. The command is
checked against that page, the change is written down, and exactly the documented width is written. Where a register
is shared with other settings the page is read once more right before, and what changed in between is kept and told.
An acknowledgement proves acceptance, not storage: only what is read back counts, and a neighbour that somebody else
changed meanwhile is told; if that undid the change it is written once more, from the fresh word.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from jkbms_addon.battery.quantities import Scalar, Value, Values
from jkbms_addon.battery.reading import Reading
from jkbms_addon.commands.command import Identity, identity_of
from jkbms_addon.commands.deed import Budget, Change, Deed, agree
from jkbms_addon.commands.rules import check_rules, checked, same, shown
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.wire.pb.frames import Frame
from jkbms_addon.wire.pb.modbus import ABOUT, SETTINGS
from jkbms_addon.wire.pb.registers import SHARED, WRITABLE, write

_LOGGER = logging.getLogger(__name__)
PAUSE: Final = 0.25  # seconds between a write and the read that checks it
DEADLINE: Final = 2.0  # seconds for all questions and answers of a change; twice as long through a gateway
RESERVE: Final = 0.8  # seconds of these that a write with its check takes
ANSWER: Final = 0.5  # seconds for one answer; it comes after 35 to 50 ms, through a gateway after 230 ms
LAST_READ: Final = 0.3  # seconds for the read that checks a write, however long the rest took
READS: Final = 4  # questions until two answers agree
WHO: Final = ("serial_number", "model", "cell_request_charge_voltage_time", "cell_request_float_voltage_time")
EXCEPTIONS = {
    1: "the BMS does not know this function (exception 1)",
    2: "the BMS does not have this register (exception 2)",
    3: "the value is beyond this model's limit (exception 3)",
    4: "the BMS found the request damaged (exception 4)",
}
Page = tuple[Frame, Reading]


class Exchange(Protocol):
    """Who has the wire and may send; a single task owns it. Both raise ``LinkError`` when it is gone.

    ``CommandError`` when nothing may be sent now, as another master rules the bus.
    """

    async def read_page(self, address: int, register: int, seconds: float) -> Sequence[Page]:
        """Ask once for a page; every answer that comes, several when several units have this address."""

    async def send(self, request: bytes, seconds: float, pause: float) -> int | None:
        """Send a write; 0 when it is acknowledged, the code of an exception, None without an answer."""


@dataclass(frozen=True, slots=True)
class Registers:
    """How settings are written on one kind of wire.

    ``pages`` gives for each the type of the frame that shows it, ``shared`` for those whose register holds others, too,
    which these are, and ``write`` the request that changes it on a unit at an address, given the page as it is now.
    """

    pages: Mapping[str, int]
    shared: Mapping[str, Sequence[str]]
    write: Callable[[int, str, Scalar, Frame], bytes]


MODBUS: Final = Registers(
    {key: place.page for key, place in WRITABLE.items()},
    {key: [other for other in SHARED if other != key and SHARED[other] == SHARED[key]] for key in SHARED},
    write,
)


async def change(line: Exchange, deed: Deed, patience: float = 1.0, registers: Registers = MODBUS) -> Change:
    """Carry one change out; what goes wrong is in the result. ``patience`` stretches all time limits.

    ``CommandError`` when it cannot be tried, ``LinkError`` only before anything was written.
    """
    if deed.command.key not in registers.pages:
        raise CommandError(f"{deed.command.key} is never written")
    return await _Attempt(line, deed, patience, registers).run()


class _Attempt:
    """One change under way."""

    def __init__(self, line: Exchange, deed: Deed, patience: float, registers: Registers) -> None:
        self._line, self._deed, self._patience = line, deed, patience
        self._registers, self._shared = registers, registers.shared.get(deed.command.key)
        self._address, self._key = deed.command.address, deed.command.key
        self._page = SETTINGS if registers.pages[self._key] == 1 else ABOUT
        self._budget = Budget(DEADLINE * patience, f"BMS {self._address}")
        self._told: list[str] = []  # neighbours that changed meanwhile

    async def run(self) -> Change:
        other = await self._agreed(ABOUT if self._page == SETTINGS else SETTINGS, self._deed.known)
        await self._deed.others()
        page = await self._agreed(self._page, self._deed.known)
        before = page[1].values.get(self._key)
        replaced = self._deed.command.battery.replaced(_who(other, page))
        if replaced:
            readings = (other[1], page[1])
            return Change("refused", f"this is another battery: {replaced}", None, before, readings)
        try:
            wanted = self._checked(page)
            if same(before, wanted):
                return Change("unchanged", "", before, before, (page[1],))
            await self._deed.begin(before)
            if self._shared is not None:
                page = await self._fresh(page, wanted)
                before = page[1].values.get(self._key)
            self._deed.permit()
            request = self._request(wanted, page[0])
        except CommandError as error:
            return Change("refused", str(error), before, before, (page[1],))
        try:
            return await self._written(request, page, wanted)
        except (CommandError, LinkError) as error:
            # the BMS may or may not have taken it: nothing is known until it is heard again
            return Change("failed", f"not verified: {error}", before, None)

    def _checked(self, page: Page) -> Scalar:
        """The value to write; ``CommandError`` names range or rule that the page of now does not allow."""
        values = {**self._deed.known, **page[1].values}
        wanted = checked(self._key, self._deed.command.value, values, self._deed.chemistry)
        check_rules(self._key, wanted, values)
        return wanted

    async def _fresh(self, page: Page, wanted: Scalar) -> Page:
        """The page right before a write into a register that is shared."""
        fresh = await self._agreed(self._page, page[1].values)
        self._checked(fresh)
        self._compare(page, fresh, wanted)
        return fresh

    async def _written(self, request: bytes, page: Page, wanted: Scalar) -> Change:
        """Write and read back; once more when a neighbour's change undid ours. ``CommandError``: nothing is known."""
        before = page[1].values.get(self._key)
        answer = await self._send(request)
        again = await self._read_back(page, wanted)
        moved = self._shared is not None and self._compare(page, again, wanted)
        if moved and not answer and not same(again[1].values.get(self._key), wanted):
            self._deed.permit()
            answer = await self._send(self._request(wanted, again[0]))
            again = await self._read_back(again, wanted)
        return judged(self._key, wanted, before, again[1], answer, "; ".join(self._told))

    def _request(self, wanted: Scalar, page: Frame) -> bytes:
        return self._registers.write(self._address, self._key, wanted, page)

    async def _send(self, request: bytes) -> int | None:
        seconds = ANSWER * self._patience
        answer: int | None = await self._budget.spend(self._line.send(request, seconds, PAUSE))
        return answer

    async def _read_back(self, page: Page, wanted: Scalar) -> Page:
        await self._deed.others()
        return await self._agreed(self._page, {**page[1].values, self._key: wanted}, checking=True)

    # --- pages -------------------------------------------------------------------------------------------
    async def _agreed(self, register: int, said: Values, *, checking: bool = False) -> Page:
        """A page that says what was said before, or that is said twice; ``CommandError`` when there is none."""
        heard = False
        for _ in range(READS):
            page = await self._ask(register, checking=checking)
            if page is None:
                await self._deed.others()
                continue
            values = page[1].values
            if agree(values, said, values if register == SETTINGS else WHO):
                return page
            heard, said = True, values
        raise CommandError(f"BMS {self._address} {'does not say the same twice' if heard else 'does not answer'}")

    async def _ask(self, register: int, *, checking: bool) -> Page | None:
        seconds = ANSWER * self._patience
        if not checking:
            seconds = self._budget.limit(seconds, RESERVE * self._patience)
        else:
            seconds = max(LAST_READ * self._patience, self._left(seconds))
        answers: Sequence[Page] = await self._budget.spend(self._line.read_page(self._address, register, seconds))
        keys = ("serial_number",) if register == ABOUT else ("device_address", "cell_count")
        if any(not agree(answers[0][1].values, other.values, keys) for _, other in answers[1:]):
            raise CommandError(f"two units answer at address {self._address}: give each its own by its DIP switches")
        return answers[0] if answers else None

    def _left(self, seconds: float) -> float:
        try:
            return self._budget.limit(seconds)
        except CommandError:
            return 0.0

    def _compare(self, page: Page, again: Page, wanted: Scalar) -> bool:
        """Whether neighbours in the register differ between two pages; which, is told."""
        one, other = (self._request(wanted, frame) for frame, _ in (page, again))
        if one == other:
            return False
        told = []
        for key in self._shared or ():
            before, after = page[1].values.get(key), again[1].values.get(key)
            if not same(before, after):
                told.append(f"{key} was changed by somebody else from {shown(key, before)} to {shown(key, after)}")
        self._told += told or ["hidden bits of the same register were changed by somebody else"]
        return True


def _who(*pages: Page) -> Identity:
    """Who answers, by pages of both kinds."""
    return identity_of({key: value for _, reading in pages for key, value in reading.values.items()})


def judged(key: str, wanted: Scalar, before: Value, again: Reading, answer: int | None, told: str = "") -> Change:
    """Compare what was wanted with what the BMS says now; ``answer`` is None without one, 0 for an acknowledgement.

    ``told`` is what else there is to say.
    """
    after = again.values.get(key)
    if same(after, wanted):
        result, reason = "applied", "" if answer == 0 else "taken without acknowledgement"
    elif answer:
        result, reason = "refused", EXCEPTIONS.get(answer, f"exception {answer}")
    elif answer is None:
        result, reason = "failed", "the BMS did not acknowledge"
    else:
        result, reason = "not_taken", "the BMS acknowledged but did not take the value"
    return Change(result, "; ".join(filter(None, (reason, told))), before, after, (again,))
