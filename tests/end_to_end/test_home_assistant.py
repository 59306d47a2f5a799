"""The whole way: simulated wire, our process, mosquitto, a real Home Assistant, read back by unique id."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.alarms import ALARMS, WORD_NAMES, alarm_key
from jkbms_addon.model import Spec, alarm_spec, specs
from jkbms_addon.mqtt.discovery import (
    BATTERY_DIAGNOSTICS,
    BRIDGE,
    BRIDGE_DIAGNOSTICS,
    BUS_DIAGNOSTICS,
    platform,
)
from jkbms_addon.protocols.jk02 import ABOUT, LIVE, SETTINGS
from jkbms_addon.simulator import SimulatedBms, serial_bus
from tests.conftest import Mosquitto
from tests.end_to_end.home_assistant import HomeAssistant, home_assistant, needs_home_assistant

pytestmark = [pytest.mark.home_assistant, needs_home_assistant]
COMPUTED = [
    "power",
    "charging_power",
    "discharging_power",
    "min_cell_voltage",
    "max_cell_voltage",
    "average_cell_voltage",
    "delta_cell_voltage",
    "min_voltage_cell",
    "max_voltage_cell",
]


def expected(cells: int) -> dict[str, Spec]:
    """Every entity that a PB-series BMS must have, from the tables."""
    table = specs()
    rows = [row.key for layout in (LIVE, SETTINGS, ABOUT) for row in layout.rows if not row.key.startswith("_")]
    found: dict[str, Spec] = {}
    for key in [*rows, *COMPUTED]:
        spec = table[key]
        found |= {f"{key}_{n}": spec for n in range(1, cells + 1)} if spec.listed else {key: spec}
    found |= {alarm_key(name): alarm_spec(ALARMS[name]) for name in WORD_NAMES}
    del found["temperature_sensor_5"]  # the simulated probe is absent
    return found | BATTERY_DIAGNOSTICS


def differences(entity: dict[str, Any], spec: Spec, state: dict[str, Any] | None) -> list[str]:
    """Where Home Assistant's view of an entity is not ours."""
    wrong = []
    if entity["entity_id"].split(".")[0] != platform(spec):
        wrong.append("platform")
    if entity["entity_category"] != ("diagnostic" if spec.diagnostic else None):
        wrong.append("category")
    if (entity["disabled_by"] is None) is not spec.enabled:
        wrong.append("enabled")
    if state is not None:
        attributes = state["attributes"]
        for name, value in (
            ("unit_of_measurement", spec.unit),
            ("device_class", spec.device_class),
            ("state_class", spec.state_class),
        ):
            if attributes.get(name) != value:
                wrong.append(f"{name} {attributes.get(name)}")
        if state["state"] in ("unknown", "unavailable"):
            wrong.append(state["state"])
    return wrong


async def settled(ha: HomeAssistant, unique_id: str) -> None:
    for _ in range(150):
        entities = await ha.entities()
        if unique_id in entities:
            states = await ha.states()
            state = states.get(entities[unique_id]["entity_id"])
            if state and state["state"] not in ("unknown", "unavailable"):
                return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{unique_id} does not appear")


