"""Renews the tables of the manual: those of the program (``tests.tables``), and those that tests found out (here)."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.benchmarks.figures import FILE as MEASURED
from tests.faults.table import matrix
from tests.tables import INVERTERS, MANUAL, OF_INVERTERS, renewed, table
from tests.tables import TABLES as PROGRAM


def measured() -> dict[str, Any]:
    """What ``python -m tests.benchmarks --record`` has kept."""
    content: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return content


def _figures(row: Mapping[str, Any]) -> tuple[str, ...]:
    return f"{row['cpu']:.1f} %", f"{row['rss']:.0f} MiB", f"{row['messages']:.1f}", f"{row['payload']:.1f} kB"


_HEAD = ("CPU", "memory", "MQTT messages a second", "payload a second")


def _source() -> str:
    machine = measured()["machine"]
    return (
        f"\n\nMeasured on {machine['date']}, {machine['cores']} cores, {machine['architecture']},"
        f" Python {machine['python']}."
    )


def costs() -> str:
    """What the app costs with more and more batteries."""
    rows = ((str(row["batteries"]), *_figures(row)) for row in measured()["costs"])
    return table(("batteries", *_HEAD), rows) + _source()


def strategies() -> str:
    """What the app costs by strategy."""
    rows = ((row["strategy"], str(row["batteries"]), *_figures(row)) for row in measured()["strategies"])
    return table(("strategy", "batteries", *_HEAD), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "costs": costs,
    "strategies": strategies,
    "faults": matrix,
}


def main() -> None:
    """Renew every page of the manual."""
    for page in MANUAL.glob("*.md"):
        tables = OF_INVERTERS if page == INVERTERS else {**PROGRAM, **TABLES}
        page.write_text(renewed(page.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main()
