"""A decision: what may be charged and discharged, until when, and why. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jkbms_addon.bank.bank import BankState
from jkbms_addon.battery.chemistry import Name
from jkbms_addon.charging.chemistry import LFP
from jkbms_addon.charging.phases import Phase
from jkbms_addon.charging.requests import Wanted


@dataclass(frozen=True, slots=True)
class Facts:
    """What is worth showing beside the limits; s, V, ``last_full`` in s since 1970."""

    last_full: float | None = None
    days_since_full: float | None = None
    absorbed: float = 0.0
    learned: float = 0.0
    trim: float = 0.0  # V by which the voltage is told lower than the phase wants
    may_charge: int = 0
    may_discharge: int = 0
    empty: tuple[str, ...] = ()
    chemistry: Name = LFP.name
    charge_voltage: float = 0.0  # V per cell, after all bounds
    float_voltage: float = 0.0
    empty_voltage: float = 0.0
    findings: tuple[str, ...] = ()
    asleep: bool = False  # empty, and switched off by itself


@dataclass(frozen=True, slots=True)
class Decision:
    """What is allowed, until when, and why; V, A, %. ``bank`` is what it rests on, ``lost`` where that is over."""

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
    lost: bool = False
    facts: Facts = field(default_factory=Facts)

    def expired(self, now: float) -> bool:
        """Whether it is too old to be told."""
        return not now < self.valid_until
