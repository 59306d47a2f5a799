"""The owner of the page's socket: static files, and one task for each client. The only user of ``websockets``.

Theory of operation
- Once a second one scene is made for all clients; each client's task takes the newest when its socket has room. A
  client that does not read is thrown out after ``SILENCE``; it holds no queue, and nobody waits for it.
- A client says ``here`` every 10 s; control pings of the library are off, since they lost their payload in proxies.
- A bug in a client's task ends the owner, which the supervisor tells and starts again. Nothing else
  notices.
"""

import asyncio
import json
import logging
import time
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from jkbms_addon import __version__, worker
from jkbms_addon.battery.snapshot import label
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.page import first_run, gate, parts, stream
from jkbms_addon.page.asks import Asks
from jkbms_addon.page.doctor import DOCTOR, SLOW, Doctor
from jkbms_addon.page.files import SAFETY, Files
from jkbms_addon.page.jobs import Download
from jkbms_addon.page.options import OPTIONS, Desk, Kinds
from jkbms_addon.page.place import Place
from jkbms_addon.page.sources import Sources
from jkbms_addon.page.visitor import Visitor

_LOGGER = logging.getLogger(__name__)
CLIENTS: Final = 12
STRANGERS: Final = 24  # who have not said a word yet
LARGEST: Final = 64 * 1024  # bytes of a message that comes in
REQUESTS: Final = 30  # a minute and client
ANSWERS: Final = 20  # a second for all clients together, as the inverter waits while one is made
BETWEEN: Final = 0.01  # s between two of them
PAUSE: Final = 0.5  # s after a refusal
SILENCE: Final = 45.0  # s
HELLO: Final = 10.0  # s until a client must have said who it is
EVERY: Final = 1.0  # s between scenes
DOWNLOADS: Final = {".zip": "application/zip", ".jsonl": "application/jsonl", ".log": "text/plain; charset=utf-8"}
LOOK: Final = 10.0  # s between looks at ports, while no battery was heard

_SOCKET = logging.getLogger(f"{__name__}.socket")
_SOCKET.setLevel(logging.WARNING)  # below, it tells every message, and the first one holds the token
# strangers who speak no HTTP are no news; everything else that the library complains of is
_SOCKET.addFilter(lambda record: record.msg != "opening handshake failed")


@dataclass(frozen=True, slots=True)
class Client:
    """What answers one client, and the group that its tasks run in."""

    asks: Asks
    doctor: Doctor
    desk: Desk
    tasks: asyncio.TaskGroup


