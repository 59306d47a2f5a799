"""How an inverter is told: one file for each dialect, which holds everything that is particular about it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from jkbms_addon.inverter.dialects.deye_pcs import DEYE_PCS
from jkbms_addon.inverter.dialects.dialect import EXTREMES, Dialect, Extremes, Port, Proof, Stop
from jkbms_addon.inverter.dialects.goodwe import GOODWE
from jkbms_addon.inverter.dialects.growatt_lv import GROWATT_LV
from jkbms_addon.inverter.dialects.luxpower import LUXPOWER
from jkbms_addon.inverter.dialects.message import LENGTHS, Frame, Length
from jkbms_addon.inverter.dialects.pylontech import PYLONTECH
from jkbms_addon.inverter.dialects.pylontech_rs485 import PYLONTECH_RS485
from jkbms_addon.inverter.dialects.pylontech_v2 import PYLONTECH_V2
from jkbms_addon.inverter.dialects.sma import SMA
from jkbms_addon.inverter.dialects.sol_ark import SOL_ARK
from jkbms_addon.inverter.dialects.victron import VICTRON

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {
        one.name: one
        for one in (
            *(PYLONTECH, GOODWE, PYLONTECH_V2, VICTRON, SOL_ARK),
            *(SMA, DEYE_PCS, LUXPOWER, GROWATT_LV, PYLONTECH_RS485),
        )
    }
)

__all__ = [
    "DIALECTS",
    "EXTREMES",
    "LENGTHS",
    "Dialect",
    "Extremes",
    "Frame",
    "Length",
    "Port",
    "Proof",
    "Stop",
]
