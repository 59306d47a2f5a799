import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from jkbms_addon.errors import LinkError
from jkbms_addon.page import files, server, stream
from jkbms_addon.page.place import Place
from jkbms_addon.page.server import CLIENTS, REQUESTS, STRANGERS, Page
from jkbms_addon.supervise import Supervisor
from tests.conftest import free_port, until
from tests.page.ingress import front
from tests.page.stage import Stage, batteries, served

TOKEN = "correct horse battery staple"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with served(Stage(tmp_path, batteries(4))) as found:
        yield found


async def http(place: Place, request: str, source: str = "127.0.0.1") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer; status 0 where the connection is just closed."""
    reader, writer = await asyncio.open_connection(place.host, place.port, local_addr=(source, 0))
    try:
        writer.write(request.encode("latin-1"))
        answer = await asyncio.wait_for(reader.read(), 15)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/"):
        return 0, {}, b""
    return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), body


def get(path: str, method: str = "GET", more: str = "") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n"


def url(place: Place) -> str:
    return f"ws://{place.host}:{place.port}/live"


def origin(place: Place) -> Any:
    return f"http://{place.host}:{place.port}"


async def hello(client: ClientConnection, token: str = "") -> dict[str, Any]:
    await client.send(json.dumps({"t": "hello", "v": 1, "token": token}))
    return await said(client, "hello")


def code(gone: ConnectionClosed) -> int | None:
    return gone.rcvd.code if gone.rcvd else None


async def until_closed(client: ClientConnection) -> None:
    async with asyncio.timeout(10):
        while True:
            await client.recv()


async def said(client: ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(8):
        while True:
            message: dict[str, Any] = json.loads(await client.recv())
            if message["t"] == kind:
                return message


# --- static files -----------------------------------------------------------------------------------------
async def test_the_page_and_its_files(place: Place) -> None:
    status, headers, body = await http(place, get("/"))
    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Type"].startswith("text/html")
    assert b'<div id="app">' in body
    version = files.load().version
    status, headers, body = await http(place, get(f"/{version}/app.js"))
    assert status == 200
    assert headers["Cache-Control"].endswith("immutable")
    assert headers["Content-Type"].startswith("text/javascript")
    assert body == (files.WEB / "app.js").read_bytes()
    assert (await http(place, get("/?x=1")))[0] == 200


async def test_every_answer_is_guarded(place: Place) -> None:
    for path in ("/", f"/{files.load().version}/app.js", "/nothing", "/live"):
        _, headers, _ = await http(place, get(path))
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "frame-ancestors 'self'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/../app.py",
            "/..%2f..%2fetc/passwd",
            "//etc/passwd",
            "/%2e%2e/x",
            "/v-0/app.js",
            "/app.js",
            "/index.html/..",
        ),
        *("/" + "a" * 3000, "/vendor/VENDOR.json", "/\\..\\..\\x"),
    ],
)
async def test_no_path_leads_elsewhere(place: Place, path: str) -> None:
    assert (await http(place, get(path)))[0] == 404


async def test_only_get_and_head(place: Place) -> None:
    status, headers, body = await http(place, get("/", "HEAD"))
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 500
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "BREW"):
        assert (await http(place, get("/", method)))[0] in (0, 400, 405)
    assert (await http(place, get("/", "POST", "Content-Length: 3\r\n") + "abc"))[0] in (0, 400, 405)


async def test_oversized_and_broken_requests(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    assert (await http(place, get("/", more=f"X: {'y' * 20000}\r\n")))[0] in (0, 400, 431)
    assert (await http(place, get("/", more="".join(f"X{n}: y\r\n" for n in range(300)))))[0] in (0, 400, 431)
    assert (await http(place, "\x16\x03\x01\x02\x00garbage\r\n\r\n"))[0] in (0, 400)
    assert (await http(place, get("/live")))[0] == 426
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_half_a_request_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HELLO", 0.3)
    async with served(Stage(tmp_path, batteries(1))) as place:
        reader, writer = await asyncio.open_connection(place.host, place.port)
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


# --- who may -------------------------------------------------------------------------------------------------
async def test_strangers_get_nothing_behind_the_proxy(tmp_path: Path) -> None:
    place = Place("127.0.0.1", free_port(), peer="127.0.0.2")
    async with served(Stage(tmp_path, batteries(1)), place):
        version = files.load().version
        for path in ("/", f"/{version}/app.js", "/nothing"):
            assert (await http(place, get(path, more="X-Forwarded-For: 127.0.0.2\r\n"), "127.0.0.3"))[0] == 403
            assert (await http(place, get(path)))[0] == 403
        assert (await http(place, get("/"), "127.0.0.2"))[0] == 200
        with pytest.raises(InvalidStatus) as refused:
            await connect(url(place))
        assert refused.value.response.status_code == 403
        async with connect(url(place), local_addr=("127.0.0.2", 0)) as client:
            assert (await hello(client))["user"] == "page"


async def test_through_both_hops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("127.0.0.1", free_port(), peer="127.0.0.2")
    async with served(Stage(tmp_path, batteries(2)), place), front(place.port, "127.0.0.2") as seen:
        socket_url = seen.url.replace("http", "ws") + "live"
        async with connect(socket_url, additional_headers={"X-Remote-User-Display-Name": "root"}) as client:
            told = await hello(client)
            assert told["user"] == "Anna Müller"  # what the browser says of itself is dropped on the way
            assert len((await said(client, "tick"))["packs"]) == 2
        seen.allowed = False
        with pytest.raises(InvalidStatus):
            await connect(socket_url)


async def test_a_port_of_its_own_wants_the_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    place = Place("127.0.0.1", free_port(), token=TOKEN)
    async with served(Stage(tmp_path, batteries(1)), place):
        assert (await http(place, get("/")))[0] == 200
        for wrong in ("", "x", TOKEN.upper(), None, 5):
            async with connect(url(place), origin=origin(place)) as client:
                await client.send(json.dumps({"t": "hello", "token": wrong}))
                with pytest.raises(ConnectionClosed) as gone:
                    await client.recv()
                assert code(gone.value) == 4001
        async with connect(url(place), origin=origin(place)) as client:  # five wrong ones: wait
            await client.send(json.dumps({"t": "hello", "token": TOKEN}))
            with pytest.raises(ConnectionClosed) as gone:
                await client.recv()
            assert code(gone.value) == 4003
        async with connect(url(place), origin=origin(place), local_addr=("127.0.0.9", 0)) as client:
            assert (await hello(client, TOKEN))["user"] == "page"
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("jkbms_addon")]
    assert [text for text in ours if TOKEN in text or TOKEN.upper() in text] == []


async def test_a_token_that_is_no_text_throws_nobody_else_out(tmp_path: Path) -> None:
    place = Place("127.0.0.1", free_port(), token=TOKEN)
    async with served(Stage(tmp_path, batteries(1)), place):
        async with connect(url(place), origin=origin(place)) as looks:
            await hello(looks, TOKEN)
            async with connect(url(place), origin=origin(place)) as stranger:
                await stranger.send('{"t":"hello","token":"\\ud800"}')
                with pytest.raises(ConnectionClosed):
                    await stranger.recv()
            await looks.send('{"t":"usual","id":2}')
            assert (await said(looks, "usual"))["id"] == 2


async def test_other_sites_open_no_socket(place: Place) -> None:
    for wrong in ("http://evil.example", None):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url(place), origin=wrong)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403


async def test_hello_comes_first(place: Place) -> None:
    for first in ('{"t":"history","id":1}', "nonsense", "[]", '{"t":["hello"]}', "[" * 5000):
        async with connect(url(place), origin=origin(place)) as client:
            await client.send(first)
            with pytest.raises(ConnectionClosed) as gone:
                await client.recv()
            assert code(gone.value) == 1002


# --- what is told ------------------------------------------------------------------------------------------
async def test_hello_and_ticks(place: Place) -> None:
    async with connect(url(place), origin=origin(place)) as client:
        told = await hello(client)
        assert told["may"] == {"level": "off"}
        assert told["order"] == ["garage"]
        assert told["specs"]["max_charge_current"]["u"] == "A"
        first, second = await said(client, "tick"), await said(client, "tick")
    assert first["bank"]["counted"] == 4
    assert len(first["packs"]["garage/3"]["live"]["cell_voltage"]) == 16
    assert first["packs"]["garage/1"]["about"]["serial_number"] == "40119491481"
    assert second["seq"] == first["seq"] + 1
    assert "settings" not in second["packs"]["garage/1"]


async def test_nothing_secret_is_told(tmp_path: Path) -> None:
    stage = Stage(tmp_path, batteries(1))
    place = Place("127.0.0.1", free_port(), token=TOKEN)
    async with served(stage, place), connect(url(place), origin=origin(place)) as client:
        await client.send(json.dumps({"t": "hello", "token": TOKEN}))
        texts = [str(await client.recv()) for _ in range(3)]
    assert not [text for text in texts if TOKEN in text or "password" in text.lower().replace("default_password", "")]


async def test_history(place: Place) -> None:
    async with connect(url(place), origin=origin(place)) as client:
        await hello(client)
        await client.send('{"t":"history","id":7,"of":"garage/1","tier":10,"cols":["power","cell_3"]}')
        told = await said(client, "history")
        assert (told["id"], told["rows"], told["cols"]) == (7, 720, ["power", "cell_3"])
        for wrong in (
            {"of": "garage/9"},
            {"of": 5},
            {"tier": 11},
            {"tier": "10"},
            {"cols": "power"},
            {"cols": [5]},
            {"t": "write"},
            {"t": None},
        ):
            request = {"t": "history", "id": 8, "of": "bank", "tier": 10, "cols": ["soc"], **wrong}
            await client.send(json.dumps(request))
            assert (await said(client, "no"))["id"] == 8
        await client.send('{"t":"history","id":{},"of":"bank","tier":60,"cols":[]}')
        assert (await said(client, "history"))["id"] is None


# --- bounds -----------------------------------------------------------------------------------------------
async def test_requests_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ANSWERS", 1000)
    async with served(Stage(tmp_path, batteries(4))) as place, connect(url(place), origin=origin(place)) as client:
        await hello(client)
        for n in range(REQUESTS + 1):
            await client.send(json.dumps({"t": "history", "id": n, "of": "bank", "tier": 10, "cols": ["soc"]}))
        refused = await said(client, "no")
        assert (refused["id"], refused["reason"]) == (REQUESTS, "too many requests in a minute")
        await client.send('{"t":"here"}')
        await said(client, "tick")


async def test_requests_of_all_clients_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ANSWERS", 3)
    monkeypatch.setattr(server, "BETWEEN", 0.0)
    async with served(Stage(tmp_path, batteries(4))) as place:
        clients = [await connect(url(place), origin=origin(place)) for _ in range(4)]
        for client in clients:
            await hello(client)
            await client.send('{"t":"history","id":1,"of":"bank","tier":10,"cols":["soc"]}')
        assert (await said(clients[3], "no"))["reason"] == "too many requests of all clients together"
        await asyncio.sleep(1)  # a second later there is room again, also for who was refused
        await clients[3].send('{"t":"history","id":2,"of":"bank","tier":10,"cols":["soc"]}')
        assert (await said(clients[3], "history"))["id"] == 2
        for client in clients:
            await client.close()


async def test_messages_are_bounded(place: Place) -> None:
    async with connect(url(place), origin=origin(place)) as client:
        await hello(client)
        await client.send('{"t":"here","x":"' + "y" * 70000 + '"}')
        with pytest.raises(ConnectionClosed) as gone:
            await until_closed(client)
        assert code(gone.value) == 1009


@pytest.mark.parametrize("odd", ['"\\ud800"', '"garage/\\udfff"', "NaN", "[-Infinity]"])
async def test_what_cannot_be_sent_back_costs_nobody_the_connection(
    place: Place, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(url(place), origin=origin(place)) as client:
        await hello(client)
        await client.send(f'{{"t":"plan","id":1,"changes":[{{"pack":{odd},"key":"max_charge_current","to":50}}]}}')
        assert (await said(client, "no"))["reason"]
        # it is taken for another name
        await client.send('{"t":"plan","id":1,"changes":[{"pack":"\\ud800/1","key":"max_charge_current","to":50}]}')
        assert (await said(client, "plan"))["refused"][0]["pack"] == "?/1"
        await client.send('{"t":"ports","id":NaN}')
        assert (await said(client, "ports"))["id"] is None
        await client.send('{"t":"usual","id":2}')
        assert (await said(client, "usual"))["id"] == 2
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("odd", ['"t":[]', '"t":{}', '"t":"scan","host":"x","tcp_port":true'])
async def test_odd_requests_are_refused_and_throw_nobody_out(place: Place, odd: str) -> None:
    async with connect(url(place), origin=origin(place)) as looks, connect(url(place), origin=origin(place)) as client:
        await hello(looks)
        await hello(client)
        await client.send('{"t":"unlock"}')
        await client.send(f'{{"id":1,{odd}}}')
        assert (await said(client, "no"))["reason"]
        await looks.send('{"t":"usual","id":2}')
        assert (await said(looks, "usual"))["id"] == 2


async def test_clients_are_bounded(place: Place) -> None:
    clients = [await connect(url(place), origin=origin(place)) for _ in range(CLIENTS + 1)]
    for client in clients[:CLIENTS]:
        await hello(client)
    with pytest.raises(ConnectionClosed) as gone:
        await hello(clients[CLIENTS])
    assert code(gone.value) == 1013
    await clients[0].close()
    await asyncio.sleep(0.2)
    async with connect(url(place), origin=origin(place)) as late:
        await hello(late)
    for client in clients:
        await client.close()


async def test_those_who_say_nothing_are_bounded(place: Place) -> None:
    silent = [await connect(url(place), origin=origin(place)) for _ in range(STRANGERS)]
    with pytest.raises(ConnectionClosed) as gone:
        async with connect(url(place), origin=origin(place)) as late:
            await late.recv()
    assert code(gone.value) == 1013
    for client in silent:
        await client.close()
    await asyncio.sleep(0.2)
    async with connect(url(place), origin=origin(place)) as late:
        await hello(late)


async def test_a_silent_client_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SILENCE", 0.4)
    async with served(Stage(tmp_path, batteries(1))) as place:
        async with connect(url(place), origin=origin(place)) as client:
            await hello(client)
            with pytest.raises(ConnectionClosed):
                await until_closed(client)


async def test_a_client_that_does_not_read_holds_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "EVERY", 0.01)
    monkeypatch.setattr(server, "SILENCE", 1.5)
    told: list[float] = []
    tick = stream.Told.tick

    def noted(self: stream.Told, scene: stream.Scene) -> str:
        told.append(time.monotonic())
        return tick(self, scene)

    monkeypatch.setattr(stream.Told, "tick", noted)
    async with served(Stage(tmp_path, batteries(9))) as place:
        reader, writer = await asyncio.open_connection(place.host, place.port, limit=1024)
        handshake = f"Origin: {origin(place)}\r\nHost: {place.host}:{place.port}\r\nUpgrade: websocket\r\n"
        handshake += "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        handshake += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(f"GET /live HTTP/1.1\r\n{handshake}\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"t":"hello"}'
        writer.write(bytes([0x81, 0x80 | len(body), 0, 0, 0, 0]) + body)
        await until(lambda: len(told) > 3)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: told and time.monotonic() - told[-1] > 1.0, 20)  # it is told nothing any more
        async with connect(url(place), origin=origin(place)) as other:
            await hello(other)
            before = time.monotonic()
            for _ in range(10):
                await said(other, "tick")
            assert time.monotonic() - before < 3  # nobody waits for it
        writer.transport.abort()


# --- the owner ----------------------------------------------------------------------------------------------
async def test_a_port_that_is_taken_is_a_link_error(tmp_path: Path) -> None:
    stage = Stage(tmp_path, batteries(1))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BaseExceptionGroup) as told:
            await Page(stage.sources, files.load()).own(Place("127.0.0.1", taken.getsockname()[1]), lambda: None)
    assert told.group_contains(LinkError, match="cannot listen on 127.0.0.1 port")


async def test_a_bug_restarts_the_page_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage, place = Stage(tmp_path, batteries(1)), Place("127.0.0.1", free_port())
    ready = asyncio.Event()
    page = Page(stage.sources, files.load())
    task = asyncio.create_task(Supervisor("page").run(lambda: page.own(place, ready.set)))
    await ready.wait()
    scene = stream.Camera.scene
    monkeypatch.setattr(stream.Camera, "scene", lambda *_: 1 / 0)
    with suppress(ConnectionClosed, TimeoutError):
        async with connect(url(place), origin=origin(place)) as client:
            await hello(client)
    await until(lambda: "this is a bug" in caplog.text)
    monkeypatch.setattr(stream.Camera, "scene", scene)
    ready.clear()
    await asyncio.wait_for(ready.wait(), 5)
    async with connect(url(place), origin=origin(place)) as client:
        await hello(client)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_clients_leave_nothing_behind(tmp_path: Path) -> None:
    stage, place = Stage(tmp_path, batteries(1)), Place("127.0.0.1", free_port())
    page, ready = Page(stage.sources, files.load()), asyncio.Event()
    task = asyncio.create_task(page.own(place, ready.set))
    await ready.wait()
    for _ in range(20):
        async with connect(url(place), origin=origin(place)) as client:
            await hello(client)
    await until(lambda: not page._clients)
    await until(lambda: len(asyncio.all_tasks()) < 12)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
