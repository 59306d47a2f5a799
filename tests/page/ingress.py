"""An imitation of the two hops in front of the page in Home Assistant: Core's ingress view and the Supervisor's proxy.

What both do to a request is done here: the cookie is asked for, headers of the browser that could lie are
dropped, those that tell the user are added, websockets are opened anew on the other side without extensions.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict

from tests.conftest import free_port

TOKEN = "Zm9vYmFy"
PATH = f"/api/hassio_ingress/{TOKEN}"
DROPPED = {"host", "accept-encoding", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-version"}
HOP = {"connection", "upgrade", "transfer-encoding", "content-length", "sec-websocket-accept"}
LARGEST = 16 * 2**20
HOST = """<!doctype html><html lang="{language}" style="{style}"><head><title>Home</title>
<link rel="icon" href="data:,"></head><body style="margin:0"><main>
<iframe title="JK BMS" src="{path}/" style="border:0;width:100%;height:100vh"></iframe></main></body></html>"""
COLORS = ("--primary-background-color", "--card-background-color", "--primary-text-color", "--divider-color")


def style(*colors: str) -> str:
    """Home Assistant's colours as it writes them."""
    return ";".join(f"{name}:{color}" for name, color in zip(COLORS, colors, strict=True))


DARK, LIGHT = style("#111111", "#1c1c1c", "#e1e1e1", "#333333"), style("#fafafa", "#ffffff", "#212121", "#dddddd")


@dataclass
class Front:
    """What a browser sees of Home Assistant. ``allowed`` is whether its session is valid."""

    port: int
    user: str = "Anna Müller"
    allowed: bool = True
    language: str = "en"
    style: str = LIGHT
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The page itself, below its path."""
        return f"http://127.0.0.1:{self.port}{PATH}/"

    @property
    def host(self) -> str:
        """A page that frames it, as Home Assistant does."""
        return f"http://127.0.0.1:{self.port}/"


@asynccontextmanager
async def front(target: int, local: str = "127.0.0.1") -> AsyncIterator[Front]:
    """Core and Supervisor in front of ``target``; ``local`` is the address that the Supervisor comes from."""
    supervisor = free_port()
    seen = Front(free_port())
    async with aiohttp.ClientSession(auto_decompress=False) as outer:
        connector = aiohttp.TCPConnector(local_addr=(local, 0))
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as inner:
            second = _app(inner, f"http://127.0.0.1:{target}", "", lambda: _user(seen))
            first = _app(outer, f"http://127.0.0.1:{supervisor}", f"/ingress/{TOKEN}", lambda: _core(seen), seen)
            runners = [await _run(second, supervisor), await _run(first, seen.port)]
            try:
                yield seen
            finally:
                for runner in runners:
                    await runner.cleanup()


@asynccontextmanager
async def supervisor(target: int) -> AsyncIterator[int]:
    """The Supervisor's proxy alone, for a Core that is real; its port."""
    port = free_port()
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        runner = await _run(_app(session, f"http://127.0.0.1:{target}", "", lambda: _user(Front(0))), port)
        try:
            yield port
        finally:
            await runner.cleanup()


def _user(seen: Front) -> dict[str, str]:
    return {"X-Remote-User-Id": "abc", "X-Remote-User-Name": "anna", "X-Remote-User-Display-Name": seen.user}


def _core(seen: Front) -> dict[str, str]:
    return {
        "X-Ingress-Path": PATH,
        "X-Hass-Source": "core.ingress",
        "X-Forwarded-Host": f"127.0.0.1:{seen.port}",
        "X-Forwarded-For": "192.168.1.7",
        "X-Forwarded-Proto": "http",
    }


async def _run(app: web.Application, port: int) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


def _app(
    session: aiohttp.ClientSession, target: str, below: str, headers: object, seen: Front | None = None
) -> web.Application:
    async def handle(request: web.Request) -> web.StreamResponse:
        path = request.path
        if seen is not None:
            if path == "/":
                text = HOST.format(language=seen.language, style=seen.style, path=PATH)
                return web.Response(text=text, content_type="text/html")
            if not path.startswith(PATH):
                return web.Response(status=404)
            seen.asked.append(path)
            if not seen.allowed:
                return web.Response(status=401)
            path = path.removeprefix(PATH)
        else:
            path = path.removeprefix(f"/ingress/{TOKEN}")
        assert callable(headers)
        kept = [(k, v) for k, v in request.headers.items() if k.lower() not in DROPPED | HOP | {"cookie"}]
        sent = CIMultiDict([(k, v) for k, v in kept if not k.lower().startswith("x-remote-") or below == ""])
        sent.update(headers())
        url = f"{target}{below}{path}" + (f"?{request.query_string}" if request.query_string else "")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await _socket(session, request, url, sent)
        async with session.request(request.method, url, headers=sent, allow_redirects=False) as answer:
            body = await answer.read()
            told = CIMultiDict([(k, v) for k, v in answer.headers.items() if k.lower() not in HOP])
            return web.Response(status=answer.status, headers=told, body=body)

    app = web.Application(client_max_size=LARGEST)
    app.router.add_route("*", "/{tail:.*}", handle)
    return app


async def _socket(
    session: aiohttp.ClientSession, request: web.Request, url: str, headers: CIMultiDict[str]
) -> web.StreamResponse:
    try:
        far = await session.ws_connect(url, headers=headers, max_msg_size=LARGEST, compress=0, autoclose=False)
    except aiohttp.WSServerHandshakeError as error:
        return web.Response(status=error.status)
    except aiohttp.ClientError:
        return web.Response(status=502)
    near = web.WebSocketResponse(max_msg_size=LARGEST, compress=False, autoclose=False)
    await near.prepare(request)

    async def pump(source: object, sink: object) -> None:
        assert isinstance(source, (aiohttp.ClientWebSocketResponse, web.WebSocketResponse))
        assert isinstance(sink, (aiohttp.ClientWebSocketResponse, web.WebSocketResponse))
        async for message in source:
            if message.type == WSMsgType.TEXT:
                await sink.send_str(message.data)
        code = source.close_code
        await sink.close(code=code if code and code != 1006 else 1000)

    with suppress(ConnectionError, aiohttp.ClientError):
        tasks = [asyncio.create_task(pump(near, far)), asyncio.create_task(pump(far, near))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await far.close()
    return near
