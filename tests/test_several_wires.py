"""One battery, several wires, in the whole program: a JK master with its slaves, and a second cable to every pack."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from jkbms_addon.app import App
from jkbms_addon.battery import identity, identity_file
from jkbms_addon.battery.snapshot import STANDS
from jkbms_addon.battery.together import STAYS
from jkbms_addon.commands.audit import read as attempts
from jkbms_addon.options.file import parse
from jkbms_addon.page.scans import Scans
from jkbms_addon.page.visitor import Visitor
from jkbms_addon.simulator.can import Adapter, CanBms, broadcasting, slcan_adapter
from jkbms_addon.simulator.far_end import SerialBus, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.modbus import LIVE, SETTINGS
from jkbms_addon.worker import Worker
from tests.conftest import Mosquitto, crowded, until
from tests.inverter.senders import LIMITS, current
from tests.mqtt.test_client import Listener, listening
from tests.plugs import Plug

PACKS = {("bank", 0), ("bank", 1), ("bank", 2)}
WRITES = {"level": "protections", "unlocked_at_start": True}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five readings within seconds instead of a minute; the minute itself is tested with a clock."""
    monkeypatch.setattr(identity, "SPACED", 1.0)
    monkeypatch.setattr(identity, "APART", 1.0)


@dataclass
class House:
    """The app between two buses with the same packs, a broker and an inverter."""

    units: dict[int, SimulatedBms]
    shared: Plug[SerialBus]
    control: Plug[SerialBus]
    out: Adapter
    folder: Path
    port: int
    hand: aiomqtt.Client
    heard: Listener
    app: App
    options: dict[str, Any]
    _task: "asyncio.Task[None] | None" = None
    began: float = field(default_factory=time.monotonic)

    @property
    def shown(self) -> set[tuple[str, int]]:
        return {snapshot.key for snapshot in self.app.store}

    @property
    def sources(self) -> set[str]:
        return {snapshot.source[0] for snapshot in self.app.store}

    @property
    def online(self) -> int:
        return self.app.inverter.control.state.packs_online

    def outcomes(self, battery: str = "bank/0") -> list[dict[str, Any]]:
        topic = f"jkbms/{battery}/last_write"
        return [json.loads(payload) for _, t, payload, _ in self.heard.messages if t == topic]

    def announced(self) -> set[str]:
        """Devices that stand in the broker now."""
        last = {t: p for _, t, p, _ in self.heard.messages if t.startswith("homeassistant/device/")}
        return {topic.split("/")[2] for topic, payload in last.items() if payload}

    def discharge(self, since: float) -> list[float]:
        return [current(frame, 4) for at, frame in self.out.transmitted if frame.can_id == LIMITS and at > since]

    def offline(self, since: float) -> list[str]:
        return [
            t for at, t, p, _ in self.heard.messages if at > since and p == "offline" and t.endswith("availability")
        ]

    async def starts(self, **changes: Any) -> None:
        self.app = App(parse({**self.options, **changes}), self.folder)
        self._task = asyncio.create_task(self.app.run())

    async def stops(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def one_battery_each(self) -> None:
        await until(lambda: self.shown == PACKS and self.online == 3, 40)


@asynccontextmanager
async def house(broker: Mosquitto, folder: Path, **more: Any) -> AsyncIterator[House]:
    units = {n: SimulatedBms(n, serial_number=f"31304251{n:02}", current=-10.0, soc=60.0, errors=0) for n in range(3)}
    slaves = [units[1], units[2]]
    async with AsyncExitStack() as stack:
        out = await stack.enter_async_context(slcan_adapter(500000))
        shared = Plug(folder / "rs485-2", lambda: serial_bus(slaves, master=units[0], slot=0.15))
        control = Plug(folder / "rs485-1", lambda: serial_bus(list(units.values())))
        for plug in (shared, control):
            await plug.plug()
            stack.push_async_callback(plug.pull)
        options = {
            "buses": [
                {"name": "bank", "strategy": "listen", "port": str(shared.path)},
                {"name": "ctrl", "strategy": "master", "port": str(control.path), "addresses": "0-2", "interval": 1.0},
            ],
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "writes": WRITES,
            "inverter": {"protocol": "pylontech", "channel": out.port, "confirmed": True},
            **more,
        }
        heard = await stack.enter_async_context(listening(broker.port))
        hand = await stack.enter_async_context(aiomqtt.Client("127.0.0.1", broker.port))
        app = App(parse(options), folder)
        one = House(units, shared, control, out, folder, broker.port, hand, heard, app, options)
        await one.starts()
        try:
            yield one
        finally:
            await one.stops()


BY_HAND = ["bank/0 = ctrl/0", "bank/1 = ctrl/1", "bank/2 = ctrl/2"]


async def test_three_packs_on_two_buses_are_three_devices_and_never_count_twice(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bus with a JK master tells no serial numbers: they are known by their running time."""
    caplog.set_level("INFO")
    most = 0
    async with house(broker, tmp_path) as one:
        async with asyncio.timeout(40):
            while one.shown != PACKS:
                most = max(most, one.online)
                await asyncio.sleep(0.05)
        await one.one_battery_each()
        await until(lambda: one.announced() >= {"jkbms_bank_0", "jkbms_bank_1", "jkbms_bank_2"})
        await until(lambda: not any("ctrl" in name for name in one.announced()))
        began = time.monotonic()
        await until(lambda: len(one.discharge(began)) > 2)
        assert most <= 3
        assert caplog.text.count("are one battery (equal running times)") == 3
        assert "counts again" not in caplog.text  # under the name that is no more
        assert "by somebody else" not in caplog.text
        assert one.app.inverter.control.state.expected == 3
        accounts = {key: one.counts.discharged for key, one in one.app.page.sources.energies.accounts.items()}
        counted = accounts.pop("bank")
        assert counted == pytest.approx(sum(accounts.values()), rel=0.5)  # Wh; twice as much if each wire counted
        before = dict(accounts)
        await asyncio.sleep(3)
        after = {key: one.counts.discharged for key, one in one.app.page.sources.energies.accounts.items()}
        assert {key for key in before if after[key] > before[key]} == {"bank/0", "bank/1", "bank/2"}
        # told once: after a restart nothing has to be found out again
        caplog.clear()
        await one.stops()
        assert (tmp_path / identity_file.NAME).exists()
        await one.starts()
        await one.one_battery_each()
        assert "are one battery" not in caplog.text
        assert "is removed" not in caplog.text
        assert "by somebody else" not in caplog.text


FAULTS = ("frozen", "garbage", "pulled", "silent", "cut", "frozen values")


@dataclass
class Repeating:
    """A gateway that may say again and again what it heard last."""

    last: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    frozen: bool = False

    def __call__(self, said: bytes) -> bytes:
        if len(said) <= 300:
            return said
        kind = said[4], said[300:302]
        self.last[kind] = self.last.get(kind, said) if self.frozen else said
        return self.last[kind]


async def strikes(plug: Plug[SerialBus], fault: str) -> None:
    if fault == "pulled":
        await plug.pull()
    elif fault == "cut":
        plug.far.mangle = lambda data: data[:287] + data[300:]  # as cheap adapters lose bytes
    elif isinstance(plug.far.mangle, Repeating):
        plug.far.mangle.frozen = True
    elif fault == "garbage":
        plug.far.mangle = lambda data: random.randbytes(len(data))
    else:
        plug.far.frozen, plug.far.deaf = True, fault == "silent"


async def heals(plug: Plug[SerialBus], fault: str) -> None:
    if fault == "pulled":
        await plug.plug()
    plug.far.frozen, plug.far.deaf = False, False
    plug.far.mangle = Repeating() if fault == "frozen values" else bytes


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_other_bus_takes_over_in_both_directions_without_a_gap(
    fault: str, broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house(broker, tmp_path, batteries=BY_HAND) as one:
        await one.one_battery_each()
        for plug in (one.control, one.shared):
            await heals(plug, "frozen values" if fault == "frozen values" else "")
        await until(lambda: one.heard.last("jkbms/bank/2/availability") == "online", 20)
        await until(lambda: any(amps > 0 for amps in one.discharge(0.0)), 30)
        await until(lambda: all(len(one.app.store.wires(key)) == 2 for key in PACKS), 20)
        began, took = time.monotonic(), []
        for broken, other in ((one.control, "bank"), (one.shared, "ctrl"), (one.control, "bank")):
            struck = time.monotonic()
            await strikes(broken, fault)
            await until(lambda other=other: one.sources == {other}, 15)  # type: ignore[misc]
            took.append(time.monotonic() - struck)
            await asyncio.sleep(max(0.0, 11 - took[-1]))  # longer than what was heard last holds
            assert one.online == 3
            await heals(broken, fault)
            gone = {"bank", "ctrl"} - {other}
            await until(lambda gone=gone: all(one.app.store.present((bus, n)) for bus in gone for n in range(3)), 12)  # type: ignore[misc]
        amperes = one.discharge(began)
        told = [json.loads(p) for at, t, p, _ in one.heard.messages if at > began and t == "jkbms/bank/1/state"]
    with capsys.disabled():
        print(f"\n{fault}: the other bus took over after {', '.join(f'{s:.1f}' for s in took)} s")
    # that a running time stands takes its time to be seen, and live data stays with its wire for a while then
    limit = STANDS + STAYS + 1.0 if fault == "frozen values" else 5.0
    assert max(took) < limit * max(1.0, crowded() / 2)  # whoever is busy is late
    assert one.shown == PACKS
    assert one.offline(began) == []
    assert len(amperes) > 20
    assert min(amperes) > 0
    assert all(state["total_voltage"] for state in told)


async def test_a_cable_that_wobbles_and_one_that_comes_late_are_no_gap(broker: Mosquitto, tmp_path: Path) -> None:
    """Absent when the program starts, then there, then gone and back every second."""
    async with house(broker, tmp_path, batteries=BY_HAND) as one:
        for late, other in ((one.shared, "ctrl"), (one.control, "bank")):
            await one.stops()
            await late.pull()
            await one.starts()
            await one.one_battery_each()
            assert one.sources == {other}
            await until(lambda: any(amps > 0 for amps in one.discharge(0.0)[-1:]), 30)
            began = time.monotonic()
            await late.plug()
            await until(lambda: all(len(one.app.store.wires(key)) == 2 for key in PACKS), 20)
            for _ in range(4):
                await late.pull()
                await asyncio.sleep(1)
                await late.plug()
                await asyncio.sleep(1)
            assert one.online == 3
            amperes = one.discharge(began)
            assert len(amperes) > 8
            assert min(amperes) > 0
            assert one.offline(began) == []
            assert one.shown == PACKS


async def test_the_master_is_switched_over_the_second_wire_and_read_back_on_both(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with house(broker, tmp_path, batteries=BY_HAND) as one:
        await one.one_battery_each()
        await until(lambda: all(s.parts.keys() >= {"settings", "about"} for s in one.app.store), 20)
        config = "homeassistant/device/jkbms_bank_0/config"
        await until(lambda: '"p":"switch"' in (one.heard.last(config) or ""), 20)
        components = json.loads(one.heard.last(config) or "")["components"]
        assert components["discharging_switch"]["command_topic"] == "jkbms/bank/0/discharging_switch/set"
        await until(lambda: one.app.store.identity.doubt(("ctrl", 0)) == "")
        asked = len(one.shared.far.requests)
        await one.hand.publish("jkbms/bank/0/discharging_switch/set", "OFF", qos=1)
        await until(lambda: len(one.outcomes()) == 1, 10)
        (outcome,) = one.outcomes()
        assert (outcome["outcome"], outcome["bms"], outcome["wire"]) == ("applied", "bank/0", "ctrl/0")
        assert one.units[0].settings["discharging_switch"] == 0
        assert len(one.units[0].writes) == 1
        assert one.shared.far.requests[asked:] == []  # not a byte on the master's bus

        def told(wire: tuple[str, int]) -> Any:
            snapshot = one.app.store.wire(wire)
            return snapshot and snapshot.values(one.app.store.clock()).get("discharging_switch")

        await until(lambda: told(("ctrl", 0)) is False and told(("bank", 0)) is False, 10)
        await until(lambda: json.loads(one.heard.last("jkbms/bank/0/settings") or "{}")["discharging_switch"] == "OFF")
        # the second wire's bus is dead: nothing can be written, and nobody tries the master's bus
        await one.control.pull()
        await until(lambda: not one.app.buses["ctrl"].connected, 10)
        await one.hand.publish("jkbms/bank/0/discharging_switch/set", "ON", qos=1)
        await until(lambda: len(one.outcomes()) == 2, 10)
        assert one.outcomes()[1]["outcome"] == "refused"
        assert "the link of bus ctrl is lost" in one.outcomes()[1]["reason"]
        one.app.commands.lock("OFF", retained=False)
        await one.hand.publish("jkbms/bank/1/discharging_switch/set", "OFF", qos=1)
        await until(lambda: one.outcomes("bank/1") and one.outcomes("bank/1")[-1]["outcome"] == "refused", 10)
    records = attempts(tmp_path)
    assert [record["wire"] for record in records] == ["ctrl/0", "ctrl/0", "ctrl/1"]


async def test_another_battery_behind_the_second_wire_is_never_written(broker: Mosquitto, tmp_path: Path) -> None:
    """The owner said so, but cables were swapped: what is on the wires decides, right before the deed."""
    async with house(broker, tmp_path, batteries=BY_HAND) as one:
        await one.one_battery_each()
        await until(lambda: all(s.parts.keys() >= {"settings", "about"} for s in one.app.store), 20)
        await until(lambda: one.app.store.identity.doubt(("ctrl", 1)) == "")
        far = one.control.far
        far.batteries[1], far.batteries[2] = far.batteries[2], far.batteries[1]
        for amperes in range(20, 50):
            await one.hand.publish("jkbms/bank/1/max_charge_current/set", str(amperes), qos=1)
            await asyncio.sleep(0.1)
        await until(lambda: len(one.outcomes("bank/1")) == 30, 20)
        assert {o["outcome"] for o in one.outcomes("bank/1")} == {"refused"}
        assert one.units[2].writes == []
        # the owner's word is wrong; what is true is found out
        judged = one.app.store.identity
        await until(
            lambda: (judged.battery(("ctrl", 1)), judged.battery(("ctrl", 2))) == (("bank", 2), ("bank", 1)), 20
        )


async def test_copied_boards_with_one_serial_number_stay_two_batteries(broker: Mosquitto, tmp_path: Path) -> None:
    async with house(broker, tmp_path) as one:
        for unit in one.units.values():
            unit.serial_number = "3130425100"
        await one.one_battery_each()  # by running time: the boards are copied, their clocks are not
        await until(lambda: "is told by several batteries" in " ".join(one.app.store.twins()), 20)
        assert one.shown == PACKS


async def test_a_pack_that_moves_to_another_address_counts_once(broker: Mosquitto, tmp_path: Path) -> None:
    """Its DIP switches are set anew, so it has another address on both buses; never does it count twice."""
    buses = [
        {"name": "bank", "strategy": "listen", "port": str(tmp_path / "rs485-2")},
        {"name": "ctrl", "strategy": "master", "port": str(tmp_path / "rs485-1"), "addresses": "0-5", "interval": 1.0},
    ]
    async with house(broker, tmp_path, buses=buses) as one:
        await one.one_battery_each()
        began, unit, most = time.monotonic(), one.units[2], 0
        unit.silent = True  # it takes its address when it starts, so it is off meanwhile
        await until(lambda: one.online == 2, 20)
        unit.address, unit.silent = 5, False
        unit.settings["device_address"] = 5
        for plug in (one.shared, one.control):
            plug.far.batteries[5] = plug.far.batteries.pop(2)

        def moved() -> bool:
            nonlocal most
            most = max(most, one.online)
            name = one.app.store.identity.battery(("bank", 5))
            return one.app.store.identity.battery(("ctrl", 5)) == name and one.online == 3

        await until(moved, 90)
        end = time.monotonic() + 12
        while time.monotonic() < end:
            assert moved()
            await asyncio.sleep(0.1)
        assert most <= 3
        assert min(one.discharge(began)) > 0
        assert len([key for key in one.shown if one.app.store.present(key)]) == 3


async def test_a_wire_that_leaves_the_options_keeps_the_device(broker: Mosquitto, tmp_path: Path) -> None:
    async with house(broker, tmp_path) as one:
        await one.one_battery_each()
        await one.stops()
        one.heard.messages.clear()
        await one.starts(buses=[one.options["buses"][1]])
        await until(lambda: one.shown == PACKS, 20)
        await until(lambda: one.heard.last("jkbms/bank/1/availability") == "online", 20)
        mine = {f"jkbms_bank_{n}" for n in range(3)}
        await until(lambda: {n for n in one.announced() if n.startswith(("jkbms_bank_", "jkbms_ctrl"))} == mine, 20)
        await until(lambda: one.app.store.identity.doubt(("ctrl", 1)) == "", 20)
        await until(lambda: "settings" in one.app.store.get(("bank", 1)).parts, 20)  # type: ignore[union-attr]
        await one.hand.publish("jkbms/bank/1/max_charge_current/set", "33", qos=1)
        await until(lambda: bool(one.outcomes("bank/1")), 10)
        assert one.outcomes("bank/1")[0]["outcome"] == "applied"


async def test_can_and_rs485_of_one_pack_by_hand(broker: Mosquitto, tmp_path: Path) -> None:
    """CAN tells no serial number; what it does not tell comes from RS485, and it takes over when that dies."""
    unit = SimulatedBms(1, serial_number="3130425101", current=-10.0, soc=50.0, errors=0)
    async with AsyncExitStack() as stack:
        far = await stack.enter_async_context(serial_bus([unit]))
        adapter = await stack.enter_async_context(slcan_adapter(250000))
        await stack.enter_async_context(broadcasting([CanBms(unit)], adapter.put))
        options = {
            "buses": [
                {"name": "can", "strategy": "can_broadcast", "channel": adapter.port},
                {"name": "a", "strategy": "master", "port": far.port, "addresses": "1", "interval": 1.0},
            ],
            "batteries": ["a/1 = can/1"],
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "writes": WRITES,
        }
        app = App(parse(options), tmp_path)
        assert app.options.problems == []
        task = asyncio.create_task(app.run())
        stack.push_async_callback(asyncio.wait, [task])
        stack.callback(task.cancel)

        def battery() -> Any:
            return app.store.get(("a", 1))

        await until(lambda: len(app.store.wires(("a", 1))) == 2 and "settings" in battery().parts, 20)
        await asyncio.sleep(3)
        assert [one.key for one in app.store] == [("a", 1)]
        assert app.store.identity.reason(("a", 1)) == "the option batteries"
        assert battery().values(app.store.clock())["cell_count"] == 16
        far.frozen = True
        began = time.monotonic()
        await until(lambda: battery().source == ("can", 1), 6)
        assert time.monotonic() - began < 5
        await asyncio.sleep(11)
        values = battery().values(app.store.clock())
        assert values["total_voltage"] > 40
        assert values["max_charge_current"] is not None  # settings hold their time


async def test_a_scan_of_a_bus_knows_its_wires_under_whatever_name_they_are_shown(
    broker: Mosquitto, tmp_path: Path
) -> None:
    none = {"protocol": "none", "confirmed": False}
    joined = ["bank/0 = ctrl/0", "bank/1 = ctrl/1"]
    async with house(broker, tmp_path, batteries=joined, inverter=none) as one:
        await until(lambda: sum("about" in wire.parts for wire in one.app.store.on("ctrl")) == 3, 20)
        visitor, jobs = Visitor("somebody", time.monotonic), one.app.page.sources.jobs
        visitor.unlock()
        scans = Scans(one.app.page.sources, visitor, Worker("test"), dict)
        asked = len(one.control.far.requests)
        async with asyncio.TaskGroup() as tasks:
            job = jobs.begin(("scan", "ctrl"), visitor, 60, lambda job: scans.bus(job, one.app.buses["ctrl"]), tasks)
        assert job.state == "done"
        assert job.said["entry"] == 'addresses: "0-2"'
        fresh = {register for _, address, register in one.control.far.requests[asked:] if address < 3}
        assert fresh <= {LIVE, SETTINGS}  # who they are is known
