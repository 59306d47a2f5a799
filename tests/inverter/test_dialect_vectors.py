"""Every captured or computed frame of ``captures/inverter.json``, through the command line as users type it."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.cli import frames
from jkbms_addon.inverter.dialects import DIALECTS
from tests.conftest import captures
from tests.inverter.test_dialects_random import ON_CAN

PROTOCOLS = {
    "victron": "victron",
    "pylontech_1_2": "pylontech",
    "pylontech_v2_fw13": "pylontech_v2",
    "pylontech_v2_yambms": "pylontech_v2",
    "goodwe_1_5": "goodwe",
    **{name: name for name in ("sol_ark", "luxpower", "growatt_lv", "sma", "deye_pcs")},
}
# what no dialect of ours says, and why
LEFT_OUT = {
    33: "a battery that sends 0.1 V to a Victron, as a warning",
    34: "0x354 means different things to different inverters",
    52: "sent by the inverter",
    85: "sent by the inverter",
    86: "SolarEdge has no dialect here",
    87: "a high-voltage battery",
}
UNEXPLAINED = {28: 6, 29: 6}  # n -> bytes of the frame whose meaning is known
BASE: dict[str, Any] = {
    "charge_voltage": 55.2,
    "charge_current": 0,
    "discharge_current": 0,
    "discharge_voltage": 46.0,
    "state_of_charge": 50,
    "voltage": 52.8,
    "current": 0,
}
KEYS = {
    "cvl_v": "charge_voltage",
    "ccl_a": "charge_current",
    "dcl_a": "discharge_current",
    "dvl_v": "discharge_voltage",
    "soc_pct": "state_of_charge",
    "soh_pct": "state_of_health",
    "voltage_v": "voltage",
    "current_a": "current",
    "temperature_c": "temperature",
    "temp_max_c": "max_temperature",
    "temp_min_c": "min_temperature",
    "modules": "modules",
    "modules_ok": "modules",
    "ok": "modules",
    "blocking_charge": "modules_blocking_charge",
    "blocking_discharge": "modules_blocking_discharge",
    "offline": "modules_offline",
    "capacity_available_ah": "capacity_remaining",
    "remaining_ah": "capacity_remaining",
    "capacity_ah": "full_charge_capacity",
    "installed_ah": "full_charge_capacity",
    "full_ah": "full_charge_capacity",
    "cycles": "charging_cycles",
    "charged_kwh": "charged_energy",
    "discharged_kwh": "discharged_energy",
    "charge": "charge_enabled",
    "discharge": "discharge_enabled",
    "force_charge": "force_charge_1",
    "force_charge_1": "force_charge_1",
    "force1": "force_charge_1",
    "force_charge_2": "force_charge_2",
    "full": "full_charge_request",
    "product": "product",
    "type": "product",
    "vendor": "product",
    "maker": "manufacturer",
    "firmware": "software_version",
    "faulty_pack": "faulty_module",
    "soc_hires_pct": "state_of_charge_precise",
    "hires_pct": "state_of_charge_precise",
    "date": "date",
    "protections": "protections",
    "online": "module_addresses",
}
MILLIVOLTS = {"cell_min_mv": "min_cell_voltage", "cell_max_mv": "max_cell_voltage"}
KELVINS = {"temp_min_k": "min_temperature", "temp_max_k": "max_temperature"}
NUMBERS = {"cell_max_no": "max_cell_voltage_at", "cell_min_no": "min_cell_voltage_at"}
TEXTS = {
    "0x374": "min_cell_voltage_at",
    "0x375": "max_cell_voltage_at",
    "0x376": "min_temperature_at",
    "0x377": "max_temperature_at",
    "0x35E": "manufacturer",
}
WORDS = {
    "high_voltage": "over_voltage",
    "low_voltage": "under_voltage",
    "high_temperature": "over_temperature",
    "low_temperature": "under_temperature",
    "high_temperature_charge": "charge_over_temperature",
    "low_temperature_charge": "charge_under_temperature",
    "high_current": "discharge_over_current",
    "high_charge_current": "charge_over_current",
    "bms_internal": "internal_comm_fail",
    "critical_system_error": "system_error",
}
# values that follow from others, or are always the same
IMPLIED = {"bytes_6_7", "manufacturer_id", "total", "chemistry"}
STATUS = {
    "charging, both outputs enabled, SP charging": {"current": 20, "charge_enabled": True, "discharge_enabled": True},
    "discharging, discharge output only": {"current": -20, "discharge_enabled": True},
}


def told(vector: dict[str, Any]) -> dict[str, Any]:
    """The state, in the keys of the command, that such a frame tells."""
    found: dict[str, Any] = {}
    for key, value in vector["values"].items():
        if key in {"alarms", "warnings"}:
            found |= named(vector, key)
        elif key == "text" and value != "DY":
            found[TEXTS[vector["id"]]] = value
        elif key in KEYS:
            found[KEYS[key]] = value
        elif key in MEANT:
            found |= MEANT[key](value)
        else:
            assert key in IMPLIED or value == "DY", key
    return found


MEANT: dict[str, Callable[[Any], dict[str, Any]]] = {
    **{key: lambda value, name=name: {name: value / 1000} for key, name in MILLIVOLTS.items()},  # type: ignore[misc]
    **{key: lambda value, name=name: {name: value - 273} for key, name in KELVINS.items()},  # type: ignore[misc]
    **{key: lambda value, name=name: {name: f"1-{value}"} for key, name in NUMBERS.items()},  # type: ignore[misc]
    "delta_mv": lambda value: {"min_cell_voltage": 3.3, "max_cell_voltage": 3.3 + value / 1000},
    "remaining_01ah": lambda value: {"capacity_remaining": value / 10},
    "version_msb_first": lambda value: {"software_version": f"{value >> 8}.{value & 0xFF}"},
    "packs_text": lambda value: {"modules": int(value)},
    "hw": lambda value: {"hardware_version": str(value)},
    "sw": lambda value: {"software_version": str(value)},
    "status": lambda value: STATUS[value],
}


def named(vector: dict[str, Any], key: str) -> dict[str, Any]:
    """In 0x35A an alarm says "has disconnected", a warning "is near to it"."""
    values = vector["values"]
    names = values["alarms"] if values[key] == "same" else values[key]
    if vector["id"] == "0x35A" and key == "alarms":
        return {"protections": [{**WORDS, "bms_internal": "system_error"}.get(name, name) for name in names]}
    return {"alarms": [WORDS.get(name, name) for name in names]}


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, bytes]]:
    def run(protocol: str, state: dict[str, Any], length: str) -> dict[str, bytes]:
        path = tmp_path / "state.json"
        path.write_text(json.dumps(state), encoding="utf-8")
        parser = argparse.ArgumentParser()
        frames.add_arguments(parser)
        assert frames.run(parser.parse_args(["--protocol", protocol, "--dlc", length, str(path)])) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        return {f"0x{line[1]}": bytes.fromhex("".join(line[3:])) for line in lines}

    return run


VECTORS = [vector for vector in captures("inverter") if vector["n"] not in LEFT_OUT]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['n']}-{vector['profile']}-{vector['id']}")
def test_frame(vector: dict[str, Any], call: Callable[..., dict[str, bytes]]) -> None:
    length = "padded" if vector["dlc"] == 8 else "exact"
    found = call(PROTOCOLS[vector["profile"]], BASE | told(vector), length)[vector["id"]]
    known = UNEXPLAINED.get(vector["n"], 8)
    assert found[:known].hex(" ") == bytes.fromhex(vector["bytes"])[:known].hex(" ")
    assert len(found) == vector["dlc"]


def test_what_is_left_out_is_named_and_the_rest_is_everything() -> None:
    assert {vector["profile"] for vector in VECTORS} == set(PROTOCOLS)
    assert set(PROTOCOLS.values()) == set(ON_CAN), "captures/inverter.json has no vector of it"
    assert len(VECTORS) + len(LEFT_OUT) == len(captures("inverter"))
    assert 0x300 in DIALECTS["luxpower"].heard


def test_through_the_real_command_line() -> None:
    state = BASE | {"full_charge_capacity": 156, "modules": 2, "manufacturer": "BYD"}
    found = subprocess.run(
        [sys.executable, "-m", "jkbms_addon", "frames", "--protocol", "victron", "-"],
        input=json.dumps(state),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "  can0  379   [8]  9C 00 00 00 00 00 00 00" in found
    assert "  can0  35E   [8]  42 59 44 00 00 00 00 00" in found
    assert "  can0  35A   [8]  AA AA AA AA AA AA AA AA" in found
