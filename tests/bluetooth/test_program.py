"""The whole program with batteries over Bluetooth, without any radio: what is announced, and what may be changed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from jkbms_addon.app import App
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.ble import BleUnit
from jkbms_addon.simulator.pb import SimulatedBms
from tests.bluetooth.ether import Ether, ether
from tests.conftest import Mosquitto, until
from tests.mqtt.test_client import Listener, listening

OLD, NEW = "20:21:11:00:00:02", "C8:47:80:00:00:01"
WRITES = {"level": "protections", "unlocked_at_start": True}


def bus(name: str, mac: str) -> dict[str, Any]:
    return {"name": name, "strategy": "ble", "mac": mac, "address": 1}


@dataclass
class House:
    """The app, what it tells the broker, and a hand that publishes."""

    app: App
    heard: Listener
    hand: aiomqtt.Client

    def announced(self, device: str) -> dict[str, Any]:
        found = json.loads(self.heard.last(f"homeassistant/device/{device}/config") or "{}")
        components: dict[str, Any] = found.get("components", {})
        return components

    def controls(self, device: str) -> set[str]:
        return {name for name, one in self.announced(device).items() if "command_topic" in one}

    async def sets(self, battery: str, key: str, payload: str, seconds: float = 10.0) -> dict[str, Any]:
        """Change a setting; what became of it."""
        topic = f"jkbms/{battery}/last_write"
        count = self.heard.count(topic)
        await self.hand.publish(f"jkbms/{battery}/{key}/set", payload, qos=1)
        await until(lambda: self.heard.count(topic) > count, seconds)
        outcome: dict[str, Any] = json.loads(self.heard.last(topic) or "{}")
        return outcome


@asynccontextmanager
async def house(broker: Mosquitto, folder: Path, buses: list[dict[str, Any]], **more: Any) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        heard = await stack.enter_async_context(listening(broker.port))
        hand = await stack.enter_async_context(aiomqtt.Client("127.0.0.1", broker.port))
        mqtt = {"host": "127.0.0.1", "port": broker.port}
        app = App(parse({"buses": buses, "mqtt": mqtt, "writes": WRITES, **more}), folder)
        assert app.options.problems == []
        task = asyncio.create_task(app.run())
        try:
            yield House(app, heard, hand)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_24s_is_announced_with_sensors_only_and_32s_as_on_rs485(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = BleUnit(SimulatedBms(1, serial_number="4071200001", cells=13), "24S")
    new = BleUnit(SimulatedBms(2, serial_number="4071200002"), "32S")
    air: Ether = ether(monkeypatch, {OLD: old, NEW: new})
    async with house(broker, tmp_path, [bus("old", OLD), bus("new", NEW)]) as one:
        await until(lambda: "charging_switch" in one.controls("jkbms_new_1"), 20)
        await until(lambda: "charging_switch" in one.announced("jkbms_old_1"), 20)
        switch = one.announced("jkbms_old_1")["charging_switch"]
        assert (switch["platform"] if "platform" in switch else switch["p"]) == "binary_sensor"
        assert one.controls("jkbms_old_1") == set()
        assert len(one.controls("jkbms_new_1")) > 30
        # nor is there anything that tells of changes
        assert "last_change" not in one.announced("jkbms_old_1")
        assert "last_change" in one.announced("jkbms_new_1")
        refused = await one.sets("old/1", "charging_switch", "OFF")
        assert (refused["outcome"], refused["reason"]) == (
            "refused",
            "settings of this battery (layout 24S) are only read over Bluetooth",
        )
        taken = await one.sets("new/1", "charging_switch", "OFF")
        assert taken["outcome"] == "applied"
        assert (old.bms.settings["charging_switch"], new.bms.settings["charging_switch"]) == (True, False)
        # what was told of the battery outlives the link
        air.vanish(OLD)
        await until(lambda: not one.app.buses["old"].connected)
        assert one.app.commands.changeable(("old", 1)) is False
    for asked in old.asked:
        assert asked[4] in (0x96, 0x97)
