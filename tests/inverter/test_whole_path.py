"""Batteries in, inverter out, the whole program between: what the broker does or does not do changes nothing."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from jkbms_addon.app import App
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.can import Adapter, broadcasting, can_bms, slcan_adapter
from jkbms_addon.simulator.far_end import serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import Mosquitto, until
from tests.inverter import receiver_rs485 as master
from tests.inverter.senders import LAST, LIMITS, gaps, limits, starts
from tests.inverter.test_responder import line
from tests.mqtt.test_client import listening
from tests.programs import program

STATE, BANK = "jkbms/inverter/state", "jkbms/bank/state"


@asynccontextmanager
async def app(folder: Path, port: int, buses: list[dict[str, Any]], **inverter: Any) -> AsyncIterator[App]:
    section = {"protocol": "pylontech", "confirmed": True} | inverter
    options = parse({"buses": buses, "mqtt": {"host": "127.0.0.1", "port": port}, "inverter": section})
    assert options.inverter.problem == ""
    one = App(options, folder)
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def four_on_can() -> AsyncIterator[tuple[list[Any], list[dict[str, Any]]]]:
    batteries = [can_bms(n, current=10.0, soc=50.0) for n in range(4)]
    async with slcan_adapter(250000) as adapter, broadcasting(batteries, adapter.put):
        yield batteries, [{"name": "can", "strategy": "can_broadcast", "channel": adapter.port}]


@asynccontextmanager
async def four_on_rs485() -> AsyncIterator[tuple[list[Any], list[dict[str, Any]]]]:
    batteries = [SimulatedBms(n, current=10.0, soc=50.0, errors=0) for n in range(1, 5)]
    async with serial_bus(batteries) as far:
        yield batteries, [{"name": "a", "strategy": "master", "port": far.port, "addresses": "1-4", "interval": 1.0}]


@pytest.mark.parametrize("source", [four_on_can, four_on_rs485])
async def test_the_cadence_does_not_break_when_the_broker_is_killed(
    source: Any, broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with AsyncExitStack() as stack:
        batteries, buses = await stack.enter_async_context(source())
        far = await stack.enter_async_context(slcan_adapter(500000))
        heard = await stack.enter_async_context(listening(broker.port))
        one = await stack.enter_async_context(app(tmp_path, broker.port, buses, channel=far.port))
        await until(lambda: one.inverter.control.state.packs_online == 4, 30)
        await until(lambda: heard.last(STATE) and heard.last(BANK))
        await until(lambda: json.loads(heard.last(STATE) or "")["emitting"] == "ON")
        begun = len(far.transmitted)
        await broker.kill()
        await until(lambda: len(starts(far.transmitted)) >= 8 + len(starts(far.transmitted[:begun])), 25)
        await broker.start()
        told = heard.count(BANK)
        await until(lambda: heard.count(BANK) > told + 1, 20)
        periods = gaps(far.transmitted[begun:])
        assert json.loads(heard.last(BANK) or "")["packs_online"] == 4
        last = [frame for _, frame in far.transmitted if frame.can_id == 0x359][-1]
        assert (last.data[4], last.data[:4]) == (4, bytes(4))
        batteries[3].silent = True
        await until(lambda: one.inverter.control.state.packs_online == 3, 15)
        await until(lambda: far.transmitted[-1][1].can_id == 0x359 and far.transmitted[-1][1].data[4] == 3, 5)
    print(f"\nperiods while the broker was killed and came back: {[round(period, 3) for period in periods]}")
    assert len(periods) >= 7
    assert all(0.7 < period < 1.3 for period in periods)
    assert [charge for charge, _ in limits(far.transmitted)][-3:] == [0, 0, 0]


async def test_a_victron_is_told_the_energies_that_were_counted(tmp_path: Path) -> None:
    """Those of all batteries; 0x378 in 0.1 kWh."""
    async with AsyncExitStack() as stack:
        _, buses = await stack.enter_async_context(four_on_can())
        far = await stack.enter_async_context(slcan_adapter(500000))
        one = await stack.enter_async_context(app(tmp_path, 9, buses, channel=far.port, protocol="victron"))
        accounts = one.page.sources.energies
        await until(lambda: accounts.of("bank") is not None, 20)
        accounts.accounts["bank"].shown = (12_340.0, 5_670.0)  # Wh

        def told() -> list[bytes]:
            return [frame.data for _, frame in far.transmitted if frame.can_id == 0x378]

        await until(lambda: told() and told()[-1] == bytes([123, 0, 0, 0, 57, 0, 0, 0]), 20)


async def settled(far: Adapter) -> int:
    """How many frames came when all that were on their way had come."""
    seen = -1
    while seen != len(far.transmitted):
        seen = len(far.transmitted)
        await asyncio.sleep(0.5)
    return seen


async def test_switch_and_button_over_mqtt(broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncExitStack() as stack:
        _, buses = await stack.enter_async_context(four_on_can())
        far = await stack.enter_async_context(slcan_adapter(500000))
        home = await stack.enter_async_context(aiomqtt.Client("127.0.0.1", broker.port))
        await home.publish("jkbms/inverter/enable/set", "OFF", retain=True)
        heard = await stack.enter_async_context(listening(broker.port))
        async with app(tmp_path, broker.port, buses, channel=far.port) as one:

            def shown(key: str) -> Any:
                return json.loads(heard.last(STATE) or "{}").get(key)

            await until(lambda: shown("emitting") == "ON", 30)
            await until(lambda: "jkbms/inverter/enable/set: a retained command is ignored" in caplog.text)
            config = json.loads(heard.last("homeassistant/device/jkbms_inverter/config") or "")
            assert config["components"]["stop"]["p"] == "button"
            await home.publish("jkbms/inverter/stop/set", "STOP")
            await until(lambda: shown("emitting") == "OFF", 8)
            assert (shown("enable"), shown("reason"), shown("charge_current")) == ("OFF", "switched off", None)
            assert [charge for charge, _ in limits(far.transmitted)[-3:]] == [0, 0, 0]
            await home.publish("jkbms/inverter/enable/set", "nonsense")
            await until(lambda: "takes ON and OFF" in caplog.text)
            seen = len(far.transmitted)
            await home.publish("jkbms/inverter/enable/set", "ON")
            await until(lambda: len(far.transmitted) > seen)
            await home.publish("jkbms/inverter/enable/set", "OFF")
            await until(lambda: not one.inverter.control.enabled)
        assert json.loads((tmp_path / "inverter.json").read_text()) == {"enabled": False}
        seen = await settled(far)
        async with app(tmp_path, broker.port, buses, channel=far.port) as one:
            await until(lambda: one.inverter.control.state.packs_online == 4, 30)
            count = one.inverter.control.count
            await until(lambda: one.inverter.control.count >= count + 2)
            assert len(far.transmitted) == seen


async def test_an_empty_battery_that_sleeps_is_woken_after_a_restart(broker: Mosquitto, tmp_path: Path) -> None:
    """By its owner's press, over MQTT: 5 A in the frames, and what was heard last."""
    async with AsyncExitStack() as stack:
        near = await stack.enter_async_context(slcan_adapter(250000))
        far = await stack.enter_async_context(slcan_adapter(500000))
        home = await stack.enter_async_context(aiomqtt.Client("127.0.0.1", broker.port))
        heard = await stack.enter_async_context(listening(broker.port))
        buses = [{"name": "can", "strategy": "can_broadcast", "channel": near.port}]
        empty = can_bms(1, current=0.0, soc=4.0, offsets={4: -0.4})
        async with AsyncExitStack() as living, app(tmp_path, broker.port, buses, channel=far.port) as one:
            await living.enter_async_context(broadcasting([empty], near.put))
            await until(lambda: one.inverter.control.state.packs_online == 1, 30)
            empty.silent = True
            await until(lambda: one.inverter.control.state.packs_online == 0, 15)
            await until(lambda: one.inverter.control.decision(one.inverter.control.clock()), 5)
            last = one.inverter.control.state
            assert last.total_voltage is None
            kept = tmp_path / "charging.json"
            await until(lambda: kept.exists() and json.loads(kept.read_text())["asleep"])
        told = {frame.can_id: frame.data for _, frame in far.transmitted}
        begun = len(far.transmitted)
        async with app(tmp_path, broker.port, buses, channel=far.port) as one:
            await until(lambda: json.loads(heard.last(STATE) or "{}").get("emitting") == "OFF", 20)
            assert len(far.transmitted) == begun  # nobody charges blindly unasked
            await home.publish("jkbms/inverter/wake_up/set", "PRESS")
            await until(lambda: limits(far.transmitted)[-1] == (5, 0), 20)
            await until(lambda: json.loads(heard.last(STATE) or "{}").get("charge_current") == 5, 20)
            shown = json.loads(heard.last(STATE) or "")
            assert "press Wake up" in shown["findings"]
            assert (shown["charge_current_reason"], shown["temperature"]) == ("charge limited: waking up", None)
            await until(lambda: far.transmitted[-1][1].can_id == 0x359, 5)
        again = {frame.can_id: frame.data for _, frame in far.transmitted[begun:]}
        assert again[0x355] == told[0x355]
        assert again[0x355][0] == 4  # %
        assert again[0x356][:4] == told[0x356][:4]  # voltage and current
        assert int.from_bytes(again[0x351][:2], "little") == 536  # that of float, never more


