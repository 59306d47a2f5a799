"""The program as the container starts it."""

import asyncio
import json
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon import __version__
from jkbms_addon.cli.run import secrets
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.far_end import serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.frames import checksum
from tests.conftest import Mosquitto, until
from tests.mqtt.test_client import listening
from tests.programs import program


def written(folder: Path, options: Any) -> str:
    path = folder / "options-test.json"
    path.write_text(json.dumps(options))
    return str(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_publishes_offline_and_ends_with_status_0(
    broker: Mosquitto, tmp_path: Path, number: signal.Signals
) -> None:
    async with serial_bus([SimulatedBms(1)]) as far, listening(broker.port) as heard:
        options = {
            "buses": [
                {"name": "a", "strategy": "master", "port": far.port, "addresses": "1"},
                {"name": "b", "strategy": "master", "port": "/dev/nowhere"},
                {"name": "c", "strategy": "nonsense"},
            ],
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
        }
        async with program("run", "--options", written(tmp_path, options)) as process:
            await until(lambda: heard.last("jkbms/a/1/state"))
            health = json.loads(heard.last("jkbms/bridge/health") or "{}")
            assert health["configuration_problem"] == "ON"
            asked = time.monotonic()
            process.send_signal(number)
            _, err = await process.communicate()
            assert process.returncode == 0
            assert time.monotonic() - asked < 5
            await until(lambda: heard.last("jkbms/bridge/state") == "offline")
    log = err.decode()
    assert log.count("/dev/nowhere does not exist") == 1
    assert "bus c: strategy: 'nonsense' is not one of" in log
    assert "Traceback" not in log
    assert " <- " not in log  # frames only at trace


@pytest.mark.parametrize("reachable", [True, False])
async def test_it_ends_at_once_without_a_broker_too(tmp_path: Path, reachable: bool) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take connections and say nothing."""
        with suppress(OSError):
            await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    silent = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1] if reachable else 9
        async with program(
            "run", "--options", written(tmp_path, {"mqtt": {"host": "127.0.0.1", "port": port}})
        ) as process:
            await asyncio.sleep(1.5)
            asked = time.monotonic()
            process.terminate()
            await process.communicate()
            assert (process.returncode, time.monotonic() - asked < 5) == (0, True)


@pytest.mark.parametrize(
    ("options", "line"),
    [([], "jkbms_addon: options: must be a JSON object"), ({"buses": {}}, "jkbms_addon: buses: must be a list")],
)
async def test_unusable_options_are_one_line_and_status_1(tmp_path: Path, options: Any, line: str) -> None:
    async with program("run", "--options", written(tmp_path, options)) as process:
        out, err = await process.communicate()
        assert (process.returncode, out, err.decode()) == (1, b"", f"{line}\n")


async def test_wrong_sections_are_told_and_the_rest_runs(broker: Mosquitto, tmp_path: Path) -> None:
    async with serial_bus([SimulatedBms(1)]) as far, listening(broker.port) as heard:
        options = {
            "log_level": "loud",
            "buses": [{"name": "a", "strategy": "master", "port": far.port, "addresses": "1"}],
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "writes": {"level": "everything", "unlocked_at_start": True},
        }
        async with program("run", "--options", written(tmp_path, options)) as process:
            await until(lambda: heard.last("jkbms/a/1/state"))
            health = json.loads(heard.last("jkbms/bridge/health") or "{}")
            process.terminate()
            _, err = await process.communicate()
    lines = [
        "log_level: 'loud' is not one of trace, debug, info, warning, error, fatal; info is used",
        "writes: level: must be one of off, switches, settings, protections; nothing can be changed",
    ]
    assert [err.decode().count(line) for line in lines] == [1, 1]
    assert (health["configuration_problem"], health["configuration_reason"]) == ("ON", "; ".join(lines)[:255])
    assert "writing" not in health
    assert process.returncode == 0


async def test_with_a_wrong_mqtt_section_nothing_is_published_and_the_app_stays_up(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with serial_bus([SimulatedBms(1)]) as far, listening(broker.port) as heard:
        options = {
            "buses": [{"name": "a", "strategy": "master", "port": far.port, "addresses": "1"}],
            "mqtt": {"host": "127.0.0.1", "port": broker.port, "base_topic": "a/#", "password": "geheim"},
        }
        async with program("run", "--options", written(tmp_path, options)) as process:
            await until(lambda: len(far.requests) > 3)
            assert process.returncode is None
            process.terminate()
            _, err = await process.communicate()
    problem = "mqtt: base_topic: must be a topic without wildcards or blanks; nothing is published"
    assert err.decode().count(problem) == 1
    assert "no MQTT broker" not in err.decode()  # it does not even ask for one
    assert "geheim" not in err.decode()
    assert process.returncode == 0
    assert heard.messages == []


async def test_a_missing_file(tmp_path: Path) -> None:
    async with program("run", "--options", str(tmp_path / "none.json")) as process:
        _, err = await process.communicate()
        assert process.returncode == 1
        assert err.decode().count("\n") == 1
        assert "cannot be read" in err.decode()


async def test_version_and_help() -> None:
    async with program("--version") as process:
        out, _ = await process.communicate()
    assert out.decode().strip() == __version__
    async with program("--help") as process:
        out, _ = await process.communicate()
    assert {"run", "demo", "decode"} <= set(out.decode().split())


def with_secrets(data: bytes) -> bytes:
    """The device information of a unit whose owner has set PIN and password."""
    if data[4:5] != b"\x03":
        return data
    frame = bytearray(data)
    frame[62:69], frame[118:126] = b"PIN4321", b"PASSWD99"
    frame[299] = checksum(frame[:300])
    return bytes(frame)


def test_every_secret_of_the_options_is_known() -> None:
    bus = {"name": "a", "strategy": "ble", "mac": "C8:47:80:12:34:56", "pin": "471108"}
    mqtt = {"host": "broker", "username": "anna", "password": "geheim"}
    options = parse({"buses": [bus], "mqtt": mqtt, "page": {"port": 8099, "token": "token of sixteen letters"}})
    assert {"471108", "geheim", "token of sixteen letters"} <= set(secrets(options))


async def test_secrets_stay_out_of_the_log_at_every_level(broker: Mosquitto, tmp_path: Path) -> None:
    async with serial_bus([SimulatedBms(1)], mangle=with_secrets) as far, listening(broker.port) as heard:
        entry = {"name": "a", "strategy": "master", "port": far.port, "addresses": "1"}
        mqtt = {"host": "127.0.0.1", "port": broker.port, "username": "u", "password": "geheim"}
        async with program(
            "run", "--options", written(tmp_path, {"log_level": "trace", "buses": [entry], "mqtt": mqtt})
        ) as process:
            await until(lambda: "serial_number" in (heard.last("jkbms/a/1/info") or ""))
            process.terminate()
            _, err = await process.communicate()
    log = err.decode()
    assert "TRACE" in log
    assert "01 10 16 1c" in log
    published = " ".join(f"{topic} {payload}" for _, topic, payload, _ in heard.messages)
    for secret in ("geheim", "PIN4321", "PASSWD99"):
        assert secret not in log + published
        assert secret.encode().hex(" ") not in log + published
