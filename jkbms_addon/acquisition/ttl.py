"""Strategy *ttl*: we ask one first-generation BMS on its UART-TTL port, by serial port or TCP.

Source: specification of the UART-TTL protocol, chapters 2 and 4. One reply holds everything, so there is one
question. A BMS that stays silent is asked twice more, then activated, since it may be asleep.
"""

import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from math import inf

import voluptuous as vol

from jkbms_addon.acquisition.contract import Options, Plugin
from jkbms_addon.acquisition.gateway import MISSED_POLLING, SILENT_POLLING, Watched
from jkbms_addon.acquisition.ttl_line import REASONS, SILENCE, Line
from jkbms_addon.battery.plausibility import FIRST_GENERATION, Gate, Verdict, contradiction
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.commands.verify_ttl import change
from jkbms_addon.errors import FrameError
from jkbms_addon.link.stream import Link, serial_link, tcp_link
from jkbms_addon.validators import address, host, one_link, pause, port, target, tcp_port
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
ORDINARY = {"first seen", "changed", "states", "current"}  # doubts that healthy batteries raise all the time


class Ttl:
    """Asks for the table and keeps the pace; one question is outstanding at any time.

    A frame is believed as a whole: settings and identity, two thirds of it, do not change, so damage shows there
    first. Only a frame that was asked for again ``CONFIRMATIONS`` times is taken in parts.
    """

    def __init__(self, link: Link, status: BusStatus, address: int, every: float, patience: float = 1.0) -> None:
        self._status, self.address, self._every, self.patience = status, address, every, patience
        self.line = Line(link, status, SILENCE * patience)
        self.gate = Gate(FIRST_GENERATION)
        self._due = self._began = self._asked = self._last_answer = time.monotonic()
        self._tries = self._confirmations = 0
        self._present = self._woken = False
        self.missed: float | None = None  # since when a BMS that was there does not answer
        self._starting: float | None = None  # since when charge and cycles are told as 0

    @property
    def valid_for(self) -> float:
        """Seconds for which a live reading may be shown."""
        return max(MISSES * self._every, LOST_AFTER)

    async def poll(self) -> Sequence[Reading]:
        """Ask when it is time, or wait a little; a table that comes unasked or late is taken, too."""
        wait = self._due - time.monotonic()
        if wait > 0:
            for frame in await self.line.read(min(wait, IDLE)):
                if frame.kind == "table":
                    return self._told(frame, None)
            return []
        return await self._ask()

    async def _ask(self) -> Sequence[Reading]:
        asked = self._asked = time.monotonic()
        if not self._tries and not self._confirmations:
            self._began = asked
        self._tries += 1
        self.line.ask(READ_ALL)
        limit = asked + TIMEOUT * self.patience
        while (left := limit - time.monotonic()) > 0:
            for frame in await self.line.read(left):
                if frame.kind == "table":
                    return self._told(frame, time.monotonic() - asked)
        self._unanswered(time.monotonic())
        return []

    async def read_table(self, seconds: float) -> Sequence[Reading]:
        """Ask once for everything; empty when nothing comes, or nothing that makes sense."""
        await self.line.rest(REST)
        self.line.ask(READ_ALL)
        limit = time.monotonic() + seconds
        while (left := limit - time.monotonic()) > 0:
            for frame in await self.line.read(left):
                if frame.kind == "table":
                    try:
                        return self._decoded(frame, time.monotonic())
                    except FrameError as error:
                        _LOGGER.debug("%s: skipped: %s", self._status.name, error)
                        return []
        return []

    async def send(self, message: bytes, pause: float, tag: int | None = None) -> bool:
        """Send, and rest for ``pause`` seconds, or as long as the answer about ``tag`` takes; whether that came."""
        await self.line.rest(REST if tag is None else 0.0)
        self.line.ask(message)
        limit = time.monotonic() + pause
        while (left := limit - time.monotonic()) > 0:
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
            self._due = max(self._due, time.monotonic() + REST)

    # --- no answer -----------------------------------------------------------------------------------
    def _unanswered(self, now: float) -> None:
        if self._present:
            self.missed = self.missed or now
        self._status.quality.note(now, bad=int(self._present))
        if self._woken:
            self._missed(now)
        elif self._tries < TRIES:
            self._due = now + RETRY
        else:
            self._woken = True
            self.line.ask(ACTIVATE)
            self._due = now + WAKING * self.patience

    def _missed(self, now: float) -> None:
        """A whole round without answer."""
        self._tries = self._confirmations = 0
        self._woken, self._starting = False, None  # it may come back from a start
        self._due = max(now + REST, self._began + min(self._every, RETURN))
        if self._present:
            self._status.timeouts += 1
            self._status.bms(self.address).failed()
            if now - self._last_answer >= self.valid_for:
                self._present = False
                self.gate.forget(self.address)
                _LOGGER.warning("%s: BMS %d does not answer any more", self._status.name, self.address)
        if not self._present:
            self._says(str(REASONS[self.line.cause(now)]))

    def _says(self, text: str) -> None:
        """Name what is wrong, in the log only when it is news; empty when all is well again."""
        before = self._status.problem
        if not self._status.says(text):
            return
        if text:
            _LOGGER.warning("%s: %s", self._status.name, text)
        elif before:
            _LOGGER.info("%s: well again", self._status.name)

    # --- a table -------------------------------------------------------------------------------------
    def _told(self, frame: Frame, latency: float | None) -> Sequence[Reading]:
        now = time.monotonic()
        try:
            found = self._decoded(frame, now)
        except FrameError as error:
            _LOGGER.debug("%s: skipped: %s", self._status.name, error)
            self._status.bms(self.address).failed(damaged=True)
            self._unanswered(now)
            return []
        self._answered(now, latency)
        believed = [reading for reading in found if self._verdict(reading, now) == "accepted"]
        if len(believed) < len(found) and self._confirmations < CONFIRMATIONS:
            self._confirmations += 1
            self._due = max(now + REST, self._asked + PACE)
            return []
        self._confirmations = 0
        self._due = max(now + REST, self._asked + PACE, self._began + self._every)
        self._says(self._doubted(found, believed))
        return [replace(one, latency=latency, valid_for=self._valid(one.kind)) for one in believed]

    def _valid(self, kind: str) -> float:
        return self.valid_for if kind == "live" else inf

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

    def _answered(self, now: float, latency: float | None) -> None:
        self._tries, self._woken, self._last_answer, self.missed = 0, False, now, None
        self._status.frames += 1
        bms = self._status.bms(self.address)
        bms.expected, bms.valid_for = self._every, self.valid_for
        bms.heard(now, latency)
        self.line.well()
        if not self._present:
            self._present = True
            _LOGGER.info("%s: BMS %d answers", self._status.name, self.address)

    def _verdict(self, reading: Reading, now: float) -> Verdict:
        verdict = self.gate.admit(reading, now)
        if verdict == "accepted":
            self._status.quality.note(now, good=int(reading.kind == "live"))
            return verdict
        reason = self.gate.reason
        _LOGGER.debug("%s: BMS %d: %s %s: %s", self._status.name, self.address, reading.kind, verdict, reason)
        if verdict == "rejected" or not set(reason.split(", ")) <= ORDINARY:
            self._status.implausible += 1
            self._status.bms(self.address).implausible += 1
            self._status.quality.note(now, bad=1)
        return verdict


def _link(options: Options) -> AbstractAsyncContextManager[Link]:
    return serial_link(options["port"]) if "port" in options else tcp_link(options["host"], options["tcp_port"])


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
