"""The owner of the broker against a real mosquitto."""

import asyncio
import gc
import json
import logging
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from jkbms_addon.app import App
from jkbms_addon.mqtt.client import leftover
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.far_end import SerialBus, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import MOSQUITTO, Mosquitto, mosquitto, until
from tests.programs import program


class Listener:
    """What another program hears from the broker."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, str, str, bool]] = []

    def last(self, topic: str) -> str | None:
        return next((p for _, t, p, _ in reversed(self.messages) if t == topic), None)

    def count(self, topic: str) -> int:
        return sum(t == topic for _, t, _, _ in self.messages)


@asynccontextmanager
async def listening(port: int, **options: Any) -> AsyncIterator[Listener]:
    listener, ready = Listener(), asyncio.Event()

    async def run() -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", port, **options) as client:
                    await client.subscribe("#", qos=1)
                    ready.set()
                    async for m in client.messages:
                        payload = m.payload.decode() if isinstance(m.payload, bytes) else ""
                        listener.messages.append((time.monotonic(), str(m.topic), payload, bool(m.retain)))
            await asyncio.sleep(0.1)

    task = asyncio.create_task(run())
    await ready.wait()
    try:
        yield listener
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def working(far: SerialBus, mqtt: dict[str, Any], folder: Path, **bus: Any) -> AsyncIterator[App]:
    entry: dict[str, Any] = {"name": "a", "strategy": "master", "port": far.port, "addresses": "1-2", "interval": 0.5}
    entry |= bus
    options: dict[str, Any] = {"buses": [entry], "mqtt": {"host": "127.0.0.1"} | mqtt}
    app = App(parse(options), folder)
    task = asyncio.create_task(app.run())
    try:
        yield app
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


STATE = "jkbms/a/1/state"


async def test_from_the_wire_to_the_topics(broker: Mosquitto, tmp_path: Path) -> None:
    async with serial_bus([SimulatedBms(1, soc=42)]) as far, listening(broker.port) as heard:
        async with working(far, {"port": broker.port}, tmp_path):
            await until(lambda: heard.last(STATE) and heard.last("jkbms/a/1/info"))
            await until(lambda: heard.last("jkbms/a/1/settings"))
            state = json.loads(heard.last(STATE) or "")
            assert state["state_of_charge"] == 42
            assert heard.last("jkbms/bridge/state") == "online"
            assert heard.last("jkbms/a/1/availability") == "online"
            await until(lambda: "serial_number" in (heard.last("homeassistant/device/jkbms_a_1/config") or ""))
        await until(lambda: heard.last("jkbms/bridge/state") == "offline")
    async with listening(broker.port) as later:
        await until(lambda: later.last("jkbms/a/1/info"))
        retained = {topic for _, topic, _, retain in later.messages if retain}
        assert STATE not in retained
        assert {"jkbms/a/1/settings", "jkbms/a/1/availability", "jkbms/bridge/state"} <= retained


async def test_everything_again_on_the_birth_message(broker: Mosquitto, tmp_path: Path) -> None:
    config = "homeassistant/device/jkbms_a_1/config"
    async with serial_bus([SimulatedBms(1)]) as far, listening(broker.port) as heard:
        async with working(far, {"port": broker.port}, tmp_path, interval=30):
            await until(lambda: heard.last("jkbms/a/1/info") and "serial" in (heard.last(config) or ""))
            await until(lambda: heard.last("jkbms/a/1/settings") and heard.last(STATE))
            before = {topic: heard.count(topic) for topic in (config, STATE, "jkbms/a/1/settings")}
            async with aiomqtt.Client("127.0.0.1", broker.port) as home_assistant:
                await home_assistant.publish("homeassistant/status", "online")
            await until(lambda: all(heard.count(topic) > n for topic, n in before.items()))


async def test_a_killed_broker_is_found_again_and_warned_of_once(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jkbms_addon")
    async with serial_bus([SimulatedBms(1)]) as far, listening(broker.port) as heard:
        async with working(far, {"port": broker.port}, tmp_path):
            await until(lambda: heard.last(STATE))
            await broker.kill()
            await until(lambda: "Connection refused" in caplog.text)
            await broker.start()
            count = heard.count(STATE)
            await until(lambda: heard.count(STATE) > count + 1)
            said = [r for r in caplog.records if r.name == "jkbms_addon.supervise"]
            assert 1 <= len([r for r in said if r.levelno == logging.WARNING]) <= 2
            assert not [r for r in said if r.levelno > logging.WARNING]
            assert [r.getMessage() for r in said if r.levelno == logging.INFO] == ["mqtt: works again"]
            assert caplog.text.count(f"mqtt: connected to 127.0.0.1:{broker.port}") == 1
            assert heard.last("jkbms/bridge/state") == "online"


async def test_a_frozen_broker_is_noticed_and_healed(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serial_bus([SimulatedBms(1)]) as far, listening(broker.port) as heard:
        async with working(far, {"port": broker.port}, tmp_path) as app:
            await until(lambda: heard.last(STATE))
            broker.signal(signal.SIGSTOP)
            frames = app.buses["a"].frames
            await until(lambda: "mqtt: MQTT broker" in caplog.text, 12)
            await until(lambda: app.buses["a"].frames > frames + 5)  # acquisition goes on
            broker.signal(signal.SIGCONT)
            count = heard.count(STATE)
            await until(lambda: heard.count(STATE) > count + 2, 12)
    assert not [r for r in caplog.records if r.levelno > logging.WARNING]


async def test_no_broker_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with mosquitto(tmp_path) as broker:
        await broker.kill()
        async with serial_bus([SimulatedBms(1)]) as far, working(far, {"port": broker.port}, tmp_path):
            await until(lambda: "Connection refused" in caplog.text)
            await broker.start()
            async with listening(broker.port) as heard:
                await until(lambda: heard.last(STATE))


async def test_a_dead_program_is_offline_by_its_will(broker: Mosquitto, tmp_path: Path) -> None:
    async with listening(broker.port) as heard, serial_bus([SimulatedBms(1)]) as far:
        options = tmp_path / "options-test.json"
        entry = {"name": "a", "strategy": "master", "port": far.port, "addresses": "1"}
        options.write_text(json.dumps({"buses": [entry], "mqtt": {"host": "127.0.0.1", "port": broker.port}}))
        async with program("run", "--options", str(options), stderr=subprocess.DEVNULL) as process:
            await until(lambda: heard.last("jkbms/bridge/state") == "online")
            process.kill()
            await process.wait()
            await until(lambda: heard.last("jkbms/bridge/state") == "offline")


async def test_entities_of_a_removed_address_are_removed(broker: Mosquitto, tmp_path: Path) -> None:
    config = "homeassistant/device/jkbms_a_2/config"
    async with serial_bus([SimulatedBms(1), SimulatedBms(2)]) as far:
        async with listening(broker.port) as heard, working(far, {"port": broker.port}, tmp_path):
            await until(lambda: heard.last(config))
            saved = tmp_path / "announced.json"
            await until(lambda: saved.exists() and "jkbms_a_2" in saved.read_text())
        async with listening(broker.port) as heard, working(far, {"port": broker.port}, tmp_path, addresses="1"):
            await until(lambda: heard.last(config) == "")
            await until(lambda: heard.last("jkbms/a/2/availability") == "")
            known = {topic for _, topic, _, _ in heard.messages if topic.startswith("jkbms/a/2/")}
            await until(lambda: all(heard.last(topic) == "" for topic in known))
    async with listening(broker.port) as later:
        await until(lambda: later.last("homeassistant/device/jkbms_a_1/config"))
        assert not [topic for _, topic, _, _ in later.messages if "a_2" in topic or "/a/2/" in topic]


async def test_a_full_disk_is_told_once_and_costs_nothing_else(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serial_bus([SimulatedBms(1), SimulatedBms(2)]) as far, listening(broker.port) as heard:
        async with working(far, {"port": broker.port}, Path("/dev/full/nowhere")):
            await until(lambda: heard.last(STATE) and heard.last("jkbms/a/2/settings"))
    told = [record.getMessage() for record in caplog.records if "cannot be written" in record.getMessage()]
    assert len([text for text in told if "announced.json" in text]) == 1
    assert len(told) == len(set(told))


def certificates(folder: Path) -> None:
    """A certificate authority and a broker certificate for localhost."""
    run = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test-ca"]
    subprocess.run([*run, "-keyout", "ca.key", "-out", "ca.pem"], cwd=folder, check=True, capture_output=True)
    request = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "b.key"]
    subprocess.run([*request, "-out", "b.csr"], cwd=folder, check=True, capture_output=True)
    (folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    sign = ["openssl", "x509", "-req", "-in", "b.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    subprocess.run(
        [*sign, "-days", "2", "-extfile", "san", "-out", "b.pem"], cwd=folder, check=True, capture_output=True
    )


async def test_tls_is_verified(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificates(tmp_path)
    extra = f"cafile {tmp_path}/ca.pem\ncertfile {tmp_path}/b.pem\nkeyfile {tmp_path}/b.key\n"
    async with serial_bus([SimulatedBms(1)]) as far, mosquitto(tmp_path, extra) as broker:
        good = {"port": broker.port, "tls": True, "ca_file": str(tmp_path / "ca.pem")}
        async with working(far, good, tmp_path):
            context = aiomqtt.TLSParameters(ca_certs=str(tmp_path / "ca.pem"))
            async with listening(broker.port, tls_params=context) as heard:
                await until(lambda: heard.last(STATE))
        caplog.clear()
        async with working(far, {"port": broker.port, "tls": True}, tmp_path):
            await until(lambda: "certificate verify failed" in caplog.text)
        async with working(far, {**good, "ca_file": "/nowhere.pem"}, tmp_path):
            await until(lambda: "mqtt.ca_file /nowhere.pem cannot be read" in caplog.text)


async def test_wrong_password_is_said_without_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "users").write_text("")
    (tmp_path / "users").chmod(0o600)
    async with serial_bus([]) as far, mosquitto(tmp_path) as broker:
        await broker.kill()
        conf = tmp_path / "broker.conf"
        conf.write_text(f"listener {broker.port} 127.0.0.1\nallow_anonymous false\n")
        process = await asyncio.create_subprocess_exec(str(MOSQUITTO), "-c", str(conf), stderr=subprocess.DEVNULL)
        try:
            async with working(far, {"port": broker.port, "username": "u", "password": "geheim"}, tmp_path):
                await until(lambda: "refuses user name or password" in caplog.text)
        finally:
            process.kill()
            await process.wait()
    assert "geheim" not in caplog.text


async def test_a_stop_that_the_library_swallows_is_heeded(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11's wait_for does, when the broker's answer comes together with it."""
    async with asyncio.timeout(20), listening(broker.port) as heard:
        app = App(parse({"buses": [], "mqtt": {"host": "127.0.0.1", "port": broker.port}}), tmp_path)
        running, swallowed, publish = asyncio.create_task(app.run()), False, aiomqtt.Client.publish

        async def published(client: aiomqtt.Client, topic: str, *args: Any, **options: Any) -> None:
            nonlocal swallowed
            await publish(client, topic, *args, **options)
            if topic == "jkbms/bridge/health" and not swallowed:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
                swallowed = True

        monkeypatch.setattr(aiomqtt.Client, "publish", published)
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: heard.last("jkbms/bridge/state") == "offline")
    assert swallowed


