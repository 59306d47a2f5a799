"""The links of the program and what can happen to each: a method breaks it, another mends it."""

import asyncio
import json
import os
import random
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from jkbms_addon.simulator_bus import FarEnd, SerialBus, TcpBus, serial_bus, tcp_bus
from jkbms_addon.simulator_can import Adapter, broadcasting, can_bms, slcan_adapter
from tests.conftest import free_port
from tests.faults.world import World, packs
from tests.plugs import Plug

FLAPS = 4


class Link(ABC):
    """One link in a world. ``absent`` is called before the program starts, the others while it works."""

    def __init__(self, world: World, stack: AsyncExitStack, fault: str) -> None:
        self.world, self.stack, self.fault = world, stack, fault

    @abstractmethod
    async def set_up(self, *, present: bool) -> None:
        """Make everything, and tell the world's options how to reach it."""

    @abstractmethod
    async def gone(self) -> None:
        """Take it away."""

    @abstractmethod
    async def back(self) -> None:
        """Bring it back."""

    async def frozen(self) -> None:
        raise NotImplementedError

    async def thawed(self) -> None:
        raise NotImplementedError

    async def garbage(self) -> None:
        raise NotImplementedError

    async def clean(self) -> None:
        raise NotImplementedError

    async def half_open(self) -> None:
        raise NotImplementedError

    async def whole(self) -> None:
        raise NotImplementedError

    async def flap(self) -> None:
        """Gone and back every second; it ends with being back."""
        for _ in range(FLAPS):
            await self.gone()
            await asyncio.sleep(1)
            await self.back()
            await asyncio.sleep(1)


async def healthy(world: World, stack: AsyncExitStack) -> None:
    """A bus a that works, for faults elsewhere."""
    far = await stack.enter_async_context(serial_bus(packs()))
    know(world, far)
    world.bus = {"strategy": "master", "port": far.port, "addresses": "1-3", "interval": 1.0}


def know(world: World, far: FarEnd) -> None:
    world.judge.know({("a", n): bms for n, bms in far.batteries.items()})  # type: ignore[misc]


def noise(data: bytes) -> bytes:
    return random.randbytes(len(data))


class _Rs485(Link):
    """What both ways to a pair of wires have in common."""

    @property
    def far(self) -> FarEnd:
        raise NotImplementedError

    async def frozen(self) -> None:
        self.far.frozen = True

    async def thawed(self) -> None:
        self.far.frozen = False

    async def garbage(self) -> None:
        self.far.mangle = noise

    async def clean(self) -> None:
        self.far.mangle = bytes


class Serial(_Rs485):
    """A serial adapter; half-open: our questions do not arrive."""

    plug: Plug[SerialBus]

    @property
    def far(self) -> FarEnd:
        return self.plug.far

    async def set_up(self, *, present: bool) -> None:
        batteries = packs()
        self.plug = Plug(self.world.folder / "adapter", lambda: serial_bus(batteries))
        self.stack.push_async_callback(self.plug.pull)
        self.world.judge.know({("a", bms.address): bms for bms in batteries})  # type: ignore[misc]
        self.world.bus = {"strategy": "master", "port": str(self.plug.path), "addresses": "1-3", "interval": 1.0}
        if present:
            await self.plug.plug()

    async def gone(self) -> None:
        await self.plug.pull()

    async def back(self) -> None:
        await self.plug.plug()

    async def half_open(self) -> None:
        self.far.deaf = True

    async def whole(self) -> None:
        self.far.deaf = False


class Tcp(_Rs485):
    """An RS485-to-TCP gateway; half-open: it has restarted and does not know our connection."""

    _far: TcpBus

    @property
    def far(self) -> FarEnd:
        return self._far

    async def set_up(self, *, present: bool) -> None:
        self._far = await self.stack.enter_async_context(tcp_bus(packs()))
        know(self.world, self._far)
        link = {"host": "127.0.0.1", "tcp_port": self._far.port}
        self.world.bus = {"strategy": "gateway", **link, "addresses": "1-3", "interval": 1.0}
        if not present:
            await self._far.stop()

    async def gone(self) -> None:
        await self._far.stop()

    async def back(self) -> None:
        await self._far.start()

    async def half_open(self) -> None:
        self._far.forget()
        self._far.refuse()

    async def whole(self) -> None:
        await self._far.start()


