"""What must hold between settings, and within which range each may be set. Pure.

The firmware checks hardly any of it; a battery whose recovery lies on the wrong side of its protection never
recovers. A change that breaks a rule is refused with a sentence that names the other parameter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isclose, isfinite

from jkbms_addon.battery.chemistry import CELLS, Cells, detected
from jkbms_addon.battery.quantities import Level, Pack, Scalar, Value, specs
from jkbms_addon.errors import CommandError

LEVELS: tuple[Level, ...] = ("switches", "settings", "protections")


@dataclass(frozen=True, slots=True)
class Rule:
    """``lower`` must stay below ``upper``; ``equal`` allows both to be the same."""

    lower: str
    upper: str
    reason: str
    equal: bool = False

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether the rule holds; unknown values break nothing."""
        low, high = values.get(self.lower), values.get(self.upper)
        if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
            return True
        return low < high or (self.equal and low == high)


RULES = (
    Rule(
        "cell_voltage_overvoltage_recovery",
        "cell_voltage_overvoltage_protection",
        "otherwise charging never stops, or never starts again",
    ),
    Rule(
        "cell_voltage_undervoltage_protection",
        "cell_voltage_undervoltage_recovery",
        "otherwise discharging never stops, or never starts again",
    ),
    Rule(
        "power_off_voltage",
        "cell_voltage_undervoltage_protection",
        "the BMS must protect before it switches itself off",
    ),
    Rule(
        "cell_voltage_undervoltage_protection",
        "cell_soc0_voltage",
        "an empty battery must show 0 % before it is cut off",
        equal=True,
    ),
    Rule(
        "cell_request_float_voltage",
        "cell_request_charge_voltage",
        "the battery floats below the voltage it is charged to",
        equal=True,
    ),
    Rule(
        "cell_request_charge_voltage",
        "cell_voltage_overvoltage_protection",
        "charging must end before the protection trips",
        equal=True,
    ),
    Rule(
        "cell_soc100_voltage",
        "cell_voltage_overvoltage_protection",
        "100 % must be reached before the protection trips",
        equal=True,
    ),
    Rule("charge_overtemperature_recovery", "charge_overtemperature_protection", "recovery lies below the protection"),
    Rule(
        "discharge_overtemperature_recovery",
        "discharge_overtemperature_protection",
        "recovery lies below the protection",
    ),
    Rule("mosfet_overtemperature_recovery", "mosfet_overtemperature_protection", "recovery lies below the protection"),
    Rule(
        "charge_undertemperature_protection", "charge_undertemperature_recovery", "recovery lies above the protection"
    ),
    Rule(
        "heating_start_temperature", "heating_stop_temperature", "heating starts when it is colder than where it stops"
    ),
    Rule(
        "discharging_low_temperature_protection",
        "discharging_low_temperature_recovery",
        "recovery lies above the protection",
    ),
    Rule(
        "temperature_sensor_temperature_recovery",
        "temperature_sensor_temperature_protection",
        "recovery lies below the protection",
    ),
)


def check_rules(key: str, value: Value, values: Mapping[str, Value]) -> None:
    """Refuse (``CommandError``) a change after which a rule with this parameter would not hold."""
    changed = {**values, key: value}
    for rule in RULES:
        if key in (rule.lower, rule.upper) and not rule.holds(changed):
            other = rule.upper if key == rule.lower else rule.lower
            side = "below" if key == rule.lower else "above"
            allowed = f"{side} or equal to" if rule.equal else side
            raise CommandError(
                f"{key} {shown(key, value)} must be {allowed} {other}, which is {shown(other, values[other])}: "
                f"{rule.reason}"
            )


def shown(key: str, value: Value) -> str:
    """A value with its unit."""
    spec = specs().get(key)
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value} {spec.unit}" if spec and spec.unit else str(value)


def cells_of(values: Mapping[str, Value], option: str | None = None) -> Cells | None:
    """Between which voltages the cells of a battery are set; ``option`` is the owner's word for their chemistry."""
    pack = Pack.model_construct(None, **values)
    name = detected(
        option,
        pack.cell_voltage_overvoltage_protection,
        pack.cell_voltage_undervoltage_protection,
        pack.battery_type,
    )
    return CELLS[name] if name else None


