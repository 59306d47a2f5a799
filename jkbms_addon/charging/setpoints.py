"""What the owner of the battery allows, and what is a sensible value of it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from jkbms_addon.battery.chemistry import CELLS
from jkbms_addon.errors import OptionsError

GridCharge = Literal["never", "emergency", "full"]
GRID_CHARGE: Final[tuple[GridCharge, ...]] = ("never", "emergency", "full")
WHOLE: Final = 5.0  # V; a discharge voltage above it is that of the whole battery


@dataclass(frozen=True, slots=True)
class Setpoints:
    """What is allowed; None leaves it to the packs' settings, the chemistry and the defaults.

    Cell voltages in V, currents of the whole battery in A, times in s (``hold_without_data`` in minutes), charge in %.
    ``min_discharge_voltage`` above 5 means the whole battery, ``empty_voltage`` is always that of a cell.
    ``OptionsError`` names the first value that makes no sense.
    """

    charge_voltage: float | None = None
    float_voltage: float | None = None
    balance_voltage: float | None = None
    max_charge_current: float | None = None
    max_discharge_current: float | None = None
    min_discharge_voltage: float | None = None
    empty_voltage: float | None = None
    soc_limit: float | None = None
    soc_floor: float | None = None
    rebulk_drop: float | None = None
    full_charge_days: float | None = None
    voltage_offset: float | None = None
    grid_charge: GridCharge | None = None
    hold_without_data: float | None = None
    stale_discharge: Literal["zero", "hold"] | None = None
    stop_after: float | None = None
    require_all: bool = False
    grid_tied: bool = False
    soc_follows: bool = False  # the charge that is told follows the cells, for inverters that obey nothing else
    chemistry: str | None = None
    charging: bool = True
    discharging: bool = True
    charge_rise: float = 5.0  # A/s
    discharge_rise: float = 20.0  # A/s
    departed_hold: float = 300.0
    valid_for: float = 3.0

    def __post_init__(self) -> None:
        for name, (allowed, says) in RULES.items():
            value = getattr(self, name)
            if value is not None and not allowed(value):
                raise OptionsError(f"{name}: {value!r:.60} is not {says}")

    def check(self) -> "Setpoints":
        """The same; ``OptionsError`` where two of the options contradict each other."""
        if self.charge_voltage and self.float_voltage and self.float_voltage > self.charge_voltage:
            raise OptionsError(f"float_voltage: {self.float_voltage:g} V is above charge_voltage")
        return self

    @property
    def limit(self) -> float:
        """Charge in % at which charging ends; 100 for never."""
        return 100.0 if self.soc_limit is None else self.soc_limit

    @property
    def floor(self) -> float:
        """Least charge in % that is told of a battery that is not empty."""
        return 15.0 if self.soc_floor is None else self.soc_floor

    @property
    def drop(self) -> float:
        """Charge in % that may leave before the battery is filled again."""
        return 10.0 if self.rebulk_drop is None else self.rebulk_drop

    @property
    def days(self) -> float:
        """Days after which a full charge is due; 0 for never."""
        return 14.0 if self.full_charge_days is None else self.full_charge_days

    @property
    def grid(self) -> GridCharge:
        """When the grid may be asked for charge."""
        return self.grid_charge or "never"

    @property
    def hold(self) -> float:
        """Seconds for which a battery that is not heard any more may still be discharged."""
        if self.hold_without_data is not None:
            return 60.0 * self.hold_without_data
        return 0.0 if self.stale_discharge == "zero" else HOLD

    @property
    def offset(self) -> float:
        """Volts that are added to the charge voltage that is told."""
        return self.voltage_offset or 0.0


HOLD: Final = 900.0


def between(low: float, high: float) -> Callable[[object], bool]:
    """Check of a number."""

    def allowed(value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return low <= value <= high  # not so with nan

    return allowed


Rule = tuple[Callable[[object], bool], str]
CELL: Final[Rule] = (between(1.2, 4.4), "a voltage per cell from 1.2 to 4.4")
CURRENT: Final[Rule] = (between(0, 3000), "a current from 0 to 3000")
SECONDS: Final[Rule] = (between(0, 86400), "a time from 0 to 86400 seconds")
RISE: Final[Rule] = (between(0.1, 1000), "a rise from 0.1 to 1000 A/s")

RULES: Final[dict[str, Rule]] = {
    "charge_voltage": CELL,
    "float_voltage": CELL,
    "balance_voltage": CELL,
    "max_charge_current": CURRENT,
    "max_discharge_current": CURRENT,
    "empty_voltage": CELL,
    "min_discharge_voltage": (between(1.2, 1000), "a voltage per cell, or above 5 of the whole battery"),
    "soc_limit": (between(20, 100), "a percentage from 20 to 100"),
    "soc_floor": (between(0, 30), "a percentage from 0 to 30"),
    "rebulk_drop": (between(2, 90), "a percentage from 2 to 90"),
    "full_charge_days": (between(0, 365), "a number of days from 0 (never) to 365"),
    "voltage_offset": (between(-0.5, 0.5), "a voltage from -0.5 to 0.5"),
    "grid_charge": (lambda value: value in GRID_CHARGE, f"one of {', '.join(GRID_CHARGE)}"),
    "hold_without_data": (between(0, 15), "a time from 0 to 15 minutes"),
    "stale_discharge": (lambda value: value in ("zero", "hold"), "zero or hold"),
    "stop_after": SECONDS,
    "chemistry": (lambda value: value in CELLS, f"one of {', '.join(CELLS)}"),
    "charge_rise": RISE,
    "discharge_rise": RISE,
    "departed_hold": SECONDS,
    # more than 3 s would outlive the deadman of the sender
    "valid_for": (between(0.5, 3), "a time from 0.5 to 3 seconds"),
}
