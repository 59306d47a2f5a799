"""A clock that runs faster than the real one, for every module of this process: each second of it is a short moment.

All waiting and all ages of the program shrink alike, so hours of its life fit into minutes. What does not shrink
is the time that work takes: a process that is stopped for 10 ms by others sees ``factor`` times as much.
"""

import asyncio
import selectors
import time
from collections.abc import Callable
from functools import partial


class _Hurried(selectors.DefaultSelector):
    """Waits only a fraction of what it is asked to."""

    factor = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / self.factor if timeout and timeout > 0 else timeout)


def hurry(factor: float) -> None:
    """Make this process's clocks ``factor`` times as fast; call it before anything keeps a clock function."""
    # not functions of Python: as members of a class (pyserial keeps one) these would become methods
    time.monotonic = partial(_hurried, time.monotonic, time.monotonic(), factor)
    time.time = partial(_hurried, time.time, time.time(), factor)
    _Hurried.factor = factor


def _hurried(real: Callable[[], float], began: float, factor: float) -> float:
    return began + (real() - began) * factor


def loop() -> asyncio.AbstractEventLoop:
    """An event loop that lives by these clocks."""
    return asyncio.SelectorEventLoop(_Hurried())
