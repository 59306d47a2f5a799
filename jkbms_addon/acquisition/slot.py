"""What else may be done on the link of a bus than its owner does: look at the bytes, and ask something in its turns.

Theory of operation. The owner lends its source for as long as the link is open. Who looks sees every byte when it comes
or goes, also over reconnects, and delays nobody. Who asks waits for a turn: it comes between two polls, one in
``PACE`` seconds at most, and ends after ``LONGEST``, so that the batteries are asked on as before. Whoever waits is
told when the link is gone; a question that nobody waits for any more is not put.
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
from jkbms_addon.link.stream import Link, Tap

PACE: Final = 0.8  # s between two turns
LONGEST: Final = 3.0  # s of one turn; then the link is given up, as for a change that does not keep its time
CLOSED: Final = "the bus is not open"
NO_STREAM: Final = "this bus is no stream of bytes: only serial ports and gateways can be looked at"
DEAF: Final = "this strategy cannot ask for other addresses"
T = TypeVar("T")
Work = Callable[[Asking], Awaitable[T]]


@dataclass(slots=True)
class Slot:
    """Of one bus; it outlives its link."""

    clock: Clock = MONOTONIC
    _source: object = None
    _link: Link | None = None
    _taps: list[Tap] = field(default_factory=list)
    _waiting: deque[tuple[Work[Any], asyncio.Future[Any]]] = field(default_factory=deque)
    _last: float = 0.0

    @contextmanager
    def lent(self, source: object) -> Iterator[None]:
        """What the owner has open, as long as it has."""
        self._source = source
        if isinstance(source, Wired) and isinstance(source.link, Link):  # a plug-in may call something else so
            self._link = source.link
            self._link.taps.append(self._seen)
        try:
            yield
        finally:
            if self._link:
                self._link.taps.remove(self._seen)
            self._source = self._link = None
            while self._waiting:
                _fail(self._waiting.popleft()[1], CLOSED)

    def _seen(self, direction: str, data: bytes) -> None:
        for tap in self._taps:
            tap(direction, data)

    def watched(self) -> None:
        """Nothing where bytes can be looked at; ``CommandError`` says why not."""
        if self._source is None:
            raise CommandError(CLOSED)
        if self._link is None:
            raise CommandError(NO_STREAM)

    def asked(self) -> None:
        """Nothing where something can be asked; ``CommandError`` says why not."""
        if self._source is None:
            raise CommandError(CLOSED)
        if not isinstance(self._source, Asking):
            raise CommandError(DEAF)

    @contextmanager
    def look(self, tap: Tap) -> Iterator[None]:
        """Let ``tap`` see all bytes; ``CommandError`` where there are none."""
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


def _fail(answer: asyncio.Future[Any], why: str) -> None:
    if not answer.done():
        answer.set_exception(CommandError(why))
