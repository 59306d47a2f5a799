"""All that is known of one battery at one moment: parts that its messages told, each with an end of its own. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from types import MappingProxyType
from typing import Final

from jkbms_addon.battery.quantities import Pack, Value, specs, typed
from jkbms_addon.battery.reading import Reading, number

Key = tuple[str, int]  # bus, address


def label(key: Key) -> str:
    """A battery or a wire as it is written: ``bus/address``."""
    return f"{key[0]}/{key[1]}"


def key_of(text: str) -> Key:
    """The other way round; ``ValueError`` where that is none."""
    bus, _, address = text.rpartition("/")
    return bus, int(address)


# seconds for which each kind of message holds while nothing newer comes, where its source does not say it
EXPIRY: Final[Mapping[str, float]] = {"live": 30.0, "settings": 180.0, "about": 86400.0}


STANDS: Final = 2.0  # s; the running time of a sound unit moves every second


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
    sources: Mapping[str, Key] = field(default_factory=lambda: MappingProxyType({}))  # where several wires tell it
    moved: float = 0.0  # when its running time was another one than before; s of the store's clock
    read_only: str = ""  # of a wire: why nothing can be changed over it, whatever its strategy can

    @property
    def source(self) -> Key:
        """The wire that tells its live data."""
        return self.sources.get("live", self.key)

    @property
    def stands(self) -> bool:
        """Whether it told the same running time for longer than that can be; a clock of minutes never does."""
        live = self.parts.get("live")
        return live is not None and self.format != "ttl" and live.at - self.moved > STANDS

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
            moved=now if live and self._moves(reading) else self.moved,
            read_only=reading.read_only,
        )

    def _moves(self, reading: Reading) -> bool:
        runtime, before = number(reading.values, "total_runtime"), self.parts.get("live")
        return runtime is None or before is None or runtime != before.values.get("total_runtime")
