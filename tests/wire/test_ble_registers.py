"""Commands over Bluetooth, byte for byte; samples are those of the specification and of the vendor's application."""

import pytest

from jkbms_addon.battery.quantities import specs
from jkbms_addon.errors import CommandError
from jkbms_addon.wire.pb.ble_registers import REGISTERS, write
from jkbms_addon.wire.pb.registers import WRITABLE


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("cell_voltage_undervoltage_protection", 3.5, "02 04 ac 0d 00 00"),
        ("cell_voltage_overvoltage_protection", 4.2, "04 04 68 10 00 00"),
        ("balance_trigger_voltage", 0.1, "06 04 64 00 00 00"),
        ("max_charge_current", 3.0, "0c 04 b8 0b 00 00"),
        ("charge_overcurrent_protection_delay", 40, "0d 04 28 00 00 00"),
        ("discharge_overtemperature_protection", 77.0, "16 04 02 03 00 00"),
        ("charge_undertemperature_protection", -22.0, "18 04 24 ff ff ff"),
        ("total_battery_capacity", 14, "20 04 b0 36 00 00"),
        ("short_circuit_protection_delay", 2000, "21 04 d0 07 00 00"),
        ("balancing_start_voltage", 4.1, "22 04 04 10 00 00"),
        ("charging_switch", True, "1d 04 01 00 00 00"),
        ("heating_switch", False, "27 04 00 00 00 00"),
        ("heating_start_temperature", -5, "37 01 fb 00 00 00"),
        ("smart_sleep_delay", 23, "39 01 17 00 00 00"),
        ("cell_request_float_voltage_time", 8.0, "b4 01 50 00 00 00"),
    ],
)
def test_a_command_has_the_register_and_the_length_that_are_its_own(key: str, value: float, said: str) -> None:
    sent = write(key, value)
    assert len(sent) == 20
    assert sent[:4] == bytes.fromhex("aa5590eb")
    assert sent[4:10].hex(" ") == said
    assert sent[19] == sum(sent[:19]) % 256


def test_what_must_never_be_written_has_no_path_to_the_air() -> None:
    registers = {register for register, _ in REGISTERS.values()}
    never = {0x1C, 0x24, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x9D, 0x96, 0x97, 0x9F, 0xA1}
    assert not registers & never
    assert len(registers) == len(REGISTERS)
    assert set(REGISTERS) <= set(WRITABLE)
    for key in ("cell_count", "device_address", "smart_sleep_voltage", "nothing"):
        with pytest.raises(CommandError, match="never written over Bluetooth"):
            write(key, 1)


def test_every_register_is_a_setting_that_can_be_changed() -> None:
    assert all(specs()[key].control for key in REGISTERS)
