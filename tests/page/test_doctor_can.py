"""What the doctor does on a CAN bus, and on which buses it can do anything: raw messages, the whole program."""

import asyncio
import io
import json
import re
import time
import zipfile
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from jkbms_addon.__main__ import main
from jkbms_addon.acquisition.slot import CLOSED, UNSEEN
from jkbms_addon.doctor import listening
from jkbms_addon.page import doctor, jobs
from jkbms_addon.wire.candump import candump
from tests.conftest import until
from tests.page.test_asks import Client, client
from tests.page.test_doctor import get, job, tick
from tests.page.wires import ADAPTER, Wires, wires


@pytest_asyncio.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wires]:
    async with wires(tmp_path, monkeypatch) as found:
        yield found


async def captured(home: Wires, page: Client, seconds: int = 5) -> tuple[dict[str, Any], str]:
    """How a capture of the CAN bus ended, and what was fetched."""
    begun = await page.ask("capture", bus="can", seconds=seconds)
    done = await job(page, begun["job"], "done")
    _, _, body = await get(home.port, done["file"][0])
    return done, body.decode()


async def test_every_bus_tells_what_can_be_done_on_it(home: Wires) -> None:
    async with client(home.port) as page:
        buses = (await tick(page))["buses"]
        assert {one["name"]: (one["shows"], one["asks"]) for one in buses} == {
            "can": (True, False),
            "rs485": (True, True),
            "radio": (False, True),
            "other": (False, False),
        }
        for name in ("radio", "other"):
            for kind in ("bytes", "capture"):
                assert (await page.ask(kind, bus=name, seconds=5))["reason"] == UNSEEN
        await home.can.pull()
        await until(lambda: not home.app.buses["can"].connected)
        while (bus := (await tick(page))["buses"][0])["connected"]:
            pass
        assert bus["shows"]  # only its link is gone
        assert (await page.ask("capture", bus="can", seconds=5))["reason"] == CLOSED


async def test_frames_live_with_their_meaning(home: Wires) -> None:
    async with client(home.port) as page:
        assert (await page.ask("bytes", bus="can"))["t"] == "begun"
        began, told, left_out = time.monotonic(), list[list[Any]](), list[int]()
        while len(left_out) < 5:
            message = await page.said("bytes")
            assert message["bus"] == "can"
            assert len(message["lines"]) <= 40
            told += message["lines"]
            left_out.append(message["left_out"])
        assert time.monotonic() - began > 4 * 0.4  # however much passes
        assert max(left_out) > 50  # the batteries of a busy machine send less in some rounds
        status = [line for line in told if line[4].get("name") == "BATT_ST1"]
        assert {line[4]["a"] for line in status} == {0, 3}
        at, direction, text, kind, said = status[-1]
        assert abs(at - time.time()) < 20
        assert (direction, kind, said["version"]) == ("rx", "can", 2)
        assert re.fullmatch(r"2F[47]", said["id"])
        assert re.fullmatch(r"([0-9A-F]{2} ){7}[0-9A-F]{2}", text)
        assert {key for key, _, _ in said["told"]} == {"total_voltage", "current", "state_of_charge"}


async def test_a_capture_is_a_log_of_candump_without_the_place_of_the_adapter(
    home: Wires, capsys: pytest.CaptureFixture[str]
) -> None:
    async with client(home.port) as page:
        began = time.time()
        begun = await page.ask("capture", bus="can", seconds=5)
        done = await job(page, begun["job"], "done")
        path, size = done["file"]
        assert re.fullmatch(r"files/[0-9a-f]{32}/can-\d{8}-\d{6}\.log", path)
        status, headers, body = await get(home.port, path)
        assert (status, len(body), headers["Content-Type"]) == (200, size, "text/plain; charset=utf-8")
    text = body.decode()
    assert ADAPTER not in text
    assert str(home.folder) not in text
    frames = [candump(line) for line in text.splitlines()]
    assert all(frames)
    assert {one.channel for one in frames if one} == {"can0"}
    times = [one.timestamp for one in frames if one and one.timestamp]
    assert times == sorted(times)
    assert began <= times[0] <= times[-1] <= began + 7
    assert (done["received"], done["sent"]) == (len(frames), 0)
    assert "lost" not in done
    assert len(frames) > 5 * 2 * 50  # of two batteries, whose status alone comes fifty times a second
    file = home.folder / "fetched.log"
    file.write_bytes(body)
    assert main(["decode", str(file)]) == 0
    readings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(one["address"], one["kind"]) for one in readings} >= {
        (n, k) for n in (0, 3) for k in ("BATT_ST1", "CELLVOL1")
    }
    assert len(readings) == len(frames)


async def test_listening_does_not_disturb_the_owner(home: Wires) -> None:
    status, store = home.app.buses["can"], home.app.store
    times: list[float] = []
    update = store.update

    def kept(bus: str, reading: Any) -> None:
        if (bus, reading.address) == ("can", 3):
            times.append(time.monotonic())
        update(bus, reading)

    store.update = kept  # type: ignore[method-assign]
    async with client(home.port) as page, client(home.port) as other:
        assert (await page.ask("capture", bus="can", seconds=10))["t"] == "begun"
        assert "can is busy: capture" in (await other.ask("bytes", bus="can"))["reason"]
        await until(lambda: len(times) >= 6, 15)
        assert max(later - at for at, later in pairwise(times)) < 1.6  # one a second as without it
        assert (status.problem, status.reconnects) == ("", 0)


async def test_what_nobody_had_time_for_is_told_as_lost(home: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(listening.MOST, "frames", 4)
    async with client(home.port) as page:
        done, text = await captured(home, page)
    assert done["lost"] > 0
    assert done["received"] == len(text.splitlines())


async def test_a_file_that_is_full_ends_before_its_time(home: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LARGEST", 4000)
    async with client(home.port) as page, asyncio.timeout(20):
        done, text = await captured(home, page, 1800)
    assert done["full"] is True
    assert 3900 < len(text) <= 4000
    assert all(candump(line) for line in text.splitlines())


async def test_a_bundle_has_the_frames_too(home: Wires, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "BUNDLE", 5)
    async with client(home.port) as page:
        told = await page.ask("bundle", seconds=5)
        assert told["parts"][-1] == ["capture", "can, rs485"]
        begun = await page.ask("bundle", seconds=5, make=True)
        path, _ = (await job(page, begun["job"], "done"))["file"]
        _, _, body = await get(home.port, path)
    with zipfile.ZipFile(io.BytesIO(body)) as file:
        names = {name for name in file.namelist() if name.startswith("capture")}
        assert names == {"capture-can.log", "capture-rs485.jsonl"}
        lines = file.read("capture-can.log").decode().splitlines()
    assert len(lines) > 500
    assert all(candump(line) for line in lines)
