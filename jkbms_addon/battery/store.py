"""The latest of every battery. Sources write it, whoever is interested looks at it on its own clock.

This is the only place that decides who is present. Each part of a snapshot (live, settings, about) has an end of its
own: what has not expired stays, whatever else was lost meanwhile. A battery is present while its live part is.
"""

import asyncio
from collections.abc import Callable, Iterator

from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.snapshot import Key, Snapshot
from jkbms_addon.clock import MONOTONIC


class Store:
    """Snapshots by bus and address. ``changed`` wakes who waits for news; it carries none."""

    def __init__(self, clock: Callable[[], float] = MONOTONIC) -> None:
        self.clock = clock
        self.changed = asyncio.Event()
        self._snapshots: dict[Key, Snapshot] = {}
        self._early: dict[Key, Snapshot] = {}  # of those that have told something, but no live data yet

    def update(self, bus: str, reading: Reading) -> None:
        """Take in what a source was told; readings without an address belong to nobody."""
        if reading.address is None:
            return
        key = (bus, reading.address)
        known = self._snapshots.get(key) or self._early.pop(key, None) or Snapshot(bus, reading.address)
        fresh = known.with_reading(reading, self.clock())
        if key not in self._snapshots and "live" not in fresh.parts:
            self._early[key] = fresh  # only live data that counts makes a device
            return
        self._snapshots[key] = fresh
        self.changed.set()

    def present(self, key: Key) -> bool:
        """Whether a battery is there now: the one answer to this question."""
        snapshot = self._snapshots.get(key)
        return snapshot is not None and snapshot.online(self.clock())

    def get(self, key: Key) -> Snapshot | None:
        """Snapshot of one battery."""
        return self._snapshots.get(key)

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(list(self._snapshots.values()))

    def twins(self) -> list[str]:
        """The same unit seen at several places, in words; told, never merged."""
        places: dict[str, list[str]] = {}
        for snapshot in self:
            about = snapshot.parts.get("about")
            serial = about.values.get("serial_number") if about else None
            if isinstance(serial, str) and serial.strip("0"):
                places.setdefault(serial, []).append(f"{snapshot.bus}/{snapshot.address}")
        return [
            f"the same BMS (serial number {serial}) is seen at {' and '.join(where)}"
            for serial, where in places.items()
            if len(where) > 1
        ]
