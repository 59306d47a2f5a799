"""What a client may ask of the doctor: the ports of this computer and the newest lines of the log."""

from asyncio import TaskGroup
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.page import first_run
from jkbms_addon.page.sources import Sources
from jkbms_addon.page.visitor import Visitor
from jkbms_addon.worker import Worker

Message = Mapping[str, Any]
Answer = dict[str, Any]
Tell = Callable[[Answer], Awaitable[None]]
PATIENCE: Final = 10.0  # s for a look at the ports
DOCTOR: Final = ("ports", "log")  # kinds of questions
SLOW: Final = "the list of serial ports takes too long"


@dataclass(slots=True)
class Doctor:
    """Answers one client. ``tasks`` end with it, ``thread`` is for what blocks."""

    sources: Sources
    visitor: Visitor
    tell: Tell
    tasks: TaskGroup
    thread: Worker
    _told: int | None = None  # number of the last line of the log that was told; None where none are wanted

    def answer(self, message: Message) -> Answer | None:
        """The answer to a question, None where it comes later; ``CommandError`` says why there is none."""
        kind = message.get("t")
        answers: Mapping[object, Callable[[Message], Answer | None]] = {"ports": self._ports, "log": self._log}
        if kind not in answers:
            raise CommandError("there is no such request")
        return answers[kind](message)

    def news(self) -> list[Answer]:
        """What is to be told without being asked again."""
        log = self.sources.log
        if self._told is None or self._told == log.count:
            return []
        lines = [[round(line.at, 1), line.level, line.text] for line in log.after(self._told)]
        self._told = log.count
        return [{"t": "log", "lines": lines}]

    def _log(self, message: Message) -> Answer:
        """The newest lines now and from now on; or no more."""
        self._told = 0 if message.get("on") is True else None
        return {"t": "told"}

    def _ports(self, message: Message) -> None:
        self.tasks.create_task(self._looked(message.get("id")))

    async def _looked(self, number: object) -> None:
        try:
            used = self.used()
            found = await self.thread.call(lambda: _with_owners(first_run.look(), used), PATIENCE, SLOW)
        except LinkError as error:
            await self.tell({"t": "no", "id": number, "reason": str(error)})
        else:
            await self.tell({"t": "ports", "id": number, **found})

    def used(self) -> dict[str, str]:
        """Who uses a link: name by target."""
        links = [*self.sources.buses.values(), *(outlet.link for outlet in self.sources.outlets)]
        return {link.target: link.name for link in links if link.target and not link.option_error}


def real(target: str) -> str:
    """A port under its real name, as links in /dev/serial lead to it. It blocks."""
    return str(Path(target).resolve()) if target.startswith("/") else target.lower()


def _with_owners(found: dict[str, Any], used: Mapping[str, str]) -> dict[str, Any]:
    """Ports and interfaces, each with who uses it. It blocks."""
    owners = {real(target): name for target, name in used.items()}
    ports = [{**one, "used": owners.get(real(one["path"]))} for one in found["ports"]]
    can = [{**one, "used": owners.get(one["name"])} for one in found["can"]]
    return {"ports": ports, "can": can}
