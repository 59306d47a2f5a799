"""The links to Home Assistant's side: the broker, and the Supervisor that names it."""

import asyncio
import json
import random
import signal
from contextlib import suppress

from tests.conftest import Mosquitto, free_port
from tests.faults.link import NO_NAMES, Link, healthy


class Relay:
    """Stands before the broker; ``dead`` passes nothing on any more for those who were connected then."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.dead = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what one client and the broker say to each other."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
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

        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        finally:
            far_writer.transport.abort()


class Mqtt(Link):
    """The broker; half-open: the connection is there, but nothing passes."""

    async def set_up(self, *, present: bool) -> None:
        await healthy(self.world, self.stack)
        self._port, self._relay = free_port(), Relay(self.world.broker.port)
        self._server: asyncio.Server | None = None
        if self.fault == "half-open":
            self._server = await self.server(self._relay.serve, self._port)
            self.world.mqtt = {"host": "127.0.0.1", "port": self._port}
        if self.fault == NO_NAMES:
            self.world.mqtt = {"host": "broker.test", "port": self.world.broker.port}
        self._babbler: asyncio.Server | None = None
        if not present:
            await self.world.broker.kill()

    async def nameless(self) -> None:
        """The broker also restarts, so that it must be found again."""
        await super().nameless()
        await restarts(self.world.broker)

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
        self._babbler = await self.server(_babbler, self.world.broker.port)

    async def clean(self) -> None:
        assert self._babbler is not None
        self._babbler.close()
        await self.world.broker.start()

    async def half_open(self) -> None:
        self._relay.dead = True
        assert self._server is not None
        self._server.close()

    async def whole(self) -> None:
        self._relay.dead = False
        self._server = await self.server(self._relay.serve, self._port)


async def restarts(broker: Mosquitto) -> None:
    await broker.kill()
    await asyncio.sleep(1)
    await broker.start()


async def _babbler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        await reader.read(64)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()


class Supervisor(Link):
    """Home Assistant's Supervisor, which names the broker. With each fault the broker is restarted, too.

    The program reaches it through a proxy that its environment names, as its address is fixed.
    """

    async def set_up(self, *, present: bool) -> None:
        await healthy(self.world, self.stack)
        self._port, self._mode = free_port(), "well"
        self._server: asyncio.Server | None = None
        self.world.mqtt = {}
        self.world.environment |= {
            "SUPERVISOR_TOKEN": "t0ken",
            "http_proxy": f"http://{'supervisor.test' if self.fault == NO_NAMES else '127.0.0.1'}:{self._port}",
            "no_proxy": "",
        }
        if present:
            await self._open()

    async def _open(self) -> None:
        self._server = await self.server(self._client, self._port)

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

    async def _say(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async def nameless(self) -> None:
        await super().nameless()
        await restarts(self.world.broker)

    async def gone(self) -> None:
        await self._close()
        await restarts(self.world.broker)

    async def back(self) -> None:
        await self._open()

    async def frozen(self) -> None:
        self._mode = "frozen"
        await restarts(self.world.broker)

    async def garbage(self) -> None:
        self._mode = "garbage"
        await restarts(self.world.broker)

    async def half_open(self) -> None:
        self._mode = "half-open"
        await restarts(self.world.broker)

    async def thawed(self) -> None:
        self._mode = "well"

    clean = whole = thawed
