"""What was said on topics that are ours alone, against what comes back from the broker. Pure.

Theory of operation
- Every message on a watched topic is remembered as *on its way* until it comes back; then it is what *stands* there.
- A message that is neither is somebody else's: the topic is ``foreign`` and has to be said again.
- What does not come back within ``ECHO`` seconds was dropped by the broker, which may do that without a word.
- Whoever fights for a topic is answered ``QUICKLY`` a few times, then once in ``SLOWLY`` seconds, so that two
  programs never flood a broker.
- A message is remembered by its hash: those that announce devices have a hundred kilobytes each.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

ECHO: Final = 5.0  # s
QUICKLY: Final = 5  # times
SLOWLY: Final = 60.0  # s
LOST: Final = 3  # messages on their way that are remembered; a later one means that earlier ones went by

Verdict = Literal["", "cleared", "overwritten", "not taken"]


@dataclass(slots=True)
class _Topic:
    stands: int | None = None
    coming: deque[int] = field(default_factory=lambda: deque(maxlen=LOST))
    since: float = 0.0  # when the latest was said
    answered: int = 0
    next: float = 0.0  # when it may be said again


class Watch:
    """Topics by name; times are monotonic s. Forgotten with every connection."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}
        self._looked = float("-inf")
        self._again: dict[str, float] = {}

    def __contains__(self, topic: str) -> bool:
        return topic in self._topics

    def forget(self) -> None:
        """A connection begins: nothing was said on it yet. Who fights for a topic is remembered."""
        for one in self._topics.values():
            one.stands = None
            one.coming.clear()
        self._again.clear()

    def said(self, topic: str, payload: str, now: float) -> None:
        """Something of ours was published."""
        one = self._topics.setdefault(topic, _Topic())
        one.coming.append(hash(payload))
        one.since = now

    def heard(self, topic: str, payload: str, now: float, *, stored: bool) -> Verdict:
        """What came back; ``stored`` when the broker had kept it. Anything but "" has to be said again."""
        one = self._topics.get(topic)
        if one is None or (not one.coming and one.stands is None):
            return ""  # nothing was said there on this connection
        mark = hash(payload)
        if mark in one.coming:
            while one.coming.popleft() != mark:
                pass
            one.stands = mark
            return ""
        if mark == one.stands or (one.coming and not stored):
            return ""  # a copy; or something that ours, which is on its way, will cover
        if stored:
            one.coming.clear()
            self.later(topic, now)
            return "not taken"
        self._fix(topic, one, now)
        return "overwritten" if payload else "cleared"

    def missing(self, now: float) -> list[str]:
        """Topics whose latest message did not come back in time; each is told once."""
        if now - self._looked > ECHO / 2:  # the program stood still; what came meanwhile was not looked at yet
            for one in self._topics.values():
                one.since = max(one.since, now)
        self._looked = now
        late = [topic for topic, one in self._topics.items() if one.coming and now - one.since >= ECHO]
        for topic in late:
            self._topics[topic].coming.clear()
            self._topics[topic].stands = None
        return late

    def drop(self, topic: str) -> None:
        """This topic is ours no more."""
        self._topics.pop(topic, None)
        self._again.pop(topic, None)

    def at_once(self, topic: str) -> None:
        """Say this topic again."""
        self._again[topic] = float("-inf")

    def first_time(self, topic: str) -> bool:
        """Whether it is the first time of late that somebody else wrote there."""
        return topic in self._topics and self._topics[topic].answered == 1

    def later(self, topic: str, now: float) -> None:
        """A refused message is tried again after a while."""
        self._again[topic] = now + SLOWLY

    def due(self, now: float) -> list[str]:
        """Topics that are to be said again now."""
        ready = [topic for topic, at in self._again.items() if now >= at]
        for topic in ready:
            del self._again[topic]
        return ready

    def _fix(self, topic: str, one: _Topic, now: float) -> None:
        one.coming.clear()
        if now - one.next > 2 * SLOWLY:
            one.answered = 0
        one.answered += 1
        at = now if one.answered <= QUICKLY else max(now, one.next)
        one.next = at + (0.0 if one.answered < QUICKLY else SLOWLY)
        self._again[topic] = at
