"""What several wires tell of one battery, as one snapshot. Pure.

Settings and identity are those that were heard last. Live data stays with the wire that tells it as long as that is
fresh, so that values do not leap between two wires, and comes from the freshest one otherwise; what that does not tell
at all, another wire adds as long as it is present. A wire that is silent or does not count adds nothing, and neither
does one whose running time stands still while that of another moves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from operator import is_
from types import MappingProxyType
from typing import Final

from jkbms_addon.battery.snapshot import Key, Part, Snapshot

STAYS: Final = 3.0  # s for which live data stays with its wire although another one is fresher
STEADY: Final = 10.0  # s for which a wire that tells more must have been fresh until it tells the live data again


@dataclass(slots=True)
class Together:
    """One battery with the name of its first wire. Times are s of the store's clock."""

    battery: Key
    _made: Snapshot | None = None
    _of: tuple[Snapshot, ...] = ()
    _until: float = -inf
    _fresh: Mapping[Key, float] = field(default_factory=dict)  # since when each wire has been fresh
    _part: Part | None = None  # the live part that counted last
    _filled: dict[str, tuple[tuple[Part, ...], Part]] = field(default_factory=dict)  # by kind: of what, and made of it

    def snapshot(self, wires: Sequence[Snapshot], now: float) -> Snapshot:
        """The battery as its wires tell it now; at least one of them."""
        of = tuple(wires)
        same = len(of) == len(self._of) and all(map(is_, of, self._of))
        if self._made is None or not same or now >= self._until:
            self._made, self._of = self._join(of, now), of
        return self._made

    def _join(self, wires: tuple[Snapshot, ...], now: float) -> Snapshot:
        present = [one for one in wires if one.online(now)]
        heard = [one for one in present if not one.stands] or present
        self._note(heard, now)
        counting = [one for one in wires if not one.withheld] if heard else wires
        sources = self._sources(heard, counting, now)
        parts = {
            kind: self._part_of(kind, source, heard if kind == "live" else counting, now)
            for kind, source in sources.items()
        }
        live, before = sources.get("live", wires[0]), self._made
        told = live.parts.get("live")
        count = (before.count if before else 0) + (told is not self._part)
        self._part = told
        self._until = min(
            *(one.until(now) for one in wires),
            *(one.parts["live"].at + STAYS for one in heard if one.parts["live"].at + STAYS > now),
            *(since + STEADY for since in self._fresh.values() if since + STEADY > now),
            inf,
        )
        return Snapshot(
            *self.battery,
            live.format,
            live.alarm_names,
            MappingProxyType(parts),
            count,
            "" if heard else next((one.withheld for one in wires if one.withheld), ""),
            MappingProxyType({kind: source.key for kind, source in sources.items()}),
            live.moved,
        )

    def _part_of(self, kind: str, source: Snapshot, wires: Iterable[Snapshot], now: float) -> Part:
        """The part of one wire, filled up by others; the same object as long as nothing in it is new."""
        others = [part for other in wires if other is not source and (part := other.part(kind, now))]
        of = (source.parts[kind], *others)
        before = self._filled.get(kind)
        if before is None or len(before[0]) != len(of) or not all(map(is_, before[0], of)):
            before = self._filled[kind] = of, _filled(*of)
        return before[1]

    def _note(self, heard: Iterable[Snapshot], now: float) -> None:
        fresh = {one.key for one in heard if now - one.parts["live"].at <= STAYS}
        self._fresh = {key: self._fresh.get(key, now) for key in fresh}

    def _sources(self, heard: Sequence[Snapshot], wires: Sequence[Snapshot], now: float) -> dict[str, Snapshot]:
        """Which wire tells each kind of message; what a silent one said of settings and identity holds its time."""
        found = {}
        for kind in dict.fromkeys(kind for one in wires for kind in one.parts):
            telling = [one for one in wires if one.part(kind, now)] or [one for one in wires if kind in one.parts]
            found[kind] = max(telling, key=lambda one: one.parts[kind].at)
            if kind == "live" and heard:
                found[kind] = self._live(heard, max(heard, key=lambda one: one.parts["live"].at), now)
        return found

    def _live(self, telling: Sequence[Snapshot], newest: Snapshot, now: float) -> Snapshot:
        before = self._made.source if self._made else self.battery
        stays = next((one for one in telling if one.key == before and one.key in self._fresh), newest)
        steady = [one for one in telling if now - self._fresh.get(one.key, inf) >= STEADY]
        richer = max(steady, key=_told, default=stays)
        return richer if _told(richer) > _told(stays) else stays


def _told(wire: Snapshot) -> int:
    """How much a wire tells of its battery."""
    return sum(value is not None for value in wire.parts["live"].values.values())


def _filled(part: Part, *others: Part) -> Part:
    """A part with what only others tell; it ends when the first of what it holds does."""
    more, ends = {}, part.expires
    for other in others:
        if lacking := other.values.keys() - part.values.keys():
            more.update({key: other.values[key] for key in lacking})
            ends = min(ends, other.expires)
    return Part({**more, **part.values}, part.at, ends) if more else part
