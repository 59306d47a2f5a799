"""The latest of every battery. Sources write it, whoever is interested looks at it on its own clock.

This is the only place that decides who is present. Each part of a snapshot (live, settings, about) has an end of its
own: what has not expired stays, whatever else was lost meanwhile. A battery is present while its live part is.
Sources tell of *wires*, everybody else is shown *batteries*: what several wires tell of one is one snapshot.
"""

import asyncio
from collections.abc import Callable, Iterator

from jkbms_addon.battery.identity import Identity
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.sight import sight
from jkbms_addon.battery.snapshot import Key, Snapshot
from jkbms_addon.battery.together import Together
from jkbms_addon.clock import MONOTONIC


class Store:
    """Snapshots of wires and batteries. ``changed`` wakes who waits for news; it carries none."""

    def __init__(self, clock: Callable[[], float] = MONOTONIC, identity: Identity | None = None) -> None:
        self.clock, self.identity = clock, identity or Identity()
        self.changed = asyncio.Event()
        self._snapshots: dict[Key, Snapshot] = {}
        self._early: dict[Key, Snapshot] = {}  # of those that have told something, but no live data yet
        self._together: dict[Key, Together] = {}  # of batteries with several wires, or by the name of another one

    def update(self, bus: str, reading: Reading) -> None:
        """Take in what a source was told; readings without an address belong to nobody."""
        if reading.address is None:
            return
        key, now = (bus, reading.address), self.clock()
        known = self._snapshots.get(key) or self._early.pop(key, None) or Snapshot(bus, reading.address)
        fresh = known.with_reading(reading, now)
        if key not in self._snapshots and "live" not in fresh.parts:
            self._early[key] = fresh  # only live data that counts makes a device
            return
        self._snapshots[key] = fresh
        if reading.kind == "live" and (seen := sight(fresh, now)):
            self.identity.heard(seen)
        self.changed.set()

    # --- wires ----------------------------------------------------------------------------------------------
    def present(self, wire: Key) -> bool:
        """Whether a wire tells of a battery that is there now."""
        snapshot = self._snapshots.get(wire)
        return snapshot is not None and snapshot.online(self.clock())

    def wire(self, wire: Key) -> Snapshot | None:
        """What one wire alone tells."""
        return self._snapshots.get(wire)

    def wires(self, battery: Key) -> list[Snapshot]:
        """What each wire of a battery tells that was ever heard."""
        found = map(self._snapshots.get, self.identity.wires(self.identity.battery(battery)))
        return [snapshot for snapshot in found if snapshot]

    def on(self, bus: str) -> list[Snapshot]:
        """What the wires of one bus tell."""
        return [snapshot for key, snapshot in self._snapshots.items() if key[0] == bus]

    # --- batteries ------------------------------------------------------------------------------------------
    def get(self, key: Key) -> Snapshot | None:
        """Snapshot of one battery, by its name or one of its wires."""
        battery = self.identity.battery(key)
        if len(self.identity.wires(battery)) == 1:
            self._together.pop(battery, None)
            return self._snapshots.get(battery)
        wires = self.wires(battery)
        if not wires:
            return None
        together = self._together.get(battery)
        if together is None:
            together = self._together[battery] = Together(battery)
        return together.snapshot(wires, self.clock())

    def __iter__(self) -> Iterator[Snapshot]:
        names = dict.fromkeys(map(self.identity.battery, self._snapshots))
        return iter([snapshot for name in names if (snapshot := self.get(name))])

    def twins(self) -> list[str]:
        """Units that cannot be told apart, in words."""
        return self.identity.notes()
