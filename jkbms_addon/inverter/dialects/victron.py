"""Victron GX ("CAN-bus BMS LV"): the set of a BYD Battery-Box Premium, in its order.

Facts: inverter profiles, section 2; captures of BYD LVS, Pytes V5a, Seplos and Discover batteries. Two bits for each
flag in 0x35A: 01 raised, 10 cleared, 00 no change; a pair without a source stays 10. 0x35F: product, firmware as
digits, the ampere-hours that are left. 0x373 in mV and whole kelvins (°C + 273). 0x374 to 0x377 name the places as
text. 0x378 in 0.1 kWh. Frames may be as short as their content, which is how something unknown is left out; frames of
which nothing is known are not sent. The GX sends 0x305 (zeros), 0x306 and 0x307 (``12 34 56 78 56 49 43 00``).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from jkbms_addon import __version__
from jkbms_addon.inverter.dialects.dialect import Dialect, Stop, as_alarms
from jkbms_addon.inverter.dialects.message import (
    MILD,
    Coding,
    Field,
    Message,
    Values,
    amount,
    flags,
    health,
    letters,
    millivolts,
    number,
    part,
    percent,
    version,
)
from jkbms_addon.inverter.dialects.pylontech import LIMITS, MEASURED

MODEL: Final = "JK BMS"
# name -> lowest bit of its pair in 32 bits; general is bit 0, bits 26 to 31 are reserved
PAIRS: Final[Mapping[str, int]] = {
    "over_voltage": 2,
    "under_voltage": 4,
    "over_temperature": 6,
    "under_temperature": 8,
    "charge_over_temperature": 10,
    "charge_under_temperature": 12,
    "discharge_over_current": 14,
    "charge_over_current": 16,
    "contactor": 18,
    "short_circuit": 20,
    "system_error": 22,
    "internal_comm_fail": 22,
    "cell_failure": 22,
    "cell_imbalance": 24,
}
ALL_CLEARED: Final = 0xAAAAAAAA


def pairs(cleared: int = ALL_CLEARED) -> Coding:
    """Half of 0x35A: every pair of ``cleared`` says 10, the raised ones 01."""
    return flags("I", PAIRS, cleared, 0b11)


def _kelvin(value: float | None) -> int:
    return min(max(round(MILD if value is None else value) + 273, 0), 65535)


hundredths: Final = amount("H", 100, 0, 100)
kelvin: Final = Coding("H", _kelvin, lambda raw: raw - 273)
FLAGS: Final = Message(0x35A, (Field("protections", 0, pairs()), Field("alarms", 4, pairs())))
MODULES: Final = Message(
    0x372,
    (
        Field("modules", 0, number),
        Field("modules_blocking_charge", 2, number),
        Field("modules_blocking_discharge", 4, number),
        Field("modules_offline", 6, number),
    ),
)
EXTREMES: Final = Message(
    0x373,
    (
        Field("min_cell_voltage", 0, millivolts),
        Field("max_cell_voltage", 2, millivolts),
        Field("min_temperature", 4, kelvin),
        Field("max_temperature", 6, kelvin),
    ),
    needs=("min_cell_voltage", "max_cell_voltage"),
)
PLACES: Final = tuple(
    Message(can_id, (Field(f"{key}_at", 0, letters(8)),), needs=(f"{key}_at",))
    for can_id, key in (
        (0x374, "min_cell_voltage"),
        (0x375, "max_cell_voltage"),
        (0x376, "min_temperature"),
        (0x377, "max_temperature"),
    )
)
INSTALLED: Final = Message(0x379, (Field("full_charge_capacity", 0, number),), 2, needs=("full_charge_capacity",))


def _derived(values: Values) -> Mapping[str, Any]:
    return {
        "_charge": values["force_charge_1"] or values["force_charge_2"],
        "_model": values["model"] or MODEL,
        "_version": values["software_version"] or __version__,
    }


def _adapted(values: Values) -> Values:
    """An empty battery that shall be charged: an under-voltage alarm would stop just that (diyBMSv4Code 126)."""
    if values["charge_voltage"] <= 0:
        values = {**values, "charge_voltage": values["voltage"]}
    if values["charge_enabled"] and set(values["protections"]) == {"under_voltage"}:
        return as_alarms(values)
    return values


VICTRON: Final = Dialect(
    "victron",
    "Victron GX (Venus OS), as a BYD battery",
    "JK BMS",
    (
        Message(0x35E, (Field("manufacturer", 0, letters(8)),), 0),
        Message(0x382, (Field("_model", 0, letters(8)),)),
        Message(0x370, (Field("_model", 0, part(0, 8)),)),
        Message(0x371, (Field("_model", 0, part(8, 8)),)),
        Message(
            0x35F,
            (
                Field("product", 0, number),
                Field("_version", 2, version("2s", decimal=True)),
                Field("capacity_remaining", 4, number),
            ),
            6,
            cuts=(("capacity_remaining", 4),),
        ),
        FLAGS,
        Message(0x35B, ()),  # events, of which there are none
        LIMITS,
        Message(
            0x355,
            (
                Field("state_of_charge", 0, percent),
                Field("state_of_health", 2, health),
                Field("state_of_charge_precise", 4, hundredths),
            ),
            4,
            cuts=(("state_of_charge_precise", 4),),
        ),
        MEASURED,
        Message(0x360, (Field("_charge", 0, Coding("B", lambda value: 0xFF if value else 0, bool)),), 1),
        MODULES,
        EXTREMES,
        *PLACES,
        Message(
            0x378,
            (
                Field("charged_energy", 0, amount("I", 10, 0, 429496729.5)),
                Field("discharged_energy", 4, amount("I", 10, 0, 429496729.5)),
            ),
            needs=("charged_energy", "discharged_energy"),
        ),
        INSTALLED,
        Message(0x380, (Field("serial_number", 0, part(0, 8)),), needs=("serial_number",)),
        Message(0x381, (Field("serial_number", 0, part(8, 8)),), needs=("serial_number",)),
    ),
    tuple(PAIRS),
    tuple(PAIRS),
    stop_charging=Stop(
        "in part",
        "chargers stop at a current limit of 0, but solar chargers that feed in look at the voltage limit alone: "
        "both are lowered together",
        "Victron's manuals of Color Control GX and Cerbo GX, chapter DVCC; venus 1358, dbus-serialbattery 297",
    ),
    stop_discharging=Stop(
        "shuts down",
        "at a current limit of 0 the inverter of an island switches off, and on again above 0 or with the mains",
        "Victron's manuals, chapter DVCC",
    ),
    derived=_derived,
    adapted=_adapted,
    heard=MappingProxyType({0x305: "heartbeat", 0x306: "state of the GX", 0x307: "identity of the GX"}),
    obeys_voltage_only=True,
    never=(
        "a charge voltage of 0, which Victron takes for over-voltage and empties the battery",
        "an alarm of low voltage while an empty battery shall be charged: told as a warning",
        "29-bit ids, which are ignored",
    ),
    lacks=("enable bits: only the limits say that charging or discharging is over", "a request for a full charge"),
    proof="capture",
)
