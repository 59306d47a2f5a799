"""What one wire says of its battery, and whether two of them can be the same one. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.reading import number
from jkbms_addon.battery.snapshot import Key, Snapshot

CLOSE: Final = 3.0  # s by which two looks at one running time may differ
COARSE: Final = 65.0  # s by which they may differ where one of them counts minutes
TOGETHER: Final = 3.0  # s between two readings whose cells may be compared
CELL: Final = 0.02  # V by which a cell may differ meanwhile
CHARGE: Final = 0.6  # Ah by which the cycle capacity may differ meanwhile; CAN tells it in 0.1 Ah
SHORTEST, LONGEST_SERIAL = 6, 64  # characters of a serial number
DEFAULTS: Final = re.compile(r"(.)\1*|0?1234567890*|0?123456789012.*")


def serial_of(values: Mapping[str, Value]) -> str:
    """A serial number that proves something; empty where there is none, or one that makers leave standing."""
    told = values.get("serial_number")
    serial = told.strip() if isinstance(told, str) else ""
    return "" if not SHORTEST <= len(serial) <= LONGEST_SERIAL or DEFAULTS.fullmatch(serial) else serial


@dataclass(frozen=True, slots=True)
class Sight:
    """What one wire said of its battery when it was heard last; s of the store's clock, Ah, V. Unknown is None.

    ``began`` is when its running time was zero; None where that is not told, or 0, which says nothing.
    """

    wire: Key
    at: float
    began: float | None = None
    coarse: bool = False  # whether its running time counts minutes
    cycled: float | None = None
    cells: tuple[float | None, ...] = ()
    serial: str = ""
    serial_at: float = 0.0  # when that was told
    stands: bool = False  # whether its running time does, so that it proves nothing

    @property
    def count(self) -> int:
        """Number of cells; 0 when it is not known."""
        return sum(cell is not None for cell in self.cells)


def sight(snapshot: Snapshot, now: float) -> Sight | None:
    """The sight of a wire that is heard now; None of one that is silent or does not count."""
    live = snapshot.part("live", now)
    if live is None or snapshot.withheld:
        return None
    about = snapshot.part("about", now)
    return replace(
        looked(snapshot.key, live.at, live.values, coarse=snapshot.format == "ttl"),
        serial=serial_of(about.values) if about else "",
        serial_at=about.at if about else 0.0,
        stands=snapshot.stands,
    )


def looked(wire: Key, at: float, values: Mapping[str, Value], *, coarse: bool = False) -> Sight:
    """What values that were heard at a time say of their battery, but for its serial number."""
    runtime, listed = number(values, "total_runtime"), values.get("cell_voltage")
    cells = tuple(one if isinstance(one, float) else None for one in listed) if isinstance(listed, tuple) else ()
    cycled = number(values, "total_charging_cycle_capacity")
    return Sight(wire, at, at - runtime if runtime else None, coarse, cycled, cells)


def contradiction(one: Sight, other: Sight) -> str:
    """Why these cannot be one battery, in words; empty when nothing speaks against it."""
    if one.serial and other.serial and one.serial != other.serial:
        return f"serial numbers {one.serial} and {other.serial}"
    if one.count and other.count and one.count != other.count:
        return f"{one.count} and {other.count} cells"
    if one.cycled is not None and other.cycled is not None and abs(one.cycled - other.cycled) > CHARGE:
        return f"cycle capacities {one.cycled:.1f} and {other.cycled:.1f} Ah"
    apart = _apart(one, other)
    if apart is not None and apart > (COARSE if one.coarse or other.coarse else CLOSE):
        return f"running times {apart:.0f} s apart"
    return ""


def _apart(one: Sight, other: Sight) -> float | None:
    """By how much the running times differ, s."""
    return None if one.began is None or other.began is None else abs(one.began - other.began)


def near(one: Sight, other: Sight, seconds: float) -> bool:
    """Whether the running times are told, and differ by no more."""
    apart = _apart(one, other)
    return apart is not None and apart <= seconds


def alike(one: Sight, other: Sight) -> bool | None:
    """Whether the cells agree; None where that cannot be known."""
    if abs(one.at - other.at) > TOGETHER or not one.count or one.count != other.count:
        return None
    pairs = zip(one.cells, other.cells, strict=False)
    return all(a is not None and b is not None and abs(a - b) <= CELL for a, b in pairs if (a, b) != (None, None))


def running_alike(one: Sight, other: Sight) -> bool:
    """Whether running time and cycle capacity are told to the second, and equal."""
    fine = not one.coarse and not other.coarse and bool(one.cycled) and bool(other.cycled)
    return near(one, other, CLOSE) and fine and not contradiction(one, other)
