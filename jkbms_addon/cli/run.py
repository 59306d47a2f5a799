"""``run``: the app itself."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from jkbms_addon import __version__
from jkbms_addon.app import App
from jkbms_addon.doctor import log
from jkbms_addon.doctor.log import NEWEST
from jkbms_addon.options.file import DEFAULT_FILE, Options, read
from jkbms_addon.validators import secret

_LOGGER = logging.getLogger(__name__)
FORMAT = "%(asctime)s %(levelname)-7s %(message)s"
LOG_SIZE = 200_000  # bytes
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
FAREWELL: Final = 4.3  # s for all owners together; then the process ends, whatever hangs
LEVELS = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.FATAL,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--options", type=Path, default=DEFAULT_FILE, metavar="FILE", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; 0. ``OptionsError`` when the options file cannot be used."""
    options = read(args.options)
    log_to_stderr(options.log_level)
    remember_log()
    NEWEST.keep(secrets(options))
    _LOGGER.info("JK BMS %s: %s", __version__, ", ".join(f"{b.name} ({b.strategy})" for b in options.buses) or "no bus")
    asyncio.run(until_signal(App(options, args.options.resolve().parent, args.options)))
    _LOGGER.info("stopped")
    return 0


def secrets(options: Options) -> list[str]:
    """What nobody may see of the options that run."""
    own = [str(value) for bus in options.buses for key, value in bus.values.items() if secret(key)]
    return [options.mqtt.password, options.page.token, *own]


def log_to_stderr(level: str) -> None:
    """One line per event; libraries only when something is wrong with them."""
    logging.addLevelName(5, "TRACE")
    logging.addLevelName(logging.CRITICAL, "FATAL")
    logging.basicConfig(level=logging.WARNING, format=FORMAT, stream=sys.stderr, force=True)
    logging.getLogger("jkbms_addon").setLevel(LEVELS[level])


def remember_log() -> None:
    """Keep the newest lines in memory, too, for a bug report; without shared memory there are none."""
    with suppress(OSError):
        kept = RotatingFileHandler(log.FILE, maxBytes=LOG_SIZE, backupCount=0, encoding="utf-8", errors="replace")
        kept.setFormatter(logging.Formatter(FORMAT))
        logging.getLogger().addHandler(kept)


async def until_signal(app: App, signals: Collection[int] = SIGNALS) -> None:
    """Run the app until the process is asked to stop by one of these signals; SIGTERM is among them."""
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    assert main is not None
    # a thread of its own waits for the signals, as the loop may hang; threads that are started later inherit this
    before, decided = signal.pthread_sigmask(signal.SIG_BLOCK, signals), threading.Lock()
    stop = partial(loop.call_soon_threadsafe, main.cancel)
    waiter = threading.Thread(target=_wait_for_signal, args=(stop, decided, signals), name="signals", daemon=True)
    waiter.start()
    try:
        await app.run()
    except asyncio.CancelledError:
        _LOGGER.debug("asked to stop")
    finally:
        if decided.acquire(blocking=False) and waiter.ident is not None:  # it ended by itself, so nothing else does
            signal.pthread_kill(waiter.ident, signal.SIGTERM)
            waiter.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_for_signal(stop: Callable[[], object], decided: threading.Lock, signals: Collection[int]) -> None:
    """End the program when asked to, in good order if that is possible in time; ``decided`` by who comes first."""
    signal.sigwait(signals)
    if not decided.acquire(blocking=False):
        return
    with suppress(RuntimeError):  # the loop has ended already
        stop()
    time.sleep(FAREWELL)
    # what hangs may hold the log, too
    said = threading.Thread(target=_LOGGER.warning, args=("something hangs; ending without it",), daemon=True)
    said.start()
    said.join(0.2)
    os._exit(0)
