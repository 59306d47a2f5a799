"""Versions for a bug report: of the program, of its libraries, of Home Assistant. It blocks, though not for long."""

import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from queue import Empty, Queue
from threading import Thread
from typing import Any, Final

from jkbms_addon import __version__
from jkbms_addon.supervisor import UNTOLD, token, told
from jkbms_addon.supervisor import URL as SUPERVISOR

OURS: Final = "jkbms-addon"
PATIENCE: Final = 5.0  # s for the Supervisor in all, its name included
LARGEST: Final = 100_000  # bytes of its answer
TOLD: Final = ("supervisor", "homeassistant", "hassos")  # the last one where its own system runs


def versions() -> dict[str, Any]:
    """Everything that matters; None is not known, or not installed."""
    return {
        "jkbms": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        **home(),
        **libraries(),
    }


def libraries() -> dict[str, str | None]:
    """Name and version of every library that we require, and that those require, and so on."""
    found: dict[str, str | None] = {}
    ahead = [OURS]
    while ahead:
        for name, conditional in _required(ahead.pop()):
            if name in found:
                continue
            number = _version(name)
            if number is None and conditional:
                continue  # it is for another Python, or for something that was not asked for
            found[name] = number
            ahead.append(name)
    return dict(sorted(found.items()))


def _required(name: str) -> Iterator[tuple[str, bool]]:
    """What a library requires, and whether that depends on something."""
    try:
        lines = requires(name) or ()
    except PackageNotFoundError:
        return
    for line in lines:
        if found := re.match(r"[A-Za-z0-9][\w.-]*", line):
            yield re.sub(r"[-_.]+", "-", found[0]).lower(), ";" in line


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def home() -> dict[str, str | None]:
    """What the Supervisor tells of itself and of Home Assistant; each is None where it cannot be asked or is silent."""
    known: dict[str, Any] = {}
    if token():
        answers: Queue[dict[str, Any]] = Queue()
        Thread(target=lambda: answers.put(_ask()), daemon=True).start()  # a name server may hang for minutes
        with suppress(Empty):
            known = answers.get(timeout=PATIENCE)
    return {key: value if isinstance(value := known.get(key), str) else None for key in TOLD}


def _ask() -> dict[str, Any]:
    """The data of its answer; nothing where that is none."""
    try:
        data = told("/info", PATIENCE, SUPERVISOR, LARGEST)  # open to every app, without any role
    except UNTOLD:
        return {}
    return data if isinstance(data, dict) else {}
