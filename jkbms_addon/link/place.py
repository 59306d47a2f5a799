"""Where a link leads to: a serial port goes by several names."""

import os
from pathlib import Path


def real(place: str) -> str:
    """A port under its real name, as links in /dev/serial lead to it; all other places as they are. It blocks."""
    return os.path.realpath(place) if place.startswith("/") else place


def exists(path: str | Path) -> bool:
    """Whether something is there; what we may not look at, or whose name is too long, is not. It blocks."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for both
