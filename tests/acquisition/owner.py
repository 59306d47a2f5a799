"""The owner of one bus at work, as the app starts it, with everything that it believed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from jkbms_addon.acquisition.owner import own_bus
from jkbms_addon.acquisition.slot import Slot
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.options.file import parse
from jkbms_addon.supervise import Supervisor


class Owner:
    """One bus named ``t``; ``history`` holds when each reading was believed, and the reading."""

    def __init__(self, **options: Any) -> None:
        self.options = parse({"buses": [{"name": "t", **options}]}).buses[0]
        assert not self.options.problem
        self.status, self.store, self.slot = BusStatus("t"), Store(), Slot()
        self.history: list[tuple[float, Any]] = []

    async def run(self) -> None:
        supervisor = Supervisor("t", self.status.down)
        update = self.store.update

        def kept(bus: str, reading: Any) -> None:
            self.history.append((time.monotonic(), reading))
            update(bus, reading)

        self.store.update = kept  # type: ignore[method-assign]
        await supervisor.run(lambda: own_bus(self.options, self.status, self.store, supervisor.healed, slot=self.slot))

    def addresses(self) -> set[int]:
        """Who is online."""
        return {s.address for s in self.store if s.online(self.store.clock())}


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
