"""What the device "Inverter" tells: the decision, the reasons, and what the sender did and heard. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jkbms_addon.battery.quantities import Scalar
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.charging.decision import State, Targets

# What inverters send: nearly all of them 0x305; SMA and Victron 0x306 and 0x307; LuxPower 0x300; Growatt 0x301.
HEARD: Final = frozenset({0x300, 0x301, 0x305, 0x306, 0x307})
UNSAID: Final = ("module_addresses", "manufacturer")  # lists and constants, which are no news
REASONS: Final = ("charge_voltage", "charge_current", "discharge_current", "discharge_voltage")
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
    """All that there is to tell at one moment."""

    targets: Targets | None
    emission: Emission
    link: BusStatus
    enabled: bool

    def published(self, now: float) -> dict[str, Scalar]:
        """Values by key; ``now`` is monotonic time in s."""
        emission, targets = self.emission, self.targets
        warning = self.link.problem if self.link.connected else ""  # what is wrong although it is sent
        return {
            "emitting": emission.emitting,
            "enable": self.enabled,
            "connected": self.link.connected,
            "reason": (emission.why or warning or "ok")[:LONGEST],
            "phase": targets.phase if targets else None,
            **_values(targets),
            **{f"{key}_reason": _reason(targets, key) for key in REASONS},
            "heartbeat_age": None if emission.heard_at is None else round(now - emission.heard_at),
            "heartbeats": sum(emission.heard.values()),
            "heartbeat_ids": " ".join(f"{can_id:03X}" for can_id in sorted(emission.heard)) or None,
            "sets": emission.sets,
        }


def sent_keys(*, extremes: bool) -> tuple[str, ...]:
    """Keys of what is sent; the extremes only where the options ask for them."""
    model = Targets if extremes else State
    left_out = (*UNSAID, "valid_until", "phase", "reasons")
    return tuple(key for key in model.model_fields if key not in left_out)


def _values(targets: Targets | None) -> Mapping[str, Scalar]:
    keys = sent_keys(extremes=True)
    return {key: _told(key, getattr(targets, key)) if targets else None for key in keys}


def _told(key: str, value: Scalar | tuple[str, ...]) -> Scalar:
    if isinstance(value, tuple):
        return ", ".join(word.replace("_", " ") for word in value)[:LONGEST] or "none"
    return round(value, DIGITS.get(key, 1)) if isinstance(value, float) else value


def _reason(targets: Targets | None, key: str) -> str | None:
    return targets.reasons.get(key, "")[:LONGEST] if targets else None
