"""Whom a master asks next: pure bookkeeping, so that a silent address costs the others nothing.

A round asks every present BMS for its live page. What is not urgent (settings, device information, a
second try, an address that has been silent) is asked in the time left until the next round, or one at a
time between two rounds where no time is left.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from jkbms_addon.wire.pb.modbus import ABOUT, LIVE, SETTINGS

LIVE_TIMEOUT, PAGE_TIMEOUT = 0.5, 1.0  # seconds for the whole answer (specification, chapter 1)
PROBE_TIMEOUT = 0.25  # seconds to the first byte; answers begin after 10 to 50 ms
ANSWER = 0.1  # seconds that a present BMS takes to answer, retries included, generously
GAP = 0.12  # seconds of rest after an answer; less gave stale bytes
SETTINGS_EVERY, ABOUT_EVERY = 60.0, 3600.0
AGAIN = 10.0  # seconds until a page that was not answered is asked for again
FIRST_PAUSE, MAX_PAUSE = 1.0, 30.0  # between two tries of a silent address
KNOWN_PAUSE = 2.5  # the longest for one that was there: what is back must be noticed within five seconds
LOST_AFTER = 10.0  # seconds, but at least three rounds
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
    """What is known of one address."""

    present: bool = False
    known: bool = False  # whether it ever was
    last_answer: float = 0.0
    failing: bool = False
    pause: float = FIRST_PAUSE
    due: dict[int, float] = field(default_factory=dict)
    confirmations: int = 0


class Schedule:
    """Gives the next question. ``patience`` stretches all time limits (gateways are slow).

    ``known`` are those that were heard before the link was opened anew.
    """

    def __init__(
        self,
        addresses: Iterable[int],
        interval: float,
        now: float,
        patience: float = 1.0,
        known: frozenset[int] = frozenset(),
    ) -> None:
        self.interval, self._patience = interval, patience
        self.members = {address: Member(known=address in known) for address in sorted(addresses)}
        self._sweep = list(self.members)
        self._round: list[int] = []
        self._round_start = now
        self._next_round = now
        self._side_done = self._retried = False
        self._confirm: Job | None = None
        self.round_time = interval

    @property
    def valid_for(self) -> float:
        """Seconds for which a live reading may be shown: three rounds, at least ten seconds."""
        return max(3 * max(self.interval, self.round_time), LOST_AFTER)

    def next(self, now: float) -> Job | float:
        """What to ask now, or how many seconds there is nothing to ask."""
        job, self._confirm = self._confirm, None
        if job:
            return job
        if self._sweep:
            return self._job(self._sweep.pop(0), LIVE, probe=True)
        if self._round:
            return self._job(self._round.pop(0), LIVE)
        side = self._side_job(now)
        if side:
            self._side_done = True
            self._retried = side.register == LIVE and self.members[side.address].present
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

    def _begin(self, now: float) -> None:
        self._round = [a for a, member in self.members.items() if member.present and not member.failing]
        self.round_time = now - self._round_start
        self._round_start = now
        on_time = self._next_round + self.interval  # keeps the beat, unless a whole round was lost
        self._next_round = on_time if on_time > now else now + self.interval
        self._side_done = False

    def _pause(self, now: float) -> float:
        """Seconds until something is due."""
        later = [due for member in self.members.values() for due in member.due.values() if due > now]
        if self._anybody():
            later.append(self._next_round)
        return max(0.01, min(later, default=now + 1) - now)

    def _side_job(self, now: float) -> Job | None:
        # a second try and everything else take turns, so that neither starves the other
        waiting = [
            ((register == LIVE and member.present) is self._retried, due, -register, address)
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
        usual = ANSWER if self.members[address].present and not self.members[address].failing else job.first_byte
        return job if free or now + usual + GAP <= self._next_round else None

    def _anybody(self) -> bool:
        return any(member.present and not member.failing for member in self.members.values())

    def _job(self, address: int, register: int, *, probe: bool = False) -> Job:
        timeout = (LIVE_TIMEOUT if register == LIVE else PAGE_TIMEOUT) * self._patience
        return Job(address, register, min(timeout, PROBE_TIMEOUT * self._patience) if probe else timeout, timeout)

    def answered(self, job: Job, now: float, *, believed: bool) -> bool:
        """An answer came; one that is doubted is asked for again at once. Whether this BMS is new."""
        member = self.members[job.address]
        new = not member.present
        member.last_answer, member.failing, member.pause = now, False, FIRST_PAUSE
        if new:
            member.present = member.known = True
            member.due = {SETTINGS: now, ABOUT: now}
        if not believed and member.confirmations < CONFIRMATIONS:
            member.confirmations += 1
            self._confirm = self._job(job.address, job.register)
            return new
        member.confirmations = 0
        if job.register == LIVE:
            member.due.pop(LIVE, None)
        else:
            member.due[job.register] = now + (SETTINGS_EVERY if job.register == SETTINGS else ABOUT_EVERY)
        return new

    def failed(self, job: Job, now: float) -> bool:
        """No answer came; whether this BMS is given up as absent just now."""
        member = self.members[job.address]
        member.confirmations = 0
        if not member.present:
            member.due[LIVE] = now + member.pause
            member.pause = min(KNOWN_PAUSE if member.known else MAX_PAUSE, member.pause * 2)
            return False
        if job.register != LIVE:
            member.due[job.register] = now + AGAIN
            return False
        if now - member.last_answer >= self.valid_for:
            member.present, member.failing, member.due = False, False, {LIVE: now + member.pause}
            return True
        # the first retry comes right away, in spare time; further ones once a round
        member.due[LIVE] = now if not member.failing else now + max(self.interval, 1.0)
        member.failing = True
        return False
