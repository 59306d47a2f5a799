"""Where commands arrive: they are checked, wait for the owner of their bus, and every attempt is written down.

Theory of operation. A command is *asked* for by MQTT, the page or the command line. It is refused at once, or it
*waits* in the queue of the bus of its wire, at most ``MAX_AGE`` seconds. The owner of the bus takes one after the other
and looks at the permission again, right before every write, too: lock, level, age, that the battery is the one that was
there, and that the wire leads to it. The queue is emptied when the lock is set and when the link is lost, and every
command in it is told. What is *begun* is on disk before the first byte goes out; what an earlier run left unfinished is
told at the start, and closed when the value is read. Outcomes are numbered, and every reader has its own cursor.
Nothing here touches a wire.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.snapshot import Key, label
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.audit import Intent
from jkbms_addon.commands.command import (
    DONE,
    LONGEST,
    SOURCE,
    Command,
    Outcome,
    OutcomeLog,
    identity_of,
    shortened,
    spelt,
    value_of,
)
from jkbms_addon.commands.routes import Routes
from jkbms_addon.commands.rules import Range, allowed_ranges, check_seen, checked, permitted, same
from jkbms_addon.errors import CommandError

_LOGGER = logging.getLogger(__name__)
WAITING: Final = 32  # commands per bus
MAX_AGE: Final = 10.0  # seconds from the wish to the deed
BURST, PER_SECOND = 100, 1.0  # refused commands that are logged and written down; more are only counted
ENDED: Final = "the program ended before it was verified"
LOCKED: Final = "writing is locked: switch on 'Writing' of the bridge"
Lock = Callable[[], bool]


class Record(Protocol):
    """Where attempts are written down."""

    async def begin(self, command: Command, before: Value) -> str:
        """Put on disk that a change begins; its id. ``CommandError`` when that cannot be done."""

    def note(self, outcome: Outcome, intent: str = "") -> None:
        """Write down what became of a command."""

    async def unfinished(self) -> list[Intent]:
        """Changes of earlier runs of which only the beginning is on file."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command in the queue; ``unlocked`` tells whether its lock is open, ``locked`` is said when it is not."""

    command: Command
    unlocked: Lock
    locked: str = LOCKED


