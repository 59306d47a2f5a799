"""Connections to hosts by name: the name server may be dead, wrong, or lie."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from jkbms_addon.errors import LinkError
from jkbms_addon.link import tcp
from jkbms_addon.link.tcp import connected
from jkbms_addon.worker import OWN, Worker

REAL = socket.getaddrinfo


class NameServer:
    """Answers for ``gateway.test``, or not at all, or with an error."""

    def __init__(self) -> None:
        self.alive, self.addresses, self.error = threading.Event(), ["127.0.0.1"], 0
        self.alive.set()
        self.asked = 0

    def __call__(self, host: str, port: int, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
        if flags & socket.AI_NUMERICHOST or host != "gateway.test":
            return REAL(host, port, family, type, proto, flags)
        self.asked += 1
        assert self.alive.wait(30)
        if self.error:
            raise socket.gaierror(self.error, "whatever it says")
        return [found for one in self.addresses for found in REAL(one, port, type=type)]


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server)
    monkeypatch.setattr(tcp, "RESOLVE", 0.2)
    monkeypatch.setattr(tcp, "HURRIED", 0.1)
    monkeypatch.setattr(tcp, "CONNECT", 0.6)
    monkeypatch.setattr(tcp, "_known", {})
    own = OWN.set(Worker("test"))
    yield server
    server.alive.set()
    OWN.reset(own)


async def listening() -> asyncio.Server:
    return await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def test_a_name_is_found_and_an_address_asks_nobody(names: NameServer) -> None:
    async with await listening() as server:
        for host, asked in (("127.0.0.1", 0), ("gateway.test", 1)):
            (await connected(host, port_of(server))).close()
            assert names.asked == asked


async def test_a_dead_name_server_is_told_in_time_and_asked_once(names: NameServer) -> None:
    names.alive.clear()
    async with await listening() as server:
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(LinkError, match=r"^the name server does not answer$"):
                await connected("gateway.test", port_of(server))
            assert time.monotonic() - began < 2
        assert names.asked == 1  # no second thread hangs there
        names.alive.set()
        (await connected("gateway.test", port_of(server))).close()


@pytest.mark.parametrize("dies", ["hangs", "says so"])
async def test_what_was_found_before_holds_while_the_name_server_is_dead(names: NameServer, dies: str) -> None:
    async with await listening() as server:
        (await connected("gateway.test", port_of(server))).close()
        if dies == "hangs":
            names.alive.clear()
        names.error = socket.EAI_AGAIN
        (await connected("gateway.test", port_of(server))).close()


async def test_a_name_that_is_gone_is_not_used_any_more(names: NameServer) -> None:
    async with await listening() as server:
        (await connected("gateway.test", port_of(server))).close()
        names.error = socket.EAI_NONAME
        with pytest.raises(LinkError, match="whatever it says"):
            await connected("gateway.test", port_of(server))


async def test_no_answer_at_all_reads_alike_however_it_is_told(names: NameServer) -> None:
    names.error = socket.EAI_AGAIN
    with pytest.raises(LinkError, match=r"^the name server does not answer$"):
        await connected("gateway.test", 1)


async def test_the_next_address_is_tried(names: NameServer) -> None:
    names.addresses = ["127.0.0.9", "127.0.0.1"]
    async with await listening() as server:
        (await connected("gateway.test", port_of(server))).close()


@pytest.mark.parametrize(("host", "text"), [("127.0.0.1", "Connection refused"), ("x" * 70, "not a name of a host")])
async def test_why_there_is_none(host: str, text: str) -> None:
    with pytest.raises(LinkError, match=text):
        await connected(host, 9)


async def test_an_address_that_swallows_is_given_up() -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(2):  # as many as the kernel takes for somebody who never looks
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        with pytest.raises(LinkError, match="does not answer"):
            await connected("127.0.0.1", port)
