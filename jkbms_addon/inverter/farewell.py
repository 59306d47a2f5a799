"""What is told last, while the task that tells it is being cancelled."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final

from jkbms_addon.errors import LinkError

FAREWELL: Final = 3.5  # s that it may take


async def told(last: Awaitable[None]) -> None:
    """Wait for it; a link that is gone just now, or hangs, must not keep the process alive."""
    # Python before 3.11.4 takes the end of any timeout in a task that is being cancelled for its end
    if task := asyncio.current_task():
        task.uncancel()
    with suppress(LinkError, TimeoutError):
        async with asyncio.timeout(FAREWELL):
            await last
