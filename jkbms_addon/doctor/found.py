"""What a scan found, as a table and as an entry for the options. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.sight import Sight, looked, serial_of

Mode = Literal["asked", "heard", "master"]
HEAD = ("address", "model", "firmware", "serial number", "cells", "voltage", "latency", "mode")


@dataclass(slots=True)
class Found:
    """One BMS. ``latency`` is in s; ``kinds`` counts its readings by kind."""

    address: int | None
    mode: Mode
    values: dict[str, Value] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    latency: float | None = None
    at: float = 0.0  # when its live data was heard last, monotonic s

    def tell(self, reading: Reading, at: float) -> None:
        """Take in one more reading, heard at this time."""
        self.at = at if reading.kind == "live" else self.at
        self.values.update(reading.values)
        self.kinds[reading.kind] = self.kinds.get(reading.kind, 0) + 1
        if reading.latency is not None:
            self.latency = reading.latency

    def sight(self, bus: str) -> Sight:
        """What it says of its battery, on the bus of this name."""
        wire = (bus, 0 if self.address is None else self.address)
        return replace(looked(wire, self.at, self.values, coarse=self.address is None), serial=serial_of(self.values))

    def row(self) -> tuple[str, ...]:
        """Cells of the table; a dash where nothing is known."""
        cells, voltage = self.values.get("cell_voltage"), self.values.get("total_voltage")
        return (
            _text(self.address),
            *(_text(self.values.get(key)) for key in ("model", "software_version", "serial_number")),
            str(len(cells)) if isinstance(cells, tuple) else "-",
            f"{voltage:.2f} V" if isinstance(voltage, (int, float)) else "-",
            f"{self.latency * 1000:.0f} ms" if self.latency is not None else "-",
            self.mode,
        )


def _text(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


def table(found: Iterable[Found]) -> str:
    """One line for each BMS, in columns."""
    return columns([HEAD, *(one.row() for one in found)])


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of a table, the head first."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def ranges(addresses: Iterable[int]) -> str:
    """Addresses in the short form of the options: ``1-3,7``."""
    parts: list[list[int]] = []
    for address in sorted(addresses):
        if parts and address == parts[-1][1] + 1:
            parts[-1][1] = address
        else:
            parts.append([address, address])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def entry(strategy: str, link: Mapping[str, str | int], addresses: Iterable[int]) -> dict[str, str | int]:
    """A bus of the options: ``strategy`` is one for a serial port; behind a gateway it is told in its way.

    ``link`` holds ``port``, or ``host`` and ``tcp_port``.
    """
    name = "ttl" if strategy == "ttl" else "rs485"
    bus: dict[str, str | int] = {"name": name, "strategy": strategy, **link}
    if "host" in link and strategy in ("master", "listen"):
        bus["strategy"], bus["mode"] = "gateway", "poll" if strategy == "master" else "listen"
    if strategy in ("master", "auto"):
        bus["addresses"] = ranges(addresses)
    return bus


def yaml(*buses: Mapping[str, str | int]) -> str:
    """The section ``buses`` of the options."""
    words = ("name", "strategy", "mode")
    # quoted, as a host or an address may look like a number; JSON texts are YAML texts, too
    entries = [
        [f"{key}: {value if key in words else json.dumps(value)}" for key, value in bus.items()] for bus in buses
    ]
    return "buses:\n" + "\n".join("  - " + "\n    ".join(lines) for lines in entries)
