"""What MQTT keeps over restarts: the announced devices, so that what ceases can be removed, and our client id."""

import re
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Final, Literal

from pydantic import Field

from jkbms_addon.kept import Contents, JsonFile, Saver
from jkbms_addon.mqtt.discovery import Topics
from jkbms_addon.mqtt.outbox import Outbox
from jkbms_addon.mqtt.register import Announced

NAME: Final = "announced.json"
Text = Annotated[str, Field(max_length=255)]


class _Device(Contents):
    # what is published to it must be publishable
    topic: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^#+\x00-\x1f\x7f]+$")]
    components: dict[Text, Text]
    bus: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,255}$")] | None = None
    address: Annotated[int, Field(ge=0, le=255)] | None = None
    plain: bool = True

    @property
    def announced(self) -> Announced:
        key = None if self.bus is None or self.address is None else (self.bus, self.address)
        return Announced(self.topic, self.components, key, self.plain)


class _Devices(Contents):
    version: Literal[1]
    client_id: Text = ""
    devices: dict[Text, _Device]


class Published:
    """A small file beside the options; losing it loses nothing but tidiness. ``run`` writes it."""

    def __init__(self, folder: Path, topics: Topics) -> None:
        self._file = JsonFile(folder / NAME)
        self._saver = Saver(self._file)
        self.run = self._saver.run
        self._start = f"jkbms-{topics.space}-" if topics.space else "jkbms-"
        # the same in every run: a connection that nobody ended dies, with its will, as the next one begins
        self.client_id = f"{self._start}{token_hex(8)}"

    def load(self) -> dict[str, Announced]:
        """What an earlier run announced."""
        found = self._file.load_as(_Devices)
        if found and re.fullmatch(f"{re.escape(self._start)}[0-9a-f]{{16}}", found.client_id):
            self.client_id = found.client_id
        return {name: device.announced for name, device in found.devices.items()} if found else {}

    def save(self, outbox: Outbox) -> None:
        """Have the list written."""
        devices = {
            device: {
                "topic": known.topic,
                "components": dict(known.components),
                **({"bus": known.key[0], "address": known.key[1], "plain": known.plain} if known.key else {}),
            }
            for device, known in outbox.register.announced.items()
        }
        self._saver.save({"version": 1, "client_id": self.client_id, "devices": devices})
