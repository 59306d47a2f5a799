"""What every link has in common: it can be broken in many ways and mended again."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from jkbms_addon.simulator.far_end import FarEnd, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.faults.world import World, packs

FLAPS = 4
NO_NAMES = "name server dead"
ONE = 2  # the address that a fault of a single battery hits
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def cut(said: bytes, address: int = ONE) -> bytes:
    """What arrives of an answer of 300 bytes and its acknowledgement, as cheap adapters lose it."""
    return said[:287] + said[300:] if said[300:301] == bytes([address]) else said


class Link(ABC):
    """One link in a world. ``absent`` is called before the program starts, the others while it works."""

    def __init__(self, world: World, stack: AsyncExitStack, fault: str) -> None:
        self.world, self.stack, self.fault = world, stack, fault
        self._served: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

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

    # --- what can befall bus a whatever link it has ---------------------------------------------------
    async def nameless(self) -> None:
        """The name server hangs, and so does every look-up of a name."""
        (self.world.folder / "names").touch()

    async def named(self) -> None:
        (self.world.folder / "names").unlink()

    async def ill(self) -> None:
        """The answers of one BMS arrive cut."""
        self.pair().mangle = cut

    async def cured(self) -> None:
        self.pair().mangle = bytes

    async def still(self) -> None:
        """One BMS says the same for ever, its clock included."""
        bms, now = self.one(), time.monotonic()
        bms.clock = lambda: now

    async def moving(self) -> None:
        self.one().clock = time.monotonic

    def one(self) -> SimulatedBms:
        return self.pair().batteries[ONE]

    def pair(self) -> FarEnd:
        """The wires to the batteries of bus a."""
        return self.world.far

    async def server(self, serve: Serve, port: int) -> asyncio.Server:
        """A server whose clients are served until the world ends, and no longer."""

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._served.add(task)
            try:
                await serve(reader, writer)
            finally:
                writer.transport.abort()
                self._served.discard(task)

        self._servers.append(await asyncio.start_server(client, "127.0.0.1", port))
        return self._servers[-1]

    async def end(self) -> None:
        """Nobody is served any more."""
        for server in self._servers:
            server.close()
        tasks = list(self._served)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # lets the transports close

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
    world.far = far
    world.judge.know({("a", n): bms for n, bms in far.batteries.items()})  # type: ignore[misc]
