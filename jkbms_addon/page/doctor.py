"""What a client may ask of the doctor: ports, log, what passes on a bus live, and a capture of it to download.

Listening never interrupts: who owns the bus asks on, and only what passes is looked at (``doctor.listening``). PINs and
passwords are blanked before anything of it is told.
"""

from asyncio import TaskGroup
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jkbms_addon.acquisition.slot import Slot
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.link.place import real
from jkbms_addon.page import first_run
from jkbms_addon.page.jobs import Job, Roll
from jkbms_addon.page.scans import ABOUT, AIR, Scans, radio, target
from jkbms_addon.page.sources import Sources
from jkbms_addon.page.visitor import Visitor
from jkbms_addon.worker import Worker

Message = Mapping[str, Any]
Answer = dict[str, Any]
Tell = Callable[[Answer], Awaitable[None]]
PATIENCE: Final = 10.0  # s for a look at the ports
DOCTOR: Final = ("ports", "log", "bytes", "capture", "scan", "bundle", "stop")  # kinds of questions
BYTES: Final = 300.0  # s after which bytes live end by themselves
BUNDLE: Final = 30  # s for which a bundle captures
SHORTEST: Final = 5  # s of a capture
LONGEST: Final = 1800
SLOW: Final = "the list of serial ports takes too long"


@dataclass(slots=True)
class Doctor:
    """Answers one client. ``tasks`` end with it, ``lasting`` ones with the page; ``thread`` is for what blocks."""

    sources: Sources
    visitor: Visitor
    tell: Tell
    tasks: TaskGroup
    lasting: TaskGroup
    thread: Worker
    _told: int | None = None  # number of the last line of the log that was told; None where none are wanted

    def answer(self, message: Message) -> Answer | None:
        """The answer to a question, None where it comes later; ``CommandError`` says why there is none."""
        kind = message.get("t")
        answers: Mapping[object, Callable[[Message], Answer | None]] = {
            "ports": self._ports,
            "log": self._log,
            "bytes": self._bytes,
            "capture": self._capture,
            "scan": self._scan,
            "bundle": self._bundle,
            "stop": self._stop,
        }
        if kind not in answers:
            raise CommandError("there is no such request")
        return answers[kind](message)

    def news(self) -> list[Answer]:
        """What is to be told without being asked again."""
        log = self.sources.log
        if self._told is None or self._told == log.count:
            return []
        lines = [[round(line.at, 1), line.level, line.text] for line in log.after(self._told)]
        self._told = log.count
        return [{"t": "log", "lines": lines}]

    def _log(self, message: Message) -> Answer:
        """The newest lines now and from now on; or no more."""
        self._told = 0 if message.get("on") is True else None
        return {"t": "told"}

    def _ports(self, message: Message) -> None:
        self.tasks.create_task(self._looked(message.get("id")))

    # --- listening ---------------------------------------------------------------------------------------
    def _bus(self, message: Message) -> tuple[BusStatus, Slot]:
        name = message.get("bus")
        bus = self.sources.buses.get(name) if isinstance(name, str) else None
        slot = self.sources.slots.get(bus.name) if bus else None
        if bus is None or slot is None:
            raise CommandError("there is no such bus")
        return bus, slot

    def _bytes(self, message: Message) -> Answer:
        bus, slot = self._bus(message)
        slot.watched()

        async def work(_: Job) -> None:
            # only who looks at bytes needs the memory for it
            from jkbms_addon.page.live import watch  # noqa: PLC0415

            await watch(bus, slot, BYTES, self.tell)

        return _begun(self.sources.jobs.begin(("bytes", bus.name), self.visitor, BYTES, work, self.tasks))

    def _capture(self, message: Message) -> Answer:
        bus, slot = self._bus(message)
        seconds = message.get("seconds")
        if not isinstance(seconds, int) or not SHORTEST <= seconds <= LONGEST:
            raise CommandError(f"a capture takes {SHORTEST} to {LONGEST} s")
        slot.watched()

        async def work(job: Job) -> None:
            from jkbms_addon.page.live import capture, suffix  # noqa: PLC0415

            roll = Roll()
            name = f"{bus.name}-{datetime.now():%Y%m%d-%H%M%S}{suffix(slot)}"  # noqa: DTZ005 - as the clock on the wall
            try:
                await capture(bus, slot, seconds, roll, job.said)
            finally:  # what was stopped early is worth something, too
                self.sources.jobs.give(job, roll.download(name))

        return _begun(self.sources.jobs.begin(("capture", bus.name), self.visitor, seconds, work, self.lasting))

    def _bundle(self, message: Message) -> Answer:
        """What will be in it; and with ``make`` it is made."""
        from jkbms_addon.page import report  # noqa: PLC0415 - who wants no report need not pay for it

        seconds = message.get("seconds")
        if seconds not in (0, BUNDLE) or isinstance(seconds, bool):
            raise CommandError(f"a bundle captures for {BUNDLE} s or not at all")
        buses = report.opened(self.sources) if seconds else []
        if message.get("make") is not True:
            return {"t": "bundle", "parts": report.contents(buses)}

        async def work(job: Job) -> None:
            rolls = await report.captures(self.sources, buses, seconds)
            job.release()  # packing needs none of them
            self.sources.jobs.give(job, await report.make(self.sources, rolls, self.thread))

        return _begun(self.sources.jobs.begin(("bundle", "", *buses), self.visitor, seconds, work, self.lasting))

    # --- asking ------------------------------------------------------------------------------------------
    def _scan(self, message: Message) -> Answer:
        scans, jobs = Scans(self.sources, self.visitor, self.thread, self.used), self.sources.jobs
        if "bus" in message:
            bus, slot = self._bus(message)
            scans.permit(bus.name)
            slot.asked()
            job = jobs.begin(("scan", bus.name), self.visitor, ABOUT, lambda job: scans.bus(job, bus), self.tasks)
        elif message.get("air") is True:
            scans.permit_air()
            job = jobs.begin(("scan", AIR), self.visitor, ABOUT, scans.air, self.tasks)
        else:
            scans.permit()
            place = target(message)
            job = jobs.begin(("scan", str(place)), self.visitor, ABOUT, lambda job: scans.place(job, place), self.tasks)
        return _begun(job)

    def _stop(self, message: Message) -> Answer:
        self.sources.jobs.stop(message.get("job"), self.visitor)
        return {"t": "told"}

    # --- ports -------------------------------------------------------------------------------------------
    async def _looked(self, number: object) -> None:
        try:
            used = self.used()
            found = await self.thread.call(lambda: _with_owners(first_run.look(), used), PATIENCE, SLOW)
        except LinkError as error:
            await self.tell({"t": "no", "id": number, "reason": str(error)})
        else:
            await self.tell({"t": "ports", "id": number, **found, "air": radio()})

    def used(self) -> dict[str, str]:
        """Who uses a link: name by target."""
        links = [*self.sources.buses.values(), *(outlet.link for outlet in self.sources.outlets)]
        return {link.target: link.name for link in links if link.target and not link.option_error}


def _begun(job: Job) -> Answer:
    return {"t": "begun", "job": job.number}


def _with_owners(found: dict[str, Any], used: Mapping[str, str]) -> dict[str, Any]:
    """Ports and interfaces, each with who uses it. It blocks."""
    owners = {real(target): name for target, name in used.items()}
    ports = [{**one, "used": owners.get(real(one["path"]))} for one in found["ports"]]
    can = [{**one, "used": owners.get(one["name"])} for one in found["can"]]
    return {"ports": ports, "can": can}
