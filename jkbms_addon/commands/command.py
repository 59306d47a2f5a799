"""A wish to change a setting of a battery, and what became of it."""

import time
from dataclasses import asdict, dataclass, field

from jkbms_addon.battery.quantities import Value


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody wants a BMS to be set to; ``payload`` is the text as it came."""

    bus: str
    address: int
    key: str
    payload: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command. ``before`` and ``after`` are what the BMS said, None when it was not asked."""

    command: Command
    result: str  # applied, unchanged, refused, not_taken, failed
    reason: str = ""
    before: Value = None
    after: Value = None
    at: float = field(default_factory=time.time)

    def record(self) -> dict[str, object]:
        """One line of the audit."""
        told = asdict(self.command)
        return {
            "time": round(self.at, 3),
            "bms": f"{told['bus']}/{told['address']}",
            "key": told["key"],
            "from": self.before,
            "to": told["payload"],
            "now": self.after,
            "source": told["source"],
            "outcome": self.result,
            "reason": self.reason,
        }


RESULTS = ("applied", "unchanged", "refused", "not_taken", "failed")
