"""What goes wrong in the soak: something every few minutes, well again after some seconds."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jkbms_addon.simulator.far_end import FarEnd, SerialBus, TcpBus
from tests.conftest import Mosquitto
from tests.faults.link import cut
from tests.plugs import Plug

PAUSE, LENGTH = (20.0, 220.0), (0.5, 60.0)  # s between two faults, and of one
BURST = 30  # bytes of a disturbance, on average
STILL = 90.0  # s for which a battery says the same, so that it is noticed
KINDS = (
    *("frozen", "silent", "noise", "echo", "link gone", "broker killed", "broker frozen"),
    *("name server dead", "one address ill", "frozen values", "disk dead"),
)


@dataclass(slots=True)
class Switch:
    """Whether lines are disturbed at all."""

    on: bool = False


@dataclass(slots=True)
class Damage:
    """Replaces ``share`` of all bytes, in bursts; keeps count."""

    dice: random.Random
    share: float
    enabled: Switch
    sent: int = 0
    hit: int = 0
    _left: int = 0

    def __call__(self, data: bytes) -> bytes:
        if not self.enabled.on:
            return data
        self.sent += len(data)
        return bytes(self._byte(byte) for byte in data)

    def _byte(self, byte: int) -> int:
        if not self._left and self.dice.random() < self.share / BURST:
            self._left = self.dice.randint(1, 2 * BURST - 1)
        if not self._left:
            return byte
        self._left -= 1
        self.hit += 1
        return self.dice.randrange(256)


@dataclass(slots=True)
class Adversary:
    """Breaks one thing at a time among the lines and the broker."""

    serial: dict[str, Plug[SerialBus]]
    tcp: dict[str, TcpBus]
    broker: Mosquitto
    dice: random.Random
    folder: Path  # of what the program's calls hang on

    def line(self, name: str) -> FarEnd:
        return self.serial[name].far if name in self.serial else self.tcp[name]

    async def work(self, seconds: float) -> Counter[str]:
        """Break and mend for so long; how often what was broken."""
        seen: Counter[str] = Counter()
        end = time.monotonic() + seconds
        while (pause := self.dice.uniform(*PAUSE)) < end - time.monotonic():
            await asyncio.sleep(pause)
            kind = self.dice.choice(KINDS)
            seen[kind] += 1
            await self._broken(kind, self.dice.choice([*self.serial, *self.tcp]), self.dice.uniform(*LENGTH))
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        return seen

    async def _broken(self, kind: str, name: str, length: float) -> None:
        if kind == "broker killed":
            await self.broker.kill()
            await asyncio.sleep(length)
            await self.broker.start()
        elif kind == "broker frozen":
            self.broker.signal(signal.SIGSTOP)
            await asyncio.sleep(length)
            self.broker.signal(signal.SIGCONT)
        elif kind == "link gone":
            await self._gone(name, length)
        elif kind == "name server dead":
            await self._hanging("names", self._gone(self.dice.choice([*self.tcp]), length / 2), length)
        elif kind == "disk dead":
            await self._hanging("disk", asyncio.sleep(0), length)
        else:
            await self._disturbed(kind, self.line(name), length)

    async def _gone(self, name: str, length: float) -> None:
        if name in self.serial:
            await self.serial[name].pull()
            await asyncio.sleep(length)
            await self.serial[name].plug()
        else:
            await self.tcp[name].stop()
            await asyncio.sleep(length)
            await self.tcp[name].start()

    async def _hanging(self, what: str, meanwhile: Coroutine[Any, Any, None], length: float) -> None:
        """What the program asks for hangs, and something else happens while it does."""
        (self.folder / what).touch()
        began = time.monotonic()
        await meanwhile
        await asyncio.sleep(max(0.0, began + length - time.monotonic()))
        (self.folder / what).unlink()

    async def _disturbed(self, kind: str, line: FarEnd, length: float) -> None:
        usual, one = line.mangle, self.dice.choice(list(line.batteries.values()))
        if kind == "frozen":
            line.frozen = True
        elif kind == "silent":
            one.silent = True
        elif kind == "echo":
            line.echo = True
        elif kind == "one address ill":
            line.mangle = partial(cut, address=one.address)
        elif kind == "frozen values":
            now, length = time.monotonic(), STILL
            one.clock = lambda: now
        else:
            line.mangle = lambda data: self.dice.randbytes(len(data))
        await asyncio.sleep(length)
        line.frozen = line.echo = one.silent = False
        line.mangle, one.clock = usual, time.monotonic
