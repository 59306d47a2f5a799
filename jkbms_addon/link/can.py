"""One way to open a CAN channel: SocketCAN by its name, a serial adapter (slcan) by its path.

python-can opens and closes both. Frames of a serial adapter are read and written in bulk on its descriptor:
python-can's ``recv`` needs 80 µs a frame and fails on a damaged line, its ``send`` waits for the hardware.
Measured of python-can 4.6 on SocketCAN: a link that goes down raises errno 100 once, an interface that is gone
errno 19 once and is never heard again, so after any error the channel must be opened anew.
"""

import asyncio
import fcntl
import logging
import os
import select
import termios
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from errno import (
    EACCES,
    EAFNOSUPPORT,
    EBUSY,
    EIO,
    ENETDOWN,
    ENOBUFS,
    ENODEV,
    ENOENT,
    ENXIO,
    EPERM,
    EPROTONOSUPPORT,
    EWOULDBLOCK,
)
from functools import partial
from pathlib import Path
from typing import Final

import can

from jkbms_addon.errors import LinkError
from jkbms_addon.link.can_setup import found_rate, set_up
from jkbms_addon.link.tap import Tapped
from jkbms_addon.wire import slcan
from jkbms_addon.wire.can import Frame, Frames
from jkbms_addon.worker import own

logging.getLogger("can").setLevel(logging.CRITICAL)  # what it logs it also raises

SETTLE = 0.1  # s until an adapter that was just opened takes commands
PATIENCE = 5.0  # s for opening an adapter
CLOSE: Final = 1.0  # s of waiting until it is closed; a program that is asked to stop has not more
BATCH = 512  # frames, or pieces of text, of one look
WRITTEN = 4096  # bytes of one piece
PROOF = 0.5  # s in which a frame proves that a controller without carrier works after all
BUS_OFF_TEXT: Final = "bus-off: wiring, termination or bit rate"
_TROUBLE: Final = ((0x30, "error passive"), (0x0C, "many errors"))  # bits of the controller's state in an error frame
BUS_OFF, CONTROLLER, NO_ANSWER = 0x40, 0x04, 0x20  # kinds of error frame
_TEXTS: Final = {
    EAFNOSUPPORT: "the kernel has no SocketCAN; a serial adapter (slcan) works without it",
    EPROTONOSUPPORT: "the kernel has no SocketCAN; a serial adapter (slcan) works without it",
    ENODEV: "does not exist; is the adapter plugged in?",
    ENXIO: "does not exist; is the adapter plugged in?",
    ENOENT: "does not exist; is the adapter plugged in?",
    ENETDOWN: "the link is down; bring it up, or set set_up_link",
    ENOBUFS: "the transmit queue is full; nobody on the bus acknowledges",
    EIO: "the adapter is gone",
    EWOULDBLOCK: "in use by another program or bus",
    EBUSY: "in use by another program or bus",
    EACCES: "permission denied",
    EPERM: "permission denied",
}


