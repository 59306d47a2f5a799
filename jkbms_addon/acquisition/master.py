"""Strategy *master*: we ask the BMSs on an RS485 port, one at a time."""

import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import voluptuous as vol

from jkbms_addon.acquisition.contract import Options, Plugin
from jkbms_addon.acquisition.diagnosis import ENOUGH, Diagnosis
from jkbms_addon.acquisition.intake import Intake, Taken
from jkbms_addon.acquisition.receiver import Heard, Receiver
from jkbms_addon.acquisition.schedule import GAP, Job, Schedule
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.commands.verify import Page, change
from jkbms_addon.errors import CommandError, FrameError
from jkbms_addon.link.stream import BAUDRATE, Link, serial_link
from jkbms_addon.validators import addresses, baudrate, interval, port
from jkbms_addon.wire.pb.frames import REGISTERS, Attributed, Short
from jkbms_addon.wire.pb.modbus import LIVE, Message, page_request, parse
from jkbms_addon.wire.pb.registers import WRITABLE
from jkbms_addon.wire.pb.tables import SIZE

_LOGGER = logging.getLogger(__name__)
HOLD, HOLD_TCP = 0.1, 0.3  # seconds that a frame waits for its acknowledgement
YIELD = 60.0  # seconds of silence of another master after which we ask again
IDLE = 1.0  # longest sleep of one poll
CLEAN = 1.0  # seconds of silence after which no answer to an earlier question can still be under way
BREATH = 0.03  # seconds without a byte that end a message that is just arriving
LATE_ECHO = 10.0  # s for which the echo of a question may come, as its answer, where the adapter or gateway echoes
FLOOD = 0.25  # seconds for which more than the line can carry is listened to on end