async def test_every_entity_as_our_tables_say(broker: Mosquitto, tmp_path: Path) -> None:
    batteries = [SimulatedBms(1, serial_number="4711"), SimulatedBms(2, cells=8)]
    async with serial_bus(batteries) as far, home_assistant(broker.port) as ha:
        options = tmp_path / "options-test.json"
        bus = {"name": "rs485", "strategy": "master", "port": far.port, "addresses": "1-3", "interval": 1}
        options.write_text(json.dumps({"buses": [bus], "mqtt": {"host": "127.0.0.1", "port": broker.port}}))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jkbms_addon", "run", "--options", str(options)
        )
        try:
            for address in (1, 2):
                await settled(ha, f"jkbms_rs485_{address}_cell_request_float_voltage_time")
                await settled(ha, f"jkbms_rs485_{address}_serial_number")
            await asyncio.sleep(2)
            entities, states = await ha.entities(), await ha.states()
            wrong = {}
            for bms in batteries:
                for key, spec in expected(bms.cells).items():
                    entity = entities.pop(f"jkbms_rs485_{bms.address}_{key}")
                    found = differences(entity, spec, states.get(entity["entity_id"]))
                    if found:
                        wrong[key] = found
                for key, kind in (("problem", "binary_sensor"), ("errors", "sensor")):
                    entity = entities.pop(f"jkbms_rs485_{bms.address}_{key}")
                    assert entity["entity_id"].startswith(kind)
            bridge = {f"rs485_{key}": spec for key, spec in BUS_DIAGNOSTICS.items()}
            bridge |= BRIDGE_DIAGNOSTICS
            for key, spec in bridge.items():
                entity = entities.pop(f"{BRIDGE}_{key}")
                found = differences(entity, spec, states.get(entity["entity_id"]))
                if found:
                    wrong[key] = found
            assert wrong == {}
            # nothing that the tables do not have; the bank of both has a test of its own
            assert [unique for unique in entities if not unique.startswith("jkbms_bank_")] == []
            assert "sensor.jk_bms_1_total_voltage" in states  # what a dashboard's prefix relies on
            device = next(d for d in await ha.devices() if d["identifiers"] == [["mqtt", "jkbms_rs485_1"]])
            assert (device["serial_number"], device["model"]) == ("4711", "JK_PB2A16S20P")
            assert ha.complaints() == []
        finally:
            process.terminate()
            await process.wait()
        await asyncio.sleep(1)
        assert (await ha.states())["sensor.jk_bms_1_total_voltage"]["state"] == "unavailable"


async def shows(ha: HomeAssistant, entity_id: str, state: str) -> None:
    for _ in range(100):
        if (await ha.states()).get(entity_id, {}).get("state") == state:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{entity_id} is {(await ha.states()).get(entity_id, {}).get('state')}, not {state}")


async def test_a_number_and_a_switch_are_set_and_read_back(broker: Mosquitto, tmp_path: Path) -> None:
    bms = SimulatedBms(1)
    async with serial_bus([bms]) as far, home_assistant(broker.port) as ha:
        options = tmp_path / "options-test.json"
        bus = {"name": "rs485", "strategy": "master", "port": far.port, "addresses": "1", "interval": 1}
        writes = {"level": "protections"}
        options.write_text(
            json.dumps({"buses": [bus], "writes": writes, "mqtt": {"host": "127.0.0.1", "port": broker.port}})
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jkbms_addon", "run", "--options", str(options)
        )
        try:
            await settled(ha, "jkbms_rs485_1_cell_request_float_voltage_time")
            entities = await ha.entities()
            number = entities["jkbms_rs485_1_max_charge_current"]["entity_id"]
            switch = entities["jkbms_rs485_1_charging_switch"]["entity_id"]
            lock = entities["jkbms_bridge_writing"]["entity_id"]
            assert (number.split(".")[0], switch.split(".")[0], lock.split(".")[0]) == ("number", "switch", "switch")
            assert entities["jkbms_rs485_1_cell_count"]["entity_id"].startswith("sensor.")
            assert (await ha.states())[number]["attributes"]["max"] == 600
            await ha.call("number", "set_value", entity_id=number, value=80)  # still locked
            await asyncio.sleep(2)
            assert (await ha.states())[number]["state"] == "100.0"
            await ha.call("switch", "turn_on", entity_id=lock)
            await shows(ha, lock, "on")
            await ha.call("number", "set_value", entity_id=number, value=80)
            await shows(ha, number, "80.0")
            assert bms.settings["max_charge_current"] == 80
            await ha.call("switch", "turn_off", entity_id=switch)
            await shows(ha, switch, "off")
            assert bms.settings["charging_switch"] is False
            bms.reaction = "ignore"
            await ha.call("switch", "turn_on", entity_id=switch)
            await asyncio.sleep(3)
            assert (await ha.states())[switch]["state"] == "off"  # what the BMS really says
            event = (await ha.states())[entities["jkbms_rs485_1_last_write"]["entity_id"]]
            assert event["attributes"]["event_type"] == "not_taken"
            assert ha.complaints() == []
        finally:
            process.terminate()
            await process.wait()
