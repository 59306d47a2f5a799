"""What is to be published now: the bank and the bus states against what was published last. Pure.

Nothing here waits or sends; the owner of the broker asks ``due`` and sends what it gets.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from jkbms_addon.battery.quantities import Scalar, specs
from jkbms_addon.battery.reading import flat
from jkbms_addon.battery.status import WALL, BusStatus
from jkbms_addon.battery.store import Key, Snapshot, Store
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.commands.rules import Range
from jkbms_addon.mqtt.discovery import (
    BATTERY_DIAGNOSTICS,
    BRIDGE,
    Identity,
    Payload,
    Topics,
    battery_payload,
    bridge_payload,
    device_id,
    entity_specs,
    identity,
)

HEALTH_EVERY = 10.0  # seconds; sooner when a bus or a battery changes its state
SETTLING = 1.0  # seconds that Home Assistant may need to subscribe to what was just announced
LEAVES = ("settings", "info")


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish."""

    topic: str
    payload: str
    retain: bool = False


@dataclass(slots=True)
class Announced:
    """A device that was announced: its topic and the platform of each of its components."""

    topic: str
    components: dict[str, str]
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Extra:
    """A device beside the batteries and the bridge, with one state topic; its state is sent when ``news`` changes.

    ``payload`` is None as long as there is nothing to announce. Components whose names begin with ``keeps``
    may be missing for a while.
    """

    device: str
    topic: str
    news: Callable[[], object]
    payload: Callable[[], Payload | None]
    values: Callable[[float], Mapping[str, Scalar]]
    keeps: str = ""


@dataclass(slots=True)
class _Said:
    """What was published of one battery."""

    seen: Snapshot | None = None
    until: float = 0.0  # when what was seen has to be looked at again
    again: float = float("inf")  # when the state is sent once more
    count: int = 0
    available: bool | None = None
    troubled: bool = False
    leaves: dict[str, str] = field(default_factory=dict)
    announcement: tuple[frozenset[str], Identity, dict[str, Range]] | None = None


def encoded(values: Mapping[str, Scalar]) -> str:
    """JSON with on/off as text, the form in which Home Assistant expects it."""
    return json.dumps(
        {key: ("ON" if value else "OFF") if isinstance(value, bool) else value for key, value in values.items()},
        ensure_ascii=False,
        separators=(",", ":"),
    )


