"""JK BMSs on Bluetooth: what a unit answers to commands, and in which pieces. The radio is somebody else's.

They behave as recorded (specification of Bluetooth, chapter 4): device information and settings when they are asked
for, live data by themselves after that, an acknowledgement that names nothing, heartbeats of the radio in between.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from jkbms_addon.errors import LinkError
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.codec import Layout
from jkbms_addon.wire.pb import commands, tables
from jkbms_addon.wire.pb.ble_registers import REGISTERS
from jkbms_addon.wire.pb.frames import HEADER, checksum
from jkbms_addon.wire.pb.registers import WRITABLE

LIVE_FRAME, SETTINGS_FRAME, ABOUT_FRAME = 2, 1, 3
TABLES: Final[dict[str, dict[int, Layout]]] = {
    "32S": {1: tables.SETTINGS, 2: tables.LIVE, 3: tables.ABOUT},
    "24S": {1: tables.SETTINGS_24S, 2: tables.LIVE_24S, 3: tables.ABOUT_24S},
}
MODELS: Final = {"32S": ("JK_PB2A16S20P", "15.41"), "24S": ("JK-B2A24S20P", "10.07")}


@dataclass(slots=True)
class BleUnit:
    """One BMS behind a BLE bridge. ``period``, ``beat`` and ``delay`` are s; without ``beat`` no heartbeats come.

    ``mtu`` bounds a notification, ``burst`` is how many bytes its UART brings at a time (0: whole frames).
    """

    bms: SimulatedBms
    layout: str = "32S"
    mtu: int = 131
    burst: int = 150
    period: float = 0.54
    beat: float = 0.0
    delay: float = 0.02
    second: bool = False  # a second frame of device information follows the settings, as on 14.x
    silent: bool = False  # connected, but not a byte more
    needs: int = 1  # how often device information must be asked for until it is told
    said: dict[int, bytes] = field(default_factory=dict)  # frames told instead of the BMS's own, by type
    asked: list[bytes] = field(default_factory=list)
    streaming: bool = False
    counter: int = 0

    def frame(self, number: int) -> bytes:
        """The 300 bytes of a frame as it is now."""
        if number in self.said:
            return self.said[number]
        bms = self.bms
        values: dict[str, Any]
        if number == LIVE_FRAME:
            values = bms.live()
            if self.layout == "24S":
                values["errors_bitmask"] &= 0xFFFF
        else:
            values = dict(bms.settings) if number == SETTINGS_FRAME else self._about()
        payload = bytearray(HEADER + bytes((number, self.counter & 0xFF)) + bytes(tables.SIZE - 6))
        TABLES[self.layout][number].encode(values, payload)
        payload[-1] = checksum(payload)
        return bytes(payload)

    def _about(self) -> dict[str, Any]:
        model, software = MODELS[self.layout]
        return {**self.bms.about(), "model": model, "software_version": software}

    def answers(self, command: bytes) -> list[bytes]:
        """What it says to 20 bytes; nothing to what is no command."""
        self.asked.append(command)
        register = command[4] if len(command) > 4 else -1
        well = commands.command(register, command[6 : 6 + command[5]]) if len(command) == 20 and register >= 0 else b""
        if well != command:
            return []
        if register == commands.ABOUT:
            self.needs -= 1
            return [self.frame(ABOUT_FRAME), commands.ACKNOWLEDGEMENT] if self.needs <= 0 else []
        if register == commands.SETTINGS:
            self.streaming = True
            more = [self.frame(ABOUT_FRAME)] if self.second else []
            return [self.frame(SETTINGS_FRAME), *more, commands.ACKNOWLEDGEMENT]
        return self._written(register, command[6 : 6 + command[5]])

    def _written(self, register: int, data: bytes) -> list[bytes]:
        """Take a write whose length is that of the register; the acknowledgement comes in any case."""
        reaction = self.bms.reaction
        if reaction in ("take", "mute"):
            self._take(register, data)
        return [] if reaction in ("mute", "dead") else [commands.ACKNOWLEDGEMENT]

    def _take(self, register: int, data: bytes) -> None:
        key = next((key for key, place in REGISTERS.items() if place == (register, len(data))), None)
        if key is None or self.layout != "32S":
            return
        table = TABLES["32S"][WRITABLE[key].page]
        if isinstance(self.bms.settings.get(key), bool):
            self.bms.settings[key] = data != bytes(len(data))
            return
        page, at = bytearray(tables.SIZE), table.by_key[key].offset
        page[at : at + len(data)] = data
        value: Any = table.decode(page)[key]
        if key in self.bms.settings:
            self.bms.settings[key] = value
        else:
            times = list(self.bms.times)
            times[key == "cell_request_float_voltage_time"] = value
            self.bms.times = (times[0], times[1])

    def pieces(self, said: bytes) -> list[bytes]:
        """Notifications that carry what it says."""
        burst, size = self.burst or len(said), self.mtu - 3
        bursts = [said[at : at + burst] for at in range(0, len(said), burst)]
        return [part[at : at + size] for part in bursts for at in range(0, len(part), size)]


class BleWire:
    """A link to a unit without any radio: what a strategy reads and writes."""

    def __init__(self, unit: BleUnit) -> None:
        self.unit, self.lost = unit, False
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self.damage: Callable[[bytes], bytes] = lambda piece: piece

    def hang_up(self) -> None:
        """End the connection; who reads is told at once."""
        self.lost = True
        self._pieces.put_nowait(b"")

    def say(self, said: bytes) -> None:
        """Notify."""
        if not self.unit.silent:
            for piece in self.unit.pieces(said):
                self._pieces.put_nowait(self.damage(piece))

    async def read(self, seconds: float) -> list[bytes]:
        """Pieces that arrived, waiting so long for the first."""
        try:
            async with asyncio.timeout(seconds):
                first = [await self._pieces.get()]
        except TimeoutError:
            first = []
        if self.lost:
            raise LinkError("the BMS hung up")
        return first + [self._pieces.get_nowait() for _ in range(self._pieces.qsize())]

    async def write(self, data: bytes) -> None:
        """Ask."""
        if self.lost:
            raise LinkError("the BMS hung up")
        await asyncio.sleep(self.unit.delay)
        for said in self.unit.answers(data):
            self.say(said)

    async def stream(self) -> None:
        """Live frames and heartbeats, for ever."""
        unit, loop = self.unit, asyncio.get_running_loop()
        beat = loop.time() + unit.beat
        while True:
            await asyncio.sleep(min(unit.period, unit.beat or unit.period))
            if unit.streaming:
                unit.counter += 1
                self.say(unit.frame(LIVE_FRAME))
            if unit.beat and loop.time() >= beat:
                beat = loop.time() + unit.beat
                self._pieces.put_nowait(commands.HEARTBEAT)


@asynccontextmanager
async def wired(unit: BleUnit) -> AsyncIterator[BleWire]:
    """A unit that is connected without any radio."""
    wire = BleWire(unit)
    task = asyncio.create_task(wire.stream())
    try:
        yield wire
    finally:
        task.cancel()
