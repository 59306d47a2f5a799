"""Carries out the commands that wait for a bus, on the owner's turn, so that nobody else touches the wire."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from jkbms_addon.acquisition.contract import Changing, Interleaving, Source
from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.reading import Reading
from jkbms_addon.commands.command import Outcome
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.commands.queue import CommandQueue, Waiting
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.supervise import guarded

BUSY: Final = 3.0  # seconds of commands after which the owner asks for everything else that is due
TURN: Final = 0.8  # seconds between two turns of the others, however fast their rounds are
HARD: Final = 6.0  # seconds after which a change that does not keep its time is given up, and the link with it
Take = Callable[[Reading], None]


async def carry_out(source: Source, bus: str, commands: CommandQueue, take: Take) -> None:
    """Carry out what waits, for about ``BUSY`` seconds; every command gets its outcome, whatever happens.

    ``take`` gets what is read meanwhile. ``LinkError`` when the wire is gone.
    """
    clock = commands.clock
    until, others = clock() + BUSY, Others(source, take, clock)
    while clock() < until and (waiting := commands.next(bus)):
        await _Work(source, waiting, commands, take, others).run()
        await others.turn()


class Others:
    """The batteries that wait while one is being changed."""

    def __init__(self, source: Source, take: Take, clock: Callable[[], float]) -> None:
        self._source, self._take, self._clock = source, take, clock
        self._last = clock()

    async def turn(self) -> None:
        """Ask everybody whose round has come, once; ``LinkError`` when the wire is gone."""
        if not isinstance(self._source, Interleaving) or self._clock() - self._last < TURN:
            return
        readings = await self._source.due(begin=True)
        while readings is not None:
            for reading in readings:
                self._take(reading)
            readings = await self._source.due(begin=False)
        self._last = self._clock()


class _Work:
    """One command under way."""

    def __init__(self, source: Source, waiting: Waiting, commands: CommandQueue, take: Take, others: Others) -> None:
        self._source, self._waiting, self._commands, self._take = source, waiting, commands, take
        self._others = others
        self._intent = ""
        self._limit = asyncio.timeout(HARD)

    async def run(self) -> None:
        """Carry it out and tell the outcome, also of a bug; ``LinkError`` when the wire is gone."""
        failures: list[BaseException] = []
        with guarded(failures.append):
            await self._run()
        for error in failures:
            if not isinstance(error, LinkError):
                reason = f"not verified: internal error ({type(error).__name__}), see the log"
                self._commands.done(Outcome(self._waiting.command, "failed", reason), self._intent)
            raise error

    async def _run(self) -> None:
        command, done = self._waiting.command, self._commands.done
        try:
            change = await self._change()
        except CommandError as error:
            done(Outcome(command, "refused", str(error)), self._intent)
        except LinkError as error:
            done(Outcome(command, "failed", f"the link was lost: {error}"), self._intent)
            raise
        except TimeoutError as error:
            reason = f"BMS {command.wire[1]}: a change took longer than {HARD:.0f} s"
            done(Outcome(command, "failed", f"not verified: {reason}"), self._intent)
            raise LinkError(reason) from error
        else:
            for reading in change.readings:
                self._take(reading)
            done(Outcome(command, change.result, change.reason, change.before, change.after), self._intent)

    async def _change(self) -> Change:
        self._permit()
        if not isinstance(self._source, Changing):
            raise CommandError("this strategy cannot change settings")
        command = self._waiting.command
        bus, address = command.wire
        deed = Deed(
            replace(command, bus=bus, address=address, via=None),
            self._commands.known(command),
            self._commands.chemistry,
            self._permit,
            self._begin,
            lambda: self._paused(self._others.turn()),
        )
        async with self._limit:
            return await self._source.change(deed)

    def _permit(self) -> None:
        self._commands.permit(self._waiting)

    async def _begin(self, before: Value) -> None:
        async def begin() -> None:
            self._intent = await self._commands.begin(self._waiting.command, before)

        await self._paused(begin())

    async def _paused(self, work: Awaitable[None]) -> None:
        """What is not the BMS's time does not count; the limit goes on where it stood."""
        loop = asyncio.get_running_loop()
        when = self._limit.when()
        left = HARD if when is None else when - loop.time()
        self._limit.reschedule(None)
        try:
            await work
        finally:
            self._limit.reschedule(loop.time() + left)