class Outbox:
    """Keeps what was said, so that only news is published. Times are seconds of the bank's clock."""

    def __init__(
        self,
        topics: Topics,
        store: Store,
        buses: Mapping[str, BusStatus],
        served: Mapping[str, frozenset[int]],
        announced: dict[str, Announced] | None = None,
        commands: CommandQueue | None = None,
        extras: Sequence[Extra] = (),
        problems: Sequence[str] = (),
    ) -> None:
        self.topics, self._store, self._buses, self._served = topics, store, buses, served
        self._commands, self._extras, self._problems = commands, extras, problems
        self.announced = announced if announced is not None else {}
        self.changed = False  # whether ``announced`` should be saved
        self.sent = float("-inf")  # all that was due at this time has reached the broker
        self._known: dict[Key, frozenset[str]] = {
            device.key: frozenset(still_known(device.components)) - {*BATTERY_DIAGNOSTICS, "last_write"}
            for device in self.announced.values()
            if device.key
        }
        self._cells: dict[Key, int | None] = {}
        self._said: dict[Key, _Said] = {}
        self._shown: dict[str, tuple[Payload, object]] = {}  # of the other devices: announcement and news
        self._greeted = False
        self._health_at = float("-inf")
        self._health_state: object = None

    def forget(self) -> None:
        """Home Assistant or the broker has started: everything is news again."""
        self._said.clear()
        self._shown.clear()
        self._greeted = False
        self._health_at = float("-inf")

    def due(self, now: float) -> list[Message]:
        """Everything that is to be published now, in this order."""
        messages: list[Message] = []
        if not self._greeted:
            messages += self._greeting()
            self._greeted = True
        outcomes = self._outcomes()
        for snapshot in self._store:
            messages += self._battery(snapshot, now)
        messages += outcomes
        for extra in self._extras:
            messages += self._extra(extra, now)
        return messages + self._health(now)

    def _outcomes(self) -> list[Message]:
        """What became of commands; the settings are shown again, so that a refused one springs back."""
        messages = []
        while self._commands and self._commands.outcomes:
            outcome = self._commands.outcomes.popleft()
            key = (outcome.command.bus, outcome.command.address)
            if key in self._said:
                self._said[key].leaves.pop("settings", None)
                self._said[key].seen = None
            event = {"event_type": outcome.result, **outcome.record()}
            messages.append(Message(self.topics.battery(key, "last_write"), _compact(event)))
        return messages

    def _extra(self, extra: Extra, now: float) -> list[Message]:
        before, news = self._shown.get(extra.device), extra.news()
        if before and before[1] == news:
            return []
        payload = extra.payload()
        if payload is None:
            return []
        self._shown[extra.device] = (payload, news)
        changed = before is None or before[0] != payload
        messages = self._announce(extra.device, payload, None, extra.keeps) if changed else []
        return [*messages, Message(extra.topic, encoded(extra.values(now)))]

    def _greeting(self) -> list[Message]:
        messages = self._announce(BRIDGE, bridge_payload(self.topics, self._buses, writing=self._writing()), None)
        for device, known in list(self.announced.items()):
            if known.key and self._ceased(known.key):
                messages += self._remove(device, known.key)
            elif known.key and self._store.get(known.key) is None:
                messages.append(Message(self.topics.battery(known.key, "availability"), "offline", retain=True))
            elif not known.key and device not in (BRIDGE, *(extra.device for extra in self._extras)):
                messages.append(Message(self.announced.pop(device).topic, "", retain=True))
                self.changed = True
        return messages

    def _ceased(self, key: Key) -> bool:
        served = self._served.get(key[0])
        return key[0] not in self._buses or (served is not None and key[1] not in served)

    def _remove(self, device: str, key: Key) -> list[Message]:
        topic = self.announced.pop(device).topic
        self._known.pop(key, None)
        self.changed = True
        leaves = (self.topics.battery(key, leaf) for leaf in ("availability", *LEAVES))
        return [Message(name, "", retain=True) for name in (topic, *leaves)]

    def _battery(self, snapshot: Snapshot, now: float) -> list[Message]:
        said = self._said.setdefault(snapshot.key, _Said())
        if said.seen is snapshot and now < min(said.until, said.again):
            return []
        said.seen, said.until, said.troubled = snapshot, snapshot.until(now), False
        if not snapshot.online(now):
            return self._available(snapshot.key, said, online=False)
        topics: dict[str, dict[str, Scalar]] = {
            name: flat(snapshot.topic(name, now), snapshot.alarm_names) for name in ("state", *LEAVES)
        }
        said.troubled = topics["state"].get("problem") is True
        known = self._entities(snapshot, topics)
        messages = self._announcement(snapshot, said, known, now)
        if messages:
            said.again = now + SETTLING
        messages += self._available(snapshot.key, said, online=True)
        if said.count != snapshot.count or now >= said.again:
            if now >= said.again:
                said.again = float("inf")
            said.count = snapshot.count
            messages.append(self._values(snapshot.key, "state", known, topics["state"]))
        for leaf in LEAVES:
            message = self._values(snapshot.key, leaf, known, topics[leaf])
            if topics[leaf] and said.leaves.get(leaf) != message.payload:
                said.leaves[leaf] = message.payload
                messages.append(message)
        return messages

    def _values(self, key: Key, leaf: str, known: frozenset[str], values: Mapping[str, Scalar]) -> Message:
        """Every key that is known of this battery, null where it is not known now."""
        every = {name: values.get(name) for name in _keys(known, leaf)}
        return Message(self.topics.battery(key, leaf), encoded(every), retain=leaf != "state")

    def _entities(self, snapshot: Snapshot, topics: Mapping[str, Mapping[str, Scalar]]) -> frozenset[str]:
        """Keys that were ever known of this battery, without cells that it does not have."""
        known = self._known.get(snapshot.key, frozenset())
        fresh = {key for values in topics.values() for key, value in values.items() if value is not None}
        live = snapshot.parts.get("live")
        cells = live.values.get("cell_voltage") if live else None
        count = len(cells) if isinstance(cells, tuple) and cells else None
        if not fresh <= known or count != self._cells.get(snapshot.key):
            known = frozenset(key for key in known | fresh if count is None or _cell(key) <= count)
            self._known[snapshot.key], self._cells[snapshot.key] = known, count
        return known

    def _writing(self) -> bool:
        return self._commands is not None and self._commands.level != "off"

    def _announcement(self, snapshot: Snapshot, said: _Said, known: frozenset[str], now: float) -> list[Message]:
        controls = self._commands.controls(snapshot.key, snapshot.values(now)) if self._commands else {}
        wanted = (known, identity(snapshot), {name: limits for name, limits in controls.items() if name in known})
        if said.announcement == wanted:
            return []
        said.announcement = wanted
        payload = battery_payload(self.topics, snapshot.key, *wanted, single_bus=len(self._buses) == 1)
        return self._announce(device_id(snapshot.key), payload, snapshot.key)

    def _announce(self, device: str, payload: Payload, key: Key | None, keeps: str = "") -> list[Message]:
        """The announcement; before it, once, tombstones for what it no longer has."""
        topic = self.topics.config(device)
        components = {name: part["p"] for name, part in payload["components"].items()}
        before = self.announced.get(device)
        gone = {n: {"p": p} for n, p in before.components.items() if components.get(n) != p} if before else {}
        gone = {n: tomb for n, tomb in gone.items() if not keeps or not n.startswith(keeps)}
        messages = []
        if before and before.topic != topic:
            messages.append(Message(before.topic, "", retain=True))
        elif gone:
            buried = {**payload, "components": {**payload["components"], **gone}}
            messages.append(Message(topic, _compact(buried), retain=True))
        if before is None or before.components != components or before.topic != topic:
            self.announced[device] = Announced(topic, components, key)
            self.changed = True
        messages.append(Message(topic, _compact(payload), retain=True))
        return messages

    def _available(self, key: Key, said: _Said, *, online: bool) -> list[Message]:
        if said.available is online:
            return []
        said.available = online
        return [Message(self.topics.battery(key, "availability"), "online" if online else "offline", retain=True)]

    def _health(self, now: float) -> list[Message]:
        state = (
            [(bus.connected, bus.problem, bus.mode) for bus in self._buses.values()],
            self._commands.unlocked if self._commands else None,
            [bms.health(now) for bus in self._buses.values() for bms in bus.batteries.values()],
            [(key, said.available, said.troubled) for key, said in self._said.items()],
        )
        if state == self._health_state and now - self._health_at < HEALTH_EVERY:
            return []
        self._health_state, self._health_at = state, now
        return [Message(self.topics.health, _compact(self.health(now)), retain=True)]

    def health(self, now: float) -> dict[str, Any]:
        """Diagnostics of the buses and of every BMS."""
        problems = [f"bus {name}: {bus.problem}" for name, bus in self._buses.items() if bus.option_error]
        problems += self._problems
        return {
            "any_battery_problem": _on_off(any(said.troubled for said in self._said.values())),
            "configuration_problem": _on_off(bool(problems)),
            "configuration_reason": ("; ".join(problems) or "ok")[:255],
            **({"writing": _on_off(self._commands.unlocked)} if self._commands and self._writing() else {}),
            "same_battery": "; ".join(self._store.twins())[:255],
            "buses": {name: bus_health(bus, now) for name, bus in self._buses.items()},
            "batteries": {
                f"{name}_{address}": {
                    "health": bms.health(now),
                    "age": None if bms.last_frame is None else round(now - bms.last_frame, 1),
                    "latency": None if bms.latency is None else round(bms.latency * 1000),
                    "frames": bms.frames,
                    "failures": bms.failures,
                    "implausible": bms.implausible,
                }
                for name, bus in self._buses.items()
                for address, bms in bus.batteries.items()
            },
        }


