import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from jkbms_addon.errors import LinkError
from jkbms_addon.options.file import parse
from jkbms_addon.page.place import PROXY, PageOptions, Place, ask, supervised
from tests.page.supervisor import JUNK
from tests.page.supervisor import supervisor as junk

GOOD = {"result": "ok", "data": {"ip_address": "172.30.32.1", "ingress_port": 62123}}


@contextmanager
def supervisor(status: int, body: Any) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers['Authorization']}")
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_supervisor_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_TOKEN", "secret")
    with supervisor(200, GOOD) as (url, asked):
        assert ask(url) == Place("172.30.32.1", 62123, peer=PROXY)
    assert asked == ["/addons/self/info Bearer secret"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b""),
        (200, b"<html>"),
        (200, {"data": {}}),
        (200, {"data": {"ip_address": "172.30.32.1", "ingress_port": None}}),
        (200, {"data": {"ip_address": "172.30.32.1", "ingress_port": 0}}),
        (200, {"data": {"ip_address": "0.0.0.0", "ingress_port": 62123}}),
        (200, {"data": {"ip_address": "", "ingress_port": 62123}}),
        (200, []),
    ],
)
def test_no_answer_is_one_line(status: int, body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_TOKEN", "secret")
    with supervisor(status, body) as (url, _), pytest.raises(LinkError) as told:
        ask(url)
    assert "secret" not in str(told.value)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("mood", sorted(JUNK))
def test_junk_is_one_line(mood: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_TOKEN", "secret")
    with junk(mood=mood) as far, pytest.raises(LinkError) as told:
        ask(far.url)
    assert len(str(told.value).splitlines()) == 1


def test_nobody_there() -> None:
    with pytest.raises(LinkError, match="does not say"):
        ask("http://127.0.0.1:9")


def test_whether_there_is_a_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_TOKEN", raising=False)
    assert not supervised()
    monkeypatch.setenv("SUPERVISOR_TOKEN", "x")
    assert supervised()


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({"port": 8080, "token": ""}, "token"),
        ({"port": 8080, "token": "fifteen letters"}, "token"),
        ({"port": -1}, "port"),
        ({"port": "8080"}, "port"),
        ({"port": 70000}, "port"),
        ({"token": 5}, "token"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_section_costs_the_port_only(raw: dict[str, Any], problem: str) -> None:
    options = parse({"page": raw})
    assert options.page.port == 0
    assert options.page.problem.startswith(f"page: {problem}: ")
    assert options.problems == [options.page.problem]
    assert "fifteen letters" not in options.page.problem


def test_a_right_section() -> None:
    assert parse({"page": {"port": 8080, "token": "sixteen letters!"}}).page == PageOptions(8080, "sixteen letters!")
    assert parse({"page": {"port": 0, "token": "short"}}).problems == []
    assert parse({}).page == PageOptions()
