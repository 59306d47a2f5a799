"""One way to open a stream of bytes: a serial port through pyserial-asyncio, or a TCP gateway.

Measured of pyserial-asyncio 0.6: ``socket://`` would block the loop, so TCP is opened by asyncio itself; a
transport that still holds unsent bytes never finishes ``close()``, so links end with ``abort()``.
"""

import asyncio
import logging
import os
import socket
import termios
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import serial
import serial_asyncio

from jkbms_addon.errors import LinkError

_LOGGER = logging.getLogger(__name__)
TRACE = 5
MAX_PENDING = 65536  # bytes; whoever does not read loses the oldest
SLICE = 512  # bytes that one read gives: what it takes to look through them is not more than some ms on a small machine
BAUDRATE = 115200
CONNECT_TIMEOUT = 5.0


class Link(asyncio.Protocol):
    """An open stream. ``read`` gives what arrived, ``write`` sends; both raise ``LinkError`` once it is gone."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.received = 0
        self.tap: Callable[[str, bytes], None] | None = None  # sees every byte: "rx" or "tx"
        self._pending = bytearray()
        self._news = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._lost: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio calls this)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect bytes (asyncio calls this)."""
        self.received += len(data)
        if self.tap:
            self.tap("rx", data)
        self._pending += data
        if len(self._pending) > MAX_PENDING:
            del self._pending[:-MAX_PENDING]
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the reader with the bad news (asyncio calls this)."""
        self._lost = f"{self.name}: {exc or 'closed by the other side'}"
        self._news.set()

    def eof_received(self) -> bool:
        """The other side closed; let the transport close too."""
        return False

    async def read(self, timeout: float) -> bytes:  # noqa: ASYNC109
        """Bytes that arrived, waiting up to ``timeout`` seconds for the first; empty when none came."""
        if not self._pending and self._lost is None:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._news.wait()
        if self._pending:
            if len(self._pending) > SLICE:
                await asyncio.sleep(0)  # who gets more than that must not keep the others waiting
            data = bytes(self._pending[:SLICE])
            del self._pending[:SLICE]
            return data
        if self._lost is not None:
            raise LinkError(self._lost)
        return b""

    def write(self, data: bytes) -> None:
        """Send bytes; ``LinkError`` when the link is gone or takes nothing any more."""
        if self._lost is not None or self._transport is None:
            raise LinkError(self._lost or f"{self.name}: not open")
        if self._transport.get_write_buffer_size() > 4096:
            raise LinkError(f"{self.name}: takes no bytes any more")
        # what arrives is logged message by message elsewhere: raw pieces may hold a BMS's passwords
        if _LOGGER.isEnabledFor(TRACE):
            _LOGGER.log(TRACE, "%s -> %s", self.name, data.hex(" "))
        if self.tap:
            self.tap("tx", data)
        self._transport.write(data)

    @property
    def pending(self) -> bool:
        """Whether bytes have arrived that were not read."""
        return bool(self._pending)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None and self._lost is None:
            self._transport.abort()


@asynccontextmanager
async def serial_link(port: str, baudrate: int = BAUDRATE) -> AsyncIterator[Link]:
    """A serial port, 8N1, for us alone; ``LinkError`` says why it cannot be opened."""
    link = Link(Path(port).name or port)
    try:
        transport, _ = await serial_asyncio.create_serial_connection(
            asyncio.get_running_loop(), lambda: link, port, baudrate=baudrate, exclusive=True
        )
        transport.serial.reset_input_buffer()
    except (OSError, ValueError, termios.error) as error:
        raise LinkError(_why_not(port, error)) from error
    await asyncio.sleep(0)  # the transport introduces itself to the link in the next turn of the loop
    try:
        yield link
    finally:
        link.abort()
        await asyncio.sleep(0)  # lets the transport close the port before it is opened again


def leftover(context: Mapping[str, Any]) -> bool:
    """Whether a complaint of the event loop is about an adapter that was pulled: whoever owns the port tells it."""
    fatal = str(context.get("message", "")).startswith("Fatal ")
    return fatal and isinstance(context.get("exception"), serial.SerialException)


def _why_not(port: str, error: Exception) -> str:
    if not os.path.exists(port):  # noqa: PTH110 - a name that is too long does not exist either
        return f"{port} does not exist; is the adapter plugged in?"
    text = str(error)
    if "exclusively lock" in text or "Resource temporarily unavailable" in text:
        return f"{port} is in use by another program or bus"
    if isinstance(error, PermissionError) or "Permission denied" in text:
        return f"{port}: permission denied"
    if isinstance(error, serial.SerialException) and getattr(error, "strerror", None):
        text = str(error.strerror)
    return f"{port} cannot be opened: {text}"


@asynccontextmanager
async def tcp_link(host: str, port: int) -> AsyncIterator[Link]:
    """A connection to a gateway, with keepalive; ``LinkError`` says why there is none."""
    link = Link(f"{host}:{port}")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: link, host, port)
    except TimeoutError as error:
        raise LinkError(f"{host}:{port} does not answer") from error
    except OSError as error:
        raise LinkError(f"{host}:{port}: {_no_connection(error)}") from error
    _keep_alive(transport.get_extra_info("socket"))
    try:
        yield link
    finally:
        link.abort()
        await asyncio.sleep(0)


def _no_connection(error: OSError) -> str:
    """Why, in the system's words: asyncio puts its own in their place."""
    resolving = isinstance(error, socket.gaierror) or error.errno is None
    return str(error.strerror or error) if resolving else os.strerror(error.errno or 0)


def _keep_alive(sock: socket.socket) -> None:
    """Ask the kernel to notice a dead peer within about half a minute."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 25000)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
