"""What tests know of the air: who is in it, and how to speak to those who run it."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SOCKET = "/run/jkbms-air.sock"
DAEMON = os.environ.get("BLUETOOTHD", "")
SLOW = 60.0  # s; an emulated machine is some twenty times slower
HCI = "/org/bluez/hci0"
STRANGER = "7C:01:0A:00:00:09"  # it has the service of a JK BMS, and is none


@dataclass(frozen=True)
class InAir:
    """A simulated BMS."""

    address: str
    layout: str = "32S"
    cells: int = 16
    mtu: int = 131
    two: bool = False
    beat: float = 0.0
    second: bool = False
    pin: int | None = None
    name: str = ""
    rssi: int = -50  # dBm


UNITS = {
    "A": InAir("C8:47:80:00:00:01", mtu=247, beat=0.21, second=True, name="JK_PB2A16S20P", rssi=-48),
    "B": InAir("20:21:11:00:00:02", layout="24S", cells=13, mtu=23, two=True, name="boat", rssi=-71),
    "C": InAir("A4:C1:38:00:00:03", pin=123456, name="JK_B2A8S20P", rssi=-83),
}
NEEDS = [
    pytest.mark.bluetooth,
    pytest.mark.skipif(
        not (DAEMON and Path("/dev/vhci").exists() and os.geteuid() == 0 and shutil.which("dbus-daemon")),
        reason="needs a machine on which BlueZ may be started: root, /dev/vhci, dbus-daemon, BLUETOOTHD",
    ),
]


async def air(*words: Any) -> Any:
    """One wish to the world, such as ``air("drop", "A")``."""
    reader, writer = await asyncio.open_unix_connection(SOCKET)
    writer.write(json.dumps(words).encode() + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    assert "error" not in answer, answer["error"]
    return answer["ok"]


async def property_set(name: str, value: bool, path: str = HCI) -> str:
    """Set a property of the adapter; the name of the error, empty when there is none."""
    from dbus_fast import BusType, Message, MessageType, Variant
    from dbus_fast.aio import MessageBus

    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    answer = await bus.call(
        Message(
            destination="org.bluez",
            path=path,
            interface="org.freedesktop.DBus.Properties",
            member="Set",
            signature="ssv",
            body=["org.bluez.Adapter1", name, Variant("b", value)],
        )
    )
    bus.disconnect()
    assert answer is not None
    return str(answer.error_name) if answer.message_type is MessageType.ERROR else ""


async def powered(seconds: float = SLOW) -> None:
    """Wait for BlueZ to show the adapter, and switch it on."""
    end = time.monotonic() + seconds
    while error := await property_set("Powered", True):
        assert time.monotonic() < end, error
        await asyncio.sleep(0.3)


class Bluez:
    """The Bluetooth service, which can be killed and started; when it dies by itself it is started as by systemd."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._wanted = False
        self._nurse: asyncio.Task[None] | None = None
        self.deaths = 0

    async def start(self) -> None:
        self._wanted = True
        await self._begin()
        self._nurse = self._nurse or asyncio.create_task(self._watch())

    async def _begin(self) -> None:
        log = os.open(os.environ.get("BLUETOOTHD_LOG", "/dev/null"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._process = await asyncio.create_subprocess_exec(DAEMON, "-n", stdout=log, stderr=log)
        os.close(log)
        await powered()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            if self._wanted and self._process and self._process.returncode is not None:
                self.deaths += 1
                print(f"bluetoothd died by itself: {self._process.returncode}", flush=True)
                await self._begin()

    async def kill(self) -> None:
        assert self._process is not None
        self._wanted = False
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def end(self) -> None:
        if self._nurse:
            self._nurse.cancel()
        await self.kill()


async def bus_daemon() -> None:
    """The system's message bus, if it does not run."""
    if not Path("/run/dbus/system_bus_socket").exists():
        Path("/run/dbus").mkdir(parents=True, exist_ok=True)
        for words in (("dbus-uuidgen", "--ensure=/etc/machine-id"), ("dbus-daemon", "--system", "--fork")):
            await (await asyncio.create_subprocess_exec(*words)).wait()


@asynccontextmanager
async def surroundings() -> AsyncIterator[Bluez]:
    """Message bus, air and BlueZ."""
    await bus_daemon()
    Path(SOCKET).unlink(missing_ok=True)  # of the one before
    world = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bluetooth.world", SOCKET)
    bluez = Bluez()
    try:
        end = time.monotonic() + 2 * SLOW
        while not Path(SOCKET).exists():
            assert world.returncode is None, "the world did not start"
            assert time.monotonic() < end
            await asyncio.sleep(0.2)
        await bluez.start()
        yield bluez
    finally:
        await bluez.end()
        world.kill()
        await world.wait()
