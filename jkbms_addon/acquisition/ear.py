"""Bytes of an RS485 bus of PB models to attributed, believed readings; shared by all who hear such a bus.

Parsing itself is pure (``protocols``); this joins framer, attribution and plausibility and keeps the counters.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from jkbms_addon.errors import FrameError
from jkbms_addon.model import Reading
from jkbms_addon.plausibility import Gate, Verdict
from jkbms_addon.protocols.jk02 import Attributed, Attribution, Event, Frame, Framer, Short, masked
from jkbms_addon.status import BusStatus

_LOGGER = logging.getLogger(__name__)
TRACE = 5
SILENCE = 0.3  # seconds after which an unfinished message is given up (specification, chapter 5)
Heard = Attributed | Short


class Ear:
    """What was heard on one bus. Times are seconds of the monotonic clock."""

    def __init__(self, status: BusStatus, hold: float = 0.1, request_age: float = 0.5) -> None:
        self._status = status
        self.framer = Framer()
        self.attribution = Attribution(hold, request_age)
        self.gate = Gate()
        self._last_byte = 0.0

    def hear(self, data: bytes, now: float) -> list[Heard]:
        """Frames whose origin is decided and short messages, in the order in which they came."""
        if data:
            events = self.framer.feed(data)
            self._last_byte = now
        elif self.framer.waiting and now - self._last_byte >= SILENCE:
            events = self.framer.flush()
        else:
            events = []
        heard: list[Heard] = []
        if events and _LOGGER.isEnabledFor(TRACE):
            self._trace(events)
        for event in events:
            heard += self.attribution.event(event, now)
            if isinstance(event, Short):
                heard.append(event)
        heard += self.attribution.expire(now)
        self._count()
        return heard

    def _trace(self, events: Sequence[Event]) -> None:
        """Show messages, without the passwords that device information holds."""
        for event in events:
            shown = masked(event).payload.hex(" ") if isinstance(event, Frame) else event.message
            _LOGGER.log(TRACE, "%s <- %s", self._status.name, shown)

    def _count(self) -> None:
        status, framer = self._status, self.framer
        status.bytes += framer.received
        status.junk += framer.junk
        status.checksum_errors += framer.checksum_failures
        framer.received = framer.junk = framer.checksum_failures = 0

    def judge(self, heard: Attributed, now: float) -> tuple[Reading | None, Verdict]:
        """The reading of an attributed frame if it can be decoded and is believed, and the verdict."""
        if heard.address is None:
            self._status.junk += len(heard.frame.payload)
            return None, "rejected"
        try:
            reading = heard.reading()
        except FrameError as error:
            _LOGGER.debug("%s: skipped: %s", self._status.name, error)
            return None, "rejected"
        self._status.frames += 1
        verdict = self.gate.admit(reading, now)
        if verdict == "accepted":
            return reading, verdict
        if verdict == "rejected" or self.gate.reason not in ("first seen", "changed"):
            self._status.implausible += 1
            self._status.bms(heard.address).implausible += 1
        _LOGGER.debug("%s: BMS %s: frame %s: %s", self._status.name, heard.address, verdict, self.gate.reason)
        return None, verdict


def stamped(readings: Sequence[Reading], valid_for: float, latency: float | None = None) -> list[Reading]:
    """The same readings with how long they may be shown."""
    return [replace(reading, valid_for=valid_for, latency=latency) for reading in readings]
