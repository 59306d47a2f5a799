"""The program in a world in which calls hang: ``python -m tests.faults.stuck FOLDER ARGUMENTS``.

As long as there is a file of that name in the folder, looking up ``names`` hangs, the ``disk`` takes nothing, an
adapter does not ``drain``. Names that end with ``.test`` are those of this machine.
"""

import os
import signal
import socket
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def hanging(real: Callable[..., Any], switch: Path, where: Callable[..., bool] = lambda *_: True) -> Callable[..., Any]:
    """The same call, but it does not come back as long as the file is there."""

    def call(*args: Any, **options: Any) -> Any:
        while where(*args) and switch.exists():
            time.sleep(0.02)
        return real(*args, **options)

    return call


def local(real: Callable[..., Any]) -> Callable[..., Any]:
    def getaddrinfo(host: str, *args: Any, **options: Any) -> Any:
        return real("127.0.0.1" if named(host) else host, *args, **options)

    return getaddrinfo


def named(host: object, *_: object) -> bool:
    return str(host).endswith(".test")


def hang(folder: Path) -> None:
    """Let the calls of this process hang as the files say."""
    looked_up = hanging(local(socket.getaddrinfo), folder / "names", named)

    def getaddrinfo(host: Any, *args: Any, flags: int = 0, **options: Any) -> Any:
        if named(host) and flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return looked_up(host, *args, flags=flags, **options)

    socket.getaddrinfo = getaddrinfo
    os.replace = hanging(os.replace, folder / "disk")
    os.fsync = hanging(os.fsync, folder / "disk")
    termios.tcdrain = hanging(termios.tcdrain, folder / "drain")


def main(folder: Path, arguments: list[str]) -> int:
    hang(folder)
    from jkbms_addon.__main__ import main as program

    return program(arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
