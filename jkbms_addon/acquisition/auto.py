"""Strategy *auto*: listens first; a master heard is followed, a bus without one is polled."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import voluptuous as vol

from jkbms_addon.acquisition.contract import Options, Plugin
from jkbms_addon.acquisition.gateway import PATIENCE, SILENT_LISTENING, SILENT_POLLING, Watched
from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.acquisition.listen import Listener
from jkbms_addon.acquisition.master import YIELD, Master
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.commands.verify import Page
from jkbms_addon.errors import CommandError
from jkbms_addon.link.stream import BAUDRATE, Link, serial_link, tcp_link
from jkbms_addon.validators import ADDRESSES, addresses, baudrate, host, interval, one_link, port, target, tcp_port
from jkbms_addon.wire.pb.registers import WRITABLE

_LOGGER = logging.getLogger(__name__)
FIRST_LISTEN = 8.0  # seconds: at least one cycle of a master
RULED = "another master rules this bus, or it is not yet known whether there is one"


class Auto:
    """Changes between following and asking, and says so once."""

    def __init__(
        self, link: Link, status: BusStatus, wanted: frozenset[int], every: float, *, tcp: bool = False
    ) -> None:
        self._link, self._status, self._wanted, self._every, self._tcp = link, status, wanted, every, tcp
        listener = Listener(link, status, tcp=tcp)
        listener.receiver.diagnosis.undecided = True
        self._listener: Listener | None = listener
        self._master: Master | None = None
        self._clock = status.clock
        self._since = self._clock()
        status.mode = "listening for a master"

    @property
    def link(self) -> Link:
        """The wire."""
        return self._link

    @property
    def intake(self) -> Intake:
        """As the behaviour that is at work."""
        source = self._listener or self._master
        assert source is not None
        return source.intake

    @property
    def missed(self) -> float | None:
        """As the behaviour that is at work."""
        return self._listener.missed if self._listener else self._master.missed if self._master else None

    async def poll(self) -> Sequence[Reading]:
        """Follow or ask, whichever fits this bus now."""
        if self._listener:
            readings = await self._listener.poll()
            self._consider_asking(self._listener, self._clock())
            return readings
        assert self._master is not None
        readings = await self._master.poll()
        if self._master.yielding(self._clock()):
            self._follow()
        return readings

    async def change(self, deed: Deed) -> Change:
        """As a master; ``CommandError`` while another one rules the bus."""
        if self._master is None:
            raise CommandError(RULED)
        return await self._master.change(deed)

    async def due(self, *, begin: bool) -> Sequence[Reading] | None:
        """As a master."""
        return await self._master.due(begin=begin) if self._master else None

    async def read_page(self, address: int, register: int, seconds: float) -> Sequence[Page]:
        """As a master; ``CommandError`` while another one rules the bus."""
        if self._master is None:
            raise CommandError(RULED)
        return await self._master.read_page(address, register, seconds)

    def _consider_asking(self, listener: Listener, now: float) -> None:
        heard = listener.master_heard
        if heard is None:
            if now - self._since >= FIRST_LISTEN:
                self._ask("no master heard")
        elif now - heard >= YIELD:
            self._ask("the master has been silent for a minute")
        elif self._status.mode != "listening":
            listener.receiver.diagnosis.undecided = False
            self._status.mode = "listening"
            _LOGGER.info("%s: a master was heard: listening", self._status.name)

    def _ask(self, why: str) -> None:
        patience = PATIENCE if self._tcp else 1.0
        self._listener = None
        self._master = Master(self._link, self._status, self._wanted, self._every, patience, tcp=self._tcp)
        self._status.mode = "polling"
        _LOGGER.info("%s: %s: polling", self._status.name, why)

    def _follow(self) -> None:
        self._master, self._listener = None, Listener(self._link, self._status, tcp=self._tcp)
        self._listener.master_heard = self._since = self._clock()
        self._status.mode = "listening"
        self._status.says("")
        _LOGGER.warning("%s: another master has appeared: listening", self._status.name)


@asynccontextmanager
async def opened(options: Options, status: BusStatus) -> AsyncIterator[Auto | Watched]:
    """The port or the connection to the gateway."""
    wanted, every = options["addresses"], options["interval"]
    if "port" in options:
        async with serial_link(options["port"], options.get("baudrate", BAUDRATE)) as link:
            yield Auto(link, status, wanted, every)
        return
    async with tcp_link(options["host"], options["tcp_port"]) as link:
        # a new connection begins with listening again, so a master that pauses must not cause it
        silence = max(SILENT_LISTENING, SILENT_POLLING) + every
        yield Watched(Auto(link, status, wanted, every, tcp=True), link, silence, silence)


PLUGIN = Plugin(
    schema=vol.Schema(
        vol.All(
            {
                vol.Optional("port"): port,
                vol.Optional("baudrate"): baudrate,
                vol.Optional("host"): host,
                vol.Optional("tcp_port"): tcp_port,
                vol.Optional("addresses", default="1-15"): addresses,
                vol.Optional("interval", default=2.0): interval,
            },
            one_link,
        )
    ),
    open=opened,
    target=target,
    addresses=lambda _options: frozenset(ADDRESSES),
    writable=lambda _options: frozenset(WRITABLE),
)
