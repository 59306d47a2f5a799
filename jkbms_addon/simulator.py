"""Batteries that speak: simulated BMSs behind a pty, encoded through our own tables.

They serve the demo and the tests. As they share the tables with the decoder they cannot find a wrong
offset: captures of real units stay the oracle.
"""

import asyncio
import math
import os
import time
import tty
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from jkbms_addon.protocols import jk02, modbus
from jkbms_addon.protocols.jk02 import Framer, Short

BYTE_TIME = 10 / 115200  # seconds on the wire, 8N1


@dataclass(slots=True)
class SimulatedBms:
    """One PB-series BMS: slow physics, real frames."""

    address: int
    cells: int = 16
    capacity: float = 280.0  # Ah
    soc: float = 60.0  # %
    serial_number: str = "0000000000"
    model: str = "JK_PB2A16S20P"
    phase: float = 0.0
    latency: float = 0.015  # s
    silent: bool = False
    current: float | None = None  # A; None = a sine of some tens of amperes
    errors: int = 0x80000
    temperature: float = 21.0
    reaction: str = "take"  # to a write: take, refuse, ignore (acknowledged, not taken), mute (taken), late, dead
    limits: dict[str, float] = field(default_factory=dict)  # above these exception 3
    times: tuple[float, float] = (1.0, 5.0)  # h, of the charge and the float request
    writes: list[bytes] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    _charge: float = field(default=0.0)
    _at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._charge = self.capacity * self.soc / 100
        self.settings = {**default_settings(self), **self.settings}

    def page(self, register: int) -> bytes:
        """The 300 bytes of one page as they are now."""
        if register == modbus.LIVE:
            return jk02.built(2, self.live())
        return jk02.built(1, self.settings) if register == modbus.SETTINGS else jk02.built(3, self.about())

    def live(self) -> dict[str, Any]:
        """Raw live values, redundant fields included."""
        now = time.monotonic()
        current = self.current
        if current is None:
            current = round(40 * math.sin(now / 60 + self.phase), 1)
        self._charge = min(self.capacity, max(0.0, self._charge + current * (now - self._at) / 3600))
        self._at = now
        share = self._charge / self.capacity
        cells = self.cell_voltages(share, current)
        voltage = round(sum(cells), 3)
        warm = round(self.temperature + abs(current) / 20, 1)
        runtime = int(now - self.started) + 1_000_000
        return {
            "cell_voltage": cells + [0.0] * (jk02.CELLS - self.cells),
            "_mask": (1 << self.cells) - 1,
            "_average": sum(cells) / self.cells,
            "_delta": max(cells) - min(cells),
            "_highest": cells.index(max(cells)),
            "_lowest": cells.index(min(cells)),
            "cell_resistance": [0.06 + 0.001 * (n % 5) for n in range(self.cells)] + [0.0] * (32 - self.cells),
            "mosfet_temperature": warm,
            "_mosfet": warm,
            "total_voltage": voltage,
            "_voltage": int(voltage * 100) / 100,
            "_power": abs(round(voltage * current, 3)),
            "current": current,
            "temperature_sensor_1": self.temperature,
            "temperature_sensor_2": self.temperature + 0.4,
            "temperature_sensor_4": self.temperature - 0.3,
            "temperature_sensor_5": None,
            "errors_bitmask": self.errors,
            "balancing_current": 0.0,
            "balancing": False,
            "state_of_charge": round(share * 100),
            "capacity_remaining": round(self._charge, 3),
            "full_charge_capacity": self.capacity,
            "charging_cycles": 62,
            "total_charging_cycle_capacity": round(62 * self.capacity, 3),
            "state_of_health": 98,
            "precharging": False,
            "total_runtime": runtime,
            "charging": bool(self.settings["charging_switch"]),
            "discharging": bool(self.settings["discharging_switch"]),
            "_sensors": 0xFF,
            "heating": False,
            "emergency_time_countdown": 0,
            "heating_current": 0.0,
            "charger_plugged": current > 0,
            "detail_log_entry_count": 120,
            "smart_sleep_countdown": 86400,
            "battery_type": "LFP",
            "charge_status_time_elapsed": 0,
            "charge_status": "bulk",
        }

    def cell_voltages(self, share: float, current: float) -> list[float]:
        """Voltages of an LFP pack at that state of charge, in V."""
        rest = 3.0 + 0.32 * min(1.0, share * 6) + 0.06 * share + 0.25 * max(0.0, share - 0.96)
        return [round(rest + current * 0.0002 + 0.001 * ((n * 7) % 5), 3) for n in range(self.cells)]

    def about(self) -> dict[str, Any]:
        """Identity, with request times."""
        return {
            "model": self.model,
            "hardware_version": "15A",
            "software_version": "15.41",
            "power_on_count": 22,
            "device_name": self.model.replace("_", "-"),
            "manufacturing_date": "240914",
            "serial_number": self.serial_number,
            "uart1_protocol": 1,
            "can_protocol": 0,
            "uart2_protocol": 1 if self.address else 15,
            "cell_request_charge_voltage_time": self.times[0],
            "cell_request_float_voltage_time": self.times[1],
            "protocol_version": 0,
        }

    def take(self, message: modbus.Message) -> int:
        """Carry a write out; 0 or the code of the exception. The bytes go where the specification says."""
        self.writes.append(message.data)
        register = message.register or 0
        about = register >= 0x1400
        offset = register - (0x1400 if about else 0x1000) + 6
        if not 6 <= offset < 290:
            return 2
        page = bytearray(self.page(modbus.ABOUT if about else modbus.SETTINGS))
        # frames are little-endian; the pairs of bytes in one register are not swapped
        pair = register in (0x1116, 0x1118, 0x1504)
        page[offset : offset + len(message.data)] = message.data if pair else message.data[::-1]
        layout = jk02.ABOUT if about else jk02.SETTINGS
        told = layout.decode(bytes(page))
        if any(isinstance(v, (int, float)) and v > self.limits.get(k, float("inf")) for k, v in told.items()):
            return 3
        if about:
            self.times = (told["cell_request_charge_voltage_time"], told["cell_request_float_voltage_time"])  # type: ignore[assignment]
        else:
            self.settings.update({key: told[key] for key in self.settings})
        return 0


