"""What one message told about one battery, and what follows from it."""

from dataclasses import dataclass, field
from math import inf, isfinite

from jkbms_addon.battery.alarms import alarm_key, alarm_text, raised_problem
from jkbms_addon.battery.quantities import Scalar, Value, Values


@dataclass(frozen=True, slots=True)
class Reading:
    """What one message told about one battery; ``address`` is None where nothing proves it.

    ``fingerprint`` holds the bytes that do not change from frame to frame, ``doubts`` the reasons why a
    frame that passed its checksum should be seen twice before it is believed. ``valid_for`` is how
    long, in seconds, the values may be shown without being heard again; the intake makes it finite. ``raw`` are
    the bytes that were measured, empty where a source has none. ``withheld`` says why the battery does not count
    although it was heard: nothing of it is shown then. ``read_only`` says why no setting of this battery can be changed
    on the wire by which this came; empty where the strategy alone decides.
    """

    address: int | None
    kind: str
    values: dict[str, Value]
    alarm_names: tuple[str, ...] = ()
    fingerprint: bytes = b""
    doubts: frozenset[str] = field(default_factory=frozenset)
    valid_for: float = inf
    latency: float | None = None
    format: str = ""
    raw: bytes = b""
    withheld: str = ""
    read_only: str = ""


def number(values: Values, key: str) -> float | None:
    """A value that is a finite number; None otherwise."""
    value = values.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if isfinite(value) else None


def derive(values: dict[str, Value]) -> None:
    """Add power and cell statistics to ``values``, computed over the cells that exist."""
    voltage, current = values.get("total_voltage"), values.get("current")
    if isinstance(voltage, (int, float)) and isinstance(current, (int, float)):
        power = round(voltage * current, 3)
        values["power"] = power
        values["charging_power"] = power if power > 0 else 0.0
        values["discharging_power"] = -power if power < 0 else 0.0
    if "cell_voltage" in values:
        values.update(statistics(values["cell_voltage"]))  # type: ignore[arg-type]


def statistics(cells: tuple[float | None, ...]) -> dict[str, Value]:
    """Extremes, mean and spread of cell voltages in V; cells are counted from 1."""
    present = [cell for cell in cells if cell is not None]
    if not present:
        return dict.fromkeys(STATISTICS)
    low, high = min(present), max(present)
    return {
        "min_cell_voltage": low,
        "max_cell_voltage": high,
        "average_cell_voltage": round(sum(present) / len(present), 4),
        "delta_cell_voltage": round(high - low, 3),
        "min_voltage_cell": cells.index(low) + 1,
        "max_voltage_cell": cells.index(high) + 1,
    }


STATISTICS = (
    "min_cell_voltage",
    "max_cell_voltage",
    "average_cell_voltage",
    "delta_cell_voltage",
    "min_voltage_cell",
    "max_voltage_cell",
)


def flat(values: Values, alarm_names: tuple[str, ...] = ()) -> dict[str, Scalar]:
    """Values by published key: lists numbered from 1, alarms as one flag each with their summary."""
    result: dict[str, Scalar] = {}
    for key, value in values.items():
        if key == "alarms":
            continue
        if isinstance(value, tuple):
            result.update((f"{key}_{n}", item) for n, item in enumerate(value, 1) if item is not None)
        else:
            result[key] = value
    if "alarms" in values:
        result.update(alarm_values(values["alarms"], alarm_names))
    return result


def alarm_values(raised: Value, names: tuple[str, ...]) -> dict[str, Scalar]:
    """One flag per alarm that the format knows, ``problem`` and the text ``errors``."""
    if not isinstance(raised, tuple):
        return {**dict.fromkeys(map(alarm_key, names)), "problem": None, "errors": None}
    active = [name for name in raised if isinstance(name, str)]
    return {
        **{alarm_key(name): name in active for name in names},
        "problem": raised_problem(active),
        "errors": alarm_text(active),
    }