def _number(value: Value) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest and largest value, and the step between values."""

    minimum: float
    maximum: float
    step: float


def documented(key: str, values: Mapping[str, Value], option: str | None = None) -> Range:
    """Documented range of a setting, narrowed by chemistry."""
    return _documented(key, cells_of(values, option) if is_cell_voltage(key) else None)


def _documented(key: str, cells: Cells | None) -> Range:
    control = specs()[key].control
    assert control is not None
    low, high = control.minimum, control.maximum
    if cells and is_cell_voltage(key):
        low, high = max(low, cells.lowest), min(high, cells.highest)
    return Range(low, high, control.step)


def allowed_range(key: str, values: Mapping[str, Value], option: str | None = None) -> Range:
    """The range to be shown: the documented one, and what the BMS holds now, as that could not be shown otherwise."""
    return _held(documented(key, values, option), _number(values.get(key)))


def allowed_ranges(keys: Iterable[str], values: Mapping[str, Value], option: str | None = None) -> dict[str, Range]:
    """The same of several settings; whose cells these are is worked out once."""
    cells = cells_of(values, option)
    return {key: _held(_documented(key, cells), _number(values.get(key))) for key in keys}


def _held(limits: Range, present: float | None) -> Range:
    if present is None:
        return limits
    return Range(min(limits.minimum, present), max(limits.maximum, present), limits.step)


def is_cell_voltage(key: str) -> bool:
    """Whether a setting is an absolute voltage of a cell."""
    spec = specs()[key]
    return spec.unit == "V" and key != "balance_trigger_voltage" and not key.startswith("total_")


def checked(key: str, value: Scalar, values: Mapping[str, Value], option: str | None = None) -> Scalar:
    """The value on its step; ``CommandError`` when it is not finite, not in the documented range, between two steps.

    What the BMS holds now is allowed wherever it lies, and widens nothing.
    """
    if specs()[key].kind == "flag":
        if not isinstance(value, bool):
            raise CommandError(f"{key}: {value!r:.60} is neither on nor off")
        return value
    number = _number(value)
    if number is None:
        raise CommandError(f"{key}: {value!r:.60} is not a number")
    if isfinite(number) and same(values.get(key), number):
        return number
    limits = documented(key, values, option)
    if not isfinite(number) or not limits.minimum - 1e-9 <= number <= limits.maximum + 1e-9:
        unit = specs()[key].unit or ""
        raise CommandError(f"{key}: {number} is not within {limits.minimum} to {limits.maximum} {unit}".rstrip())
    steps = number / limits.step
    if not isclose(steps, round(steps), abs_tol=1e-6):
        raise CommandError(f"{key}: {number} is not a multiple of {limits.step}")
    _same_cells(key, number, values, option)
    on_step = round(round(steps) * limits.step, 6)
    return int(on_step) if limits.step >= 1 else on_step


def _same_cells(key: str, number: float, values: Mapping[str, Value], option: str | None) -> None:
    """Refuse (``CommandError``) a protection that would tell another chemistry.

    It would move all other ranges with it, and there would be no way back.
    """
    before, after = cells_of(values, option), cells_of({**values, key: number}, option)
    if before and after and before is not after:
        raise CommandError(f"{key}: {number} V is for {after.name} cells, and these are {before.name}")


def same(one: Value, other: Value) -> bool:
    """Whether two values are equal within the resolution of the wire."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return isclose(one, other, abs_tol=5e-4)
    return one == other


def check_seen(key: str, seen: Value, present: Value) -> None:
    """Refuse (``CommandError``) a change that was asked for in view of another value than the BMS holds.

    None is a value that nobody saw, or that is not known. What was seen had been rounded to the digits of the table.
    """
    digits = specs()[key].digits if key in specs() else None
    step = 0.0 if digits is None else 0.5 * 10.0**-digits
    if seen is None or present is None or same(seen, present):
        return
    first, other = _number(seen), _number(present)
    if first is None or other is None or not isclose(first, other, rel_tol=0, abs_tol=step + 1e-9):
        raise CommandError(f"{key} is {shown(key, present)} now, and {shown(key, seen)} was shown: look again")


def permitted(key: str, level: str) -> bool:
    """Whether the configured level lets this setting be changed."""
    control = specs()[key].control if key in specs() else None
    return control is not None and level in LEVELS and LEVELS.index(control.level) <= LEVELS.index(level)
