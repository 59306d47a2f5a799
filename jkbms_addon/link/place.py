"""Where a link leads to: a serial port goes by several names."""

import os


def real(place: str) -> str:
    """A port under its real name, as links in /dev/serial lead to it; all other places as they are. It blocks."""
    return os.path.realpath(place) if place.startswith("/") else place
