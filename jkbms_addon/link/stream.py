"""One way to open a stream of bytes: a serial port through pyserial-asyncio, or a TCP gateway.

Measured of pyserial-asyncio 0.6: ``socket://`` would block the loop, so TCP is opened by asyncio itself; a
transport that still holds unsent bytes never finishes ``close()``, so links end with ``abort()``; that waits in the
event loop until an adapter has taken every byte, so they are thrown away first. To open and to close an adapter that
hangs takes the kernel up to half a minute, which its owner's thread waits for.
"""

import asyncio
import logging
import socket
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import serial
import serial_asyncio

from jkbms_addon.errors import LinkError
from jkbms_addon.link.place import exists
from jkbms_addon.link.tap import Tapped
from jkbms_addon.link.tcp import connected
from jkbms_addon.worker import own

_LOGGER = logging.getLogger(__name__)
TRACE = 5
MAX_PENDING = 65536  # bytes; whoever does not read loses the oldest
SLICE: Final = 512  # bytes that one read gives, so that looking through them takes some ms at most on a small machine
BAUDRATE: Final = 115200
OPEN: Final = 5.0  # s for opening an adapter
CLOSE: Final = 1.0  # s of waiting until it is closed; a program that is asked to stop has not more


class Link(asyncio.Protocol, Tapped[bytes]):
    """An open stream. ``read`` gives what arrived, ``write`` sends; both raise ``LinkError`` once it is gone."""

    medium = "bytes"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.received = 0
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
        self.passed("rx", data)
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
        self.passed("tx", data)
        self._transport.write(data)

    @property
    def pending(self) -> bool:
        """Whether bytes have arrived that were not read."""
        return bool(self._pending)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None and self._lost is None:
            self._transport.abort()


class _Port(serial.Serial):  # type: ignore[misc]
    """A serial port that the event loop never waits for: it is closed by ``end``, in a thread."""

    def flush(self) -> None:
        """Throw away what was not sent, as the transport calls this when it ends."""
        self.reset_output_buffer()

    def close(self) -> None:
        """Leave that to ``end``."""

    def end(self) -> None:
        """Close the port; it blocks."""
        with suppress(OSError, termios.error):  # an adapter that was pulled has nothing to throw away
            self.reset_output_buffer()
        with suppress(OSError, termios.error):
            super().close()


def _opened(port: str, baudrate: int) -> _Port:
    """The open port without what it received before; it blocks."""
    # the transport would set these times, with another call that may block
    device = _Port(port, baudrate=baudrate, exclusive=True, timeout=0, write_timeout=0)
    device.reset_input_buffer()
    return device


@asynccontextmanager
async def serial_link(port: str, baudrate: int = BAUDRATE) -> AsyncIterator[Link]:
    """A serial port, 8N1, for us alone; ``LinkError`` says why it cannot be opened."""
    link, worker, hangs = Link(Path(port).name or port), own(), f"{port}: the adapter hangs; plug it in again"
    try:
        device = await worker.call(partial(_opened, port, baudrate), OPEN, hangs, _Port.end)
    except (OSError, ValueError, termios.error) as error:
        raise LinkError(_why_not(port, error)) from error
    try:
        await serial_asyncio.connection_for_serial(asyncio.get_running_loop(), lambda: link, device)
        await asyncio.sleep(0)  # the transport introduces itself to the link in the next turn of the loop
        yield link
    finally:
        link.abort()
        await asyncio.sleep(0)  # lets the transport forget the port before it is closed
        await worker.finish(device.end, CLOSE, hangs)  # one that hangs is told of when it is to be opened again


def leftover(context: Mapping[str, Any]) -> bool:
    """Whether a complaint of the event loop is about an adapter that was pulled: whoever owns the port tells it."""
    fatal = str(context.get("message", "")).startswith("Fatal ")
    return fatal and isinstance(context.get("exception"), serial.SerialException)


def _why_not(port: str, error: Exception) -> str:
    if not exists(port):
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
        sock = await connected(host, port)
    except LinkError as error:
        raise LinkError(f"{link.name}: {error}") from error
    _keep_alive(sock)
    await asyncio.get_running_loop().create_connection(lambda: link, sock=sock)
    try:
        yield link
    finally:
        link.abort()
        await asyncio.sleep(0)


def _keep_alive(sock: socket.socket) -> None:
    """Ask the kernel to notice a dead peer within about half a minute."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 25000)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