def default_settings(bms: SimulatedBms) -> dict[str, Any]:
    """What an LFP pack leaves the factory with."""
    return {
        "smart_sleep_voltage": 3.5,
        "cell_voltage_undervoltage_protection": 2.7,
        "cell_voltage_undervoltage_recovery": 2.9,
        "cell_voltage_overvoltage_protection": 3.65,
        "cell_voltage_overvoltage_recovery": 3.444,
        "balance_trigger_voltage": 0.005,
        "cell_soc100_voltage": 3.445,
        "cell_soc0_voltage": 2.9,
        "cell_request_charge_voltage": 3.45,
        "cell_request_float_voltage": 3.35,
        "power_off_voltage": 2.5,
        "max_charge_current": 100.0,
        "charge_overcurrent_protection_delay": 3,
        "charge_overcurrent_protection_recovery_time": 60,
        "max_discharge_current": 150.0,
        "discharge_overcurrent_protection_delay": 300,
        "discharge_overcurrent_protection_recovery_time": 60,
        "short_circuit_protection_recovery_time": 5,
        "max_balance_current": 2.0,
        "charge_overtemperature_protection": 55.0,
        "charge_overtemperature_recovery": 50.0,
        "discharge_overtemperature_protection": 60.0,
        "discharge_overtemperature_recovery": 55.0,
        "charge_undertemperature_protection": -5.0,
        "charge_undertemperature_recovery": 2.0,
        "mosfet_overtemperature_protection": 80.0,
        "mosfet_overtemperature_recovery": 70.0,
        "cell_count": bms.cells,
        "charging_switch": True,
        "discharging_switch": True,
        "balancing_switch": True,
        "total_battery_capacity": bms.capacity,
        "short_circuit_protection_delay": 1500,
        "balancing_start_voltage": 3.44,
        "device_address": bms.address,
        "discharge_precharge_time": 0,
        "heating_switch": False,
        "gps_heartbeat_switch": False,
        "display_always_on_switch": False,
        "smart_sleep_switch": True,
        "timed_stored_data_switch": True,
        "charging_float_mode_switch": True,
        "heating_start_temperature": 0,
        "heating_stop_temperature": 10,
        "smart_sleep_delay": 24,
    }


