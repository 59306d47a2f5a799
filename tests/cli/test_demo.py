"""The demo as people start it: three batteries that belong together, and nothing left behind."""

import asyncio
import json
import os
import re
import signal
import socket
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from jkbms_addon.cli import demo
from jkbms_addon.cli.folder import FAULTS, HARD, HARMLESS
from tests.conftest import MOSQUITTO, free_port, until
from tests.page.test_asks import client
from tests.programs import alive, begun_by, children, program

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
BANK = 70.0  # s until a finding that lasts a minute is told


def begun(place: Path, port: int = 0, page: int = 0) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """A demo that has its folder in this place."""
    ports = ("--port", str(port or free_port()), "--page", str(page or free_port()))
    nothing = asyncio.subprocess.DEVNULL
    return program("demo", *ports, stdout=nothing, stderr=nothing, env={**os.environ, "TMPDIR": str(place)})


def folders(place: Path) -> list[str]:
    return sorted(one.name for one in place.iterdir())


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "ALRM", "RTMIN", "KILL"])
async def test_its_broker_ends_however_it_is_stopped_and_its_folder_with_the_next_demo_at_the_latest(
    name: str, tmp_path: Path
) -> None:
    number = signal.Signals[f"SIG{name}"]
    async with begun(tmp_path) as process:
        await until(lambda: len(children(process.pid)) >= 2, 15)
        below = children(process.pid)
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 15) == (-9 if name == "KILL" else 0)
        await until(lambda: not any(map(alive, below)), 5)
    assert len(folders(tmp_path)) == (name == "KILL")


async def test_what_a_killed_demo_left_is_removed_and_nothing_of_one_that_runs(tmp_path: Path) -> None:
    async with begun(tmp_path) as killed, begun(tmp_path) as running:
        await until(lambda: len(children(killed.pid)) >= 2 and len(children(running.pid)) >= 2, 15)
        before = folders(tmp_path)
        killed.kill()
        await killed.wait()
        async with begun(tmp_path) as following:
            await until(lambda: len(children(following.pid)) >= 2, 15)
            assert len(before) == len(folders(tmp_path)) == 2
            assert len({*before, *folders(tmp_path)}) == 3
            assert all(list((tmp_path / name).iterdir()) for name in folders(tmp_path))
            for process in (following, running):
                process.terminate()
                assert await asyncio.wait_for(process.wait(), 15) == 0
    assert folders(tmp_path) == []


async def test_every_signal_that_would_end_it_is_caught(tmp_path: Path) -> None:
    async with begun(tmp_path) as process:
        await until(lambda: len(children(process.pid)) >= 2, 15)
        status = Path(f"/proc/{process.pid}/status").read_text()
    masks = [int(re.findall(rf"^{name}:\t(\w+)$", status, re.MULTILINE)[0], 16) for name in ("SigCgt", "SigIgn")]
    left = {number for number in signal.valid_signals() if not (masks[0] | masks[1]) >> (number - 1) & 1}
    assert left == HARD | FAULTS | (HARMLESS - {signal.SIGPIPE, signal.SIGXFSZ})


async def test_three_batteries_that_belong_together_and_one_that_is_worth_a_look(tmp_path: Path) -> None:
    port, told = free_port(), dict[str, dict[str, object]]()
    async with begun(tmp_path, port):
        await until(lambda: listens(port), 20)
        async with aiomqtt.Client("127.0.0.1", port) as client, asyncio.timeout(BANK + 60):
            await client.subscribe("jkbms/#")
            async for message in client.messages:
                if not isinstance(message.payload, bytes) or not message.payload.startswith(b"{"):
                    continue
                content = told[str(message.topic)] = json.loads(message.payload)
                assert content.get("any_battery_problem") != "ON"
                if content.get("worth_a_look_count"):
                    break
    assert told["jkbms/bridge/health"]["worth_a_look"] == "The cells of JK BMS 2 are more than 30 mV apart"
    packs = [told[f"jkbms/demo/{n}/state"] for n in (1, 2, 3)]
    assert [pack["problem"] for pack in packs] == ["OFF"] * 3
    assert told["jkbms/bank/state"]["packs_online"] == 3
    assert told["jkbms/bank/state"]["packs_excluded"] == "none"


async def test_its_page_shows_the_options_that_it_runs_with(tmp_path: Path) -> None:
    page = free_port()
    async with begun(tmp_path, page=page):
        await until(lambda: listens(page), 20)
        async with client(page) as seen:
            told = await seen.ask("options")
    [bus] = told["buses"]
    assert (bus["bus"]["name"], bus["bus"]["addresses"], bus["problem"]) == ("demo", "1-3", "")
    assert told["pending"] is False


async def test_whoever_reads_it_may_have_enough() -> None:
    async with program("demo", "--port", str(free_port()), "--page", str(free_port())) as process:
        assert process.stdout
        assert process.stderr
        await process.stdout.readline()
        process.stdout._transport.close()  # type: ignore[attr-defined]
        assert await process.stderr.read() == b""
        assert await asyncio.wait_for(process.wait(), 15) == 141


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_broker_that_loses_a_request_to_end_is_asked_again(tmp_path: Path) -> None:
    """As mosquitto does in the first moment, when it has begun to listen for it and not to heed it."""
    deaf = tmp_path / "deaf"
    deaf.write_text(f"#!/bin/sh\ntrap 'trap - TERM' TERM\ntouch {tmp_path}/ready\nwhile :; do sleep 0.1; done\n")
    deaf.chmod(0o755)
    async with asyncio.timeout(10):
        async with demo._mosquitto(str(deaf), "127.0.0.1", free_port(), tmp_path):
            await until((tmp_path / "ready").exists)
    assert not begun_by(os.getpid())


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
