"""Who else sends what only one may tell the inverter. Pure.

Two senders are not noticed by the bus: the inverter takes turns in obeying both, so limits mean nothing any more.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

LIMITS: Final = 0x351  # every dialect's limits: foreign in whatever dialect we speak
ENOUGH: Final = 3  # frames of one id; a frame of our own that comes late is no other sender
GONE: Final = 5.0  # s after which what was sent is no news; senders repeat within one or two


@dataclass(slots=True)
class _Heard:
    count: int = 0
    at: float = 0.0


class OtherSenders:
    """Counts frames that only we should send; ``own`` are the ids of our dialect. Times are monotonic, in s."""

    def __init__(self, own: Collection[int]) -> None:
        self._own = frozenset({*own, LIMITS})
        self._heard: dict[int, _Heard] = {}

    def forget(self) -> None:
        """The channel was opened anew."""
        self._heard.clear()

    def note(self, can_id: int, now: float) -> None:
        """A frame that is not ours came from the bus."""
        if can_id not in self._own:
            return
        heard = self._heard.setdefault(can_id, _Heard())
        heard.count = heard.count + 1 if now - heard.at <= GONE else 1
        heard.at = now

    def none(self, now: float) -> bool:
        """Whether not a single frame of the kind came lately."""
        return all(now - heard.at > GONE for heard in self._heard.values())

    def problem(self, now: float) -> str:
        """What is wrong, empty when we are alone."""
        found = [
            f"0x{can_id:03X}"
            for can_id, heard in sorted(self._heard.items())
            if heard.count >= ENOUGH and now - heard.at <= GONE
        ]
        if not found:
            return ""
        return (
            f"another device sends {', '.join(found)}: only one may tell the inverter its limits; look for a BMS "
            "whose CAN protocol is that of an inverter, or for another program"
        )


class Wish:
    """What the inverter asks of the battery beyond a set, as long as it asks for it. Times are monotonic, in s."""

    def __init__(self) -> None:
        self._text, self._at = "", 0.0

    def note(self, text: str, now: float) -> None:
        """A frame of the inverter says this; empty where it says nothing of the kind."""
        if text:
            self._text, self._at = text, now

    def text(self, now: float) -> str:
        """The wish; empty when there is none any more."""
        return self._text if now - self._at <= GONE else ""
