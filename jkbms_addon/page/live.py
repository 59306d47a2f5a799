"""What listens on a bus for the page: its bytes in words, as they pass, and a capture. Loaded when it is wanted."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from jkbms_addon import __version__
from jkbms_addon.acquisition.slot import Slot
from jkbms_addon.battery.status import BusStatus
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


async def watch(bus: BusStatus, slot: Slot, seconds: float, tell: Tell) -> None:
    """Tell what passes on a bus, message by message, for so many s."""
    tap = Listening(bus.clock)
    began, told = time.time(), bus.clock()
    masker, words, lines = Masker(), Words(ttl=bus.strategy == "ttl"), list[Word]()
    with slot.look(tap):
        async for chunk in tap.chunks(seconds):
            lines += _worded(masker, words, chunk)
            if lines and bus.clock() - told >= TELL_EVERY:
                left_out, told = max(0, len(lines) - LINES), bus.clock()
                content = [_line(began, word) for word in lines[-LINES:]]
                lines.clear()
                await tell({"t": "bytes", "bus": bus.name, "lines": content, "left_out": left_out})


def _worded(masker: Masker, words: Words, chunk: Chunk | None) -> list[Word]:
    settled = masker.flush() if chunk is None else masker.feed(chunk)
    found = [word for one in settled for word in words.take(one)]
    return found if chunk else [*found, *words.take(None)]


def _line(began: float, word: Word) -> list[Any]:
    said = {key: rounded(value, 2) if isinstance(value, float) else value for key, value in word.said.items()}
    return [round(began + word.seconds, 3), word.direction, hexed(word.data), word.kind, said]


async def capture(
    bus: BusStatus, slot: Slot, seconds: float, roll: Roll, said: dict[str, Any], *, serials: bool = False
) -> None:
    """Put what passes on a bus into a roll, for so many s or until it is full; ``said`` tells how much it was.

    ``serials`` blanks serial numbers, too.
    """
    tap = Listening(bus.clock)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    tape = Tape(bus.target, now, __version__, serials=serials)
    with slot.look(tap):
        async for chunk in tap.chunks(seconds):
            tape.take(chunk)
            roll.write(tape.lines())
            if roll.full:
                said["full"] = True
                break
    tape.take(None)
    roll.write(tape.lines())
    said.update(received=tape.received, sent=tape.sent, **({"lost": tap.lost} if tap.lost else {}))