Wrap = Callable[[bytes], bytes]


@dataclass(slots=True, kw_only=True)
class FarEnd:
    """Simulated BMSs on one RS485 pair, paced like 115200 baud; where the bytes go is for the subclass.

    ``master`` is a BMS with DIP address 0 that asks the others, one slot of ``slot`` seconds each (0.4 on
    real units). ``mangle`` may damage what goes out; ``echo`` repeats what comes in, as some adapters do;
    ``chunk`` is how many bytes are written at a time (1 = byte by byte); ``frozen`` stops everything, ``deaf``
    only hears nothing.
    """

    batteries: dict[int, SimulatedBms]
    master: SimulatedBms | None = None
    slot: float = 0.4
    mangle: Wrap = bytes
    echo: bool = False
    filler: bytes = b""
    chunk: int = 64
    frozen: bool = False
    deaf: bool = False
    requests: list[tuple[float, int, int]] = field(default_factory=list)
    on_sent: Callable[[int, float], None] | None = None
    framer: Framer = field(default_factory=Framer)

    async def heard(self, data: bytes) -> None:
        """Answer page requests among these bytes."""
        if self.deaf:
            return
        if self.echo:
            await self.say(data)
        for event in self.framer.feed(data):
            if not isinstance(event, Short) or self.frozen:
                continue
            message = event.message
            if message.kind == "request":
                assert message.register is not None
                await self._answer(message.address, message.register)
            elif message.kind == "write":
                await self._written(message)

    async def _written(self, message: modbus.Message) -> None:
        """React to a write as the BMS is told to."""
        bms = self.batteries.get(message.address)
        if bms is None or bms.silent or bms.reaction == "dead":
            return
        await asyncio.sleep(bms.latency)
        code = {"refuse": 3, "ignore": 0}.get(bms.reaction)
        code = bms.take(message) if code is None else code
        if bms.reaction == "mute":
            return
        if bms.reaction == "late":
            await asyncio.sleep(1.2)
        assert message.register is not None
        if code:
            await self.say(modbus.exception_reply(message.address, modbus.WRITE, code))
        else:
            await self.say(modbus.acknowledgement(message.address, message.register, message.count))

    async def _answer(self, address: int, register: int) -> None:
        self.requests.append((time.monotonic(), address, register))
        await self._reply(address, register)

    async def _reply(self, address: int, register: int) -> bool:
        bms = self.batteries.get(address)
        if bms is None or bms.silent or register not in modbus.PAGES:
            return False
        await asyncio.sleep(bms.latency)
        await self.say(bms.page(register) + self.filler + modbus.acknowledgement(address, register))
        if self.on_sent:
            self.on_sent(address, time.monotonic())
        return True

    async def mastering(self) -> None:
        """What a BMS with DIP address 0 does for ever (specification, chapter 5)."""
        while True:
            master = self.master
            if master is None or master.silent or self.frozen:
                await asyncio.sleep(self.slot)
                continue
            for address in range(1, 16):
                if await self._slot(address, modbus.LIVE):
                    await self._slot(address, modbus.SETTINGS)
            for register in (modbus.LIVE, modbus.SETTINGS):
                await self.say(master.page(register) + self.filler + modbus.acknowledgement(0, register))
                await asyncio.sleep(self.slot)

    async def _slot(self, address: int, register: int) -> bool:
        end = time.monotonic() + self.slot
        await self.say(modbus.page_request(address, register))
        answered = await self._reply(address, register)
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        return answered

    async def say(self, data: bytes) -> None:
        """Send, damaged if so configured, at the pace of the wire."""
        sent, start, data = 0, time.monotonic(), self.mangle(data)
        while sent < len(data) and not self.frozen:
            part = data[sent : sent + self.chunk]
            sent += len(part)
            early = start + sent * BYTE_TIME - time.monotonic()
            if early > 0:
                await asyncio.sleep(early)
            self.put(part)

    def put(self, part: bytes) -> None:
        """Hand bytes to whoever listens."""
        raise NotImplementedError


