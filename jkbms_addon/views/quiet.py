"""How much of the movement of values is told: by class of quantity, so that a database stays small. Pure.

Theory of operation
- What is read is looked at whenever it is read; what is *told* of each key is held until it is worth telling anew.
- A number is told when it has left its dead-band, which may grow with the value, or when it differs at all and was
  told ``every`` so many seconds ago; some not again within ``least``. Unknown, and known again, is told at once.
- Which cell is the lowest or highest is told when another one has led by ``LEAD`` for ``LASTS`` seconds.
- A flag or text with ``lasts`` is told when it has been true for so long; all others at once.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from jkbms_addon.battery.quantities import Scalar, Spec
from jkbms_addon.views.bank import SHARING
from jkbms_addon.views.battery import numbered

LEAD: Final = 0.002  # V
LASTS: Final = 30.0  # s


@dataclass(frozen=True, slots=True)
class Band:
    """When a new value is told: ``floor`` in the unit of the key, ``share`` of the value, both 0 for any change."""

    floor: float = 0.0
    share: float = 0.0
    every: float = 60.0  # s
    least: float = 0.0  # s between two times that it is told, unless it leaps
    leap: float = 15.0  # dead-bands that make a leap
    lasts: float = 0.0  # s
    digits: int | None = None  # where fewer are told than a display shows


SLACK: Final = 1e-9  # of differences between binary fractions
CELL: Final = Band(0.005, least=45.0)
EXTREME: Final = Band(0.005, least=15.0)
CURRENT: Final = Band(0.5, 0.05)
POWER: Final = Band(30.0, 0.05, digits=0)
ONE_WAY: Final = Band(30.0, 0.05, least=10.0, leap=inf, digits=0)  # the same power once more
VOLTAGE: Final = Band(0.05, 0.002, least=6.0)
WARM: Final = Band(0.5, every=300.0)
SLOW: Final = Band(inf, every=300.0)
STEADY: Final = Band(lasts=LASTS)

# What is not here is told when it changes in its display digits.
BANDS: Final[Mapping[str, Band]] = {
    **dict.fromkeys(numbered("cell_voltage"), CELL),
    **dict.fromkeys(numbered("cell_resistance"), SLOW),
    **dict.fromkeys(("min_cell_voltage", "max_cell_voltage", "average_cell_voltage"), EXTREME),
    "delta_cell_voltage": Band(0.003, least=15.0),
    "total_voltage": VOLTAGE,
    "voltage": VOLTAGE,
    "voltage_spread": Band(0.1),
    "current": CURRENT,
    "balancing_current": Band(0.2),
    "heating_current": Band(0.2),
    "power": POWER,
    **dict.fromkeys(("charging_power", "discharging_power"), ONE_WAY),
    **dict.fromkeys(("mosfet_temperature", "temperature", "min_temperature", "max_temperature"), WARM),
    **dict.fromkeys((f"temperature_sensor_{n}" for n in (1, 2, 4, 5)), WARM),
    **dict.fromkeys((f"{name}_cell_temperature" for name in ("min", "max", "average")), WARM),
    "capacity_remaining": Band(0.1),
    "stored_energy": Band(0.1),
    **dict.fromkeys(("time_to_empty", "time_to_full"), Band(0.1, 0.05, least=60.0)),  # h
    "balancing": STEADY,
    **dict.fromkeys(("total_runtime", "charge_status_time_elapsed"), SLOW),
    **dict.fromkeys(("emergency_time_countdown", "smart_sleep_countdown"), SLOW),
    # of the bank and the inverter
    **dict.fromkeys((f"{name}_at" for name in ("min_cell_voltage", "max_cell_voltage")), STEADY),
    **dict.fromkeys((f"{name}_at" for name in ("min_temperature", "max_temperature")), STEADY),
    **dict.fromkeys(("max_cell_number", "min_cell_number"), STEADY),
    **dict.fromkeys(("max_temperature_number", "min_temperature_number"), STEADY),
    "sharing_error": Band(5.0, least=60.0, leap=inf),
    "quality": Band(5.0, every=900.0),
    "heartbeat_age": Band(5.0, 1.0, every=300.0),  # of an inverter that went silent: 5, 10, 20, 40 s
    **dict.fromkeys(("heartbeats", "sets"), SLOW),
}

LEADERS: Final = {"min_voltage_cell": 1.0, "max_voltage_cell": -1.0}

AGAIN: Final = 900.0  # s after which a reason is told anew in which only numbers differ
SHARE_OF_PACK: Final = (5.0, 0.0, 60.0, 15.0, inf)


class _Limits(dict[str, tuple[float, ...] | None]):
    """Dead-bands as they are looked up for whatever moves; None where there is none."""

    def __missing__(self, key: str) -> tuple[float, ...] | None:
        return SHARE_OF_PACK if key.startswith(SHARING) else None


def _limits(bands: Mapping[str, Band]) -> _Limits:
    return _Limits({key: (b.floor, b.share, b.every, b.least, b.leap) for key, b in bands.items() if b.floor})


LIMITS: Final = _limits(BANDS)
# of a bank, whose packs tell the same change of the load one after the other, however large it is
SUMS: Final = _limits(
    {**BANDS, "current": replace(CURRENT, least=2.0, leap=inf), "power": replace(POWER, least=2.0, leap=inf)}
)


class Calm:
    """What was told of one device; ``specs`` tell the digits of a display. Times are s of one clock.

    ``limits`` are ``SUMS`` where the values are those of several batteries.
    """

    def __init__(self, specs: Mapping[str, Spec], limits: Mapping[str, tuple[float, ...] | None] = LIMITS) -> None:
        self._specs, self._limits = specs, limits
        self._told: dict[str, Scalar] = {}
        self._at: dict[str, float] = {}
        self._waits: dict[str, tuple[Scalar, float]] = {}  # what might be told, and since when that is true

    def forget(self) -> None:
        """Everything is news."""
        self._told.clear()
        self._at.clear()
        self._waits.clear()

    def told(self, values: Mapping[str, Scalar], now: float) -> Mapping[str, Scalar]:  # noqa: C901 - one loop for every value of every reading
        """What to tell of these values now: of each key the value that was told last, or the new one."""
        told, waits, at, bands = self._told, self._waits, self._at, self._limits
        for key, value in values.items():
            before = told.get(key)
            if value == before:
                if value is None:
                    told[key] = None  # known to be unknown
                if waits:
                    waits.pop(key, None)
                continue
            if before is not None and value is not None:
                limits = bands[key]
                if limits is None:
                    if not self._worth(key, value, before, values, now):
                        continue
                else:  # nearly all of what moves, so without a call
                    floor, share, every, least, leap = limits
                    limit = share * abs(before)  # type: ignore[arg-type] # all of these are numbers
                    limit = max(limit, floor)
                    moved, since = abs(value - before), now - at[key]  # type: ignore[operator]
                    if moved < (limit if since >= least else leap * limit) - SLACK and since < every:
                        continue
            told[key] = self._rounded(key, value)
            at[key] = now
        if len(told) != len(values):
            for key in told.keys() - values.keys():
                del told[key]
                waits.pop(key, None)
        return told

    def _worth(self, key: str, value: Scalar, before: Scalar, values: Mapping[str, Scalar], now: float) -> bool:
        """Whether a change of what is known is to be told."""
        if key in LEADERS:
            return self._leads(key, value, before, values, now)
        rule = BANDS.get(key)
        if key.endswith("_reason") and isinstance(value, str) and isinstance(before, str):
            return _shape(value) != _shape(before) or now - self._at[key] >= AGAIN
        if rule and rule.lasts:
            return self._lasts(key, value, rule.lasts, now)
        return self._rounded(key, value) != before

    def _rounded(self, key: str, value: Scalar) -> Scalar:
        if not isinstance(value, float):
            return value
        rule, spec = BANDS.get(key), self._specs.get(key)
        digits = rule.digits if rule and rule.digits is not None else spec.digits if spec else None
        return value if digits is None else round(value, digits)

    def _lasts(self, key: str, value: Scalar, seconds: float, now: float) -> bool:
        """Whether this has been true for long enough."""
        waiting = self._waits.get(key)
        if waiting is None or waiting[0] != value:
            self._waits[key] = (value, now)
            return False
        if now - waiting[1] < seconds:
            return False
        del self._waits[key]
        return True

    def _leads(self, key: str, value: Scalar, before: Scalar, values: Mapping[str, Scalar], now: float) -> bool:
        """Whether the cell that was told has been beaten clearly, and for long enough."""
        old, new = values.get(f"cell_voltage_{before}"), values.get(f"cell_voltage_{value}")
        if not isinstance(old, float) or not isinstance(new, float):
            return True
        if LEADERS[key] * (old - new) < LEAD - 1e-9:
            self._waits.pop(key, None)
            return False
        return self._lasts(key, True, LASTS, now)


def _shape(text: str) -> str:
    """A text without its numbers, which move all the time."""
    return _NUMBERS.sub("#", text)


_NUMBERS: Final = re.compile(r"-?\d+(?:\.\d+)?")
