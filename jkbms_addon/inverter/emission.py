"""What the sender did and heard: written by it, looked at by whoever shows it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from jkbms_addon.battery.energy import Energy


@dataclass(slots=True)
class Emission:
    """Written by the sender; times are monotonic s. ``why`` says why nothing is sent, empty where something is.

    ``alone`` is whether the inverter is heard and nobody else tells it limits; ``rate`` the bit/s that were found out.
    """

    emitting: bool = False
    why: str = "not started yet"
    sets: int = 0
    heard: dict[int, int] = field(default_factory=dict)
    heard_at: float | None = None
    alone: bool = False
    rate: int | None = None
    counted: Callable[[], Energy | None] = lambda: None  # of all batteries, which some inverters want to know

    def note(self, can_id: int, now: float) -> None:
        """The inverter sent a frame."""
        self.heard[can_id] = self.heard.get(can_id, 0) + 1
        self.heard_at = now

    def sent(self) -> None:
        """A whole set went out."""
        self.emitting, self.why, self.sets = True, "", self.sets + 1

    def silent(self, why: str) -> None:
        """Nothing is sent."""
        self.emitting, self.why = False, why
