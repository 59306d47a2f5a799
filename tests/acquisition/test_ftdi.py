"""Two real serial drivers, wired to each other: polled at one end, simulated batteries at the other.

``SERIAL_PAIR`` names both ports. The USB device of the first is switched off and on as root, as if it were pulled.
"""

import asyncio
import os
import termios
import time
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path

import pytest

from jkbms_addon.simulator.far_end import SerialBus
from jkbms_addon.simulator.far_end import running as at_work
from jkbms_addon.simulator.pb import SimulatedBms
from tests.acquisition.test_master import Running, nothing_false, running
from tests.conftest import until
from tests.socketcan import EMULATED, GOAL, SLOW, row

PAIR = [name for name in os.environ.get("SERIAL_PAIR", "").split(",") if name]
pytestmark = [
    pytest.mark.socketcan,
    pytest.mark.skipif(len(PAIR) != 2, reason="SERIAL_PAIR names no two serial ports that are wired to each other"),
]
Record = Callable[[str, object], None]


@cache
def usb_of(port: str) -> Path:
    """The USB device of a port as it was called when the tests began; it may come back under another name."""
    device = Path("/sys/class/tty", Path(port).name, "device").resolve()
    return next(one for one in device.parents if (one / "authorized").exists() and ":" not in one.name)


class Plug:
    """The adapter of a port, which can be pulled; ``by_id`` is a link that follows it as udev's do."""

    def __init__(self, port: str, by_id: Path) -> None:
        self._usb = usb_of(port)
        self.by_id = by_id
        self._link()

    def nodes(self) -> list[str]:
        """Names of its device nodes as they are now."""
        return sorted(one.name for one in self._usb.glob("*/ttyUSB*"))

    def pull(self) -> None:
        (self._usb / "authorized").write_text("0")
        self.by_id.unlink()

    async def plug(self) -> str:
        """Plugged in again; the node that it has now."""
        (self._usb / "authorized").write_text("1")
        await until(self.nodes, SLOW)
        self._link()
        return self.nodes()[0]

    def _link(self) -> None:
        """What udev does; nothing of it runs where these tests do."""
        self.by_id.symlink_to(Path("/dev", self.nodes()[0]))


@contextmanager
def opened(port: str) -> Iterator[int]:
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        tty.setraw(fd)
        attributes = termios.tcgetattr(fd)
        attributes[4] = attributes[5] = termios.B115200
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
        yield fd
    finally:
        os.close(fd)


@asynccontextmanager
async def polled(folder: Path) -> AsyncIterator[tuple[Running, SerialBus, Plug]]:
    plug = Plug(PAIR[0], folder / "usb-adapter")
    with opened(PAIR[1]) as fd:
        far = SerialBus(port=PAIR[1], fd=fd, batteries={n: SimulatedBms(n) for n in (1, 2)})
        async with at_work(far.serve()), running(str(plug.by_id), "1-2", 1.0) as bus:
            try:
                await until(lambda: bus.online() == {1, 2}, SLOW)
                yield bus, far, plug
            finally:
                if not plug.nodes():
                    await plug.plug()


async def gone(bus: Running, plug: Plug) -> str:
    """The adapter was pulled: what is said, once nothing is shown any more."""
    text = f"{plug.by_id} does not exist; is the adapter plugged in?"
    await until(lambda: bus.status.problem == text, SLOW)
    assert not bus.status.connected
    told = len(bus.history)
    await until(lambda: not bus.online(), 10 + EMULATED)
    now = bus.store.clock()
    assert [snapshot.values(now) for snapshot in bus.store] == [{}, {}]  # unavailable, not the last values
    assert len(bus.history) == told
    return text


async def healed(bus: Running, began: float) -> float:
    await until(lambda: {r.address for at, r in bus.history if at > began} == {1, 2}, SLOW)
    return max(next(at for at, r in bus.history if at > began and r.address == n) for n in (1, 2)) - began


async def test_an_adapter_that_is_pulled_while_polling(tmp_path: Path, record_property: Record) -> None:
    async with polled(tmp_path) as (bus, far, plug):
        reconnects = bus.status.reconnects
        for _ in range(2):
            plug.pull()
            said = await gone(bus, plug)
            await plug.plug()
            took = await healed(bus, time.monotonic())
            row(record_property, "USB serial, master", "pulled while polling", said, took)
            assert took < GOAL + EMULATED
            assert bus.status.problem == ""
        assert bus.status.reconnects == reconnects + 2
        nothing_false(bus, far)


async def test_an_adapter_that_comes_back_under_another_name(tmp_path: Path, record_property: Record) -> None:
    async with polled(tmp_path) as (bus, far, plug):
        before = plug.nodes()[0]
        with opened(f"/dev/{before}"):  # somebody keeps the old node, so the kernel cannot give its number again
            plug.pull()
            said = await gone(bus, plug)
            node = await plug.plug()
            assert node != before
            took = await healed(bus, time.monotonic())
            row(record_property, "USB serial, master", f"pulled, back as {node} instead of {before}", said, took)
            assert took < GOAL + EMULATED
        nothing_false(bus, far)


async def test_an_adapter_that_is_pulled_in_the_middle_of_an_answer(tmp_path: Path, record_property: Record) -> None:
    async with polled(tmp_path) as (bus, far, plug):
        asked = len(far.requests)
        await until(lambda: len(far.requests) > asked)
        await asyncio.sleep(0.02)
        plug.pull()
        said = await gone(bus, plug)
        await plug.plug()
        took = await healed(bus, time.monotonic())
        row(record_property, "USB serial, master", "pulled in the middle of an answer", said, took)
        assert took < GOAL + EMULATED
        nothing_false(bus, far)
