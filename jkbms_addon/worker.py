"""A thread of its own for each owner, for what blocks: name servers, adapters, the program ``ip``, files.

Theory of operation
- An owner has one ``Worker``. Its calls run one at a time, and nobody else's call can delay them.
- A call that takes too long is given up by who waits for it, with the complaint that came with it. It goes on in
  its thread, as nothing can stop it; what it brings after all goes to ``late``.
- As long as it goes on no other call of that owner begins. The next one fails with the complaint of the one that
  hangs: time spent waiting is no reason for a verdict.
- The threads are daemons: one that hangs for ever does not keep the process alive.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from functools import partial
from typing import Generic, TypeVar

from jkbms_addon.errors import LinkError

T = TypeVar("T")


class _Call(Generic[T]):
    """One call on its way. ``result`` is for who waits for it, ``ended`` comes when its thread is free again."""

    def __init__(self, work: Callable[[], T], late: Callable[[T], object] | None) -> None:
        self._work, self._late = work, late
        self.result: Future[T] = Future()
        self.ended: Future[None] = Future()
        for future in (self.result, self.ended):
            future.set_running_or_notify_cancel()  # so that nobody can cancel it any more
        self._lock, self._given_up = threading.Lock(), False

    def run(self) -> None:
        """Do the work, in the thread."""
        try:
            found = self._work()
        except BaseException as error:  # noqa: BLE001 - not handled here, but carried to who waits
            self.result.set_exception(error)
        else:
            with self._lock:
                too_late = self._given_up
                if not too_late:
                    self.result.set_result(found)
            if too_late and self._late:
                self._late(found)
        finally:
            self.ended.set_result(None)

    def give_up(self) -> Callable[[], object] | None:
        """Nobody waits any more; what is left to do where the result had come already."""
        with self._lock:
            self._given_up = True
            there = self.result.done() and self.result.exception() is None
        return partial(self._late, self.result.result()) if there and self._late else None


class Worker:
    """The thread of one owner; ``name`` is shown by debuggers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ended: Future[None] | None = None  # of the latest call
        self._complaint = ""

    async def call(
        self, work: Callable[[], T], within: float, complaint: str, late: Callable[[T], object] | None = None
    ) -> T:
        """What ``work`` returns or raises; ``LinkError`` with ``complaint`` when that takes more than ``within`` s.

        ``late`` takes care of a result for which nobody waits any more, also in the thread.
        """
        await self._free(within)
        call, self._complaint = self._begun(work, late), complaint
        done, taken = asyncio.wrap_future(call.result), False
        try:
            await asyncio.wait([done], timeout=within)
            taken = done.done()
            if not taken:
                raise LinkError(complaint)
            return done.result()
        finally:
            if not taken and (left := call.give_up()):
                self._begun(left, None)
            if not done.cancel() and not taken:
                done.exception()  # is asked for, so that asyncio does not complain

    async def finish(self, work: Callable[[], object], within: float, complaint: str) -> None:
        """Do ``work``, such as closing, in any case: after a call that hangs, if need be. Wait at most ``within`` s."""
        before = self._ended

        def afterwards() -> None:
            if before:
                before.result()
            work()

        if before is None or before.done():
            self._complaint = complaint
        await _over(self._begun(afterwards, None).ended, within)

    async def _free(self, within: float) -> None:
        """Wait until an earlier call has ended; ``LinkError`` with its complaint."""
        if self._ended and not await _over(self._ended, within):
            raise LinkError(self._complaint)

    def _begun(self, work: Callable[[], T], late: Callable[[T], object] | None) -> _Call[T]:
        call = _Call(work, late)
        self._ended = call.ended
        threading.Thread(target=call.run, name=self._name, daemon=True).start()
        return call


async def _over(ended: Future[None], within: float) -> bool:
    """Wait for the end of a call; whether it came."""
    if ended.done():
        return True
    waiting = asyncio.wrap_future(ended)
    try:
        await asyncio.wait([waiting], timeout=within)
        return waiting.done()
    finally:
        waiting.cancel()


OWN: ContextVar[Worker | None] = ContextVar("worker", default=None)


def own() -> Worker:
    """The thread of the owner whose task this is; a fresh one where nobody supervises it."""
    return OWN.get() or Worker("jkbms")
