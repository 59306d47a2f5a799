"""What MQTT keeps over restarts: the announced devices, so that what ceases can be removed, and our client id."""

import logging
import re
from pathlib import Path
from secrets import token_hex
from typing import Any

from jkbms_addon.kept import JsonFile
from jkbms_addon.mqtt.discovery import Topics
from jkbms_addon.mqtt.outbox import Announced, Outbox

_LOGGER = logging.getLogger(__name__)
NAME = "announced.json"


class Published:
    """A small file beside the options; losing it loses nothing but tidiness."""

    def __init__(self, folder: Path, topics: Topics) -> None:
        self._file = JsonFile(folder / NAME)
        self._start = f"jkbms-{topics.space}-" if topics.space else "jkbms-"
        # the same in every run: a connection that nobody ended dies, with its will, as the next one begins
        self.client_id = f"{self._start}{token_hex(8)}"

    def load(self) -> dict[str, Announced]:
        """What an earlier run announced; entries that make no sense are left out."""
        content = self._file.load()
        known_id = content.get("client_id")
        if isinstance(known_id, str) and re.fullmatch(f"{re.escape(self._start)}[0-9a-f]{{16}}", known_id):
            self.client_id = known_id
        devices = content.get("devices")
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
        self._file.save({"version": 1, "client_id": self.client_id, "devices": devices})


def _announced(entry: Any) -> Announced | None:  # noqa: ANN401
    try:
        components = {str(name): str(kind) for name, kind in entry["components"].items()}
        key = (str(entry["bus"]), int(entry["address"])) if entry.get("bus") else None
        return Announced(str(entry["topic"]), components, key)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _LOGGER.warning("%s: an entry is ignored: %s", NAME, error)
        return None
