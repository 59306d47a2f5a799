"""CAN links of a kernel with SocketCAN that a test can break and mend, and what others do on them.

All of it needs root. ``vcan`` is a virtual interface, ``controller`` is ``can0`` with ``can1`` on the same bus, whose
PCI devices can be removed and found again, ``slcan`` is the kernel's driver of serial adapters on a pty.
"""

import asyncio
import fcntl
import os
import socket
import struct
import termios
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import can
import pytest

from jkbms_addon.link.can import message
from jkbms_addon.simulator.can import Adapter, slcan_adapter
from jkbms_addon.simulator.far_end import running
from jkbms_addon.wire.can import Frame

SLOW = 30.0  # s; an emulated machine is some twenty times slower
GOAL = 5.0  # s from the end of a fault until all is well
EMULATED = 3.0  # s that an emulated machine may need more
N_TTY, N_SLCAN, SIOCGIFNAME = 0, 17, 0x8910  # of the kernel's headers
BUS_OFF = can.Message(arbitration_id=0x40, is_error_frame=True, is_extended_id=False, data=bytes(8))


class Fault(NamedTuple):
    """What a link does when it begins and ends, and what is said meanwhile."""

    begin: str
    end: str
    text: str


FAULTS = {
    "down": Fault("down", "up", "{}: the link is down; bring it up, or set set_up_link"),
    "gone": Fault("gone", "back", "{}: does not exist; is the adapter plugged in?"),
    "bus-off": Fault("bus_off", "restarted", "{}: bus-off: wiring, termination or bit rate"),
}


def kernel_has_can() -> bool:
    try:
        socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW).close()
    except OSError:
        return False
    return True


NEEDS_CAN = [
    pytest.mark.socketcan,
    pytest.mark.skipif(not kernel_has_can(), reason="this kernel has no SocketCAN"),
]


async def ip(*arguments: str, check: bool = True) -> str:
    """What ``ip`` says; the loop goes on meanwhile, as a simulated adapter must answer the kernel."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("ip", *arguments, stdout=pipe, stderr=pipe)
    said, complaint = await process.communicate()
    assert not check or process.returncode == 0, f"ip {' '.join(arguments)}: {complaint.decode()}"
    return "" if process.returncode else said.decode() or "done"


class Link:
    """A virtual interface; ``peer`` is where the others on its bus are."""

    name = peer = "vcan7"
    rate = 250000

    async def make(self) -> None:
        await ip("link", "del", self.name, check=False)
        if not await ip("link", "add", "dev", self.name, "type", "vcan", check=False):
            pytest.skip("no virtual CAN interface can be made: root and the module vcan are needed")
        await self.up()

    async def unmake(self) -> None:
        await ip("link", "del", self.name, check=False)

    async def up(self) -> None:
        await ip("link", "set", self.name, "up")

    async def down(self) -> None:
        await ip("link", "set", self.name, "down")

    async def gone(self) -> None:
        await ip("link", "del", self.name)

    async def back(self) -> None:
        await ip("link", "add", "dev", self.name, "type", "vcan")
        await self.up()

    async def bus_off(self) -> None:
        """The error frame that a controller's driver gives to every reader."""
        with can.Bus(interface="socketcan", channel=self.name, ignore_config=True) as bus:
            bus.send(BUS_OFF)

    async def well(self) -> None:
        """A virtual interface has nothing that would have to recover."""


class Controller(Link):
    """A real driver on an (emulated) controller."""

    name, peer = "can0", "can1"

    async def make(self) -> None:
        if not all(Path(f"/sys/class/net/{name}/device/remove").exists() for name in (self.name, self.peer)):
            pytest.skip("no two CAN controllers on one bus")
        await self._set(self.peer, self.rate)
        await self._set(self.name, self.rate)

    async def unmake(self) -> None:
        if not Path(f"/sys/class/net/{self.name}").exists():
            await self.back()
        for name in (self.name, self.peer):
            await ip("link", "set", name, "down")

    async def up(self) -> None:
        await self._set(self.name, self.rate)

    async def gone(self) -> None:
        Path(f"/sys/class/net/{self.name}/device/remove").resolve().write_text("1")

    async def back(self) -> None:
        self.found()
        await self.up()

    def found(self) -> None:
        """It is plugged in again, and nobody has set it up yet."""
        Path("/sys/bus/pci/rescan").write_text("1")

    async def bus_off(self) -> None:
        pytest.skip("the emulated controller has no error counters, so it is never bus-off")

    @staticmethod
    async def _set(name: str, rate: int) -> None:
        await ip("link", "set", name, "down")
        await ip("link", "set", name, "type", "can", "bitrate", str(rate), "restart-ms", "100")
        await ip("link", "set", name, "up")


