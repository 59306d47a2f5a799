"""The table: what each quantity of a battery means.

One annotated line of ``Pack`` per quantity, with the keys of the shared vocabulary. Where a quantity
sits in a wire format is the business of that format; entities, units, limits and documentation derive
from this file. ``None`` means unknown, never zero. Current and power are positive while charging.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from jkbms_addon.battery.alarms import Alarm

Scalar = float | int | bool | str | None
Value = Scalar | tuple[float | None, ...] | tuple[str, ...]
Values = Mapping[str, Value]

Topic = Literal["state", "settings", "info"]
Kind = Literal["number", "flag", "text", "choice"]
Level = Literal["switches", "settings", "protections"]


@dataclass(frozen=True, slots=True)
class Control:
    """How a setting may be changed: from which level on, and within which documented range."""

    level: Level
    minimum: float = 0
    maximum: float = 1
    step: float = 1


@dataclass(frozen=True, slots=True)
class Spec:
    """What a quantity is, independent of any wire format."""

    name: str
    topic: Topic = "state"
    kind: Kind = "number"
    unit: str | None = None
    device_class: str | None = None
    state_class: str | None = None
    digits: int | None = None
    diagnostic: bool = False
    enabled: bool = True
    options: tuple[str, ...] = ()
    icon: str | None = None
    listed: bool = False
    control: Control | None = None


def measured(
    name: str,
    unit: str | None = None,
    device_class: str | None = None,
    digits: int | None = None,
    *,
    state_class: str | None = "measurement",
    diagnostic: bool = False,
    enabled: bool = True,
    listed: bool = False,
    icon: str | None = None,
) -> Spec:
    """Row of a measured number."""
    return Spec(
        name,
        unit=unit,
        device_class=device_class,
        state_class=state_class,
        digits=digits,
        diagnostic=diagnostic,
        enabled=enabled,
        listed=listed,
        icon=icon,
    )


def counter(name: str, unit: str | None = None, device_class: str | None = None, *, enabled: bool = True) -> Spec:
    """Row of a number that only grows while the battery lives."""
    return Spec(
        name,
        unit=unit,
        device_class=device_class,
        state_class="total_increasing",
        diagnostic=True,
        enabled=enabled,
    )


def flag(name: str, device_class: str | None = None, *, diagnostic: bool = False, enabled: bool = True) -> Spec:
    """Row of something that is on or off."""
    return Spec(name, kind="flag", device_class=device_class, diagnostic=diagnostic, enabled=enabled)


def text(name: str, topic: Topic = "info", *, enabled: bool = True) -> Spec:
    """Row of a text."""
    return Spec(name, topic=topic, kind="text", diagnostic=True, enabled=enabled)


def choice(name: str, options: tuple[str, ...], topic: Topic = "state") -> Spec:
    """Row of a text out of a closed list."""
    return Spec(name, topic=topic, kind="choice", device_class="enum", options=options, diagnostic=True)


def setting(
    name: str,
    unit: str | None = None,
    device_class: str | None = None,
    digits: int | None = None,
    control: Control | None = None,
    *,
    enabled: bool = True,
) -> Spec:
    """Row of a number that the BMS lets its owner configure."""
    return Spec(
        name,
        topic="settings",
        unit=unit,
        device_class=device_class,
        digits=digits,
        diagnostic=True,
        enabled=enabled,
        control=control,
    )


def switch(name: str, *, enabled: bool = True) -> Spec:
    """Row of an on/off setting."""
    return Spec(name, topic="settings", kind="flag", diagnostic=True, enabled=enabled, control=Control("switches"))


CELL_RANGE = (1.2, 4.4, 0.001)


def cell_setting(name: str, level: Level) -> Spec:
    """Row of a cell voltage setting; range of the vendor's application."""
    return setting(name, "V", "voltage", 3, Control(level, *CELL_RANGE))


def seconds(name: str, level: Level = "protections", minimum: float = 2, maximum: float = 600) -> Spec:
    """Row of a delay or a recovery time."""
    return setting(name, "s", "duration", 0, Control(level, minimum, maximum, 1), enabled=False)