@pytest.mark.parametrize("changes", [{"confirmed": False}, {"protocol": "none"}])
async def test_unconfirmed_nothing_is_sent_and_the_limits_are_shown(
    broker: Mosquitto, tmp_path: Path, changes: dict[str, Any]
) -> None:
    async with AsyncExitStack() as stack:
        _, buses = await stack.enter_async_context(four_on_can())
        far = await stack.enter_async_context(slcan_adapter(500000))
        heard = await stack.enter_async_context(listening(broker.port))
        one = await stack.enter_async_context(app(tmp_path, broker.port, buses, channel=far.port, **changes))
        await until(lambda: one.inverter.control.state.packs_online == 4, 30)
        count = one.inverter.control.count
        await until(lambda: one.inverter.control.count >= count + 2 and heard.last(BANK))
        assert far.transmitted == []
        assert far.commands == []  # not even opened
        assert heard.last(BANK)
        if one.options.inverter.wanted:
            state = json.loads(heard.last(STATE) or "")
            assert (state["emitting"], state["reason"]) == ("OFF", "nothing is sent: the option confirmed is not set")
            assert state["discharge_current"] > 0
        else:
            assert heard.last(STATE) is None


async def test_a_hung_broker_task_or_a_dead_bus_leaves_the_sender_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with AsyncExitStack() as stack:
        _, buses = await stack.enter_async_context(four_on_can())
        far: Adapter = await stack.enter_async_context(slcan_adapter(500000))
        buses.append({"name": "b", "strategy": "master", "port": "/dev/nowhere"})
        await stack.enter_async_context(app(tmp_path, 9, buses, channel=far.port))
        await until(lambda: len(starts(far.transmitted)) >= 4, 30)
        assert all(0.5 < period < 2.5 for period in gaps(far.transmitted))
        assert any(frame.can_id == LIMITS for _, frame in far.transmitted)