@dataclass
class KernelSlcan(Link):
    """The kernel's driver of serial adapters: it has real error states, which the adapter tells it."""

    adapter: Adapter
    fd: int
    name: str = field(init=False)
    off: bool = False

    def __post_init__(self) -> None:
        try:
            fcntl.ioctl(self.fd, termios.TIOCSETD, struct.pack("i", N_SLCAN))
        except OSError:
            pytest.skip("the kernel has no slcan")
        self.name = fcntl.ioctl(self.fd, SIOCGIFNAME, bytes(16)).split(b"\0")[0].decode()

    async def make(self) -> None:
        await self.up()

    async def unmake(self) -> None:
        await ip("link", "set", self.name, "down", check=False)
        fcntl.ioctl(self.fd, termios.TIOCSETD, struct.pack("i", N_TTY))

    async def up(self) -> None:
        await ip("link", "set", self.name, "type", "can", "bitrate", str(self.rate))
        await ip("link", "set", self.name, "up")

    async def bus_off(self) -> None:
        self.off = True

    async def well(self) -> None:
        self.off = False

    async def restarted(self) -> None:
        """The wires are mended, and the owner sets the link up anew."""
        await self.well()
        await self.down()
        await self.up()

    def put(self, frame: Frame) -> None:
        """A frame comes from the bus, which an adapter that is off does not hear."""
        if not self.off:
            self.adapter.put(frame)

    async def driven(self) -> None:
        """As long as the wires are bad the controller is off as soon as it is opened."""
        opened = -1
        while True:
            await asyncio.sleep(0.02)
            if self.off and self.adapter.listening and opened != self.adapter.commands.count("O"):
                opened = self.adapter.commands.count("O")
                os.write(self.adapter.fd, b"sb256256\r")
            elif not self.off:
                opened = -1


@asynccontextmanager
async def link(kind: str, rate: int = 250000, name: str = "") -> AsyncIterator[Any]:
    """A link that is up at ``rate`` bit/s; the test is skipped where there is none of that kind."""
    async with AsyncExitStack() as stack:
        if kind == "slcan":
            adapter = await stack.enter_async_context(slcan_adapter(rate))
            fd = os.open(adapter.port, os.O_RDWR | os.O_NOCTTY)
            stack.callback(os.close, fd)
            one: Link = KernelSlcan(adapter, fd)
            driving = asyncio.create_task(one.driven())  # type: ignore[attr-defined]
            stack.callback(driving.cancel)
        else:
            one = Controller() if kind == "controller" else Link()
            if name:
                one.name = one.peer = name
        one.rate = rate
        await one.make()
        stack.push_async_callback(one.unmake)
        yield one


class Other:
    """Another program on a channel, which survives everything: it sends, and keeps what it hears."""

    def __init__(self, channel: str) -> None:
        self._channel, self._again = channel, 0.0
        self._bus: can.BusABC | None = None
        self.heard: list[tuple[float, Frame]] = []

    def __call__(self, frame: Frame) -> None:
        self._try(lambda bus: bus.send(message(frame)))

    def ids(self) -> list[int]:
        return [frame.can_id for _, frame in self.heard]

    def since(self, moment: float) -> list[tuple[float, Frame]]:
        return [(at, frame) for at, frame in self.heard if at >= moment]

    def close(self) -> None:
        if self._bus:
            self._bus.shutdown()
        self._bus = None

    async def listen(self) -> None:
        while True:
            self._try(self._read)
            await asyncio.sleep(0.01)

    def _read(self, bus: can.BusABC) -> None:
        while heard := bus.recv(0):
            if not heard.is_error_frame:
                frame = Frame(heard.arbitration_id, heard.is_extended_id, bytes(heard.data))
                self.heard.append((time.monotonic(), frame))

    def _try(self, action: Callable[[can.BusABC], None]) -> None:
        try:
            if self._bus is None and time.monotonic() >= self._again:
                self._bus = can.Bus(interface="socketcan", channel=self._channel, ignore_config=True)
            if self._bus:
                action(self._bus)
        except (OSError, can.CanError):
            self.close()
            self._again = time.monotonic() + 0.2


@asynccontextmanager
async def other(channel: str) -> AsyncIterator[Other]:
    """Another program that listens."""
    one = Other(channel)
    try:
        async with running(one.listen()):
            yield one
    finally:
        one.close()


def row(record: Callable[[str, object], None], where: str, fault: str, said: str, seconds: float) -> None:
    """Keep what was seen of a fault; ``-s`` shows it."""
    record("fault", {"link": where, "fault": fault, "said": said, "healed": round(seconds, 1)})
    print(f"\nROW | {where} | {fault} | {said} | {seconds:.1f} |")
