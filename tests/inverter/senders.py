"""A sender on a simulated serial adapter, with batteries that say what a test wants."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from jkbms_addon.bank.candidate import Candidate
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.charging.control import Control
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.emission import Emission
from jkbms_addon.inverter.options import BankOptions, InverterOptions, inverter_options
from jkbms_addon.inverter.responder import Responder
from jkbms_addon.inverter.sender import Sender
from jkbms_addon.simulator.can import Adapter, slcan_adapter
from jkbms_addon.supervise import Supervisor
from jkbms_addon.wire.can import Frame
from tests.bank.packs import candidate
from tests.conftest import until

FIRST, LIMITS, LAST = 0x359, 0x351, 0x35E
Sent = Sequence[tuple[float, Frame]]


def options(channel: str, **changes: Any) -> InverterOptions:
    raw = {"protocol": "pylontech", "channel": channel, "confirmed": True, "max_charge_current": 100} | changes
    found = inverter_options(raw, BankOptions())
    assert not found.problem
    return found


def starts(sent: Sent) -> list[float]:
    """Times of the beginnings of sets."""
    return [at for at, frame in sent if frame.can_id == FIRST]


def gaps(sent: Sent) -> list[float]:
    return [later - earlier for earlier, later in pairwise(starts(sent))]


def current(frame: Frame, at: int = 2) -> float:
    """Charge limit of a 0x351 in A; the discharge limit is ``at`` 4."""
    return int.from_bytes(frame.data[at : at + 2], "little") / 10


def limits(sent: Sent) -> list[tuple[float, float]]:
    """Charge and discharge current of every 0x351."""
    return [(current(frame), current(frame, 4)) for _, frame in sent if frame.can_id == LIMITS]


@dataclass
class Plant:
    """Control and sender, each in a task of its own; ``packs`` is what is heard."""

    options: InverterOptions
    packs: list[Candidate] = field(default_factory=lambda: [candidate(1), candidate(2)])

    def __post_init__(self) -> None:
        self.link, self.emission = BusStatus("inverter"), Emission()
        self.control = Control(lambda _now: self.packs, time.monotonic, setpoints=self.options.setpoints)
        serial = DIALECTS[self.options.protocol].port == "serial"
        self.sender = (Responder if serial else Sender)(self.options, self.control, self.emission, self.link)
        self.deciding: asyncio.Task[None] | None = None
        self.sending: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        for task in (self.sending, self.deciding):
            if task:
                task.cancel()
        for task in (self.sending, self.deciding):
            if task:
                with suppress(asyncio.CancelledError):
                    await task


async def decided(one: Plant, times: int) -> None:
    """Let it decide so often: once a second, while the sender has its turn."""
    count = one.control.count
    await until(lambda: one.control.count >= count + times, 3.0 * times + 5)


@asynccontextmanager
async def plant(channel: str, packs: list[Candidate] | None = None, **changes: Any) -> AsyncIterator[Plant]:
    one = Plant(options(channel, **changes))
    one.packs = one.packs if packs is None else packs
    supervisor = Supervisor("inverter", one.link.down)
    one.deciding = asyncio.create_task(one.control.run())
    one.sending = asyncio.create_task(supervisor.run(lambda: one.sender.own(supervisor.healed)))
    try:
        yield one
    finally:
        await one.stop()


@asynccontextmanager
async def sender(packs: list[Candidate] | None = None, **changes: Any) -> AsyncIterator[tuple[Plant, Adapter]]:
    """A running sender and the adapter that it sends to."""
    async with slcan_adapter(500000) as adapter, plant(adapter.port, packs, **changes) as one:
        yield one, adapter
