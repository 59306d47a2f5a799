"""The devices that are announced, and how one is taken back. Pure."""

from dataclasses import dataclass, field

from jkbms_addon.battery.snapshot import Key
from jkbms_addon.mqtt.discovery import Topics, payload
from jkbms_addon.mqtt.sheet import compact
from jkbms_addon.views.battery import LEAVES, word
from jkbms_addon.views.entities import Device
from jkbms_addon.views.languages import Language


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish."""

    topic: str
    payload: str
    retain: bool = False


@dataclass(slots=True)
class Announced:
    """A device that was announced: its topic and the platform of each of its components."""

    topic: str
    components: dict[str, str]
    key: Key | None = None
    plain: bool = True  # whether the ids of its entities have the address alone, without the bus


@dataclass(slots=True)
class Register:
    """By identifier of the device; ``changed`` is whether ``announced`` should be saved.

    ``configs`` are the topics of announcements of this run, and the device that each announces.
    """

    topics: Topics
    _language: Language
    announced: dict[str, Announced]
    changed: bool = False
    configs: dict[str, str] = field(default_factory=dict)

    def announce(self, device: Device, key: Key | None, keeps: str = "") -> list[Message]:
        """The announcement; before it, once, tombstones for what it no longer has."""
        name = self.topics.identifier(device.word)
        topic, told = self.topics.config(name), payload(self.topics, device, self._language)
        self.configs[topic] = device.word
        components = {name: part["p"] for name, part in told["components"].items()}
        before = self.announced.get(name)
        gone = {n: {"p": p} for n, p in before.components.items() if components.get(n) != p} if before else {}
        gone = {n: tomb for n, tomb in gone.items() if not keeps or not n.startswith(keeps)}
        messages = []
        if before and before.topic != topic:
            messages.append(Message(before.topic, "", retain=True))
        elif gone:
            buried = {**told, "components": {**told["components"], **gone}}
            messages.append(Message(topic, compact(buried), retain=True))
        if before is None or before.components != components or before.topic != topic:
            self.announced[name] = Announced(topic, components, key, key is None or self.plain(key))
            self.changed = True
        messages.append(Message(topic, compact(told), retain=True))
        return messages

    def plain(self, key: Key) -> bool:
        """Whether a battery goes by its address alone: the first one with an address does, and stays so."""
        known = self.announced.get(self.topics.identifier(word(key)))
        if known:
            return known.plain
        return not any(
            one.plain and one.key[1] == key[1] for one in self.announced.values() if one.key and one.key != key
        )

    def rename(self, device: str) -> list[Message]:
        """This device is not ours any more, or has another identifier: its announcement is taken back."""
        self.changed = True
        topic = self.announced.pop(device).topic
        self.configs.pop(topic, None)
        return [Message(topic, "", retain=True)]

    def remove(self, key: Key) -> list[Message]:
        """The device of a battery is no more, with all that is kept of it."""
        topic = self.announced.pop(self.topics.identifier(word(key))).topic
        self.configs.pop(topic, None)
        self.changed = True
        leaves = (self.topics.battery(key, leaf) for leaf in ("availability", *LEAVES))
        return [Message(name, "", retain=True) for name in (topic, *leaves)]
