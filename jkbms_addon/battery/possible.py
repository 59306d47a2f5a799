"""What the numbers of a real battery can be, once: for what is shown, and for what is worked with. Pure.

Outside of ``shown`` a message is damaged and is dropped. Outside of ``trusted`` a sensor is missing or broken:
that is shown, as its owner must see it, but no limit is made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Possible:
    """Lowest and highest value of a quantity in its unit, and why."""

    name: str
    reason: str
    shown: Range
    trusted: Range

    def shows(self, value: float) -> bool:
        """Whether it may be shown."""
        return self.shown[0] <= value <= self.shown[1]

    def trusts(self, value: float) -> bool:
        """Whether limits may be made from it."""
        return self.trusted[0] <= value <= self.trusted[1]


CELL: Final = Possible("cell voltage", "no cell chemistry that the BMS knows exceeds 4.5 V", (-inf, 5), (1.0, 4.5))
_PERCENT: Final[Range] = (0, 100)
_CHARGE: Final = Possible("state of charge", "a percentage", (-100, 100), _PERCENT)
_HEALTH: Final = Possible("state of health", "a percentage", (-100, 100), _PERCENT)
_CURRENT: Final = Possible("current", "the largest model is rated 600 A", (-1500, 1500), (-1500, 1500))
_BALANCE: Final = Possible("balancing current", "the largest balancer moves 15 A", (-20, 20), (-20, 20))
_PROBE: Final = Possible("temperature", "outside what the sensors and the electronics survive", (-60, 150), (-50, 120))
_MOSFET: Final = Possible("temperature", "outside what the sensors and the electronics survive", (-60, 150), (-50, 150))
_VOLTAGE: Final = Possible("total voltage", "the largest model takes 32 cells", (-inf, inf), (1, 200))
_AMPERE_HOURS: Final = Possible("capacity", "no bank is that large", (-inf, inf), (0, 100000))

POSSIBLE: Final[Mapping[str, Possible]] = {
    "total_voltage": _VOLTAGE,
    "state_of_charge": _CHARGE,
    "state_of_health": _HEALTH,
    "mosfet_temperature": _MOSFET,
    "temperature_sensor_1": _PROBE,
    "temperature_sensor_2": _PROBE,
    "temperature_sensor_4": _PROBE,
    "temperature_sensor_5": _PROBE,
    "current": _CURRENT,
    "balancing_current": _BALANCE,
    "capacity_remaining": _AMPERE_HOURS,
    "full_charge_capacity": _AMPERE_HOURS,
}
