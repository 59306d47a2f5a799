"""Whether the inverter may be told anything: the switch *Enable* and the button *Stop*, kept on disk.

Theory of operation
- ``on`` is what holds. It moves at once, whatever the disk does.
- ``shown`` is what is acknowledged. It follows when the disk has it, or when it has become clear that the disk
  does not take it; then ``problem`` says so, and the file is tried again.
- A file that is damaged, or that cannot be written when the program starts, means *stopped*: somebody may have
  pressed Stop, and nobody could know. A file that was never there means *on*.
"""

import logging
from collections.abc import Callable
from typing import Final

from jkbms_addon.kept import Contents, JsonFile, Saver

_LOGGER = logging.getLogger(__name__)
NAME: Final = "inverter.json"
OFF: Final = "switched off"


class _Kept(Contents):
    enabled: bool


class Switch:
    """The switch; without a file it is on and nothing is kept. ``told`` is called when there is news to show."""

    def __init__(self, file: JsonFile | None = None, told: Callable[[], None] = lambda: None) -> None:
        self.on, self._found = True, ""
        self._before = True  # what was acknowledged before the disk was asked
        self._saver = Saver(file, told) if file else None
        if file:
            self._read(file)

    def _read(self, file: JsonFile) -> None:
        kept = file.load_as(_Kept)
        self.on = kept.enabled if kept else not file.damage
        problem = file.damage or file.save({"enabled": self.on})
        if problem:
            if file.damage:
                file.save({"enabled": False})
            self.on, self._found = False, f"stopped: {problem}; switch Enable on to go on"
            _LOGGER.error("inverter: %s", self._found)

    def turn(self, *, on: bool) -> None:
        """Switch on or off, now and for the next start."""
        self._before = self.shown
        if on != self.on:
            _LOGGER.info("inverter: switched %s", "on" if on else "off")
        self.on, self._found = on, ""
        if self._saver:
            self._saver.save({"enabled": on})

    @property
    def shown(self) -> bool:
        """What is acknowledged."""
        waiting = self._saver is not None and self._saver.pending and not self._saver.problem
        return self._before if waiting else self.on

    @property
    def problem(self) -> str:
        """What is wrong, empty when nothing is."""
        if self._saver and self._saver.pending and self._saver.problem:
            return f"switched {'on' if self.on else 'off'}, but a restart may undo that: {self._saver.problem}"
        return self._found

    @property
    def why_off(self) -> str:
        """Why nothing is sent, in words for people; empty while the switch is on."""
        return "" if self.on else self.problem or OFF

    async def run(self) -> None:
        """Keep what is switched until cancelled."""
        if self._saver:
            await self._saver.run()
