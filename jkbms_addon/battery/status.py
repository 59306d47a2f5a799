"""How each bus and each BMS on it is doing: written by the bus's owner, looked at by whoever shows it."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from jkbms_addon.battery.sensors import Sensors
from jkbms_addon.clock import MONOTONIC, Clock

BUCKET = 10.0  # seconds
SET = 2.0  # seconds by which the wall clock must be off to count as set anew
WINDOW = 30  # buckets: five minutes
UNOPENED = "not opened yet"  # problem of a bus in the first moments of the program


class WallClock:
    """Wall clock time of moments of the monotonic clock, in s since 1970.

    It follows when somebody sets the clock, but not its drift: the time of a moment stays the same to the digit.
    """

    def __init__(self, clock: Callable[[], float] = MONOTONIC, wall: Callable[[], float] | None = None) -> None:
        self._clock, self._wall = clock, wall
        self._offset = self._now() - clock()

    def _now(self) -> float:
        return self._wall() if self._wall else time.time()

    def at(self, moment: float) -> float:
        """What a rightly set clock showed at that moment."""
        offset = self._now() - self._clock()
        if abs(offset - self._offset) > SET:
            self._offset = offset
        return self._offset + moment


WALL = WallClock()


@dataclass(slots=True)
class Quality:
    """Share of good frames and of connected time over the last five minutes, as 0 to 100."""

    _buckets: deque[list[float]] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def note(self, now: float, good: int = 0, bad: int = 0) -> None:
        """Frames that arrived well, and frames that were damaged, doubted or missing."""
        number = now // BUCKET
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0, 0.0])
        self._buckets[-1][1] += good
        self._buckets[-1][2] += bad

    def lost(self, now: float, seconds: float) -> None:
        """The link was gone for so long."""
        self.note(now)
        self._buckets[-1][3] += seconds

    def score(self, now: float) -> int | None:
        """Score of the last five minutes; None when nothing happened in them."""
        recent = [bucket for bucket in self._buckets if bucket[0] > now // BUCKET - WINDOW]
        good, bad = sum(b[1] for b in recent), sum(b[2] for b in recent)
        if good + bad == 0:
            return 0 if recent and any(b[3] for b in recent) else None
        down = min(1.0, sum(b[3] for b in recent) / (BUCKET * WINDOW))
        return round(100 * good / (good + bad) * (1 - down))


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that was wrong for a while; ``began`` is wall clock time in s since 1970."""

    reason: str
    began: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Life:
    """The last words of a battery, its running time in s, and since when both have been the same."""

    words: object
    runtime: object
    since: float


@dataclass(slots=True)
class BmsStatus:
    """Counters and trouble of one BMS; times are seconds of the monotonic clock."""

    frames: int = 0
    failures: int = 0
    implausible: int = 0
    damaged: int = 0  # damaged answers since the last good one
    last_frame: float | None = None
    expected: float | None = None  # seconds until the next frame should come
    valid_for: float = 10.0
    latency: float | None = None  # seconds from request to the last byte of the answer
    problem: str = ""  # what is wrong with this address, in words; empty when nothing is
    frozen: bool = False  # whether it says the same for ever
    life: Life | None = None

    def heard(self, now: float, latency: float | None = None) -> None:
        """A good frame arrived."""
        self.frames += 1
        self.damaged = 0
        self.last_frame = now
        if latency is not None:
            self.latency = latency

    def failed(self, *, damaged: bool = False) -> None:
        """No answer, or a damaged one."""
        self.failures += 1
        self.damaged += damaged

    def health(self, now: float, *, present: bool) -> str:
        """``ok``, ``late``, ``silent``, ``corrupt`` or ``frozen``; ``present`` is what the store says."""
        if self.frozen:
            return "frozen"
        if self.damaged >= DAMAGED:
            return "corrupt"
        if self.last_frame is None or not present:
            return "silent"
        late = self.expected is not None and now - self.last_frame > 1.5 * self.expected + 1
        return "late" if late else "ok"


DAMAGED = 3  # damaged answers in a row that make a BMS corrupt


@dataclass(slots=True)
class BusStatus:
    """State and counters of one bus; they live on when its link is opened again."""

    name: str
    strategy: str = ""
    target: str = ""
    connected: bool = False
    clock: Clock = MONOTONIC
    # whether the battery at an address is present, as the store says; nobody is where there is no store
    present: Callable[[int], bool] = lambda _address: False
    since: float = 0.0  # of the last change, on the monotonic clock
    problem: str = UNOPENED
    mode: str = ""  # what a strategy that decides for itself is doing
    last_error: str = ""
    option_error: bool = False
    bytes: int = 0
    frames: int = 0
    checksum_errors: int = 0
    junk: int = 0
    implausible: int = 0
    timeouts: int = 0
    reconnects: int = 0
    batteries: dict[int, BmsStatus] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)
    sensors: Sensors = field(default_factory=Sensors)
    worst: Incident | None = None
    _trouble: tuple[str, float] | None = None  # reason of what is wrong now, and since when: monotonic

    def __post_init__(self) -> None:
        self.since = self.clock()

    def bms(self, address: int) -> BmsStatus:
        """Counters of one address, made when it is first spoken of."""
        return self.batteries.setdefault(address, BmsStatus())

    def up(self) -> None:
        """The link is open."""
        if not self.connected:
            self.connected, self.since = True, self.clock()
            self.says("")

    def down(self, reason: str) -> None:
        """The link is gone."""
        if self.connected:
            self.since = self.clock()
            self.reconnects += 1
        self.connected, self.last_error = False, reason
        self.says(reason)

    def says(self, reason: str) -> bool:
        """What is wrong now, empty when nothing is; whether that is news. The worst incident is kept."""
        if reason == self.problem:
            return False
        now = self.clock()
        if self._trouble:
            what, began = self._trouble
            if self.worst is None or now - began > self.worst.seconds:
                self.worst = Incident(what, WALL.at(began), now - began)
            if not self.connected or not reason:
                self.quality.lost(now, now - began)
        self._trouble = (reason, now) if reason else None
        self.problem = reason
        if reason:
            self.last_error = reason
        return True
