"""The program as a process of its own, which ends with the block however that ends.

One that is left running opens the ports of the tests that follow.
"""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any

# a browser begins and ends processes as it likes
OURS = re.compile(rb"jkbms_addon|mosquitto")
GRACE = 2.0  # s for what is ending just now


def children(of: int) -> set[int]:
    """Processes that one has begun, and programs of ours further down."""
    found, waiting, seen = set[int](), [of], {of}
    while waiting:
        parent = waiting.pop()
        more = begun_by(parent) - seen
        seen |= more
        waiting += more
        found |= {pid for pid in more if parent == of or OURS.search(command(pid))}
    return found


def begun_by(pid: int) -> set[int]:
    """Processes that the threads of one have begun, none where it has ended."""
    found = set[int]()
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found |= {int(one) for one in (thread / "children").read_text().split()}
    return found


def command(pid: int) -> bytes:
    """The command line of a process, empty where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


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
    until = time.monotonic() + GRACE
    while left := {pid: command(pid) for pid in children(os.getpid()) - before if alive(pid)}:
        if time.monotonic() > until:
            break
        time.sleep(0.02)
    for pid in left:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    assert not left, f"left running: {[line.replace(bytes(1), b' ').decode() for line in left.values()]}"


@asynccontextmanager
async def started(
    *command: str, end: signal.Signals = signal.SIGKILL, **options: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process, ended by a signal; what it says has to be read unless ``options`` say where that goes."""
    process = await asyncio.create_subprocess_exec(*command, **{"stdout": PIPE, "stderr": PIPE} | options)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(end)
        await process.communicate()


def program(*arguments: str, **options: Any) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """The program with these arguments."""
    return started(sys.executable, "-m", "jkbms_addon", *arguments, **options)
