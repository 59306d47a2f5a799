"""Strategy *ttl*: we ask one first-generation BMS on its UART-TTL port, by serial port or TCP.

Source: specification of the UART-TTL protocol, chapters 2 and 4. One reply holds everything, so there is one
question. A BMS that stays silent is asked twice more, then activated, since it may be asleep.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import voluptuous as vol

from jkbms_addon.acquisition.contract import Options, Plugin
from jkbms_addon.acquisition.gateway import MISSED_POLLING, SILENT_POLLING, Watched
from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.acquisition.ttl_line import REASONS, SILENCE, Line
from jkbms_addon.battery.plausibility import contradiction
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.commands.verify_ttl import change
from jkbms_addon.errors import FrameError
from jkbms_addon.link.stream import BAUDRATE, Link, serial_link, tcp_link
from jkbms_addon.validators import address, baudrate, host, one_link, pause, port, target, tcp_port
from jkbms_addon.wire.ttl.frames import ACTIVATE, READ_ALL, Frame, readings, starting
from jkbms_addon.wire.ttl.tags import CHANGEABLE

_LOGGER = logging.getLogger(__name__)
IDLE = 1.0  # longest sleep of one poll, in s
TIMEOUT = 0.3  # seconds for a whole reply; it takes 28 ms
TRIES, RETRY = 3, 0.15  # questions of one round, seconds between them
WAKING = 0.1  # seconds from the activation to the next question
REST = 0.1  # seconds between two messages, as the vendor asks for
PACE = 0.5  # seconds from a question that was answered to the next, at least
CONFIRMATIONS = 2  # times that a doubtful frame is asked for again
RETURN = 5.0  # longest time in s until a silent BMS is asked again
MISSES, LOST_AFTER = 5, 10.0  # rounds without answer, but at least so many seconds, that make a BMS absent
START_UP = 20.0  # seconds; charge and cycles are 0 in the first 16 after a start
PATIENCE = 2.5  # stretches all time limits behind a gateway
IMPOSSIBLE = "the BMS tells values that contradict each other"


class Ttl:
    """Asks for the table and keeps the pace; one question is outstanding at any time.

    A frame is believed as a whole: settings and identity, two thirds of it, do not change, so damage shows there
    first. Only a frame that was asked for again ``CONFIRMATIONS`` times is taken in parts.
    """

    def __init__(self, link: Link, status: BusStatus, address: int, every: float, patience: float = 1.0) -> None:
        self._status, self.address, self._every, self.patience = status, address, every, patience
        self.intake = Intake(status)
        self.link = link
        self.line = Line(link, self.intake, SILENCE * patience)
        self._clock = status.clock
        self._due = self._began = self._asked = self._clock()
        self._tries = self._confirmations = 0
        self._there = self._woken = False  # whether it was told to be there, whether it was activated
        self.missed: float | None = None  # since when a BMS that was there does not answer
        self._starting: float | None = None  # since when charge and cycles are told as 0

    @property
    def valid_for(self) -> float:
        """Seconds for which a live reading may be shown."""
        return max(MISSES * self._every, LOST_AFTER)

    async def poll(self) -> Sequence[Reading]:
        """Ask when it is time, or wait a little; a table that comes unasked or late is taken, too."""
        wait = self._due - self._clock()
        if wait > 0:
            for frame in await self.line.read(min(wait, IDLE)):
                if frame.kind == "table":
                    return self._told(frame, None)
            return []
        return await self._ask()

    async def _ask(self) -> Sequence[Reading]:
        asked = self._asked = self._clock()
        if not self._tries and not self._confirmations:
            self._began = asked
        self._tries += 1
        self.line.ask(READ_ALL)
        limit = asked + TIMEOUT * self.patience
        while (left := limit - self._clock()) > 0:
            for frame in await self.line.read(left):
                if frame.kind == "table":
                    return self._told(frame, self._clock() - asked)
        self._unanswered(self._clock())
        return []

    async def read_table(self, seconds: float) -> Sequence[Reading]:
        """Ask once for everything; empty when nothing comes, or nothing that makes sense."""
        await self.line.rest(REST)
        self.line.ask(READ_ALL)
        limit = self._clock() + seconds
        while (left := limit - self._clock()) > 0:
            for frame in await self.line.read(left):
                if frame.kind == "table":
                    try:
                        return self._decoded(frame, self._clock())
                    except FrameError as error:
                        _LOGGER.debug("%s: skipped: %s", self._status.name, error)
                        return []
        return []

    async def send(self, message: bytes, pause: float, tag: int | None = None) -> bool:
        """Send, and rest for ``pause`` seconds, or as long as the answer about ``tag`` takes; whether that came."""
        await self.line.rest(REST if tag is None else 0.0)
        self.line.ask(message)
        limit = self._clock() + pause
        while (left := limit - self._clock()) > 0:
            if any(
                tag is not None and (frame.kind, frame.tag) == ("written", tag) for frame in await self.line.read(left)
            ):
                return True
        return False

    async def change(self, deed: Deed) -> Change:
        """Change one setting; what goes wrong is in the result."""
        try:
            return await change(self, deed)
        finally:
            self._due = max(self._due, self._clock() + REST)

    # --- no answer -----------------------------------------------------------------------------------
    def _unanswered(self, now: float) -> None:
        if self._there:
            self.missed = self.missed or now
        if self._woken:
            self._missed(now)
        elif self._tries < TRIES:
            self._due = now + RETRY
        else:
            self._woken = True
            self.line.ask(ACTIVATE)
            self._due = now + WAKING * self.patience

    def _missed(self, now: float) -> None:
        """A whole round without answer; whether the battery is still shown is the store's to say."""
        self._tries = self._confirmations = 0
        self._woken, self._starting = False, None  # it may come back from a start
        self._due = max(now + REST, self._began + min(self._every, RETURN))
        if self._there:
            self.intake.missed(self.address, now)
            if not self._status.present(self.address):
                self._there = False
                self.intake.lost(self.address)
                _LOGGER.warning("%s: BMS %d does not answer any more", self._status.name, self.address)
        if not self._there:
            self.intake.named(str(REASONS[self.line.cause(now)]))

    # --- a table -------------------------------------------------------------------------------------
    def _told(self, frame: Frame, latency: float | None) -> Sequence[Reading]:
        now = self._clock()
        try:
            found = self._decoded(frame, now)
        except FrameError as error:
            _LOGGER.debug("%s: skipped: %s", self._status.name, error)
            self.intake.missed(self.address, now, damaged=True)
            self._unanswered(now)
            return []
        self.intake.frames()
        self._tries, self._woken, self.missed = 0, False, None
        self.line.well()
        taken = self.intake.take(found, now, latency=latency, expected=self._every, valid_for=self.valid_for)
        if not taken.certain and self._confirmations < CONFIRMATIONS:
            self._confirmations += 1
            self._due = max(now + REST, self._asked + PACE)
            return []
        self._confirmations = 0
        self._due = max(now + REST, self._asked + PACE, self._began + self._every)
        if not self._there and any(reading.kind == "live" for reading in taken.readings):
            self._there = True
            _LOGGER.info("%s: BMS %d answers", self._status.name, self.address)
        self.intake.named(self._doubted(found, taken.readings))
        return taken.readings

    def _doubted(self, found: Sequence[Reading], believed: Sequence[Reading]) -> str:
        """What keeps measured values from being shown, asked again and again; empty when they are."""
        if any(reading.kind == "live" for reading in believed):
            return ""
        broken = next((rule for one in found if (rule := contradiction(one.values))), None)
        return f"{IMPOSSIBLE}: {broken}" if broken else ""

    def _decoded(self, frame: Frame, now: float) -> Sequence[Reading]:
        """What a table tells, charge and cycles only when the start-up time is over."""
        found = readings(frame, self.address)
        if not any(starting(reading) for reading in found):
            self._starting = None
            return found
        if self._starting is None:
            self._starting = now
        return found if now - self._starting < START_UP else readings(frame, self.address, settled=True)


def _link(options: Options) -> AbstractAsyncContextManager[Link]:
    if "port" in options:
        return serial_link(options["port"], options.get("baudrate", BAUDRATE))
    return tcp_link(options["host"], options["tcp_port"])


@asynccontextmanager
async def opened(options: Options, status: BusStatus) -> AsyncIterator[Ttl | Watched]:
    """The port or the connection to the gateway, for us alone."""
    async with _link(options) as link:
        if "port" in options:
            yield Ttl(link, status, options["address"], options["interval"])
        else:
            source = Ttl(link, status, options["address"], options["interval"], PATIENCE)
            yield Watched(source, link, SILENT_POLLING + options["interval"], MISSED_POLLING)


PLUGIN = Plugin(
    schema=vol.Schema(
        vol.All(
            {
                vol.Optional("port"): port,
                vol.Optional("baudrate"): baudrate,
                vol.Optional("host"): host,
                vol.Optional("tcp_port"): tcp_port,
                vol.Optional("address", default=1): address,
                vol.Optional("interval", default=2.0): pause,
            },
            one_link,
        )
    ),
    open=opened,
    target=target,
    addresses=lambda options: frozenset((options["address"],)),
    writable=lambda _options: CHANGEABLE,
)
