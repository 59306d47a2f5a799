"""How figures are taken, shown and kept. Nothing here asserts; goals are printed beside."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("measured.json")
Action = Callable[[], object]
RUNS = 7  # of which the median counts
kept: list[dict[str, Any]] = []


def show(name: str, value: float, unit: str, goal: float | None = None) -> None:
    """One figure as a JSON line; kept, too, for ``--record``."""
    figure = {"name": name, "value": round(value, 4), "unit": unit, "goal": goal}
    kept.append(figure)
    print(json.dumps(figure), flush=True)


def once(action: Action, count: int) -> float:
    """Microseconds of processor time that one of ``count`` calls took; the machine may be shared."""
    start = time.process_time()
    for _ in range(count):
        action()
    return (time.process_time() - start) / count * 1e6


def microseconds(action: Action, count: int = 4000) -> float:
    """Median of some runs."""
    return statistics.median(once(action, count) for _ in range(RUNS))


def against(action: Action, floor: Action, count: int = 2000) -> float:
    """How many times as long as the floor an action takes; in turns, so that a neighbour disturbs both."""
    return statistics.median(once(action, count) / once(floor, count) for _ in range(2 * RUNS + 1))


def machine() -> dict[str, Any]:
    """What the figures were taken on, without anything that names it."""
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def record(costs: list[dict[str, Any]], strategies: list[dict[str, Any]]) -> None:
    """Write what was measured; DOCS.md shows it."""
    whole = {"machine": machine(), "costs": costs, "strategies": strategies, "figures": kept}
    FILE.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
