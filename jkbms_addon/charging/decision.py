"""A decision: what may be charged and discharged, until when, and why. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from jkbms_addon.bank.bank import BankState
from jkbms_addon.battery.chemistry import Name
from jkbms_addon.charging.memory import Asleep
from jkbms_addon.charging.phases import Phase
from jkbms_addon.charging.requests import Wanted


@dataclass(frozen=True, slots=True)
class Facts:
    """What is worth showing beside the limits; s, V, ``last_full`` in s since 1970."""

    last_full: float | None
    days_since_full: float | None
    absorbed: float
    learned: float
    trim: float  # V by which the voltage is told lower than the phase wants
    may_charge: int
    may_discharge: int
    empty: tuple[str, ...]
    chemistry: Name
    charge_voltage: float  # V per cell, after all bounds
    float_voltage: float
    empty_voltage: float
    findings: tuple[str, ...]
    asleep: bool  # empty, and switched off by itself
    phase_since: float | None = None  # s since 1970; None where that is not known


@dataclass(frozen=True, slots=True)
class Decision:
    """What is allowed, until when, and why; V, A, %. ``bank`` is what it rests on, ``lost`` where that is over.

    With an empty bank it rests on ``recalled``, what was heard before the program was started.
    """

    charge_voltage: float
    charge_current: float
    discharge_current: float
    discharge_voltage: float
    charge_enabled: bool
    discharge_enabled: bool
    state_of_charge: float
    wanted: Wanted
    phase: Phase
    reasons: Mapping[str, str]
    bank: BankState
    valid_until: float
    facts: Facts
    lost: bool = False
    recalled: Asleep | None = None

    @property
    def heard(self) -> tuple[float, float, float | None]:
        """Voltage and current of the bank and the coldest sensor as they were last heard; V, A, °C."""
        if self.recalled:
            return self.recalled.voltage, self.recalled.current, self.recalled.coldest
        voltage, current, coldest = self.bank.total_voltage, self.bank.current, self.bank.min_temperature
        assert voltage is not None
        assert current is not None
        return voltage, current, coldest.value if coldest else None

    def expired(self, now: float) -> bool:
        """Whether it is too old to be told."""
        return not now < self.valid_until
