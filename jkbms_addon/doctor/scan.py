"""``scan``: what is on a bus. Listens first and asks only where nobody else does; writes nothing."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from jkbms_addon.acquisition.auto import FIRST_LISTEN
from jkbms_addon.acquisition.diagnosis import ENOUGH, PATIENCE, REASONS, Reason
from jkbms_addon.acquisition.gateway import PATIENCE as SLOW
from jkbms_addon.acquisition.listen import Listener
from jkbms_addon.acquisition.master import Master
from jkbms_addon.acquisition.receiver import Receiver
from jkbms_addon.acquisition.schedule import FIRST_PAUSE
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.doctor.found import Found, Mode, ranges
from jkbms_addon.doctor.target import Target
from jkbms_addon.errors import FrameError
from jkbms_addon.link.stream import Link
from jkbms_addon.validators import ADDRESSES
from jkbms_addon.wire.pb.frames import Framer, Short
from jkbms_addon.wire.pb.modbus import LIVE
from jkbms_addon.wire.ttl import frames as legacy

ROUND = 5.0  # seconds between questions for what is known, so that there is time for what is not
LONGEST = 60.0  # seconds that one part of a scan may take
SIGHTINGS = 3  # times that a question is heard in two cycles of a master
TABLE_TIMEOUT = 1.0  # seconds for a table of the first generation; it takes 28 ms
HOPELESS = 8  # answers that were damaged or not believed, after which no good one is waited for
PAGES = {"live", "settings", "about"}
Say = Callable[..., None]  # takes a phase, and how far it is; what it raises ends the scan
UNANSWERED = Reason(
    "somebody asks on this bus, but no BMS answers",
    "a BMS with DIP address 0, or another program or inverter, asks addresses where nobody is",
    "check the wires to the other BMSs and their addresses; switch the other program off to let this one ask",
)


@dataclass(slots=True)
class Result:
    """What a scan knows at its end; ``strategy`` is that for a serial port, ``notes`` are sentences for the user."""

    found: list[Found] = field(default_factory=list)
    strategy: str = ""
    reason: Reason | None = None
    notes: list[str] = field(default_factory=list)


async def scan(bus: Target, seconds: float, say: Say) -> Result:
    """Open a bus that nobody uses, listen for so many s and ask; ``LinkError`` when that is not possible."""
    say(f"opening {bus}")
    async with bus.open() as link:
        return await Scan(bus, link, say).run(seconds)


class Scan:
    """The parts of a scan, in their order; ``Listener`` and ``Master`` do the work."""

    def __init__(self, bus: Target, link: Link, say: Say) -> None:
        self._bus, self._link, self._say = bus, link, say
        self._status = BusStatus("scan")
        self._found: dict[int, Found] = {}
        self._questions: Counter[tuple[int, int | None]] = Counter()
        self._frames, self._tables = Framer(), legacy.Framer()
        self._table: legacy.Frame | None = None
        link.taps.append(self._tapped)

    async def run(self, seconds: float) -> Result:
        """Listen, then ask if nobody else does. ``LinkError`` when the link is lost."""
        listener = await self._listen(seconds)
        if listener.master_heard is not None:
            return self._followed(listener)
        if self._table:
            return self._first_generation(self._table, None, "heard")  # another program asks for it
        if self._link.received >= ENOUGH:
            return Result(
                reason=self._reason(listener.receiver), notes=["something talks on this bus, so nothing was asked"]
            )
        return await self._ask()

    def _tapped(self, direction: str, data: bytes) -> None:
        """See what the listener does not tell: questions, and tables of the first generation."""
        if direction != "rx":
            return
        for event in self._frames.feed(data):
            if isinstance(event, Short) and event.message.kind in ("request", "read"):
                self._questions[event.message.address, event.message.register] += 1
        for frame in self._tables.feed(data):
            self._table = frame if frame.kind == "table" else self._table

    def _take(self, readings: Iterable[Reading], mode: Mode) -> None:
        for reading in readings:
            if reading.address is not None and not reading.withheld:
                self._found.setdefault(reading.address, Found(reading.address, mode)).tell(reading, time.monotonic())

    # --- listening -----------------------------------------------------------------------------------
    async def _listen(self, seconds: float) -> Listener:
        listener = Listener(self._link, self._status, tcp=self._bus.tcp)
        started = time.monotonic()
        while not self._heard_enough(listener, elapsed := time.monotonic() - started, seconds):
            phase = f"listening to {self._bus}"
            if listener.master_heard is not None:
                phase = (
                    f"another master asks on {self._bus}, so this only listens, for two of its cycles{self._so_far()}"
                )
            self._say(phase, f"({elapsed:.0f} s)")
            self._take(await listener.poll(), "heard")
        return listener

    def _heard_enough(self, listener: Listener, elapsed: float, seconds: float) -> bool:
        """Whether no master is there, or two of its cycles are over, so that every reading was said twice."""
        if listener.master_heard is None or elapsed < seconds:
            return elapsed >= seconds
        if elapsed >= LONGEST:
            return True
        twice = max(self._questions.values(), default=0) >= SIGHTINGS
        told = {address for address, one in self._found.items() if "live" in one.kinds}
        return twice and told >= set(self._status.batteries)

    def _followed(self, listener: Listener) -> Result:
        found = self._sorted()
        if not found:
            return Result(reason=UNANSWERED if self._questions else self._reason(listener.receiver))
        # a master does not ask itself
        own = 0 in self._found and (0, LIVE) not in self._questions
        if own:
            self._found[0].mode = "master"
        who = "the BMS with address 0" if own else "another program or inverter"
        note = (
            f"{who} asks on this bus, so nothing was asked; model, firmware and serial number come only when asked for"
        )
        return Result(found, "listen" if own else "auto", self._duplicates(listener.receiver), [note])

    # --- asking --------------------------------------------------------------------------------------
    async def _ask(self) -> Result:
        master = Master(
            self._link, self._status, frozenset(ADDRESSES), ROUND, SLOW if self._bus.tcp else 1.0, tcp=self._bus.tcp
        )
        end = time.monotonic() + LONGEST
        while time.monotonic() < end and not self._asked_enough(master):
            members = master.schedule.members.values()
            asked = sum(member.answers or member.pause > FIRST_PAUSE for member in members)
            self._say(f"asking addresses 0 to 15{self._so_far()}", f"({asked} of {len(members)})")
            self._take(await master.poll(), "asked")
            if master.yielding(time.monotonic()):
                self._questions.clear()
                return self._followed(await self._listen(FIRST_LISTEN))
        return await self._answered(master)

    def _asked_enough(self, master: Master) -> bool:
        """Whether who answers has told everything, and who does not has had two chances."""
        return all(
            set(self._found[address].kinds) >= PAGES
            if address in self._found
            else self._hopeless(address)
            if member.answers
            else member.pause > 2 * FIRST_PAUSE
            for address, member in master.schedule.members.items()
        )

    def _hopeless(self, address: int) -> bool:
        """Whether a BMS answered often, but never well."""
        bms = self._status.batteries.get(address)
        return bms is not None and bms.failures + bms.implausible >= HOPELESS

    async def _answered(self, master: Master) -> Result:
        found = self._sorted()
        members = master.schedule.members.items()
        unread = [address for address, member in members if member.answers and address not in self._found]
        notes = [f"BMS {address} answers, but damaged, or what cannot be true" for address in unread]
        notes += [f"BMS {address}: {bms.problem}" for address, bms in self._status.batteries.items() if bms.problem]
        if found:
            return Result(found, "master", self._duplicates(master.receiver), notes)
        reason = self._reason(master.receiver)
        silent = not unread and reason.symptom in {REASONS[key].symptom for key in SILENT}
        return (await self._ask_first_generation() if silent else None) or Result(reason=reason, notes=notes)

    async def _ask_first_generation(self) -> Result | None:
        """One question in the other protocol; its BMSs answer to nothing else."""
        self._say("asking for a BMS of the first generation (4E 57)")
        self._tables, self._table = legacy.Framer(), None
        asked = time.monotonic()
        self._link.write(legacy.READ_ALL)
        end = asked + TABLE_TIMEOUT * (SLOW if self._bus.tcp else 1.0)
        while self._table is None and (left := end - time.monotonic()) > 0:
            await self._link.read(left)
        return self._first_generation(self._table, time.monotonic() - asked, "asked") if self._table else None

    def _first_generation(self, frame: legacy.Frame, latency: float | None, mode: Mode) -> Result:
        one = Found(None, mode, latency=latency)
        try:
            for reading in legacy.readings(frame):
                one.tell(reading, time.monotonic())
        except FrameError as error:
            return Result([one], "ttl", notes=[f"a BMS of the first generation answers, but: {error}"])
        return Result([one], "ttl")

    # --- words ---------------------------------------------------------------------------------------
    def _sorted(self) -> list[Found]:
        return [self._found[address] for address in sorted(self._found)]

    def _so_far(self) -> str:
        return f": found {ranges(self._found)}" if self._found else ""

    def _reason(self, receiver: Receiver) -> Reason:
        """What the doctor says, who is asked once all the evidence is in."""
        diagnosis = receiver.diagnosis
        now = max(time.monotonic(), (diagnosis.started or 0.0) + PATIENCE)
        return REASONS[diagnosis.reason(now, bytes(receiver.framer.sample[-64:])) or "nothing_polled"]

    def _duplicates(self, receiver: Receiver) -> Reason | None:
        return REASONS["duplicate"] if receiver.diagnosis.duplicates else None


SILENT = ("nothing_polled", "nothing_gateway", "echo")
