"""What others on the broker, and the broker itself, may do to the owner of the broker; against a real mosquitto."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from jkbms_addon.app import App
from jkbms_addon.mqtt import client, instance, watch
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.far_end import serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import Mosquitto, mosquitto, until
from tests.mqtt.test_client import STATE, listening, working

ONLINE = "jkbms/bridge/state"
CONFIG = "homeassistant/device/jkbms_a_1/config"
BRIDGE = "homeassistant/device/jkbms_bridge/config"
INSTANCE = "jkbms/bridge/instance/set"


@asynccontextmanager
async def app(port: int, folder: Path, **options: Any) -> AsyncIterator[App]:
    """The program without a bus."""
    folder.mkdir(exist_ok=True)
    mqtt = {"host": "127.0.0.1", "port": port, **options.pop("mqtt", {})}
    built = App(parse({"buses": [], "mqtt": mqtt, **options}), folder)
    task = asyncio.create_task(built.run())
    try:
        yield built
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


INVERTER = {"inverter": {"protocol": "pylontech", "channel": "can0"}}


async def say(port: int, *messages: tuple[str, str], retain: bool = False) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as somebody:
        for topic, payload in messages:
            await somebody.publish(topic, payload, qos=1, retain=retain)


def lines(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if words in r.getMessage() and r.levelno >= logging.INFO]


# --- commands ------------------------------------------------------------------------------------------------
async def test_one_message_hurts_only_itself(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    strange = [
        (f"jkbms/a/{'9' * 5000}/x/set", "1"),
        (f"jkbms/a/1/{'k' * 60000}/set", "1"),
        ("jkbms/a/\u0661/current/set", "1"),
        ("jkbms/a/-1/current/set", "x" * 100000),
        ("jkbms/\u202e/1/current/set", "\ud7ff\x00"),
    ]
    await say(broker.port, *strange, retain=True)
    async with serial_bus([SimulatedBms(1)]) as far, listening(broker.port) as heard:
        async with working(far, {"port": broker.port}, tmp_path) as running:
            await until(lambda: heard.count(STATE) > 2)
            await say(broker.port, *strange)
            count = heard.count(STATE)
            await until(lambda: heard.count(STATE) > count + 2)
            assert heard.count(ONLINE) <= 2  # on a busy machine an acknowledgement may be late
            assert running.buses["a"].connected
    assert max(len(r.getMessage()) for r in caplog.records) < 400
    assert not [r for r in caplog.records if r.levelno > logging.WARNING]


FLOOD = 900  # messages: more than we let wait, fewer than the broker lets wait for us


async def test_a_flood_cannot_push_out_the_stop(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with listening(broker.port) as heard, app(broker.port, tmp_path, **INVERTER) as running:
        await until(lambda: heard.last(ONLINE) == "online")
        for _ in range(3):
            running.inverter.control.command("enable", "ON")
            async with aiomqtt.Client("127.0.0.1", broker.port, max_inflight_messages=5000) as somebody:
                somebody.pending_calls_threshold = 100_000
                flood = [somebody.publish(f"jkbms/a/{n % 15}/x/set", "1", qos=1, timeout=60) for n in range(FLOOD)]
                tasks = [asyncio.create_task(one) for one in flood]
                await asyncio.sleep(0.02)
                await somebody.publish("jkbms/inverter/stop/set", "STOP", qos=1, timeout=60)
                await asyncio.gather(*tasks)
            await until(lambda: not running.inverter.control.enabled or lines(caplog, "trying again"), 60)
            if lines(caplog, "trying again"):
                break  # the broker ended our connection, and with it went what was on its way


async def test_what_a_flood_costs_is_counted_and_told(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jkbms_addon.mqtt.session.WAITING", 2)
    async with listening(broker.port) as heard, app(broker.port, tmp_path) as running:
        await until(lambda: heard.last(ONLINE) == "online")
        async with aiomqtt.Client("127.0.0.1", broker.port, max_inflight_messages=500) as somebody:
            somebody.pending_calls_threshold = 1000
            await asyncio.gather(*(somebody.publish("jkbms/a/1/x/set", "1", qos=1) for _ in range(300)))
        await until(lambda: lines(caplog, "commands were dropped"))
        assert len(lines(caplog, "commands were dropped")) == 1
    assert running.outbox.sent > 0


async def test_an_empty_payload_is_no_command(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(broker.port) as heard, app(broker.port, tmp_path, **INVERTER) as running:
        await until(lambda: heard.last(ONLINE) == "online")
        running.inverter.control.command("enable", "ON")
        await say(broker.port, ("jkbms/inverter/stop/set", "STOP"), retain=False)
        await until(lambda: not running.inverter.control.enabled)
        running.inverter.control.command("enable", "ON")
        await say(broker.port, ("jkbms/inverter/stop/set", ""), retain=True)
        await say(broker.port, ("jkbms/bridge/writing/set", ""), ("jkbms/nonsense/writing/set", "1"))
        await say(broker.port, ("jkbms/bridge/writing/set", "nonsense"))  # what came before it has been heard then
        await until(lambda: "writing stays locked" in caplog.text)
        assert running.inverter.control.enabled


# --- what is ours alone --------------------------------------------------------------------------------------
async def test_what_is_ours_is_said_again_when_somebody_overwrites_it(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serial_bus([SimulatedBms(1)]) as far, listening(broker.port) as heard:
        async with working(far, {"port": broker.port}, tmp_path):
            await until(lambda: "serial_number" in (heard.last(CONFIG) or ""))
            whole, bridge = heard.last(CONFIG), heard.last(BRIDGE)
            count = heard.count(STATE)
            await until(lambda: heard.count(STATE) > count + 1)  # what was announced has come back
            await say(broker.port, (ONLINE, "offline"), (CONFIG, ""), (BRIDGE, '{"other": 1}'), retain=True)
            await until(lambda: heard.last(ONLINE) == "online")
            await until(lambda: (heard.last(CONFIG), heard.last(BRIDGE)) == (whole, bridge))
    assert lines(caplog, "by somebody else") == [
        f"mqtt: {ONLINE} was overwritten by somebody else; saying it again",
        f"mqtt: {CONFIG} was cleared by somebody else; saying it again",
        f"mqtt: {BRIDGE} was overwritten by somebody else; saying it again",
    ]


async def test_whoever_fights_for_a_topic_makes_no_flood(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(broker.port) as heard, app(broker.port, tmp_path):
        await until(lambda: heard.last(BRIDGE))
        count = heard.count(ONLINE)
        for _ in range(40):
            await say(broker.port, (ONLINE, "offline"), retain=True)
        await say(broker.port, ("jkbms/bridge/writing/set", "nonsense"))
        await until(lambda: "writing stays locked" in caplog.text)
        assert heard.count(ONLINE) - count - 40 <= watch.QUICKLY


async def test_the_client_id_is_the_same_in_every_run(broker: Mosquitto, tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        async with listening(broker.port) as heard, app(broker.port, tmp_path):
            await until(lambda: heard.last(BRIDGE) and (tmp_path / "announced.json").exists())
            ids.append(json.loads((tmp_path / "announced.json").read_text())["client_id"])
    assert ids[0] == ids[1]


async def test_an_old_will_does_not_mark_a_living_app_offline(broker: Mosquitto, tmp_path: Path) -> None:
    async with listening(broker.port) as heard, app(broker.port, tmp_path):
        await until(lambda: heard.last(ONLINE) == "online")
        reader, old = await asyncio.open_connection("127.0.0.1", broker.port)
        said = [b"MQTT", b"old", ONLINE.encode(), b"offline"]
        name, *rest = (len(text).to_bytes(2, "big") + text for text in said)
        content = name + b"\x04\x2e\x00\x3c" + b"".join(rest)  # a will that is retained
        old.write(bytes([0x10, len(content)]) + content)
        await old.drain()
        await reader.readexactly(4)  # it is greeted
        old.transport.abort()  # dies without a word
        await until(lambda: heard.last(ONLINE) == "offline")
        await until(lambda: heard.last(ONLINE) == "online")


# --- what the broker refuses -----------------------------------------------------------------------------------
async def test_what_is_not_authorised_is_told_with_its_cause(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite jkbms/#\ntopic read homeassistant/#\n")
    async with mosquitto(tmp_path, f"acl_file {acl}\n") as broker, serial_bus([SimulatedBms(1)]) as far:
        async with listening(broker.port) as heard, working(far, {"port": broker.port}, tmp_path):
            await until(lambda: heard.count(STATE) > 3)
    (line,) = lines(caplog, "refuses")
    assert line.startswith(f"mqtt: the broker refuses {BRIDGE}: not authorized: nothing below homeassistant/ is seen")


async def test_a_subscription_that_is_refused_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with suback_refusing() as port, app(port, tmp_path):
        await until(lambda: lines(caplog, "refuses"))
    assert "mqtt: the broker refuses" in lines(caplog, "refuses")[0]


@pytest.mark.parametrize("limit", ["max_packet_size 9000", "message_size_limit 9000"])
async def test_a_broker_that_takes_no_large_messages_is_told_and_the_rest_works(
    limit: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with mosquitto(tmp_path, f"{limit}\n") as broker, serial_bus([SimulatedBms(1)]) as far:
        async with listening(broker.port) as heard, working(far, {"port": broker.port}, tmp_path):
            await until(lambda: heard.count(STATE) > 8, 25)
            assert heard.last(BRIDGE)
            await until(lambda: any(CONFIG in line for line in lines(caplog, "too large")))
    assert len(lines(caplog, "works again")) <= 1


async def test_works_is_said_only_when_something_was_acknowledged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tried: Callable[[], int]
) -> None:
    """A broker that takes connections and ends each of them with the first message."""
    caplog.set_level(logging.INFO)
    async with closing() as port, app(port, tmp_path):
        await until(lambda: tried() >= 4, 12)
    assert lines(caplog, "works again") == []
    assert len(lines(caplog, "trying again")) <= 3


async def test_a_broker_that_speaks_only_the_older_protocol(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, only_v3(broker.port) as port, listening(broker.port) as heard:
        async with app(port, tmp_path):
            await until(lambda: heard.last(BRIDGE) and heard.last(ONLINE) == "online")


# --- several apps ------------------------------------------------------------------------------------------------
async def test_two_apps_with_base_topics_of_their_own_share_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    other = {"mqtt": {"base_topic": "garage/jk"}}
    async with listening(broker.port) as heard, app(broker.port, tmp_path / "one"):
        async with app(broker.port, tmp_path / "two", **other):
            await until(lambda: heard.last(ONLINE) and heard.last("garage/jk/bridge/state") == "online")
            await until(lambda: sum(t.endswith("/config") for _, t, _, _ in heard.messages) >= 2)
            told = {t: json.loads(p) for _, t, p, _ in heard.messages if t.startswith("homeassistant/device/")}
    assert len(told) == 2
    one, two = told.values()
    assert set(one["device"]["identifiers"]).isdisjoint(two["device"]["identifiers"])
    assert one["device"]["name"] != two["device"]["name"]
    for field in ("unique_id", "default_entity_id"):
        ids = [{part[field] for part in each["components"].values()} for each in (one, two)]
        assert ids[0].isdisjoint(ids[1])


async def test_the_second_app_with_the_same_topics_stays_silent_and_says_why(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(client, "ASK_EVERY", 0.3)
    monkeypatch.setattr(instance, "GONE", 1.0)
    async with listening(broker.port) as heard:
        first = App(parse({"buses": [], "mqtt": {"host": "127.0.0.1", "port": broker.port}}), made(tmp_path / "one"))
        running = asyncio.create_task(first.run())
        await until(lambda: heard.last(ONLINE) == "online")
        async with app(broker.port, tmp_path / "two") as second:
            await until(lambda: lines(caplog, "was there first"))
            count, asked = heard.count(BRIDGE), heard.count(INSTANCE)
            await until(lambda: heard.count(INSTANCE) > asked + 3)  # it has asked again and again
            assert heard.count(BRIDGE) == count
            assert second.outbox.sent == float("-inf")
            assert len(lines(caplog, "was there first")) == 1
            assert len(lines(caplog, "another app wants to publish")) == 1
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await until(lambda: heard.last(ONLINE) == "offline")
            await until(lambda: heard.last(ONLINE) == "online", 6)  # it is gone: now the other one has its turn
        await until(lambda: heard.last(ONLINE) == "offline")


async def test_a_claim_that_nobody_answers_for_is_an_old_one(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER", 0.5)
    await say(broker.port, ("jkbms/bridge/instance", '{"id": "gone", "run": "1", "since": 1}'), retain=True)
    async with listening(broker.port) as heard, app(broker.port, tmp_path):
        await until(lambda: heard.last(ONLINE) == "online", 4)


async def test_a_copy_of_our_data_elsewhere_ends_in_one_that_is_silent(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two apps with one client id throw each other off the broker; the one that sees it takes another id."""
    caplog.set_level(logging.INFO)
    async with listening(broker.port) as heard:
        async with app(broker.port, tmp_path / "one"):
            await until((tmp_path / "one" / "announced.json").exists)
            made(tmp_path / "two")
            (tmp_path / "two" / "announced.json").write_bytes((tmp_path / "one" / "announced.json").read_bytes())
            async with app(broker.port, tmp_path / "two"):
                await until(lambda: lines(caplog, "was there first"), 15)
                await asyncio.sleep(1)
                connects = heard.count(ONLINE)
                await asyncio.sleep(2)
                assert heard.count(ONLINE) == connects
                assert heard.last(ONLINE) == "online"


