"""A bus opened for a moment: what its BMSs say, and changes of their settings one after the other."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from jkbms_addon.acquisition.contract import BusOptions, Changing, Source
from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.command import Command, Outcome
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
    """Asks, and changes. ``audit`` is told every attempt."""

    def __init__(self, bus: str, source: Source, status: BusStatus, audit: Callable[[Outcome], None]) -> None:
        self._bus, self._source, self._status, self._audit = bus, source, status, audit

    async def values(self, addresses: Iterable[int]) -> dict[int, dict[str, Value]]:
        """All that these BMSs say; ``CommandError`` names the one that is silent, ``LinkError`` the wire."""
        found: dict[int, dict[str, Value]] = {address: {} for address in addresses}
        missing = {(address, kind) for address in found for kind in PAGES}
        limit = time.monotonic() + WAIT
        while missing:
            if time.monotonic() >= limit:
                raise CommandError(self._silence(min(missing)[0]))
            for reading in await self._source.poll():
                if reading.address not in found:
                    continue
                found[reading.address].update(reading.values)
                if (reading.address, reading.kind) in missing:
                    missing.discard((reading.address, reading.kind))
                    limit = time.monotonic() + WAIT
        return found

    def _silence(self, address: int) -> str:
        problem = self._status.problem
        if self._status.mode == "listening":
            problem = "another master rules this bus"
        return f"{self._bus}: BMS {address} does not answer" + (f": {problem}" if problem else "")

    async def change(self, command: Command, known: Mapping[str, Value]) -> Outcome:
        """Carry one change out and write it down; what goes wrong is in the outcome."""
        outcome = Outcome(command, "failed", "interrupted, not verified")
        try:
            outcome = await self._changed(command, known)
        finally:
            self._audit(outcome)
        return outcome

    async def _changed(self, command: Command, known: Mapping[str, Value]) -> Outcome:
        if not isinstance(self._source, Changing):
            return Outcome(command, "refused", "this strategy cannot change settings")
        try:
            change = await self._source.change(command.address, command.key, command.payload, known)
        except CommandError as error:
            return Outcome(command, "refused", str(error))
        except LinkError as error:
            return Outcome(command, "failed", f"the link was lost: {error}")
        return Outcome(command, change.result, change.reason, change.before, change.after)


@asynccontextmanager
async def visiting(bus: BusOptions, addresses: Iterable[int], audit: Callable[[Outcome], None]) -> AsyncIterator[Visit]:
    """The bus, asked without pauses and for these addresses only; ``LinkError`` when it cannot be opened."""
    assert bus.plugin is not None
    narrow = {"addresses": frozenset(addresses), "interval": 0.0}
    values = {**bus.values, **{key: value for key, value in narrow.items() if key in bus.values}}
    status = BusStatus(bus.name, bus.strategy)
    async with bus.plugin.open(values, status) as source:
        status.up()
        yield Visit(bus.name, source, status, audit)