class Page:
    """Serves ``sources`` at one place."""

    def __init__(self, sources: Sources, files: Files, wall: Callable[[], float] = time.time) -> None:
        self._sources, self._files, self._wall = sources, files, wall
        self._clients: set[ServerConnection] = set()
        self._strangers = 0
        self._camera = stream.Camera(sources)
        self._scene = self._camera.scene(sources.store.clock(), wall())
        self._new = asyncio.Event()
        self._answers: deque[float] = deque(maxlen=ANSWERS)
        self._turn = asyncio.Lock()
        self._thread = worker.own()
        self._tasks: asyncio.TaskGroup | None = None
        told = parts.static(sources.commands.level, __version__, files.version, list(sources.buses))
        self._static = parts.encoded(told)[1:]

    async def own(self, place: Place, healed: Callable[[], None]) -> None:
        """Listen until cancelled; ``LinkError`` where that is not possible."""
        tokens, self._thread = gate.Tokens(place.token), worker.own()
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks

            async def client(connection: ServerConnection) -> None:
                await asyncio.wait([tasks.create_task(self._client(connection, place, tokens))])

            async with await self._listening(place, client):
                healed()
                _LOGGER.info("page: listens on %s port %d", place.host, place.port)
                await self._film(tasks)

    async def _listening(self, place: Place, client: Callable[[ServerConnection], Awaitable[None]]) -> Server:
        try:
            return await serve(
                client,
                place.host,
                place.port,
                process_request=lambda connection, request: self._answer(connection, request, place),
                compression=None,
                max_size=LARGEST,
                max_queue=4,
                ping_interval=None,
                open_timeout=HELLO,
                close_timeout=2.0,
                server_header=None,
                logger=_SOCKET,
            )
        except OSError as error:
            raise LinkError(f"cannot listen on {place.host} port {place.port}: {error.strerror or error}") from error

    async def _film(self, tasks: asyncio.TaskGroup) -> None:
        """A scene a second, as long as somebody looks."""
        tasks.create_task(self._ports())
        while True:
            if self._clients:
                self._scene = self._camera.scene(self._sources.store.clock(), self._wall())
                self._new.set()
                self._new = asyncio.Event()
            await asyncio.sleep(EVERY)

    async def _ports(self) -> None:
        """What is connected to this computer, for who has no battery yet."""
        while not any(True for _ in self._sources.store):
            if self._clients or self._camera.first is None:
                self._camera.first = await self._thread.call(first_run.look, LOOK, SLOW)
            await asyncio.sleep(LOOK)

    async def _answer(self, connection: ServerConnection, request: Request, place: Place) -> Response | None:
        """Static files and refusals; None where a websocket may be opened."""
        peer = _peer(connection)
        path = request.path.partition("?")[0]
        if not gate.admitted(place, peer):
            _LOGGER.debug("page: %s is not served", peer)
            return _refusal(HTTPStatus.FORBIDDEN)
        if request.method not in ("GET", "HEAD"):
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED)
        if path == "/live":
            if request.headers.get("Upgrade", "").lower() != "websocket":
                return _refusal(HTTPStatus.UPGRADE_REQUIRED)
            return None if gate.same_site(place, request.headers) else _refusal(HTTPStatus.FORBIDDEN)
        return await self._file(connection, path, head=request.method == "HEAD")

    async def _file(self, connection: ServerConnection, path: str, *, head: bool) -> Response:
        if download := self._sources.jobs.file(path):
            connection.close_timeout = HELLO  # for who fetches slowly
            return await self._download(download, head=head)
        file = self._files.known.get(path)
        if file is None:
            return _refusal(HTTPStatus.NOT_FOUND)
        return Response(200, "OK", Headers(file.headers), b"" if head else file.body)

    async def _download(self, file: Download, *, head: bool) -> Response:
        """A file that a job has left; it is unpacked in a thread, as the inverter waits meanwhile."""
        try:
            body = b"" if head else await self._thread.call(lambda: zlib.decompress(file.packed), HELLO, SLOW)
        except LinkError:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE)
        kind = DOWNLOADS[Path(file.name).suffix]
        headers = {"Content-Type": kind, "Content-Length": str(file.size), "Cache-Control": "no-store", **SAFETY}
        named = {"Content-Disposition": f'attachment; filename="{file.name}"'}
        return Response(200, "OK", Headers({**headers, **named}), body)

    async def _client(self, connection: ServerConnection, place: Place, tokens: gate.Tokens) -> None:
        """One client from its first word to its last."""
        try:
            request = connection.request
            headers: Mapping[str, str] = request.headers if request else {}
            if self._strangers >= STRANGERS:
                await connection.close(1013, "too many clients")
                return
            self._strangers += 1
            try:
                welcome = await self._welcome(connection, place, tokens)
            finally:
                self._strangers -= 1
            if not welcome:
                return
            if len(self._clients) >= CLIENTS:
                await connection.close(1013, "too many clients")
                return
            self._clients.add(connection)
            visitor = Visitor(gate.user(place, headers), self._sources.store.clock)
            _LOGGER.debug("page: %s looks", visitor.name)
            try:
                await self._serve(connection, visitor)
            finally:
                self._clients.discard(connection)
        except* (ConnectionClosed, TimeoutError) as gone:
            _LOGGER.debug("page: a client is gone: %s", gone.exceptions[0])
        finally:
            connection.transport.abort()

    async def _welcome(self, connection: ServerConnection, place: Place, tokens: gate.Tokens) -> bool:
        """Whether the first word of a client is the right one."""
        peer = _peer(connection)
        async with asyncio.timeout(HELLO):
            hello = _message(await connection.recv())
        if hello.get("t") != "hello":
            await connection.close(1002, "hello comes first")
            return False
        if place.token:
            if tokens.waits(peer, self._sources.store.clock()):
                await connection.close(4003, "wait")
                return False
            if not tokens.right(peer, hello.get("token"), self._sources.store.clock()):
                _LOGGER.debug("page: %s has a wrong token", peer)
                await connection.close(4001, "token")
                return False
        return True

    async def _serve(self, connection: ServerConnection, visitor: Visitor) -> None:
        told = stream.Told()
        if self._wall() - self._scene.at > EVERY or len(self._clients) == 1:
            self._scene = self._camera.scene(self._sources.store.clock(), self._wall())
        hello = f'{{"t":"hello","user":{parts.encoded(visitor.name)},{self._static}'
        lock = asyncio.Lock()
        await self._send(connection, hello, lock)
        async with asyncio.TaskGroup() as tasks:

            async def tell(answer: dict[str, Any]) -> None:
                with suppress(ConnectionClosed, TimeoutError):  # what was begun is carried out, whoever looks
                    await self._send(connection, parts.encoded(answer), lock)

            sources = self._sources
            asks = Asks(sources.store, sources.commands, sources.control, visitor, tell)
            doctor = Doctor(sources, visitor, tell, tasks, self._tasks or tasks, self._thread)
            desk = Desk(sources.options, visitor, tell, tasks, _setup(sources))
            teller = tasks.create_task(self._tell(connection, told, lock, doctor))
            try:
                await self._listen(connection, lock, Client(asks, doctor, desk, tasks))
            finally:
                visitor.lock()
                teller.cancel()

    async def _tell(self, connection: ServerConnection, told: stream.Told, lock: asyncio.Lock, doctor: Doctor) -> None:
        try:
            while True:
                await self._send(connection, told.tick(self._scene), lock)
                for news in doctor.news():
                    await self._send(connection, parts.encoded(news), lock)
                await self._new.wait()
        except (ConnectionClosed, TimeoutError):
            connection.transport.abort()  # so that who listens to it notices, too

    async def _listen(self, connection: ServerConnection, lock: asyncio.Lock, client: Client) -> None:
        requests: deque[float] = deque(maxlen=REQUESTS)
        while True:
            async with asyncio.timeout(SILENCE):
                message = _message(await connection.recv())
            if message.get("t") == "here":
                continue
            async with self._turn:  # one answer at a time, and whoever else is due comes before the next
                answer = self._refused(requests) or self._asked(message, client)
                await asyncio.sleep(BETWEEN)
            if answer is None:
                continue  # it comes later
            told = {**answer, "id": _number(message)}
            await self._send(connection, parts.encoded(told), lock)
            if answer["t"] == "no":
                await asyncio.sleep(PAUSE)  # meanwhile nothing more is read of who asks too much

    def _refused(self, requests: deque[float]) -> dict[str, Any] | None:
        """Whether a client, or all of them together, asked too much; None counts as a request."""
        now = self._sources.store.clock()
        if len(requests) == REQUESTS and now - requests[0] < 60:
            return {"t": "no", "reason": "too many requests in a minute"}
        if len(self._answers) == ANSWERS and now - self._answers[0] < 1:
            return {"t": "no", "reason": "too many requests of all clients together"}
        requests.append(now)
        self._answers.append(now)
        return None

    def _asked(self, message: Mapping[str, Any], client: Client) -> dict[str, Any] | None:
        """The answer; None where it comes later."""
        kind, asks, numbered = message.get("t"), client.asks, {**message, "id": _number(message)}
        try:
            if kind in DOCTOR:
                return client.doctor.answer(numbered)
            if kind in OPTIONS:
                client.desk.answer(numbered)
                return None
            if kind == "history":
                return self._history(message)
            if kind == "write":
                client.tasks.create_task(asks.written(asks.begun(numbered)))
                return {"t": "begun"}
            return asks.answer(message)
        except CommandError as error:
            return {"t": "no", "reason": str(error)}

    def _history(self, message: Mapping[str, Any]) -> dict[str, Any]:
        packs = [label(snapshot.key) for snapshot in self._sources.store]
        answer = stream.history(self._sources.history, message, packs, self._wall())
        return {"t": "no", "reason": answer} if isinstance(answer, str) else {"t": "history", **answer}

    async def _send(self, connection: ServerConnection, text: str, lock: asyncio.Lock) -> None:
        """One message; ``TimeoutError`` where nobody takes it."""
        async with lock, asyncio.timeout(SILENCE):
            await connection.send(text)


