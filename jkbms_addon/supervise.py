"""The one retry: keeps an owner of a link alive, and says once that it failed and once that it is well.

Here is the only handler that takes everything, ``guarded``: around owners, so that a bug restarts one of them and
not the process, and around what is not ours (plug-ins), so that it can hurt only its own bus.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from jkbms_addon.clock import MONOTONIC, Clock
from jkbms_addon.errors import LinkError
from jkbms_addon.worker import OWN, Worker

_LOGGER = logging.getLogger(__name__)
FIRST_DELAY = 0.5
MAX_DELAY = 1.25  # and a fifth more; what is back must be noticed, and told, within five seconds
QUIET = 10.0  # seconds without failure after which the delay starts small again


@contextmanager
def guarded(told: Callable[[BaseException], None]) -> Iterator[None]:
    """Whatever goes wrong inside is told, and costs nothing else; what cancels or interrupts the program goes on.

    ``SystemExit`` is caught, too: neither an owner nor a plug-in may end the program.
    """
    try:
        yield
    except* (Exception, SystemExit) as errors:  # noqa: BLE001 - the only one
        told(_first(errors))


class Supervisor:
    """Runs one owner for ever; ``healed`` is called by the owner when its link works.

    ``stopping`` tells that the program ends: an owner whose farewell fails must not swallow that.
    """

    def __init__(
        self,
        name: str,
        failed: Callable[[str], None] | None = None,
        stopping: Callable[[], bool] = lambda: False,
        clock: Clock = MONOTONIC,
    ) -> None:
        self._name, self._failed, self._stopping, self._clock = name, failed, stopping, clock
        self._said = self._bug_said = ""
        self._delay = FIRST_DELAY

    def healed(self) -> None:
        """The link works: say so if a failure was said before."""
        if self._said or self._bug_said:
            _LOGGER.info("%s: works again", self._name)
            self._said = self._bug_said = ""

    async def run(self, owner: Callable[[], Awaitable[None]]) -> None:
        """Run ``owner`` again and again, with a thread of its own for what blocks; only cancellation ends it."""
        OWN.set(Worker(self._name))
        while True:
            started = self._clock()
            with guarded(self._bug):
                try:
                    await owner()
                except* LinkError as errors:
                    self._report(str(_first(errors)))
            # not task.cancelling(): a TaskGroup of Python 3.11 leaves that count raised after a failure
            if self._stopping():
                raise asyncio.CancelledError  # an owner that failed while it was being stopped is not started again
            took = self._clock() - started
            if took > QUIET:
                self._delay = FIRST_DELAY
            # a try that took its time, such as one that ran into a time limit, has waited already
            tried = min(took, self._delay - FIRST_DELAY)
            await self._clock.sleep((self._delay - tried) * random.uniform(0.8, 1.2))  # noqa: S311
            self._delay = min(MAX_DELAY, self._delay * 2)

    def _report(self, reason: str) -> None:
        self._note(reason)
        # one warning per failure, however often the attempt is repeated
        level = logging.DEBUG if self._said == reason else logging.WARNING
        _LOGGER.log(level, "%s: %s; trying again", self._name, reason)
        self._said = reason

    def _bug(self, error: BaseException) -> None:
        """Anything else restarts its owner; where it is, is shown once and not each time."""
        what = f"{type(error).__name__}: {error}"
        if what == self._bug_said:
            _LOGGER.debug("%s: the same bug again: %s", self._name, what)
        else:
            _LOGGER.error("%s: this is a bug; starting it again", self._name, exc_info=error)
        self._bug_said = what
        self._note(f"internal error ({what:.120}), see the log")

    def _note(self, reason: str) -> None:
        if self._failed:
            self._failed(reason)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
