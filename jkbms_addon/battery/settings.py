"""What the settings of a real battery can be: whatever else a page says is damaged, or no page of a BMS. Pure.

Wider than the ranges of the vendor's application, since old units and unused settings leave them: nothing that a real
unit said is outside (captures), and floats or texts read as numbers are.
"""

from typing import Final

from jkbms_addon.battery.quantities import Spec, Values, specs

Range = tuple[float, float]
CELL: Final[Range] = (0, 65.535)  # V, two bytes of mV: nonsense that a unit holds is shown, its owner has to mend it
PACK: Final[Range] = (0, 200)  # V; the largest model takes 32 cells
_UNITS: Final[dict[str, Range]] = {
    "A": (-2000, 2000),
    "Ah": (0, 20000),  # the application's end
    "%": (0, 100),
    "°C": (-100, 200),
    "h": (0, 255),
    "s": (0, 864000),  # ten days, the longest period that the application offers
    "µs": (0, 1000000),
}
_KEYS: Final[dict[str, Range]] = {
    "cell_count": (0, 48),
    "device_address": (0, 255),
    "total_voltage_overvoltage_protection": PACK,
    "total_voltage_undervoltage_protection": PACK,
}


def _range(key: str, spec: Spec) -> Range:
    return _KEYS.get(key) or _UNITS.get(spec.unit or "", CELL)


POSSIBLE: Final = {
    key: _range(key, spec) for key, spec in specs().items() if spec.topic == "settings" and spec.kind == "number"
}


def impossible(values: Values) -> bool:
    """Whether a setting among the values is none that a battery could have."""
    for key, (low, high) in POSSIBLE.items():
        value = values.get(key)
        if isinstance(value, (int, float)) and not low <= value <= high:
            return True
    return False
