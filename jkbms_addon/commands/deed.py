"""A command that is being carried out: what the strategies get, and what they give back.

The owner of a bus makes a ``Deed`` for one command, the strategy carries it out step by step:
1. read anew who the battery is and what it is set to, and check the command against that;
2. ``begin``: what is about to be done is on disk before the first byte goes out;
3. ``permit`` again right before every write: the lock may have been set, the command may have become too old;
4. write, read back, compare.
Between steps it lets the ``others`` of the bus have their turn, so that a change delays nobody by more than a round.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from jkbms_addon.battery.quantities import Value, Values
from jkbms_addon.battery.reading import Reading
from jkbms_addon.commands.command import Command
from jkbms_addon.commands.rules import same
from jkbms_addon.errors import CommandError


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one change, and the readings that tell it."""

    result: str
    reason: str
    before: Value
    after: Value
    readings: tuple[Reading, ...] = ()


async def _nothing(*_: Any) -> None:  # noqa: ANN401 - stands for either of two
    """Where there is no audit, and nobody else."""


@dataclass(frozen=True, slots=True)
class Deed:
    """How a command may be done; ``known`` is what is known of the battery, ``chemistry`` the owner's word.

    ``permit`` and ``begin`` raise ``CommandError`` when it may not be done (any more); ``others`` may raise
    ``LinkError``.
    """

    command: Command
    known: Values = field(default_factory=dict)
    chemistry: str | None = None
    permit: Callable[[], None] = lambda: None
    begin: Callable[[Value], Awaitable[None]] = _nothing
    others: Callable[[], Awaitable[None]] = _nothing


class Budget:
    """Seconds that the questions and answers of one change may take; the turns of others do not count."""

    def __init__(self, seconds: float, who: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._left, self._who, self._clock = seconds, who, clock

    def limit(self, seconds: float, reserve: float = 0.0) -> float:
        """The time limit of the next step, ``seconds`` at most; ``CommandError`` when only the reserve is left."""
        left = min(seconds, self._left - reserve)
        if left <= 0:
            raise CommandError(f"{self._who} does not answer")
        return left

    async def spend(self, step: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever the step gives
        """Do a step and count its time."""
        began = self._clock()
        try:
            return await step
        finally:
            self._left -= self._clock() - began


def agree(one: Values, other: Values, keys: Iterable[str]) -> bool:
    """Whether two messages say the same of these keys."""
    return all(same(one.get(key), other.get(key)) for key in keys)
