"""The latest of every battery. Sources write it, whoever is interested looks at it on its own clock."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from jkbms_addon.battery.quantities import Pack, Value, specs, typed
from jkbms_addon.battery.reading import Reading

Key = tuple[str, int]  # bus, address


@dataclass(frozen=True, slots=True)
class Part:
    """The values of one kind of message; times are seconds of the bank's clock."""

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

    @property
    def key(self) -> Key:
        """Bus and address."""
        return self.bus, self.address

    def online(self, now: float) -> bool:
        """Whether the battery's live data may still be shown."""
        live = self.parts.get("live")
        return live is not None and now < live.expires

    def age(self, now: float) -> float | None:
        """Seconds since its last live data."""
        live = self.parts.get("live")
        return None if live is None else now - live.at

    def until(self, now: float) -> float:
        """When something of what is known now expires."""
        return min((part.expires for part in self.parts.values() if part.expires > now), default=float("inf"))

    def values(self, now: float) -> dict[str, Value]:
        """What is known now; nothing of a battery that fell silent."""
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
        # settings may have changed while the battery was away; who it is has not
        kept = self.parts if self.online(now) else {kind: part for kind, part in self.parts.items() if kind == "about"}
        part = Part(reading.values, now, now + reading.valid_for)
        return replace(
            self,
            format=reading.format or self.format,
            alarm_names=reading.alarm_names or self.alarm_names,
            parts=MappingProxyType({**kept, reading.kind: part}),
            count=self.count + (reading.kind == "live"),
        )


class Store:
    """Snapshots by bus and address. ``changed`` wakes who waits for news; it carries none."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.changed = asyncio.Event()
        self._snapshots: dict[Key, Snapshot] = {}

    def update(self, bus: str, reading: Reading) -> None:
        """Take in what a source was told; readings without an address belong to nobody."""
        if reading.address is None:
            return
        key = (bus, reading.address)
        if reading.kind != "live" and key not in self._snapshots:
            return  # only live data makes a device
        known = self._snapshots.get(key) or Snapshot(bus, reading.address)
        self._snapshots[key] = known.with_reading(reading, self.clock())
        self.changed.set()

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