@dataclass(slots=True, kw_only=True)
class SerialBus(FarEnd):
    """The far end of a pty; ``port`` is the path to open."""

    port: str
    fd: int

    async def serve(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self.mastering())

    async def _listen(self) -> None:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.fd, ready.set)
        try:
            while True:
                await ready.wait()
                ready.clear()
                try:
                    data = os.read(self.fd, 4096)
                except OSError:  # nobody has the other end open
                    await asyncio.sleep(0.05)
                    continue
                await self.heard(data)
        finally:
            loop.remove_reader(self.fd)

    def put(self, part: bytes) -> None:
        """Write to the pty; what nobody reads is lost."""
        with suppress(OSError):
            os.write(self.fd, part)


@dataclass(slots=True, kw_only=True)
class TcpBus(FarEnd):
    """The serial side of an RS485-to-TCP gateway that passes bytes on to every client.

    ``forget`` leaves the connections of now open but dead, as a gateway does that has restarted.
    """

    port: int = 0
    clients: set[asyncio.StreamWriter] = field(default_factory=set)
    forgotten: set[asyncio.StreamWriter] = field(default_factory=set)
    server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen, on the same port after a stop."""
        self.server = await asyncio.start_server(self._client, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse and drop everybody."""
        if self.server:
            self.server.close()
            for writer in [*self.clients, *self.forgotten]:
                writer.transport.abort()
            self.server = None

    def refuse(self) -> None:
        """Take no new client; the connections of now stay."""
        if self.server:
            self.server.close()
            self.server = None

    def forget(self) -> None:
        """Neither hear nor serve the clients of now any more, without telling them."""
        self.forgotten |= self.clients
        self.clients.clear()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients.add(writer)
        try:
            while data := await reader.read(4096):
                if writer in self.clients:
                    await self.heard(data)
        except OSError:
            pass
        finally:
            self.clients.discard(writer)
            self.forgotten.discard(writer)
            writer.close()

    def put(self, part: bytes) -> None:
        """Pass bytes on."""
        for writer in list(self.clients):
            if not writer.is_closing():
                writer.write(part)


@contextmanager
def pty() -> Iterator[tuple[int, str]]:
    """A fresh pty: our end of it, and the path that the program opens."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    try:
        yield ours, os.ttyname(theirs)
    finally:
        for fd in (ours, theirs):
            with suppress(OSError):
                os.close(fd)


@asynccontextmanager
async def serial_bus(batteries: list[SimulatedBms], **options: Any) -> AsyncIterator[SerialBus]:  # noqa: ANN401
    """Simulated BMSs behind a fresh pty; ``SerialBus.port`` is the path to open."""
    with pty() as (ours, path):
        bus = SerialBus(port=path, fd=ours, batteries={bms.address: bms for bms in batteries}, **options)
        async with running(bus.serve()):
            yield bus


@asynccontextmanager
async def tcp_bus(batteries: list[SimulatedBms], **options: Any) -> AsyncIterator[TcpBus]:  # noqa: ANN401
    """Simulated BMSs behind a transparent gateway on a free port of 127.0.0.1."""
    bus = TcpBus(batteries={bms.address: bms for bms in batteries}, **options)
    await bus.start()
    try:
        async with running(bus.mastering()):
            yield bus
    finally:
        await bus.stop()


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run something beside a block."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