def explained(name: str, error: Exception) -> str:
    """What is wrong with a channel, in a line for its owner."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else None
    numbers = (getattr(one, key, None) for one in (error, cause) for key in ("errno", "error_code"))
    text = next((_TEXTS[number] for number in numbers if number in _TEXTS), None)
    return f"{name}: {text or getattr(error, 'strerror', None) or error}"


class Channel(Tapped[Frames]):
    """An open channel; one owner reads and sends. After a ``LinkError`` it must be opened anew.

    ``errors`` counts the controller's error messages, ``trouble`` is the latest in words, ``junk`` counts
    damaged bytes of a serial adapter. ``rate`` is the bit rate at which a link was found, once it was looked at.
    """

    medium = "frames"

    def __init__(self, name: str, fd: int) -> None:
        super().__init__()
        self.name, self._fd = name, fd
        self.errors = self.junk = 0
        self.trouble = ""
        self.rate: int | None = None

    async def read(self, timeout: float) -> list[Frame]:  # noqa: ASYNC109
        """Data frames that arrived, waiting up to ``timeout`` seconds for the first; ``LinkError``."""
        frames = self._heard()
        if frames or timeout <= 0 or not await self._readable(timeout):
            return frames
        return self._heard()

    def send(self, frame: Frame) -> None:
        """Hand a frame to the adapter without waiting; ``LinkError`` when it takes none."""
        self._send(frame)
        self.passed("tx", (frame,))

    @property
    def pending(self) -> int:
        """Frames that were sent and that nobody has acknowledged yet, as far as the adapter tells."""
        return 0

    def discard(self) -> None:
        """Forget what piled up while nobody read; the kernel keeps some hundred frames."""
        for _ in range(BATCH):
            if not self._heard():
                return

    async def restart(self) -> None:
        """Nothing is heard: tell a serial adapter again what it may have missed; ``LinkError``."""

    def look_at_rate(self) -> None:
        """Find out ``rate``, without waiting for it; an adapter has the one that it was told."""

    def _heard(self) -> list[Frame]:
        frames = self._arrived()
        if frames:
            self.passed("rx", tuple(frames))
        return frames

    def _arrived(self) -> list[Frame]:
        raise NotImplementedError

    def _send(self, frame: Frame) -> None:
        raise NotImplementedError

    async def _readable(self, timeout: float) -> bool:  # noqa: ASYNC109
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._fd, ready.set)
        try:
            async with asyncio.timeout(timeout):
                await ready.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._fd)
        return True


class SocketCan(Channel):
    """A SocketCAN interface."""

    def __init__(self, name: str, bus: can.BusABC, *, confirm: bool = False) -> None:
        super().__init__(name, bus.fileno())
        self._bus, self._confirm = bus, confirm
        self._unconfirmed: deque[Frame] = deque(maxlen=BATCH)
        self._look: asyncio.Task[None] | None = None

    def _send(self, frame: Frame) -> None:
        try:
            self._bus.send(message(frame))
        except can.CanError as error:
            raise LinkError(explained(self.name, error)) from error
        if self._confirm:
            self._unconfirmed.append(frame)

    @property
    def pending(self) -> int:
        """Frames that are not on the wire yet, where the link was opened to ``confirm``; else 0."""
        return len(self._unconfirmed)

    def look_at_rate(self) -> None:
        """Ask ``ip`` at which rate somebody else has set the link up."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._find_rate())

    async def _find_rate(self) -> None:
        self.rate = await found_rate(self.name)

    def end(self) -> None:
        """Nobody uses the channel any more."""
        if self._look:
            self._look.cancel()

    def _arrived(self) -> list[Frame]:
        found = []
        try:
            for _ in range(BATCH):
                # with nothing to read recv looks at the wall clock, and waits for ever when that was just set back
                if not select.select([self._fd], [], [], 0)[0]:
                    break
                heard = self._bus.recv(0)
                if heard is None:
                    break
                if heard.is_error_frame:
                    self._error(heard)
                elif not heard.is_remote_frame and not heard.is_fd:
                    frame = Frame(heard.arbitration_id, heard.is_extended_id, bytes(heard.data))
                    if not self._own(frame, heard):
                        found.append(frame)
        except can.CanError as error:
            raise LinkError(explained(self.name, error)) from error
        return found

    def _own(self, frame: Frame, heard: can.Message) -> bool:
        """Whether this is the oldest of our own: the kernel gives back what another node has acknowledged."""
        own = not heard.is_rx and bool(self._unconfirmed) and self._unconfirmed[0] == frame
        if own:
            self._unconfirmed.popleft()
        return own

    def _error(self, heard: can.Message) -> None:
        kind, state = heard.arbitration_id, heard.data[1] if len(heard.data) > 1 else 0
        self.errors += 1
        if kind & BUS_OFF:
            raise LinkError(f"{self.name}: {BUS_OFF_TEXT}")
        if kind & NO_ANSWER:
            self.trouble = "nobody acknowledges"
        elif kind & CONTROLLER:
            self.trouble = next((text for bits, text in _TROUBLE if state & bits), "")


class Slcan(Channel):
    """A serial adapter that speaks slcan, locked for us alone."""

    def __init__(self, name: str, bus: can.BusABC, bitrate: int) -> None:
        super().__init__(name, bus.fileno())
        self._bus, self._bitrate, self._lines = bus, bitrate, slcan.Lines()

    def _send(self, frame: Frame) -> None:
        line = slcan.written(frame)
        try:
            whole = os.write(self._fd, line) == len(line)
        except BlockingIOError:
            whole = False
        except OSError as error:
            raise LinkError(explained(self.name, error)) from error
        if not whole:
            raise LinkError(f"{self.name}: takes no frames any more")

    async def restart(self) -> None:
        """Set the bit rate and open the adapter's channel once more; ``LinkError``."""
        again = partial(self._bus.set_bitrate, self._bitrate)  # type: ignore[attr-defined]
        try:
            await own().call(again, PATIENCE, f"{self.name}: takes no commands any more")
        except can.CanError as error:
            raise LinkError(explained(self.name, error)) from error

    def _arrived(self) -> list[Frame]:
        found: list[Frame] = []
        try:
            for _ in range(BATCH):
                data = os.read(self._fd, WRITTEN)
                if not data:
                    raise LinkError(f"{self.name}: {_TEXTS[EIO]}")
                found += self._lines.feed(data)
                if len(found) >= BATCH:
                    break
        except BlockingIOError:
            pass  # all is read
        except OSError as error:
            raise LinkError(explained(self.name, error)) from error
        self.junk = self._lines.junk
        return found


