"""Whom a master asks next: pure bookkeeping, so that a silent address costs the others nothing.

Theory of operation. An address *answers* (its last question was answered), is *missed* (it was not, but the store
still shows the battery) or is *absent*. A round asks everyone who answers for the live page. A missed one is asked
again at once in spare time, then once a second; an absent one after pauses that grow, short ones where it was known.
Whether a battery is still shown is the store's to say: when it no longer is, the missed one becomes absent, which is
told once. Whoever answers after an absence is asked for its settings at once, since nothing of it is shown before.
What is not urgent (settings, device information, a second try, an absent address) is asked in the time left until the
next round, or one at a time between two rounds where no time is left. Promised: every address is asked again some
time, nobody twice in a row for nothing, and one who is slow makes the schedule patient instead of lost: it waits a
quarter longer than the slowest first byte that was ever seen.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from jkbms_addon.wire.pb.modbus import ABOUT, LIVE, SETTINGS

LIVE_TIMEOUT, PAGE_TIMEOUT = 0.5, 1.0  # seconds for the whole answer (specification, chapter 1)
PROBE_TIMEOUT = 0.25  # seconds to the first byte; answers begin after 10 to 50 ms
SLOWEST = 1.5  # seconds to the first byte that are waited for at most
SLACK = 1.25  # so many times what the slowest needed is waited for
LENGTH = 0.1  # seconds from the first byte to the last, generously
ANSWER = 0.1  # seconds that a present BMS takes to answer, retries included, generously
GAP = 0.12  # seconds of rest after an answer; less gave stale bytes
SETTINGS_EVERY, ABOUT_EVERY = 60.0, 3600.0
AGAIN, SOON = 10.0, 1.0  # seconds until a page that was not answered is asked for again, when known and when not
FIRST_PAUSE, MAX_PAUSE = 1.0, 30.0  # between two tries of a silent address
BACK_PAUSE = 0.5  # the first for one that was there a moment ago
KNOWN_PAUSE = 2.5  # the longest for one that was there: what is back must be noticed within five seconds
LOST_AFTER = 10.0  # seconds, but at least three rounds
OVERDUE = 3.0  # seconds by which a round may be late because not everybody was asked once yet
CONFIRMATIONS = 2  # times that a doubtful frame is asked for again at once


@dataclass(frozen=True, slots=True)
class Job:
    """One question. ``first_byte`` is how long to wait for the beginning of an answer, in s."""

    address: int
    register: int
    first_byte: float
    timeout: float


@dataclass(slots=True)
class Member:
    """What is known of one address; ``there`` that it was told to be."""

    answers: bool = False
    there: bool = False
    known: bool = False  # whether it ever was
    settled: bool = False  # whether it told its settings since it is there
    pause: float = FIRST_PAUSE
    due: dict[int, float] = field(default_factory=dict)
    confirmations: int = 0


class Schedule:
    """Gives the next question. ``patience`` stretches all time limits (gateways are slow).

    ``known`` are those that were heard before the link was opened anew; ``present`` is what the store says of an
    address.
    """

    def __init__(
        self,
        addresses: Iterable[int],
        interval: float,
        now: float,
        patience: float = 1.0,
        known: frozenset[int] = frozenset(),
        present: Callable[[int], bool] = lambda _address: False,
    ) -> None:
        self.interval, self._patience, self._present = interval, patience, present
        self.members = {address: Member(known=address in known) for address in sorted(addresses)}
        self._sweep = list(self.members)
        self._round: list[int] = []
        self._round_start = now
        self._next_round = now
        self._side_done = self._retried = self._swept = False
        self._confirm: Job | None = None
        self._arrived: list[int] = []  # who must tell their settings now
        self._rounds = [interval, interval]  # what the last two took, in s
        self.first_byte = PROBE_TIMEOUT * patience

    @property
    def round_time(self) -> float:
        """Seconds that a round takes; one in which the program stood still does not count."""
        return min(self._rounds)

    @property
    def valid_for(self) -> float:
        """Seconds for which a live reading may be shown: three rounds, at least ten seconds."""
        return max(3 * max(self.interval, self.round_time), LOST_AFTER)

    def there(self, address: int) -> bool:
        """Whether it answers, or is shown although it did not just now."""
        return self.members[address].answers or self._present(address)

    def next(self, now: float) -> Job | float:
        """What to ask now, or how many seconds there is nothing to ask."""
        job = self._urgent(now)
        if job:
            return job
        side = self._side_job(now)
        if side:
            self._side_done = True
            self._retried = side.register == LIVE and self.there(side.address)
            return side
        if self._anybody() and now >= self._next_round:
            self._begin(now)
            return self.next(now)
        return self._pause(now)

    def next_live(self, now: float, *, begin: bool) -> Job | None:
        """The next question of a round, for when something else takes its time in between; None without one.

        ``begin`` allows the next round to begin, when it is due.
        """
        confirm = self._confirm
        if confirm and confirm.register == LIVE:
            self._confirm = None
            return confirm
        if begin and not self._sweep and not self._round and self._anybody() and now >= self._next_round:
            self._begin(now)
        return self._job(self._round.pop(0), LIVE) if self._round else None

    def _urgent(self, now: float) -> Job | None:
        """What does not wait for spare time."""
        job, self._confirm = self._confirm, None
        if job:
            return job
        self._arrived = [address for address in self._arrived if self.members[address].answers]
        if self._arrived:
            return self._job(self._arrived.pop(0), SETTINGS)
        if self._round:
            return self._job(self._round.pop(0), LIVE)
        # who was found already is not kept waiting for long by those who were not asked yet
        if not self._sweep or (self._swept and self._anybody() and now >= self._next_round + OVERDUE):
            return None
        self._swept = True
        return self._job(self._sweep.pop(0), LIVE, probe=True)

    def _begin(self, now: float) -> None:
        self._round = [a for a, member in self.members.items() if member.answers]
        self._rounds = [self._rounds[1], now - self._round_start]
        self._round_start = now
        on_time = self._next_round + self.interval  # keeps the beat, unless a whole round was lost
        self._next_round = on_time if on_time > now else now + self.interval
        self._side_done = self._swept = False

    def _pause(self, now: float) -> float:
        """Seconds until something is due."""
        later = [due for member in self.members.values() for due in member.due.values() if due > now]
        if self._anybody():
            later.append(self._next_round)
        return max(0.01, min(later, default=now + 1) - now)

    def _side_job(self, now: float) -> Job | None:
        # a second try and everything else take turns, so that neither starves the other
        waiting = [
            ((register == LIVE and self.there(address)) is self._retried, due, -register, address)
            for address, member in self.members.items()
            for register, due in member.due.items()
            if due <= now
        ]
        if not waiting:
            return None
        # what has waited longest, settings before device information
        _, _, register, address = min(waiting)
        job = self._job(address, -register, probe=register == -LIVE)
        free = not self._side_done or not self._anybody()
        usual = ANSWER if self.members[address].answers else job.first_byte
        return job if free or now + usual + GAP <= self._next_round else None

    def _anybody(self) -> bool:
        return any(member.answers for member in self.members.values())

    def _job(self, address: int, register: int, *, probe: bool = False) -> Job:
        usual = (LIVE_TIMEOUT if register == LIVE else PAGE_TIMEOUT) * self._patience
        timeout = max(usual, self.first_byte + LENGTH)
        # what is long to send does not begin later
        begins = self.first_byte if probe else max(self.first_byte, LIVE_TIMEOUT * self._patience)
        return Job(address, register, min(timeout, begins), timeout)

    def slow(self, seconds: float) -> None:
        """An answer began only so long after its question: who needs that much is waited for."""
        self.first_byte = max(self.first_byte, min(SLOWEST, SLACK * seconds))

    def answered(self, job: Job, now: float, *, believed: bool) -> bool:
        """An answer came; one that is doubted is asked for again at once. Whether this BMS is there now and was not."""
        member = self.members[job.address]
        if not member.answers and not (member.there and self._present(job.address)):
            member.due, member.settled = {SETTINGS: now + SETTINGS_EVERY, ABOUT: now}, False
            self._arrived.append(job.address)
        member.answers, member.known, member.pause = True, True, FIRST_PAUSE
        if not believed and member.confirmations < CONFIRMATIONS:
            member.confirmations += 1
            self._confirm = self._job(job.address, job.register)
            return False
        member.confirmations = 0
        if job.register == LIVE:
            member.due.pop(LIVE, None)
        else:
            member.settled |= job.register == SETTINGS
            member.due[job.register] = now + (SETTINGS_EVERY if job.register == SETTINGS else ABOUT_EVERY)
        new, member.there = believed and not member.there, member.there or believed
        return new

    def again(self, job: Job) -> None:
        """The answer came, but nothing proved it: ask once more."""
        self._confirm = self._job(job.address, job.register)

    def denied(self, address: int, now: float) -> None:
        """Who answers here is another battery: it is asked seldom, and then for its settings, too."""
        member = self.members[address]
        member.answers = member.there = False
        member.due, member.pause = {LIVE: now + MAX_PAUSE}, MAX_PAUSE
        self._round = [one for one in self._round if one != address]
        if self._confirm and self._confirm.address == address:
            self._confirm = None

    def failed(self, job: Job, now: float) -> bool:
        """No answer came; whether this BMS is given up as absent just now."""
        member = self.members[job.address]
        member.confirmations = 0
        if job.register != LIVE and self.there(job.address):
            member.due[job.register] = now + (AGAIN if member.settled or job.register != SETTINGS else SOON)
            return False
        answered, member.answers = member.answers, False
        if self._present(job.address):
            # the first retry comes right away, in spare time; further ones once a second
            member.due[LIVE] = now if answered else now + FIRST_PAUSE
            return False
        given_up, member.there = member.there, False
        if given_up:
            member.pause = BACK_PAUSE
        member.due = {LIVE: now + member.pause}
        longest, growth = (KNOWN_PAUSE, 1.2) if member.known else (MAX_PAUSE, 2.0)
        member.pause = min(longest, member.pause * growth)
        return given_up
