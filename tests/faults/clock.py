"""The program with a wall clock that jumps: ``python -m tests.faults.clock FILE ARGUMENTS``.

The file holds the seconds by which the clock is wrong. Setting the system's clock would take a machine of its own;
for the program there is no other way to the wall clock than ``time.time``.
"""

import sys
import time
from functools import partial
from pathlib import Path


class Wrong:
    """How wrong the clock is now."""

    def __init__(self, file: Path) -> None:
        self._file, self._looked, self._shift = file, 0.0, 0.0

    def __call__(self) -> float:
        now = time.monotonic()
        if now - self._looked > 0.2:
            self._looked, self._shift = now, float(self._file.read_text() or 0)
        return self._shift


def wall(real: partial[float], wrong: Wrong) -> float:
    return real() + wrong()


if __name__ == "__main__":
    # not a function of Python: as a member of a class it would become a method
    time.time = partial(wall, partial(time.time), Wrong(Path(sys.argv[1])))
    from jkbms_addon.__main__ import main

    sys.exit(main(sys.argv[2:]))
