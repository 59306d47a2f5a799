"""The options on the page: looked at, changed, reviewed, saved by the Supervisor, and used by a restart.

Everybody who may look may see them, but for secrets. Saving and restarting want the page unlocked: Home Assistant tells
an app who looks, and not whether he is an administrator. Without a Supervisor, or where it refuses, the page shows the
text to paste.
"""

import json
import logging
from asyncio import TaskGroup
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.errors import AddonError, CommandError, LinkError
from jkbms_addon.inverter.options import InverterOptions
from jkbms_addon.page.place import supervised
from jkbms_addon.page.supervisor import SLOW, Home
from jkbms_addon.page.visitor import LOCKED, Visitor
from jkbms_addon.worker import Worker

_LOGGER = logging.getLogger(__name__)
Message = Mapping[str, Any]
Answer = dict[str, Any]
Tell = Callable[[Answer], Awaitable[None]]
Kinds = Mapping[object, Callable[[Message], Awaitable[Answer]]]
# kinds of questions
OPTIONS: Final = ("options", "options_review", "options_save", "restart", "inverter_setup", "inverter_rehearse")
PATIENCE: Final = 20.0  # s for a check, which loads every strategy the first time
UNREAD: Final = "the options cannot be read: the disk does not answer"
CHANGED: Final = "the options were changed elsewhere meanwhile: look at them again"
ALONE: Final = "there is no Supervisor that could save them"


class Review(Protocol):
    """What a draft would do."""

    @property
    def options(self) -> dict[str, Any]:
        """All options as they would be saved, with their secrets."""

    @property
    def errors(self) -> tuple[tuple[int | str, str, str], ...]:
        """What is wrong, by number of the bus, or by section, and key."""

    def told(self) -> dict[str, Any]:
        """What may be told of it: no secrets."""


class Editing(Protocol):
    """What knows the options; every call blocks."""

    def total(self, raw: object) -> str:
        """A sum of options."""

    def shown(self, raw: object, entry: object = None) -> dict[str, Any]:
        """The buses without secrets, their forms, and where an entry that was found belongs."""

    def reviewed(self, raw: object, draft: object) -> Review:
        """What a draft would do."""

    def inverter(self, raw: object) -> dict[str, Any]:
        """The inverters that the options name, none where a first one may be set up."""

    def setpoints(self, raw: object) -> Setpoints:
        """What the owner has written already of how far and how fast."""

    def rehearsed(self, raw: object, section: object) -> tuple[InverterOptions, list[tuple[str, str]]]:
        """A first inverter as it would run, and what is wrong with it by key."""

    def scrubbed(self, text: str, *options: object) -> str:
        """A text of somebody else, without what may be a secret of these options."""

    def same(self, sent: object, held: object) -> bool:
        """Whether options are held as they were sent."""


@dataclass(slots=True)
class Place:
    """Where the options are: one for all clients. ``file`` is what the program was started with."""

    editor: Editing
    file: Path
    home: Home
    thread: Worker

    async def read(self) -> dict[str, Any]:
        """The options that hold from the next start on; ``LinkError`` where nobody tells them."""
        if supervised():
            return await self.home.options()
        return await self.thread.call(lambda: _file(self.file), PATIENCE, UNREAD)

    async def worked(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401
        """What the editor says, in a thread."""
        return await self.thread.call(work, PATIENCE, UNREAD)


def _file(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LinkError(f"the options cannot be read: {error.strerror or type(error).__name__}") from error
    except (ValueError, RecursionError) as error:
        raise LinkError("the options cannot be read: they are no JSON") from error
    if not isinstance(raw, dict):
        raise LinkError("the options cannot be read: they are no object")
    return raw


@dataclass(slots=True)
class Desk:
    """Answers one client; one question at a time."""

    place: Place
    visitor: Visitor
    tell: Tell
    tasks: TaskGroup
    more: Kinds  # questions that others answer, in the same turn
    _busy: bool = False

    def answer(self, message: Message) -> None:
        """The answer comes later; ``CommandError`` says why not."""
        kinds: Kinds = {
            "options": self._shown,
            "options_review": self._reviewed,
            "options_save": self._saved,
            "restart": self._restarted,
            **self.more,
        }
        kind = message.get("t")
        if kind in ("options_save", "restart"):
            self._unlocked()
        if self._busy:
            raise CommandError("the answer to the question before has not come yet")
        self._busy = True
        self.tasks.create_task(self._later(message.get("id"), kinds[kind](message)))

    async def _later(self, number: object, work: Awaitable[Answer]) -> None:
        try:
            answer = await work
        except AddonError as error:
            answer = {"t": "no", "reason": str(error)}
        finally:
            self._busy = False
        await self.tell({**answer, "id": number})

    def _unlocked(self) -> None:
        if not self.visitor.unlocked():
            raise CommandError(LOCKED)

    async def _shown(self, message: Message) -> Answer:
        return await self._told("options", await self.place.read(), message.get("entry"))

    async def _told(self, kind: str, raw: dict[str, Any], entry: object = None) -> Answer:
        shown = await self.place.worked(lambda: self.place.editor.shown(raw, entry))
        return {"t": kind, "home": supervised(), **shown}

    async def _reviewed(self, message: Message) -> Answer:
        _, review = await self._review(message)
        return {"t": "review", **review.told()}

    async def _review(self, message: Message) -> tuple[dict[str, Any], Review]:
        """The options as they are now, and what a draft would make of them."""
        editor, raw = self.place.editor, await self.place.read()
        if editor.total(raw) != message.get("sum"):
            raise CommandError(CHANGED)
        return raw, await self.place.worked(lambda: editor.reviewed(raw, message.get("draft")))

    async def _saved(self, message: Message) -> Answer:
        """Save them, and read back what is held."""
        home, editor = self.place.home, self.place.editor
        if not supervised():
            raise CommandError(ALONE)
        async with home.lock:
            raw, review = await self._review(message)
            if review.errors:
                return {"t": "review", **review.told()}
            self._unlocked()  # it may be locked by now
            try:
                await home.save(review.options)
                held = await home.options()
            except (CommandError, LinkError) as error:
                return {"t": "no", "reason": editor.scrubbed(str(error), raw, review.options)}
        _LOGGER.warning("options: saved by %s; they are used after a restart", self.visitor.source)
        return {**await self._told("saved", held), "kept": editor.same(review.options, held)}

    async def _restarted(self, _: Message) -> Answer:
        if not supervised():
            raise CommandError(ALONE)
        _LOGGER.warning("restart: wanted by %s", self.visitor.source)
        try:
            await self.place.home.restart()
        except LinkError as error:
            if str(error) != SLOW:  # while we are ended, no answer can come
                raise
        return {"t": "told"}
