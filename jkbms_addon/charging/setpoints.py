"""What the owner of the battery allows. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from jkbms_addon.charging.chemistry import CHEMISTRIES
from jkbms_addon.errors import OptionsError


@dataclass(frozen=True, slots=True)
class Policy:
    """Options of the inverter path; None leaves it to the packs' settings and the chemistry.

    Cell voltages in V, currents of the whole battery in A, times in s. ``min_discharge_voltage`` above 5
    means the whole battery. ``OptionsError`` names the first option that makes no sense.
    """

    charge_voltage: float | None = None
    float_voltage: float | None = None
    max_charge_current: float | None = None
    max_discharge_current: float | None = None
    min_discharge_voltage: float | None = None
    stale_discharge: Literal["zero", "hold"] = "zero"
    stop_after: float | None = None
    require_all: bool = False
    grid_tied: bool = False
    chemistry: str | None = None
    manufacturer: str | None = None
    absorption_time: float | None = None
    rebulk_drop: float = 15.0  # % of charge that may leave before the battery is filled again
    force_charge_soc: float | None = 10.0  # the urgent request comes at half of it
    full_charge_days: float = 30.0
    charge_rise: float = 5.0  # A/s
    discharge_rise: float = 20.0  # A/s
    departed_hold: float = 300.0
    valid_for: float = 3.0

    def __post_init__(self) -> None:
        for name, (allowed, says) in RULES.items():
            value = getattr(self, name)
            if value is not None and not allowed(value):
                raise OptionsError(f"{name}: {value!r:.60} is not {says}")
        if self.charge_voltage and self.float_voltage and self.float_voltage > self.charge_voltage:
            raise OptionsError(f"float_voltage: {self.float_voltage:g} V is above charge_voltage")


def between(low: float, high: float) -> Callable[[object], bool]:
    """Check of a number."""

    def allowed(value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return low <= value <= high  # not so with nan

    return allowed


def _name(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[!-~][ -~]{0,7}", value) is not None


Rule = tuple[Callable[[object], bool], str]
CELL: Final[Rule] = (between(1.2, 4.4), "a voltage per cell from 1.2 to 4.4")
CURRENT: Final[Rule] = (between(0, 3000), "a current from 0 to 3000")
SECONDS: Final[Rule] = (between(0, 86400), "a time from 0 to 86400 seconds")
PERCENT: Final[Rule] = (between(0, 100), "a percentage")
RISE: Final[Rule] = (between(0.1, 1000), "a rise from 0.1 to 1000 A/s")

RULES: Final[dict[str, Rule]] = {
    "charge_voltage": CELL,
    "float_voltage": CELL,
    "max_charge_current": CURRENT,
    "max_discharge_current": CURRENT,
    "min_discharge_voltage": (between(1.2, 1000), "a voltage per cell, or above 5 of the whole battery"),
    "stale_discharge": (lambda value: value in ("zero", "hold"), "zero or hold"),
    "stop_after": SECONDS,
    "chemistry": (lambda value: value in CHEMISTRIES, f"one of {', '.join(CHEMISTRIES)}"),
    "manufacturer": (_name, "a text of 1 to 8 ASCII characters"),
    "absorption_time": SECONDS,
    "rebulk_drop": PERCENT,
    "force_charge_soc": PERCENT,
    "full_charge_days": (between(0, 3650), "a number of days, 0 for never"),
    "charge_rise": RISE,
    "discharge_rise": RISE,
    "departed_hold": SECONDS,
    # more than 3 s would outlive the deadman of the sender
    "valid_for": (between(0.5, 3), "a time from 0.5 to 3 seconds"),
}
