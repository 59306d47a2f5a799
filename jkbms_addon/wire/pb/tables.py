"""Where each quantity sits in the 300-byte frames of the PB series: 32S as on RS485, 24S of older units.

Sources: specification of the RS485 protocol, chapter 2, and of Bluetooth, chapter 6. Values are little-endian. 32S is
what software from 11 on speaks, 24S software 6 to 10, which has only Bluetooth.
"""

from typing import Final

from jkbms_addon.wire.codec import At, Layout, bit, choice, flag, number, text

SIZE: Final = 300
CELLS: Final = 32
CELLS_24S: Final = 24

u8, u16, i16, u32, i32 = "B", "H", "h", "I", "i"
milli16, milli32 = number(u16, 1000), number(u32, 1000)
tenth = number(i16, 10, unknown=-2000)
tenth32 = number(i32, 10)
second = number(u32)

LIVE = Layout(
    "<",
    SIZE,
    At("cell_voltage", 6, milli16, CELLS),
    At("_mask", 70, number(u32)),
    At("_average", 74, milli16),
    At("_delta", 76, milli16),
    At("_highest", 78, number(u8)),
    At("_lowest", 79, number(u8)),
    At("cell_resistance", 80, milli16, CELLS),
    At("mosfet_temperature", 144, tenth),
    At("total_voltage", 150, milli32),
    At("_power", 154, milli32),
    At("current", 158, number(i32, 1000)),
    At("temperature_sensor_1", 162, tenth),
    At("temperature_sensor_2", 164, tenth),
    At("errors_bitmask", 166, number(u32)),
    At("balancing_current", 170, number(i16, 1000)),
    At("balancing", 172, flag()),
    At("state_of_charge", 173, number(u8)),
    At("capacity_remaining", 174, milli32),
    At("full_charge_capacity", 178, milli32),
    At("charging_cycles", 182, number(u32)),
    At("total_charging_cycle_capacity", 186, milli32),
    At("state_of_health", 190, number(u8)),
    At("precharging", 191, flag()),
    At("total_runtime", 194, number(u32)),
    At("charging", 198, flag()),
    At("discharging", 199, flag()),
    At("_sensors", 214, number(u8)),
    At("heating", 215, flag()),
    At("emergency_time_countdown", 218, number(u16)),
    At("_voltage", 234, number(u16, 100)),
    At("heating_current", 236, number(i16, 1000)),
    At("charger_plugged", 245, flag()),
    At("_mosfet", 254, tenth),
    At("temperature_sensor_4", 256, tenth),
    At("temperature_sensor_5", 258, tenth),
    At("detail_log_entry_count", 266, number(u32)),
    At("smart_sleep_countdown", 270, number(u32)),
    At("battery_type", 275, choice("LFP", "Li-ion", "LTO")),
    At("charge_status_time_elapsed", 278, number(u16)),
    At("charge_status", 280, choice("bulk", "absorption", "float")),
    At("dry_contact_1", 281, bit(u8, 1)),
    At("dry_contact_2", 281, bit(u8, 2)),
)

SETTINGS = Layout(
    "<",
    SIZE,
    At("smart_sleep_voltage", 6, milli32),
    At("cell_voltage_undervoltage_protection", 10, milli32),
    At("cell_voltage_undervoltage_recovery", 14, milli32),
    At("cell_voltage_overvoltage_protection", 18, milli32),
    At("cell_voltage_overvoltage_recovery", 22, milli32),
    At("balance_trigger_voltage", 26, milli32),
    At("cell_soc100_voltage", 30, milli32),
    At("cell_soc0_voltage", 34, milli32),
    At("cell_request_charge_voltage", 38, milli32),
    At("cell_request_float_voltage", 42, milli32),
    At("power_off_voltage", 46, milli32),
    At("max_charge_current", 50, milli32),
    At("charge_overcurrent_protection_delay", 54, second),
    At("charge_overcurrent_protection_recovery_time", 58, second),
    At("max_discharge_current", 62, milli32),
    At("discharge_overcurrent_protection_delay", 66, second),
    At("discharge_overcurrent_protection_recovery_time", 70, second),
    At("short_circuit_protection_recovery_time", 74, second),
    At("max_balance_current", 78, milli32),
    At("charge_overtemperature_protection", 82, tenth32),
    At("charge_overtemperature_recovery", 86, tenth32),
    At("discharge_overtemperature_protection", 90, tenth32),
    At("discharge_overtemperature_recovery", 94, tenth32),
    At("charge_undertemperature_protection", 98, tenth32),
    At("charge_undertemperature_recovery", 102, tenth32),
    At("mosfet_overtemperature_protection", 106, tenth32),
    At("mosfet_overtemperature_recovery", 110, tenth32),
    At("cell_count", 114, number(u32)),
    At("charging_switch", 118, flag(u32)),
    At("discharging_switch", 122, flag(u32)),
    At("balancing_switch", 126, flag(u32)),
    At("total_battery_capacity", 130, milli32),
    At("short_circuit_protection_delay", 134, number(u32)),  # microseconds
    At("balancing_start_voltage", 138, milli32),
    At("device_address", 270, number(u32)),
    At("discharge_precharge_time", 274, second),
    At("heating_switch", 282, bit(u16, 0)),
    At("gps_heartbeat_switch", 282, bit(u16, 2)),
    At("display_always_on_switch", 282, bit(u16, 4)),
    At("smart_sleep_switch", 282, bit(u16, 6)),
    At("timed_stored_data_switch", 282, bit(u16, 8)),
    At("charging_float_mode_switch", 282, bit(u16, 9)),
    At("heating_start_temperature", 284, number("b")),
    At("heating_stop_temperature", 285, number("b")),
    At("smart_sleep_delay", 286, number(u8)),
)

