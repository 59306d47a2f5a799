"""Registers of the PB series that may be written, byte for byte. Pure.

Register = 0x1000 + offset in frame 01 - 6 (0x1400 for frame 03). 32-bit fields are written as two registers,
the switch word and registers that hold two bytes as one, from a fresh read of the page. Source: specification
of the RS485 protocol, chapter 4; vendor samples in the captures. What is not in ``WRITABLE`` has no path to
the wire: calibration, shutdown and one-key chemistry (0x16xx), address, protocols, cell count, current range.
"""

from dataclasses import dataclass
from typing import Final

from jkbms_addon.battery.quantities import Scalar
from jkbms_addon.errors import CommandError
from jkbms_addon.wire.codec import Layout
from jkbms_addon.wire.pb.frames import Frame
from jkbms_addon.wire.pb.modbus import write_request
from jkbms_addon.wire.pb.tables import ABOUT, SETTINGS


@dataclass(frozen=True, slots=True)
class Register:
    """Where a setting is written. ``size`` is in bytes; ``page`` is the type of the frame that shows it."""

    register: int
    size: int
    page: int

    @property
    def offset(self) -> int:
        """Offset of the register's first byte in its frame."""
        return self.register - (0x1000 if self.page == 1 else 0x1400) + 6


WIDE: Final = (
    "smart_sleep_voltage",
    "cell_voltage_undervoltage_protection",
    "cell_voltage_undervoltage_recovery",
    "cell_voltage_overvoltage_protection",
    "cell_voltage_overvoltage_recovery",
    "balance_trigger_voltage",
    "cell_soc100_voltage",
    "cell_soc0_voltage",
    "cell_request_charge_voltage",
    "cell_request_float_voltage",
    "power_off_voltage",
    "max_charge_current",
    "charge_overcurrent_protection_delay",
    "charge_overcurrent_protection_recovery_time",
    "max_discharge_current",
    "discharge_overcurrent_protection_delay",
    "discharge_overcurrent_protection_recovery_time",
    "short_circuit_protection_recovery_time",
    "max_balance_current",
    "charge_overtemperature_protection",
    "charge_overtemperature_recovery",
    "discharge_overtemperature_protection",
    "discharge_overtemperature_recovery",
    "charge_undertemperature_protection",
    "charge_undertemperature_recovery",
    "mosfet_overtemperature_protection",
    "mosfet_overtemperature_recovery",
    "charging_switch",
    "discharging_switch",
    "balancing_switch",
    "total_battery_capacity",
    "short_circuit_protection_delay",
    "balancing_start_voltage",
    "discharge_precharge_time",
)
SWITCH_WORD = Register(0x1114, 2, 1)
SHARED: Final = {
    "heating_switch": SWITCH_WORD,
    "gps_heartbeat_switch": SWITCH_WORD,
    "display_always_on_switch": SWITCH_WORD,
    "smart_sleep_switch": SWITCH_WORD,
    "timed_stored_data_switch": SWITCH_WORD,
    "charging_float_mode_switch": SWITCH_WORD,
    "heating_start_temperature": Register(0x1116, 2, 1),
    "heating_stop_temperature": Register(0x1116, 2, 1),
    "smart_sleep_delay": Register(0x1118, 2, 1),
    "cell_request_charge_voltage_time": Register(0x1504, 2, 3),
    "cell_request_float_voltage_time": Register(0x1504, 2, 3),
}
WRITABLE: Final = {
    **{key: Register(0x1000 + SETTINGS.by_key[key].offset - 6, 4, 1) for key in WIDE},
    **SHARED,
}
NEVER: Final = (
    range(0x1600, 0x1700),
    range(0x106C, 0x1070),
    range(0x1088, 0x110C),
    range(0x1110, 0x1114),
    range(0x14B2, 0x14E4),
)


def layout_of(page: int) -> Layout:
    """Table of the page that shows a setting."""
    return SETTINGS if page == 1 else ABOUT


def write(address: int, key: str, value: Scalar, fresh: Frame) -> bytes:
    """The request that changes one setting; everything else in its register stays as in ``fresh``.

    ``CommandError`` for what must not be written.
    """
    place = WRITABLE.get(key)
    if place is None or any(place.register in never for never in NEVER):
        raise CommandError(f"{key} is never written")
    if fresh.type != place.page:
        raise CommandError(f"{key} is not shown by frame {fresh.type}")
    page = bytearray(fresh.payload)
    layout_of(place.page).encode({key: value}, page)
    data = bytes(page[place.offset : place.offset + place.size])
    # frames are little-endian, registers big-endian; pairs of bytes keep their order
    swapped = place.size == 4 or place == SWITCH_WORD
    return write_request(address, place.register, data[::-1] if swapped else data)
