"""The owner of one bus at work, as the app starts it, with everything that it believed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from jkbms_addon.app import own_bus
from jkbms_addon.bank import Bank
from jkbms_addon.options import BusOptions, parse
from jkbms_addon.status import BusStatus
from jkbms_addon.supervise import Keeper


class Owner:
    """One bus named ``t``; ``history`` holds when each reading was believed, and the reading."""

    def __init__(self, **options: Any) -> None:
        self.options: BusOptions = parse({"buses": [{"name": "t", **options}]}).buses[0]
        assert not self.options.problem
        self.status, self.bank = BusStatus("t"), Bank()
        self.history: list[tuple[float, Any]] = []

    async def run(self) -> None:
        keeper = Keeper("t", self.status.down)
        update = self.bank.update

        def kept(bus: str, reading: Any) -> None:
            self.history.append((time.monotonic(), reading))
            update(bus, reading)

        self.bank.update = kept  # type: ignore[method-assign]
        await keeper.run(lambda: own_bus(self.options, self.status, self.bank, keeper.healed))

    def addresses(self) -> set[int]:
        """Who is online."""
        return {s.address for s in self.bank if s.online(self.bank.clock())}


Some = TypeVar("Some", bound=Owner)


@asynccontextmanager
async def at_work(owner: Some) -> AsyncIterator[Some]:
    task = asyncio.create_task(owner.run())
    try:
        yield owner
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
