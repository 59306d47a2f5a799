"""How charging goes and what the owner steers: on the device "Inverter", or on the bank without one. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from jkbms_addon.battery.chemistry import Name
from jkbms_addon.battery.quantities import Scalar, Spec
from jkbms_addon.charging.control import Control
from jkbms_addon.charging.decision import Decision, Facts
from jkbms_addon.charging.owner import NUMBERS, Owner, bound_of, effective, number_of
from jkbms_addon.charging.phases import PHASES
from jkbms_addon.charging.setpoints import GRID_CHARGE, Setpoints
from jkbms_addon.commands.rules import Range
from jkbms_addon.views.entities import Entity, Takes, measured, shown, text

LONGEST: Final = 255  # characters of a state in Home Assistant
_AMPERES: Final = re.compile(r" limited to [\d.]+ A: ")
SET: Final = "set_"  # before the name of a number of the owner
LIMITS: Final[Mapping[str, Spec]] = {
    "charge_current": measured("CCL charge limit", "A", "current", 1),
    "charge_current_reason": text("CCL reason"),
    "discharge_current": measured("DCL discharge limit", "A", "current", 1),
    "discharge_current_reason": text("DCL reason"),
    "charge_voltage": measured("CVL charge voltage", "V", "voltage", 1),
    "charge_voltage_reason": text("CVL reason"),
    "discharge_voltage": measured("DVL lowest voltage", "V", "voltage", 1),
    "discharge_voltage_reason": text("DVL reason"),
}
CHARGING: Final[Mapping[str, Spec]] = {
    "phase": Spec("Phase", kind="choice", device_class="enum", options=PHASES),
    "last_full": Spec("Last time full", kind="text", device_class="timestamp"),
    "days_since_full": measured("Days since full", "d", "duration", 1),
    "time_absorbed": measured("Time absorbed", "min", "duration", 0),
    "learned_offset": Spec("Learned meter offset", unit="V", device_class="voltage", digits=2, diagnostic=True),
    "voltage_trim": Spec("Charge voltage trim", unit="V", device_class="voltage", digits=2, diagnostic=True),
    "packs_may_charge": measured("May charge", None, None, 0),
    "packs_may_discharge": measured("May discharge", None, None, 0),
    "packs_empty": text("Packs empty"),
    "findings": text("Findings", diagnostic=True),
}
SWITCHES: Final[Mapping[str, Spec]] = {
    "charging": Spec("Charging", kind="flag", icon="mdi:battery-arrow-up"),
    "discharging": Spec("Discharging", kind="flag", icon="mdi:battery-arrow-down"),
}
BUTTONS: Final[Mapping[str, Spec]] = {
    "charge_fully": Spec("Charge fully now", icon="mdi:battery-charging-100"),
    "balance": Spec("Balance now", icon="mdi:scale-balance"),
    "wake_up": Spec("Wake up", icon="mdi:alarm"),
}
GRID: Final = "grid_charge"
CLASSES: Final = {"V": "voltage", "A": "current"}
EVERY: Final = (*(f"{SET}{key}" for key in (*NUMBERS, GRID)), *SWITCHES)  # keys of what the owner sets


@dataclass(frozen=True, slots=True)
class Charge:
    """What is decided, and within which limits of the owner: those of Home Assistant, and the options around them.

    ``unkept`` says what is wrong with the file in which the owner's are kept.
    """

    decision: Decision | None
    owner: Owner
    options: Setpoints
    unkept: str = ""

    @property
    def chemistry(self) -> Name:
        """Of the cells, as far as it is known."""
        return self.decision.facts.chemistry if self.decision else "LFP"


def charge(control: Control) -> Charge:
    """What is decided now."""
    return Charge(control.decision(control.clock()), control.kept.shown, control.options, control.kept.problem)


def controls(now: Charge) -> tuple[Entity, ...]:
    """Numbers, select, switches and buttons with which the owner steers, as the options and the cells allow."""
    most = now.options.grid_charge or GRID_CHARGE[-1]
    grid = Takes("select", options=GRID_CHARGE[: GRID_CHARGE.index(most) + 1])
    return (
        *(_number(key, now) for key in NUMBERS),
        Entity(f"{SET}{GRID}", Spec("Charge from the grid", icon="mdi:transmission-tower-import"), takes=grid),
        *shown(SWITCHES, dict.fromkeys(SWITCHES, Takes("switch", config=False))),
        *shown(BUTTONS, dict.fromkeys(BUTTONS, Takes("button", config=False))),
    )


def _number(key: str, now: Charge) -> Entity:
    number, option = number_of(key, now.chemistry), bound_of(now.options, key)
    high = number.high if option is None else max(number.low, min(number.high, option))
    spec = Spec(number.name, unit=number.unit, device_class=CLASSES.get(number.unit or ""))
    return Entity(f"{SET}{key}", spec, takes=Takes("number", Range(number.low, high, number.step)))


def takes(control: Control) -> Mapping[str, Callable[[str], None]]:
    """What happens with the payload of a command, by key."""
    return {
        **{f"{SET}{key}": partial(control.command, key) for key in (*NUMBERS, GRID)},
        **{key: partial(control.command, key) for key in (*SWITCHES, *BUTTONS)},
    }


def limits(now: Charge) -> dict[str, Scalar]:
    """The limits by key, where there is no inverter to be told them; V and A."""
    decision = now.decision
    numbers = {
        "charge_voltage": decision.charge_voltage if decision else None,
        "charge_current": decision.charge_current if decision else None,
        "discharge_current": decision.discharge_current if decision else None,
        "discharge_voltage": decision.discharge_voltage if decision else None,
    }
    return {**{key: _rounded(number, 1) for key, number in numbers.items()}, **reasons(now, tuple(numbers))}


def reasons(now: Charge, keys: Sequence[str]) -> dict[str, Scalar]:
    """Why the limits are what they are; how many amperes that makes stands beside it, and moves all the time."""
    found = now.decision.reasons if now.decision else {}
    told = {key: _AMPERES.sub(" limited: ", found[key])[:LONGEST] for key in keys if key in found}
    return {f"{key}_reason": told.get(key) for key in keys}


def values(now: Charge) -> dict[str, Scalar]:
    """How charging goes, and what the owner set, by key; V, %, days, time absorbed in min."""
    decision, owner = now.decision, now.owner
    told: dict[str, Scalar] = dict.fromkeys(CHARGING) if decision is None else _facts(decision)
    setpoints = effective(now.options, owner)
    return {
        **told,
        "charging": owner.charging,
        "discharging": owner.discharging,
        **_set(setpoints, decision.facts if decision else None),
    }


def _facts(decision: Decision) -> dict[str, Scalar]:
    facts = decision.facts
    return {
        "phase": decision.phase,
        "last_full": None if facts.last_full is None else _time(facts.last_full),
        "days_since_full": _rounded(facts.days_since_full, 1),
        "time_absorbed": round(facts.absorbed / 60),
        "learned_offset": _rounded(facts.learned, 2),
        "voltage_trim": _rounded(facts.trim, 2),
        "packs_may_charge": facts.may_charge,
        "packs_may_discharge": facts.may_discharge,
        "packs_empty": ", ".join(facts.empty)[:LONGEST] or "none",
        "findings": "; ".join(facts.findings)[:LONGEST] or "none",
    }


def _set(setpoints: Setpoints, facts: Facts | None) -> dict[str, Scalar]:
    """The owner's numbers as they count now; unknown where the packs decide and are not heard."""
    return {
        f"{SET}charge_voltage": _rounded(facts.charge_voltage, 3) if facts else setpoints.charge_voltage,
        f"{SET}float_voltage": _rounded(facts.float_voltage, 3) if facts else setpoints.float_voltage,
        f"{SET}empty_voltage": _rounded(facts.empty_voltage, 3) if facts else setpoints.empty_voltage,
        f"{SET}max_charge_current": setpoints.max_charge_current,
        f"{SET}max_discharge_current": setpoints.max_discharge_current,
        f"{SET}soc_limit": setpoints.limit,
        f"{SET}rebulk_drop": setpoints.drop,
        f"{SET}full_charge_days": setpoints.days,
        f"{SET}soc_floor": setpoints.floor,
        f"{SET}voltage_offset": setpoints.offset,
        f"{SET}{GRID}": setpoints.grid,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _time(seconds: float) -> str:
    """Wall clock time, s since 1970, as Home Assistant reads it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
