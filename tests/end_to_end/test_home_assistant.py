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
    ANY_PROBLEM,
    BATTERY_DIAGNOSTICS,
    BRIDGE,
    BUS_DIAGNOSTICS,
    CONFIGURATION,
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
            bridge |= {"any_battery_problem": ANY_PROBLEM, "configuration_problem": CONFIGURATION}
            for key, spec in bridge.items():
                entity = entities.pop(f"{BRIDGE}_{key}")
                found = differences(entity, spec, states.get(entity["entity_id"]))
                if found:
                    wrong[key] = found
            assert wrong == {}
            assert entities == {}  # nothing that the tables do not have
            assert "sensor.jk_bms_1_total_voltage" in states  # what a dashboard's prefix relies on
            device = next(d for d in await ha.devices() if d["identifiers"] == [["mqtt", "jkbms_rs485_1"]])
            assert (device["serial_number"], device["model"]) == ("4711", "JK_PB2A16S20P")
            assert ha.complaints() == []
        finally:
            process.terminate()
            await process.wait()
        await asyncio.sleep(1)
        assert (await ha.states())["sensor.jk_bms_1_total_voltage"]["state"] == "unavailable"