class CommandQueue:
    """Takes commands in. ``writable`` are the settings that the strategy of a bus can change.

    ``chemistry`` is the owner's word for the cells, the strongest evidence there is.
    """

    def __init__(
        self,
        level: str,
        store: Store,
        writable: Mapping[str, frozenset[str]],
        audit: Record,
        *,
        unlocked: bool = False,
        chemistry: str | None = None,
    ) -> None:
        self.level, self.chemistry = level, chemistry
        self._store, self._audit = store, audit
        self.routes = Routes(store, writable, lambda bus: bus not in self._links)
        self.unlocked = unlocked and level != "off"
        self.outcomes = OutcomeLog()
        self._queues: dict[str, deque[Waiting]] = {bus: deque() for bus in writable}
        self._links: dict[str, str] = {}  # buses whose link is lost, and why
        self._unfinished: list[Intent] = []
        self._allowance, self._counted, self._unsaid = float(BURST), store.clock(), 0

    @property
    def clock(self) -> Callable[[], float]:
        """The clock that dates what is asked for and read, in s."""
        return self._store.clock

    # --- for who shows --------------------------------------------------------------------------------
    def controls(self, key: Key, values: Mapping[str, Value]) -> dict[str, Range]:
        """The settings of a BMS that may be changed, with their ranges for this battery."""
        names = sorted(name for name in self.routes.settings(key) if permitted(name, self.level))
        return allowed_ranges(names, values, self.chemistry)

    def changeable(self, key: Key) -> bool:
        """Whether anything of a battery may be changed at all."""
        return any(permitted(name, self.level) for name in self.routes.settings(key))

    def waiting(self, bus: str) -> int:
        """How many commands wait for the owner of a bus."""
        return len(self._queues.get(bus, ()))

    # --- for who asks ---------------------------------------------------------------------------------
    def ask(
        self,
        bus: str,
        address: int,
        key: str,
        payload: str,
        source: str,
        *,
        retained: bool = False,
        lock: Lock | None = None,
    ) -> None:
        """Queue what a text asks for, or refuse it at once; ``lock`` stands for the switch *Writing*."""
        now, where = self._store.clock(), shortened(source, SOURCE)
        asked = self._routed(Command(bus, address, shortened(key, LONGEST), shortened(payload), now, where))
        if retained:
            # by whoever published it the topic must be found again
            reason = "the command was retained; publish it without the retain flag"
            self.done(Outcome(asked, "refused", reason))
            return
        try:
            # without permission nobody is told what a value should look like
            waiting = Waiting(asked, lock or self._open)
            self.permit(waiting)
            waiting = replace(waiting, command=replace(asked, value=value_of(key, payload)))
        except CommandError as error:
            self.done(Outcome(asked, "refused", str(error)))
        else:
            self._queue(waiting)

    def take(self, command: Command, *, lock: Lock | None = None, locked: str = LOCKED) -> None:
        """Queue a command, or refuse it at once; ``lock`` instead of the switch *Writing*, and what to say of it."""
        self._queue(Waiting(self._routed(command), lock or self._open, locked))

    def _queue(self, waiting: Waiting) -> None:
        command = waiting.command
        try:
            self.permit(waiting)
            values = self.known(command)
            checked(command.key, command.value, values, self.chemistry)
            check_seen(command.key, command.seen, values.get(command.key))
        except CommandError as error:
            self.done(Outcome(command, "refused", str(error)))
            return
        queue = self._queues[command.wire[0]]
        if len(queue) >= WAITING:
            self.done(Outcome(command, "refused", "busy: too many commands are waiting"))
        else:
            queue.append(replace(waiting, command=replace(command, battery=identity_of(values))))

    def _routed(self, command: Command) -> Command:
        """The command under its battery's name, with the wire that it takes."""
        battery = self._store.identity.battery(command.battery_key)
        wire = self.routes.wire(battery, command.key)
        return replace(command, bus=battery[0], address=battery[1], via=None if wire == battery else wire)

    def _open(self) -> bool:
        return self.unlocked

    # --- permission -------------------------------------------------------------------------------------
    def known(self, command: Command) -> dict[str, Value]:
        """What is known of the battery now; nothing when it is silent."""
        snapshot = self._store.get(command.battery_key)
        return snapshot.values(self._store.clock()) if snapshot else {}

    def forbidden(self, battery: Key, key: str) -> str:
        """Why a setting of a battery may not be changed, whatever the lock; empty when it may."""
        if self.level == "off":
            return "writing is off: see the option writes.level"
        if key not in self.routes.settings(battery):
            return self.routes.why_not(battery, key)
        return "" if permitted(key, self.level) else f"{key} is not allowed by writes.level {self.level}"

    def permit(self, waiting: Waiting) -> None:
        """Refuse (``CommandError``) what may not be done now, asked for again right before the deed."""
        command, now = waiting.command, self._store.clock()
        if self.level != "off" and not waiting.unlocked():
            raise CommandError(waiting.locked)
        if why := self.forbidden(command.battery_key, command.key):
            raise CommandError(why)
        bus, address = command.wire
        if now - command.at > MAX_AGE:
            raise CommandError(f"expired: it was asked for {now - command.at:.0f} s ago")
        if bus in self._links:
            raise CommandError(f"the link of bus {bus} is lost: {self._links[bus]}")
        snapshot = self._store.wire(command.wire)
        if snapshot is None or not snapshot.online(now):
            withheld = snapshot.withheld if snapshot else ""
            what = f"does not count: {withheld}" if withheld else "is silent"
            raise CommandError(f"BMS {address} on bus {bus} {what}")
        if why := self.routes.astray(command.battery_key, command.wire):
            raise CommandError(why)

    def lock(self, payload: str, *, retained: bool) -> None:
        """The switch *Writing*; what waits when it is switched off is not carried out any more."""
        if retained:
            _LOGGER.warning("a retained command for the switch Writing is ignored")
        elif self.level == "off":
            _LOGGER.warning("writing stays locked: the option writes.level is off")
        elif payload in ("ON", "OFF"):
            self.unlocked = payload == "ON"
            _LOGGER.info("writing is %s", "unlocked" if self.unlocked else "locked")
            if not self.unlocked:
                for bus in self._queues:
                    self._empty(bus, "writing was locked before its turn came")
        else:
            _LOGGER.warning("the switch Writing takes ON and OFF, not %r", shortened(payload))

    # --- for the owner of a bus ---------------------------------------------------------------------------
    def opened(self, bus: str) -> None:
        """The link of a bus works."""
        self._links.pop(bus, None)

    def lost(self, bus: str, reason: str) -> None:
        """The link of a bus is gone; whatever waits is told, and nothing is queued until it is back."""
        self._links[bus] = reason
        self._empty(bus, f"the link was lost before its turn came: {reason}")

    def expire(self) -> None:
        """Tell of what has waited too long; for the moments in which no owner looks."""
        oldest = self._store.clock() - MAX_AGE
        for bus, queue in self._queues.items():
            while queue and queue[0].command.at < oldest:
                self._expired(bus, queue.popleft().command)

    def next(self, bus: str) -> Waiting | None:
        """The command whose turn it is; those that have waited too long are told."""
        self.expire()
        queue = self._queues.get(bus)
        return queue.popleft() if queue else None

    def _expired(self, bus: str, command: Command) -> None:
        age = self._store.clock() - command.at
        self.done(Outcome(command, "refused", f"expired: it waited {age:.0f} s for bus {bus}"))

    def _empty(self, bus: str, reason: str) -> None:
        queue = self._queues.get(bus)
        while queue:
            self.done(Outcome(queue.popleft().command, "refused", reason))

    async def begin(self, command: Command, before: Value) -> str:
        """Put on disk that a change begins; its id. ``CommandError`` when that cannot be done, or may not any more."""
        check_seen(command.key, command.seen, before)
        return await self._audit.begin(command, before)

    def done(self, outcome: Outcome, intent: str = "") -> None:
        """Write an outcome down, say it in the log, and keep it for who shows it."""
        self.outcomes.add(outcome)
        if not intent and outcome.result == "refused" and not self._worth_saying():
            self._unsaid += 1
            return
        self._audit.note(outcome, intent)
        command = outcome.command
        over = f" over {label(command.via)}" if command.via else ""
        where = f"{command.bus}: BMS {command.address}: {shortened(command.key, LONGEST)}{over}"
        if outcome.result in DONE:
            told = f": {outcome.reason}" if outcome.reason else ""
            _LOGGER.info("%s: %s to %s (was %s)%s", where, outcome.result, outcome.after, outcome.before, told)
            return
        _LOGGER.warning(
            "%s: wanted %s, is %s: %s: %s",
            where,
            shortened(spelt(command.value)),
            "unknown" if outcome.after is None else outcome.after,
            outcome.result.replace("_", " "),
            outcome.reason,
        )

    def _worth_saying(self) -> bool:
        """Whether one more refused command is told; a flood of them fills neither the log nor the disk."""
        now = self._store.clock()
        self._allowance = min(float(BURST), self._allowance + (now - self._counted) * PER_SECOND)
        self._counted = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        if self._unsaid:
            _LOGGER.warning("%d more commands were refused", self._unsaid)
            self._unsaid = 0
        return True

    # --- what an earlier run left ---------------------------------------------------------------------------
    async def recall(self) -> None:
        """Tell of changes that were begun and not finished; their values are looked at when they are read."""
        self._unfinished = await self._audit.unfinished()
        for intent in self._unfinished:
            command = intent.command
            outcome = Outcome(command, "failed", f"outcome unknown: {ENDED}", intent.before, at=intent.began)
            self.outcomes.add(outcome)
            _LOGGER.warning(
                "%s: BMS %d: %s: the outcome of the change to %s is unknown: %s; it is read now",
                command.bus,
                command.address,
                command.key,
                spelt(command.value),
                ENDED,
            )

    def saw(self, bus: str, reading: Reading) -> None:
        """Close what an earlier run left open with the value that is read now."""
        if not self._unfinished or reading.kind == "live":
            return
        for intent in list(self._unfinished):
            command = intent.command
            if command.wire == (bus, reading.address) and command.key in reading.values:
                self._unfinished.remove(intent)
                after = reading.values[command.key]
                result = "applied" if same(after, command.value) else "failed"
                reason = f"{ENDED}; this is what the BMS said later"
                self.done(Outcome(command, result, reason, intent.before, after), intent.id)
