"""The demo as people start it: three batteries that belong together, and nothing left behind."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from jkbms_addon.cli import demo
from tests.conftest import MOSQUITTO, free_port, until
from tests.page.test_asks import client

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
BANK = 70.0  # s until a finding that lasts a minute is told


def children(of: int) -> set[int]:
    """Processes below one, all the way down."""
    found, waiting = set[int](), [of]
    while waiting:
        pid = waiting.pop()
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            more = {int(one) for one in path.read_text().split()}
            found |= more
            waiting += more
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def begun(page: int = 0) -> tuple[asyncio.subprocess.Process, int]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "jkbms_addon", "demo", "--port", str(port), "--page", str(page or free_port())),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return process, port


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_its_broker_ends_however_it_is_stopped(number: signal.Signals) -> None:
    process, _port = await begun()
    await until(lambda: len(children(process.pid)) >= 2, 15)
    below = children(process.pid)
    process.send_signal(number)
    assert await process.wait() == (-9 if number == signal.SIGKILL else 0)
    await until(lambda: not any(map(alive, below)), 5)


async def test_three_batteries_that_belong_together_and_one_that_is_worth_a_look() -> None:
    process, port = await begun()
    await asyncio.sleep(3)
    told: dict[str, dict[str, object]] = {}
    try:
        async with aiomqtt.Client("127.0.0.1", port) as client, asyncio.timeout(BANK + 60):
            await client.subscribe("jkbms/#")
            async for message in client.messages:
                if not isinstance(message.payload, bytes) or not message.payload.startswith(b"{"):
                    continue
                content = told[str(message.topic)] = json.loads(message.payload)
                assert content.get("any_battery_problem") != "ON"
                if content.get("worth_a_look_count"):
                    break
    finally:
        process.terminate()
        await process.wait()
    assert told["jkbms/bridge/health"]["worth_a_look"] == "The cells of JK BMS 2 are more than 30 mV apart"
    packs = [told[f"jkbms/demo/{n}/state"] for n in (1, 2, 3)]
    assert [pack["problem"] for pack in packs] == ["OFF"] * 3
    assert told["jkbms/bank/state"]["packs_online"] == 3
    assert told["jkbms/bank/state"]["packs_excluded"] == "none"


async def test_its_page_shows_the_options_that_it_runs_with() -> None:
    page = free_port()
    process, _ = await begun(page)
    try:
        await until(lambda: listens(page), 20)
        async with client(page) as seen:
            told = await seen.ask("options")
    finally:
        process.terminate()
        await process.wait()
    [bus] = told["buses"]
    assert (bus["bus"]["name"], bus["bus"]["addresses"], bus["problem"]) == ("demo", "1-3", "")
    assert told["pending"] is False


async def test_whoever_reads_it_may_have_enough() -> None:
    ports = ("--port", str(free_port()), "--page", str(free_port()))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "jkbms_addon", "demo", *ports),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    assert process.stderr
    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]
    assert await process.stderr.read() == b""
    assert await process.wait() == 141


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_stop_while_its_broker_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    create, ended = asyncio.create_subprocess_exec, list[bool]()

    async def slow(*args: str, **options: Any) -> asyncio.subprocess.Process:
        try:
            await asyncio.sleep(0.3)
            return await create(*args, **options)
        except asyncio.CancelledError:
            ended.append(False)  # the start itself was cut off
            raise

    async def run() -> None:
        async with demo.broker("127.0.0.1", free_port(), tmp_path):
            pass

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slow)
    task = asyncio.create_task(run())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert ended == []
    assert not children(os.getpid())
