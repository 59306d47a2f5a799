"""What the sender did and heard: written by it, looked at by whoever shows it."""

from dataclasses import dataclass, field
from typing import Final

# What inverters send: nearly all of them 0x305; SMA and Victron 0x306 and 0x307; LuxPower 0x300; Growatt 0x301.
HEARD: Final = frozenset({0x300, 0x301, 0x305, 0x306, 0x307})


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