class Master:
    """Asks for pages and keeps the pace; one question is outstanding at any time.

    ``patience`` stretches all time limits, ``tcp`` tells that a gateway stands between. When another master
    is heard nothing is sent any more until it has been silent for ``YIELD`` seconds. Whoever acknowledges his frame
    is believed whenever it comes; a frame without acknowledgement only as the answer to the one question that can be
    under way.
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
        self._link, self._status, self._clock = link, status, status.clock
        now = self._clock()
        known = frozenset(address for address, bms in status.batteries.items() if bms.frames)
        self.schedule = Schedule(wanted, every, now, patience, known, status.present)
        hold = HOLD if patience == 1 else HOLD_TCP
        self._hold, self._patience = hold, patience
        self.intake = Intake(status, asks=True)
        self.receiver = Receiver(self.intake, Diagnosis(polling=True, tcp=tcp, started=now), hold, 1.5 * patience)
        self._quiet_from = now  # when the line is ready for the next question
        self._clean = True  # whether no late answer can be under way
        self._bare = False  # whether frames come without acknowledgement
        self._asked: dict[tuple[int, int], float] = {}  # when an address was last asked for a page
        self._last_question = now
        self._late: list[Reading] = []  # answers that came after their time
        self._came_late = 0
        self._expecting_echo: tuple[int, int] | None = None  # address and register of our own question
        self._unechoed: deque[tuple[int, int, float]] = deque(maxlen=16)  # those that are over, and when they were put
        self.missed: float | None = None  # since when those who were there do not answer; None while somebody does
        self._frames: deque[Attributed] = deque(maxlen=4)  # what came since the last question

    @property
    def link(self) -> Link:
        """The wire."""
        return self._link

    def yielding(self, now: float) -> bool:
        """Whether another master is on this bus, so that we must not send."""
        diagnosis = self.receiver.diagnosis
        if diagnosis.foreign is not None and now - diagnosis.foreign >= YIELD:
            diagnosis.foreign = None
        return diagnosis.foreign is not None

    async def poll(self) -> Sequence[Reading]:
        """Ask what is due, or wait a little."""
        now = self._clock()
        yielding = self.yielding(now)
        self.receiver.diagnose(now)
        readings: Sequence[Reading] = []
        if yielding:
            await self._listen(IDLE)
        elif isinstance(job := self.schedule.next(now), Job):
            readings = await self._ask(job)
        else:
            await self._listen(min(job, IDLE))
        late, self._late = self._late, []
        return [*late, *readings]

    async def _listen(self, seconds: float) -> None:
        """Spend idle time hearing what is on the line; not for ever, however much comes."""
        end = self._clock() + seconds
        while (left := end - (now := self._clock())) > 0 or (self._link.pending and now < end + FLOOD):
            self._hear(await self._link.read(max(0.0, left)))

    def _hear(self, data: bytes, job: Job | None = None) -> list[Heard]:
        """What is heard, without the late answers to earlier questions, which are kept."""
        now = self._clock()
        heard: list[Heard] = []
        for one in self.receiver.hear(data, now):
            if isinstance(one, Attributed):
                self._frames.append(one)
            if isinstance(one, Short) and one.message.kind in ("request", "write", "read"):
                self._question(one, now)
            if isinstance(one, Attributed) and self._belated(one, job):
                self._take_late(one, now)
            else:
                heard.append(one)
        return heard

    def _belated(self, heard: Attributed, job: Job | None) -> bool:
        """Whether it is proved to be of one that we ask, and not the answer that is awaited."""
        if heard.by == "request" or heard.address not in self.schedule.members:
            return False
        register = REGISTERS.get(heard.frame.type)
        return register is not None and (job is None or (heard.address, register) != (job.address, job.register))

    def _take_late(self, heard: Attributed, now: float) -> None:
        assert heard.address is not None
        self._came_late += 1
        register = REGISTERS[heard.frame.type]
        asked = self._asked.pop((heard.address, register), None)
        if asked is not None:
            self.schedule.slow(now - asked)
            _LOGGER.debug("%s: BMS %d took %.2f s", self._status.name, heard.address, now - asked)
        job = Job(heard.address, register, 0.0, 0.0)
        self._late += self._taken(job, heard, now, None if asked is None else now - asked).readings

    def _question(self, heard: Short, now: float) -> None:
        """A question on the line is our echo, perhaps a late one, or another master's."""
        question = heard.message.address, heard.message.register
        if self._expecting_echo == question:
            self._expecting_echo = None
            self.receiver.diagnosis.echoes += 1
            return
        late = next((one for one in self._unechoed if one[:2] == question and now - one[2] < LATE_ECHO), None)
        if late:
            self._unechoed.remove(late)
            return
        self.receiver.diagnosis.foreign = now

    def _over(self) -> None:
        """Our question is over; on a line that echoes its echo is still to come if it has not come yet."""
        if self._expecting_echo and self.receiver.diagnosis.echoes:
            self._unechoed.append((*self._expecting_echo, self._last_question))
        self._expecting_echo = None

    async def _ready(self) -> None:
        """Wait until the line is ready for a question, and for what is just arriving on it."""
        await self._listen(self._quiet_from - self._clock())
        receiver, limit = self.receiver, self._clock() + CLEAN / 2
        while receiver.framer.waiting and (now := self._clock()) < limit and now - receiver.last_byte < BREATH:
            self._hear(await self._link.read(BREATH))
        if not self._clean and self._bare:
            await self._listen(self._silent_from() + CLEAN - self._clock())
        if self._clock() - self._silent_from() > 0.99 * CLEAN:
            self._clean = True

    def _silent_from(self) -> float:
        return max(self.receiver.last_byte, self._last_question)

    async def _ask(self, job: Job) -> Sequence[Reading]:
        found = await self._put(job)
        if found is None:
            return []
        answer, asked, now, junk = found
        if answer is None:
            return self._unanswered(job, now, junk + self.receiver.framer.unfinished)
        if isinstance(answer, Attributed) and answer.address is None:
            return self._unproved(job, now, answer)
        self.missed = None
        if isinstance(answer, Short):
            return self._damaged(job, now, answer, junk)
        return self._taken(job, answer, now, now - asked).readings

    async def _put(self, job: Job) -> tuple[Heard | None, float, float, int] | None:
        """Put one question: its answer, when it was asked and answered, bytes of junk; None where nobody may ask."""
        await self._ready()
        asked = self._clock()
        if self.yielding(asked):
            return None
        self.receiver.framer.clear()
        self._frames.clear()
        # without an acknowledgement an answer is only believed when no other can be under way
        if self._clean:
            self.receiver.attribution.requested(job.address, job.register, asked)
        self._expecting_echo = (job.address, job.register)
        self._asked[job.address, job.register] = self._last_question = asked
        junk = self._status.junk
        self._link.write(page_request(job.address, job.register))
        answer = await self._answer(job, asked)
        now = self._clock()
        self._quiet_from = now + GAP
        self._over()
        self._clean = isinstance(answer, Short) or (answer is not None and answer.address is not None)
        if isinstance(answer, Attributed) and answer.address is not None:
            self._bare = answer.by != "ack"
            self._asked.pop((job.address, job.register), None)
        return answer, asked, now, self._status.junk - junk

    def _taken(self, job: Job, heard: Attributed, now: float, latency: float | None) -> Taken:
        """What an answer tells, believed and stamped; who another battery answers for is hardly asked any more."""
        schedule = self.schedule
        every = max(schedule.interval, schedule.round_time)
        taken = self.receiver.judge(heard, now, latency, every, schedule.valid_for)
        new = schedule.answered(job, now, believed=taken.certain)
        if self.intake.another(job.address):
            if job.register != LIVE:
                schedule.denied(job.address, now)
        elif new:
            _LOGGER.info("%s: BMS %d answers", self._status.name, job.address)
        return taken

    async def due(self, *, begin: bool) -> Sequence[Reading] | None:
        """Ask the next whose round has come; None when there is none."""
        now = self._clock()
        job = None if self.yielding(now) else self.schedule.next_live(now, begin=begin)
        return None if job is None else await self._ask(job)

    async def read_page(self, address: int, register: int, seconds: float) -> Sequence[Page]:
        """Ask once for a page; every answer that comes, several when several units have this address."""
        found = await self._put(Job(address, register, seconds, seconds))
        if found is None:
            raise CommandError("another master is on this bus")
        answer = found[0]
        if not isinstance(answer, Attributed) or answer.address is None:
            return []
        # a second unit speaks when the first has ended
        await self._listen(self._quiet_from - self._clock())
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
        await self._listen(self._quiet_from - self._clock())
        if self.yielding(self._clock()):
            raise CommandError("another master is on this bus")
        self.receiver.framer.clear()
        sent = parse(request)
        assert sent.register is not None
        self._expecting_echo = (sent.address, sent.register)
        self._last_question = self._clock()
        self._link.write(request)
        answer, limit = None, self._clock() + seconds
        while answer is None and (left := limit - self._clock()) > 0:
            answer = next(
                (
                    code
                    for one in self._hear(await self._link.read(left))
                    if (code := _answer_to(sent, one)) is not None
                ),
                None,
            )
        self._quiet_from, self._clean = self._clock() + pause, answer is not None
        self._over()
        return answer

    async def change(self, deed: Deed) -> Change:
        """Change one setting; what goes wrong is in the result."""
        return await change(self, deed, self._patience)

    def _damaged(self, job: Job, now: float, answer: Short, junk: int) -> Sequence[Reading]:
        """The BMS refused, or acknowledged a frame that did not arrive whole: it is there, so ask again."""
        diagnosis, message = self.receiver.diagnosis, answer.message
        self.intake.missed(job.address, now, damaged=True)
        if message.kind == "exception":
            diagnosis.bad(job.address, "exception", f"code {message.code}")
            self._given_up(job, now)
            return []
        diagnosis.bad(job.address, "cut", f"{junk} of {SIZE} bytes" if ENOUGH <= junk < SIZE else "")
        _LOGGER.debug("%s: BMS %d: damaged frame", self._status.name, job.address)
        self.schedule.answered(job, now, believed=False)
        return []

    def _unproved(self, job: Job, now: float, answer: Attributed) -> Sequence[Reading]:
        """A whole frame, but it could be the answer to an earlier question: asked once more when the line is clean."""
        self._bare = True
        self.receiver.judge(answer, now)
        self.schedule.again(job)
        return []

    def _unanswered(self, job: Job, now: float, junk: int) -> Sequence[Reading]:
        there = self.schedule.there(job.address)
        if there or not any(map(self.schedule.there, self.schedule.members)):
            self.receiver.diagnosis.unanswered(now)
        if junk >= ENOUGH:
            self.receiver.diagnosis.bad(job.address, "cut", f"{junk} of {SIZE} bytes" if junk < SIZE else "")
        if there:
            self.missed = self.missed or now
            self.intake.missed(job.address, now, damaged=junk >= ENOUGH)
        self._given_up(job, now)
        return []

    def _given_up(self, job: Job, now: float) -> None:
        if self.schedule.failed(job, now):
            _LOGGER.warning("%s: BMS %d does not answer any more", self._status.name, job.address)
            self.intake.lost(job.address)

    async def _answer(self, job: Job, asked: float) -> Heard | None:
        """The frame that was asked for, its acknowledgement alone, or None when neither comes in time."""
        received = self._link.received
        limit = asked + job.first_byte
        while (now := self._clock()) < limit:
            holding = self.receiver.attribution.holding
            data = await self._link.read(min(limit - now, self._hold) if holding else limit - now)
            if self._link.received > received + len(page_request(job.address, job.register)):
                limit = asked + job.timeout  # more than our own echo: an answer is under way
            late = self._came_late
            for heard in self._hear(data, job):
                if self._is_answer(heard, job):
                    return heard
            if self._came_late > late:  # what was under way was another's answer: ours may begin now
                received, limit = self._link.received, min(limit, self._clock() + self.schedule.first_byte)
        for held in self.receiver.attribution.release():
            if self._is_answer(held, job):
                return held
        return None

    def _is_answer(self, heard: Heard, job: Job) -> bool:
        if isinstance(heard, Short):
            message = heard.message
            if message.kind == "exception":
                return message.address == job.address
            return message.kind == "ack" and (message.address, message.register) == (job.address, job.register)
        if heard.address in (job.address, None) and REGISTERS.get(heard.frame.type) == job.register:
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
    async with serial_link(options["port"], options.get("baudrate", BAUDRATE)) as link:
        yield Master(link, status, options["addresses"], options["interval"])


PLUGIN = Plugin(
    schema=vol.Schema(
        {
            vol.Required("port"): port,
            vol.Optional("baudrate"): baudrate,
            vol.Optional("addresses", default="1-15"): addresses,
            vol.Optional("interval", default=2.0): interval,
        }
    ),
    open=opened,
    writable=lambda _options: frozenset(WRITABLE),
)