async def test_the_process_takes_leave_of_the_inverter_and_ends_within_five_seconds(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        _, buses = await stack.enter_async_context(four_on_can())
        far = await stack.enter_async_context(slcan_adapter(500000))
        path = tmp_path / "options-test.json"
        inverter = {"protocol": "pylontech", "confirmed": True, "channel": far.port}
        path.write_text(json.dumps({"buses": buses, "mqtt": {"host": "127.0.0.1", "port": 9}, "inverter": inverter}))
        async with program("run", "--options", str(path)) as process:
            await until(lambda: limits(far.transmitted) and limits(far.transmitted)[-1][0] > 0, 30)
            await until(lambda: far.transmitted[-1][1].can_id == LAST)
            seen, asked = len(limits(far.transmitted)), time.monotonic()
            process.terminate()
            _, log = await process.communicate()
            took = time.monotonic() - asked
            assert (process.returncode, took < 5) == (0, True), log.decode()
            assert [charge for charge, _ in limits(far.transmitted)[seen:]] == [0, 0, 0]
            assert b"Traceback" not in log


async def test_two_inverters_hear_the_same_bank_and_their_parts_of_the_limits(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        _, buses = await stack.enter_async_context(four_on_can())
        first = await stack.enter_async_context(slcan_adapter(500000))
        second = await stack.enter_async_context(slcan_adapter(500000))
        heard = await stack.enter_async_context(listening(broker.port))
        inverters = [
            {"protocol": "pylontech", "channel": first.port, "confirmed": True},
            {"protocol": "victron", "channel": second.port, "confirmed": True, "share": 30},
        ]
        options = parse({"buses": buses, "mqtt": {"host": "127.0.0.1", "port": broker.port}, "inverters": inverters})
        app = App(options, tmp_path)
        task = asyncio.create_task(app.run())
        try:
            await until(lambda: all(one.emission.sets >= 3 for one in app.inverter.outlets), 30)
            targets = app.inverter.control.decision(time.monotonic())
            assert targets is not None
            assert targets.discharge_current > 0
            most = targets.discharge_current
            await until(lambda: abs(limits(first.transmitted)[-1][1] - 0.7 * most) < 0.06)
            await until(lambda: abs(limits(second.transmitted)[-1][1] - 0.3 * most) < 0.06)
            await until(lambda: heard.last("jkbms/inverter_2/state") and heard.last(STATE))
            told = [json.loads(heard.last(topic) or "{}") for topic in (STATE, "jkbms/inverter_2/state")]
            assert "enable" in told[0]
            assert abs(told[0]["discharge_current"] - 0.7 * most) < 0.11
            assert abs(told[1]["discharge_current"] - 0.3 * most) < 0.11
            config = json.loads(heard.last("homeassistant/device/jkbms_inverter_2/config") or "")
            assert config["device"]["name"] == "Inverter 2"
            assert "stop" not in config["components"]
        finally:
            marks = [len(limits(adapter.transmitted)) for adapter in (first, second)]
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await until(lambda: first.commands[-1] == second.commands[-1] == "C")
        for adapter, mark in zip((first, second), marks, strict=True):
            last = [charge for charge, _ in limits(adapter.transmitted)[mark:]]
            assert last[-3:] == [0, 0, 0]


async def test_the_owner_steers_over_mqtt_and_it_is_kept(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        _, buses = await stack.enter_async_context(four_on_can())
        far = await stack.enter_async_context(slcan_adapter(500000))
        home = await stack.enter_async_context(aiomqtt.Client("127.0.0.1", broker.port))
        await home.publish("jkbms/inverter/set_max_discharge_current/set", "1", retain=True)
        heard = await stack.enter_async_context(listening(broker.port))

        def shown(key: str) -> Any:
            return json.loads(heard.last(STATE) or "{}").get(key)

        async with app(tmp_path, broker.port, buses, channel=far.port, max_charge_current=80):
            await until(lambda: shown("emitting") == "ON", 30)
            assert shown("discharge_current") > 1
            await until(lambda: "set_max_discharge_current/set: a retained command is ignored" in caplog.text)
            config = json.loads(heard.last("homeassistant/device/jkbms_inverter/config") or "")
            assert config["components"]["set_max_charge_current"]["max"] == 80
            await home.publish("jkbms/inverter/set_max_charge_current/set", "90")
            await until(
                lambda: "max_charge_current is refused: 90 is not within" in caplog.text or "above" in caplog.text
            )
            assert shown("set_max_charge_current") == 80
            await home.publish("jkbms/inverter/set_max_discharge_current/set", "30")
            await until(lambda: shown("discharge_current") == 30)
            assert shown("discharge_current_reason") == "discharge limited: discharge current of the owner"
            await until(lambda: limits(far.transmitted)[-1][1] == 30)
            await home.publish("jkbms/inverter/discharging/set", "OFF")
            await until(lambda: "a house off the grid goes dark" in caplog.text)
            assert shown("discharging") == "ON"
            await home.publish("jkbms/inverter/charging/set", "OFF")
            await until(lambda: shown("charging") == "OFF")
            await until(lambda: limits(far.transmitted)[-1] == (0, 30))
        async with app(tmp_path, broker.port, buses, channel=far.port, max_charge_current=80) as one:
            await until(lambda: one.inverter.control.state.packs_online == 4, 30)
            await until(lambda: shown("set_max_discharge_current") == 30 and shown("charging") == "OFF")
            await until(lambda: limits(far.transmitted)[-1] == (0, 30))
        assert json.loads((tmp_path / "charging.json").read_text())["seen"].keys() == {f"can/{n}" for n in range(4)}


async def test_without_an_inverter_the_bank_shows_the_limits_and_takes_the_numbers(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        _, buses = await stack.enter_async_context(four_on_can())
        home = await stack.enter_async_context(aiomqtt.Client("127.0.0.1", broker.port))
        heard = await stack.enter_async_context(listening(broker.port))
        options = parse({"buses": buses, "mqtt": {"host": "127.0.0.1", "port": broker.port}})
        task = asyncio.create_task(App(options, tmp_path).run())

        def shown(key: str) -> Any:
            return json.loads(heard.last(BANK) or "{}").get(key)

        try:
            await until(lambda: shown("packs_online") == 4, 30)
            await until(lambda: shown("discharge_current"))
            assert shown("phase") == "bulk"
            assert shown("charge_voltage_reason").startswith("charge up to")
            await home.publish("jkbms/bank/set_max_discharge_current/set", "25")
            await until(lambda: shown("discharge_current") == 25)
            assert heard.last(STATE) is None
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_an_inverter_that_asks_over_rs485_is_answered_by_the_whole_program(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        _, buses = await stack.enter_async_context(four_on_can())
        far = stack.enter_context(line())
        heard = await stack.enter_async_context(listening(broker.port))
        one = await stack.enter_async_context(
            app(tmp_path, broker.port, buses, protocol="pylontech_rs485", channel=far.port, baudrate=9600)
        )
        await until(lambda: one.inverter.control.state.packs_online == 4, 30)
        await until(lambda: one.inverter.control.decision(one.inverter.control.clock()), 30)
        answer = b""
        for _ in range(5):  # as an inverter does, which hears nothing before the port is open
            far.ask(0x63)
            answer = answer or await far.answer()
        told = master.system_management(master.opened(answer)[2])
        assert told["discharge_enabled"]
        assert told["discharge_current"] > 0
        await until(lambda: json.loads(heard.last(STATE) or "{}").get("emitting") == "ON")
        assert "63" in json.loads(heard.last(STATE) or "{}")["heartbeat_ids"]
