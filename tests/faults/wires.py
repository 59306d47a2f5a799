"""The links to batteries and inverter: a serial port, a gateway, CAN adapters."""

import asyncio
import os
import random
import time
from contextlib import suppress

from jkbms_addon.simulator.can import Adapter, broadcasting, can_bms, slcan_adapter
from jkbms_addon.simulator.far_end import FarEnd, SerialBus, TcpBus, serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.faults.link import NO_NAMES, Link, healthy, know
from tests.faults.world import packs
from tests.plugs import Plug


def noise(data: bytes) -> bytes:
    return random.randbytes(len(data))


class _Rs485(Link):
    """What both ways to a pair of wires have in common."""

    def pair(self) -> FarEnd:
        return self.far

    @property
    def far(self) -> FarEnd:
        raise NotImplementedError

    async def frozen(self) -> None:
        self.far.frozen = True

    async def thawed(self) -> None:
        self.far.frozen = False

    async def garbage(self) -> None:
        self.far.mangle = noise

    async def clean(self) -> None:
        self.far.mangle = bytes


class Serial(_Rs485):
    """A serial adapter; half-open: our questions do not arrive."""

    plug: Plug[SerialBus]

    @property
    def far(self) -> FarEnd:
        return self.plug.far

    async def set_up(self, *, present: bool) -> None:
        batteries = packs()
        self.plug = Plug(self.world.folder / "adapter", lambda: serial_bus(batteries))
        self.stack.push_async_callback(self.plug.pull)
        self.world.judge.know({("a", bms.address): bms for bms in batteries})  # type: ignore[misc]
        self.world.bus = {"strategy": "master", "port": str(self.plug.path), "addresses": "1-3", "interval": 1.0}
        if present:
            await self.plug.plug()

    async def gone(self) -> None:
        await self.plug.pull()

    async def back(self) -> None:
        await self.plug.plug()

    async def half_open(self) -> None:
        self.far.deaf = True

    async def whole(self) -> None:
        self.far.deaf = False


class Tcp(_Rs485):
    """An RS485-to-TCP gateway; half-open: it has restarted and does not know our connection."""

    _far: TcpBus

    @property
    def far(self) -> FarEnd:
        return self._far

    async def set_up(self, *, present: bool) -> None:
        self._far = await self.stack.enter_async_context(tcp_bus(packs()))
        know(self.world, self._far)
        host = "gateway.test" if self.fault == NO_NAMES else "127.0.0.1"
        link = {"host": host, "tcp_port": self._far.port}
        self.world.bus = {"strategy": "gateway", **link, "addresses": "1-3", "interval": 1.0}
        if not present:
            await self._far.stop()

    async def gone(self) -> None:
        await self._far.stop()

    async def back(self) -> None:
        await self._far.start()

    async def nameless(self) -> None:
        """It also restarts, so that it must be found again."""
        await super().nameless()
        await self._far.stop()
        await self._far.start()

    async def half_open(self) -> None:
        self._far.forget()
        self._far.refuse()

    async def whole(self) -> None:
        await self._far.start()


class CanIn(Link):
    """A serial CAN adapter that hears BMSs; half-open: its power failed, so it has forgotten its bit rate."""

    plug: Plug[Adapter]

    async def set_up(self, *, present: bool) -> None:
        self.batteries = [can_bms(n, current=-10.0, soc=50.0 + n) for n in (1, 2)]
        self.plug = Plug(self.world.folder / "can", slcan_adapter)
        self.stack.push_async_callback(self.plug.pull)
        await self.stack.enter_async_context(broadcasting(self.batteries, self._put))
        self._noise: asyncio.Task[None] | None = None
        self.world.judge.know({("a", one.bms.address): one for one in self.batteries})
        self.world.bus = {"strategy": "can_broadcast", "channel": str(self.plug.path)}
        if present:
            await self.plug.plug()

    def _put(self, frame: object) -> None:
        with suppress(AssertionError):  # nothing is plugged in
            self.plug.far.put(frame)  # type: ignore[arg-type]

    async def gone(self) -> None:
        await self.plug.pull()

    async def back(self) -> None:
        await self.plug.plug()

    async def frozen(self) -> None:
        for battery in self.batteries:
            battery.silent = True

    async def thawed(self) -> None:
        for battery in self.batteries:
            battery.silent = False

    async def garbage(self) -> None:
        await self.frozen()
        self._noise = asyncio.create_task(babble(self.plug.far))
        self.stack.callback(self._noise.cancel)

    async def clean(self) -> None:
        assert self._noise is not None
        self._noise.cancel()
        await self.thawed()

    async def half_open(self) -> None:
        self.plug.far.reset()
        self.plug.far.deaf = True

    async def whole(self) -> None:
        self.plug.far.deaf = False

    async def ill(self) -> None:
        """One BMS says a voltage that its cells do not have."""
        self.world.judge.unsure_until = time.monotonic() + 3.0
        self.batteries[1].changes["total_voltage"] = 30.0

    async def cured(self) -> None:
        self.world.judge.unsure_until = time.monotonic() + 3.0
        self.batteries[1].changes.clear()

    def one(self) -> SimulatedBms:
        return self.batteries[1].bms


async def babble(adapter: Adapter) -> None:
    """Say what no adapter says."""
    while True:
        with suppress(OSError):
            os.write(adapter.fd, random.randbytes(40))
        await asyncio.sleep(0.05)


class CanOut(Link):
    """A serial CAN adapter towards the inverter; frozen: the inverter sends nothing any more."""

    async def set_up(self, *, present: bool) -> None:
        await healthy(self.world, self.stack)
        self._noise: asyncio.Task[None] | None = None
        if not present:
            await self.world.inverter.pull()

    async def gone(self) -> None:
        await self.world.inverter.pull()

    async def back(self) -> None:
        await self.world.inverter.plug()

    async def frozen(self) -> None:
        self.world.answering = False

    async def thawed(self) -> None:
        self.world.answering = True

    async def garbage(self) -> None:
        self.world.answering = False
        self._noise = asyncio.create_task(babble(self.world.inverter.far))
        self.stack.callback(self._noise.cancel)

    async def clean(self) -> None:
        assert self._noise is not None
        self._noise.cancel()
        self.world.answering = True

    async def half_open(self) -> None:
        self.world.inverter.far.reset()
        self.world.inverter.far.deaf = True

    async def whole(self) -> None:
        self.world.inverter.far.deaf = False
