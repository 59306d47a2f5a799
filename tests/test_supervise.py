import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from jkbms_addon import supervise
from jkbms_addon.acquisition import can_broadcast
from jkbms_addon.errors import LinkError
from jkbms_addon.supervise import Supervisor

LONGEST = supervise.MAX_DELAY


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(supervise, "MAX_DELAY", 0.002)


async def run(supervisor: Supervisor, owner: Callable[[], Awaitable[None]]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await supervisor.run(owner)


async def test_one_warning_per_failure_and_one_info_when_healed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    calls: list[int] = []
    notes: list[str] = []
    supervisor = Supervisor("bus", notes.append)

    async def owner() -> None:
        calls.append(1)
        if len(calls) in (5, 9):
            supervisor.healed()
        if len(calls) == 10:
            raise asyncio.CancelledError
        raise LinkError("unplugged")

    await run(supervisor, owner)
    said = [(r.levelname, r.getMessage()) for r in caplog.records]
    assert (
        said
        == [
            ("WARNING", "bus: unplugged; trying again"),
            ("INFO", "bus: works again"),
            ("WARNING", "bus: unplugged; trying again"),
            ("INFO", "bus: works again"),
            ("WARNING", "bus: unplugged; trying again"),
        ][: len(said)]
    )
    assert len(said) >= 4
    assert set(notes) == {"unplugged"}


async def test_a_link_error_inside_a_task_group_is_the_same_failure(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []
    supervisor = Supervisor("mqtt")

    async def fails() -> None:
        raise LinkError("gone")

    async def owner() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise asyncio.CancelledError
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails())
            tasks.create_task(asyncio.sleep(10))

    await run(supervisor, owner)
    assert [r.getMessage() for r in caplog.records] == ["mqtt: gone; trying again"]


async def test_a_bug_restarts_its_owner_and_shows_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    async def owner() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise asyncio.CancelledError
        raise ZeroDivisionError("oops")

    await run(Supervisor("bus"), owner)
    assert "this is a bug" in caplog.text
    assert "oops" in caplog.text


def test_what_is_back_is_noticed_within_five_seconds() -> None:
    assert LONGEST * 1.2 < 5
    # the slowest source must then listen until it believes what it hears, and decide again once a second
    assert LONGEST * 1.2 + can_broadcast.SETTLE + can_broadcast.LOOK < 5


async def test_an_owner_is_started_again_however_often_its_tasks_fail() -> None:
    """A TaskGroup of Python 3.11 leaves its task looking cancelled after a failure."""
    calls: list[int] = []

    async def fails() -> None:
        raise LinkError("gone")

    async def owner() -> None:
        calls.append(1)
        if len(calls) == 6:
            raise asyncio.CancelledError
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails())

    await run(Supervisor("mqtt"), owner)
    assert len(calls) == 6


async def test_an_owner_whose_farewell_fails_is_not_started_again() -> None:
    calls: list[int] = []

    async def owner() -> None:
        calls.append(1)
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError as error:
            raise LinkError("could not say goodbye") from error

    task = asyncio.create_task(Supervisor("inverter", None, lambda: True).run(owner))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert calls == [1]
