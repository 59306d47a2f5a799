"""Every attempt to write, accepted or not, as a line of JSON in a file that is kept to a size.

A change has two lines with the same ``id``: one with the outcome ``begun``, which is on the disk before the first byte
goes out, and one with what became of it. When the program ends between the two, only the first is there, and the
next start tells so. Files are written by a thread of their own, as a disk may take its time. A flood of refused
commands does not push changes out: when the file has grown, refused ones go first.
"""

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Full, Queue
from typing import Any, Final

from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.snapshot import Key, key_of
from jkbms_addon.commands.command import LONGEST, SOURCE, Command, Outcome, shortened, value_of
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.worker import Worker

_LOGGER = logging.getLogger(__name__)
NAME = "writes.jsonl"
MAX_SIZE = 500_000  # bytes of each of the two files: the present one and the one before
REFUSED_SHARE: Final = 5  # refused ones may take a fifth of what is kept
BEGUN: Final = "begun"
PATIENCE = 3.0  # seconds for the disk, before a change is refused
FAREWELL = 1.0  # seconds for the last lines
LARGEST: Final = 2**22  # bytes of a file that are looked at
WAITING: Final = 256  # lines
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Intent:
    """A change that was begun by an earlier run and of which nothing more is known."""

    id: str
    command: Command
    before: Value
    began: float  # s since 1970


class Audit:
    """The two files and their thread; a full disk is told once.

    ``begin`` before the first byte of a change goes out, ``note`` for its outcome, or for a command that never began.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._complained = False
        self._count = 0
        self._jobs: Queue[Callable[[], object] | None] = Queue(WAITING)
        self._thread: threading.Thread | None = None

    # --- for who changes -------------------------------------------------------------------------------
    async def begin(self, command: Command, before: Value) -> str:
        """Put on disk that a change begins; its id. ``CommandError`` when that cannot be done."""
        self._count += 1
        intent = f"{int(time.time() * 1000):x}-{self._count}"
        record = {**Outcome(command, BEGUN, before=before).record(), "id": intent}
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()
        self._put(partial(self._begin, record, loop, done))
        try:
            async with asyncio.timeout(PATIENCE):
                problem = await done
        except TimeoutError:
            problem = f"{self.path}: the disk does not answer"
        if problem:
            raise CommandError(f"nothing is changed that cannot be recorded: {problem}")
        return intent

    def note(self, outcome: Outcome, intent: str = "") -> None:
        """Write down what became of a command; at once back, the thread does it."""
        record = {**outcome.record(), **({"id": intent} if intent else {})}
        self._put(partial(self._note, record))

    def stop(self) -> None:
        """Wait a moment until all is written; nothing is written afterwards."""
        thread, self._thread = self._thread, None
        if thread:
            with suppress(Full):
                self._jobs.put_nowait(None)
            thread.join(FAREWELL)

    async def unfinished(self) -> list[Intent]:
        """Changes of earlier runs of which only the beginning is on file; none when the disk does not answer."""
        slow = f"{self.path} cannot be read: the disk does not answer"
        try:
            found = await Worker("audit").call(partial(read, self.path.parent), PATIENCE, slow)
        except LinkError as error:
            _LOGGER.warning("%s", error)
            return []
        return [one for record in found if record.get("outcome") == BEGUN and (one := _intent(record))]

    # --- the thread ------------------------------------------------------------------------------------
    def _put(self, job: Callable[[], object]) -> None:
        if self._thread is None:
            # a daemon: a disk that hangs must not keep the program from ending
            self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
            self._thread.start()
        try:
            self._jobs.put_nowait(job)
        except Full:
            self._complain("the disk does not answer")

    def _work(self) -> None:
        while job := self._jobs.get():
            job()

    def _begin(self, record: Record, loop: asyncio.AbstractEventLoop, done: "asyncio.Future[str]") -> None:
        problem = ""
        try:
            self._append(record)
        except OSError as error:
            problem = f"{self.path}: {error.strerror}"
            self._complained = True  # the refusal says it
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_settle, done, problem)

    def _note(self, record: Record) -> None:
        try:
            self._append(record)
            self._complained = False
        except OSError as error:
            self._complain(str(error.strerror))

    def _complain(self, reason: str) -> None:
        if not self._complained:
            _LOGGER.warning("%s cannot be written: %s", self.path, reason)
        self._complained = True

    def _append(self, record: Record) -> None:
        if self.path.exists() and self.path.stat().st_size > MAX_SIZE:
            self._rotate()
        fresh = not self.path.exists()
        torn = not fresh and _torn(self.path)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + _line(record))
            if "id" in record:  # what was not begun may be lost with the power
                file.flush()
                os.fsync(file.fileno())
        if fresh and "id" in record:
            _sync_folder(self.path.parent)

    def _rotate(self) -> None:
        """Make the older file of both, without what has the least worth."""
        kept = "".join(map(_line, _worth(read(self.path.parent))))
        new = self.path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            file.write(kept)
            file.flush()
            os.fsync(file.fileno())
        new.replace(_older(self.path))
        self.path.unlink()


def _torn(path: Path) -> bool:
    """Whether the last line has no end, as the power or the disk's room went before it was written."""
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - 1))
        return size > 0 and file.read(1) != b"\n"


def _worth(records: list[Record]) -> list[Record]:
    """What is kept of all lines, oldest first: the newest changes, and of refused commands a share."""
    budget = {True: MAX_SIZE // REFUSED_SHARE, False: MAX_SIZE}
    kept = []
    for record in reversed(records):
        refused = "id" not in record and record.get("outcome") == "refused"
        budget[refused] -= len(_line(record).encode())
        if budget[refused] >= 0 or record.get("outcome") == BEGUN:
            kept.append(record)
    return kept[::-1]


def _settle(done: "asyncio.Future[str]", problem: str) -> None:
    if not done.done():
        done.set_result(problem)


def _sync_folder(folder: Path) -> None:
    """A new name in a folder lasts only when the folder is on disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _line(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _older(path: Path) -> Path:
    return path.with_suffix(".old.jsonl")


def _intent(record: Record) -> Intent | None:
    """The change that a line tells, None where the line is damaged or older than this program understands."""
    try:
        battery = _place(record["bms"])
        via = _place(record["wire"]) if "wire" in record else None
        key, source = shortened(str(record["key"]), LONGEST), shortened(str(record["source"]), SOURCE)
        command = Command(*battery, key, value_of(key, str(record["to"])), 0.0, source, via=via)
        return Intent(str(record["id"]), command, record["from"], float(record["time"]))
    except (KeyError, ValueError, TypeError, OverflowError, CommandError):
        return None


def _place(text: object) -> Key:
    bus, address = key_of(str(text))
    return shortened(bus), address


def read(folder: Path) -> list[Record]:
    """All attempts on file, oldest first, one for each; damaged lines are left out."""
    path = folder / NAME
    found: dict[object, Record] = {}
    for number, record in enumerate(_records((_older(path), path))):
        # the outcome stands where the change began
        found[record.get("id") or number] = record
    return list(found.values())


def _records(files: Iterable[Path]) -> Iterator[Record]:
    for one in files:
        try:
            # not blocking, as it may be anything
            with os.fdopen(os.open(one, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                content = file.read(LARGEST) or b""
        except FileNotFoundError:
            continue
        except OSError as error:
            _LOGGER.warning("%s cannot be read: %s", one, error.strerror)
            continue
        for line in content.decode("utf-8", "replace").split("\n"):
            with suppress(ValueError, RecursionError):
                record = json.loads(line)
                if isinstance(record, dict):
                    yield record
