"""What the broker refuses: told once with its cause, and told again when it is taken after all."""

import logging
from collections.abc import Iterable
from typing import Final

from jkbms_addon.mqtt.discovery import Topics
from jkbms_addon.mqtt.register import Message

_LOGGER = logging.getLogger(__name__)
HEADER: Final = 16  # bytes of a message beside topic and payload, at most
TWICE: Final = 2  # times that a connection must end at the same message until that one is to blame
SHOWN: Final = 3  # topics that are named in a line


class Refusals:
    """Of one broker, over all connections to it. What concerns a whole tree of topics is one line."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._told: dict[str, str] = {}  # tree or topic -> reason
        self._ends: dict[str, tuple[int, int]] = {}  # topic -> size with which connections ended, and how many

    @property
    def problems(self) -> tuple[str, ...]:
        """What is refused now."""
        return tuple(f"{where}: {reason}" for where, reason in self._told.items())

    def refused(self, topic: str, reason: str) -> None:
        """The broker does not take this."""
        tree = self._tree(topic)
        if self._told.get(tree) != reason:
            self._told[tree] = reason
            rights = f": nothing below {tree} is seen; look at the rights (ACL) of our user" if "auth" in reason else ""
            _LOGGER.warning("mqtt: the broker refuses %s: %s%s", topic, reason, rights)

    def taken(self, topic: str) -> None:
        """The broker took this; what was refused before works again."""
        if self._told:
            for where in (self._tree(topic), topic):
                if self._told.pop(where, None) is not None:
                    _LOGGER.info("mqtt: the broker takes %s again", where)

    def unheard(self, topics: Iterable[str]) -> None:
        """The broker acknowledged this, but it does not come back."""
        fresh = [topic for topic in topics if topic not in self._told]
        self._told |= dict.fromkeys(fresh, "not passed on")
        if fresh:
            more = f" and {len(fresh) - SHOWN} more" if len(fresh) > SHOWN else ""
            _LOGGER.warning(
                "mqtt: the broker acknowledges but does not pass on %s%s: larger than it takes, or not allowed for us",
                ", ".join(fresh[:SHOWN]),
                more,
            )

    def heard(self, topic: str) -> None:
        """It came back after all."""
        if self._told.pop(topic, None) is not None:
            _LOGGER.info("mqtt: the broker passes on %s again", topic)

    def too_large(self, message: Message, largest: int | None) -> bool:
        """Whether the broker would not take a message of this size, by what it said or did before."""
        size = len(message.topic.encode()) + len(message.payload.encode()) + HEADER if largest else len(message.payload)
        if largest and size > largest:
            self._large(message, f"it takes at most {largest} bytes")
            return True
        ended, times = self._ends.get(message.topic, (0, 0))
        if times < TWICE or size < ended:
            return False
        self._large(message, "it ends the connection")
        return True

    def fatal(self, message: Message | None, lost: str) -> str:
        """The connection ended while this was sent; what to tell of it."""
        if message is None:
            return "" if lost == WORDLESS else f"the broker ended the connection: {lost}"
        size, times = self._ends.get(message.topic, (0, 0))
        same = size == len(message.payload)
        # a reason needs no second try
        self._ends[message.topic] = len(message.payload), (times if same else 0) + (1 if lost == WORDLESS else TWICE)
        where = f"while {message.topic} ({len(message.payload)} bytes) was sent"
        return f"the broker ended the connection {where}{'' if lost == WORDLESS else f': {lost}'}"

    def over(self, message: Message) -> None:
        """This one was taken, whatever happened before."""
        self._ends.pop(message.topic, None)

    def _large(self, message: Message, why: str) -> None:
        if message.topic not in self._told:
            self._told[message.topic] = why
            size = len(message.payload)
            _LOGGER.warning("mqtt: %s (%d bytes) is too large for the broker: %s", message.topic, size, why)

    def _tree(self, topic: str) -> str:
        for tree in (self._topics.base, self._topics.prefix):
            if topic.startswith(f"{tree}/"):
                return f"{tree}/"
        return topic


WORDLESS: Final = "without a word"
