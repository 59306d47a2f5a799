"""The list of announced devices, kept over restarts so that what ceases can be removed."""

import json
import logging
from pathlib import Path

from jkbms_addon.mqtt.outbox import Announced, Outbox

_LOGGER = logging.getLogger(__name__)
NAME = "announced.json"


class Published:
    """A small JSON file beside the options; losing it loses nothing but tidiness."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._complained = False

    def load(self) -> dict[str, Announced]:
        """What an earlier run announced; empty when the file is missing or damaged."""
        try:
            raw = json.loads(self._path.read_text(encoding="utf-8"))
            return {
                device: Announced(
                    str(entry["topic"]),
                    {str(name): str(kind) for name, kind in entry["components"].items()},
                    (str(entry["bus"]), int(entry["address"])) if entry.get("bus") else None,
                )
                for device, entry in raw["devices"].items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _LOGGER.warning("%s is ignored: %s", self._path, error)
            return {}

    def save(self, outbox: Outbox) -> None:
        """Write the list; a full disk is told once and costs nothing else."""
        devices = {
            device: {
                "topic": known.topic,
                "components": known.components,
                **({"bus": known.key[0], "address": known.key[1]} if known.key else {}),
            }
            for device, known in outbox.announced.items()
        }
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({"version": 1, "devices": devices}), encoding="utf-8")
            fresh.replace(self._path)
            self._complained = False
        except OSError as error:
            if not self._complained:
                _LOGGER.warning("%s cannot be written: %s", self._path, error.strerror)
            self._complained = True
