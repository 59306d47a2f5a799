"""What the device "Inverter" tells: the decision, the reasons, and what the sender did and heard. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from jkbms_addon.battery.quantities import Scalar
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.charging.decision import Decision, Facts
from jkbms_addon.charging.owner import Owner, effective
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.state import State, Targets, said

# What inverters send: nearly all of them 0x305; SMA and Victron 0x306 and 0x307; LuxPower 0x300; Growatt 0x301.
HEARD: Final = frozenset({0x300, 0x301, 0x305, 0x306, 0x307})
EXTREMES: Final = ("max_temperature", "min_temperature", "max_cell_voltage", "min_cell_voltage")
# lists and constants, which are no news, and what the device "Battery bank" tells
UNSAID: Final = (
    *("module_addresses", "manufacturer", "state_of_charge_precise"),
    *(f"{key}_at" for key in EXTREMES),
    *("charging_cycles", "full_charge_capacity", "capacity_remaining", "charged_energy", "discharged_energy"),
    *("modules_blocking_charge", "modules_blocking_discharge", "modules_offline", "faulty_module", "cell_count"),
    *("model", "serial_number", "hardware_version", "software_version", "product", "date"),
)
LIMITS: Final = ("charge_voltage", "charge_current", "discharge_current", "discharge_voltage")
REASONS: Final = (*LIMITS, "state_of_charge")
LONGEST: Final = 255  # characters of a state in Home Assistant
DIGITS: Final = {"state_of_charge": 0, "state_of_health": 0, "max_cell_voltage": 3, "min_cell_voltage": 3, "voltage": 2}


@dataclass(slots=True)
class Emission:
    """Written by the sender; times are monotonic s. ``why`` says why nothing is sent, empty where something is."""

    emitting: bool = False
    why: str = "not started yet"
    sets: int = 0
    heard: dict[int, int] = field(default_factory=dict)
    heard_at: float | None = None

    def note(self, can_id: int, now: float) -> None:
        """A frame came from the bus; what no inverter sends is left out."""
        if can_id in HEARD:
            self.heard[can_id] = self.heard.get(can_id, 0) + 1
            self.heard_at = now

    def sent(self) -> None:
        """A whole set went out."""
        self.emitting, self.why, self.sets = True, "", self.sets + 1

    def silent(self, why: str) -> None:
        """Nothing is sent."""
        self.emitting, self.why = False, why


@dataclass(frozen=True, slots=True)
class Report:
    """All that there is to tell at one moment; ``options`` are the owner's outer limits."""

    decision: Decision | None
    emission: Emission
    link: BusStatus
    owner: Owner
    options: Setpoints

    def published(self, now: float) -> dict[str, Scalar]:
        """Values of the device "Inverter" by key; ``now`` is monotonic time in s."""
        emission = self.emission
        targets = said(self.decision) if self.decision else None
        warning = self.link.problem if self.link.connected else ""  # what is wrong although it is sent
        return {
            "emitting": emission.emitting,
            "enable": self.owner.enabled,
            "connected": self.link.connected,
            "reason": (emission.why or warning or "ok")[:LONGEST],
            **_values(targets),
            **self.reasons(REASONS),
            **self.charging(),
            "heartbeat_age": None if emission.heard_at is None else round(now - emission.heard_at),
            "heartbeats": sum(emission.heard.values()),
            "heartbeat_ids": " ".join(f"{can_id:03X}" for can_id in sorted(emission.heard)) or None,
            "sets": emission.sets,
        }

    def limits(self) -> dict[str, Scalar]:
        """The limits of the bank by key, where there is no inverter to be told them."""
        decision = self.decision
        numbers = {
            "charge_voltage": decision.charge_voltage if decision else None,
            "charge_current": decision.charge_current if decision else None,
            "discharge_current": decision.discharge_current if decision else None,
            "discharge_voltage": decision.discharge_voltage if decision else None,
        }
        told: dict[str, Scalar] = {key: None if n is None else round(n, 1) for key, n in numbers.items()}
        return {**told, **self.reasons(LIMITS), **self.charging()}

    def reasons(self, keys: Sequence[str]) -> dict[str, Scalar]:
        """Why the limits are what they are."""
        found = self.decision.reasons if self.decision else {}
        return {f"{key}_reason": found[key][:LONGEST] if key in found else None for key in keys}

    def charging(self) -> dict[str, Scalar]:
        """How charging goes, and what the owner set in Home Assistant."""
        decision, owner = self.decision, self.owner
        facts = decision.facts if decision else None
        return {
            "phase": decision.phase if decision else None,
            "last_full": None if facts is None or facts.last_full is None else _time(facts.last_full),
            "days_since_full": None if facts is None else _rounded(facts.days_since_full, 1),
            "time_absorbed": None if facts is None else round(facts.absorbed / 60),
            "learned_offset": None if facts is None else _rounded(facts.learned, 2),
            "voltage_trim": None if facts is None else _rounded(facts.trim, 2),
            "packs_may_charge": None if facts is None else facts.may_charge,
            "packs_may_discharge": None if facts is None else facts.may_discharge,
            "packs_empty": None if facts is None else ", ".join(facts.empty)[:LONGEST] or "none",
            "findings": None if facts is None else "; ".join(facts.findings)[:LONGEST] or "none",
            "charging": owner.charging,
            "discharging": owner.discharging,
            **_set(effective(self.options, owner), facts),
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
        f"{SET}grid_charge": setpoints.grid,
    }


SET: Final = "set_"  # before the name of a number of the owner


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _time(seconds: float) -> str:
    """Wall clock time, s since 1970, as Home Assistant reads it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def sent_keys(*, extremes: bool) -> tuple[str, ...]:
    """Keys of what is sent; the extremes only where the options ask for them."""
    model = Targets if extremes else State
    left_out = (*UNSAID, "valid_until", "phase", "reasons", *(() if extremes else EXTREMES))
    return tuple(key for key in model.model_fields if key not in left_out)


def _values(targets: Targets | None) -> Mapping[str, Scalar]:
    keys = sent_keys(extremes=True)
    return {key: _told(key, getattr(targets, key)) if targets else None for key in keys}


def _told(key: str, value: Scalar | tuple[str, ...]) -> Scalar:
    if isinstance(value, tuple):
        return ", ".join(word.replace("_", " ") for word in value)[:LONGEST] or "none"
    return round(value, DIGITS.get(key, 1)) if isinstance(value, float) else value
