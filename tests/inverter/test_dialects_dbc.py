"""A DBC for each newer dialect, written from its paper and read by cantools: a second pair of eyes."""

import random
from pathlib import Path
from typing import Any

import cantools
import pytest

from jkbms_addon.inverter.dialects import DIALECTS
from tests.inverter.receivers import Told, receiver
from tests.inverter.test_dbc import FILES as FIRST
from tests.inverter.test_dialects_random import ON_CAN, SEED, random_state

FOLDER = Path(__file__).parent / "dbc"
FILES = {
    "pylontech_v2": "pylontech_v2.dbc",
    "victron": "victron_gx.dbc",
    "sol_ark": "sol_ark_1_3.dbc",
    "sma": "sma_sunny_island.dbc",
    "deye_pcs": "deye_pcs.dbc",
    "luxpower": "luxpower_v04.dbc",
    "growatt_lv": "growatt_lv_1_04.dbc",
}
DATABASES: dict[str, Any] = {
    name: cantools.database.load_string((FOLDER / file).read_text("utf-8"), "dbc") for name, file in FILES.items()
}
# signal -> what a receiver calls it
SIGNALS: dict[str, str | dict[str, str]] = {
    "ChargeVoltageLimit": "charge_voltage",
    "ChargeCurrentLimit": "charge_current",
    "DischargeCurrentLimit": "discharge_current",
    "DischargeVoltageLimit": "discharge_voltage",
    "StateOfCharge": "state_of_charge",
    "StateOfHealth": "state_of_health",
    "StateOfChargePrecise": "state_of_charge_precise",
    "RemainingTenths": "capacity_remaining_tenths",
    "Voltage": "voltage",
    "Current": "current",
    "Temperature": "temperature",
    "MaxTemperature": "max_temperature",
    "MinTemperature": "min_temperature",
    "MaxCellVoltage": "max_cell_voltage",
    "MinCellVoltage": "min_cell_voltage",
    "DeltaCellVoltage": "delta",
    "InstalledCapacity": "full_charge_capacity",
    "CapacityRemaining": "capacity_remaining",
    "ChargedEnergy": "charged_energy",
    "DischargedEnergy": "discharged_energy",
    "Cycles": "charging_cycles",
    "ModuleCount": {"pylontech_v2": "module_count", **dict.fromkeys(("sol_ark", "deye_pcs", "luxpower"), "modules")},
    "ModulesOk": "modules",
    "PackCount": "modules",
    "ModulesBlockingCharge": "modules_blocking_charge",
    "ModulesBlockingDischarge": "modules_blocking_discharge",
    "ModulesOffline": "modules_offline",
    "ChargeEnable": "charge_enabled",
    "ChargeOutput": "charge_enabled",
    "DischargeEnable": "discharge_enabled",
    "DischargeOutput": "discharge_enabled",
    "ForceCharge1": {"growatt_lv": "force_charge_1"},
    "FullChargeRequest": "full_charge_request",
    "ForcedCharge1": "forced_1",
    "ForcedCharge2": "forced_2",
    "BatteryState": "state",
    "InverterState": "inverter_state",
    "MaxCellNumber": "max_cell_number",
    "MinCellNumber": "min_cell_number",
    "FaultyPack": "faulty_module",
    "CellCount": "cell_count",
    "CellMaker": "maker",
    "Product": "product",
    "BatteryType": "type",
}
KELVIN = {"MaxTemperature": "max_kelvin", "MinTemperature": "min_kelvin"}  # in the 0x373 of the Victron family


def key_of(name: str, signal: Any) -> str | None:
    if signal.unit == "degC" and signal.offset:
        return KELVIN[signal.name]
    key = SIGNALS.get(signal.name)
    return key.get(name) if isinstance(key, dict) else key


def test_every_dialect_on_can_has_a_dbc() -> None:
    assert {*FILES, *FIRST} == set(ON_CAN), "write one in the folder dbc from the facts, and name it in FILES"


@pytest.mark.parametrize("name", list(FILES))
def test_cantools_and_the_receiver_agree(name: str) -> None:
    draw, compared = random.Random(SEED + 1), set()
    for _ in range(2000):
        frames = DIALECTS[name].frames(random_state(draw))
        told: Told = receiver(name)(frames)
        for can_id, data in frames:
            message = DATABASES[name].get_message_by_frame_id(can_id)
            if len(data) < message.length:
                continue  # what is not known was left out
            found = message.decode(data, decode_choices=False)
            for signal in message.signals:
                key = key_of(name, signal)
                if key in told and told[key] is not None:
                    assert found[signal.name] == pytest.approx(float(told[key]), abs=1e-6), signal.name
                    compared.add(signal.name)
    there = {signal.name for message in DATABASES[name].messages for signal in message.signals if key_of(name, signal)}
    assert compared == there


@pytest.mark.parametrize("name", list(FILES))
def test_no_bit_beyond_the_signals_is_set(name: str) -> None:
    draw = random.Random(SEED + 2)
    for _ in range(1000):
        for can_id, data in DIALECTS[name].frames(random_state(draw)):
            message = DATABASES[name].get_message_by_frame_id(can_id)
            raw = message.decode(data.ljust(8, b"\0"), decode_choices=False, scaling=False)
            again = message.encode(raw, scaling=False, strict=False).ljust(8, b"\0")
            assert again[: len(data)] == data, f"0x{can_id:03X}"


@pytest.mark.parametrize("name", list(FILES))
def test_the_file_describes_what_is_sent_and_what_is_heard(name: str) -> None:
    dialect = DIALECTS[name]
    described = {message.frame_id for message in DATABASES[name].messages}
    sent = {message.frame_id for message in DATABASES[name].messages if "Battery" in message.senders}
    assert sent == dialect.ids
    assert described - sent <= set(dialect.heard)
    assert not any(message.is_extended_frame for message in DATABASES[name].messages)
