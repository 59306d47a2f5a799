"""The one retry: keeps an owner of a link alive, and says once that it failed and once that it is well."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from jkbms_addon.errors import LinkError
from jkbms_addon.worker import OWN, Worker

_LOGGER = logging.getLogger(__name__)
FIRST_DELAY = 0.5
MAX_DELAY = 1.25  # and a fifth more; what is back must be noticed, and told, within five seconds
QUIET = 10.0  # seconds without failure after which the delay starts small again


class Supervisor:
    """Runs one owner for ever; ``healed`` is called by the owner when its link works.

    ``stopping`` tells that the program ends: an owner whose farewell fails must not swallow that.
    """

    def __init__(
        self,
        name: str,
        failed: Callable[[str], None] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._name, self._failed, self._stopping = name, failed, stopping
        self._said = ""
        self._delay = FIRST_DELAY

    def healed(self) -> None:
        """The link works: say so if a failure was said before."""
        if self._said:
            _LOGGER.info("%s: works again", self._name)
            self._said = ""

    async def run(self, owner: Callable[[], Awaitable[None]]) -> None:
        """Run ``owner`` again and again, with a thread of its own for what blocks; only cancellation ends it."""
        OWN.set(Worker(self._name))
        while True:
            started = time.monotonic()
            try:
                await owner()
            except* LinkError as errors:
                self._report(str(_first(errors)))
            except* Exception:  # a bug restarts its owner, not the process
                _LOGGER.exception("%s: this is a bug; starting it again", self._name)
                self._note("internal error, see the log")
            # not task.cancelling(): a TaskGroup of Python 3.11 leaves that count raised after a failure
            if self._stopping():
                raise asyncio.CancelledError  # an owner that failed while it was being stopped is not started again
            if time.monotonic() - started > QUIET:
                self._delay = FIRST_DELAY
            # a try that took its time, such as one that ran into a time limit, has waited already
            tried = min(time.monotonic() - started, self._delay - FIRST_DELAY)
            await asyncio.sleep((self._delay - tried) * random.uniform(0.8, 1.2))  # noqa: S311
            self._delay = min(MAX_DELAY, self._delay * 2)

    def _report(self, reason: str) -> None:
        self._note(reason)
        # one warning per failure, however often the attempt is repeated
        level = logging.DEBUG if self._said == reason else logging.WARNING
        _LOGGER.log(level, "%s: %s; trying again", self._name, reason)
        self._said = reason

    def _note(self, reason: str) -> None:
        if self._failed:
            self._failed(reason)


def _first(errors: BaseExceptionGroup[LinkError]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