def message(frame: Frame) -> can.Message:
    """A frame as python-can wants it."""
    return can.Message(arbitration_id=frame.can_id, is_extended_id=frame.extended, data=frame.data)


def is_serial(name: str) -> bool:
    """Whether a channel's name is the path of a serial adapter."""
    return "/" in name


@asynccontextmanager
async def can_channel(
    name: str, bitrate: int, *, set_up_link: bool = False, confirm: bool = False
) -> AsyncIterator[Channel]:
    """An open channel at ``bitrate`` bit/s; ``LinkError`` says why there is none.

    A SocketCAN link is used as found unless ``set_up_link``; a serial adapter is always set to the bit rate.
    ``confirm`` counts the frames that nobody has acknowledged yet.
    """
    opened = (
        _slcan(name, bitrate)
        if is_serial(name)
        else _socketcan(name, bitrate, set_up_link=set_up_link, confirm=confirm)
    )
    async with opened as channel:
        yield channel


# --- SocketCAN -----------------------------------------------------------------------------------------
@asynccontextmanager
async def _socketcan(name: str, bitrate: int, *, set_up_link: bool, confirm: bool) -> AsyncIterator[Channel]:
    if set_up_link:
        await set_up(name, bitrate)
    # the first one reads modules of python-can from the disk
    start = partial(can.Bus, interface="socketcan", channel=name, ignore_config=True, receive_own_messages=confirm)
    try:
        bus = await own().call(start, PATIENCE, f"{name}: cannot be opened", can.BusABC.shutdown)
    except (OSError, can.CanError) as error:
        raise LinkError(explained(name, error)) from error
    channel = SocketCan(name, bus, confirm=confirm)
    try:
        await channel.read(0)  # a link that is down says so only when it is read
        if _without_carrier(name) and (confirm or not await channel.read(PROOF)):
            raise LinkError(f"{name}: {BUS_OFF_TEXT}")
        yield channel
    finally:
        channel.end()
        bus.shutdown()


def _without_carrier(name: str) -> bool:
    """Whether the controller of a link that is up has left the bus; the kernel says so only once, when it happens."""
    try:
        return Path(f"/sys/class/net/{name}/carrier").read_text(encoding="ascii").strip() == "0"
    except OSError:
        return False


# --- serial adapters -----------------------------------------------------------------------------------
@asynccontextmanager
async def _slcan(path: str, bitrate: int) -> AsyncIterator[Channel]:
    name, worker = Path(path).name or path, own()
    hangs = f"{path}: takes no commands"
    try:
        opened = await worker.call(partial(_open, path, bitrate), PATIENCE, hangs, _close)
    except (OSError, ValueError, termios.error, can.CanError) as error:
        raise LinkError(explained(path, error)) from error
    try:
        yield Slcan(name, opened[0], bitrate)
    finally:
        # one that hangs keeps its lock, so that nobody else hangs on it
        await worker.finish(partial(_close, opened), CLOSE, hangs)


def _open(path: str, bitrate: int) -> tuple[can.BusABC, int]:
    """The adapter, and a descriptor that locks its port; it may block."""
    lock = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        bus = can.Bus(interface="slcan", channel=path, bitrate=bitrate, sleep_after_open=SETTLE, ignore_config=True)
        _tell_end(bus.fileno())
    except (OSError, ValueError, termios.error, can.CanError):
        os.close(lock)
        raise
    return bus, lock


def _tell_end(fd: int) -> None:
    """Let an empty read mean that the adapter is gone, not only that there is nothing to read."""
    attributes = termios.tcgetattr(fd)
    attributes[6][termios.VMIN] = 1
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _close(opened: tuple[can.BusABC, int]) -> None:
    """Close what ``_open`` opened; it may block."""
    bus, lock = opened
    with suppress(can.CanError):  # an adapter that was pulled cannot be told to close
        bus.shutdown()
    with suppress(OSError):
        bus.serialPortOrig.close()  # type: ignore[attr-defined]
    os.close(lock)