class CanIn(Link):
    """A serial CAN adapter that hears BMSs; half-open: its power failed, so it has forgotten its bit rate."""

    plug: Plug[Adapter]

    async def set_up(self, *, present: bool) -> None:
        self.batteries = [can_bms(n, current=-10.0, soc=50.0 + n) for n in (1, 2)]
        self.plug = Plug(self.world.folder / "can", slcan_adapter)
        self.stack.push_async_callback(self.plug.pull)
        await self.stack.enter_async_context(broadcasting(self.batteries, self._put))
        self._noise: asyncio.Task[None] | None = None
        self.world.judge.know({("a", one.bms.address): one for one in self.batteries})
        self.world.bus = {"strategy": "can_broadcast", "channel": str(self.plug.path)}
        if present:
            await self.plug.plug()

    def _put(self, frame: object) -> None:
        with suppress(AssertionError):  # nothing is plugged in
            self.plug.far.put(frame)  # type: ignore[arg-type]

    async def gone(self) -> None:
        await self.plug.pull()

    async def back(self) -> None:
        await self.plug.plug()

    async def frozen(self) -> None:
        for battery in self.batteries:
            battery.silent = True

    async def thawed(self) -> None:
        for battery in self.batteries:
            battery.silent = False

    async def garbage(self) -> None:
        await self.frozen()
        self._noise = asyncio.create_task(babble(self.plug.far))
        self.stack.callback(self._noise.cancel)

    async def clean(self) -> None:
        assert self._noise is not None
        self._noise.cancel()
        await self.thawed()

    async def half_open(self) -> None:
        self.plug.far.reset()
        self.plug.far.deaf = True

    async def whole(self) -> None:
        self.plug.far.deaf = False


async def babble(adapter: Adapter) -> None:
    """Say what no adapter says."""
    while True:
        with suppress(OSError):
            os.write(adapter.fd, random.randbytes(40))
        await asyncio.sleep(0.05)


class CanOut(Link):
    """A serial CAN adapter towards the inverter; frozen: the inverter sends nothing any more."""

    async def set_up(self, *, present: bool) -> None:
        await healthy(self.world, self.stack)
        self._noise: asyncio.Task[None] | None = None
        if not present:
            await self.world.inverter.pull()

    async def gone(self) -> None:
        await self.world.inverter.pull()

    async def back(self) -> None:
        await self.world.inverter.plug()

    async def frozen(self) -> None:
        self.world.answering = False

    async def thawed(self) -> None:
        self.world.answering = True

    async def garbage(self) -> None:
        self.world.answering = False
        self._noise = asyncio.create_task(babble(self.world.inverter.far))
        self.stack.callback(self._noise.cancel)

    async def clean(self) -> None:
        assert self._noise is not None
        self._noise.cancel()
        self.world.answering = True

    async def half_open(self) -> None:
        self.world.inverter.far.reset()
        self.world.inverter.far.deaf = True

    async def whole(self) -> None:
        self.world.inverter.far.deaf = False


