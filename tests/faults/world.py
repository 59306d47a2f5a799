"""The whole program as its container starts it, with everything around it real or simulated, and things to break.

Bus ``a`` is the one that a fault may hit and the only one whose batteries count for the inverter; bus ``b`` is a
bystander who must not notice. Everything is judged from outside: by what is published, logged and sent.
"""

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiomqtt

from jkbms_addon.simulator.can import Adapter, slcan_adapter
from jkbms_addon.simulator.far_end import FarEnd, SerialBus, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.can import Frame
from tests.conftest import Mosquitto
from tests.inverter.senders import LIMITS, current
from tests.mqtt.test_client import Listener, listening
from tests.plugs import Plug
from tests.soak.judge import Judge, Witness

if TYPE_CHECKING:
    from asyncio.subprocess import Process

HEARTBEAT = Frame(0x305, extended=False, data=bytes(8))
KEPT = ("announced", "incidents", "inverter", "charging")  # files of the program beside its options


class World:
    """What surrounds the program, and the program."""

    def __init__(self, folder: Path, broker: Mosquitto, heard: Listener, bystander: SerialBus) -> None:
        self.folder, self.broker, self.heard, self.bystander = folder, broker, heard, bystander
        self.inverter: Plug[Adapter] = Plug(folder / "inverter", lambda: slcan_adapter(500000))
        self.answering = True  # whether the inverter sends its heartbeat
        self.sent: list[tuple[float, Frame]] = []
        self.judge = Judge({("b", 1): bystander.batteries[1]})  # type: ignore[dict-item]
        self.bus: dict[str, Any] = {}
        self.far: FarEnd = bystander  # the batteries of bus a, once they are known
        self.more: list[dict[str, Any]] = []  # other buses
        self.mqtt: dict[str, Any] = {"host": "127.0.0.1", "port": broker.port}
        self.environment: dict[str, str] = {}
        self.clock = folder / "clock"
        self.program = ["jkbms_addon"]
        self.before: list[str] = []  # what starts it
        self.process: Process | None = None
        self.log = folder / "log"

    # --- the program -----------------------------------------------------------------------------------
    async def start(self) -> None:
        options = {
            "buses": [
                {"name": "a", **self.bus},
                {"name": "b", "strategy": "master", "port": self.bystander.port, "addresses": "1", "interval": 1.0},
                *self.more,
            ],
            "mqtt": self.mqtt,
            "bank": {"members": "a"},
            "inverter": {"protocol": "pylontech", "channel": str(self.inverter.path), "confirmed": True},
        }
        path = self.folder / "options-faults.json"
        path.write_text(json.dumps(options))
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(*self.before, sys.executable, "-m", *self.program, "run", "--options", str(path)),
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def stop(self) -> int:
        """Its status after SIGTERM."""
        self.signal(signal.SIGTERM)
        assert self.process is not None
        async with asyncio.timeout(9):
            return await self.process.wait()

    async def say(self, topic: str, payload: str) -> None:
        """As anybody on the broker."""
        async with aiomqtt.Client("127.0.0.1", self.broker.port) as client:
            await client.publish(topic, payload, qos=1)

    # --- what is seen ------------------------------------------------------------------------------------
    def logged(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def told(self, topic: str, after: float = 0.0) -> str | None:
        """The last message on a topic that came after a moment and not as a retained one of before."""
        found = [p for at, t, p, retained in self.heard.messages if t == topic and at > after and not retained]
        return found[-1] if found else None

    def reason(self) -> str:
        """What the entity *Problem* of bus a says."""
        health = json.loads(self.told("jkbms/bridge/health") or "{}")
        return str(health.get("buses", {}).get("a", {}).get("reason", ""))

    def available(self, address: int) -> bool:
        return self.heard.last(f"jkbms/a/{address}/availability") == "online"

    def fresh(self, addresses: tuple[int, ...], after: float) -> bool:
        """Whether all of these are available and told something after a moment."""
        return all(self.available(n) and self.told(f"jkbms/a/{n}/state", after) for n in addresses)

    def limits(self, after: float, before: float = float("inf")) -> list[tuple[float, float]]:
        """Charge and discharge limits in A that were sent in a span of time."""
        return [(current(f), current(f, 4)) for at, f in self.sent if f.can_id == LIMITS and after < at < before]

    def cycles(self, after: float) -> list[float]:
        """Seconds between sets of frames since a moment."""
        times = [at for at, frame in self.sent if frame.can_id == LIMITS and at > after]
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    def permitted(self, after: float) -> bool:
        return any(charge > 0 and discharge > 0 for charge, discharge in self.limits(after))

    # --- the inverter and the judge ------------------------------------------------------------------------
    async def watching(self) -> None:
        """Send the inverter's heartbeat, take what it gets, judge what is published."""
        judged = 0
        while True:
            await asyncio.sleep(0.1)
            with suppress(AssertionError):  # nothing is plugged in
                self._inverter(self.inverter.far)
            for _, topic, payload, _ in self.heard.messages[judged:]:
                self.judge.hear(topic, payload)
            judged = len(self.heard.messages)

    def _inverter(self, adapter: Adapter) -> None:
        self.sent += adapter.transmitted
        adapter.transmitted.clear()
        if self.answering and int(time.monotonic() * 10) % 10 == 0:
            adapter.put(HEARTBEAT)


@asynccontextmanager
async def world(folder: Path, broker: Mosquitto) -> AsyncIterator[World]:
    """Around a program that is not started yet."""
    async with AsyncExitStack() as stack:
        # the receiver itself must not need long to be back
        heard = await stack.enter_async_context(listening(broker.port, timeout=1.0))
        bystander = await stack.enter_async_context(serial_bus([Witness(1, serial_number="B1")]))
        one = World(folder, broker, heard, bystander)
        watching = asyncio.create_task(one.watching())
        stack.callback(watching.cancel)
        try:
            yield one
        finally:
            if one.process and one.process.returncode is None:
                one.process.kill()
                await one.process.wait()
            await one.inverter.pull()


def packs() -> list[SimulatedBms]:
    """The two batteries of bus a."""
    return [Witness(n, serial_number=f"A{n}", current=-10.0, errors=0, soc=50.0 + n) for n in (1, 2)]
