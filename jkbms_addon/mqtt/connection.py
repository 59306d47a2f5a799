"""A connection to the broker that nobody waits for but its owner.

The library would look for the broker, and connect, in the event loop's common threads, without a limit, and nothing
could end a try that hangs. So it is given a socket that is connected already; what is left to do in a thread is the
handshake of TLS, which ends when the socket is shut down.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Final, TypeVar

import aiomqtt

from jkbms_addon.errors import LinkError
from jkbms_addon.link.tcp import connected
from jkbms_addon.mqtt.broker import Access
from jkbms_addon.worker import own

HANDSHAKE: Final = 8.0  # s from the connected socket to the broker's greeting
READ: Final = 3.0  # s for the file of certificates


Client = TypeVar("Client", bound=aiomqtt.Client)


@asynccontextmanager
async def connection(access: Access, made: Callable[[ssl.SSLContext | None], Client]) -> AsyncIterator[Client]:
    """The client that ``made`` makes, once the broker has greeted it.

    ``LinkError``, ``aiomqtt.MqttError`` or ``OSError`` says why it did not.
    """
    context = await own().call(partial(_tls, access), READ, f"mqtt.ca_file {access.ca_file}: the disk does not answer")
    try:
        sock = await connected(access.host, access.port)
    except LinkError as error:
        raise LinkError(f"MQTT broker {access.host}:{access.port}: {error}") from error
    async with AsyncExitStack() as stack:
        with ExitStack() as failing:
            guard = failing.enter_context(sock.dup())  # TLS takes the socket itself away
            failing.callback(_hang_up, guard)
            client = made(context)
            client._client._create_socket_connection = lambda: sock  # type: ignore[method-assign]  # noqa: SLF001
            async with asyncio.timeout(HANDSHAKE):
                await stack.enter_async_context(client)
            failing.pop_all()
            guard.close()
        yield client


def _hang_up(sock: socket.socket) -> None:
    """End the connection for everybody who still holds it, at once."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _tls(access: Access) -> ssl.SSLContext | None:
    """How to encrypt; it reads files. ``LinkError`` when it cannot."""
    if not access.tls:
        return None
    try:
        return ssl.create_default_context(cafile=access.ca_file or None)
    except OSError as error:
        raise LinkError(f"mqtt.ca_file {access.ca_file} cannot be read: {error.strerror or error}") from error
