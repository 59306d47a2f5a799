"""Growatt low voltage CAN, V1.04 (2019-02-22); "Rev_05" in the JK app. Big endian; answers a query.

Facts: inverter profiles, section 7, and the older specification's section 8. The inverter asks with 0x301
(``11 22 33 44 55 66 77 88``) each second: the set goes out at each query, at most once a second, and by itself each
second while none comes, as an inverter that waits for its battery would wait for ever. 0x311 bits 0-1 and 10-11:
01 standby, 10 charging, 11 discharging; bit 7 is 0 while connected. 0x314 counts 10 mAh, so more than 655.35 Ah are
told as that. 0x315 to 0x318, single cells, are left out: they make sense for one battery only.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from jkbms_addon import __version__
from jkbms_addon.inverter.dialects.dialect import Dialect, Stop
from jkbms_addon.inverter.dialects.message import (
    Coding,
    Field,
    Message,
    Said,
    Values,
    amount,
    amperes,
    celsius,
    centivolts_signed,
    clock,
    count,
    flags,
    letters,
    millivolts,
    moment,
    number,
    place,
    switch,
    volts,
)

STANDBY, CHARGING, DISCHARGING = 0b01, 0b10, 0b11
RESTING: Final = 0.05  # A; what the wire says as 0.0
# name -> bit of the two bytes, as a big-endian word: byte 0 has bits 8 to 15
BITS: Final[Mapping[str, int]] = {
    "discharge_over_current": 15,
    "charge_over_current": 14,
    "over_voltage": 12,
    "under_voltage": 11,
    "charge_over_temperature": 6,
    "charge_under_temperature": 4,
    "under_temperature": 4,  # of charging: the other one (bit 5) would end discharging
    "cell_imbalance": 2,
}
PROTECTIONS: Final = {**BITS, "short_circuit": 13, "system_error": 3, "contactor": 3}
ALARMS: Final = {**BITS, "internal_comm_fail": 0, "cell_failure": 0, "system_error": 0}
BOTH: Final = 0b11 << 6  # over-temperature of discharging (7) and charging (6)


def _word(names: Mapping[str, int]) -> Coding:
    bits = flags("H", names)

    def decode(raw: int) -> tuple[str, ...]:
        if raw & BOTH == BOTH:
            return (*_names(bits.decode(raw & ~BOTH)), "over_temperature")
        return _names(bits.decode(raw))

    return Coding("H", lambda value: bits.encode(value) | (BOTH if "over_temperature" in value else 0), decode)


def _names(said: Said) -> tuple[str, ...]:
    return said if isinstance(said, tuple) else ()


def _derived(values: Values) -> Mapping[str, Any]:
    current, low, high = values["current"], values["min_cell_voltage"], values["max_cell_voltage"]
    state = CHARGING if current >= RESTING else DISCHARGING if current <= -RESTING else STANDBY
    enabled = bool(values["discharge_enabled"]) << 5 | bool(values["charge_enabled"]) << 6
    return {
        "_status": state | enabled | state << 10,
        "_delta": None if low is None or high is None else max(high - low, 0),
        "_warmest": values["temperature"] if values["max_temperature"] is None else values["max_temperature"],
        "_hardware": values["hardware_version"] or "1",
        "_software": values["software_version"] or __version__,
    }


def _status(raw: int) -> tuple[str, ...]:
    """What the battery does, and what is allowed."""
    doing = {STANDBY: "standby", CHARGING: "charging", DISCHARGING: "discharging"}.get(raw & 0b11)
    allowed = (("discharge_enabled", 5), ("charge_enabled", 6))
    return (*((doing,) if doing else ()), *(name for name, bit in allowed if raw >> bit & 1))


def _digit(text: str) -> int:
    """First number that is not 0, at most 9: versions are 1 to 9 here."""
    return min(next((int(word) for word in text.split(".") if int(word)), 1), 9)


_date = Coding("I", clock, moment)
digit: Final = Coding("B", _digit)
milliampere_hours: Final = amount("H", 100, 0, 655.35)


def _message(can_id: int, *rows: Field) -> Message:
    return Message(can_id, rows, order=">")


GROWATT_LV: Final = Dialect(
    "growatt_lv",
    "Growatt low voltage, V1.04",
    "JK",
    (
        _message(
            0x311,
            Field("charge_voltage", 0, volts),
            Field("charge_current", 2, amount("H", 10, 0, 6553.5)),
            Field("discharge_current", 4, amount("H", 10, 0, 6553.5)),
            Field("_status", 6, Coding("H", int, _status)),
        ),
        _message(
            0x312,
            Field("protections", 0, _word(PROTECTIONS)),
            Field("alarms", 2, _word(ALARMS)),
            Field("modules", 4, count),
            Field("manufacturer", 5, letters(2)),
            Field("cell_count", 7, count),
        ),
        _message(
            0x313,
            Field("voltage", 0, centivolts_signed),
            Field("current", 2, amperes),
            Field("_warmest", 4, celsius),
            Field("state_of_charge", 6, amount("B", 1, 0, 100)),
            Field("state_of_health", 7, amount("B", 1, 0, 100, unknown=100)),
        ),
        _message(
            0x314,
            Field("capacity_remaining", 0, milliampere_hours),
            Field("full_charge_capacity", 2, milliampere_hours),
            Field("_delta", 4, millivolts),
            Field("charging_cycles", 6, number),
        ),
        _message(
            0x319,
            Field("charge_enabled", 0, switch(7)),
            Field("discharge_enabled", 0, switch(6)),
            Field("force_charge_1", 0, switch(5)),
            Field("max_cell_voltage", 1, millivolts),
            Field("min_cell_voltage", 3, millivolts),
            Field("max_cell_voltage_at", 5, place),
            Field("min_cell_voltage_at", 6, place),
            Field("faulty_module", 7, count),
        ),
        _message(
            0x320,
            Field("manufacturer", 0, letters(2)),
            Field("_hardware", 2, digit),
            Field("_software", 3, digit),
            Field("date", 4, _date),
        ),
        _message(0x321),  # an update of the battery's program, of which there is none
    ),
    (*PROTECTIONS, "over_temperature"),
    (*ALARMS, "over_temperature"),
    stop_charging=Stop("not known", "the current limit of 0 and the enable bits are sent", "paper only"),
    stop_discharging=Stop("not known", "the current limit of 0 and the enable bits are sent", "paper only"),
    derived=_derived,
    heard=MappingProxyType({0x301: "asks for a set"}),
    query=0x301,
    never=("little endian or 29-bit frames, which another program sends",),
    lacks=(
        "an end of discharge in volts",
        "the second request to charge, and one for a full charge",
        "a bank of more than 655.35 Ah",
        "voltages of single cells",
        "that a temperature or the health is not known",
    ),
    proof="paper",
)
