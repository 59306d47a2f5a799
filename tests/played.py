"""Time that goes by only when it is played: a clock, and a link with simulated batteries at its far end.

With it a strategy lives through minutes in milliseconds, and nothing depends on how busy the machine is.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from jkbms_addon.acquisition.master import Master
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.simulator.far_end import BYTE_TIME
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb import modbus

if TYPE_CHECKING:
    from jkbms_addon.battery.reading import Reading


class PlayedClock:
    """Seconds, set by the test and by whoever waits."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


Reply = Callable[[modbus.Message, bytes], bytes]


class PlayedLink:
    """An RS485 pair: what is written is answered by batteries, after their latency and at the pace of the wire.

    ``reply`` may turn what a battery says into something else.
    """

    name = "played"

    def __init__(self, clock: PlayedClock, batteries: Iterable[SimulatedBms]) -> None:
        self.clock = clock
        self.batteries = {bms.address: bms for bms in batteries}
        self.asked: list[tuple[float, int, int]] = []
        self.received = 0
        self.reply: Reply = lambda _question, said: said
        self._coming: list[tuple[float, bytes]] = []
        self._busy = 0.0

    def write(self, data: bytes) -> None:
        question = modbus.parse(data)
        assert question.register is not None
        self.asked.append((self.clock(), question.address, question.register))
        bms = self.batteries.get(question.address)
        said = b""
        if bms is not None and not bms.silent:
            said = bms.page(question.register) + modbus.acknowledgement(question.address, question.register)
        said = self.reply(question, said)
        if not said:
            return
        start = max(self.clock() + len(data) * BYTE_TIME + (bms.latency if bms else 0.0), self._busy)
        self._busy = start + len(said) * BYTE_TIME
        self._coming.append((start, said[:1]))
        self._coming.append((self._busy, said[1:]))

    @property
    def pending(self) -> bool:
        return bool(self._coming) and self._coming[0][0] <= self.clock.now

    async def read(self, timeout: float) -> bytes:  # noqa: ASYNC109
        await asyncio.sleep(0)
        if self._coming and self._coming[0][0] <= self.clock.now + timeout:
            at, data = self._coming.pop(0)
            self.clock.now = max(self.clock.now, at)
            self.received += len(data)
            return data
        self.clock.now += timeout
        return b""


class PlayedMaster:
    """The strategy *master* on a played link, with a store as the owner has it."""

    def __init__(self, batteries: Iterable[SimulatedBms], addresses: Iterable[int], every: float = 2.0) -> None:
        self.clock = PlayedClock()
        self.link = PlayedLink(self.clock, batteries)
        for bms in self.link.batteries.values():
            bms.clock = self.clock
            bms.started = bms._at = self.clock()
        self.store = Store(self.clock)
        self.status = BusStatus("t", clock=self.clock)
        self.status.present = lambda address: self.store.present(("t", address))
        self.status.up()
        self.master = Master(self.link, self.status, frozenset(addresses), every)  # type: ignore[arg-type]
        self.history: list[tuple[float, Reading]] = []
        self.told: list[str] = []

    async def run(self, seconds: float, each: Callable[[], object] = lambda: None) -> None:
        end = self.clock() + seconds
        while self.clock() < end:
            for reading in await self.master.poll():
                self.history.append((self.clock(), reading))
                self.store.update("t", reading)
            if self.status.problem and self.status.problem not in self.told:
                self.told.append(self.status.problem)
            each()

    def online(self) -> set[int]:
        return {snapshot.address for snapshot in self.store if snapshot.online(self.clock())}