class Relay:
    """Stands before the broker; ``dead`` passes nothing on any more and takes nobody new."""

    def __init__(self, target: int) -> None:
        self.port, self._target = free_port(), target
        self.dead = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._client, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Take nobody new; the connections of now stay open."""
        if self._server:
            self._server.close()
            self._server = None

    def abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        old = False

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            nonlocal old
            with suppress(OSError):
                while data := await source.read(65536):
                    old = old or self.dead
                    if not old:
                        sink.write(data)
            if not old:
                sink.close()

        self._writers |= {writer, far_writer}
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


class Mqtt(Link):
    """The broker; half-open: the connection is there, but nothing passes."""

    async def set_up(self, *, present: bool) -> None:
        await healthy(self.world, self.stack)
        self._relay = Relay(self.world.broker.port)
        if self.fault == "half-open":
            await self._relay.start()
            self.stack.push_async_callback(self._relay.stop)
            self.stack.callback(self._relay.abort)
            self.world.mqtt = {"host": "127.0.0.1", "port": self._relay.port}
        self._babbler: asyncio.Server | None = None
        if not present:
            await self.world.broker.kill()

    async def gone(self) -> None:
        await self.world.broker.kill()

    async def back(self) -> None:
        await self.world.broker.start()

    async def frozen(self) -> None:
        self.world.broker.signal(signal.SIGSTOP)

    async def thawed(self) -> None:
        self.world.broker.signal(signal.SIGCONT)

    async def garbage(self) -> None:
        """Something else answers at the broker's port."""
        await self.world.broker.kill()
        self._babbler = await asyncio.start_server(_babbler, "127.0.0.1", self.world.broker.port)

    async def clean(self) -> None:
        assert self._babbler is not None
        self._babbler.close()
        await self.world.broker.start()

    async def half_open(self) -> None:
        self._relay.dead = True
        await self._relay.stop()

    async def whole(self) -> None:
        self._relay.dead = False
        await self._relay.start()


async def _babbler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        await reader.read(64)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
    writer.close()


class Supervisor(Link):
    """Home Assistant's Supervisor, which names the broker. With each fault the broker is restarted, too.

    The program reaches it through a proxy that its environment names, as its address is fixed.
    """

    async def set_up(self, *, present: bool) -> None:
        await healthy(self.world, self.stack)
        self._port, self._mode = free_port(), "well"
        self._server: asyncio.Server | None = None
        self.stack.push_async_callback(self._close)
        self.world.mqtt = {}
        self.world.environment |= {
            "SUPERVISOR_TOKEN": "t0ken",
            "http_proxy": f"http://127.0.0.1:{self._port}",
            "no_proxy": "",
        }
        if present:
            await self._open()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._client, "127.0.0.1", self._port)

    async def _close(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if self._mode == "well":
                data = {"host": "127.0.0.1", "port": self.world.broker.port, "ssl": False, "username": None}
                await self._say(writer, json.dumps({"result": "ok", "data": data}).encode())
            elif self._mode == "garbage":
                await self._say(writer, random.randbytes(60))
            elif self._mode == "half-open":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
                await asyncio.sleep(30)
            else:
                await asyncio.sleep(30)
        writer.close()

    async def _say(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async def _broker_restarts(self) -> None:
        await self.world.broker.kill()
        await asyncio.sleep(1)
        await self.world.broker.start()

    async def gone(self) -> None:
        await self._close()
        await self._broker_restarts()

    async def back(self) -> None:
        await self._open()

    async def frozen(self) -> None:
        self._mode = "frozen"
        await self._broker_restarts()

    async def garbage(self) -> None:
        self._mode = "garbage"
        await self._broker_restarts()

    async def half_open(self) -> None:
        self._mode = "half-open"
        await self._broker_restarts()

    async def thawed(self) -> None:
        self._mode = "well"

    clean = whole = thawed


LINKS: Mapping[str, type[Link]] = {
    "serial": Serial,
    "TCP": Tcp,
    "CAN in": CanIn,
    "CAN out": CanOut,
    "MQTT": Mqtt,
    "Supervisor": Supervisor,
}


@asynccontextmanager
async def link_in(name: str, world: World, fault: str) -> AsyncIterator[Link]:
    """A link of that name, set up for a fault."""
    async with AsyncExitStack() as stack:
        await world.inverter.plug()
        link = LINKS[name](world, stack, fault)
        await link.set_up(present=fault != "absent")
        yield link
