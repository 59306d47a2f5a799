"""The whole program with batteries over Bluetooth, without any radio: what is announced, and what may be changed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from jkbms_addon.app import App
from jkbms_addon.battery import identity
from jkbms_addon.options.file import parse
from jkbms_addon.page.scans import Scans
from jkbms_addon.page.visitor import Visitor
from jkbms_addon.simulator.ble import BleUnit
from jkbms_addon.simulator.far_end import SerialBus, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.worker import Worker
from tests.bluetooth.ether import Ether, ether
from tests.conftest import Mosquitto, until
from tests.mqtt.test_client import Listener, listening
from tests.plugs import Plug

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


async def test_a_scan_of_its_bus_on_the_page_finds_the_battery_and_asks_nobody_else(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ether(monkeypatch, {NEW: BleUnit(SimulatedBms(2, serial_number="4071200002"), "32S")})
    async with house(broker, tmp_path, [bus("new", NEW)]) as one:
        await until(lambda: any("about" in wire.parts for wire in one.app.store), 20)
        visitor, sources = Visitor("somebody", time.monotonic), one.app.page.sources
        visitor.unlock()
        scans = Scans(sources, visitor, Worker("test"), dict)
        async with asyncio.TaskGroup() as tasks:
            begun = ("scan", "new")
            job = sources.jobs.begin(begun, visitor, 60, lambda job: scans.bus(job, one.app.buses["new"]), tasks)
        assert (job.state, [row[0] for row in job.said["rows"]]) == ("done", ["1"])
        assert "over Bluetooth there is nobody but the battery itself" in job.said["notes"][0]
        assert (one.app.buses["new"].connected, one.app.buses["new"].reconnects) == (True, 0)


# --- one battery by cable and by radio ------------------------------------------------------------------------
@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two agreeing readings within seconds; the time itself is tested with a clock."""
    monkeypatch.setattr(identity, "SPACED", 1.0)
    monkeypatch.setattr(identity, "APART", 1.0)


@dataclass
class Both:
    """A pack with a cable and a radio, one that has only the radio, and the program around them."""

    one: House
    bms: SimulatedBms
    unit: BleUnit
    cable: Plug[SerialBus]
    air: Ether

    @property
    def source(self) -> str:
        snapshot = self.one.app.store.get(("rack", 1))
        return snapshot.source[0] if snapshot else ""

    def asked(self) -> list[bytes]:
        """Changes that went through the air."""
        return [one for one in self.unit.asked if one[4] not in (0x96, 0x97)]

    async def cut(self, bus: str) -> None:
        if bus == "rack":
            await self.cable.pull()
        else:
            self.air.vanish(NEW)

    async def mend(self, bus: str) -> None:
        if bus == "rack":
            await self.cable.plug()
        else:
            self.air.come_back(NEW)

    async def settled(self) -> None:
        """Both wires tell all that they have, and are known to lead to one battery."""
        store = self.one.app.store
        await until(lambda: len(store.wires(("rack", 1))) == 2, 30)
        await until(lambda: all(w.parts.keys() >= {"settings", "about"} for w in store.wires(("rack", 1))), 20)
        await until(lambda: not any(store.identity.doubt(w.key) for w in store.wires(("rack", 1))), 20)


@asynccontextmanager
async def both(
    broker: Mosquitto, folder: Path, monkeypatch: pytest.MonkeyPatch, layout: str = "32S", **more: Any
) -> AsyncIterator[Both]:
    bms = SimulatedBms(1, serial_number="4071200001", current=-10.0, errors=0)
    unit = BleUnit(bms, layout, beat=0.21, second=layout == "32S")
    air = ether(monkeypatch, {NEW: unit})
    cable = Plug(folder / "rs485", lambda: serial_bus([bms]))
    await cable.plug()
    rack = {"name": "rack", "strategy": "master", "port": str(cable.path), "addresses": "1", "interval": 1.0}
    try:
        async with house(broker, folder, [rack, bus("air", NEW)], **more) as one:
            yield Both(one, bms, unit, cable, air)
    finally:
        await cable.pull()