async def test_a_broker_that_thaws_and_dies_leaves_no_complaint_of_the_event_loop(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture, tried: Callable[[], int]
) -> None:
    async with serial_bus([SimulatedBms(1), SimulatedBms(2)]) as far, listening(broker.port) as heard:
        async with working(far, {"port": broker.port}, tmp_path, interval=0):
            await until(lambda: heard.last(STATE))
            broker.signal(signal.SIGSTOP)  # tries to connect are given up
            await until(lambda: tried() >= 3, 20)
            broker.signal(signal.SIGCONT)  # and accepted when nobody waits for that any more
            await until(lambda: connections(broker.port) > 1)
            await broker.kill()
            await until(lambda: connections(broker.port) == 0)
            heard.messages.clear()
            await broker.start()
            await until(lambda: heard.last(STATE))
        gc.collect()
        for _ in range(10):  # what complains is called by the loop
            await asyncio.sleep(0)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []


def test_other_complaints_of_the_event_loop_are_heard() -> None:
    assert not leftover({"message": "Task exception was never retrieved", "exception": ValueError("x")})
    assert not leftover(
        {"message": "Exception in callback BaseSelectorEventLoop.add_writer(7)", "exception": OSError(5)}
    )
    assert leftover(
        {"message": "Future exception was never retrieved", "exception": aiomqtt.MqttError("Unexpected disconnection")}
    )


def connections(port: int) -> int:
    """How many clients the broker at this port has."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


async def test_tries_that_a_thawed_broker_accepts_too_late_do_not_live_on(
    broker: Mosquitto, tmp_path: Path, tried: Callable[[], int]
) -> None:
    async with serial_bus([SimulatedBms(1)]) as far, listening(broker.port) as heard:
        async with working(far, {"port": broker.port}, tmp_path):
            await until(lambda: heard.last(STATE))
            assert connections(broker.port) == 2
            broker.signal(signal.SIGSTOP)
            await until(lambda: tried() >= 3, 20)
            broker.signal(signal.SIGCONT)
            heard.messages.clear()
            await until(lambda: heard.last(STATE))
            await until(lambda: connections(broker.port) == 2)
            count = heard.count(STATE)
            await until(lambda: heard.count(STATE) > count + 3)
            assert heard.last("jkbms/bridge/state") == "online"
