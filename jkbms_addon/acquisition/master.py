"""Strategy *master*: we ask the BMSs on an RS485 port, one at a time."""

import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import voluptuous as vol

from jkbms_addon.acquisition.contract import Options, Plugin
from jkbms_addon.acquisition.diagnosis import Diagnosis
from jkbms_addon.acquisition.receiver import Heard, Receiver
from jkbms_addon.acquisition.schedule import GAP, Job, Schedule
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.commands.verify import Page, change
from jkbms_addon.errors import CommandError, FrameError
from jkbms_addon.link.stream import Link, serial_link
from jkbms_addon.validators import addresses, interval, port
from jkbms_addon.wire.pb.frames import REGISTERS, Attributed, Short
from jkbms_addon.wire.pb.modbus import Message, page_request, parse
from jkbms_addon.wire.pb.registers import WRITABLE

_LOGGER = logging.getLogger(__name__)
HOLD, HOLD_TCP = 0.1, 0.3  # seconds that a frame waits for its acknowledgement
YIELD = 60.0  # seconds of silence of another master after which we ask again
IDLE = 1.0  # longest sleep of one poll


class Master:
    """Asks for pages and keeps the pace; one question is outstanding at any time.

    ``patience`` stretches all time limits, ``tcp`` tells that a gateway stands between. When another master
    is heard nothing is sent any more until it has been silent for ``YIELD`` seconds.
    """

    def __init__(
        self,
        link: Link,
        status: BusStatus,
        wanted: frozenset[int],
        every: float,
        patience: float = 1.0,
        *,
        tcp: bool = False,
    ) -> None:
        self._link, self._status = link, status
        now = time.monotonic()
        known = frozenset(address for address, bms in status.batteries.items() if bms.frames)
        self.schedule = Schedule(wanted, every, now, patience, known)
        hold = HOLD if patience == 1 else HOLD_TCP
        self._hold, self._patience = hold, patience
        self.receiver = Receiver(status, Diagnosis(polling=True, tcp=tcp, started=now), hold, 1.5 * patience)
        self._quiet_from = now  # when the line is ready for the next question
        self._clean = True  # whether the last question was answered, so that no late answer is under way
        self._expecting_echo: tuple[int, int] | None = None  # address and register of our own question
        self.missed: float | None = None  # since when those who were there do not answer; None while somebody does
        self._frames: deque[Attributed] = deque(maxlen=4)  # what came since the last question

    def yielding(self, now: float) -> bool:
        """Whether another master is on this bus, so that we must not send."""
        diagnosis = self.receiver.diagnosis
        if diagnosis.foreign is not None and now - diagnosis.foreign >= YIELD:
            diagnosis.foreign = None
        return diagnosis.foreign is not None

    async def poll(self) -> Sequence[Reading]:
        """Ask what is due, or wait a little."""
        now = time.monotonic()
        yielding = self.yielding(now)
        self.receiver.diagnose(now)
        if yielding:
            await self._listen(IDLE)
            return []
        job = self.schedule.next(now)
        if not isinstance(job, Job):
            await self._listen(min(job, IDLE))
            return []
        return await self._ask(job)

    async def _listen(self, seconds: float) -> None:
        """Spend idle time hearing what is on the line."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 or self._link.pending:
            self._hear(await self._link.read(max(0.0, left)))

    def _hear(self, data: bytes) -> list[Heard]:
        now = time.monotonic()
        heard = self.receiver.hear(data, now)
        self._frames += (one for one in heard if isinstance(one, Attributed))
        for one in heard:
            if isinstance(one, Short) and one.message.kind in ("request", "write", "read"):
                self._question(one, now)
        return heard

    def _question(self, heard: Short, now: float) -> None:
        """A question on the line is our echo, or another master's."""
        message = heard.message
        if self._expecting_echo == (message.address, message.register):
            self._expecting_echo = None
            self.receiver.diagnosis.echoes += 1
            return
        self.receiver.diagnosis.foreign = now

    async def _ask(self, job: Job) -> Sequence[Reading]:
        found = await self._asked(job)
        if found is None:
            return []
        answer, asked, now = found
        if answer is None:
            return self._unanswered(job, now)
        self.missed = None
        if isinstance(answer, Short):
            return self._damaged(job, now)
        reading, verdict = self.receiver.judge(answer, now, now - asked)
        if self.schedule.answered(job, now, believed=verdict == "accepted"):
            _LOGGER.info("%s: BMS %d answers", self._status.name, job.address)
        return [self._stamped(reading)] if reading else []

    async def _asked(self, job: Job) -> tuple[Heard | None, float, float] | None:
        """Put one question: its answer, if any, and when it was asked and answered; None where nobody may ask."""
        await self._listen(self._quiet_from - time.monotonic())
        asked = time.monotonic()
        if self.yielding(asked):
            return None
        self.receiver.framer.clear()
        self._frames.clear()
        # without an acknowledgement an answer is only believed when no other can be under way
        if self._clean:
            self.receiver.attribution.requested(job.address, job.register, asked)
        self._expecting_echo = (job.address, job.register)
        self._link.write(page_request(job.address, job.register))
        answer = await self._answer(job, asked)
        now = time.monotonic()
        self._quiet_from, self._clean, self._expecting_echo = now + GAP, answer is not None, None
        return answer, asked, now

    async def due(self, *, begin: bool) -> Sequence[Reading] | None:
        """Ask the next whose round has come; None when there is none."""
        now = time.monotonic()
        job = None if self.yielding(now) else self.schedule.next_live(now, begin=begin)
        return None if job is None else await self._ask(job)

    async def read_page(self, address: int, register: int, seconds: float) -> Sequence[Page]:
        """Ask once for a page; every answer that comes, several when several units have this address."""
        found = await self._asked(Job(address, register, seconds, seconds))
        if found is None:
            raise CommandError("another master is on this bus")
        answer = found[0]
        if not isinstance(answer, Attributed):
            return []
        # a second unit speaks when the first has ended
        await self._listen(self._quiet_from - time.monotonic())
        others = [one for one in self._frames if one is not answer and one.address == address]
        pages: list[Page] = []
        for one in (answer, *(other for other in others if REGISTERS.get(other.frame.type) == register)):
            try:
                pages.append((one.frame, one.reading()))
            except FrameError as error:
                _LOGGER.debug("%s: skipped: %s", self._status.name, error)
        return pages

    async def send(self, request: bytes, seconds: float, pause: float) -> int | None:
        """Send a write; 0 when it is acknowledged, the code of an exception, None without an answer."""
        await self._listen(self._quiet_from - time.monotonic())
        if self.yielding(time.monotonic()):
            raise CommandError("another master is on this bus")
        self.receiver.framer.clear()
        sent = parse(request)
        assert sent.register is not None
        self._expecting_echo = (sent.address, sent.register)
        self._link.write(request)
        answer, limit = None, time.monotonic() + seconds
        while answer is None and (left := limit - time.monotonic()) > 0:
            answer = next(
                (
                    code
                    for one in self._hear(await self._link.read(left))
                    if (code := _answer_to(sent, one)) is not None
                ),
                None,
            )
        self._quiet_from, self._expecting_echo, self._clean = time.monotonic() + pause, None, answer is not None
        return answer

    async def change(self, deed: Deed) -> Change:
        """Change one setting; what goes wrong is in the result."""
        return await change(self, deed, self._patience)

    def _stamped(self, reading: Reading) -> Reading:
        if reading.kind != "live" or reading.address is None:
            return reading
        bms = self._status.bms(reading.address)
        bms.expected, bms.valid_for = max(self.schedule.interval, self.schedule.round_time), self.schedule.valid_for
        return replace(reading, valid_for=self.schedule.valid_for)

    def _damaged(self, job: Job, now: float) -> Sequence[Reading]:
        """The BMS acknowledged, but its frame did not arrive whole: it is there, so ask again."""
        self._status.bms(job.address).failed(damaged=True)
        _LOGGER.debug("%s: BMS %d: damaged frame", self._status.name, job.address)
        self.schedule.answered(job, now, believed=False)
        return []

    def _unanswered(self, job: Job, now: float) -> Sequence[Reading]:
        present = self.schedule.members[job.address].present
        if self.schedule.failed(job, now):
            _LOGGER.warning("%s: BMS %d does not answer any more", self._status.name, job.address)
            self.receiver.gate.forget(job.address)
        if present:
            self.missed = self.missed or now
            self._status.timeouts += 1
            self._status.bms(job.address).failed()
            self._status.quality.note(now, bad=1)
        return []

    async def _answer(self, job: Job, asked: float) -> Heard | None:
        """The frame that was asked for, its acknowledgement alone, or None when neither comes in time."""
        received = self._link.received
        limit = asked + job.first_byte
        while (now := time.monotonic()) < limit:
            holding = self.receiver.attribution.holding
            data = await self._link.read(min(limit - now, self._hold) if holding else limit - now)
            if self._link.received > received + len(page_request(job.address, job.register)):
                limit = asked + job.timeout  # more than our own echo: an answer is under way
            for heard in self._hear(data):
                if self._is_answer(heard, job):
                    return heard
        for late in self.receiver.attribution.release():
            if self._is_answer(late, job):
                return late
        return None

    def _is_answer(self, heard: Heard, job: Job) -> bool:
        if isinstance(heard, Short):
            message = heard.message
            return message.kind == "ack" and (message.address, message.register) == (job.address, job.register)
        if heard.address == job.address and REGISTERS.get(heard.frame.type) == job.register:
            return True
        _LOGGER.debug("%s: a frame of BMS %s instead of %d", self._status.name, heard.address, job.address)
        return False


def _answer_to(sent: Message, heard: Heard) -> int | None:
    """0 for the acknowledgement of a write, the code of its exception, None for anything else."""
    if not isinstance(heard, Short) or heard.message.address != sent.address:
        return None
    message = heard.message
    if message.kind == "exception":
        return message.code
    return 0 if message.kind == "ack" and message.register == sent.register else None


@asynccontextmanager
async def opened(options: Options, status: BusStatus) -> AsyncIterator[Master]:
    """The port, opened for us alone."""
    async with serial_link(options["port"]) as link:
        yield Master(link, status, options["addresses"], options["interval"])


PLUGIN = Plugin(
    schema=vol.Schema(
        {
            vol.Required("port"): port,
            vol.Optional("addresses", default="1-15"): addresses,
            vol.Optional("interval", default=2.0): interval,
        }
    ),
    open=opened,
    writable=lambda _options: frozenset(WRITABLE),
)