def made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


# --- brokers that are none -----------------------------------------------------------------------------------
@asynccontextmanager
async def serving(handle: Any) -> AsyncIterator[int]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Type and content of one MQTT packet."""
    kind, length, shift = (await reader.readexactly(1))[0], 0, 0
    while True:
        (byte,) = await reader.readexactly(1)
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return kind >> 4, await reader.readexactly(length)


CONNECT, PUBLISH, SUBSCRIBE = 1, 3, 8


@asynccontextmanager
async def closing() -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await packet(reader)
            writer.write(b"\x20\x03\x00\x00\x00")
            await packet(reader)
        writer.close()

    async with serving(handle) as port:
        yield port


@asynccontextmanager
async def suback_refusing() -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, content = await packet(reader)
                if kind == CONNECT:
                    writer.write(b"\x20\x03\x00\x00\x00")
                elif kind == SUBSCRIBE:
                    writer.write(b"\x90\x04" + content[:2] + b"\x00\x87")
                elif kind == PUBLISH:
                    size = int.from_bytes(content[:2], "big")
                    writer.write(b"\x40\x02" + content[2 + size : 4 + size])
        writer.close()

    async with serving(handle) as port:
        yield port


@asynccontextmanager
async def only_v3(behind: int) -> AsyncIterator[int]:
    """Refuses what is newer than MQTT 3.1.1 and passes everything else on to a broker."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            first = await reader.readexactly(9)
            if first[8] == 5:
                writer.write(b"\x20\x02\x00\x01")
                writer.close()
                return
            there, back = await asyncio.open_connection("127.0.0.1", behind)
            back.write(first)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pump(reader, back))
                tasks.create_task(pump(there, writer))

    async with serving(handle) as port:
        yield port


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()
