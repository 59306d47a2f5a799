"""Strategy *listen*: a BMS with DIP address 0 masters the bus; we follow and never transmit."""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf

import voluptuous as vol

from jkbms_addon.acquisition.contract import Options, Plugin
from jkbms_addon.acquisition.diagnosis import Diagnosis
from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.acquisition.master import HOLD, HOLD_TCP
from jkbms_addon.acquisition.receiver import Receiver
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.link.stream import BAUDRATE, Link, serial_link
from jkbms_addon.validators import baudrate, port
from jkbms_addon.wire.pb.frames import Attributed

_LOGGER = logging.getLogger(__name__)
IDLE = 1.0  # seconds that one poll waits for the first byte
FIRST_CYCLE = 8.0  # seconds; the longest cycle seen, until the bus's own is known
CYCLES = 3  # silent cycles after which a BMS is gone
# s from a question to the end of its answer; the master's next word comes after 0.22 s at the earliest, and its own
# frame without its acknowledgement would be taken for the answer of the one that it asked last
ANSWERED, ANSWERED_TCP = 0.2, 0.5
PROOF = 60.0  # s for which an acknowledgement or a settings frame proves that a BMS exists


class Listener:
    """Follows the questions and answers of another master. ``clock`` gives the seconds of the link's bytes."""

    def __init__(
        self, link: Link, status: BusStatus, *, tcp: bool = False, clock: Callable[[], float] | None = None
    ) -> None:
        self._link, self._status, self._clock = link, status, clock or status.clock
        self._hold = HOLD_TCP if tcp else HOLD
        answered = ANSWERED_TCP if tcp else ANSWERED
        diagnosis = Diagnosis(polling=False, tcp=tcp, started=self._clock())
        self.intake = Intake(status)
        self.receiver = Receiver(self.intake, diagnosis, self._hold, answered)
        self.master_heard: float | None = None  # monotonic time of the last sign of a master, in s
        self._proved: dict[int, float] = {}
        self._cycles: dict[int, deque[float]] = {}
        self._last: dict[int, float] = {}

    @property
    def link(self) -> Link:
        """The wire."""
        return self._link

    @property
    def missed(self) -> float | None:
        """Monotonic time in s of the last sign of a master, who never pauses; None when there was none."""
        return self.master_heard

    async def poll(self) -> Sequence[Reading]:
        """What was heard since the last time."""
        waiting = self.receiver.attribution.holding or self.receiver.framer.waiting
        data = await self._link.read(self._hold if waiting else IDLE)
        now = self._clock()
        readings = []
        for heard in self.receiver.hear(data, now):
            self.master_heard = now
            if isinstance(heard, Attributed):
                readings += self._judged(heard, now)
        self.receiver.diagnose(now)
        return readings

    def asked(self, address: int, register: int, now: float) -> None:
        """We asked ourselves (a recording holds that), so that an answer needs no other proof."""
        self._proved[address] = now
        self.receiver.attribution.requested(address, register, now)

    def _proves(self, heard: Attributed, now: float) -> bool:
        """Whether who sent this is sure; that a question came before is enough only for one that surely exists."""
        if heard.address is None:
            return False
        if heard.by == "request":
            return now - self._proved.get(heard.address, -inf) <= PROOF
        self._proved[heard.address] = now
        return True

    def _judged(self, heard: Attributed, now: float) -> list[Reading]:
        if not self._proves(heard, now):
            heard = replace(heard, address=None)
        if heard.address is not None and heard.frame.type == 2:
            self._cadence(heard.address, now)
        cycle = min(self._cycles.get(heard.address, ()), default=FIRST_CYCLE) if heard.address is not None else None
        ends = None if cycle is None else max(CYCLES * cycle, 10.0)
        return self.receiver.judge(heard, now, None, cycle, ends).readings

    def _cadence(self, address: int, now: float) -> None:
        """Learn how often the master asks this BMS; a lost frame makes one gap longer, never the shortest."""
        last, self._last[address] = self._last.get(address), now
        if last is None:
            _LOGGER.info("%s: BMS %d heard", self._status.name, address)
        elif now - last > 0.5:
            self._cycles.setdefault(address, deque(maxlen=5)).append(now - last)


@asynccontextmanager
async def opened(options: Options, status: BusStatus) -> AsyncIterator[Listener]:
    """The port, opened for us alone."""
    async with serial_link(options["port"], options.get("baudrate", BAUDRATE)) as link:
        yield Listener(link, status)


PLUGIN = Plugin(schema=vol.Schema({vol.Required("port"): port, vol.Optional("baudrate"): baudrate}), open=opened)
