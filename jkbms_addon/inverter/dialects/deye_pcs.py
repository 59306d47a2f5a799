"""Deye's own batteries ("DEYE", PCS): Pylontech V1.2 without its name, and five frames more.

Facts: inverter profiles, section 4; notes of real RW-M6.1 packs (Adminius/esphome-yaml-collection), YamBMS. 0x35E:
``DY``, three digits of batteries, a byte for the maker of the cells, the capacity in 0.1 Ah. 0x361 extremes in mV and
0.1 °C. 0x363 versions. 0x364 counts of batteries. 0x351 holds off the grid, 0x371 on the grid.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from jkbms_addon.inverter.dialects.dialect import Dialect, Stop
from jkbms_addon.inverter.dialects.message import (
    Coding,
    Field,
    Message,
    Values,
    amount,
    celsius,
    count,
    limit,
    millivolts,
)
from jkbms_addon.inverter.dialects.pylontech import ALARMS, CHARGE, ERRORS, LIMITS, MEASURED, PROTECTIONS, REQUESTS

MAKER: Final = 5  # of the cells, as the captured pack has it; told by ``product`` where it is another one
MOST: Final = 999


def _digits(modules: int) -> bytes:
    return b"%03d" % min(max(modules, 1), MOST)


def _derived(values: Values) -> Mapping[str, Any]:
    mean, product = values["temperature"], values["product"]
    return {
        "_maker": MAKER if product is None else product,
        "_warmest": mean if values["max_temperature"] is None else values["max_temperature"],
        "_coldest": mean if values["min_temperature"] is None else values["min_temperature"],
        "_total": values["modules"] + values["modules_offline"],
    }


DEYE_PCS: Final = Dialect(
    "deye_pcs",
    "Deye PCS, as a Deye battery",
    "DY",
    (
        LIMITS,
        CHARGE,
        MEASURED,
        ERRORS,
        REQUESTS,
        Message(
            0x35E,
            (
                Field("modules", 2, Coding("3s", _digits, int)),
                Field("_maker", 5, count),
                Field("full_charge_capacity", 6, amount("H", 10, 0, 6553.5)),
            ),
            fixed=b"DY\0\0\0\0\0\0",
            cuts=(("full_charge_capacity", 6),),
        ),
        Message(
            0x361,
            (
                Field("max_cell_voltage", 0, millivolts),
                Field("min_cell_voltage", 2, millivolts),
                Field("_warmest", 4, celsius),
                Field("_coldest", 6, celsius),
            ),
            needs=("max_cell_voltage", "min_cell_voltage"),
        ),
        Message(0x363, (), fixed=bytes.fromhex("2008210200000000")),
        Message(
            0x364,
            (
                Field("modules", 0, count),
                Field("modules_blocking_charge", 1, count),
                Field("modules_blocking_discharge", 2, count),
                Field("modules_offline", 3, count),
                Field("_total", 4, count),
            ),
        ),
        Message(0x371, (Field("charge_current", 0, limit), Field("discharge_current", 2, limit))),
    ),
    tuple(PROTECTIONS),
    tuple(ALARMS),
    stop_charging=Stop(
        "in part",
        "a current limit of 0 with the voltage limit near the battery's is heeded by most; some ignore it",
        "reports: Battery-Emulator 873 and 1534, diyBMS 216, YamBMS 184",
    ),
    stop_discharging=Stop("in part", "off the grid the charge told decides", "one report"),
    derived=_derived,
    heard=MappingProxyType({0x305: "heartbeat, only after 0x356"}),
    soc_decides=True,
    never=(
        "PYLON in 0x35E, which would make it the other protocol",
        "an extreme temperature for one that is not known: the inverter then takes values of its own",
    ),
    lacks=("a name of one's own in 0x35E", "values of single batteries", "that a temperature is not known"),
    proof="capture",
)