def bus_health(bus: BusStatus, now: float) -> dict[str, Scalar]:
    """Diagnostics of one bus; ``since`` is the time of the last change of ``connected``."""
    worst = bus.worst
    return {
        "connected": _on_off(bus.connected),
        "problem": _on_off(bool(bus.problem)),
        "reason": (bus.problem or "ok")[:255],
        "quality": bus.quality.score(now),
        "mode": bus.mode or bus.strategy,
        "worst_incident": f"{worst.seconds:.0f} s: {worst.reason}"[:255] if worst else None,
        "worst_incident_time": _time(worst.began) if worst else None,
        "since": _time(WALL.at(bus.since)),
        "last_error": bus.last_error[:255] or None,
        "strategy": bus.strategy,
        "bytes": bus.bytes,
        "frames": bus.frames,
        "checksum_errors": bus.checksum_errors,
        "implausible": bus.implausible,
        "junk": bus.junk,
        "timeouts": bus.timeouts,
        "reconnects": bus.reconnects,
    }


def _time(seconds: float) -> str:
    """Wall clock time, s since 1970, as Home Assistant reads it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _on_off(state: bool) -> str:  # noqa: FBT001
    return "ON" if state else "OFF"


def _compact(payload: Mapping[str, Any]) -> str:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


_CELL = re.compile(r"cell_(?:voltage|resistance)_(\d+)")


def _cell(key: str) -> int:
    """Number of the cell that a key belongs to; 0 when it belongs to none."""
    match = _CELL.fullmatch(key)
    return int(match[1]) if match else 0


@lru_cache(maxsize=64)
def _keys(known: frozenset[str], leaf: str) -> tuple[str, ...]:
    """The keys that are published on one topic, in the order of the table."""
    table = specs()
    return tuple(key for key in entity_specs(known) if (table[key].topic if key in table else "state") == leaf)


def still_known(components: Mapping[str, str]) -> dict[str, str]:
    """Components of an earlier run that the table still has."""
    table = entity_specs(frozenset(components))
    return {key: kind for key, kind in components.items() if key in table}
