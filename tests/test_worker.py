import asyncio
import socket
import threading
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from jkbms_addon.errors import LinkError
from jkbms_addon.supervise import Supervisor
from jkbms_addon.worker import Worker, own
from tests.conftest import until


class Hanging:
    """Work that ends when it is told to."""

    def __init__(self) -> None:
        self.end, self.begun, self.daemon = threading.Event(), 0, False

    def __call__(self) -> str:
        self.begun += 1
        self.daemon = threading.current_thread().daemon
        assert self.end.wait(30)
        return "brought"


async def test_what_work_returns_or_raises_comes_back() -> None:
    worker = Worker("a")
    assert await worker.call(partial(int, "7"), 5, "slow") == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await worker.call(partial(int, "x"), 5, "slow")
    assert await worker.call(threading.get_ident, 5, "slow") != threading.get_ident()


async def test_a_call_that_takes_too_long_is_given_up_and_its_result_is_cared_for() -> None:
    worker, hanging, late = Worker("a"), Hanging(), list[str]()
    with pytest.raises(LinkError, match="the adapter hangs"):
        await worker.call(hanging, 0.05, "the adapter hangs", late.append)
    assert hanging.daemon
    hanging.end.set()
    await until(lambda: late == ["brought"])
    assert await worker.call(partial(int, "7"), 5, "slow") == 7


async def test_time_spent_waiting_is_no_reason_for_a_verdict() -> None:
    """The next call of an owner does not begin, and is not blamed, while one hangs."""
    worker, hanging, next_one = Worker("a"), Hanging(), Hanging()
    with pytest.raises(LinkError, match="the name server does not answer"):
        await worker.call(hanging, 0.05, "the name server does not answer")
    with pytest.raises(LinkError, match="the name server does not answer"):
        await worker.call(next_one, 0.05, "takes no commands")
    assert next_one.begun == 0
    hanging.end.set()
    next_one.end.set()
    assert await worker.call(next_one, 5, "takes no commands") == "brought"


async def test_owners_do_not_wait_for_each_other() -> None:
    hanging = [Hanging() for _ in range(50)]
    waiting = [asyncio.create_task(Worker("x").call(one, 20, "slow")) for one in hanging]
    await until(lambda: all(one.begun for one in hanging))
    assert await asyncio.wait_for(Worker("y").call(partial(int, "7"), 5, "slow"), 1) == 7
    for one in hanging:
        one.end.set()
    assert await asyncio.gather(*waiting) == ["brought"] * 50


async def test_closing_is_done_in_any_case_and_after_what_hangs() -> None:
    worker, hanging, done = Worker("a"), Hanging(), list[int]()
    with pytest.raises(LinkError):
        await worker.call(hanging, 0.05, "the adapter hangs")
    await worker.finish(partial(done.append, 1), 0.05, "closing hangs")
    assert done == []
    with pytest.raises(LinkError, match="the adapter hangs"):
        await worker.call(partial(int, "7"), 0.05, "slow")
    hanging.end.set()
    await until(lambda: done == [1])


@pytest.mark.parametrize("early", [True, False])
async def test_a_cancelled_call_leaves_nothing_open(early: bool) -> None:
    worker, hanging, late = Worker("a"), Hanging(), list[str]()
    task = asyncio.create_task(worker.call(hanging, 20, "slow", late.append))
    await until(lambda: hanging.begun)
    if not early:  # the result is there, but the task has not seen it
        hanging.end.set()
        while not worker._ended or not worker._ended.done():
            threading.Event().wait(0.001)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    hanging.end.set()
    await until(lambda: late == ["brought"])


async def test_each_owner_has_a_thread_of_its_own() -> None:
    found: list[Any] = []

    async def owner() -> None:
        found.append(own())
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(Supervisor(name).run(owner)) for name in "ab"]
    await until(lambda: len(found) == 2)
    for task in tasks:
        task.cancel()
    assert found[0] is not found[1]
    assert own() is not own()  # nobody supervises this task


async def test_the_results_of_old_calls_are_not_kept() -> None:
    worker = Worker("a")
    sock = await worker.call(socket.socket, 5, "slow")
    fd = sock.fileno()
    assert fd > 0
    await asyncio.sleep(0.1)  # its thread has just told it, and lets go of it now
    with pytest.warns(ResourceWarning, match="unclosed"):
        del sock