def _setup(sources: Sources) -> Kinds:
    """What the set-up of a first inverter asks."""

    async def shown(message: Mapping[str, Any]) -> dict[str, Any]:
        # who has an inverter needs no memory for it
        from jkbms_addon.page import inverter_setup  # noqa: PLC0415

        return await inverter_setup.shown(sources, message)

    async def rehearse(message: Mapping[str, Any]) -> dict[str, Any]:
        from jkbms_addon.page import inverter_setup  # noqa: PLC0415

        return await inverter_setup.rehearse(sources, message)

    return {"inverter_setup": shown, "inverter_rehearse": rehearse}


def _peer(connection: ServerConnection) -> str:
    address = connection.remote_address
    host = str(address[0]) if isinstance(address, tuple) else ""
    return host.removeprefix("::ffff:")


def _refusal(status: HTTPStatus) -> Response:
    body = f"{status.value} {status.phrase}\n".encode()
    headers = {"Content-Type": "text/plain", "Content-Length": str(len(body)), "Cache-Control": "no-store", **SAFETY}
    return Response(status.value, status.phrase, Headers(headers), body)


def _number(message: Mapping[str, Any]) -> int | None:
    number = message.get("id")
    return number if isinstance(number, int) else None


def _message(text: str | bytes) -> Mapping[str, Any]:
    """A message of a client; an empty one where it is none."""
    try:
        # half a character cannot be sent back, and becomes another one
        message = json.loads(json.dumps(json.loads(text), ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return {}
    return {**message, "id": _number(message)} if isinstance(message, dict) else {}
