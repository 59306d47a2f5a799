"""The newest lines of the log in memory, for who has only the page."""

import logging
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

FILE: Final = Path("/dev/shm/jkbms.log")  # noqa: S108 - in memory; all that is kept, for a bug report
LINES: Final = 300
LONGEST: Final = 500  # characters of a line
SHORTEST: Final = 4  # characters of a secret; anything shorter stands in every other word


class Line(NamedTuple):
    """``at`` is s since 1970."""

    at: float
    level: str
    text: str


class Newest(logging.Handler):
    """Keeps the newest lines, numbered from 1 on. Passwords that the options hold are blanked, wherever they stand."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0  # lines so far
        self._lines: deque[Line] = deque(maxlen=LINES)
        self._secrets: tuple[str, ...] = ()

    def keep(self, secrets: Iterable[str] = ()) -> None:
        """From now on keep what is logged, without these secrets."""
        self._secrets = tuple(one for one in secrets if len(one) >= SHORTEST)
        logging.getLogger().addHandler(self)  # which takes each handler once

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line in (logging calls this, one at a time)."""
        text = record.getMessage()
        if record.exc_info and (error := record.exc_info[1]):
            text = f"{text} ({type(error).__name__}: {error})"
        for secret in self._secrets:
            text = text.replace(secret, "***")
        self._lines.append(Line(record.created, record.levelname, text[:LONGEST]))
        self.count += 1

    def after(self, number: int) -> list[Line]:
        """Lines behind the one of that number, as far as they are still known."""
        new = self.count - number
        return list(self._lines)[-new:] if new > 0 else []


NEWEST: Final = Newest()
