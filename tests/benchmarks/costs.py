"""What the whole program costs: its process as the image starts it, a real broker, simulated batteries.

CPU and memory are those of the program's process alone; messages are what another client of the broker hears.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jkbms_addon.simulator.can import broadcasting, can_bms, slcan_adapter
from jkbms_addon.simulator.far_end import serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.simulator.ttl import SimulatedFirst, ttl_port
from tests.benchmarks import decoding
from tests.benchmarks.figures import Action, microseconds, show
from tests.conftest import mosquitto, until
from tests.mqtt.test_client import listening

DEFAULTS = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))["options"]
INTERVAL: float = DEFAULTS["buses"][0]["interval"]
PREFIX: str = DEFAULTS["mqtt"]["discovery_prefix"]
PATIENCE = 240.0  # seconds until all batteries are shown; a listener waits for two cycles of the master
SETTLE = 10.0  # seconds without announcements after that


@dataclass(frozen=True, slots=True)
class Scene:
    """Simulated batteries that are there, and the options that lead to them."""

    bus: dict[str, Any]
    batteries: int
    inverter: dict[str, Any] | None = None


Set = Callable[[int], AbstractAsyncContextManager[Scene]]


def _slaves(count: int) -> list[SimulatedBms]:
    return [SimulatedBms(n, errors=0) for n in range(1, count + 1)]


@asynccontextmanager
async def master(count: int) -> AsyncIterator[Scene]:
    """We ask on a serial port."""
    async with serial_bus(_slaves(count)) as far:
        yield Scene({"strategy": "master", "port": far.port, "interval": INTERVAL, "addresses": f"1-{count}"}, count)


@asynccontextmanager
async def listen(count: int) -> AsyncIterator[Scene]:
    """A BMS asks, at the pace of real ones."""
    async with serial_bus(_slaves(count - 1), master=SimulatedBms(0, errors=0)) as far:
        yield Scene({"strategy": "listen", "port": far.port}, count)


@asynccontextmanager
async def gateway_poll(count: int) -> AsyncIterator[Scene]:
    """We ask through a gateway."""
    async with tcp_bus(_slaves(count)) as far:
        link = {"strategy": "gateway", "mode": "poll", "host": "127.0.0.1", "tcp_port": far.port}
        yield Scene({**link, "interval": INTERVAL, "addresses": f"1-{count}"}, count)


@asynccontextmanager
async def gateway_listen(count: int) -> AsyncIterator[Scene]:
    """A BMS asks, behind a gateway."""
    async with tcp_bus(_slaves(count - 1), master=SimulatedBms(0, errors=0)) as far:
        yield Scene({"strategy": "gateway", "mode": "listen", "host": "127.0.0.1", "tcp_port": far.port}, count)


@asynccontextmanager
async def auto(count: int) -> AsyncIterator[Scene]:
    """No master is heard, so we ask."""
    async with serial_bus(_slaves(count)) as far:
        yield Scene({"strategy": "auto", "port": far.port, "interval": INTERVAL, "addresses": f"1-{count}"}, count)


@asynccontextmanager
async def ttl(_count: int) -> AsyncIterator[Scene]:
    """One battery of the first generation; more cannot be on its port."""
    async with ttl_port(SimulatedFirst()) as far:
        yield Scene({"strategy": "ttl", "port": far.port, "interval": INTERVAL}, 1)


@asynccontextmanager
async def can_broadcast(count: int) -> AsyncIterator[Scene]:
    """Everything that the batteries send on CAN, through a serial adapter."""
    async with slcan_adapter() as adapter, broadcasting([can_bms(n) for n in range(count)], adapter.put):
        yield Scene({"strategy": "can_broadcast", "channel": adapter.port}, count)


@asynccontextmanager
async def inverter(count: int) -> AsyncIterator[Scene]:
    """As master, and an inverter is told every second."""
    async with master(count) as scene, slcan_adapter(500000) as adapter:
        told = {"protocol": "pylontech", "channel": adapter.port, "confirmed": True}
        yield Scene(scene.bus, scene.batteries, told)


# how to build it, and what is done with one of its frames; with the inverter, with one set of frames to it
SETS: dict[str, tuple[Set, Callable[[], Action]]] = {
    "master": (master, decoding.pb_answer),
    "listen": (listen, decoding.pb_answer),
    "gateway, poll": (gateway_poll, decoding.pb_answer),
    "gateway, listen": (gateway_listen, decoding.pb_answer),
    "auto, asking": (auto, decoding.pb_answer),
    "ttl": (ttl, decoding.ttl),
    "can_broadcast": (can_broadcast, decoding.can),
    "master with inverter": (inverter, decoding.told),
}
EACH = 4  # batteries at every strategy
SIZES = (1, 4, 15)


def strategies(seconds: float = 20) -> list[dict[str, Any]]:
    """The cost of every strategy at the pace of its bus."""
    return [_strategy(name, seconds) for name in SETS]


def _strategy(name: str, seconds: float) -> dict[str, Any]:
    build, frame = SETS[name]
    cost, frame_cost = _measured(build, EACH, seconds, name), microseconds(frame(), 1000)
    show(f"one frame, {name}", frame_cost, "us")
    return {"strategy": name, **cost, "frame": round(frame_cost, 1)}


def sizes(seconds: float = 20) -> list[dict[str, Any]]:
    """The cost of one bus with more and more batteries, asked at the default interval."""
    return [_measured(master, count, seconds, "master") for count in SIZES]


def _measured(build: Set, count: int, seconds: float, name: str) -> dict[str, Any]:
    cost = asyncio.run(measured(build, count, seconds))
    label = f"{name}, {cost['batteries']} BMS at its natural pace"
    show(f"CPU, {label}", cost["cpu"], "% of a core", 3)
    show(f"RSS, {label}", cost["rss"], "MiB", 45)
    show(f"MQTT messages, {label}", cost["messages"], "1/s")
    show(f"MQTT payload, {label}", cost["payload"], "kB/s")
    return cost


async def measured(build: Set, count: int, seconds: float) -> dict[str, Any]:
    """% of a core, MiB, messages and kB a second of one scene, after all of its batteries are shown."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = await stack.enter_async_context(mosquitto(folder))
        heard = await stack.enter_async_context(listening(broker.port))
        scene = await stack.enter_async_context(build(count))
        process = await stack.enter_async_context(program(options(scene, broker.port), folder))
        await until(lambda: _shown(heard.messages) >= scene.batteries, PATIENCE)
        await until(lambda: time.monotonic() - _announced(heard.messages) >= SETTLE, PATIENCE)
        seen, began, busy = len(heard.messages), time.monotonic(), cpu_seconds(process.pid)
        await asyncio.sleep(seconds)
        elapsed = time.monotonic() - began
        cpu = (cpu_seconds(process.pid) - busy) / elapsed * 100
        new = heard.messages[seen:]
        return {
            "batteries": scene.batteries,
            "rss": round(rss(process.pid), 1),
            "cpu": round(cpu, 2),
            "messages": round(len(new) / elapsed, 2),
            "payload": round(sum(len(payload) for _, _, payload, _ in new) / elapsed / 1000, 2),
        }


def _shown(messages: list[tuple[float, str, str, bool]]) -> int:
    """How many batteries have said something."""
    return len({topic for _, topic, _, _ in messages if topic.startswith("jkbms/b/") and topic.endswith("/state")})


def _announced(messages: list[tuple[float, str, str, bool]]) -> float:
    """When a device was announced last: settings and information are read in pauses, and make it longer."""
    return next((at for at, topic, _, _ in reversed(messages) if topic.startswith(PREFIX)), 0.0)


def options(scene: Scene, port: int) -> dict[str, Any]:
    """A whole options file: the defaults, one bus, this broker."""
    found: dict[str, Any] = {
        **DEFAULTS,
        "log_level": "warning",
        "buses": [{"name": "b", **scene.bus}],
        "mqtt": {**DEFAULTS["mqtt"], "host": "127.0.0.1", "port": port},
    }
    return {**found, "inverter": {**DEFAULTS["inverter"], **(scene.inverter or {})}}


@asynccontextmanager
async def program(content: dict[str, Any], folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program as its container starts it."""
    path = folder / "options-bench.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "jkbms_addon", "run", "--options", str(path))
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


def cpu_seconds(pid: int) -> float:
    """Processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid: int) -> float:
    """Resident memory in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
