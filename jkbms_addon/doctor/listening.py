"""Looking at the bytes of a bus without delaying whoever owns it.

What comes is only put into a bounded queue while the owner works; whoever looks works it off in small pieces, between
which everybody else gets a turn.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from jkbms_addon.clock import MONOTONIC, Clock
from jkbms_addon.doctor.recording import Chunk

MOST: Final = 64 * 1024  # bytes that wait; more than a bus brings in five seconds
PIECE: Final = 256  # bytes that are looked through in one go: some ms on a small machine
SILENCE: Final = 0.3  # s after which what is unfinished is given up


class Listening:
    """A tap. Times of the chunks are s since it was made; ``lost`` counts bytes that nobody had time for."""

    def __init__(self, clock: Clock = MONOTONIC) -> None:
        self.clock, self._began = clock, clock()
        self.lost = self._size = 0
        self._queue: deque[Chunk] = deque()
        self._news = asyncio.Event()

    def __call__(self, direction: str, data: bytes) -> None:
        """Take bytes in, as a link gives them."""
        if self._size + len(data) > MOST:
            self.lost += len(data)
            return
        self._size += len(data)
        at = self.clock() - self._began
        way = "tx" if direction == "tx" else "rx"
        for start in range(0, len(data), PIECE) if way == "rx" else (0,):
            piece = data[start : start + PIECE] if way == "rx" else data
            self._queue.append(Chunk(at, "tx" if way == "tx" else "rx", piece))
        self._news.set()

    async def chunks(self, seconds: float) -> AsyncIterator[Chunk | None]:
        """All that comes within so many s; None where nothing came for a while."""
        end = self._began + seconds
        while (left := end - self.clock()) > 0:
            while self._queue:
                chunk = self._queue.popleft()
                self._size -= len(chunk.data)
                yield chunk
                await asyncio.sleep(0)
            self._news.clear()
            try:
                async with asyncio.timeout(min(left, SILENCE)):
                    await self._news.wait()
            except TimeoutError:
                yield None
