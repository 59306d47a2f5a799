"""Batteries that speak on CAN: the frames of simulated BMSs with their periods, and a serial adapter on a pty.

Any function that takes a frame can carry them: ``Adapter.put`` (slcan), a python-can bus, a SocketCAN channel.
As the frames come from our own tables they prove no offset: captures stay the oracle.
"""

import asyncio
import os
import time
import tty
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from jkbms_addon.simulator.far_end import running
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire import slcan
from jkbms_addon.wire.can import Frame
from jkbms_addon.wire.jkcan.frames import Version, frames
from jkbms_addon.wire.jkcan.kinds import CELL_TEMP, Kind

Send = Callable[[Frame], None]
TICK = 0.01  # s between two looks for frames that are due
ENCODED = 0.1  # s for which encoded frames are sent again
RATES = {"S5": 250000, "S6": 500000}


@dataclass(slots=True)
class CanBms:
    """A simulated battery on CAN; ``alarms`` are names of alarm levels, ``changes`` replaces single values."""

    bms: SimulatedBms
    version: Version = 2
    alarms: tuple[str, ...] = ()
    silent: bool = False
    without: frozenset[str] = frozenset()  # names of kinds of frame that it never sends
    changes: dict[str, Any] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)
    _frames: list[tuple[Kind, Frame]] = field(default_factory=list)
    _encoded: float = float("-inf")

    def values(self) -> dict[str, Any]:
        """All that the frames say, as it is now."""
        live = self.bms.live()
        cells = tuple(live["cell_voltage"][: self.bms.cells])
        warm = [live["temperature_sensor_1"], live["temperature_sensor_2"]]
        return {
            **{key: value for key, value in live.items() if not key.startswith("_")},
            "cell_voltage": cells,
            "max_cell_voltage": max(cells),
            "max_voltage_cell": cells.index(max(cells)) + 1,
            "min_cell_voltage": min(cells),
            "min_voltage_cell": cells.index(min(cells)) + 1,
            "max_cell_temperature": max(warm),
            "min_cell_temperature": min(warm),
            "average_cell_temperature": sum(warm) / len(warm),
            "errors_bitmask": self.bms.errors & 0xFFFFFF,
            "acc_on": False,
            "requested_charge_voltage": 3.45 * self.bms.cells,
            "requested_charge_current": 100.0,
            "charger_requested": True,
            "alarms": self.alarms,
            **self.changes,
        }

    def due(self, now: float) -> list[Frame]:
        """Frames whose time has come."""
        if self.silent:
            return []
        if now - self._encoded >= ENCODED:
            self._frames = frames(self.values(), self.bms.address, self.version)
            self._encoded = now
        found = []
        for kind, frame in self._frames:
            due = self._due.get(kind.name, now)
            if kind.name in self.without or now < due:
                continue
            period = 0.1 if self.version == 1 and kind is CELL_TEMP else kind.period
            self._due[kind.name] = due + period if now - due < period else now + period
            found.append(frame)
        return found


def can_bms(address: int = 0, version: Version = 2, *, alarms: tuple[str, ...] = (), **options: Any) -> CanBms:  # noqa: ANN401
    """A simulated battery; ``options`` are those of ``SimulatedBms``."""
    return CanBms(SimulatedBms(address, **{"errors": 0, **options}), version, alarms)


async def broadcast(batteries: Iterable[CanBms], send: Send) -> None:
    """Send what is due, for ever."""
    batteries = list(batteries)
    while True:
        now = time.monotonic()
        for battery in batteries:
            for frame in battery.due(now):
                send(frame)
        await asyncio.sleep(TICK)


def broadcasting(batteries: Iterable[CanBms], send: Send) -> AbstractAsyncContextManager[None]:
    """Batteries that send as long as the block lasts."""
    return running(broadcast(batteries, send))


@dataclass(slots=True)
class Adapter:
    """A serial CAN adapter (slcan) at the far end of a pty, on a bus of ``bitrate`` bit/s.

    ``port`` is the path to open; ``commands`` is what it was told, ``transmitted`` what it should have sent,
    with the monotonic time. ``deaf`` ignores commands, as adapters do that are still starting.
    """

    port: str
    fd: int
    bitrate: int
    deaf: bool = False
    commands: list[str] = field(default_factory=list)
    transmitted: list[tuple[float, Frame]] = field(default_factory=list)
    overruns: int = 0
    _rate: int | None = None
    _open: bool = False
    _rest: bytes = b""

    def reset(self) -> None:
        """Forget what it was told, as when its power failed for a moment."""
        self._open, self._rate = False, None

    @property
    def listening(self) -> bool:
        """Whether its channel is open at the bit rate of the bus."""
        return self._open and self._rate == self.bitrate

    def put(self, frame: Frame) -> None:
        """A frame comes from the bus."""
        if self.listening:
            self._say(slcan.written(frame))

    def heard(self) -> None:
        """Commands came; the loop calls this."""
        try:
            data = os.read(self.fd, 4096)
        except OSError:  # nobody has the other end open
            return
        *lines, self._rest = (self._rest + data).split(slcan.CR)
        for line in lines:
            self._obey(line.decode("ascii", "replace"))

    def _obey(self, line: str) -> None:
        if self.deaf:
            return
        self.commands.append(line)
        frame = slcan.parsed(line.encode())
        if frame and self._open:
            self.transmitted.append((time.monotonic(), frame))
            self._say(b"z\r")
        elif line in RATES and not self._open:
            self._rate = RATES[line]
            self._say(slcan.CR)
        elif line in ("O", "L", "C"):
            self._open = line != "C"
            self._say(slcan.CR)
        else:
            self._say(slcan.BELL)

    def _say(self, data: bytes) -> None:
        try:
            os.write(self.fd, data)
        except OSError:
            self.overruns += 1


@asynccontextmanager
async def slcan_adapter(bitrate: int = 250000, *, deaf: bool = False) -> AsyncIterator[Adapter]:
    """An adapter behind a fresh pty, plugged in as long as the block lasts."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    adapter = Adapter(os.ttyname(theirs), ours, bitrate, deaf)
    loop = asyncio.get_running_loop()
    loop.add_reader(ours, adapter.heard)
    try:
        yield adapter
    finally:
        loop.remove_reader(ours)
        for fd in (ours, theirs):
            os.close(fd)
