"""A source that is not ours: whatever it says is put through an intake, and it cannot keep others from their turn."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Final

from jkbms_addon.acquisition.contract import Changing, Interleaving, Source
from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.battery.quantities import Scalar, Value, specs
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.snapshot import lasting
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.command import RESULTS
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.errors import CommandError, LinkError

FLOOR: Final = 0.1  # s from one poll to the next, at least
LONGEST: Final = 255  # characters of a text
KINDS: Final = ("live", "settings", "about")
NUMBERS: Final = (int, float)


class Foreign:
    """Puts what a plug-in says through an intake; ``addresses`` are those that it may speak of."""

    def __init__(self, source: Source, status: BusStatus, addresses: frozenset[int]) -> None:
        self._source, self._addresses = source, addresses
        self.intake = Intake(status)
        self._strangers: dict[int, str] = {}

    async def poll(self) -> Sequence[Reading]:
        """As the source, with what may be believed of it."""
        clock = self.intake.clock
        began = clock()
        try:
            told = await self._source.poll()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise LinkError("the plug-in cancelled its own poll") from error
        # one that returns at once must not freeze the program
        await clock.sleep(max(0.0, FLOOR - (clock() - began)))
        readings = [believed for reading in told for believed in self._believed(reading)]
        self.intake.named("; ".join(self._strangers.values()))
        return readings

    def _believed(self, reading: Reading) -> list[Reading]:
        # 1.0 and True equal 1, but are no addresses
        if type(reading.address) is not int or reading.address not in self._addresses:
            self._strangers[0] = f"the plug-in speaks of address {reading.address!r:.20}, which is not one of its own"
            return []
        if reading.kind not in KINDS:
            self._strangers[1] = (
                f"the plug-in tells a message of kind {reading.kind!r:.20}, and not of {', '.join(KINDS)}"
            )
            return []
        self.intake.frames()
        names, latency = _names(reading.alarm_names) or (), reading.latency if _finite(reading.latency) else None
        checked = replace(reading, values=cleaned(reading.values), alarm_names=names, withheld="", read_only="")
        ends = lasting(reading) if reading.kind == "live" else None
        return self.intake.take((checked,), self.intake.clock(), latency=latency, valid_for=ends).readings

    async def change(self, deed: Deed) -> Change:
        """As the source; ``CommandError`` when it only reads."""
        if not isinstance(self._source, Changing):
            raise CommandError("this strategy cannot change settings")
        change, key = await self._source.change(deed), deed.command.key
        return Change(
            change.result if change.result in RESULTS else "failed",
            str(change.reason)[:LONGEST],
            cleaned({key: change.before}).get(key),
            cleaned({key: change.after}).get(key),
            tuple(one for reading in change.readings for one in self._believed(reading)),
        )

    async def due(self, *, begin: bool) -> Sequence[Reading] | None:
        """As the source, where it can."""
        told = await self._source.due(begin=begin) if isinstance(self._source, Interleaving) else None
        return None if told is None else [believed for reading in told for believed in self._believed(reading)]


def cleaned(values: Mapping[str, object]) -> dict[str, Value]:
    """The values whose keys are in the table, unknown (None) where they are not of its kind."""
    table = specs()
    return {
        key: _names(value)
        if key == "alarms"
        else _listed(value)
        if table[key].listed
        else _single(table[key].kind, value)
        for key, value in values.items()
        if key == "alarms" or key in table
    }


def _names(value: object) -> tuple[str, ...] | None:
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, (tuple, list)) else None


def _listed(value: object) -> Value:
    if not isinstance(value, (tuple, list)):
        return None
    return tuple([float(one) if _finite(one) else None for one in value])


def _single(kind: str, value: object) -> Scalar:
    if kind == "flag":
        return bool(value) if isinstance(value, int) and value in (0, 1) else None
    if kind in ("text", "choice"):
        return value[:LONGEST] if isinstance(value, str) else None
    return value if _finite(value) else None  # type: ignore[return-value]


def _finite(value: object) -> bool:
    return isinstance(value, NUMBERS) and not isinstance(value, bool) and isfinite(value)
