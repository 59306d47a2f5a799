from typing import Any

import pytest

from jkbms_addon.battery.quantities import specs
from jkbms_addon.battery.reading import flat
from jkbms_addon.battery.store import Store
from jkbms_addon.mqtt.discovery import Topics, payload
from jkbms_addon.views.battery import DIAGNOSTICS, battery, entity_specs
from jkbms_addon.views.entities import Identity
from jkbms_addon.views.health import bridge
from jkbms_addon.wire.pb.frames import Frame, decode
from tests.conftest import captures

# what Home Assistant takes at the top of a device message in every supported release
TOP = {"device", "origin", "components", "state_topic", "command_topic", "availability", "availability_mode", "qos"}
DEVICE = {"identifiers", "name", "manufacturer", "model", "serial_number", "hw_version", "sw_version", "via_device"}
STATE_CLASS_FORBIDDEN = {"enum", "timestamp"}
UNITS = {
    "voltage": {"V"},
    "current": {"A"},
    "power": {"W"},
    "battery": {"%"},
    "temperature": {"°C"},
    "duration": {"s", "h", "ms", "µs"},
}


def everything() -> frozenset[str]:
    keys: set[str] = {"problem", "errors"}
    for key, spec in specs().items():
        keys |= {f"{key}_{n}" for n in range(1, 33)} if spec.listed else {key}
    for capture in captures("jk_pb"):
        if capture["kind"] == "frame02" and capture["checksum_ok"]:
            reading = decode(Frame(2, bytes.fromhex(capture["hex"]), 0))
            keys |= set(flat(reading.values, reading.alarm_names))
    return frozenset(keys)


PAYLOAD = payload(
    Topics(),
    battery(("rs485", 1), everything(), Identity("Jikong", "JK_PB", "4711", "15A", "15.41")),
)
BRIDGE = payload(Topics(), bridge(["rs485", "garage"]))
COMPONENTS = [*PAYLOAD["components"].items(), *BRIDGE["components"].items()]


@pytest.mark.parametrize("told", [PAYLOAD, BRIDGE], ids=["battery", "bridge"])
def test_the_device_level_has_no_key_that_would_refuse_it(told: dict[str, Any]) -> None:
    assert set(told) <= TOP
    assert set(told["device"]) <= DEVICE
    assert set(told["origin"]) <= {"name", "sw_version", "support_url"}


@pytest.mark.parametrize(("key", "part"), COMPONENTS, ids=lambda v: v if isinstance(v, str) else "")
def test_each_entity_is_one_that_home_assistant_accepts(key: str, part: dict[str, Any]) -> None:
    assert part["p"] in ("sensor", "binary_sensor")
    assert part["name"]
    assert part["unique_id"].startswith("jkbms_")
    assert part["unique_id"].endswith(key)
    assert part["default_entity_id"].startswith(part["p"] + ".")
    assert part.get("entity_category") in (None, "diagnostic")  # a sensor with "config" is refused
    kind = part.get("device_class")
    if part["p"] == "binary_sensor":
        assert not {"unit_of_measurement", "state_class", "suggested_display_precision"} & set(part)
        return
    if kind in UNITS:
        assert part["unit_of_measurement"] in UNITS[kind]
    if kind == "enum":
        assert part["options"]
        assert "state_class" not in part
    if part.get("state_class") == "total_increasing":
        assert "device_class" not in part or kind == "duration"


def test_unique_ids_are_unique_and_entity_ids_as_promised() -> None:
    ids = [part["unique_id"] for _, part in COMPONENTS]
    assert len(ids) == len(set(ids))
    assert PAYLOAD["components"]["total_voltage"]["unique_id"] == "jkbms_rs485_1_total_voltage"
    assert PAYLOAD["components"]["total_voltage"]["default_entity_id"] == "sensor.jk_bms_1_total_voltage"
    several = payload(Topics(), battery(("rs485", 1), frozenset({"current"}), Identity(), plain=False))
    assert several["components"]["current"]["default_entity_id"] == "sensor.jk_bms_rs485_1_current"
    assert several["device"]["identifiers"] == ["jkbms_rs485_1"]


def test_every_row_of_the_table_becomes_an_entity_on_its_topic() -> None:
    components = PAYLOAD["components"]
    for key, spec in specs().items():
        name = f"{key}_1" if spec.listed else key
        assert components[name]["state_topic"] == f"jkbms/rs485/1/{spec.topic}"
    assert set(components) - set(DIAGNOSTICS) == set(entity_specs(everything()))


def test_the_battery_class_is_given_once_per_device() -> None:
    classes = [part.get("device_class") for part in PAYLOAD["components"].values()]
    assert classes.count("battery") == 1


def test_availability_needs_bridge_and_battery() -> None:
    assert PAYLOAD["availability_mode"] == "all"
    assert [a["topic"] for a in PAYLOAD["availability"]] == ["jkbms/bridge/state", "jkbms/rs485/1/availability"]
    assert PAYLOAD["components"]["age"]["availability"] == [{"topic": "jkbms/bridge/state"}]


def test_identity_stands_on_the_device() -> None:
    device = PAYLOAD["device"]
    told = device["model"], device["serial_number"], device["hw_version"], device["sw_version"]
    assert told == ("JK_PB", "4711", "15A", "15.41")


def test_only_summaries_are_problems_and_single_alarms_are_disabled() -> None:
    problems = [key for key, part in COMPONENTS if part.get("device_class") == "problem"]
    assert problems == ["problem", "any_battery_problem", "configuration_problem", "rs485_problem", "garage_problem"]
    alarms = [part for key, part in COMPONENTS if key.startswith("alarm_") and key not in specs()]
    assert len(alarms) > 20
    assert {(part["enabled_by_default"], part["entity_category"]) for part in alarms} == {(False, "diagnostic")}


def test_an_empty_bank_announces_nothing() -> None:
    assert list(Store()) == []
