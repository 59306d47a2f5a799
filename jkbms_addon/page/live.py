"""What listens on a bus for the page: what passes in words, and a capture. Loaded when it is wanted."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from jkbms_addon import __version__
from jkbms_addon.acquisition.slot import Slot
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.doctor.can import FrameLog, FrameWords
from jkbms_addon.doctor.listening import Listening
from jkbms_addon.doctor.masking import Masker
from jkbms_addon.doctor.recording import Chunk
from jkbms_addon.doctor.tape import Tape
from jkbms_addon.doctor.words import Word, Words, hexed
from jkbms_addon.page.jobs import Roll
from jkbms_addon.page.parts import rounded

TELL_EVERY: Final = 0.5  # s
LINES: Final = 40  # that are told at once; of more the newest
Tell = Callable[[dict[str, Any]], Awaitable[None]]


class ByteWords:
    """Takes bytes and tells of the messages in them, without secrets."""

    def __init__(self, *, ttl: bool) -> None:
        self._masker, self._words, self._lines = Masker(), Words(ttl=ttl), list[Word]()

    def take(self, passed: Chunk | None) -> None:
        """The next bytes; None after a silence."""
        for chunk in self._masker.feed(passed) if passed else self._masker.flush():
            self._lines += self._words.take(chunk)
        if passed is None:
            self._lines += self._words.take(None)

    def newest(self, most: int) -> tuple[list[Word], int]:
        """The newest since the last time, so many at most, and how many more messages there were."""
        shown, left_out = self._lines[-most:], max(0, len(self._lines) - most)
        self._lines.clear()
        return shown, left_out


async def watch(bus: BusStatus, slot: Slot, seconds: float, tell: Tell) -> None:
    """Tell what passes on a bus, message by message, for so many s."""
    tap: Listening[Any] = Listening(bus.clock, slot.medium or "bytes")
    began, told = time.time(), bus.clock()
    words = FrameWords() if slot.medium == "frames" else ByteWords(ttl=bus.strategy == "ttl")
    with slot.look(tap):
        async for passed in tap.pieces(seconds):
            words.take(passed)
            if bus.clock() - told < TELL_EVERY:
                continue
            lines, left_out = words.newest(LINES)
            if lines:
                told = bus.clock()
                content = [_line(began, word) for word in lines]
                await tell({"t": "bytes", "bus": bus.name, "lines": content, "left_out": left_out})


def _line(began: float, word: Word) -> list[Any]:
    said = {key: rounded(value, 2) if isinstance(value, float) else value for key, value in word.said.items()}
    return [round(began + word.seconds, 3), word.direction, hexed(word.data), word.kind, said]


def suffix(slot: Slot) -> str:
    """How the name of a capture of this bus ends: of a stream JSON lines, of CAN a log of candump."""
    return ".log" if slot.medium == "frames" else ".jsonl"


async def capture(
    bus: BusStatus, slot: Slot, seconds: float, roll: Roll, said: dict[str, Any], *, serials: bool = False
) -> None:
    """Put what passes on a bus into a roll, for so many s or until it is full; ``said`` tells how much it was.

    ``serials`` blanks serial numbers, too.
    """
    tap: Listening[Any] = Listening(bus.clock, slot.medium or "bytes")
    tape = _tape(bus, slot, serials=serials)
    with slot.look(tap):
        async for passed in tap.pieces(seconds):
            tape.take(passed)
            roll.write(tape.lines())
            if roll.full:
                said["full"] = True
                break
    tape.take(None)
    roll.write(tape.lines())
    said.update(received=tape.received, sent=tape.sent, **({"lost": tap.lost} if tap.lost else {}))


def _tape(bus: BusStatus, slot: Slot, *, serials: bool) -> Tape | FrameLog:
    if slot.medium == "frames":
        return FrameLog(bus.target, time.time())
    return Tape(bus.target, datetime.now(UTC).isoformat(timespec="seconds"), __version__, serials=serials)
