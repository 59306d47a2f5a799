"""What the owner set in Home Assistant, kept on disk: *Enable* and *Stop* first of all, the numbers with them.

Theory of operation
- ``now`` is what holds. It changes at once, whatever the disk does.
- ``shown`` is what is acknowledged. It follows when the disk has it, or when it has become clear that the disk
  does not take it; then ``problem`` says so, and the file is tried again.
- A file that is damaged, or that cannot be written when the program starts, means *stopped*: somebody may have
  pressed Stop, and nobody could know. A file that was never there leaves everything to the options.
"""

import logging
from collections.abc import Callable
from typing import Any, Final, Self

from pydantic import model_validator

from jkbms_addon.charging.owner import NUMBERS, RANGES, Owner
from jkbms_addon.kept import JsonFile, Saver

_LOGGER = logging.getLogger(__name__)
OFF: Final = "switched off"


class _Kept(Owner):
    """As it stands in the file: whether the inverter may be told anything must be said."""

    enabled: bool

    @model_validator(mode="after")
    def _within(self) -> Self:
        """Numbers that could have been typed, whatever the chemistry."""
        for key, number in NUMBERS.items():
            value = getattr(self, key)
            every = [(number.low, number.high), *(ranges[key] for ranges in RANGES.values() if key in ranges)]
            if value is not None and not min(low for low, _ in every) <= value <= max(high for _, high in every):
                raise ValueError(f"{key} is out of its range")
        return self


class KeptOwner:
    """What the owner set; without a file nothing is kept. ``told`` is called when there is news to show."""

    def __init__(self, file: JsonFile | None = None, told: Callable[[], None] = lambda: None) -> None:
        self.now, self._found = Owner(), ""
        self._before = self.now  # what was acknowledged before the disk was asked
        self._saver = Saver(file, told) if file else None
        if file:
            self._read(file)

    def _read(self, file: JsonFile) -> None:
        kept = file.load_as(_Kept)
        self.now = Owner(**kept.model_dump()) if kept else Owner(enabled=not file.damage)
        problem = file.save(_content(self.now))
        if problem := file.damage or problem:
            self.now = self.now.model_validate({**self.now.model_dump(), "enabled": False})
            self._found = f"stopped: {problem}; switch Enable on to go on"
            _LOGGER.error("inverter: %s", self._found)

    def change(self, owner: Owner) -> None:
        """Let this hold, now and after the next start."""
        self._before = self.shown
        self.now, self._found = owner, ""
        if self._saver:
            self._saver.save(_content(owner))

    @property
    def shown(self) -> Owner:
        """What is acknowledged."""
        waiting = self._saver is not None and self._saver.pending and not self._saver.problem
        return self._before if waiting else self.now

    @property
    def problem(self) -> str:
        """What is wrong, empty when nothing is."""
        if self._saver and self._saver.pending and self._saver.problem:
            switched = "" if self.now.enabled else f"{OFF}, but "
            return f"{switched}a restart may undo what was set: {self._saver.problem}"
        return self._found

    @property
    def why_off(self) -> str:
        """Why nothing is told, in words for people; empty while it is enabled."""
        return "" if self.now.enabled else self.problem or OFF

    async def run(self) -> None:
        """Keep what is set until cancelled."""
        if self._saver:
            await self._saver.run()


def _content(owner: Owner) -> dict[str, Any]:
    return owner.model_dump(exclude_defaults=True) | {"enabled": owner.enabled}