# The BLE PIN (at 62) and the settings password (at 118) have no row: they are never kept.
ABOUT = Layout(
    "<",
    SIZE,
    At("model", 6, text(15)),
    At("hardware_version", 22, text(8)),
    At("software_version", 30, text(8)),
    At("power_on_count", 42, number(u32)),
    At("device_name", 46, text(16)),
    At("manufacturing_date", 78, text(8)),
    At("serial_number", 86, text(16)),
    At("uart1_protocol", 184, number(u8)),
    At("can_protocol", 185, number(u8)),
    At("uart2_protocol", 218, number(u8)),
    At("cell_request_charge_voltage_time", 266, number(u8, 10)),
    At("cell_request_float_voltage_time", 267, number(u8, 10)),
    At("protocol_version", 298, number(u8)),
)

# Up to the cells as in 32S, from the mask to the resistances 16 less, behind them 32 less; the MOSFET's temperature
# and the alarms, of which there are 16, sit elsewhere. What stands at 202 and 204 (the second voltage and the current
# of the heating in 32S) never moves and is neither.
LIVE_24S = Layout(
    "<",
    SIZE,
    At("cell_voltage", 6, milli16, CELLS_24S),
    At("_mask", 54, number(u32)),
    At("_average", 58, milli16),
    At("_delta", 60, milli16),
    At("_highest", 62, number(u8)),
    At("_lowest", 63, number(u8)),
    At("cell_resistance", 64, milli16, CELLS_24S),
    At("total_voltage", 118, milli32),
    At("_power", 122, milli32),
    At("current", 126, number(i32, 1000)),
    At("temperature_sensor_1", 130, tenth),
    At("temperature_sensor_2", 132, tenth),
    At("mosfet_temperature", 134, tenth),
    At("errors_bitmask", 136, number(u16)),
    At("balancing_current", 138, number(i16, 1000)),
    At("balancing", 140, flag()),
    At("state_of_charge", 141, number(u8)),
    At("capacity_remaining", 142, milli32),
    At("full_charge_capacity", 146, milli32),
    At("charging_cycles", 150, number(u32)),
    At("total_charging_cycle_capacity", 154, milli32),
    At("state_of_health", 158, number(u8)),
    At("precharging", 159, flag()),
    At("total_runtime", 162, number(u32)),
    At("charging", 166, flag()),
    At("discharging", 167, flag()),
    At("_sensors", 182, number(u8)),
    At("heating", 183, flag()),
)

# What 24S does not tell stands there as 0, and would appear as a setting: it has no row.
_NOT_IN_24S: Final = frozenset(
    (
        "smart_sleep_voltage",
        "cell_soc100_voltage",
        "cell_soc0_voltage",
        "cell_request_charge_voltage",
        "cell_request_float_voltage",
    )
)
SETTINGS_24S = Layout("<", SIZE, *(row for row in SETTINGS.rows if row.offset < 142 and row.key not in _NOT_IN_24S))
# the serial number has 10 or 11 characters, a code of the vendor's follows
ABOUT_24S = Layout(
    "<",
    SIZE,
    *(row for row in ABOUT.rows if row.offset < 86),
    At("serial_number", 86, text(11)),
)
