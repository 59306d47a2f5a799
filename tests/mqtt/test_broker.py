import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jkbms_addon.errors import LinkError
from jkbms_addon.mqtt.broker import Access, BrokerAddress, MqttOptions, access
from tests.page.supervisor import JUNK
from tests.page.supervisor import supervisor as junk


@asynccontextmanager
async def supervisor(status: int, answer: object) -> AsyncIterator[tuple[str, list[str]]]:
    """A Supervisor that speaks HTTP on a free port and keeps what it was asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


GOOD = {
    "result": "ok",
    "data": {"host": "core-mosquitto", "port": 1883, "username": "addons", "password": "s3cret", "ssl": False},
}


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_TOKEN", "t0ken")


async def test_options_win() -> None:
    assert await access(MqttOptions(host="broker", tls=True)) == Access("broker", tls=True)


async def test_the_supervisor_is_asked_anew_each_time() -> None:
    async with supervisor(200, GOOD) as (url, asked):
        for _ in range(2):
            assert await access(MqttOptions(), url) == Access("core-mosquitto", 1883, "addons", "s3cret")
        assert len(asked) == 2
        assert asked[0].startswith("GET /services/mqtt ")
        assert "Bearer t0ken" in asked[0]


async def test_a_port_as_text_and_tls() -> None:
    data = {"host": "b", "port": "8883", "ssl": True, "username": None}
    async with supervisor(200, {"data": data}) as (url, _):
        assert await access(MqttOptions(), url) == Access("b", 8883, tls=True)


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (400, {"result": "error"}, "install the Mosquitto broker app or set mqtt.host"),
        (403, {}, r"refuses to name the MQTT broker \(status 403\)"),
        (200, {"data": {}}, "does not name the MQTT broker"),
        (200, b"<html>", "does not name the MQTT broker"),
        (200, [], "does not name the MQTT broker"),
    ],
)
async def test_what_else_it_may_say(status: int, answer: object, message: str) -> None:
    async with supervisor(status, answer) as (url, _):
        with pytest.raises(LinkError, match=message):
            await access(MqttOptions(), url)


async def test_nobody_there() -> None:
    with pytest.raises(LinkError, match="does not name the MQTT broker"):
        await access(MqttOptions(), "http://127.0.0.1:9")


@pytest.mark.parametrize("mood", sorted(JUNK))
async def test_junk_is_one_line(mood: str) -> None:
    with junk(mood=mood) as far, pytest.raises(LinkError) as told:
        await access(MqttOptions(), far.url)
    assert len(str(told.value).splitlines()) == 1


async def test_no_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_TOKEN")
    with pytest.raises(LinkError, match=r"set mqtt\.host"):
        await access(MqttOptions())


def test_a_password_is_in_no_repr() -> None:
    assert "s3cret" not in repr(Access("h", password="s3cret")) + repr(MqttOptions(password="s3cret"))


async def test_the_broker_named_last_holds_while_the_supervisor_is_away() -> None:
    async with supervisor(200, GOOD) as (url, _):
        where = BrokerAddress(MqttOptions(), url)
        known = await where.now()
    assert await where.now() == known  # nobody answers there any more


async def test_a_supervisor_that_knows_no_broker_is_believed() -> None:
    async with supervisor(200, GOOD) as (url, _):
        where = BrokerAddress(MqttOptions(), url)
        await where.now()
    where = BrokerAddress(MqttOptions(), "http://127.0.0.1:9")
    with pytest.raises(LinkError, match="does not name"):
        await where.now()
    async with supervisor(400, {"result": "error"}) as (url, _):
        where = BrokerAddress(MqttOptions(), url)
        where._last = Access("old")
        with pytest.raises(LinkError, match="no MQTT broker"):
            await where.now()
        assert where._last is None
