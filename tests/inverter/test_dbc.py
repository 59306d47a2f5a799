"""The DBC of each dialect, written from the specification and read by cantools, against our encoder."""

from pathlib import Path
from typing import Any

import cantools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.inverter.dialects import DIALECTS, Dialect
from jkbms_addon.inverter.dialects.goodwe import GOODWE
from jkbms_addon.inverter.dialects.pylontech import PYLONTECH
from jkbms_addon.inverter.state import Targets

FILES = {PYLONTECH.name: "pylontech_1_2.dbc", GOODWE.name: "goodwe_1_5.dbc"}
DATABASES: dict[str, Any] = {
    name: cantools.database.load_string((Path(__file__).parent / "dbc" / file).read_text("utf-8"), "dbc")
    for name, file in FILES.items()
}
SIGNALS = {
    "ChargeVoltageLimit": "charge_voltage",
    "ChargeCurrentLimit": "charge_current",
    "DischargeCurrentLimit": "discharge_current",
    "DischargeVoltageLimit": "discharge_voltage",
    "StateOfCharge": "state_of_charge",
    "StateOfHealth": "state_of_health",
    "Voltage": "voltage",
    "Current": "current",
    "Temperature": "temperature",
    "ModuleCount": "modules",
    "ChargeEnable": "charge_enabled",
    "DischargeEnable": "discharge_enabled",
    "ForceCharge1": "force_charge_1",
    "ForceCharge2": "force_charge_2",
    "FullChargeRequest": "full_charge_request",
    "MaxTemperature10mV": "max_temperature",
    "MinTemperature10mV": "min_temperature",
    "MaxCellVoltage10mV": "max_cell_voltage",
    "MinCellVoltage10mV": "min_cell_voltage",
    "MaxTemperature1mV": "max_temperature",
    "MinTemperature1mV": "min_temperature",
    "MaxCellVoltage1mV": "max_cell_voltage",
    "MinCellVoltage1mV": "min_cell_voltage",
    "MaxTemperatureNumber": "max_temperature_number",
    "MinTemperatureNumber": "min_temperature_number",
    "MaxCellNumber": "max_cell_number",
    "MinCellNumber": "min_cell_number",
}
PROTECTIONS = {
    "ProtectionOverVoltage": "over_voltage",
    "ProtectionUnderVoltage": "under_voltage",
    "ProtectionOverTemperature": "over_temperature",
    "ProtectionUnderTemperature": "under_temperature",
    "ProtectionDischargeOverCurrent": "discharge_over_current",
    "ProtectionChargeOverCurrent": "charge_over_current",
    "ProtectionSystemError": "system_error",
}
ALARMS = {
    "AlarmHighVoltage": "over_voltage",
    "AlarmLowVoltage": "under_voltage",
    "AlarmHighTemperature": "over_temperature",
    "AlarmLowTemperature": "under_temperature",
    "AlarmDischargeHighCurrent": "discharge_over_current",
    "AlarmChargeHighCurrent": "charge_over_current",
    "AlarmInternalCommunication": "internal_comm_fail",
    "AlarmCellFailure": "cell_failure",
}
FIXED = {"MarkP": 0x50, "MarkN": 0x4E}

CELLS, TEMPERATURES, PLACES = st.floats(1, 4.5), st.floats(-40, 120), st.integers(0, 1599)
STATES = st.builds(
    Targets,
    charge_voltage=st.floats(0, 1000),
    charge_current=st.floats(0, 3000),
    discharge_current=st.floats(0, 3000),
    discharge_voltage=st.floats(0, 1000),
    state_of_charge=st.floats(0, 100),
    state_of_health=st.floats(0, 100),
    voltage=st.floats(0, 300),
    current=st.floats(-3000, 3000),
    temperature=TEMPERATURES,
    charge_enabled=st.booleans(),
    discharge_enabled=st.booleans(),
    force_charge_1=st.booleans(),
    force_charge_2=st.booleans(),
    full_charge_request=st.booleans(),
    protections=st.lists(st.sampled_from(list(PROTECTIONS.values()))).map(tuple),
    alarms=st.lists(st.sampled_from(list(ALARMS.values()))).map(tuple),
    modules=st.integers(0, 255),
    module_addresses=st.sets(st.integers(0, 15)).map(tuple),
    manufacturer=st.from_regex(r"[!-~][ -~]{0,7}", fullmatch=True),
    max_temperature=TEMPERATURES,
    min_temperature=TEMPERATURES,
    max_cell_voltage=CELLS,
    min_cell_voltage=CELLS,
    max_temperature_number=PLACES,
    min_temperature_number=PLACES,
    max_cell_number=PLACES,
    min_cell_number=PLACES,
)


def wanted(signal: str, targets: Targets, profile: Dialect) -> Any:
    """What a signal must say, by the name it has in the DBC."""
    if signal in PROTECTIONS:
        return PROTECTIONS[signal] in targets.protections
    if signal in ALARMS:
        return ALARMS[signal] in targets.alarms
    if signal.startswith("Letter"):
        filled = (targets.manufacturer or "").ljust(8, " " if profile is PYLONTECH else "\0")
        return ord(filled[int(signal[-1]) - 1])
    if signal.startswith("Module") and signal.endswith("Online"):
        return int(signal[6]) in targets.module_addresses
    return FIXED[signal] if signal in FIXED else getattr(targets, SIGNALS[signal])


@pytest.mark.parametrize("length", ["padded", "exact"])
@pytest.mark.parametrize("name", list(FILES))
@given(targets=STATES, extremes=st.sampled_from(["0x070", "0x370"]))
def test_cantools_reads_what_was_meant(name: str, length: Any, extremes: Any, targets: Targets) -> None:
    database, profile = DATABASES[name], DIALECTS[name]
    for can_id, data in profile.frames(targets, length, extremes, cell_numbers=True):
        message = database.get_message_by_frame_id(can_id)
        told = message.decode(data.ljust(message.length, b"\0"), decode_choices=False)
        for signal in message.signals:
            meant = wanted(signal.name, targets, profile)
            half = 0 if isinstance(meant, bool | int) else signal.scale / 2 + 1e-9
            assert abs(told[signal.name] - meant) <= half, signal.name


@pytest.mark.parametrize("name", list(FILES))
@given(targets=STATES)
def test_no_bit_beyond_the_signals_is_set(name: str, targets: Targets) -> None:
    database, profile = DATABASES[name], DIALECTS[name]
    for can_id, data in profile.frames(targets, "padded", "0x370", cell_numbers=True):
        message = database.get_message_by_frame_id(can_id)
        raw = message.decode(data, decode_choices=False, scaling=False)
        assert message.encode(raw, scaling=False).ljust(8, b"\0") == data


@pytest.mark.parametrize("name", list(FILES))
def test_every_message_is_in_the_dbc(name: str) -> None:
    described = {message.frame_id for message in DATABASES[name].messages}
    assert described == DIALECTS[name].ids | {0x305}
    assert not any(message.is_extended_frame for message in DATABASES[name].messages)


@pytest.mark.parametrize("name", list(FILES))
def test_lengths_in_the_dbc_are_the_exact_ones(name: str) -> None:
    messages = {message.can_id: message.length or 8 for message in DIALECTS[name].messages}
    assert {can_id: DATABASES[name].get_message_by_frame_id(can_id).length for can_id in messages} == messages
