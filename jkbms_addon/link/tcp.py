"""A TCP connection to a host that is given by name or address. Nothing here makes the event loop wait.

A name server that does not answer costs only the owner that asks it, and not even that where the name was found
before: the addresses that it had then are used.
"""

import asyncio
import logging
import os
import socket
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from jkbms_addon.errors import LinkError
from jkbms_addon.worker import own

_LOGGER = logging.getLogger(__name__)
RESOLVE: Final = 5.0  # s for the name server
HURRIED: Final = 1.0  # s; the same where the name was found before
CONNECT: Final = 5.0  # s for all addresses of a host together
NO_NAME_SERVER: Final = "the name server does not answer"
_Found = list[tuple[Any, ...]]  # as socket.getaddrinfo gives it
_known: dict[tuple[str, int], _Found] = {}  # what was found last


async def connected(host: str, port: int) -> socket.socket:
    """A connected socket that does not block; ``LinkError`` says why there is none, without naming the host."""
    loop, found = asyncio.get_running_loop(), await _addresses(host, port)
    end, failure = loop.time() + CONNECT, OSError()
    for number, (family, kind, protocol, _, address) in enumerate(found):
        with ExitStack() as stack:
            try:
                sock = socket.socket(family, kind, protocol)
                stack.callback(sock.close)
                sock.setblocking(False)
                async with asyncio.timeout((end - loop.time()) / (len(found) - number)):
                    await loop.sock_connect(sock, address)
            except OSError as error:
                failure = error
            else:
                stack.pop_all()
                return sock
    raise LinkError("does not answer" if failure.errno is None else os.strerror(failure.errno)) from failure


async def _addresses(host: str, port: int) -> _Found:
    """All addresses of a host; ``LinkError``."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        return look_up(flags=socket.AI_NUMERICHOST)  # asks nobody
    except (socket.gaierror, UnicodeError):
        pass  # it is a name
    try:
        found = await own().call(look_up, HURRIED if (host, port) in _known else RESOLVE, NO_NAME_SERVER)
    except (LinkError, socket.gaierror, UnicodeError) as error:
        return _as_before(host, port, error)
    _known[host, port] = found
    return found


def _as_before(host: str, port: int, error: Exception) -> _Found:
    """The addresses that a name had when somebody answered; ``LinkError``."""
    if isinstance(error, UnicodeError):
        raise LinkError("this is not a name of a host") from error
    if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
        raise LinkError(str(error.strerror or error)) from error
    if (host, port) not in _known:
        raise LinkError(NO_NAME_SERVER if isinstance(error, socket.gaierror) else str(error)) from error
    _LOGGER.debug("%s: %s; using the address that it had before", host, error)
    return _known[host, port]
