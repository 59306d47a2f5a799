"""The fault matrix: what a user sees of each fault on each link, all of it asserted by ``test_matrix.py``."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.tables import table

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
    "name server dead": "name server dead",
    "one address ill": "one address ill",
    "frozen values": "frozen values",
}


# What is published meanwhile, and how it reads.
PUBLISHED = {
    "stay": "batteries stay available",
    "gone": "batteries unavailable",
    "may": "batteries may become unavailable while it lasts",
    "mute": "nothing is published meanwhile",
    "whenever": "published whenever the broker is there",
    "others": "that battery unavailable, the others stay available",
    "named": "goes on with the broker that was named last",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What one fault on one link does. ``says`` is told, ``published`` is a key of ``PUBLISHED``, ``more`` is prose of
    what is asserted elsewhere, ``seconds`` is how long the test lets the fault last.
    """

    says: str = ""
    published: str = "stay"
    more: str = ""
    seconds: float = 14.0

    @property
    def text(self) -> str:
        """For people."""
        parts = [f"“{self.says}”" if self.says else "", PUBLISHED[self.published], self.more]
        return "; ".join(part for part in parts if part)


LINKS = ("serial", "TCP", "CAN in", "CAN out", "MQTT", "Supervisor")
SHORT = 6.0  # s of a fault that nobody need notice
MISSING = "does not exist; is the adapter plugged in?"
REFUSED = "Connection refused"
DEAF = "nothing received: check H and L"
STEADY = "the inverter is told on time"
BROKER = "mqtt: MQTT broker"
DISK = Cell("cannot be written: No space left on device", more="nothing else is lost", seconds=SHORT)
JUMP = Cell(more="ages and incidents go on as if nothing had been", seconds=SHORT)
PAUSED = Cell(published="mute", more="afterwards the inverter is told nothing that had become old")
NAMED = Cell(published="named", more=STEADY)
FOUND = Cell(more=f"what was found before is used, {STEADY}")
CUT = Cell("BMS 2: its answers arrive cut or damaged", "others", more=STEADY, seconds=25)
STILL = Cell("BMS 2: frozen: it has said the very same for a minute", "others", more=STEADY, seconds=75)
IDLE = Cell(more="the age of the inverter's heartbeat grows")

CELLS: dict[tuple[str, str], Cell] = {
    ("serial", "absent"): Cell(MISSING, "gone", seconds=4),
    ("serial", "lost"): Cell(MISSING, "gone"),
    ("serial", "frozen"): Cell("no answer to any question", "gone"),
    ("serial", "flapping"): Cell(MISSING, "may"),
    ("serial", "garbage"): Cell("bytes that are no message of this protocol", "gone"),
    ("serial", "half-open"): Cell("no answer to any question", "gone"),
    ("TCP", "absent"): Cell(REFUSED, "gone", seconds=4),
    ("TCP", "lost"): Cell(REFUSED, "gone"),
    ("TCP", "frozen"): Cell("the gateway sends nothing", "gone", seconds=20),
    ("TCP", "flapping"): Cell(REFUSED, "may"),
    ("TCP", "garbage"): Cell("bytes that are no message of this protocol", "gone"),
    ("TCP", "half-open"): Cell(REFUSED, "gone"),
    ("CAN in", "absent"): Cell(MISSING, "gone", seconds=4),
    ("CAN in", "lost"): Cell(MISSING, "gone"),
    ("CAN in", "frozen"): Cell(DEAF, "gone"),
    ("CAN in", "flapping"): Cell(MISSING, "may"),
    ("CAN in", "garbage"): Cell(DEAF, "gone"),
    ("CAN in", "half-open"): Cell(DEAF, "gone"),
    ("CAN out", "absent"): Cell(MISSING, more="the entity *Emitting* is off", seconds=4),
    ("CAN out", "lost"): Cell(MISSING, more="the entity *Emitting* is off"),
    ("CAN out", "frozen"): IDLE,
    ("CAN out", "flapping"): Cell(MISSING),
    ("CAN out", "garbage"): IDLE,
    ("CAN out", "half-open"): IDLE,
    ("MQTT", "absent"): Cell(REFUSED, "mute", seconds=8),
    **{("MQTT", fault): Cell(BROKER, "mute", STEADY) for fault in ("lost", "frozen", "garbage", "half-open")},
    ("MQTT", "flapping"): Cell(BROKER, "whenever", STEADY),
    ("Supervisor", "absent"): Cell("the Supervisor does not name the MQTT broker", "mute", seconds=8),
    **{("Supervisor", fault): NAMED for fault in ("lost", "frozen", "flapping", "garbage", "half-open")},
    **{(link, "full disk"): DISK for link in LINKS},
    **{(link, "clock jump"): JUMP for link in LINKS},
    **{(link, "paused"): PAUSED for link in LINKS},
    **{(link, "name server dead"): Cell(more=STEADY) for link in ("serial", "CAN in", "CAN out")},
    ("TCP", "name server dead"): FOUND,
    ("MQTT", "name server dead"): Cell(BROKER, "whenever", FOUND.more),
    ("Supervisor", "name server dead"): NAMED,
    **{(link, "one address ill"): CUT for link in LINKS},
    ("CAN in", "one address ill"): Cell("BMS 2: the cells sum to", more=f"that battery does not count, {STEADY}"),
    **{(link, "frozen values"): STILL for link in LINKS},
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
    return LINKS.index(link), list(FAULTS).index(fault)
