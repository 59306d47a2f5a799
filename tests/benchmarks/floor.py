"""The cheapest decoding that Python has: one ``struct`` by hand for one fixed frame, and divisions; no checks.

What the product does more is framing, checksum, tables that are found by ids, values that mean "unknown", alarms,
derived values, doubts. A test holds these values against what the product reads from the same bytes.
"""

import struct
from typing import Any
from zlib import adler32

from jkbms_addon.errors import FrameError

# a live frame of the PB series with 16 cells
PB = struct.Struct("<6x16H32x I 6x 16H32x h4xIIihhIhBBIIIIBBxxIBB14xBBxxH14xHh7xB10xhh6xIIxBxxHBB")
# a read-all answer of the first generation: 16 cells, then id and value in the order of the protocol
TTL = struct.Struct(
    ">13x" + "xH" * 16 + "xHxHxHxHxHxBxBxHxIxHxHxH" + "xHxHxHxHxHxHxHxHxHxHxHxHxHxHxHxBxHxHxHxHxHxHxHxhxhxhxhxBxI"
    "xBxBxHxBxBxHxB x10s xB x8s x4s xI x15s xB xI x24s xB"
)
BATT_ST1 = struct.Struct("<HHB")


def pb(frame: bytes) -> dict[str, Any]:
    """Values of a live frame."""
    raw = PB.unpack_from(frame)
    return {
        "cell_voltage": tuple([item / 1000 for item in raw[:16]]),
        "cell_resistance": tuple([item / 1000 for item in raw[17:33]]),
        "mosfet_temperature": raw[33] / 10,
        "total_voltage": raw[34] / 1000,
        "current": raw[36] / 1000,
        "temperature_sensor_1": raw[37] / 10,
        "temperature_sensor_2": raw[38] / 10,
        "errors_bitmask": raw[39],
        "balancing_current": raw[40] / 1000,
        "balancing": raw[41] != 0,
        "state_of_charge": raw[42],
        "capacity_remaining": raw[43] / 1000,
        "full_charge_capacity": raw[44] / 1000,
        "charging_cycles": raw[45],
        "total_charging_cycle_capacity": raw[46] / 1000,
        "state_of_health": raw[47],
        "precharging": raw[48] != 0,
        "total_runtime": raw[49],
        "charging": raw[50] != 0,
        "discharging": raw[51] != 0,
        "heating": raw[53] != 0,
        "emergency_time_countdown": raw[54],
        "heating_current": raw[56] / 1000,
        "charger_plugged": raw[57] != 0,
        "temperature_sensor_4": raw[58] / 10,
        "temperature_sensor_5": raw[59] / 10,
        "detail_log_entry_count": raw[60],
        "smart_sleep_countdown": raw[61],
        "charge_status_time_elapsed": raw[63],
    }


def pb_checked(frame: bytes) -> dict[str, Any]:
    """The same behind the checksum; ``FrameError`` when it is wrong."""
    if adler32(frame[:256]) + adler32(frame[256:299]) - 2 & 0xFF != frame[299]:  # the fastest sum that Python has
        raise FrameError("checksum")
    return pb(frame)


def ttl(frame: bytes) -> dict[str, Any]:
    """Values of the whole table, texts as they are."""
    raw = TTL.unpack_from(frame)
    return {
        "cell_voltage": tuple([item / 1000 for item in raw[:16]]),
        "mosfet_temperature": raw[16],
        "temperature_sensor_1": raw[17],
        "temperature_sensor_2": raw[18],
        "total_voltage": raw[19] / 100,
        "current": (raw[20] & 0x7FFF) / 100,
        "state_of_charge": raw[21],
        "temperature_sensor_count": raw[22],
        "charging_cycles": raw[23],
        "total_charging_cycle_capacity": raw[24],
        "errors_bitmask": raw[26],
        "operation_mode_bitmask": raw[27],
        "total_voltage_overvoltage_protection": raw[28] / 100,
        "total_voltage_undervoltage_protection": raw[29] / 100,
        "cell_voltage_overvoltage_protection": raw[30] / 1000,
        "cell_voltage_overvoltage_recovery": raw[31] / 1000,
        "cell_voltage_overvoltage_delay": raw[32],
        "cell_voltage_undervoltage_protection": raw[33] / 1000,
        "cell_voltage_undervoltage_recovery": raw[34] / 1000,
        "cell_voltage_undervoltage_delay": raw[35],
        "cell_pressure_difference_protection": raw[36] / 1000,
        "max_discharge_current": raw[37],
        "discharge_overcurrent_protection_delay": raw[38],
        "max_charge_current": raw[39],
        "charge_overcurrent_protection_delay": raw[40],
        "balancing_start_voltage": raw[41] / 1000,
        "balance_trigger_voltage": raw[42] / 1000,
        "balancing_switch": raw[43] != 0,
        "mosfet_overtemperature_protection": raw[44],
        "mosfet_overtemperature_recovery": raw[45],
        "temperature_sensor_temperature_protection": raw[46],
        "temperature_sensor_temperature_recovery": raw[47],
        "temperature_sensor_temperature_difference_protection": raw[48],
        "charge_overtemperature_protection": raw[49],
        "discharge_overtemperature_protection": raw[50],
        "charge_undertemperature_protection": raw[51],
        "charge_undertemperature_recovery": raw[52],
        "discharging_low_temperature_protection": raw[53],
        "discharging_low_temperature_recovery": raw[54],
        "cell_count": raw[55],
        "total_battery_capacity": raw[56],
        "charging_switch": raw[57] != 0,
        "discharging_switch": raw[58] != 0,
        "current_calibration": raw[59] / 1000,
        "device_address": raw[60],
        "sleep_wait_time": raw[62],
        "alarm_low_volume": raw[63],
        "dedicated_charger_switch": raw[65] != 0,
        "_texts": (raw[66], raw[67], raw[69], raw[72]),
        "total_runtime": raw[68] * 60,
        "actual_battery_capacity": raw[71],
        "protocol_version": raw[73],
    }


def ttl_checked(frame: bytes) -> dict[str, Any]:
    """The same behind the checksum; ``FrameError`` when it is wrong."""
    if sum(frame[:-4]) & 0xFFFF != frame[-2] << 8 | frame[-1]:
        raise FrameError("checksum")
    return ttl(frame)


def batt_st1(data: bytes) -> dict[str, Any]:
    """Values of the most frequent CAN frame, version 2; the hardware has checked it."""
    voltage, current, charge = BATT_ST1.unpack_from(data)
    return {"total_voltage": voltage / 10, "current": (current - 4000) / 10, "state_of_charge": charge}
