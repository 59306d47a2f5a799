"""A small imitation of Home Assistant's Supervisor: what it lets an app do with its own options.

As the real one: it knows the app by its token, lets it reach ``info``, ``options`` and ``restart`` of its own and the
``/info`` of the whole house, and refuses ``options/validate``, which wants a higher role. Options are checked against
the schema of ``config.yaml`` and kept as that makes them: what it does not know is dropped, what stands in a list of
choices becomes text. It complains with the whole value quoted. ``mood`` makes it misbehave.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.test_manifest import CONFIG, ELEMENT, optional

TOKEN = "the-token-of-the-app"
OPEN = ("info", "options", "restart", "/info")
HOUSE = {"supervisor": "2026.08.1", "homeassistant": "2026.8.2", "hassos": None, "hostname": "green", "timezone": "UTC"}
JUNK: dict[str, bytes] = {
    "html": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>",
    "list": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[1, 2]",
    "deep": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"[" * 100_000,
    "no data": b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"result": "ok", "data": null}',
    "no result": b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"data": {"options": {}}}',
    "error": b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"result": "error", "message": "System is not ready"}',
    "cut": b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\nConnection: close\r\n\r\n{"result": "o',
    "no HTTP": b"SSH-2.0-dropbear\r\n",
    "nothing": b"",
    "broken refusal": b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n\xff\xfe",
}


class RefusedError(Exception):
    """What voluptuous would say."""


@dataclass
class Imitation:
    """``options`` are what it holds, ``asked`` what it was asked for; ``restarted`` is called for a restart."""

    options: dict[str, Any] = field(default_factory=lambda: deepcopy(CONFIG["options"]))
    mood: str = ""
    url: str = ""
    asked: list[str] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)  # of the app, beside its options
    restarted: Callable[[], object] = lambda: None
    freed: threading.Event = field(default_factory=threading.Event)  # ends what hangs

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and JSON."""
        what = path.removeprefix("/addons/self/")
        self.asked.append(f"{method} {what}")
        if token != f"Bearer {TOKEN}" or what not in OPEN or self.mood == "forbidden":
            return 403, {"result": "error", "message": ""}
        if (method, what) == ("GET", "info"):
            return 200, {"result": "ok", "data": {"slug": "jkbms", **self.told, "options": self.options}}
        if (method, what) == ("GET", "/info"):
            return 200, {"result": "ok", "data": HOUSE}
        if (method, what) == ("POST", "options"):
            return self._kept(json.loads(body))
        if (method, what) == ("POST", "restart"):
            self.restarted()
            return 200, {"result": "ok", "data": {}}
        return 405, {"result": "error", "message": "Method not allowed"}

    def _kept(self, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        assert content.keys() == {"options"}
        try:
            kept = validated(CONFIG["schema"], content["options"])
        except RefusedError as error:
            told = f"App jkbms has invalid options: {error} for dictionary value. Got {content['options']}"
            return 400, {"result": "error", "message": told}
        if self.mood != "forgetful":
            self.options = kept
        return 200, {"result": "ok", "data": {}}


def validated(schema: Any, value: Any) -> Any:
    """The value as the Supervisor keeps it."""
    if isinstance(schema, dict):
        kept = {key: validated(schema[key], one) for key, one in value.items() if key in schema}
        if missing := [key for key, inner in schema.items() if key not in kept and not optional(inner)]:
            raise RefusedError(f"Missing option '{missing[0]}'")
        return kept
    if isinstance(schema, list):
        if not isinstance(value, list):
            raise RefusedError("Invalid list")
        return [validated(schema[0], one) for one in value]
    element = ELEMENT.fullmatch(schema)
    assert element
    kind, detail = element["type"], element["detail"] or ""
    if value is None:
        raise RefusedError("Missing required option")
    if kind == "list":
        if str(value) not in detail.split("|"):
            raise RefusedError(f"value must be one of {detail}")
        return str(value)
    if kind in ("str", "password") and not isinstance(value, str):
        raise RefusedError(f"expected str @ data. Got {value}")
    return {"float": float, "int": int, "port": int}.get(kind, lambda same: same)(value)


@contextmanager
def supervisor(**more: Any) -> Iterator[Imitation]:
    """One that serves on a free port."""
    found = Imitation(**more)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if found.mood == "hang" or (found.mood == "hang at save" and self.command == "POST"):
                found.asked.append(f"{self.command} (hangs)")
                found.freed.wait(60)
            if found.mood == "drip":
                self._drip()
            elif found.mood in JUNK:
                self.wfile.write(JUNK[found.mood])
            else:
                status, told = found.answer(self.command, self.path, self.headers["Authorization"], body)
                data = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            self.close_connection = True

        def _drip(self) -> None:
            """A byte now and then, for ever."""
            self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while not found.freed.wait(0.1):
                self.wfile.write(b" ")
                self.wfile.flush()

        def do_GET(self) -> None:
            with suppress(OSError):
                self._serve()

        do_POST = do_GET  # noqa: N815 - as the library calls it

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        found.freed.set()
        server.shutdown()
        thread.join()
        server.server_close()
