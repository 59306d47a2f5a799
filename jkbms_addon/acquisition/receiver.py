"""Bytes of an RS485 bus of PB models to attributed frames; shared by all who hear such a bus.

Parsing itself is pure (``wire``); this joins framer, attribution and the diagnosis. What the frames say goes to the
intake, which believes and counts.
"""

import logging
from collections.abc import Sequence

from jkbms_addon.acquisition.diagnosis import REASONS, Diagnosis
from jkbms_addon.acquisition.intake import Intake, Taken
from jkbms_addon.errors import FrameError
from jkbms_addon.wire.pb.frames import Attributed, Attribution, Event, Frame, Framer, Short, masked

_LOGGER = logging.getLogger(__name__)
TRACE = 5
SILENCE = 0.3  # seconds after which an unfinished message is given up (specification, chapter 5)
NOTHING = Taken([], certain=False, rejected=True)
Heard = Attributed | Short


class Receiver:
    """What was heard on one bus. Times are seconds of the monotonic clock."""

    def __init__(self, intake: Intake, diagnosis: Diagnosis, hold: float = 0.1, request_age: float = 0.5) -> None:
        self.intake = intake
        self.diagnosis = diagnosis
        self.framer = Framer()
        self.attribution = Attribution(hold, request_age)
        self.last_byte = 0.0

    def hear(self, data: bytes, now: float) -> list[Heard]:
        """Frames whose origin is decided and short messages, in the order in which they came."""
        self.diagnosis.chunk(data, now)
        if data:
            events = self.framer.feed(data)
            self.last_byte = now
        elif self.framer.waiting and now - self.last_byte >= SILENCE:
            events = self.framer.flush()
        else:
            events = []
        heard: list[Heard] = []
        if events and _LOGGER.isEnabledFor(TRACE):
            self._trace(events)
        for event in events:
            heard += self.attribution.event(event, now)
            if isinstance(event, Short):
                self.diagnosis.last_short = now
                heard.append(event)
        heard += self.attribution.expire(now)
        self.diagnosis.damaged += self.intake.stream(self.framer, now)
        return heard

    def _trace(self, events: Sequence[Event]) -> None:
        """Show messages, without the passwords that device information holds."""
        for event in events:
            shown = masked(event).payload.hex(" ") if isinstance(event, Frame) else event.message
            _LOGGER.log(TRACE, "%s <- %s", self.intake.status.name, shown)

    def judge(
        self,
        heard: Attributed,
        now: float,
        latency: float | None = None,
        expected: float | None = None,
        valid_for: float | None = None,
    ) -> Taken:
        """What an attributed frame tells, as the intake believes it."""
        if heard.address is None:
            self.intake.status.junk += len(heard.frame.payload)
            self.diagnosis.whole(now)
            return NOTHING
        try:
            reading = heard.reading()
        except FrameError as error:
            _LOGGER.debug("%s: skipped: %s", self.intake.status.name, error)
            return NOTHING
        self.intake.frames()
        clock = reading.values.get("total_runtime") if reading.kind == "live" else None
        self.diagnosis.frame(heard.address, clock if isinstance(clock, int) else None, now)
        return self.intake.take((reading,), now, latency=latency, expected=expected, valid_for=valid_for)

    def diagnose(self, now: float) -> None:
        """Say what is wrong with the bus and with single addresses, once, and once that it is well again."""
        self.diagnosis.awake(now)
        key = self.diagnosis.reason(now, bytes(self.framer.sample[-64:]))
        self.intake.named(str(REASONS[key]) if key else "", self.diagnosis.troubles())
