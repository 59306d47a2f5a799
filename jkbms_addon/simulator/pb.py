"""Batteries that speak: simulated PB-series BMSs, encoded through our own tables.

They serve the demo and the tests. As they share the tables with the decoder they cannot find a wrong
offset: captures of real units stay the oracle.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jkbms_addon.wire.pb import frames as jk02
from jkbms_addon.wire.pb import modbus, tables

_BUILT = itertools.count()


@dataclass(slots=True)
class SimulatedBms:
    """One PB-series BMS: slow physics, real frames."""

    address: int
    cells: int = 16
    capacity: float = 280.0  # Ah
    soc: float = 60.0  # %
    serial_number: str = "0000000000"
    model: str = "JK_PB2A16S20P"
    phase: float = 0.0
    offsets: Mapping[int, float] = field(default_factory=dict)  # V by which cells are off, by number
    latency: float = 0.015  # s
    silent: bool = False
    current: float | None = None  # A; None = a sine of some tens of amperes
    errors: int = 0x80000
    temperature: float = 21.0
    reaction: str = "take"  # to a write: take, refuse, ignore (acknowledged, not taken), mute (taken), late, dead
    limits: dict[str, float] = field(default_factory=dict)  # above these exception 3
    times: tuple[float, float] = (1.0, 5.0)  # h, of the charge and the float request
    writes: list[bytes] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    runtime: int = field(default_factory=lambda: 1_000_000 + 86_400 * next(_BUILT))  # s at the start, as no other's
    clock: Callable[[], float] = time.monotonic
    started: float = 0.0
    _charge: float = field(default=0.0)
    _at: float = 0.0

    def __post_init__(self) -> None:
        self.started = self._at = self.clock()
        self._charge = self.capacity * self.soc / 100
        self.settings = {**default_settings(self), **self.settings}

    def page(self, register: int) -> bytes:
        """The 300 bytes of one page as they are now."""
        if register == modbus.LIVE:
            return jk02.built(2, self.live())
        return jk02.built(1, self.settings) if register == modbus.SETTINGS else jk02.built(3, self.about())

    def live(self) -> dict[str, Any]:
        """Raw live values, redundant fields included."""
        now = self.clock()
        current = self.current
        if current is None:
            current = round(40 * math.sin(now / 60 + self.phase), 1)
        self._charge = min(self.capacity, max(0.0, self._charge + current * (now - self._at) / 3600))
        self._at = now
        share = self._charge / self.capacity
        cells = self.cell_voltages(share, current)
        voltage = round(sum(cells), 3)
        warm = round(self.temperature + abs(current) / 20, 1)
        runtime = int(now - self.started) + self.runtime
        return {
            "cell_voltage": cells + [0.0] * (tables.CELLS - self.cells),
            "_mask": (1 << self.cells) - 1,
            "_average": sum(cells) / self.cells,
            "_delta": max(cells) - min(cells),
            "_highest": cells.index(max(cells)),
            "_lowest": cells.index(min(cells)),
            "cell_resistance": [0.06 + 0.001 * (n % 5) for n in range(self.cells)] + [0.0] * (32 - self.cells),
            "mosfet_temperature": warm,
            "_mosfet": warm,
            "total_voltage": voltage,
            "_voltage": int(voltage * 100) / 100,
            "_power": abs(round(voltage * current, 3)),
            "current": current,
            "temperature_sensor_1": self.temperature,
            "temperature_sensor_2": self.temperature + 0.4,
            "temperature_sensor_4": self.temperature - 0.3,
            "temperature_sensor_5": None,
            "errors_bitmask": self.errors,
            "balancing_current": 0.0,
            "balancing": False,
            "state_of_charge": round(share * 100),
            "capacity_remaining": round(self._charge, 3),
            "full_charge_capacity": self.capacity,
            "charging_cycles": 62,
            "total_charging_cycle_capacity": round(62 * self.capacity, 3),
            "state_of_health": 98,
            "precharging": False,
            "total_runtime": runtime,
            "charging": bool(self.settings["charging_switch"]),
            "discharging": bool(self.settings["discharging_switch"]),
            "_sensors": 0xFF,
            "heating": False,
            "emergency_time_countdown": 0,
            "heating_current": 0.0,
            "charger_plugged": current > 0,
            "detail_log_entry_count": 120,
            "smart_sleep_countdown": 86400,
            "battery_type": "LFP",
            "charge_status_time_elapsed": 0,
            "charge_status": "bulk",
        }

    def cell_voltages(self, share: float, current: float) -> list[float]:
        """Voltages of an LFP pack at that state of charge, in V."""
        rest = 3.0 + 0.32 * min(1.0, share * 6) + 0.06 * share + 0.25 * max(0.0, share - 0.96)
        off = [0.001 * ((n * 7) % 5) + self.offsets.get(n + 1, 0.0) for n in range(self.cells)]
        return [round(rest + current * 0.0002 + one, 3) for one in off]

    def about(self) -> dict[str, Any]:
        """Identity, with request times."""
        return {
            "model": self.model,
            "hardware_version": "15A",
            "software_version": "15.41",
            "power_on_count": 22,
            "device_name": self.model.replace("_", "-"),
            "manufacturing_date": "240914",
            "serial_number": self.serial_number,
            "uart1_protocol": 1,
            "can_protocol": 0,
            "uart2_protocol": 1 if self.address else 15,
            "cell_request_charge_voltage_time": self.times[0],
            "cell_request_float_voltage_time": self.times[1],
            "protocol_version": 0,
        }

    def take(self, message: modbus.Message) -> int:
        """Carry a write out; 0 or the code of the exception. The bytes go where the specification says."""
        self.writes.append(message.data)
        register = message.register or 0
        about = register >= 0x1400
        offset = register - (0x1400 if about else 0x1000) + 6
        if not 6 <= offset < 290:
            return 2
        page = bytearray(self.page(modbus.ABOUT if about else modbus.SETTINGS))
        # frames are little-endian; the pairs of bytes in one register are not swapped
        pair = register in (0x1116, 0x1118, 0x1504)
        page[offset : offset + len(message.data)] = message.data if pair else message.data[::-1]
        layout = tables.ABOUT if about else tables.SETTINGS
        told = layout.decode(bytes(page))
        if any(isinstance(v, (int, float)) and v > self.limits.get(k, float("inf")) for k, v in told.items()):
            return 3
        if about:
            self.times = (told["cell_request_charge_voltage_time"], told["cell_request_float_voltage_time"])  # type: ignore[assignment]
        else:
            self.settings.update({key: told[key] for key in self.settings})
        return 0


def default_settings(bms: SimulatedBms) -> dict[str, Any]:
    """What an LFP pack leaves the factory with."""
    return {
        "smart_sleep_voltage": 3.5,
        "cell_voltage_undervoltage_protection": 2.7,
        "cell_voltage_undervoltage_recovery": 2.9,
        "cell_voltage_overvoltage_protection": 3.65,
        "cell_voltage_overvoltage_recovery": 3.444,
        "balance_trigger_voltage": 0.005,
        "cell_soc100_voltage": 3.445,
        "cell_soc0_voltage": 2.9,
        "cell_request_charge_voltage": 3.45,
        "cell_request_float_voltage": 3.35,
        "power_off_voltage": 2.5,
        "max_charge_current": 100.0,
        "charge_overcurrent_protection_delay": 3,
        "charge_overcurrent_protection_recovery_time": 60,
        "max_discharge_current": 150.0,
        "discharge_overcurrent_protection_delay": 300,
        "discharge_overcurrent_protection_recovery_time": 60,
        "short_circuit_protection_recovery_time": 5,
        "max_balance_current": 2.0,
        "charge_overtemperature_protection": 55.0,
        "charge_overtemperature_recovery": 50.0,
        "discharge_overtemperature_protection": 60.0,
        "discharge_overtemperature_recovery": 55.0,
        "charge_undertemperature_protection": -5.0,
        "charge_undertemperature_recovery": 2.0,
        "mosfet_overtemperature_protection": 80.0,
        "mosfet_overtemperature_recovery": 70.0,
        "cell_count": bms.cells,
        "charging_switch": True,
        "discharging_switch": True,
        "balancing_switch": True,
        "total_battery_capacity": bms.capacity,
        "short_circuit_protection_delay": 1500,
        "balancing_start_voltage": 3.44,
        "device_address": bms.address,
        "discharge_precharge_time": 0,
        "heating_switch": False,
        "gps_heartbeat_switch": False,
        "display_always_on_switch": False,
        "smart_sleep_switch": True,
        "timed_stored_data_switch": True,
        "charging_float_mode_switch": True,
        "heating_start_temperature": 0,
        "heating_stop_temperature": 10,
        "smart_sleep_delay": 24,
    }
