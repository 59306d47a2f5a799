"""Small JSON files beside the options: what has to survive a restart.

Whatever is in such a file, it costs at most what that file should tell, and one line in the log. A file is replaced
as a whole, and is on the disk when ``save`` returns. Both block; ``Saver`` writes from a thread of its own.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from jkbms_addon.errors import LinkError
from jkbms_addon.worker import Worker

_LOGGER = logging.getLogger(__name__)
LARGEST: Final = 2**22  # bytes of a file that is looked at
PATIENCE: Final = 5.0  # s for a disk that is slow
LAST: Final = 1.0  # s for what is not written yet when the program ends
RETRY: Final = 5.0  # s between two tries to write
LAST_DAY: Final = 4102444800.0  # of a date that is believed, s since 1970: the end of 2099

_ANYTHING: Final = TypeAdapter(dict[str, JsonValue])


class Contents(BaseModel):
    """What a file holds, checked when it is read: no other types, no infinite numbers."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="ignore")


Model = TypeVar("Model", bound=BaseModel)
Content = TypeVar("Content")


def read(path: Path, largest: int = LARGEST) -> bytes:
    """The content of a file of at most so many bytes; ``OSError``, or ``ValueError`` when it has more."""
    # not blocking, as it may be anything
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        content = file.read(largest + 1) or b""
    if len(content) > largest:
        raise ValueError("it is too large")
    return content


class JsonFile:
    """One JSON file. ``damage`` says what was wrong with it when it was loaded, empty when nothing was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = ""
        self._complained = False

    def load(self) -> dict[str, Any]:
        """Its content; empty when it is missing or damaged."""
        return self._loaded(_ANYTHING.validate_json) or {}

    def load_as(self, model: type[Model]) -> Model | None:
        """Its content, checked; None when it is missing or damaged."""
        return self._loaded(model.model_validate_json)

    def _loaded(self, check: Callable[[bytes], Content]) -> Content | None:
        try:
            return check(read(self.path))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            self.damage = f"{self.path} is damaged: {_first(error)}"
        except (OSError, ValueError) as error:
            self.damage = f"{self.path} cannot be read: {getattr(error, 'strerror', None) or error}"
        _LOGGER.warning("%s; it is ignored", self.damage)
        return None

    def save(self, content: Mapping[str, Any]) -> str:
        """Write it to the disk; why that failed, empty when it did not."""
        try:
            self._replace(json.dumps(content, allow_nan=False))
        except OSError as error:
            problem = f"{self.path} cannot be written: {error.strerror or error}"
            if not self._complained:
                _LOGGER.warning("%s", problem)
            self._complained = True
            return problem
        if self._complained:
            _LOGGER.info("%s is written again", self.path)
        self._complained = False
        return ""

    def _replace(self, text: str) -> None:
        fresh = self.path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _first(error: ValidationError) -> str:
    """The first of several errors in one line."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(f"{part!s:.40}" for part in first["loc"])
    return f"{where[:80]!r}: {first['msg']}" if where else str(first["msg"])


class Saver:
    """Writes the newest content of a file, from a thread of its own; what cannot be written is tried again.

    ``pending`` is whether something is not on the disk yet, ``problem`` why the last try failed. ``told`` is called
    when one of them has changed.
    """

    def __init__(self, file: JsonFile, told: Callable[[], None] = lambda: None) -> None:
        self._file, self._told = file, told
        self._worker = Worker(file.path.name)
        self._content: Mapping[str, Any] = {}
        self._news = asyncio.Event()
        self.pending, self.problem = False, ""

    def save(self, content: Mapping[str, Any]) -> None:
        """Have this written; it must not be changed afterwards."""
        self._content, self.pending = content, True
        self._news.set()

    async def run(self) -> None:
        """Write what comes until cancelled, and what is left then."""
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(RETRY if self.pending else None):
                        await self._news.wait()
                self._news.clear()
                await self._write(PATIENCE)
        finally:
            if self.pending:
                await self._write(LAST)

    async def _write(self, seconds: float) -> None:
        content = self._content
        slow = f"{self._file.path} cannot be written: the disk does not answer"
        try:
            problem = await self._worker.call(partial(self._file.save, content), seconds, slow)
        except LinkError as error:
            problem = str(error)
            if problem != self.problem:
                _LOGGER.warning("%s", problem)
        if not problem and content == self._content:
            self.pending = False
        self.problem = problem
        self._told()
