"""The far ends of buses: simulated batteries behind a pty or a TCP gateway, at the pace of the wire."""

import asyncio
import os
import time
import tty
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.pb.frames import Framer, Short

BYTE_TIME = 10 / 115200  # seconds on the wire, 8N1
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
