"""What else may be done on the link of a bus than its owner does: look at what passes, and ask something in its turns.

Theory of operation. The owner lends its source for as long as the link is open. What can be done on the bus is found
out then, here alone, and stays told while the link is lost; before the bus was open once it is nothing. Who looks sees
everything when it comes or goes, bytes of a stream or frames of CAN as the link shows them, also over reconnects, and
delays nobody. Who asks waits for a turn: it comes between two polls, one in ``PACE`` seconds at most, and ends after
``LONGEST``, so that the batteries are asked on as before. Whoever waits is told when the link is gone; a question that
nobody waits for any more is not put.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from jkbms_addon.acquisition.contract import Asking, Wired
from jkbms_addon.clock import MONOTONIC, Clock
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.link.tap import Direction, Medium, Tap, Tapped

PACE: Final = 0.8  # s between two turns
LONGEST: Final = 3.0  # s of one turn; then the link is given up, as for a change that does not keep its time
CLOSED: Final = "the bus is not open"
UNSEEN: Final = "this strategy does not show what passes on its bus"
DEAF: Final = "this strategy cannot ask for other addresses"
T = TypeVar("T")
Work = Callable[[Asking], Awaitable[T]]


@dataclass(slots=True)
class Slot:
    """Of one bus; it outlives its link."""

    clock: Clock = MONOTONIC
    medium: Medium | None = None  # what can be looked at
    asks: bool = False  # whether something can be asked
    _source: object = None
    _taps: list[Tap[Any]] = field(default_factory=list)
    _waiting: deque[tuple[Work[Any], asyncio.Future[Any]]] = field(default_factory=deque)
    _last: float = 0.0

    @contextmanager
    def lent(self, source: object) -> Iterator[None]:
        """What the owner has open, as long as it has."""
        link = _shown(source)
        self._source, self.asks, self.medium = source, isinstance(source, Asking), link.medium if link else None
        if link:
            link.taps.append(self._seen)
        try:
            yield
        finally:
            if link:
                link.taps.remove(self._seen)
            self._source = None
            while self._waiting:
                _fail(self._waiting.popleft()[1], CLOSED)

    def _seen(self, direction: Direction, data: object) -> None:
        for tap in self._taps:
            tap(direction, data)

    def watched(self) -> None:
        """Nothing where it can be looked at what passes; ``CommandError`` says why not."""
        if self._source is None:
            raise CommandError(CLOSED)
        if self.medium is None:
            raise CommandError(UNSEEN)

    def asked(self) -> None:
        """Nothing where something can be asked; ``CommandError`` says why not."""
        if self._source is None:
            raise CommandError(CLOSED)
        if not self.asks:
            raise CommandError(DEAF)

    @contextmanager
    def look(self, tap: Tap[Any]) -> Iterator[None]:
        """Let ``tap`` see all that passes; ``CommandError`` where nothing is shown."""
        self.watched()
        self._taps.append(tap)
        try:
            yield
        finally:
            self._taps.remove(tap)

    async def ask(self, work: Work[T]) -> T:
        """What ``work`` brings in one of the next turns; ``CommandError`` says why there is none."""
        self.asked()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, answer))
        return await answer

    async def serve(self) -> None:
        """The owner's turn for others; ``LinkError`` when the wire is gone."""
        if not self._waiting or self.clock() - self._last < PACE:
            return
        work, answer = self._waiting.popleft()
        if answer.done():
            return
        assert isinstance(self._source, Asking)
        try:
            async with asyncio.timeout(LONGEST):
                found = await work(self._source)
        except CommandError as error:
            _fail(answer, str(error))
        except TimeoutError as error:
            raise LinkError(f"a question took longer than {LONGEST:.0f} s") from error
        else:
            if not answer.done():
                answer.set_result(found)
        finally:
            self._last = self.clock()
            _fail(answer, CLOSED)


def _shown(source: object) -> Tapped[Any] | None:
    """The link that a source shows; a plug-in may call something else so."""
    link = source.link if isinstance(source, Wired) else None
    return link if isinstance(link, Tapped) else None


def _fail(answer: asyncio.Future[Any], why: str) -> None:
    if not answer.done():
        answer.set_exception(CommandError(why))
