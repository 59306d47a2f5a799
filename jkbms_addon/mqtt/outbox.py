"""What is to be published now: the store and the bus states against what was published last. Pure.

Nothing here waits or sends; the owner of the broker asks ``due`` and sends what it gets. A reading costs what is new
in it: parts that did not change are not flattened again, ranges of settings are worked out anew with new settings,
an announcement is made anew when something in it differs.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_
from typing import Any, Final

from jkbms_addon.battery.quantities import Scalar
from jkbms_addon.battery.snapshot import Key, Part, Snapshot, label
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.commands.rules import Range
from jkbms_addon.mqtt.discovery import BRIDGE, Topics
from jkbms_addon.mqtt.register import Announced, Message, Register
from jkbms_addon.mqtt.sheet import Sheet, compact, encoded
from jkbms_addon.views.battery import (
    LAST_CHANGE,
    LAST_WRITE,
    LEAVES,
    Values,
    battery,
    cell,
    columns,
    identity,
    in_words,
    table,
    word,
)
from jkbms_addon.views.entities import Device, Identity, Shown, specs_of
from jkbms_addon.views.findings import Finding
from jkbms_addon.views.health import Summary, bridge, overview
from jkbms_addon.views.languages import Language
from jkbms_addon.views.quiet import SUMS, Calm

_LOGGER = logging.getLogger(__name__)
HEALTH_EVERY = 10.0  # seconds; sooner when a bus or a battery changes its state
SETTLING = 1.0  # seconds that Home Assistant may need to subscribe to what was just announced
PATIENCE = 60.0  # seconds after the start until a battery of an earlier run that is not heard is lost
MORE_EVERY = 5.0  # seconds between two looks at what is known beside the readings
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Detail:
    """How it is told: ``calm`` holds values back that hardly moved, ``raw`` adds every reading as it came."""

    calm: bool = True
    raw: bool = False
    language: Language = "en"


CALM: Final = Detail()


@dataclass(slots=True)
class _Said:
    """What was published of one battery."""

    seen: Snapshot | None = None
    until: float = 0.0  # when what was seen has to be looked at again
    again: float = NEVER  # when the state is sent once more
    count: int = 0
    available: bool | None = None
    more: dict[str, Scalar] = field(default_factory=dict)  # beside what its readings tell
    more_at: float = float("-inf")
    raised: bool = False  # an alarm that it has not taken back, even if it fell silent since
    dismissed: bool = False  # its device was deleted while it was silent
    leaves: dict[str, dict[str, Scalar]] = field(default_factory=dict)
    announcement: tuple[frozenset[str], Identity, dict[str, Range]] | None = None
    based_on: tuple[object, ...] = ()  # what the announcement was made of
    values: Values = field(default_factory=Values)
    calm: Calm = field(default_factory=lambda: Calm(table()))
    known: frozenset[str] | None = None
    sheets: dict[str, Sheet] = field(default_factory=dict)
    cells: int | None = None
    parts: tuple[Part, ...] = ()  # without the live one; what may be changed depends on them
    controls: dict[str, Range] = field(default_factory=dict)


class Outbox:
    """Keeps what was said, so that only news is published. Times are seconds of the store's clock."""

    def __init__(
        self,
        topics: Topics,
        store: Store,
        buses: Mapping[str, BusStatus],
        served: Mapping[str, frozenset[int]],
        announced: dict[str, Announced] | None = None,
        commands: CommandQueue | None = None,
        others: Sequence[Shown] = (),
        problems: Sequence[str] = (),
        findings: Callable[[], Sequence[Finding]] = tuple,
        *,
        detail: Detail = CALM,
        more: Callable[[Key], Mapping[str, Scalar]] | None = None,
    ) -> None:
        self.topics, self._store, self._buses, self._served = topics, store, buses, served
        self._commands, self._others, self._problems = commands, others, tuple(problems)
        self._detail, self._more = detail, more  # how much is told, and what is known of a battery beside its readings
        self._findings = findings
        self.register = Register(topics, detail.language, announced if announced is not None else {})
        self.sent = float("-inf")  # all that was due at this time has reached the broker
        self._said: dict[Key, _Said] = {}
        self._earlier: dict[Key, frozenset[str]] = {
            device.key: frozenset(still_known(device.components))
            for device in self.register.announced.values()
            if device.key
        }
        self._shown: dict[str, tuple[Device, object]] = {}  # of the other devices, with their news
        self._calms: dict[str, Calm] = {}
        self._texts: dict[str, str] = {}  # what was said last of the other devices
        self._settles: dict[str, float] = {}  # when that is said once more
        self._greeted = self._bridge_told = False
        self._cursor = 0  # in the log of outcomes
        self._health_at = float("-inf")
        self._health_state: object = None
        self._began = store.clock()

    def forget(self) -> None:
        """Home Assistant or the broker has started: everything is news again."""
        for said in self._said.values():
            said.seen, said.count, said.available, said.announcement = None, 0, None, None
            said.leaves.clear()
        self._shown.clear()
        self._texts.clear()
        self._settles.clear()
        self._greeted = self._bridge_told = False
        self._health_at = float("-inf")

    def is_ours(self, topic: str) -> bool:
        """Whether nobody else may say something on a retained topic."""
        return topic in (self.topics.bridge_state, self.topics.instance) or topic in self.register.configs

    def again(self, topic: str) -> None:
        """An announcement is news once more; that of a battery that is silent waits until it speaks."""
        device = self.register.configs.get(topic)
        if device == BRIDGE:
            self._bridge_told = False
        self._shown.pop(device or "", None)
        for key, said in self._said.items():
            if word(key) == device:
                said.seen, said.announcement = None, None
                said.dismissed = said.available is False

    def due(self, now: float) -> list[Message]:
        """Everything that is to be published now, in this order."""
        messages: list[Message] = []
        if not self._bridge_told:
            messages += self.register.announce(bridge(self._buses, writing=self._writing()), None)
            self._bridge_told = True
        if not self._greeted:
            messages += self._greeting()
            self._greeted = True
        outcomes = self._outcomes()
        messages += self._joined()
        for snapshot in self._store:
            said = self._said.get(snapshot.key)
            if said is None:
                said = self._said[snapshot.key] = _Said(known=self._earlier.get(snapshot.key))
            if said.seen is not snapshot or now >= said.until or now >= said.again:
                messages += self._battery(snapshot, said, now)
        messages += outcomes
        for other in self._others:
            messages += self._other(other, now)
        return messages + self._health(now)

    def _outcomes(self) -> list[Message]:
        """What became of commands; the settings are shown again, so that a refused one springs back."""
        messages: list[Message] = []
        if self._commands is None:
            return messages
        self._cursor, outcomes = self._commands.outcomes.after(self._cursor)
        for outcome in outcomes:
            key = outcome.command.battery_key
            if key in self._said:
                self._said[key].leaves.pop("settings", None)
                self._said[key].seen = None
                self._said[key].count = 0
                self._said[key].more = self._said[key].more | {LAST_CHANGE: in_words(outcome)}
            event = {"event_type": outcome.result, **outcome.record()}
            messages.append(Message(self.topics.battery(key, LAST_WRITE), compact(event)))
        return messages

    # --- devices beside the batteries --------------------------------------------------------------------
    def _other(self, other: Shown, now: float) -> list[Message]:
        before, news = self._shown.get(other.word), other.news()
        if now >= self._settles.get(other.word, NEVER):  # Home Assistant may only now have subscribed
            del self._settles[other.word], self._texts[other.word]
        elif before and before[1] == news:
            return []
        device = other.device()
        if device is None:
            return []
        self._shown[other.word] = (device, news)
        changed = before is None or before[0] != device
        messages = self.register.announce(device, None, other.keeps) if changed else []
        values = other.values(now)
        if self._detail.calm:
            calm = self._calms.setdefault(other.word, Calm(specs_of(device), SUMS))
            values = calm.told(values, now)
        text = encoded(values)
        if changed:
            self._settles[other.word] = now + SETTLING
        if changed or self._texts.get(other.word) != text:
            self._texts[other.word] = text
            messages.append(Message(self.topics.of(device.place, "state"), text))
        return messages

    def _greeting(self) -> list[Message]:
        messages = []
        ours = {self.topics.identifier(name) for name in (BRIDGE, *(other.word for other in self._others))}
        for device, known in list(self.register.announced.items()):
            if known.key and device != self.topics.identifier(word(known.key)):
                messages += self.register.rename(device)
            elif known.key and self._ceased(known.key):
                messages += self.register.remove(known.key)
                self._earlier.pop(known.key, None)
            elif known.key and self._store.get(known.key) is None:
                messages.append(Message(self.topics.battery(known.key, "availability"), "offline", retain=True))
            elif not known.key and device not in ours:
                messages += self.register.rename(device)
        return messages

    def _ceased(self, battery: Key) -> bool:
        """Whether no wire of the options leads to a battery any more."""
        return not any(map(self._serves, self._store.identity.wires(battery)))

    def _serves(self, wire: Key) -> bool:
        served = self._served.get(wire[0])
        return wire[0] in self._buses and (served is None or wire[1] in served)

    def _joined(self) -> list[Message]:
        """Devices of batteries that turned out to be others are taken back, once."""
        identity, messages = self._store.identity, list[Message]()
        for key in [key for key in {**self._said, **self._earlier} if identity.battery(key) != key]:
            self._said.pop(key, None)
            if self.topics.identifier(word(key)) in self.register.announced:
                told = label(key), label(identity.battery(key))
                _LOGGER.info("mqtt: the device of %s is removed: that battery is the one of %s", *told)
                messages += self.register.remove(key)
            self._earlier.pop(key, None)
        return messages

    # --- batteries -----------------------------------------------------------------------------------------
    def _battery(self, snapshot: Snapshot, said: _Said, now: float) -> list[Message]:
        said.seen, said.until = snapshot, snapshot.until(now)
        if not snapshot.online(now):
            return self._available(snapshot.key, said, online=False)
        values = said.values.of(snapshot, now)
        values["state"] = {**values["state"], **self._beside(snapshot.key, said, now)}
        said.raised, said.dismissed = values["state"].get("problem") is True, False
        known = self._keys(snapshot, said, values)
        messages = self._announcement(snapshot, said, known, now)
        if messages:
            said.again = now + SETTLING
        messages += self._available(snapshot.key, said, online=True)
        if said.count != snapshot.count or now >= said.again:
            if now >= said.again:
                said.again = NEVER
            if self._detail.raw and said.count != snapshot.count:
                messages.append(Message(self.topics.battery(snapshot.key, "raw"), encoded(values["state"])))
            said.count = snapshot.count
            messages.append(self._part(snapshot.key, said, "state", self._calm(said, values["state"], now)))
        for leaf in LEAVES:
            fresh = values[leaf]
            before = said.leaves.get(leaf)
            # settings may have been changed while nobody heard them; who a battery is does not age
            if fresh is not before and (fresh or (before and leaf == "settings")):
                said.leaves[leaf] = fresh
                if fresh != before:
                    messages.append(self._part(snapshot.key, said, leaf, fresh))
        return messages

    def _beside(self, key: Key, said: _Said, now: float) -> Mapping[str, Scalar]:
        """What is known of a battery that its readings do not tell; looked at now and then."""
        if now >= said.more_at:
            said.more_at = now + MORE_EVERY
            if self._more:
                said.more = {**said.more, **self._more(key)}
            if self._commands and self._commands.changeable(key):
                said.more.setdefault(LAST_CHANGE, "none")
        return said.more

    def _calm(self, said: _Said, values: Mapping[str, Scalar], now: float) -> Mapping[str, Scalar]:
        return said.calm.told(values, now) if self._detail.calm else values

    def _part(self, key: Key, said: _Said, leaf: str, values: Mapping[str, Scalar]) -> Message:
        """Every key that is known of this battery, null where it is not known now."""
        return Message(self.topics.battery(key, leaf), said.sheets[leaf].text(values), retain=leaf != "state")

    def _keys(self, snapshot: Snapshot, said: _Said, values: Mapping[str, Mapping[str, Scalar]]) -> frozenset[str]:
        """Keys that were ever known of this battery, without cells that it does not have."""
        known = said.known if said.known is not None else frozenset()
        live = snapshot.parts.get("live")
        listed = live.values.get("cell_voltage") if live else None
        count = len(listed) if isinstance(listed, tuple) and listed else None
        if count != said.cells or not said.sheets or not all(part.keys() <= known for part in values.values()):
            known = frozenset(key for key in known.union(*values.values()) if count is None or cell(key) <= count)
            said.known, said.cells = known, count
            said.sheets = {part: Sheet(columns(known, part)) for part in values}
        return known

    def _writing(self) -> bool:
        return self._commands is not None and self._commands.level != "off"

    def _controls(self, snapshot: Snapshot, said: _Said, now: float) -> dict[str, Range]:
        """Ranges of what may be changed; worked out when something other than live data is new."""
        if self._commands is None:
            return said.controls
        parts = tuple(part for kind, part in snapshot.parts.items() if kind != "live" and now < part.expires)
        if parts != said.parts or said.announcement is None:
            said.parts = parts
            said.controls = self._commands.controls(snapshot.key, snapshot.values(now))
        return said.controls

    def _announcement(self, snapshot: Snapshot, said: _Said, known: frozenset[str], now: float) -> list[Message]:
        controls = self._controls(snapshot, said, now)
        based_on = (known, snapshot.parts.get("about"), controls)
        if said.announcement and all(map(is_, based_on, said.based_on)):
            return []
        said.based_on = based_on
        wanted = (known, identity(snapshot), {name: limits for name, limits in controls.items() if name in known})
        if said.announcement == wanted:
            return []
        said.announcement = wanted
        device = battery(snapshot.key, *wanted, plain=self.register.plain(snapshot.key))
        return self.register.announce(device, snapshot.key)

    def _available(self, key: Key, said: _Said, *, online: bool) -> list[Message]:
        if said.available is online:
            return []
        said.available = online
        return [Message(self.topics.battery(key, "availability"), "online" if online else "offline", retain=True)]

    def _patient(self, now: float) -> bool:
        """Whether a battery of an earlier run may still be on its way."""
        return now - self._began < PATIENCE

    # --- health --------------------------------------------------------------------------------------------
    def _health(self, now: float) -> list[Message]:
        state = (
            [(bus.connected, bus.problem, bus.mode) for bus in self._buses.values()],
            self._commands.unlocked if self._commands else None,
            [
                (self._well(name, address, now), self._buses[name].bms(address).problem)
                for name, address in self._bmss()
            ],
            [(key, said.available, said.raised, said.dismissed) for key, said in self._said.items()],
            self._patient(now),
            [finding.text for finding in self._findings()],
        )
        if state == self._health_state and now - self._health_at < HEALTH_EVERY:
            return []
        self._health_state, self._health_at = state, now
        return [Message(self.topics.health, compact(self.health(now)), retain=True)]

    def _bmss(self) -> list[Key]:
        return [(name, address) for name, bus in self._buses.items() for address in bus.batteries]

    def _well(self, name: str, address: int, now: float) -> str:
        """How one BMS is doing; whether it is there the store says."""
        return self._buses[name].bms(address).health(now, present=self._store.present((name, address)))

    def health(self, now: float) -> dict[str, Any]:
        """Diagnostics of the whole, of the buses and of every BMS."""
        earlier = dict.fromkeys(self._earlier, None if self._patient(now) else False)
        known = {key: said for key, said in self._said.items() if not said.dismissed}
        summary = Summary(
            earlier | {key: said.available for key, said in known.items()},
            frozenset(key for key, said in known.items() if said.raised),
            self._problems,
            tuple(self._store.twins()),
            self._commands.unlocked if self._commands and self._writing() else None,
            self._findings(),
            {one.key: one.source for one in self._store if one.source != one.key},
        )
        told = overview(self._buses, summary, now, self._store.present)
        if self._detail.calm:
            for name, bus in told["buses"].items():
                calm = self._calms.setdefault(f"bus {name}", Calm({}))
                bus["quality"] = calm.told({"quality": bus["quality"]}, now)["quality"]
        return told


def still_known(components: Mapping[str, str]) -> dict[str, str]:
    """Components of an earlier run that the table still has."""
    rows = table()
    return {key: kind for key, kind in components.items() if key in rows}
