"""A bus opened for a moment: what its BMSs say, and changes of their settings one after the other, as the app does."""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from jkbms_addon.acquisition.contract import Attentive, BusOptions, Source
from jkbms_addon.acquisition.deeds import carry_out
from jkbms_addon.acquisition.foreign import Foreign
from jkbms_addon.battery.quantities import Scalar, Value
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.command import Command, Outcome
from jkbms_addon.commands.queue import CommandQueue, Record
from jkbms_addon.errors import CommandError, LinkError, OptionsError
from jkbms_addon.options.file import Options

PAGES = frozenset({"live", "settings", "about"})
WAIT = 15.0  # seconds without news after which a BMS is silent; "auto" listens for 8 of them


def chosen(options: Options, name: str) -> BusOptions:
    """The bus of that name, whose strategy can change settings; ``OptionsError`` says why not."""
    bus = next((one for one in options.buses if one.name == name), None)
    if bus is None:
        raise OptionsError(f"no bus is named {name!r}: there is {', '.join(b.name for b in options.buses) or 'none'}")
    if bus.plugin is None:
        raise OptionsError(f"bus {name}: {bus.problem}")
    if not bus.writable:
        raise OptionsError(f"bus {name}: the strategy {bus.strategy} cannot change settings as it is configured")
    return bus


class Visit:
    """Asks, and changes."""

    def __init__(self, bus: str, source: Source, status: BusStatus, store: Store, commands: CommandQueue) -> None:
        self._bus, self._source, self._status = bus, source, status
        self._store, self._commands = store, commands

    def _take(self, reading: Reading) -> None:
        self._store.update(self._bus, reading)

    async def values(self, addresses: Iterable[int]) -> dict[int, dict[str, Value]]:
        """All that these BMSs say; ``CommandError`` names the one that is silent, ``LinkError`` the wire."""
        missing = {(address, kind) for address in addresses for kind in PAGES}
        await self._hear(missing)
        return {address: self._known(address) for address in addresses}

    def _known(self, address: int) -> dict[str, Value]:
        snapshot = self._store.get((self._bus, address))
        parts = snapshot.parts.values() if snapshot else ()
        return {key: value for part in parts for key, value in part.values.items()}

    async def _hear(self, missing: set[tuple[int, str]]) -> None:
        """Poll until all of these pages came."""
        limit = time.monotonic() + WAIT
        while missing:
            if time.monotonic() >= limit:
                raise CommandError(self._silence(min(missing)[0]))
            for reading in await self._source.poll():
                self._take(reading)
                if reading.address is not None and (reading.address, reading.kind) in missing:
                    missing.discard((reading.address, reading.kind))
                    limit = time.monotonic() + WAIT

    def _silence(self, address: int) -> str:
        problem = self._status.problem
        if self._status.mode == "listening":
            problem = "another master rules this bus"
        return f"{self._bus}: BMS {address} does not answer" + (f": {problem}" if problem else "")

    async def change(self, address: int, key: str, value: Scalar, origin: str) -> Outcome:
        """Carry one change out and write it down; what goes wrong is in the outcome."""
        command = Command(self._bus, address, key, value, self._store.clock(), origin)
        cursor = self._commands.outcomes.last
        try:
            snapshot = self._store.get((self._bus, address))
            if snapshot is None or not snapshot.online(self._store.clock() + 1):
                await self._hear({(address, "live")})
            self._commands.take(command)
            await carry_out(self._source, self._bus, self._commands, self._take)
        except CommandError as error:
            self._commands.done(Outcome(command, "refused", str(error)))
        except LinkError as error:
            if self._commands.outcomes.last == cursor:
                self._commands.done(Outcome(command, "failed", f"the link was lost: {error}"))
        return self._commands.outcomes.after(cursor)[1][-1]


@asynccontextmanager
async def visiting(
    bus: BusOptions, addresses: Iterable[int], level: str, audit: Record, chemistry: str | None = None
) -> AsyncIterator[Visit]:
    """The bus, asked without pauses and for these addresses only; ``LinkError`` when it cannot be opened.

    ``level`` is what may be changed; ``chemistry`` is the owner's word for the cells.
    """
    assert bus.plugin is not None
    narrow = {"addresses": frozenset(addresses), "interval": 0.0}
    values = {**bus.values, **{key: value for key, value in narrow.items() if key in bus.values}}
    status, store = BusStatus(bus.name, bus.strategy), Store()
    writable = {bus.name: bus.writable}
    status.present = lambda address: store.present((bus.name, address))
    async with bus.plugin.open(values, status) as opened:
        source = opened if isinstance(opened, Attentive) else Foreign(opened, status, bus.addresses)
        status.up()
        commands = CommandQueue(level, store, writable, audit, unlocked=True, chemistry=chemistry)
        yield Visit(bus.name, source, status, store, commands)
