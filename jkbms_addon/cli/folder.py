"""A folder for one run of a command, which goes with it: however it is ended, or when the next run begins.

Who runs holds a lock on its folder, and the system lets go of it whatever the end was. A folder that nobody holds was
left by one that was killed.
"""

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from jkbms_addon.errors import OptionsError

# signals that no program survives, that tell of a fault in it, and that end nobody
HARD: Final = {signal.SIGKILL, signal.SIGSTOP}
FAULTS: Final = {
    *(signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP)
}
HARMLESS: Final = {
    *(signal.SIGCHLD, signal.SIGCONT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGURG, signal.SIGWINCH),
    *(signal.SIGPIPE, signal.SIGXFSZ),  # Python makes them an error of the call
}
ENDING: Final = frozenset(signal.valid_signals()) - HARD - FAULTS - HARMLESS  # all others would end us


@contextmanager
def own_folder(command: str) -> Iterator[Path]:
    """A new folder, and those that were left are gone. ``OptionsError`` where there is no place for one."""
    prefix = f"jkbms-{command}-"
    try:
        _sweep(Path(tempfile.gettempdir()), prefix)
        folder, held = _made(prefix)
    except OSError as error:
        raise OptionsError(f"needs a folder for its files: TMPDIR=/data names one in a container; {error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _made(prefix: str) -> tuple[Path, int]:
    """A new folder, and the lock on it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        with suppress(FileNotFoundError):  # who sweeps may have come before the lock
            held = _opened(folder)
            with suppress(OSError):  # not every file system has locks; then nobody sweeps either
                fcntl.flock(held, fcntl.LOCK_EX)
            if folder.exists():
                return folder, held
            os.close(held)


def _sweep(place: Path, prefix: str) -> None:
    """Remove our own folders that nobody holds."""
    for left in place.glob(f"{prefix}*"):
        with suppress(OSError):  # a file or a link, one of somebody else, or one in use
            held = _opened(left)
            try:
                if os.fstat(held).st_uid == os.geteuid():
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(held)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
