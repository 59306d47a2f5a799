"""Where commands arrive: they are checked, queued for the owner of their bus, and every attempt is written down.

Nothing here touches a wire. State is sampled, commands are queued: one bounded queue per bus.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping

from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.store import Key, Store
from jkbms_addon.commands.command import Command, Outcome
from jkbms_addon.commands.rules import Range, allowed_range, parsed, permitted
from jkbms_addon.errors import CommandError

_LOGGER = logging.getLogger(__name__)
WAITING = 32  # commands per bus


class CommandQueue:
    """Takes commands in. ``writable`` are the settings that the strategy of a bus can change."""

    def __init__(
        self,
        level: str,
        store: Store,
        writable: Mapping[str, frozenset[str]],
        audit: Callable[[Outcome], None],
        *,
        unlocked: bool = False,
    ) -> None:
        self.level, self._store, self._writable, self._audit = level, store, writable, audit
        self.unlocked = unlocked and level != "off"
        self.queues: dict[str, asyncio.Queue[Command]] = {bus: asyncio.Queue(WAITING) for bus in writable}
        self.outcomes: deque[Outcome] = deque(maxlen=64)

    def controls(self, key: Key, values: Mapping[str, Value]) -> dict[str, Range]:
        """The settings of a BMS that may be changed, with their ranges for this battery."""
        return {
            name: allowed_range(name, values)
            for name in sorted(self._writable.get(key[0], frozenset()))
            if permitted(name, self.level)
        }

    def take(self, command: Command, *, retained: bool = False) -> None:
        """Queue a command, or refuse it at once."""
        if retained:
            _LOGGER.warning("%s: a retained command is ignored; publish it without the retain flag", command.source)
            self.done(Outcome(command, "refused", "the command was retained"), quiet=True)
            return
        try:
            self._admit(command)
            self.queues[command.bus].put_nowait(command)
        except asyncio.QueueFull:
            self.done(Outcome(command, "refused", "busy: too many commands are waiting"))
        except CommandError as error:
            self.done(Outcome(command, "refused", str(error)))

    def _admit(self, command: Command) -> None:
        if self.level == "off":
            raise CommandError("writing is off: see the option writes.level")
        if not self.unlocked:
            raise CommandError("writing is locked: switch on 'Writing' of the bridge")
        if command.key not in self._writable.get(command.bus, frozenset()):
            raise CommandError(f"{command.key} cannot be changed on bus {command.bus}")
        if not permitted(command.key, self.level):
            raise CommandError(f"{command.key} is not allowed by writes.level {self.level}")
        snapshot = self._store.get((command.bus, command.address))
        now = self._store.clock()
        if snapshot is None or not snapshot.online(now):
            raise CommandError(f"BMS {command.address} on bus {command.bus} is silent")
        parsed(command.key, command.payload, snapshot.values(now))

    def done(self, outcome: Outcome, *, quiet: bool = False) -> None:
        """Write an outcome down, say it in the log, and keep it for who shows it."""
        self.outcomes.append(outcome)
        self._audit(outcome)
        command = outcome.command
        where = f"{command.bus}: BMS {command.address}: {command.key}"
        if outcome.result in ("applied", "unchanged"):
            _LOGGER.info("%s: %s to %s (was %s)", where, outcome.result, outcome.after, outcome.before)
        elif not quiet:
            _LOGGER.warning(
                "%s: wanted %s, is %s: %s: %s",
                where,
                command.payload[:40],
                "unknown" if outcome.after is None else outcome.after,
                outcome.result.replace("_", " "),
                outcome.reason,
            )

    def lock(self, payload: str, *, retained: bool) -> None:
        """The switch *Writing*."""
        if retained:
            _LOGGER.warning("a retained command for the switch Writing is ignored")
        elif self.level == "off":
            _LOGGER.warning("writing stays locked: the option writes.level is off")
        elif payload in ("ON", "OFF"):
            self.unlocked = payload == "ON"
            _LOGGER.info("writing is %s", "unlocked" if self.unlocked else "locked")