@pytest.mark.usefixtures("soon")
async def test_cable_and_radio_are_one_device_and_stand_in_for_each_other(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with both(broker, tmp_path, monkeypatch) as it:
        await it.settled()
        store = it.one.app.store
        assert [snapshot.key for snapshot in store] == [("rack", 1)]
        assert store.identity.reason(("rack", 1)) == "equal serial numbers"
        mine = {t.split("/")[2] for _, t, p, _ in it.one.heard.messages if t.endswith("/config") and p}
        assert "jkbms_rack_1" in mine
        await until(lambda: not json.loads(it.one.heard.last("homeassistant/device/jkbms_air_1/config") or "{}"))
        await until(lambda: it.one.heard.last("jkbms/rack/1/availability") == "online", 20)
        began, took = time.monotonic(), []
        for cut, other in (("rack", "air"), ("air", "rack"), ("rack", "air")):
            await until(lambda cut=cut: store.present((cut, 1)), 15)  # type: ignore[misc]
            struck = time.monotonic()
            await it.cut(cut)
            await until(lambda other=other: it.source == other, 6)  # type: ignore[misc]
            took.append(time.monotonic() - struck)
            await asyncio.sleep(max(0.0, 11 - took[-1]))  # longer than what was heard last holds
            assert store.present((other, 1))
            await it.mend(cut)
        away = [p for at, t, p, _ in it.one.heard.messages if at > began and t == "jkbms/rack/1/availability"]
        told = [json.loads(p) for at, t, p, _ in it.one.heard.messages if at > began and t == "jkbms/rack/1/state"]
    with capsys.disabled():
        print(f"\nthe other wire took over after {', '.join(f'{s:.1f}' for s in took)} s")
    assert max(took) < 5
    assert "offline" not in away
    assert len(told) > 20
    assert {state["current"] for state in told} == {-10.0}
    assert all(state["total_voltage"] == pytest.approx(53.4, abs=0.5) for state in told)


@pytest.mark.usefixtures("soon")
async def test_a_change_goes_by_cable_and_by_radio_when_the_cable_is_gone(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with both(broker, tmp_path, monkeypatch) as it:
        await it.settled()
        by_cable = await it.one.sets("rack/1", "balance_trigger_voltage", "0.012")
        assert (by_cable["outcome"], by_cable.get("wire", "rack/1")) == ("applied", "rack/1")
        assert (len(it.bms.writes), it.asked()) == (1, [])
        await it.cut("rack")
        await until(lambda: not it.one.app.buses["rack"].connected, 10)
        by_radio = await it.one.sets("rack/1", "balance_trigger_voltage", "0.015")
        assert (by_radio["outcome"], by_radio["bms"], by_radio["wire"]) == ("applied", "rack/1", "air/1")
        assert (len(it.bms.writes), len(it.asked())) == (1, 1)
        assert it.bms.settings["balance_trigger_voltage"] == pytest.approx(0.015)
        settings = "jkbms/rack/1/settings"
        await until(lambda: json.loads(it.one.heard.last(settings) or "{}")["balance_trigger_voltage"] == 0.015)
        # what has no register in the air is told to be so, and waits for the cable
        refused = await it.one.sets("rack/1", "smart_sleep_voltage", "3.3")
        assert (refused["outcome"], "the link of bus rack is lost" in refused["reason"]) == ("refused", True)
        await it.mend("rack")
        await until(lambda: it.one.app.buses["rack"].connected and it.one.app.store.present(("rack", 1)), 15)
        again = await it.one.sets("rack/1", "balance_trigger_voltage", "0.01")
        assert (again["outcome"], again.get("wire", "rack/1")) == ("applied", "rack/1")
        assert (len(it.bms.writes), len(it.asked())) == (2, 1)


@pytest.mark.usefixtures("soon")
async def test_a_24s_radio_is_never_the_wire_of_a_change(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the owner's word both are one battery; without the cable nothing is changed."""
    async with both(broker, tmp_path, monkeypatch, "24S", batteries=["rack/1 = air/1"]) as it:
        await it.settled()
        assert "charging_switch" in it.one.controls("jkbms_rack_1")
        by_cable = await it.one.sets("rack/1", "balancing_switch", "OFF")
        assert (by_cable["outcome"], by_cable.get("wire", "rack/1")) == ("applied", "rack/1")
        await it.cut("rack")
        await until(lambda: not it.one.app.buses["rack"].connected, 10)
        refused = await it.one.sets("rack/1", "balancing_switch", "ON")
        assert refused["outcome"] == "refused"
        assert "the link of bus rack is lost" in refused["reason"]
        assert it.asked() == []
        assert it.bms.settings["balancing_switch"] is False or it.bms.settings["balancing_switch"] == 0
