"""Strategy *gateway*: the behaviours of master and listen through an RS485-to-TCP gateway."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import voluptuous as vol

from jkbms_addon.acquisition.contract import Asking, Changing, Interleaving, Options, Plugin, Source
from jkbms_addon.acquisition.diagnosis import REASONS
from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.acquisition.listen import Listener
from jkbms_addon.acquisition.master import Master
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.commands.verify import Page
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.link.stream import Link, tcp_link
from jkbms_addon.validators import ADDRESSES, addresses, host, interval, tcp_port
from jkbms_addon.wire.pb.registers import WRITABLE

PATIENCE = 2.0  # gateways take 230 ms on average; answers are awaited for 1 s
SILENT_POLLING, SILENT_LISTENING = 30.0, 60.0  # seconds without any byte that make a connection half-open
MISSED_POLLING, MISSED_LISTENING = 4.0, 10.0  # the same where somebody was heard on it and is missed


class Missing(Source, Protocol):
    """A source that tells since when it misses everybody whom it heard; None while somebody is heard."""

    @property
    def intake(self) -> Intake:
        """What it puts its readings through."""

    @property
    def missed(self) -> float | None:
        """Monotonic time in s."""


class Watched:
    """A source on a TCP link that gives the connection up when nothing comes for too long.

    ``silence`` is how many seconds a connection may bring nothing, ``gone`` how many when somebody is missed. A
    fresh connection costs little, and nobody is shown as unavailable yet when it is made in time.
    """

    def __init__(self, source: Missing, link: Link, silence: float, gone: float) -> None:
        self._source, self._link, self._silence, self._gone = source, link, silence, gone
        self._clock = source.intake.clock
        self._received, self._since = 0, self._clock()

    @property
    def link(self) -> Link:
        """The wire."""
        return self._link

    @property
    def intake(self) -> Intake:
        """As the source's."""
        return self._source.intake

    async def poll(self) -> Sequence[Reading]:
        """As the source; ``LinkError`` when the connection is half-open."""
        readings = await self._source.poll()
        now, missed = self._clock(), self._source.missed
        if self._link.received != self._received:
            self._received, self._since = self._link.received, now
        elif self._quiet(now, missed) > (self._silence if missed is None else self._gone):
            raise LinkError(f"{self._link.name}: {REASONS['half_open']}")
        return readings

    def _quiet(self, now: float, missed: float | None) -> float:
        return now - max(self._since, missed or 0.0)

    async def change(self, deed: Deed) -> Change:
        """As the source; ``CommandError`` when it only listens."""
        if not isinstance(self._source, Changing):
            raise CommandError("this bus is only listened to")
        return await self._source.change(deed)

    async def read_page(self, address: int, register: int, seconds: float) -> Sequence[Page]:
        """As the source; ``CommandError`` when it only listens."""
        if not isinstance(self._source, Asking):
            raise CommandError("this bus is only listened to")
        return await self._source.read_page(address, register, seconds)

    async def due(self, *, begin: bool) -> Sequence[Reading] | None:
        """As the source."""
        return await self._source.due(begin=begin) if isinstance(self._source, Interleaving) else None


@asynccontextmanager
async def opened(options: Options, status: BusStatus) -> AsyncIterator[Watched]:
    """A connection to the gateway."""
    async with tcp_link(options["host"], options["tcp_port"]) as link:
        if options["mode"] == "poll":
            master = Master(link, status, options["addresses"], options["interval"], PATIENCE, tcp=True)
            # between two rounds nothing need come
            yield Watched(master, link, SILENT_POLLING + options["interval"], MISSED_POLLING)
        else:
            yield Watched(Listener(link, status, tcp=True), link, SILENT_LISTENING, MISSED_LISTENING)


PLUGIN = Plugin(
    schema=vol.Schema(
        {
            vol.Required("host"): host,
            vol.Required("tcp_port"): tcp_port,
            vol.Optional("mode", default="poll"): vol.In(("poll", "listen"), msg="must be poll or listen"),
            vol.Optional("addresses", default="1-15"): addresses,
            vol.Optional("interval", default=2.0): interval,
        }
    ),
    open=opened,
    target=lambda options: f"{options['host']}:{options['tcp_port']}",
    addresses=lambda options: options["addresses"] if options["mode"] == "poll" else frozenset(ADDRESSES),
    writable=lambda options: frozenset(WRITABLE) if options["mode"] == "poll" else frozenset(),
)
