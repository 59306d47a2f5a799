"""Looking at what passes on a bus without delaying whoever owns it.

What comes is only put into a bounded queue while the owner works; whoever looks works it off in small pieces, between
which everybody else gets a turn.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Generic, TypeVar

from jkbms_addon.clock import MONOTONIC, Clock
from jkbms_addon.doctor.recording import Passed
from jkbms_addon.link.tap import Direction, Medium
from jkbms_addon.wire.can import Frames

# bytes or frames that wait: more than a stream brings in five seconds, and than a CAN bus of 500 kbit/s in two
MOST: Final[dict[Medium, int]] = {"bytes": 64 * 1024, "frames": 8192}
# that are looked through in one go: some ms on a small machine
PIECE: Final[dict[Medium, int]] = {"bytes": 256, "frames": 32}
SILENCE: Final = 0.3  # s after which what is unfinished is given up
T = TypeVar("T", bytes, Frames)


class Listening(Generic[T]):
    """A tap. Times are s since it was made; ``lost`` counts bytes or frames that nobody had time for."""

    def __init__(self, clock: Clock = MONOTONIC, medium: Medium = "bytes") -> None:
        self.clock, self._began = clock, clock()
        self._most, self._piece = MOST[medium], PIECE[medium]
        self.lost = self._size = 0
        self._queue: deque[Passed[T]] = deque()
        self._news = asyncio.Event()

    def __call__(self, direction: Direction, data: T) -> None:
        """Take in what a link shows."""
        size = len(data)
        if self._size + size > self._most:
            self.lost += size
            return
        self._size += size
        at = self.clock() - self._began
        # what was sent stays whole, so that it is known what was asked
        piece = self._piece if direction == "rx" else max(1, size)
        for start in range(0, size, piece):
            self._queue.append(Passed(at, direction, data[start : start + piece]))
        self._news.set()

    async def pieces(self, seconds: float) -> AsyncIterator[Passed[T] | None]:
        """All that comes within so many s; None where nothing came for a while."""
        end = self._began + seconds
        while (left := end - self.clock()) > 0:
            while self._queue:
                passed = self._queue.popleft()
                self._size -= len(passed.data)
                yield passed
                await asyncio.sleep(0)
            self._news.clear()
            try:
                async with asyncio.timeout(min(left, SILENCE)):
                    await self._news.wait()
            except TimeoutError:
                yield None
