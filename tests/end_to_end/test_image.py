"""The image as it is shipped: built, run with a port bound in against a real broker, looked into."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import pytest_asyncio

from jkbms_addon import __version__
from jkbms_addon.simulator.can import slcan_adapter
from jkbms_addon.simulator.far_end import serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import Mosquitto, mosquitto
from tests.end_to_end.image import ROOT, build, container, health_check, needs_image, said

pytestmark = [pytest.mark.image, needs_image, pytest.mark.asyncio(loop_scope="module")]
CONFIGS, STATE = "homeassistant/device/+/config", "jkbms/bridge/state"
DEVICES = {"jkbms_bridge", "jkbms_bank", "jkbms_inverter", "jkbms_rack_1", "jkbms_rack_2", "jkbms_gate_4"}


@dataclass(slots=True)
class Bench:
    """A broker, and simulated wires under names that do not depend on the mount of ``/dev/pts``."""

    broker: Mosquitto
    options: dict[str, Any]
    devices: tuple[Path, ...]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    await build()
    folder = tmp_path_factory.mktemp("image")
    async with mosquitto(folder) as broker, wires(folder, broker) as ready:
        yield ready


@asynccontextmanager
async def wires(folder: Path, broker: Mosquitto) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        rack = await enter(serial_bus([SimulatedBms(1, serial_number="11"), SimulatedBms(2, serial_number="12")]))
        gate = await enter(tcp_bus([SimulatedBms(4, cells=8)]))
        adapter = await enter(slcan_adapter(500000))
        devices = folder / "ttyUSB0", folder / "ttyACM0"
        for device, port in zip(devices, (rack.port, adapter.port), strict=True):
            device.symlink_to(port)
        yield Bench(
            broker,
            {
                "buses": [
                    {"name": "rack", "strategy": "master", "port": str(devices[0]), "addresses": "1-2", "interval": 1},
                    {
                        "name": "gate",
                        "strategy": "gateway",
                        "host": "127.0.0.1",
                        "tcp_port": gate.port,
                        "addresses": "4",
                    },
                ],
                "mqtt": {"host": "127.0.0.1", "port": broker.port},
                "writes": {"level": "settings"},
                "bank": {"members": "rack"},
                "inverter": {"protocol": "pylontech", "channel": str(devices[1]), "confirmed": True},
            },
            devices,
        )


def data_folder(bench: Bench, folder: Path) -> Path:
    """What the Supervisor puts into ``/data``."""
    (folder / "options.json").write_text(json.dumps(bench.options))
    return folder


async def announced(bench: Bench, seconds: float = 40) -> dict[str, Any]:
    """Announcements as retained by the broker, as soon as those of all devices are complete."""
    found: dict[str, Any] = {}
    async with aiomqtt.Client("127.0.0.1", bench.broker.port) as client, asyncio.timeout(seconds):
        await client.subscribe(CONFIGS)
        async for message in client.messages:
            if isinstance(message.payload, bytes) and message.payload:
                found[str(message.topic).split("/")[2]] = json.loads(message.payload)
            if complete(found):
                break
    return found


def complete(found: dict[str, Any]) -> bool:
    """Every page of every battery was read, and the bank has both packs."""
    batteries = [device for device in DEVICES if re.search(r"\d$", device)]
    return (
        set(found) == DEVICES
        and all({"serial_number", "max_charge_current"} <= set(found[device]["components"]) for device in batteries)
        and {"sharing_1", "sharing_2"} <= set(found["jkbms_bank"]["components"])
    )


async def retained(bench: Bench, topic: str) -> str:
    """What the broker keeps on a topic; ``TimeoutError`` when that is nothing."""
    async with aiomqtt.Client("127.0.0.1", bench.broker.port) as client, asyncio.timeout(2):
        await client.subscribe(topic)
        message = await anext(client.messages)
    assert isinstance(message.payload, bytes)
    assert message.retain
    return message.payload.decode()


async def wipe(bench: Bench) -> None:
    """A broker that knows nothing."""
    await bench.broker.kill()
    await bench.broker.start()


async def test_announces_the_same_as_outside_and_says_goodbye(bench: Bench, tmp_path: Path) -> None:
    await wipe(bench)
    plain = data_folder(bench, tmp_path_of(tmp_path, "plain"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "run.sh"), "run", "--options", str(plain / "options.json"), env={**os.environ, "PATH": path}
    )
    try:
        outside = await announced(bench)
    finally:
        process.terminate()
        assert await process.wait() == 0
    await wipe(bench)
    data = data_folder(bench, tmp_path_of(tmp_path, "data"))
    async with container(data, devices=bench.devices) as inner:
        inside = await announced(bench)
        assert await retained(bench, STATE) == "online"
        assert inside == outside
        print(f"{sum(len(device['components']) for device in inside.values())} entities of {len(inside)} devices")
        await asyncio.sleep(6)  # what has to survive a restart is written every 5 s
        inner.terminate()
        async with asyncio.timeout(10):
            out, _ = await inner.communicate()
    log = out.decode()
    assert inner.returncode == 0, log
    assert await retained(bench, STATE) == "offline"
    assert "Read-only file system" not in log
    assert "rror" not in log
    assert sorted(path.name for path in data.iterdir()) == sorted(path.name for path in plain.iterdir())


def tmp_path_of(folder: Path, name: str) -> Path:
    found = folder / name
    found.mkdir()
    return found


async def test_writes_nowhere_but_in_data_and_beats_in_memory(bench: Bench, tmp_path: Path) -> None:
    data = data_folder(bench, tmp_path)
    # what is writable at all on the read-only root, the kernel's own file systems aside
    aside = "\\( -path /proc -o -path /sys -o -path /dev/pts \\) -prune"
    writable = f"find / {aside} -o -type d -writable -print 2>/dev/null; true"
    assert set((await said(data, "sh", "-c", writable)).split()) == {"/dev", "/dev/shm", "/dev/mqueue", "/data"}
    alive = f"{{ {health_check()}; }}"
    script = f"""
        {alive} && echo "alive before the start"
        /run.sh & app=$!
        for _ in $(seq 60); do sleep 1; {alive} && break; done
        {alive} || echo "not alive after a minute"
        find /dev -type f | sort
        touch -d '2 minutes ago' /dev/shm/jkbms-heartbeat
        {alive} && echo "alive although it stands still"
        kill $app; wait $app; echo "status $?"
    """
    async with container(data, "sh", "-c", script, devices=bench.devices) as inner, asyncio.timeout(90):
        out, _ = await inner.communicate()
    log = out.decode()
    told = [line for line in log.splitlines() if re.match(r"alive|not alive|/dev|status", line)]
    assert told == ["/dev/shm/jkbms-heartbeat", "/dev/shm/jkbms.log", "status 0"], log


NOBODY, THEIR_GROUP = 1000, 20  # a user of no name, and the group that may open the ports


async def test_as_another_user_without_any_capability(bench: Bench, tmp_path: Path) -> None:
    """As in the manual's compose file: a plain container, its folder its own, a port by its group."""
    await wipe(bench)
    data = data_folder(bench, tmp_path)
    for path in (data, *data.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    (data / "options.json").chmod(0o600)
    before = [(device, device.stat()) for device in bench.devices]
    try:
        for device, _ in before:
            os.chown(device, 0, THEIR_GROUP)
            device.chmod(0o660)
        user = f"{NOBODY}:{NOBODY}:{THEIR_GROUP}"
        async with container(data, devices=bench.devices, user=user) as inner:
            assert set(await announced(bench)) == DEVICES
            await asyncio.sleep(6)  # what has to survive a restart is written every 5 s
            inner.terminate()
            async with asyncio.timeout(10):
                out, _ = await inner.communicate()
    finally:
        for device, was in before:
            os.chown(device, was.st_uid, was.st_gid)
            device.chmod(was.st_mode & 0o777)
    log = out.decode()
    assert inner.returncode == 0, log
    assert "WARNING" not in log, log
    kept = {path.name: path.stat().st_uid for path in data.iterdir()}
    assert {"announced.json", "charging.json", "energy.json"} <= kept.keys()
    assert set(kept.values()) == {NOBODY}


TOOLS = ("gcc", "cc", "c++", "ld", "as", "make", "cargo", "pip", "pip3", "git", "mosquitto", "pytest", "ruff", "mypy")
STRAY = ("*.c", "*.pyx", "conftest.py", "test_*.py", "*.md", "Dockerfile", "config.yaml", ".git", "*.png", "*.pcap")


async def test_holds_what_it_needs_and_nothing_else(bench: Bench, tmp_path: Path) -> None:
    tools = await said(tmp_path, "sh", "-c", f"for tool in {' '.join(TOOLS)}; do command -v $tool; done; true")
    assert tools.split() == []
    await said(tmp_path, "python3", "-c", "import pip", status=1)
    await said(tmp_path, "/usr/bin/python3", "-c", "import pip", status=1)
    names = " -o ".join(f"-name '{name}'" for name in STRAY)
    stray = await said(tmp_path, "sh", "-c", f"find /opt /run.sh /root /srv /home /tmp /data \\( {names} \\)")
    # these are parts of other people's packages
    theirs = ("/annotated_types/test_cases.py", "/websockets/speedups.c")
    assert [path for path in stray.split() if not path.endswith(theirs)] == []
    top = await said(tmp_path, "sh", "-c", "ls -A / /opt /data")
    assert {"run.sh", "jkbms"} <= set(top.split())
    assert not {"build", "wheel", "tests", "docs", "images", "requirements.txt"} & set(top.split())
    package = await said(tmp_path, "sh", "-c", "cd /opt/jkbms/lib/python3*/site-packages/jkbms_addon && find . -type f")
    tracked = ROOT / "jkbms_addon"
    ours = {str(p.relative_to(tracked)) for p in tracked.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    assert {line.removeprefix("./") for line in package.split()} - compiled(package) == ours
    size = await said(
        tmp_path, "sh", "-c", "du -sxm --exclude=/data / 2>/dev/null | cut -f1; du -sm /opt/jkbms | cut -f1"
    )
    whole, venv = size.split()
    print(f"image: {whole} MB, of it Python packages and the app {venv} MB")
    assert int(venv) < 40


def compiled(listing: str) -> set[str]:
    return {line.removeprefix("./") for line in listing.split() if "__pycache__" in line}


async def test_holds_the_pinned_packages(bench: Bench, tmp_path: Path) -> None:
    script = "from importlib.metadata import distributions as d; [print(x.name.lower(), x.version) for x in d()]"
    listed = await said(tmp_path, "python3", "-c", script)
    pinned = re.findall(r"^([\w.-]+)==([\w.]+) ", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    wanted = {re.sub(r"[-_.]+", "-", name.lower()): version for name, version in pinned}
    found = {re.sub(r"[-_.]+", "-", name): version for name, version in (line.split() for line in listed.splitlines())}
    assert len(pinned) > 10
    assert found == {**wanted, "jkbms-addon": __version__}


async def test_tells_in_one_line_what_is_wrong_with_its_options(bench: Bench, tmp_path: Path) -> None:
    log = await said(tmp_path, status=1)
    print(log)
    assert len(log.splitlines()) == 1
    assert "/data/options.json" in log
