"""The whole program while calls hang: each costs its own owner only, and SIGTERM ends it in time, whatever hangs."""

import asyncio
import json
import os
import signal
import termios
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.simulator.far_end import pty
from tests.conftest import Mosquitto, until
from tests.faults.link import healthy
from tests.faults.links import gateways
from tests.faults.world import World, world
from tests.programs import program

STEADY = 3.5  # s between two sets of frames for the inverter, at most, on a busy machine
IN_TIME = 8.0  # s from SIGTERM to the end, on a busy machine; the program gives itself 4.3
MANY = 12  # owners that hang at once; more than any pool of threads has room for on a small machine


@asynccontextmanager
async def healthy_world(folder: Path, broker: Mosquitto) -> AsyncIterator[World]:
    """Around the program, which is not started yet: bus a, bus b and the inverter are well."""
    async with world(folder, broker) as one:
        async with AsyncExitStack() as stack:
            await one.inverter.plug()
            await healthy(one, stack)
            one.program = ["tests.faults.stuck", str(folder)]
            yield one


async def well(one: World) -> float:
    """Wait until the inverter is permitted something; when that was, monotonic s."""
    await until(lambda: one.permitted(0), 30)
    return time.monotonic()


async def ends_in_time(one: World) -> None:
    began = time.monotonic()
    assert await one.stop() == 0
    assert time.monotonic() - began < IN_TIME
    assert "Traceback" not in one.logged()


async def test_a_dead_name_server_costs_only_who_asks_it(broker: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "names").touch()
    async with healthy_world(tmp_path, broker) as one:
        one.more = gateways(MANY)
        await one.start()
        since = await well(one)
        await asyncio.sleep(8)
        assert max(one.cycles(since - 1)) < STEADY
        log = one.logged()
        assert "takes no commands" not in log
        for bus in one.more:
            told = f"{bus['name']}: {bus['host']}:9: the name server does not answer; trying again"
            assert log.count(told) == 1
        assert all(one.available(n) for n in (1, 2))
        await ends_in_time(one)


@pytest.mark.parametrize("mqtt", [{"host": "broker.test"}, {}], ids=["broker by name", "supervisor by name"])
async def test_a_broker_that_cannot_be_found_costs_nobody_else(
    mqtt: dict[str, Any], broker: Mosquitto, tmp_path: Path
) -> None:
    (tmp_path / "names").touch()
    async with healthy_world(tmp_path, broker) as one:
        one.mqtt = {**mqtt, "port": broker.port}
        one.environment = {"SUPERVISOR_TOKEN": "t0ken", "http_proxy": "http://supervisor.test:9", "no_proxy": ""}
        await one.start()
        since = await well(one)
        await asyncio.sleep(8)
        assert max(one.cycles(since - 1)) < STEADY
        told = "broker.test" if mqtt else "the Supervisor does not name the MQTT broker: no answer"
        assert one.logged().count(f"{told}") == 1
        (tmp_path / "names").unlink()
        if mqtt:
            await until(lambda: one.fresh((1, 2), since), 5)
        await ends_in_time(one)


async def test_a_disk_that_stands_still_costs_the_inverter_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    async with healthy_world(tmp_path, broker) as one:
        await one.start()
        since = await well(one)
        await until(lambda: one.told("jkbms/inverter/state"))
        (tmp_path / "disk").touch()
        await one.say("jkbms/inverter/stop/set", "STOP")
        # it holds at once, and is not acknowledged yet
        await until(lambda: [charge for charge, _ in one.limits(since)[-1:]] == [0], 4)
        assert json.loads(one.told("jkbms/inverter/state") or "")["enable"] == "ON"
        await one.say("jkbms/inverter/enable/set", "ON")
        await asyncio.sleep(6)
        told = json.loads(one.told("jkbms/inverter/state") or "")
        assert "the disk does not answer" in told["reason"]
        assert max(one.cycles(since - 1)) < STEADY
        await ends_in_time(one)


async def test_stop_is_acknowledged_when_it_is_kept(broker: Mosquitto, tmp_path: Path) -> None:
    async with healthy_world(tmp_path, broker) as one:
        await one.start()
        await well(one)
        await until(lambda: "enable" in (one.told("jkbms/inverter/state") or ""))
        (tmp_path / "inverter.new").symlink_to("/dev/full")
        await one.say("jkbms/inverter/stop/set", "STOP")
        await until(lambda: json.loads(one.told("jkbms/inverter/state") or "")["enable"] == "OFF", 4)

        def reason() -> str:
            return str(json.loads(one.told("jkbms/inverter/state") or "")["reason"])

        await until(lambda: "a restart may undo what was set" in reason(), 8)
        assert "No space left on device" in reason()
        (tmp_path / "inverter.new").unlink()
        await until(lambda: reason() == "switched off", 8)
        assert json.loads((tmp_path / "inverter.json").read_text()) == {"enabled": False}
        await ends_in_time(one)


