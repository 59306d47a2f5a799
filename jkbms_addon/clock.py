"""The seam through which time comes in: whoever waits or measures asks a ``Clock``, so that tests need not sleep."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds of a clock that never goes back, and a rest of so many of them."""

    def __call__(self) -> float:
        """The time now, in s."""

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds go by."""


class Monotonic:
    """The clock of the machine."""

    def __call__(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """As asyncio does."""
        await asyncio.sleep(seconds)


MONOTONIC = Monotonic()
