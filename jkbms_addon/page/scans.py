"""Scans for the page: of a bus in turns of its owner, of a port or gateway that nobody uses, or of the air.

A scan sends on a wire, so it wants the page unlocked, from the first byte to the last; it changes nothing, so the
option ``writes.level`` does not matter. Where a battery of the bus counts for an inverter that is told something, it is
refused and ended: a question too many must not cost the inverter its data. Nothing of Bluetooth is loaded, and D-Bus
not touched, before somebody asks for a scan of the air.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from jkbms_addon.battery.sight import sight
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.errors import CommandError
from jkbms_addon.link.place import real
from jkbms_addon.page.jobs import Job
from jkbms_addon.page.sources import Sources
from jkbms_addon.page.visitor import LOCKED, Visitor
from jkbms_addon.validators import named
from jkbms_addon.worker import OWN, Worker

if TYPE_CHECKING:
    from jkbms_addon.doctor.scan import Result
    from jkbms_addon.doctor.target import Target

ABOUT: Final = 60.0  # s that a scan takes, for who waits
MOST: Final = 240.0  # s after which it is given up
SERIAL: Final = re.compile(r"/dev/(tty[A-Za-z]+\d+|pts/\d+)")  # real names of serial ports, and of nothing else
LONGEST: Final = 200  # characters of a place
AIR: Final = "Bluetooth"  # the place of a scan of the air; no bus can have this name
RADIO: Final = "ble"  # the strategy whose batteries are in the air
TOLD: Final = "its batteries count for an inverter that is being told something: press Stop there first"


@dataclass(slots=True)
class Scans:
    """Of one client; ``used`` gives who uses a link, and blocks."""

    sources: Sources
    visitor: Visitor
    thread: Worker
    used: Callable[[], Mapping[str, str]]

    def permit(self, bus: str = "") -> None:
        """Nothing as long as a scan may send; ``CommandError`` says why it may not."""
        if not self.visitor.unlocked():
            raise CommandError(LOCKED)
        if bus and self.told(bus):
            raise CommandError(f"{bus}: {TOLD}")

    def told(self, bus: str) -> bool:
        """Whether batteries of a bus count for an inverter that is told something."""
        if not any(outlet.emission.emitting for outlet in self.sources.outlets):
            return False
        keys, wires = [view.key for view in self.sources.control.state.counted], self.sources.store.identity.wires
        return any(bus == wire[0] for key in keys for wire in (key, *wires(key)))

    async def bus(self, job: Job, bus: BusStatus) -> None:
        """A bus, in turns of its owner; what was found is told with the job."""
        from jkbms_addon.doctor.found import ranges  # noqa: PLC0415 - what a scan needs costs memory
        from jkbms_addon.doctor.sweep import sweep  # noqa: PLC0415

        now = self.sources.store.clock()
        known = [one for one in self.sources.store.on(bus.name) if one.online(now)]
        slot = self.sources.slots[bus.name]
        result = await sweep(slot, bus, known, lambda: self.permit(bus.name), self._say(job, bus.name))
        addresses = [one.address for one in result.found if one.address is not None]
        _told(job, result, f'addresses: "{ranges(addresses)}"' if addresses else "")

    def permit_air(self) -> None:
        """As ``permit``, for the air: all batteries that are read over it share one radio."""
        self.permit()
        for bus in self._radios():
            self.permit(bus.name)

    def _radios(self) -> list[BusStatus]:
        return [bus for bus in self.sources.buses.values() if bus.strategy == RADIO]

    async def air(self, job: Job) -> None:
        """Batteries in the air; those of the options are left to their bus."""
        from jkbms_addon.doctor.air import NOBODY, buses, entries, scan  # noqa: PLC0415 - what a scan needs costs memory

        def say(phase: str, detail: str = "") -> None:
            self.permit_air()
            job.said["phase"] = f"{phase} {detail}".strip()

        try:
            async with asyncio.timeout(MOST):
                found = await scan("", say, {bus.target: bus.name for bus in self._radios()})
        except TimeoutError as error:
            raise CommandError(f"given up after {MOST:.0f} s") from error
        troubles = [f"{one.address}: {one.trouble}" for one in found if one.trouble]
        job.said.pop("phase", None)
        job.said.update(
            air=[one.row() for one in found],
            entry=entries(found, ""),
            buses=buses(found, ""),
            notes=troubles if found else [NOBODY],
            reason=None,
        )

    async def place(self, job: Job, target: "Target") -> None:
        """A port or a gateway that nobody uses."""
        from jkbms_addon.acquisition.auto import FIRST_LISTEN  # noqa: PLC0415 - what a scan needs costs memory
        from jkbms_addon.doctor.found import entry, yaml  # noqa: PLC0415
        from jkbms_addon.doctor.scan import scan  # noqa: PLC0415

        await self.thread.call(lambda: self._free(target), 10.0, "the list of serial ports takes too long")
        OWN.set(Worker("scan"))  # an adapter that hangs must not keep the page waiting
        try:
            async with asyncio.timeout(MOST):
                result = await scan(target, FIRST_LISTEN, self._say(job))
        except TimeoutError as error:
            raise CommandError(f"given up after {MOST:.0f} s") from error
        result.notes += self._same(str(target), result)
        addresses = [one.address for one in result.found if one.address is not None]
        found = entry(result.strategy, target.options(), addresses) if result.found else None
        _told(job, result, yaml(found) if found else "")
        job.said["bus"] = found  # for the form of options

    def _same(self, place: str, result: "Result") -> list[str]:
        """Which of the units that were found are batteries that are heard already, on another wire."""
        from jkbms_addon.doctor.same import same  # noqa: PLC0415 - what a scan needs costs memory

        store = self.sources.store
        now = store.clock()
        wires = [one for bus in self.sources.buses for one in store.on(bus)]
        known = [seen for one in wires if (seen := sight(one, now))]
        return same([one.sight(place) for one in result.found], known)

    def _say(self, job: Job, bus: str = "") -> Callable[..., None]:
        def say(phase: str, detail: str = "") -> None:
            self.permit(bus)
            job.said["phase"] = f"{phase} {detail}".strip()

        return say

    def _free(self, target: "Target") -> None:
        """Nothing where nobody uses it, and it is a port. It blocks."""
        place = real(str(target))
        owner = next((name for link, name in self.used().items() if real(link).lower() == place.lower()), None)
        if owner:
            raise CommandError(f"{owner} uses it: scan that bus")
        if not target.tcp and not SERIAL.fullmatch(place):
            raise CommandError(f"{target} is no serial port")


def radio() -> bool:
    """Whether the air can be scanned at all; looks for the library and loads nothing."""
    return find_spec("bleak") is not None


def target(message: Mapping[str, Any]) -> "Target":
    """Which port or gateway; ``CommandError`` when it is none."""
    from jkbms_addon.doctor.target import Target  # noqa: PLC0415 - what a scan needs costs memory

    port, host, number = message.get("port"), message.get("host"), message.get("tcp_port")
    if isinstance(port, str) and port.startswith("/dev/") and len(port) <= LONGEST and port.isprintable():
        return Target(port)
    if not isinstance(host, str) or len(host) > LONGEST or not named(host):
        raise CommandError("a scan needs a serial port, or the name or address of a gateway")
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 65535:
        raise CommandError("a gateway needs a TCP port from 1 to 65535")
    return Target(host, number)


def _told(job: Job, result: "Result", entry: str) -> None:
    reason = result.reason
    job.said.pop("phase", None)
    job.said.update(
        rows=[one.row() for one in result.found],
        entry=entry,
        notes=result.notes,
        reason=[reason.symptom, reason.cause, reason.remedy] if reason else None,
    )
