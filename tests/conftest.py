import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from jkbms_addon.battery.status import BusStatus
from tests.programs import none_left

# a shell starts its background jobs with SIGINT ignored, and so would be every program that a test interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)
CAPTURES = Path(__file__).parent / "captures"
settings.register_profile(
    "fast", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("long", max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(autouse=True)
def own_log_and_signals() -> Iterator[None]:
    """Commands that a test calls set up the log of the whole process; the next test finds it as it was."""
    root, ours = logging.getLogger(), logging.getLogger("jkbms_addon")
    handlers, levels, blocked = root.handlers[:], (root.level, ours.level), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == blocked, (
        "signals stay blocked, also for programs begun later"
    )


@pytest.fixture(autouse=True)
def no_program_is_left() -> Iterator[None]:
    """What a test starts ends with it: a program that goes on opens the ports of the tests that follow."""
    with none_left():
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that mostly wait are spread among those that work, so that side by side both take less time."""
    waiting = [item for item in items if item.path.parent.name == "faults"]
    others = [item for item in items if item.path.parent.name != "faults"]
    if waiting and others:
        every = len(others) // len(waiting) + 1
        for n, item in enumerate(waiting):
            others.insert(n * (every + 1), item)
        items[:] = others


def captures(name: str) -> Any:
    return json.loads((CAPTURES / f"{name}.json").read_text(encoding="utf-8"))


async def until(condition: Callable[[], Any], seconds: float = 20.0) -> float:
    """Wait for a condition; how long it took. Who has a goal says it: a busy machine is no fault."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "did not happen in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - start


def crowded() -> float:
    """How many times longer something may take as others want the processors, too; 1 where nobody does."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


async def heard(status: BusStatus, frames: int = 4) -> None:
    """Let a bus go on for so many frames more."""
    before = status.frames
    await until(lambda: status.frames >= before + frames, 20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """A real broker that can be killed, frozen and started again on its port."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        self.port, self._folder, self._extra = free_port(), folder, extra
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        conf = self._folder / "broker.conf"
        user = "user root\n" if os.geteuid() == 0 else ""  # else it could not read a test's certificates
        conf.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n{user}{self._extra}")
        self.process = await asyncio.create_subprocess_exec(
            str(MOSQUITTO), "-c", str(conf), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        for _ in range(200):
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)
        raise AssertionError("mosquitto does not start")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def mosquitto(folder: Path, extra: str = "") -> AsyncIterator[Mosquitto]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    broker = Mosquitto(folder, extra)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.kill()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path) as running:
        yield running
