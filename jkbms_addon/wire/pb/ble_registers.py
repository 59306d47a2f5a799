"""Registers that are written over Bluetooth, for the layout 32S alone. Pure.

Source: specification of Bluetooth, chapter 8. The length counts and must be the register's own. 21, 22 and 25 mean
other settings in 24S, so nothing is written before the layout is proved. What is not in ``REGISTERS`` has no path to
the air: calibrations (64, 67), shutdown, restart and factory reset (65, 66, 9D), one-key chemistry (68 to 6A),
emergency (6B), the clock (6C), cell count (1C), protocols, and the voltage of the smart sleep (01): sources name one
byte for it and four, and one cannot hold a voltage of a cell in mV.
"""

from typing import Final

from jkbms_addon.battery.quantities import Scalar
from jkbms_addon.errors import CommandError
from jkbms_addon.wire.pb.commands import command
from jkbms_addon.wire.pb.registers import WRITABLE, layout_of
from jkbms_addon.wire.pb.tables import SIZE

_WIDE: Final = {
    "cell_voltage_undervoltage_protection": 0x02,
    "cell_voltage_undervoltage_recovery": 0x03,
    "cell_voltage_overvoltage_protection": 0x04,
    "cell_voltage_overvoltage_recovery": 0x05,
    "balance_trigger_voltage": 0x06,
    "cell_soc100_voltage": 0x07,
    "cell_soc0_voltage": 0x08,
    "cell_request_charge_voltage": 0x09,
    "cell_request_float_voltage": 0x0A,
    "power_off_voltage": 0x0B,
    "max_charge_current": 0x0C,
    "charge_overcurrent_protection_delay": 0x0D,
    "charge_overcurrent_protection_recovery_time": 0x0E,
    "max_discharge_current": 0x0F,
    "discharge_overcurrent_protection_delay": 0x10,
    "discharge_overcurrent_protection_recovery_time": 0x11,
    "short_circuit_protection_recovery_time": 0x12,
    "max_balance_current": 0x13,
    "charge_overtemperature_protection": 0x14,
    "charge_overtemperature_recovery": 0x15,
    "discharge_overtemperature_protection": 0x16,
    "discharge_overtemperature_recovery": 0x17,
    "charge_undertemperature_protection": 0x18,
    "charge_undertemperature_recovery": 0x19,
    "mosfet_overtemperature_protection": 0x1A,
    "mosfet_overtemperature_recovery": 0x1B,
    "charging_switch": 0x1D,
    "discharging_switch": 0x1E,
    "balancing_switch": 0x1F,
    "total_battery_capacity": 0x20,
    "short_circuit_protection_delay": 0x21,
    "balancing_start_voltage": 0x22,
    "discharge_precharge_time": 0x25,
    "heating_switch": 0x27,
    "display_always_on_switch": 0x2B,
    "smart_sleep_switch": 0x2D,
    "timed_stored_data_switch": 0x2F,
    "charging_float_mode_switch": 0x30,
}
_BYTES: Final = {
    "heating_start_temperature": 0x37,
    "heating_stop_temperature": 0x38,
    "smart_sleep_delay": 0x39,
    "cell_request_charge_voltage_time": 0xB3,
    "cell_request_float_voltage_time": 0xB4,
}
# key -> register and the length of its value in bytes
REGISTERS: Final = {
    **{key: (register, 4) for key, register in _WIDE.items()},
    **{key: (register, 1) for key, register in _BYTES.items()},
}


def write(key: str, value: Scalar) -> bytes:
    """The 20 bytes that set one setting of a 32S unit; ``CommandError`` for what must not be written."""
    place = REGISTERS.get(key)
    if place is None:
        raise CommandError(f"{key} is never written over Bluetooth")
    register, size = place
    if isinstance(value, bool):
        return command(register, int(value).to_bytes(size, "little"))
    layout, page = layout_of(WRITABLE[key].page), bytearray(SIZE)
    layout.encode({key: value}, page)
    at = layout.by_key[key].offset
    return command(register, bytes(page[at : at + size]))