async def test_a_damaged_switch_means_stopped_and_is_told(broker: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "inverter.json").write_text('{"enabled": tr')
    async with healthy_world(tmp_path, broker) as one:
        await one.start()
        await until(lambda: "is damaged" in json.loads(one.told("jkbms/inverter/state") or "{}").get("reason", ""), 20)
        await asyncio.sleep(2)
        assert not any(charge or discharge for charge, discharge in one.limits(0))
        assert json.loads(one.told("jkbms/inverter/state") or "")["enable"] == "OFF"
        await one.say("jkbms/inverter/enable/set", "ON")
        await well(one)
        await ends_in_time(one)


async def test_damaged_files_cost_only_what_they_tell(broker: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "incidents.json").write_text('{"a": {"reason": "x", "began": 3e17, "seconds": 5}}')
    (tmp_path / "announced.json").write_text("[" * 100_000)
    async with healthy_world(tmp_path, broker) as one:
        await one.start()
        since = await well(one)
        await until(lambda: one.fresh((1, 2), since - 5) and one.told("jkbms/bridge/health"), 10)
        for name in ("incidents", "announced"):
            assert one.logged().count(f"{name}.json is damaged") == 1
        await ends_in_time(one)


async def test_an_adapter_that_does_not_drain_costs_only_its_bus(broker: Mosquitto, tmp_path: Path) -> None:
    async with healthy_world(tmp_path, broker) as one:
        with pty() as (master, port):
            one.more = [{"name": "x", "strategy": "master", "port": port, "addresses": "1"}]
            await one.start()
            since = await well(one)
            (tmp_path / "drain").touch()
        del master  # it is pulled out just now
        await until(lambda: "x: " in one.logged(), 8)
        await asyncio.sleep(6)
        assert max(one.cycles(since - 1)) < STEADY
        assert one.fresh((1, 2), time.monotonic() - 3)
        await ends_in_time(one)


def filled(port: str) -> None:
    """Write into an adapter until it takes nothing more."""
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    attributes = termios.tcgetattr(fd)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    for _ in range(10):  # the kernel moves some on
        for size in (512, 1):
            with suppress(BlockingIOError):
                while os.write(fd, bytes(size)):
                    pass
        time.sleep(0.02)
    os.close(fd)


async def test_a_can_adapter_that_hangs_does_not_keep_the_program_alive(broker: Mosquitto, tmp_path: Path) -> None:
    async with healthy_world(tmp_path, broker) as one:
        with pty() as (_, port):
            filled(port)
            one.more = [{"name": "x", "strategy": "can_broadcast", "channel": port}]
            await one.start()
            since = await well(one)
            await until(lambda: f"x: {port}: takes no commands" in one.logged(), 12)
            assert max(one.cycles(since - 1)) < STEADY
            await ends_in_time(one)


async def test_the_inverters_adapter_hangs_when_the_program_is_to_end(broker: Mosquitto, tmp_path: Path) -> None:
    async with healthy_world(tmp_path, broker) as one:
        await one.start()
        await well(one)
        (tmp_path / "drain").touch()
        await ends_in_time(one)


PLUGIN = """
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
import voluptuous as vol
from jkbms_addon.acquisition.contract import Plugin

class Source:
    async def poll(self):
        time.sleep(1000)
        return []

@asynccontextmanager
async def opened(options, status):
    yield Source()

PLUGIN = Plugin(schema=vol.Schema({}), open=opened, target=lambda options: "hanging")
"""


async def test_a_plugin_that_blocks_everything_does_not_keep_the_program_alive(
    broker: Mosquitto, tmp_path: Path
) -> None:
    folder = tmp_path / "plugins"
    about = folder / "hanging-1.dist-info"
    about.mkdir(parents=True)
    (folder / "hanging.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[jkbms_addon.acquisition]\nhanging = hanging:PLUGIN\n")
    async with healthy_world(tmp_path, broker) as one:
        one.environment = {"PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}
        one.more = [{"name": "x", "strategy": "hanging"}]
        await one.start()
        await until(lambda: "JK BMS " in one.logged(), 20)
        await asyncio.sleep(2)
        began = time.monotonic()
        assert await one.stop() == 0
        assert time.monotonic() - began < IN_TIME
        assert "something hangs" in one.logged()


def waits_for_sigterm(pid: int) -> bool:
    """Whether the program has something to do when it is asked to end."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in status if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)


async def test_it_ends_well_while_it_is_being_loaded(tmp_path: Path) -> None:
    (tmp_path / "voluptuous.py").write_text("import time\ntime.sleep(60)\n")  # a disk that is very slow
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    async with program("run", env={**os.environ, "PYTHONPATH": path}) as process:
        await until(lambda: waits_for_sigterm(process.pid))
        process.terminate()
        assert await asyncio.wait_for(process.wait(), IN_TIME) == 0
