"""Small JSON files beside the options: what has to survive a restart, and is no loss when it does not."""

import json
import logging
from pathlib import Path
from typing import Any

_LOGGER = logging.getLogger(__name__)


class JsonFile:
    """One JSON file, replaced as a whole; a full disk is told once and costs nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._complained = False

    def load(self) -> dict[str, Any]:
        """Its content; empty when it is missing or damaged."""
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _LOGGER.warning("%s is ignored: %s", self._path, error)
            return {}
        return content if isinstance(content, dict) else {}

    def save(self, content: dict[str, Any]) -> None:
        """Write it."""
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(content), encoding="utf-8")
            fresh.replace(self._path)
            self._complained = False
        except OSError as error:
            if not self._complained:
                _LOGGER.warning("%s cannot be written: %s", self._path, error.strerror)
            self._complained = True
