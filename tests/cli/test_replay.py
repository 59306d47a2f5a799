"""A capture in the place of a bus: the whole program, with a real broker."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.__main__ import main
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.cli.replay import Playback, Replayed
from jkbms_addon.doctor.recording import Chunk, Recording, header, line
from jkbms_addon.simulator.far_end import serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.modbus import ABOUT, LIVE, SETTINGS, acknowledgement, page_request
from tests.cli.test_run import written
from tests.conftest import Mosquitto, captures, free_port, until
from tests.mqtt.test_client import listening
from tests.programs import program

STREAM = bytes.fromhex(next(c["hex"] for c in captures("jk_pb") if c["id"] == "stream-v14-master0-slave7"))


def filed(folder: Path, chunks: list[Chunk], target: str = "/dev/ttyUSB0") -> str:
    path = folder / "capture.jsonl"
    path.write_text("\n".join([header(target, "2026-01-01T00:00:00+00:00", "0"), *map(line, chunks)]) + "\n")
    return str(path)


def overheard(rounds: int = 3, period: float = 2.0) -> list[Chunk]:
    """A real stream, said several times."""
    size = len(STREAM) // 10 + 1
    return [
        Chunk(round(n * period + k * 0.03, 3), "rx", STREAM[k * size : (k + 1) * size])
        for n in range(rounds)
        for k in range(10)
    ]


def asked(bms: SimulatedBms, *, acknowledged: bool, delay: float = 0.05) -> list[Chunk]:
    """What a capture with polling holds: every page twice."""
    chunks = []
    for n, register in enumerate((LIVE, LIVE, SETTINGS, SETTINGS, ABOUT, ABOUT)):
        chunks.append(Chunk(n, "tx", page_request(bms.address, register)))
        answer = bms.page(register) + acknowledgement(bms.address, register) * acknowledged
        chunks += [Chunk(n + delay, "rx", answer[:200]), Chunk(n + delay + 0.02, "rx", answer[200:])]
    return chunks


async def heard(chunks: list[Chunk], speed: float = 1000.0) -> list[Reading]:
    """Readings of a recording at a speed."""
    playback = Playback(Recording({"target": "/dev/x"}, chunks), speed)
    source = Replayed(playback, BusStatus("replay"))
    found: list[Reading] = []
    while not playback.finished.is_set():
        found += await source.poll()
    return found


async def test_a_real_stream_reaches_the_broker_and_the_program_ends(broker: Mosquitto, tmp_path: Path) -> None:
    path = filed(tmp_path, overheard())
    async with listening(broker.port) as topics:
        started = time.monotonic()
        options = written(tmp_path, {"mqtt": {"host": "127.0.0.1", "port": broker.port, "base_topic": "copy"}})
        async with program("replay", path, "--options", options) as process:
            _, err = await process.communicate()
            assert process.returncode == 0, err.decode()
            assert 4 < time.monotonic() - started < 20
            await until(lambda: topics.last("copy/bridge/state") == "offline")
    assert "Traceback" not in err.decode()
    assert "BMSs heard: 0,7" in err.decode()
    assert json.loads(topics.last("copy/replay/7/state") or "{}")["total_voltage"] == pytest.approx(53.54, abs=0.005)
    assert json.loads(topics.last("copy/replay/7/settings") or "{}")["cell_count"] == 16
    assert topics.last("copy/replay/0/availability") == "online"
    assert topics.last("homeassistant/device/jkbms-copy_replay_7/config")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["broker.conf", "capture.jsonl", "options-test.json"]


@pytest.mark.parametrize("make", [serial_bus, tcp_bus])
async def test_from_a_bus_over_a_file_to_the_broker(
    make: Callable[..., Any], broker: Mosquitto, tmp_path: Path
) -> None:
    bms = SimulatedBms(5, serial_number="40119491480", current=12.5)
    async with make([bms], chunk=11) as far:
        link = ("--port", far.port) if make is serial_bus else ("--host", f"127.0.0.1:{far.port}")
        async with program("capture", *link, "--seconds", "5", "--poll", "5", str(tmp_path / "c")) as process:
            await process.communicate()
            assert process.returncode == 0
    async with listening(broker.port) as topics:
        mqtt = ("--mqtt-host", "127.0.0.1", "--mqtt-port", str(broker.port))
        async with program("replay", str(tmp_path / "c"), *mqtt, "--speed", "10") as process:
            _, err = await process.communicate()
            assert process.returncode == 0, err.decode()
            await until(lambda: topics.last("jkbms/bridge/state") == "offline")
    assert json.loads(topics.last("jkbms/replay/5/state") or "{}")["current"] == 12.5
    assert json.loads(topics.last("jkbms/replay/5/info") or "{}")["serial_number"] == "40119491480"
    assert json.loads(topics.last("jkbms/replay/5/settings") or "{}")["device_address"] == 5
    ages = [one["age"] for _, t, p, _ in topics.messages if t == "jkbms/bridge/health" for one in _bms(p)]
    assert ages
    assert min(ages) >= 0


def _bms(health: str) -> list[dict[str, Any]]:
    return list(json.loads(health)["batteries"].values())


@pytest.mark.parametrize("speed", [20.0, 1000.0])
async def test_the_same_readings_at_any_speed(speed: float) -> None:
    slow, fast = await heard(overheard(4), 5.0), await heard(overheard(4), speed)
    assert [(r.address, r.kind, r.values) for r in slow] == [(r.address, r.kind, r.values) for r in fast]
    assert {(r.address, r.kind) for r in slow} == {(a, k) for a in (0, 7) for k in ("live", "settings")}


async def test_answers_are_attributed_by_the_questions_that_were_sent() -> None:
    bms = SimulatedBms(4, current=0.0)
    for acknowledged in (True, False):
        found = await heard(asked(bms, acknowledged=acknowledged))
        assert {(r.address, r.kind) for r in found} == {(4, kind) for kind in ("live", "settings", "about")}
    unasked = [chunk for chunk in asked(bms, acknowledged=False) if chunk.direction == "rx"]
    assert {r.kind for r in await heard(unasked)} == {"settings"}  # which hold the address
    late = asked(bms, acknowledged=False, delay=0.8)
    assert {r.kind for r in await heard(late)} == {"settings"}


async def test_the_recorded_times_are_kept() -> None:
    playback = Playback(Recording({}, [Chunk(0.5, "rx", b"a"), Chunk(0.9, "rx", b"b")]))
    started = time.monotonic()
    assert await playback.read(0.2) == b""
    assert await playback.read(1) == b"a"
    assert time.monotonic() - started == pytest.approx(0.5, abs=0.1)
    assert await playback.read(1) == b"b"
    assert playback.now - started == pytest.approx(0.9, abs=0.05)


async def test_a_loop_begins_again() -> None:
    playback = Playback(Recording({"target": "/dev/x"}, overheard(1)), 1000.0, loop=True)
    source, bank = Replayed(playback, BusStatus("replay")), Store()
    async with asyncio.timeout(10):
        while (snapshot := bank.get(("r", 7))) is None or snapshot.count < 4:
            for reading in await source.poll():
                bank.update("r", reading)
    assert not playback.finished.is_set()


def test_no_place_for_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container whose files are read-only."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/nowhere")
    assert main(["replay", "--mqtt-host", "127.0.0.1", filed(tmp_path, overheard())]) == 1
    assert "TMPDIR=/data" in capsys.readouterr().err


def test_a_broker_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    monkeypatch.setattr("jkbms_addon.cli.replay.LAST_WORDS", 0.5)
    arguments = ["replay", filed(tmp_path, overheard(1)), "--mqtt-host", "127.0.0.1", "--mqtt-port", str(port)]
    assert main([*arguments, "--speed", "100"]) == 1
    assert "jkbms_addon: the MQTT broker 127.0.0.1 did not take everything" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["F"], "replay publishes for real: name the broker with --mqtt-host or --options"),
        (["F", "--mqtt-host", "x", "--speed", "0"], "--speed: must be from 1 to 1000"),
        (["F", "--mqtt-host", "x", "--mqtt-port", "0"], "mqtt: port: must be a whole number from 1 to 65535"),
        (["F.no", "--mqtt-host", "x"], "cannot be read: No such file or directory"),
        (["EMPTY", "--mqtt-host", "x"], "holds no received bytes"),
        (["OTHER", "--mqtt-host", "x"], "is no capture"),
    ],
)
def test_one_line_and_status_1(
    arguments: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").write_text("55 AA EB 90")
    (tmp_path / "empty").write_text(header("/dev/x", "", "") + "\n")
    first = {"F": filed(tmp_path, overheard(1)), "EMPTY": str(tmp_path / "empty"), "OTHER": str(tmp_path / "other")}
    assert main(["replay", first.get(arguments[0], str(tmp_path / "none")), *arguments[1:]]) == 1
    err = capsys.readouterr().err
    assert err.startswith("jkbms_addon: ")
    assert problem in err
    assert err.count("\n") == 1
