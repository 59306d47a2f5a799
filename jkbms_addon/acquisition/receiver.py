"""Bytes of an RS485 bus of PB models to attributed, believed readings; shared by all who hear such a bus.

Parsing itself is pure (``protocols``); this joins framer, attribution, plausibility and the diagnosis and keeps
the counters.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from jkbms_addon.acquisition.diagnosis import REASONS, Diagnosis
from jkbms_addon.battery.plausibility import Gate, Verdict
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.errors import FrameError
from jkbms_addon.wire.pb.frames import Attributed, Attribution, Event, Frame, Framer, Short, masked

_LOGGER = logging.getLogger(__name__)
TRACE = 5
SILENCE = 0.3  # seconds after which an unfinished message is given up (specification, chapter 5)
Heard = Attributed | Short


class Receiver:
    """What was heard on one bus. Times are seconds of the monotonic clock."""

    def __init__(self, status: BusStatus, diagnosis: Diagnosis, hold: float = 0.1, request_age: float = 0.5) -> None:
        self._status = status
        self.diagnosis = diagnosis
        self.framer = Framer()
        self.attribution = Attribution(hold, request_age)
        self.gate = Gate()
        self._last_byte = 0.0

    def hear(self, data: bytes, now: float) -> list[Heard]:
        """Frames whose origin is decided and short messages, in the order in which they came."""
        self.diagnosis.chunk(data, now)
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
                self.diagnosis.last_short = now
                heard.append(event)
        heard += self.attribution.expire(now)
        self._count(now)
        return heard

    def _trace(self, events: Sequence[Event]) -> None:
        """Show messages, without the passwords that device information holds."""
        for event in events:
            shown = masked(event).payload.hex(" ") if isinstance(event, Frame) else event.message
            _LOGGER.log(TRACE, "%s <- %s", self._status.name, shown)

    def _count(self, now: float) -> None:
        status, framer = self._status, self.framer
        status.bytes += framer.received
        status.junk += framer.junk
        status.checksum_errors += framer.checksum_failures
        if framer.checksum_failures:
            self.diagnosis.damaged += framer.checksum_failures
            status.quality.note(now, bad=framer.checksum_failures)
        framer.received = framer.junk = framer.checksum_failures = 0

    def judge(self, heard: Attributed, now: float, latency: float | None = None) -> tuple[Reading | None, Verdict]:
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
        self._note(reading, verdict, now, latency)
        return (replace(reading, latency=latency) if verdict == "accepted" else None), verdict

    def _note(self, reading: Reading, verdict: Verdict, now: float, latency: float | None) -> None:
        status, reason = self._status, self.gate.reason
        assert reading.address is not None
        clock = reading.values.get("total_runtime") if reading.kind == "live" else None
        self.diagnosis.frame(reading.address, clock if isinstance(clock, int) else None, now)
        self.diagnosis.damaged = 0
        if verdict != "accepted":
            _LOGGER.debug("%s: BMS %s: frame %s: %s", status.name, reading.address, verdict, reason)
        if verdict == "rejected" or (verdict == "held" and reason not in ("first seen", "changed")):
            status.implausible += 1
            status.bms(reading.address).implausible += 1
            status.quality.note(now, bad=1)
            return
        status.bms(reading.address).heard(now, latency)
        status.quality.note(now, good=1)

    def diagnose(self, now: float) -> None:
        """Say what is wrong with the bus, once, and once that it is well again."""
        self.diagnosis.awake(now)
        key = self.diagnosis.reason(now, bytes(self.framer.sample[-64:]))
        before, text = self._status.problem, str(REASONS[key]) if key else ""
        if not self._status.says(text):
            return
        if text:
            _LOGGER.warning("%s: %s", self._status.name, text)
        elif before:
            _LOGGER.info("%s: well again", self._status.name)