def degrees(name: str, minimum: float, maximum: float, step: float = 0.1, level: Level = "protections") -> Spec:
    """Row of a temperature limit."""
    return setting(name, "°C", "temperature", 1 if step < 1 else 0, Control(level, minimum, maximum, step))


Number = float | int | None
Flag = bool | None
Text = str | None
V, A, W, C, AH = "V", "A", "W", "°C", "Ah"


class Pack(BaseModel):
    """All that can be known of one battery; ``None`` is unknown."""

    # strict: True is no number, and a number is finite
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    # --- telemetry -----------------------------------------------------------------------------------
    total_voltage: Annotated[Number, measured("Total voltage", V, "voltage", 2)] = None
    current: Annotated[Number, measured("Current", A, "current", 2)] = None
    power: Annotated[Number, measured("Power", W, "power", 0)] = None
    charging_power: Annotated[Number, measured("Charging power", W, "power", 0)] = None
    discharging_power: Annotated[Number, measured("Discharging power", W, "power", 0)] = None
    state_of_charge: Annotated[Number, measured("State of charge", "%", "battery", 0)] = None
    state_of_health: Annotated[
        Number, measured("State of health", "%", None, 0, diagnostic=True, icon="mdi:battery-heart-variant")
    ] = None
    capacity_remaining: Annotated[Number, measured("Capacity remaining", AH, None, 1, icon="mdi:battery-50")] = None
    full_charge_capacity: Annotated[
        Number, measured("Full charge capacity", AH, None, 1, diagnostic=True, icon="mdi:battery-high")
    ] = None
    charging_cycles: Annotated[
        Number, measured("Charging cycles", None, None, 0, diagnostic=True, icon="mdi:battery-sync")
    ] = None
    total_charging_cycle_capacity: Annotated[
        Number, measured("Ah charged in total", AH, None, 1, diagnostic=True, enabled=False)
    ] = None
    total_runtime: Annotated[Number, counter("Total runtime", "s", "duration", enabled=False)] = None
    cell_voltage: Annotated[
        tuple[float | None, ...], measured("Cell voltage", V, "voltage", 3, diagnostic=True, listed=True)
    ] = ()
    cell_resistance: Annotated[
        tuple[float | None, ...],
        measured("Cell resistance", "Ω", None, 3, diagnostic=True, enabled=False, listed=True, icon="mdi:omega"),
    ] = ()
    min_cell_voltage: Annotated[Number, measured("Min cell voltage", V, "voltage", 3)] = None
    max_cell_voltage: Annotated[Number, measured("Max cell voltage", V, "voltage", 3)] = None
    average_cell_voltage: Annotated[Number, measured("Average cell voltage", V, "voltage", 3)] = None
    delta_cell_voltage: Annotated[Number, measured("Delta cell voltage", V, "voltage", 3)] = None
    min_voltage_cell: Annotated[
        Number, measured("Lowest cell", None, None, 0, state_class=None, icon="mdi:battery-minus-outline")
    ] = None
    max_voltage_cell: Annotated[
        Number, measured("Highest cell", None, None, 0, state_class=None, icon="mdi:battery-plus-outline")
    ] = None
    mosfet_temperature: Annotated[Number, measured("MOSFET temperature", C, "temperature", 1)] = None
    temperature_sensor_1: Annotated[Number, measured("Temperature 1", C, "temperature", 1)] = None
    temperature_sensor_2: Annotated[Number, measured("Temperature 2", C, "temperature", 1)] = None
    temperature_sensor_4: Annotated[Number, measured("Temperature 4", C, "temperature", 1)] = None
    temperature_sensor_5: Annotated[Number, measured("Temperature 5", C, "temperature", 1)] = None
    temperature_sensor_count: Annotated[
        Number, measured("Sensor count", None, None, 0, diagnostic=True, enabled=False)
    ] = None
    balancing: Annotated[Flag, flag("Balancing", "running")] = None
    balancing_current: Annotated[Number, measured("Balancing current", A, "current", 3)] = None
    charging: Annotated[Flag, flag("Charge MOSFET")] = None
    discharging: Annotated[Flag, flag("Discharge MOSFET")] = None
    precharging: Annotated[Flag, flag("Precharging", "running", diagnostic=True, enabled=False)] = None
    heating: Annotated[Flag, flag("Heating", "heat")] = None
    heating_current: Annotated[Number, measured("Heating current", A, "current", 2, enabled=False)] = None
    errors_bitmask: Annotated[
        Number, measured("Errors bitmask", None, None, 0, state_class=None, diagnostic=True, enabled=False)
    ] = None
    operation_mode_bitmask: Annotated[
        Number, measured("Mode bitmask", None, None, 0, state_class=None, diagnostic=True, enabled=False)
    ] = None
    operation_mode: Annotated[Text, text("Operation mode", "state", enabled=False)] = None
    charge_status: Annotated[Text, choice("Charge status", ("bulk", "absorption", "float"))] = None
    charge_status_time_elapsed: Annotated[
        Number, measured("Charge status time", "s", "duration", 0, diagnostic=True, enabled=False)
    ] = None
    emergency_time_countdown: Annotated[
        Number, measured("Emergency countdown", "s", "duration", 0, diagnostic=True, enabled=False)
    ] = None
    smart_sleep_countdown: Annotated[
        Number, measured("Sleep countdown", "s", "duration", 0, diagnostic=True, enabled=False)
    ] = None
    detail_log_entry_count: Annotated[
        Number, measured("Log entries", None, None, 0, diagnostic=True, enabled=False)
    ] = None
    dry_contact_1: Annotated[Flag, flag("Dry contact 1", diagnostic=True, enabled=False)] = None
    dry_contact_2: Annotated[Flag, flag("Dry contact 2", diagnostic=True, enabled=False)] = None
    charger_plugged: Annotated[Flag, flag("Charger plugged", "plug", diagnostic=True, enabled=False)] = None
    min_cell_temperature: Annotated[Number, measured("Min cell temperature", C, "temperature", 0)] = None
    max_cell_temperature: Annotated[Number, measured("Max cell temperature", C, "temperature", 0)] = None
    average_cell_temperature: Annotated[
        Number, measured("Avg cell temperature", C, "temperature", 0, enabled=False)
    ] = None
    requested_charge_voltage: Annotated[Number, measured("Voltage requested", V, "voltage", 1)] = None
    requested_charge_current: Annotated[Number, measured("Current requested", A, "current", 1)] = None
    charger_requested: Annotated[Flag, flag("Charger requested", diagnostic=True, enabled=False)] = None
    acc_on: Annotated[Flag, flag("ACC on", diagnostic=True, enabled=False)] = None
    alarms: tuple[str, ...] | None = None

    # --- settings ------------------------------------------------------------------------------------
    smart_sleep_voltage: Annotated[Number, cell_setting("Smart sleep voltage", "settings")] = None
    cell_voltage_undervoltage_protection: Annotated[Number, cell_setting("UVP cell", "protections")] = None
    cell_voltage_undervoltage_recovery: Annotated[Number, cell_setting("UVP recovery cell", "protections")] = None
    cell_voltage_overvoltage_protection: Annotated[Number, cell_setting("OVP cell", "protections")] = None
    cell_voltage_overvoltage_recovery: Annotated[Number, cell_setting("OVP recovery cell", "protections")] = None
    balance_trigger_voltage: Annotated[
        Number, setting("Balance trigger", V, "voltage", 3, Control("settings", 0.003, 1, 0.001))
    ] = None
    cell_soc100_voltage: Annotated[Number, cell_setting("SOC 100 % voltage", "settings")] = None
    cell_soc0_voltage: Annotated[Number, cell_setting("SOC 0 % voltage", "settings")] = None
    cell_request_charge_voltage: Annotated[Number, cell_setting("Charge voltage cell", "settings")] = None
    cell_request_float_voltage: Annotated[Number, cell_setting("Float voltage cell", "settings")] = None
    power_off_voltage: Annotated[Number, cell_setting("Power off voltage", "protections")] = None
    max_charge_current: Annotated[
        Number, setting("Charge OCP", A, "current", 1, Control("protections", 1, 600, 0.1))
    ] = None
    charge_overcurrent_protection_delay: Annotated[Number, seconds("Charge OCP delay")] = None
    charge_overcurrent_protection_recovery_time: Annotated[Number, seconds("Charge OCP recovery")] = None
    max_discharge_current: Annotated[
        Number, setting("Discharge OCP", A, "current", 1, Control("protections", 1, 1200, 0.1))
    ] = None
    discharge_overcurrent_protection_delay: Annotated[Number, seconds("Discharge OCP delay")] = None
    discharge_overcurrent_protection_recovery_time: Annotated[Number, seconds("Discharge OCP recov.")] = None
    short_circuit_protection_delay: Annotated[
        Number,
        setting("SCP delay", "µs", "duration", 0, Control("protections", 0, 1000000, 1), enabled=False),
    ] = None
    short_circuit_protection_recovery_time: Annotated[Number, seconds("SCP recovery")] = None
    max_balance_current: Annotated[
        Number, setting("Max balance current", A, "current", 1, Control("settings", 0.3, 15, 0.1))
    ] = None
    charge_overtemperature_protection: Annotated[Number, degrees("Charge OTP", 30, 80)] = None
    charge_overtemperature_recovery: Annotated[Number, degrees("Charge OTP recovery", 30, 80)] = None
    discharge_overtemperature_protection: Annotated[Number, degrees("Discharge OTP", 30, 80)] = None
    discharge_overtemperature_recovery: Annotated[Number, degrees("Discharge OTP recov.", 30, 80)] = None
    charge_undertemperature_protection: Annotated[Number, degrees("Charge UTP", -45, 20)] = None
    charge_undertemperature_recovery: Annotated[Number, degrees("Charge UTP recovery", -45, 20)] = None
    mosfet_overtemperature_protection: Annotated[Number, degrees("MOSFET OTP", 50, 110)] = None
    mosfet_overtemperature_recovery: Annotated[Number, degrees("MOSFET OTP recovery", 50, 110)] = None
    cell_count: Annotated[Number, setting("Cell count", None, None, 0)] = None
    charging_switch: Annotated[Flag, switch("Charging switch")] = None
    discharging_switch: Annotated[Flag, switch("Discharging switch")] = None
    balancing_switch: Annotated[Flag, switch("Balancing switch")] = None
    total_battery_capacity: Annotated[
        Number, setting("Battery capacity", AH, None, 0, Control("settings", 2, 20000, 1))
    ] = None
    balancing_start_voltage: Annotated[
        Number, setting("Balance start", V, "voltage", 3, Control("settings", 1.2, 4.25, 0.001))
    ] = None
    device_address: Annotated[Number, setting("Device address", None, None, 0, enabled=False)] = None
    discharge_precharge_time: Annotated[Number, seconds("Precharge time", "settings", 0, 300)] = None
    heating_switch: Annotated[Flag, switch("Heating switch")] = None
    display_always_on_switch: Annotated[Flag, switch("Display always on")] = None
    smart_sleep_switch: Annotated[Flag, switch("Smart sleep")] = None
    timed_stored_data_switch: Annotated[Flag, switch("Timed stored data", enabled=False)] = None
    charging_float_mode_switch: Annotated[Flag, switch("Float mode")] = None
    gps_heartbeat_switch: Annotated[Flag, switch("GPS heartbeat", enabled=False)] = None
    heating_start_temperature: Annotated[Number, degrees("Heating start", -40, 100, 1, "settings")] = None
    heating_stop_temperature: Annotated[Number, degrees("Heating stop", -40, 100, 1, "settings")] = None
    smart_sleep_delay: Annotated[
        Number, setting("Smart sleep delay", "h", "duration", 0, Control("settings", 1, 100, 1))
    ] = None
    cell_request_charge_voltage_time: Annotated[
        Number, setting("Charge voltage time", "h", "duration", 1, Control("settings", 0, 25, 0.1))
    ] = None
    cell_request_float_voltage_time: Annotated[
        Number, setting("Float voltage time", "h", "duration", 1, Control("settings", 0, 25, 0.1))
    ] = None

    # --- settings that only the first generation has -----------------------------------------------------
    total_voltage_overvoltage_protection: Annotated[Number, setting("OVP battery", V, "voltage", 2)] = None
    total_voltage_undervoltage_protection: Annotated[Number, setting("UVP battery", V, "voltage", 2)] = None
    cell_voltage_overvoltage_delay: Annotated[Number, setting("OVP cell delay", "s", "duration", 0)] = None
    cell_voltage_undervoltage_delay: Annotated[Number, setting("UVP cell delay", "s", "duration", 0)] = None
    cell_pressure_difference_protection: Annotated[Number, setting("Max cell difference", V, "voltage", 3)] = None
    temperature_sensor_temperature_protection: Annotated[Number, setting("Battery OTP", C, "temperature", 0)] = None
    temperature_sensor_temperature_recovery: Annotated[Number, setting("Battery OTP recovery", C, "temperature", 0)] = (
        None
    )
    temperature_sensor_temperature_difference_protection: Annotated[
        Number, setting("Max temp. difference", C, "temperature_delta", 0)
    ] = None
    discharging_low_temperature_protection: Annotated[Number, setting("Discharge UTP", C, "temperature", 0)] = None
    discharging_low_temperature_recovery: Annotated[Number, setting("Discharge UTP recov.", C, "temperature", 0)] = None
    current_calibration: Annotated[Number, setting("Current calibration", A, "current", 3, enabled=False)] = None
    sleep_wait_time: Annotated[Number, setting("Sleep wait time", "s", "duration", 0, enabled=False)] = None
    alarm_low_volume: Annotated[Number, setting("Low SOC alarm", "%", None, 0)] = None
    dedicated_charger_switch: Annotated[
        Flag, Spec("Dedicated charger", topic="settings", kind="flag", diagnostic=True)
    ] = None
    actual_battery_capacity: Annotated[Number, setting("Actual capacity", AH, None, 0, enabled=False)] = None

    # --- identity ------------------------------------------------------------------------------------
    model: Annotated[Text, text("Model")] = None
    hardware_version: Annotated[Text, text("Hardware version")] = None
    software_version: Annotated[Text, text("Software version")] = None
    serial_number: Annotated[Text, text("Serial number")] = None
    device_name: Annotated[Text, text("Device name", enabled=False)] = None
    manufacturing_date: Annotated[Text, text("Manufacturing date", enabled=False)] = None
    manufacturer: Annotated[Text, text("Manufacturer", enabled=False)] = None
    device_type: Annotated[Text, text("Device type", enabled=False)] = None
    power_on_count: Annotated[
        Number, Spec("Power on count", topic="info", diagnostic=True, enabled=False, digits=0)
    ] = None
    uart1_protocol: Annotated[
        Number, Spec("UART1 protocol", topic="info", diagnostic=True, enabled=False, digits=0)
    ] = None
    uart2_protocol: Annotated[
        Number, Spec("UART2 protocol", topic="info", diagnostic=True, enabled=False, digits=0)
    ] = None
    can_protocol: Annotated[Number, Spec("CAN protocol", topic="info", diagnostic=True, enabled=False, digits=0)] = None
    protocol_version: Annotated[
        Number, Spec("Protocol version", topic="info", diagnostic=True, enabled=False, digits=0)
    ] = None
    battery_type: Annotated[Text, choice("Battery type", ("LFP", "Li-ion", "LTO"), "info")] = None


def typed(values: Values) -> Pack:
    """Values by key as a ``Pack``, checked; what a plug-in adds is left out. ``ValueError`` names the wrong key."""
    fields = Pack.model_fields.keys()
    try:
        if values.keys() <= fields:
            return Pack.model_validate(values)
        return Pack.model_validate({key: value for key, value in values.items() if key in fields})
    except ValidationError as error:
        key = str(error.errors(include_url=False)[0]["loc"][0])
        spec = specs().get(key)
        wanted = "a number" if spec and spec.kind == "number" else "usable"
        raise ValueError(f"{spec.name.lower() if spec else key} is not {wanted}") from error


@cache
def specs() -> Mapping[str, Spec]:
    """Every row of the table by key, in order."""
    return {key: spec for key, info in Pack.model_fields.items() for spec in info.metadata if isinstance(spec, Spec)}


# Derived from the raised alarms, so they have no field of their own.
ERRORS = text("Errors", "state")
PROBLEM = Spec("Problem", kind="flag", device_class="problem")


def alarm_spec(alarm: Alarm) -> Spec:
    """Row of one alarm's binary sensor."""
    return Spec(alarm.label, kind="flag", diagnostic=True, enabled=False)
