"""The owner's numbers and switches in Home Assistant: live, kept over restarts, never beyond the options. Pure.

A number that the options do not give may be set freely within its range; one that they give can only be made
narrower. What is refused is told with its reason.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from jkbms_addon.battery.chemistry import Name
from jkbms_addon.charging.setpoints import GRID_CHARGE, GridCharge, Setpoints
from jkbms_addon.errors import CommandError


class Owner(BaseModel):
    """What the owner set in Home Assistant; None where the options decide. Voltages per cell in V, A, %."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    enabled: bool = True
    charging: bool = True
    discharging: bool = True
    charge_voltage: float | None = None
    float_voltage: float | None = None
    max_charge_current: float | None = None
    max_discharge_current: float | None = None
    soc_limit: float | None = None
    rebulk_drop: float | None = None
    full_charge_days: float | None = None
    empty_voltage: float | None = None
    soc_floor: float | None = None
    voltage_offset: Annotated[float | None, Field(ge=-0.5, le=0.5)] = None
    grid_charge: GridCharge | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """One of the owner's numbers; ``bound`` says on which side the option bounds it."""

    name: str
    unit: str | None
    low: float
    high: float
    step: float
    bound: Literal["above", "below", ""] = ""


NUMBERS: Final[Mapping[str, Number]] = {
    "charge_voltage": Number("Cell charge voltage", "V", 3.40, 3.60, 0.01, "above"),
    "float_voltage": Number("Cell float voltage", "V", 3.20, 3.55, 0.01, "above"),
    "max_charge_current": Number("Max charging", "A", 0, 1000, 1, "above"),
    "max_discharge_current": Number("Max discharging", "A", 0, 1000, 1, "above"),
    "soc_limit": Number("Charge limit", "%", 20, 100, 1, "above"),
    "rebulk_drop": Number("Charge again after", "%", 2, 90, 1),
    "full_charge_days": Number("Full charge every", "d", 0, 365, 1),
    "empty_voltage": Number("Cell empty voltage", "V", 2.50, 3.30, 0.01, "below"),
    "soc_floor": Number("Least charge told", "%", 0, 30, 1),
    "voltage_offset": Number("Voltage offset", "V", -0.5, 0.5, 0.1),
}
# where the cells are of another chemistry
RANGES: Final[Mapping[Name, Mapping[str, tuple[float, float]]]] = {
    "LFP": {},
    "Li-ion": {"charge_voltage": (3.80, 4.20), "float_voltage": (3.70, 4.15), "empty_voltage": (2.90, 3.60)},
    "LTO": {"charge_voltage": (2.50, 2.80), "float_voltage": (2.30, 2.75), "empty_voltage": (1.60, 2.20)},
}


def number_of(key: str, chemistry: Name) -> Number:
    """A number with the range that fits the cells."""
    number = NUMBERS[key]
    low, high = RANGES[chemistry].get(key, (number.low, number.high))
    return replace(number, low=low, high=high)


def effective(options: Setpoints, owner: Owner) -> Setpoints:
    """The options, narrowed by the owner's numbers."""
    return replace(
        options,
        charge_voltage=_lower(options.charge_voltage, owner.charge_voltage),
        float_voltage=_lower(options.float_voltage, owner.float_voltage),
        max_charge_current=_lower(options.max_charge_current, owner.max_charge_current),
        max_discharge_current=_lower(options.max_discharge_current, owner.max_discharge_current),
        soc_limit=_lower(options.soc_limit, owner.soc_limit),
        empty_voltage=_higher(options.empty_voltage, owner.empty_voltage),
        rebulk_drop=_newer(options.rebulk_drop, owner.rebulk_drop),
        full_charge_days=_newer(options.full_charge_days, owner.full_charge_days),
        soc_floor=_newer(options.soc_floor, owner.soc_floor),
        voltage_offset=_newer(options.voltage_offset, owner.voltage_offset),
        grid_charge=_least(options.grid_charge, owner.grid_charge),
        charging=owner.charging,
        discharging=owner.discharging,
    )


def chosen(options: Setpoints, chemistry: Name, key: str, text: str) -> float:
    """A number as it was typed in Home Assistant; ``CommandError`` says why it is refused."""
    number = number_of(key, chemistry)
    if not re.fullmatch(r"[+-]?[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise CommandError(f"{text[:20]!r} is not a number")
    value = float(text)
    if not number.low <= value <= number.high:
        raise CommandError(f"{value:g} is not within {number.low:g} to {number.high:g}")
    option = bound_of(options, key)
    if option is not None and number.bound == "above" and value > option:
        raise CommandError(f"{value:g} is above the option, which is {option:g}")
    return value


def bound_of(options: Setpoints, key: str) -> float | None:
    """What the option of the same name allows at most; None where it is not given or bounds nothing."""
    bounds = {
        "charge_voltage": options.charge_voltage,
        "float_voltage": options.float_voltage,
        "max_charge_current": options.max_charge_current,
        "max_discharge_current": options.max_discharge_current,
        "soc_limit": options.soc_limit,
    }
    return bounds.get(key)


def chosen_grid(options: Setpoints, text: str) -> GridCharge:
    """When the grid may be asked; ``CommandError`` says why it is refused."""
    found = next((word for word in GRID_CHARGE if word == text), None)
    if found is None:
        raise CommandError(f"{text[:20]!r} is not one of {', '.join(GRID_CHARGE)}")
    if options.grid_charge is not None and GRID_CHARGE.index(found) > GRID_CHARGE.index(options.grid_charge):
        raise CommandError(f"{found} is more than the option allows, which is {options.grid_charge}")
    return found


def _lower(option: float | None, owner: float | None) -> float | None:
    if option is None or owner is None:
        return owner if option is None else option
    return min(option, owner)


def _higher(option: float | None, owner: float | None) -> float | None:
    if option is None or owner is None:
        return owner if option is None else option
    return max(option, owner)


def _newer(option: float | None, owner: float | None) -> float | None:
    return option if owner is None else owner


def _least(option: GridCharge | None, owner: GridCharge | None) -> GridCharge | None:
    if option is None or owner is None:
        return owner or option
    return GRID_CHARGE[min(GRID_CHARGE.index(option), GRID_CHARGE.index(owner))]
