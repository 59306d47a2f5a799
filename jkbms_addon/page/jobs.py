"""What the doctor is doing: one thing at a time on each bus and for each visitor, and the files that came of it.

Theory of operation. A job runs in the task group of whom it serves: bytes live and a scan end with their visitor, a
capture and a bundle go on while a phone sleeps and end with the page. Everybody is told of all jobs. One that has ended
stays told for ``KEPT`` s, and so long its file can be had under a name that nobody can guess; more than ``FILES`` are
never held, and each is packed.
"""

import secrets
import zlib
from asyncio import Task, TaskGroup
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jkbms_addon.errors import AddonError, CommandError
from jkbms_addon.page.visitor import Visitor

KEPT: Final = 300.0  # s
RUNNING: Final = 4  # at once, of all visitors together
FILES: Final = 4
LARGEST: Final = 4 * 1024 * 1024  # bytes of a file
AT_A_TIME: Final = 64 * 1024  # bytes of text that are packed in one go


@dataclass(slots=True)
class Job:
    """One thing. Times are monotonic s; ``said`` is what it has to tell beside its state.

    ``beside`` are the buses that it keeps for itself as it keeps ``where``.
    """

    number: int
    kind: str
    where: str
    visitor: Visitor
    began: float
    seconds: float
    said: dict[str, Any] = field(default_factory=dict)
    state: str = "runs"  # then done, failed or stopped
    ended: float | None = None
    path: str = ""  # of its file
    task: Task[None] | None = None
    beside: frozenset[str] = frozenset()

    def places(self) -> frozenset[str]:
        """Where nothing else may be begun."""
        return self.beside | {self.where}

    def release(self) -> None:
        """The buses beside are free again, before it ends."""
        self.beside = frozenset()


@dataclass(frozen=True, slots=True)
class Download:
    """A file that waits to be fetched; ``packed`` by zlib."""

    name: str
    size: int
    packed: bytes = field(repr=False)


class Roll:
    """Lines of a text, packed as they come and bounded."""

    def __init__(self) -> None:
        self._pack, self._packed = zlib.compressobj(6), list[bytes]()
        self.size, self.full = 0, False  # in bytes; whether no more is taken

    def write(self, lines: Sequence[str]) -> None:
        """Take lines in as long as there is room; what does not fit is left out."""
        for line in lines:
            data = f"{line}\n".encode()
            if self.size + len(data) > LARGEST:
                self.full = True
            if self.full:
                return
            self.size += len(data)
            self._packed.append(self._pack.compress(data))

    def download(self, name: str) -> Download:
        """All of it as a file."""
        return Download(name, self.size, b"".join([*self._packed, self._pack.flush()]))


class Jobs:
    """All of the program. ``clock`` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._jobs: dict[int, Job] = {}
        self._files: dict[str, Download] = {}
        self._count = 0

    def begin(
        self,
        job: tuple[str, str, *tuple[str, ...]],
        visitor: Visitor,
        seconds: float,
        work: Callable[[Job], Awaitable[None]],
        tasks: TaskGroup,
    ) -> Job:
        """Begin what is named by kind, place and buses beside, for about so many s; ``CommandError``: not now."""
        kind, where, *beside = job
        running = [one for one in self._jobs.values() if one.state == "runs"]
        if busy := next((one for one in running if not one.places().isdisjoint(job[1:])), None):
            place = min(busy.places().intersection(job[1:])) or kind
            raise CommandError(f"{place} is busy: {busy.kind} of {busy.visitor.name} is under way")
        if any(one.visitor is visitor for one in running):
            raise CommandError("one thing at a time: stop the other one first")
        if len(running) >= RUNNING:
            raise CommandError("too many things are under way")
        self._count += 1
        new = Job(self._count, kind, where, visitor, self._clock(), seconds, beside=frozenset(beside))
        self._jobs[new.number] = new
        new.task = tasks.create_task(self._run(new, work))
        new.task.add_done_callback(lambda _: self._over(new))  # also of one that was stopped before it ran
        return new

    def _over(self, job: Job) -> None:
        job.ended = self._clock()
        if job.state == "runs":
            job.state = "stopped"

    async def _run(self, job: Job, work: Callable[[Job], Awaitable[None]]) -> None:
        try:
            await work(job)
        except AddonError as error:
            job.state, job.said = "failed", {**job.said, "why": str(error)}
        else:
            job.state = "done"

    def stop(self, number: object, visitor: Visitor) -> None:
        """End a job; ``CommandError`` where it is somebody else's, or none."""
        job = self._jobs.get(number) if isinstance(number, int) else None
        if job is None or job.state != "runs" or job.task is None:
            raise CommandError("nothing of that is under way")
        if job.visitor.name != visitor.name and not visitor.unlocked():
            raise CommandError(f"this was begun by {job.visitor.name}: unlock the page to stop it")
        job.task.cancel()

    def give(self, job: Job, file: Download) -> None:
        """The file that came of a job."""
        job.path = f"files/{secrets.token_hex(16)}/{file.name}"
        self._files[f"/{job.path}"] = file
        while len(self._files) > FILES:
            del self._files[next(iter(self._files))]

    def file(self, path: str) -> Download | None:
        """What is to be fetched under that path of a request; more than once, as phones ask twice."""
        self._tidy()
        return self._files.get(path)

    def _tidy(self) -> None:
        now = self._clock()
        for job in list(self._jobs.values()):
            if job.ended is not None and now - job.ended > KEPT:
                del self._jobs[job.number]
                self._files.pop(f"/{job.path}", None)

    def told(self, now: float, wall: float) -> list[dict[str, Any]]:
        """All jobs; monotonic s and s since 1970."""
        self._tidy()
        return [self._told(job, wall - now) for job in self._jobs.values()]

    def _told(self, job: Job, offset: float) -> dict[str, Any]:
        file = self._files.get(f"/{job.path}")
        told = {"id": job.number, "kind": job.kind, "where": job.where, "who": job.visitor.name, "state": job.state}
        times = {"began": round(offset + job.began), "seconds": round(job.seconds)}
        return {
            **told,
            **times,
            "beside": sorted(job.beside),
            **job.said,
            **({"file": [job.path, file.size]} if file else {}),
        }
