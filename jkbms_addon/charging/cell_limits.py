"""Between which voltages and temperatures a pack is worked: its own settings, the options, its chemistry. Pure.

Of several sources the more worried one counts.
"""

from dataclasses import dataclass

from jkbms_addon.bank.candidate import View
from jkbms_addon.charging.chemistry import CHEMISTRIES, Chemistry, chemistry_of
from jkbms_addon.charging.setpoints import Policy

BELOW_HIGHEST = 0.05  # V per cell that charging keeps away from the over-voltage protection
ABOVE_LOWEST = 0.05  # V per cell that discharging keeps away from the under-voltage protection
DIGITS = 4  # that a sum of voltages keeps, so that 2.80 + 0.05 is 2.85


@dataclass(frozen=True, slots=True)
class Bounds:
    """V per cell and °C; ``stop`` and ``bottom`` are where one single cell ends charging and discharging."""

    chemistry: Chemistry
    cells: int
    charge: float
    floating: float
    highest: float
    stop: float
    bottom: float
    least: float
    cold: float
    hot: float
    discharge_cold: float
    discharge_hot: float
    mosfet: float


def bounds(view: View, policy: Policy) -> Bounds:
    """Bounds of one pack."""
    overvoltage = view.setting("cell_voltage_overvoltage_protection", 1.5, 4.5)
    battery_type = view.values.get("battery_type")
    known = battery_type if isinstance(battery_type, str) else None
    chemistry = CHEMISTRIES[policy.chemistry] if policy.chemistry else chemistry_of(known, overvoltage)
    highest = _least(chemistry.highest, overvoltage, _per_cell(view, "total_voltage_overvoltage_protection"))
    lowest = _most(
        chemistry.lowest,
        view.setting("cell_voltage_undervoltage_protection", 1.2, 4.0),
        _per_cell(view, "total_voltage_undervoltage_protection"),
    )
    charge = _wish(policy.charge_voltage, view, "cell_request_charge_voltage", chemistry, chemistry.charge)
    charge = min(charge, round(highest - BELOW_HIGHEST, DIGITS))
    floating = _wish(policy.float_voltage, view, "cell_request_float_voltage", chemistry, chemistry.floating)
    return Bounds(
        chemistry=chemistry,
        cells=view.cells,
        charge=charge,
        floating=min(floating, charge),
        highest=highest,
        stop=round((charge + highest) / 2, DIGITS),
        bottom=round(lowest + ABOVE_LOWEST, DIGITS),
        least=max(_least_voltage(policy, view.cells) or chemistry.least, round(lowest + 2 * ABOVE_LOWEST, DIGITS)),
        **_temperatures(view, chemistry),
    )


def _temperatures(view: View, chemistry: Chemistry) -> dict[str, float]:
    probe = view.setting("temperature_sensor_temperature_protection", 30, 100)
    return {
        "cold": _most(chemistry.cold, view.setting("charge_undertemperature_protection", -50, 30)),
        "hot": _least(chemistry.hot, view.setting("charge_overtemperature_protection", 30, 100), probe),
        "discharge_cold": _most(
            chemistry.discharge_cold, view.setting("discharging_low_temperature_protection", -50, 30)
        ),
        "discharge_hot": _least(
            chemistry.discharge_hot, view.setting("discharge_overtemperature_protection", 30, 100), probe
        ),
        "mosfet": _least(90, view.setting("mosfet_overtemperature_protection", 40, 120)),
    }


def _wish(option: float | None, view: View, key: str, chemistry: Chemistry, default: float) -> float:
    """The lower of option and the pack's own request; the default where neither is known."""
    wishes = [wish for wish in (option, view.setting(key, chemistry.lowest, chemistry.highest)) if wish is not None]
    return min(wishes, default=default)


def _least_voltage(policy: Policy, cells: int) -> float | None:
    value = policy.min_discharge_voltage
    return value / cells if value is not None and value > 5 else value


def _per_cell(view: View, key: str) -> float | None:
    value = view.setting(key, 1, 200)
    return None if value is None else value / view.cells


def _least(first: float, *others: float | None) -> float:
    return min([first, *(other for other in others if other is not None)])


def _most(first: float, *others: float | None) -> float:
    return max([first, *(other for other in others if other is not None)])
