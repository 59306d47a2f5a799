"""The program as a process of its own, which ends with the block however that ends.

One that is left running opens the ports of the tests that follow.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any


def children(of: int) -> set[int]:
    """Processes below one, all the way down."""
    found, waiting = set[int](), [of]
    while waiting:
        pid = waiting.pop()
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):  # the thread has ended
                more = {int(one) for one in path.read_text().split()} - found
                found |= more
                waiting += more
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def none_left() -> Iterator[None]:
    """End what was started in the block and still runs; that is an error."""
    before = children(os.getpid())
    yield
    left = [pid for pid in children(os.getpid()) - before if alive(pid)]
    names = []
    for pid in left:
        with suppress(OSError):
            names.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
            os.kill(pid, signal.SIGKILL)
    assert not left, f"left running: {names}"


@asynccontextmanager
async def started(*command: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process; what it says has to be read unless ``options`` say where that goes."""
    process = await asyncio.create_subprocess_exec(*command, **{"stdout": PIPE, "stderr": PIPE} | options)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def program(*arguments: str, **options: Any) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """The program with these arguments."""
    return started(sys.executable, "-m", "jkbms_addon", *arguments, **options)
