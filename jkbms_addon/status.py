"""How each bus and each BMS on it is doing: written by the bus's owner, looked at by whoever shows it."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class BmsStatus:
    """Counters of one BMS; times are seconds of the monotonic clock."""

    frames: int = 0
    failures: int = 0
    implausible: int = 0
    last_frame: float | None = None
    latency: float | None = None  # seconds from request to the last byte of the answer

    def heard(self, now: float, latency: float | None = None) -> None:
        """A good frame arrived."""
        self.frames += 1
        self.last_frame = now
        if latency is not None:
            self.latency = latency


@dataclass(slots=True)
class BusStatus:
    """State and counters of one bus; they live on when its link is opened again."""

    name: str
    strategy: str = ""
    target: str = ""
    connected: bool = False
    since: float = field(default_factory=time.time)  # wall clock of the last change
    problem: str = "not opened yet"
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

    def bms(self, address: int) -> BmsStatus:
        """Counters of one address, made when it is first spoken of."""
        return self.batteries.setdefault(address, BmsStatus())

    def up(self) -> None:
        """The link is open."""
        if not self.connected:
            self.connected, self.since, self.problem = True, time.time(), ""

    def down(self, reason: str) -> None:
        """The link is gone."""
        if self.connected:
            self.since = time.time()
            self.reconnects += 1
        self.connected, self.problem, self.last_error = False, reason, reason
