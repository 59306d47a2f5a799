"""The fault matrix: what a user sees of each fault on each link. The tests assert every word that is marked so.

``says`` is asserted to be told (by the entity of the bus where there is one, else by the log), ``unavailable`` that
the batteries become unavailable, or stay available if false; ``more`` is prose about what else is asserted.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from jkbms_addon.docs import table

GOAL = 5.0  # s after the end of a fault until all is well again
MEASURED = Path(__file__).with_name("measured.json")
FAULTS = {
    "absent": "absent at start",
    "lost": "lost",
    "frozen": "frozen",
    "flapping": "flapping every second",
    "garbage": "garbage",
    "half-open": "half-open",
    "full disk": "full disk in /data",
    "clock jump": "clock jump",
    "paused": "program paused",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What one fault on one link does. ``seconds`` is how long the test lets it last."""

    says: str = ""
    unavailable: bool = False
    more: str = ""
    seconds: float = 14.0

    @property
    def text(self) -> str:
        """For people."""
        parts = [f"“{self.says}”"] if self.says else []
        parts += ["batteries unavailable"] if self.unavailable else ["batteries stay available"]
        return "; ".join([*parts, *([self.more] if self.more else [])])


SHORT = 6.0  # s of a fault that nobody need notice
NOTHING = Cell("", seconds=SHORT)
DISK = Cell(
    "cannot be written: No space left on device", more="told once in the log; nothing else is lost", seconds=SHORT
)
JUMP = Cell(more="ages and incidents go on as if nothing had been", seconds=SHORT)
PAUSED = Cell(more="what became old meanwhile is not told to the inverter")
MISSING = "does not exist; is the adapter plugged in?"
STEADY = "the inverter is told on time"
KNOWN = Cell(more=f"the broker that was named last is used; {STEADY}")

CELLS: dict[tuple[str, str], Cell] = {
    ("serial", "absent"): Cell(MISSING, unavailable=True, seconds=4),
    ("serial", "lost"): Cell(MISSING, unavailable=True),
    ("serial", "frozen"): Cell("no answer to any question", unavailable=True),
    ("serial", "flapping"): Cell(MISSING),
    ("serial", "garbage"): Cell("bytes that are no message of this protocol", unavailable=True),
    ("serial", "half-open"): Cell("no answer to any question", unavailable=True),
    ("TCP", "absent"): Cell("Connection refused", unavailable=True, seconds=4),
    ("TCP", "lost"): Cell("Connection refused", unavailable=True),
    ("TCP", "frozen"): Cell("the gateway sends nothing", unavailable=True, seconds=20),
    ("TCP", "flapping"): Cell("Connection refused"),
    ("TCP", "garbage"): Cell("bytes that are no message of this protocol", unavailable=True),
    ("TCP", "half-open"): Cell("Connection refused", unavailable=True),
    ("CAN in", "absent"): Cell(MISSING, unavailable=True, seconds=4),
    ("CAN in", "lost"): Cell(MISSING, unavailable=True),
    ("CAN in", "frozen"): Cell("nothing received: check H and L", unavailable=True),
    ("CAN in", "flapping"): Cell(MISSING),
    ("CAN in", "garbage"): Cell("nothing received: check H and L", unavailable=True),
    ("CAN in", "half-open"): Cell("nothing received: check H and L", unavailable=True),
    ("CAN out", "absent"): Cell(MISSING, more="the entity *Sending* is off", seconds=4),
    ("CAN out", "lost"): Cell(MISSING, more="the entity *Sending* is off"),
    ("CAN out", "frozen"): Cell(more="the age of the inverter's heartbeat grows"),
    ("CAN out", "flapping"): Cell(MISSING),
    ("CAN out", "garbage"): Cell(more="the age of the inverter's heartbeat grows"),
    ("CAN out", "half-open"): Cell(more="the age of the inverter's heartbeat grows"),
    ("MQTT", "absent"): Cell("Connection refused", unavailable=True, more=STEADY, seconds=8),
    ("MQTT", "lost"): Cell("mqtt: MQTT broker", unavailable=True, more=STEADY),
    ("MQTT", "frozen"): Cell("mqtt: MQTT broker", unavailable=True, more=STEADY),
    ("MQTT", "flapping"): Cell("mqtt: MQTT broker", unavailable=True, more=STEADY),
    ("MQTT", "garbage"): Cell("mqtt: MQTT broker", unavailable=True, more=STEADY),
    ("MQTT", "half-open"): Cell("mqtt: MQTT broker", unavailable=True, more=STEADY),
    ("Supervisor", "absent"): Cell(
        "the Supervisor does not name the MQTT broker", unavailable=True, more=STEADY, seconds=8
    ),
    ("Supervisor", "lost"): KNOWN,
    ("Supervisor", "frozen"): KNOWN,
    ("Supervisor", "flapping"): KNOWN,
    ("Supervisor", "garbage"): KNOWN,
    ("Supervisor", "half-open"): KNOWN,
    **{(link, "full disk"): DISK for link in ("serial", "TCP", "CAN in", "CAN out", "MQTT", "Supervisor")},
    **{(link, "clock jump"): JUMP for link in ("serial", "TCP", "CAN in", "CAN out", "MQTT", "Supervisor")},
    **{(link, "paused"): PAUSED for link in ("serial", "TCP", "CAN in", "CAN out", "MQTT", "Supervisor")},
}


def measured() -> dict[str, float]:
    """Longest time in s from the end of a fault until all was well, by link and fault, as it was recorded."""
    if not MEASURED.exists():
        return {}
    content: dict[str, float] = json.loads(MEASURED.read_text(encoding="utf-8"))["healed"]
    return content


def matrix() -> str:
    """The table for the manual."""
    seconds = measured()

    def row(link: str, fault: str, cell: Cell) -> tuple[str, ...]:
        found = seconds.get(f"{link}/{fault}")
        return link, FAULTS[fault], cell.text, "not measured" if found is None else f"{found:.1f} s"

    rows = (row(*where, cell) for where, cell in sorted(CELLS.items(), key=order))
    return table(("link", "fault", "what is seen", "back after"), rows)


def order(item: tuple[tuple[str, str], Cell]) -> tuple[int, int]:
    (link, fault), _ = item
    return list(dict.fromkeys(link for link, _ in CELLS)).index(link), list(FAULTS).index(fault)
