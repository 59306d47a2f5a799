"""Short names of single alarms: 20 characters are what a phone shows, and they must tell themselves apart. Pure.

OVP, UVP: over- and under-voltage protection; OCP, SCP: over-current, short circuit; OTP, UTP: over- and
under-temperature. The text *Alarms* and the documentation have the whole words.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from jkbms_addon.battery.alarms import CAN_ENTRIES, CAN_LEVEL_NAMES

_WORD: Final[Mapping[str, str]] = {
    "balance_wire_resistance_too_large": "wire resist.",
    "mosfet_over_temperature_protection": "OTP MOSFET",
    "cell_count_differs_from_setting": "cell count",
    "current_sensor_anomaly": "current sensor",
    "cell_over_voltage_fully_charged": "OVP cell",
    "battery_over_voltage_protection": "OVP battery",
    "charge_over_current_protection": "OCP charge",
    "charge_short_circuit_protection": "SCP charge",
    "charge_over_temperature_protection": "OTP charge",
    "charge_under_temperature_protection": "UTP charge",
    "internal_cpu_aux_communication_anomaly": "CPU link",
    "cell_under_voltage_protection": "UVP cell",
    "battery_under_voltage_protection": "UVP battery",
    "discharge_over_current_protection": "OCP disch.",
    "discharge_short_circuit_protection": "SCP disch.",
    "discharge_over_temperature_protection": "OTP disch.",
    "charge_mosfet_anomaly": "charge MOSFET",
    "discharge_mosfet_anomaly": "disch. MOSFET",
    "gps_disconnected": "GPS lost",
    "change_the_default_password": "password",
    "discharge_start_failed": "disch. start",
    "battery_over_temperature_alarm": "warm battery",
    "temperature_sensor_anomaly": "temp. sensor",
    "parallel_module_anomaly": "parallel mod.",
    "short_circuit_protection_release_failed": "SCP release",
    "discharge_over_current_protection_2": "OCP disch. 2",
    "discharge_over_current_protection_3": "OCP disch. 3",
    "discharge_under_temperature_protection": "UTP disch.",
    "gps_remote_lock": "GPS lock",
}
_FIRST_GENERATION: Final[Mapping[str, str]] = {
    "low_capacity": "low capacity",
    "mosfet_overtemperature": "MOSFET hot",
    "charge_overvoltage": "charge OV",
    "discharge_undervoltage": "disch. UV",
    "battery_overtemperature": "battery hot",
    "charge_overcurrent": "charge OC",
    "discharge_overcurrent": "disch. OC",
    "cell_voltage_difference": "cell diff.",
    "battery_box_overtemperature": "box hot",
    "battery_undertemperature": "battery cold",
    "cell_overvoltage": "cell OV",
    "cell_undervoltage": "cell UV",
    "309_a_protection": "309 A",
    "309_b_protection": "309 B",
}
# in the order of the entries of the frame; their level, 1 is the worst, comes behind
_CAN: Final = (
    *("cell high", "cell low", "pack high", "pack low", "cells apart", "disch. high", "charge high"),
    *("temp. high", "temp. low", "temps apart", "SOC low", "insulation", "HV interlock", "outer comm.", "inner comm."),
)


def _names() -> Iterator[tuple[str, str]]:
    for name, short in {**_WORD, **_FIRST_GENERATION}.items():
        yield name, f"Alarm {short}"
    for levels, short, _ in zip(CAN_LEVEL_NAMES, _CAN, CAN_ENTRIES, strict=True):
        for level, name in enumerate(levels, 1):
            yield name, f"Alarm {short} {level}"


ALARM_NAMES: Final[Mapping[str, str]] = dict(_names())
