"""The one way in: decoded values of any strategy or plug-in become readings that are believed, stamped and counted.

Theory of operation. A strategy hands over all that one message told (``take``) and is told whether that is certain,
so that it can ask again. On the way a live reading loses what no sensor measured (``Sensors``); then it is *rejected*
(it contradicts itself), *held* (a doubt: first word, jump, other states) until said again, or *accepted*
(``plausibility``). What is accepted goes on with a finite expiry, unless it is *withheld*: the battery is heard but
does not count, because it is *frozen* (the very same words for a minute, its running time standing still) or because
it is *another one* (its settings frame names another address, or serial number and counters are those of a
neighbour). Where the source asks, the settings are heard before a new address is shown, so that a BMS that answers
for everybody makes one battery. Withheld ones are told on every reading and are free again with the first that is
well. Promised: nothing leaves without an end, and every frame is counted once, for the bus and for its address.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from jkbms_addon.battery.plausibility import BELIEFS, FOREIGN, Gate, Verdict
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.snapshot import lasting
from jkbms_addon.battery.status import BmsStatus, BusStatus, Life
from jkbms_addon.wire.framing import StreamFramer

_LOGGER = logging.getLogger(__name__)
_NUMBERS: Final = re.compile(r"\d+")
PROOF: Final = 5.0  # s that a new address of a source that asks may take to tell its settings
SAME: Final = 5.0  # s by which two looks at one running clock may differ
STEP: Final = 256 * 60.0  # s; the first generation up to firmware 10 counts in steps of so many
STILL: Final = 1.05  # of such a step, after which a clock stands
FROZEN: Final = "frozen: it has said the very same for a minute, and its running time stands still; restart the BMS"
ANOTHER: Final = "answers here, but its settings say address {said}: check its DIP switches; it does not count"
TWIN: Final = "the same battery as BMS {other}: equal serial number, running time and counters; it does not count"
COUNTERS: Final = ("charging_cycles", "total_charging_cycle_capacity", "full_charge_capacity")


class Taken(NamedTuple):
    """What of a message is believed, and whether all of it was, so that nobody need ask again."""

    readings: list[Reading]
    certain: bool
    rejected: bool = False


@dataclass(slots=True)
class _Unit:
    """What tells one battery from another.

    ``another`` says why it is not the one that it answers for, ``twin`` is the address at which the same one counts.
    """

    first: float  # when it was heard first
    address: int | None = None  # as its settings say it; ``UNSAID`` where they do not
    serial: str = ""
    started: float | None = None  # the moment at which its running time was 0
    counters: tuple[object, ...] = ()
    another: str = ""
    twin: int | None = None
    held: tuple[Reading, float] | None = None  # the live reading that waits for the settings, and when it came

    @property
    def trouble(self) -> str:
        """Why it does not count."""
        return self.another or ("" if self.twin is None else TWIN.format(other=self.twin))


UNSAID: Final = -1
ADDRESSED: Final = "pb"  # the format whose batteries are told apart by the address that they say


class Intake:
    """All that is taken in on one bus; ``asks`` tells that its source asks for settings, too. Times are monotonic s."""

    def __init__(self, status: BusStatus, *, asks: bool = False) -> None:
        self.status, self._asks = status, asks
        self.clock = status.clock
        self._gates: dict[str, Gate] = {}
        self._sensors = status.sensors  # what was learned of a probe outlives the link
        self._units: dict[int, _Unit] = {}
        self._opened = self.clock()
        self._bus_problem = ""

    # --- values ----------------------------------------------------------------------------------------
    def take(
        self,
        readings: Sequence[Reading],
        now: float,
        *,
        latency: float | None = None,
        expected: float | None = None,
        valid_for: float | None = None,
    ) -> Taken:
        """All that one message told, of one battery.

        ``latency`` is the time from question to answer, ``expected`` until the next message should come, and
        ``valid_for`` how long live data hold, all in s.
        """
        believed: list[Reading] = []
        certain, strange, rejected = True, 0, False
        for one in readings:
            if one.address is None:
                continue
            reading = self._sensors.believed(one, now) if one.kind == "live" else one
            verdict, reason = self._judged(reading, now)
            if one.kind == "settings" and verdict != "rejected":
                self._prove(one, believed=verdict == "accepted")
            if verdict != "accepted":
                certain, rejected = False, rejected or verdict == "rejected"
                strange += self._strange(one, verdict, reason)
                continue
            if reading.kind == "live":
                self._sensors.proved(reading)
            if self._shown(reading, now):
                if reading.kind == "live":
                    self._unit(reading).held = None
                believed.append(self._stamped(reading, now, latency, valid_for))
            else:
                self._unit(reading).held = (self._stamped(reading, now, latency, valid_for), now)
        address = next((one.address for one in readings if one.address is not None), None)
        if address is not None:
            self._count(address, now, strange, latency, expected, valid_for)
            believed += self._released(address, now)
        return Taken(believed, certain, rejected)

    def _judged(self, reading: Reading, now: float) -> tuple[Verdict, str]:
        gate = self._gates.get(reading.format)
        if gate is None:
            gate = self._gates[reading.format] = Gate(BELIEFS.get(reading.format, FOREIGN))
        return gate.admit(reading, now), gate.reason

    def _strange(self, reading: Reading, verdict: Verdict, reason: str) -> bool:
        """Whether a doubt hints at damage, and is no more than what healthy batteries raise all the time."""
        _LOGGER.debug("%s: BMS %s: %s %s: %s", self.status.name, reading.address, reading.kind, verdict, reason)
        ordinary = BELIEFS.get(reading.format, FOREIGN).ordinary
        return verdict == "rejected" or not ordinary.issuperset(reason.split(", "))

    def _count(
        self,
        address: int,
        now: float,
        strange: int,
        latency: float | None,
        expected: float | None,
        valid_for: float | None,
    ) -> None:
        bms = self.status.bms(address)
        if expected is not None:
            bms.expected = expected
        if valid_for is not None:
            bms.valid_for = valid_for
        if strange:
            self.status.implausible += strange
            bms.implausible += strange
            self.status.quality.note(now, bad=1)
            return
        bms.heard(now, latency)
        self.status.quality.note(now, good=1)

    def _stamped(self, reading: Reading, now: float, latency: float | None, valid_for: float | None) -> Reading:
        """With an end, and with the reason why it does not count."""
        ends = valid_for if valid_for is not None and reading.kind == "live" else lasting(reading)
        return replace(reading, latency=latency, valid_for=ends, withheld=self._withheld(reading, now))

    # --- who, and whether it lives ---------------------------------------------------------------------
    def _unit(self, reading: Reading) -> _Unit:
        assert reading.address is not None
        return self._units.setdefault(reading.address, _Unit(self.clock()))

    def _shown(self, reading: Reading, now: float) -> bool:
        """Whether it is known well enough who this is: where we ask, not before the settings have told it."""
        assert reading.address is not None
        unit = self._unit(reading)
        self._remember(unit, reading, now)
        if reading.kind == "about":
            self._compare(reading.address, unit)
        return not (reading.kind == "live" and reading.format == ADDRESSED and self._waits(unit, now))

    def _waits(self, unit: _Unit, now: float) -> bool:
        return self._asks and unit.address is None and now - unit.first < PROOF

    def _released(self, address: int, now: float) -> list[Reading]:
        """The live reading that waited, as soon as its settings have told whose it is."""
        unit = self._units.get(address)
        if unit is None or unit.held is None or self._waits(unit, now):
            return []
        (reading, at), unit.held = unit.held, None
        left = reading.valid_for - (now - at)
        return [replace(reading, valid_for=left, withheld=unit.trouble or reading.withheld)] if left > 0 else []

    @staticmethod
    def _remember(unit: _Unit, reading: Reading, now: float) -> None:
        values = reading.values
        if reading.kind == "live":
            runtime = values.get("total_runtime")
            unit.started = now - runtime if isinstance(runtime, (int, float)) else None
            unit.counters = tuple([values.get(key) for key in COUNTERS])
        elif reading.kind == "about":
            serial = values.get("serial_number")
            unit.serial = serial if isinstance(serial, str) and serial.strip("0 ") else ""

    def _prove(self, reading: Reading, *, believed: bool) -> None:
        """The address inside the settings frame must be the one that it answers for; one word is enough for that."""
        unit, said = self._unit(reading), reading.values.get("device_address")
        if reading.format != ADDRESSED or not isinstance(said, int):
            unit.address = UNSAID
        elif said == reading.address or believed:
            unit.address = said
            unit.another = "" if said == reading.address else ANOTHER.format(said=said)

    def _compare(self, address: int, unit: _Unit) -> None:
        """One serial number with one clock and one count is one battery, wherever it answers; the first one counts."""
        same = [a for a, known in self._units.items() if a != address and not known.trouble and _same(unit, known)]
        unit.twin = same[0] if same else None

    def another(self, address: int) -> bool:
        """Whether who answers for an address is another battery."""
        unit = self._units.get(address)
        return unit is not None and bool(unit.trouble)

    def _withheld(self, reading: Reading, now: float) -> str:
        assert reading.address is not None
        bms, unit = self.status.bms(reading.address), self._unit(reading)
        if reading.kind == "live":
            bms.frozen = _frozen(bms, reading, now)
        return unit.trouble or (FROZEN if bms.frozen else "")

    def lost(self, address: int) -> None:
        """A battery went away: when it is back it proves itself anew."""
        for gate in self._gates.values():
            gate.forget(address)
        self._sensors.forget(address)
        self._units.pop(address, None)
        for unit in self._units.values():
            unit.twin = None if unit.twin == address else unit.twin

    # --- counting and naming ---------------------------------------------------------------------------
    def stream(self, framer: StreamFramer[Any], now: float) -> int:
        """Count what a framer has gone through since the last time; how many checksums were wrong."""
        status, damaged = self.status, framer.checksum_failures
        status.bytes += framer.received
        status.junk += framer.junk
        status.checksum_errors += damaged
        if damaged:
            status.quality.note(now, bad=damaged)
        framer.received = framer.junk = framer.checksum_failures = 0
        return damaged

    def frames(self, count: int = 1, size: int = 0) -> None:
        """Whole frames arrived, of so many bytes where no framer counts them."""
        self.status.frames += count
        self.status.bytes += size

    def impossible(self, address: int, count: int, now: float) -> None:
        """Frames of one address that say what no battery can."""
        self.status.implausible += count
        self.status.bms(address).implausible += count
        self.status.quality.note(now, bad=count)

    def missed(self, address: int, now: float, *, damaged: bool = False) -> None:
        """A battery that was there did not answer, or its answer did not arrive whole."""
        self.status.bms(address).failed(damaged=damaged)
        self.status.timeouts += not damaged
        self.status.quality.note(now, bad=1)

    def named(self, bus: str, addresses: Mapping[int, str] | None = None) -> None:
        """What is wrong with the bus, and with single addresses; in the log once, and once that it is well again."""
        troubles = dict(addresses or {})
        for address, unit in self._units.items():
            if unit.trouble:
                troubles[address] = unit.trouble
            elif self.status.bms(address).frozen:
                troubles[address] = FROZEN
        for address in {**self.status.batteries, **troubles}:
            bms = self.status.bms(address)
            heard = bms.last_frame is not None and bms.last_frame >= self._opened
            if address not in troubles and not heard:
                continue  # what was wrong before the link was opened anew may still be
            self._named(f"{self.status.name}: BMS {address}", bms.problem, troubles.get(address, ""))
            bms.problem = troubles.get(address, "")
        joined = "; ".join(f"BMS {address}: {text}" for address, text in sorted(troubles.items()))
        self.status.says(bus or joined)
        self._named(self.status.name, self._bus_problem, bus)
        self._bus_problem = bus

    @staticmethod
    def _named(who: str, before: str, now: str) -> None:
        if _NUMBERS.sub("", now) == _NUMBERS.sub("", before):
            return  # how many bytes are missing differs each time
        if now:
            _LOGGER.warning("%s: %s", who, now)
        else:
            _LOGGER.info("%s: well again", who)


def _frozen(bms: BmsStatus, reading: Reading, now: float) -> bool:
    """Whether a battery has said the very same for too long; without a running time that cannot be known."""
    words, runtime = reading.raw or reading.values, reading.values.get("total_runtime")
    life = bms.life
    if life is None or life.runtime != runtime or life.words != words or not isinstance(runtime, (int, float)):
        bms.life = Life(words, runtime, now)
        return False
    coarse = reading.format == "ttl" and runtime % STEP == 0
    still_for = STEP * STILL if coarse else BELIEFS.get(reading.format, FOREIGN).still_for
    return now - life.since >= still_for


def _same(one: _Unit, other: _Unit) -> bool:
    """Whether two addresses are one battery."""
    return (
        bool(one.serial)
        and one.serial == other.serial
        and one.counters == other.counters
        and one.started is not None
        and other.started is not None
        and abs(one.started - other.started) <= SAME
    )
