"""The list of announced devices, kept over restarts so that what ceases can be removed."""

import logging
from pathlib import Path
from typing import Any

from jkbms_addon.kept import JsonFile
from jkbms_addon.mqtt.outbox import Announced, Outbox

_LOGGER = logging.getLogger(__name__)
NAME = "announced.json"


class Published:
    """A small file beside the options; losing it loses nothing but tidiness."""

    def __init__(self, folder: Path) -> None:
        self._file = JsonFile(folder / NAME)

    def load(self) -> dict[str, Announced]:
        """What an earlier run announced; entries that make no sense are left out."""
        devices = self._file.load().get("devices")
        known = devices if isinstance(devices, dict) else {}
        return {device: read for device, entry in known.items() if (read := _announced(entry))}

    def save(self, outbox: Outbox) -> None:
        """Write the list."""
        devices = {
            device: {
                "topic": known.topic,
                "components": known.components,
                **({"bus": known.key[0], "address": known.key[1]} if known.key else {}),
            }
            for device, known in outbox.announced.items()
        }
        self._file.save({"version": 1, "devices": devices})


def _announced(entry: Any) -> Announced | None:  # noqa: ANN401
    try:
        components = {str(name): str(kind) for name, kind in entry["components"].items()}
        key = (str(entry["bus"]), int(entry["address"])) if entry.get("bus") else None
        return Announced(str(entry["topic"]), components, key)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _LOGGER.warning("%s: an entry is ignored: %s", NAME, error)
        return None
