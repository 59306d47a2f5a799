"""Every attempt to write, accepted or not, as a line of JSON in a file that is kept to a size."""

import json
import logging
from pathlib import Path

from jkbms_addon.commands.command import Outcome

_LOGGER = logging.getLogger(__name__)
NAME = "writes.jsonl"
MAX_SIZE = 500_000  # bytes of each of the two files: the present one and the one before


class Audit:
    """Appends; the older half is dropped when the file has grown. A full disk is told once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._complained = False

    def __call__(self, outcome: Outcome) -> None:
        """Write one attempt down."""
        try:
            if self.path.exists() and self.path.stat().st_size > MAX_SIZE:
                self.path.replace(self.path.with_suffix(".old.jsonl"))
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(outcome.record(), ensure_ascii=False) + "\n")
            self._complained = False
        except OSError as error:
            if not self._complained:
                _LOGGER.warning("%s cannot be written: %s", self.path, error.strerror)
            self._complained = True


def read(folder: Path) -> list[dict[str, object]]:
    """All attempts on file, oldest first; damaged lines are left out."""
    path = folder / NAME
    found: list[dict[str, object]] = []
    for one in (path.with_suffix(".old.jsonl"), path):
        if one.exists():
            for line in one.read_text(encoding="utf-8").splitlines():
                try:
                    found.append(json.loads(line))
                except ValueError:
                    continue
    return found
