"""The latest of every battery. Sources write it, whoever is interested looks at it on its own clock.

This is the only place that decides who is present. Each part of a snapshot (live, settings, about) has an end of its
own: what has not expired stays, whatever else was lost meanwhile. A battery is present while its live part is.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from types import MappingProxyType
from typing import Final

from jkbms_addon.battery.quantities import Pack, Value, specs, typed
from jkbms_addon.battery.reading import Reading
from jkbms_addon.clock import MONOTONIC

Key = tuple[str, int]  # bus, address
# seconds for which each kind of message holds while nothing newer comes, where its source does not say it
EXPIRY: Final[Mapping[str, float]] = {"live": 30.0, "settings": 180.0, "about": 86400.0}


def lasting(reading: Reading) -> float:
    """Seconds for which a reading holds: always an end, and always one that lies ahead."""
    ends = reading.valid_for
    return ends if isfinite(ends) and ends > 0 else EXPIRY.get(reading.kind, EXPIRY["live"])


@dataclass(frozen=True, slots=True)
class Part:
    """The values of one kind of message; times are seconds of the store's clock."""

    values: Mapping[str, Value]
    at: float
    expires: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is known of one battery at one moment."""

    bus: str
    address: int
    format: str = ""
    alarm_names: tuple[str, ...] = ()
    parts: Mapping[str, Part] = field(default_factory=lambda: MappingProxyType({}))
    count: int = 0  # live readings so far
    withheld: str = ""  # why it does not count although it is heard; empty when it does

    @property
    def key(self) -> Key:
        """Bus and address."""
        return self.bus, self.address

    def part(self, kind: str, now: float) -> Part | None:
        """What one kind of message told, as long as that has not expired."""
        part = self.parts.get(kind)
        return part if part is not None and now < part.expires else None

    def online(self, now: float) -> bool:
        """Whether the battery is present: its live data may still be shown."""
        return not self.withheld and self.part("live", now) is not None

    def absence(self, now: float) -> str:
        """Why it is not present, empty when it is."""
        if self.online(now):
            return ""
        age = self.age(now)
        return self.withheld or ("no data yet" if age is None else f"silent for {age:.0f} s")

    def age(self, now: float) -> float | None:
        """Seconds since its last live data."""
        live = self.parts.get("live")
        return None if live is None else now - live.at

    def until(self, now: float) -> float:
        """When something of what is known now expires."""
        return min((part.expires for part in self.parts.values() if part.expires > now), default=float("inf"))

    def values(self, now: float) -> dict[str, Value]:
        """What is known now; nothing of a battery that is not present."""
        if not self.online(now):
            return {}
        return {key: value for part in self.parts.values() if now < part.expires for key, value in part.values.items()}

    def topic(self, topic: str, now: float) -> dict[str, Value]:
        """The values that belong to one of the topics ``state``, ``settings`` and ``info``."""
        table = specs()
        return {
            key: value
            for key, value in self.values(now).items()
            if (key == "alarms" and topic == "state") or (key in table and table[key].topic == topic)
        }

    def pack(self, now: float) -> Pack:
        """Typed and checked, for whoever decides about hundreds of amperes; ``ValueError`` names a wrong key."""
        return typed(self.values(now))

    def with_reading(self, reading: Reading, now: float) -> "Snapshot":
        """The same battery after one more reading."""
        if reading.withheld:
            return self if self.withheld == reading.withheld else replace(self, withheld=reading.withheld)
        live = reading.kind == "live"
        part = Part(reading.values, now, now + lasting(reading))
        return replace(
            self,
            format=reading.format or self.format,
            alarm_names=reading.alarm_names or self.alarm_names,
            parts=MappingProxyType({**self.parts, reading.kind: part}),
            count=self.count + live,
            withheld="" if live else self.withheld,
        )


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
