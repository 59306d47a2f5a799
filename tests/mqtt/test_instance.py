"""Whether another app has our topics, where that is not plain."""

import logging
import signal
from pathlib import Path

import pytest

from tests.conftest import mosquitto, until
from tests.mqtt.test_client import listening
from tests.mqtt.test_trouble import BRIDGE, ONLINE, app, lines


async def test_a_broker_that_crashed_and_remembers_our_run_before_is_no_copy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    kept = f"persistence true\npersistence_location {tmp_path}/\n"
    async with mosquitto(tmp_path, kept) as broker, listening(broker.port) as heard:
        async with app(broker.port, tmp_path):
            await until(lambda: heard.last(BRIDGE) and (tmp_path / "announced.json").exists())
        await until(lambda: heard.last(ONLINE) == "offline")
        broker.signal(signal.SIGUSR1)  # it writes down what it keeps
        await until((tmp_path / "mosquitto.db").exists)
        async with app(broker.port, tmp_path):
            await until(lambda: heard.last(ONLINE) == "online")
            await broker.kill()
            count = heard.count(ONLINE)
            await broker.start()
            await until(lambda: heard.count(ONLINE) > count and heard.last(ONLINE) == "online", 10)
    assert not lines(caplog, "client id")
