"""The soak itself: the world around the program, and what is printed of it."""

import asyncio
import json
import random
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jkbms_addon.simulator.can import Adapter, slcan_adapter
from jkbms_addon.simulator.far_end import SerialBus, serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import mosquitto, until
from tests.mqtt.test_client import Listener, listening
from tests.plugs import Plug
from tests.soak.adversary import Adversary, Damage, Switch
from tests.soak.judge import Judge, Witness

WARM = 300.0  # s until what grows at first has grown
SETTLED = 120.0  # s without faults before the last look
EXPECTED = (("state", 16), ("settings", 16), ("info", 8))
LOOKS = 24  # figures are printed so often on the way
BIG = 512  # bytes written at once: an accelerated loop has no time for the pace of every byte


@dataclass(slots=True)
class World:
    """Everything around the program."""

    judge: Judge
    adversary: Adversary
    inverter: Adapter
    heard: Listener
    noise: Switch
    damage: Damage
    process: Process
    figures: Path
    log: Path

    async def look(self) -> dict[str, Any]:
        """Ask the program for its figures."""
        before = self.figures.read_text().count("\n") if self.figures.exists() else 0
        self.process.send_signal(signal.SIGUSR1)
        await until(lambda: self.figures.exists() and self.figures.read_text().count("\n") > before, 60)
        found: dict[str, Any] = json.loads(self.figures.read_text().splitlines()[-1])
        return found

    async def judging(self) -> None:
        """Judge what was heard and forget it."""
        while True:
            await asyncio.sleep(1)
            messages, self.heard.messages = self.heard.messages, []
            for _, topic, payload, _ in messages:
                self.judge.hear(topic, payload)
            self.inverter.transmitted.clear()


def batteries(bus: str, *addresses: int) -> dict[tuple[str, int], Witness]:
    return {(bus, n): Witness(n, latency=0.015, serial_number=f"{bus}{n}", soc=30 + 3 * n) for n in addresses}


def of(bus: str, found: dict[tuple[str, int], Witness]) -> list[SimulatedBms]:
    return [bms for (name, address), bms in found.items() if name == bus and address]


@asynccontextmanager
async def world(factor: float, share: float, seed: int) -> AsyncIterator[World]:
    """Four buses of four BMSs, an inverter, a broker, and the program."""
    dice, folder, noise = random.Random(seed), Path(tempfile.mkdtemp()), Switch()
    known = batteries("a", 1, 2, 3, 4) | batteries("b", 0, 1, 2, 3)
    known |= batteries("c", 1, 2, 3, 4) | batteries("d", 0, 1, 2, 3)
    damage = Damage(dice, share, noise)
    common: dict[str, Any] = {"mangle": damage, "chunk": BIG}
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(mosquitto(folder))
        heard = await stack.enter_async_context(listening(broker.port))
        serial: dict[str, Plug[SerialBus]] = {
            "a": Plug(folder / "a", lambda: serial_bus(of("a", known), **common)),
            "b": Plug(folder / "b", lambda: serial_bus(of("b", known), master=known["b", 0], **common)),
        }
        for plug in serial.values():
            await plug.plug()
            stack.push_async_callback(plug.pull)
        tcp = {
            "c": await stack.enter_async_context(tcp_bus(of("c", known), **common)),
            "d": await stack.enter_async_context(tcp_bus(of("d", known), master=known["d", 0], **common)),
        }
        inverter = await stack.enter_async_context(slcan_adapter(500000))
        options = folder / "options-soak.json"
        options.write_text(json.dumps(chosen(serial, tcp["c"].port, tcp["d"].port, inverter.port, broker.port)))
        figures, log = folder / "figures", folder / "log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.soak.program", str(factor), str(options), str(figures)), stderr=errors
            )
        try:
            adversary = Adversary(serial, tcp, broker, dice, folder)
            yield World(Judge(known), adversary, inverter, heard, noise, damage, process, figures, log)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def chosen(serial: dict[str, Plug[SerialBus]], poll: int, listen: int, inverter: str, broker: int) -> dict[str, Any]:
    return {
        "buses": [
            {"name": "a", "strategy": "master", "port": str(serial["a"].path), "addresses": "1-4", "interval": 2.0},
            {"name": "b", "strategy": "listen", "port": str(serial["b"].path)},
            {"name": "c", "strategy": "gateway", "host": "c.test", "tcp_port": poll, "addresses": "1-4"},
            {"name": "d", "strategy": "gateway", "host": "d.test", "tcp_port": listen, "mode": "listen"},
        ],
        "mqtt": {"host": "127.0.0.1", "port": broker},
        "inverter": {"protocol": "pylontech", "channel": inverter, "confirmed": True},
    }


async def soak(seconds: float, factor: float, share: float, seed: int) -> None:
    """Run for so many seconds of the hurried clock."""
    async with world(factor, share, seed) as one:
        judging = asyncio.create_task(one.judging())
        # followers of another master never hear identities
        await until(lambda: all(one.judge.judged[leaf] >= n for leaf, n in EXPECTED), 900)
        await asyncio.sleep(WARM)
        show("start", **(start := await one.look()))
        one.noise.on = True
        begun = one.judge.judged["state"]
        seen: dict[str, int] = {}
        for part in range(LOOKS):
            for kind, count in (await one.adversary.work(seconds / LOOKS)).items():
                seen[kind] = seen.get(kind, 0) + count
            show(
                f"after {(part + 1) * seconds / LOOKS / 3600:.2f} h", **await one.look(), wrong=one.judge.wrong.total()
            )
        one.noise.on = False
        await asyncio.sleep(SETTLED)
        end = await one.look()
        judging.cancel()
        report(one, start, end, begun, seen)


def report(one: World, start: dict[str, Any], end: dict[str, Any], begun: int, seen: dict[str, int]) -> None:
    """All lines for people."""
    readings = end["readings"] - start["readings"]
    log = one.log.read_text(errors="replace")
    show("end", **end)
    show("grown", **{key: round(end[key] - start[key], 1) for key in ("rss", "fds", "tasks")}, goal=0)
    show("queued commands", value=end["queued"], goal=0)
    show("faults", **seen)
    show("bytes sent", value=one.damage.sent, damaged=round(one.damage.hit / max(1, one.damage.sent), 4))
    show("messages judged", **one.judge.judged)
    show(
        "wrong values", value=one.judge.wrong.total(), goal=0, where=dict(one.judge.wrong), said=one.judge.examples[:9]
    )
    show("phantom devices", value=len(one.judge.phantoms), goal=0, which=sorted(one.judge.phantoms))
    show("state messages per reading", value=round((one.judge.judged["state"] - begun) / max(1, readings), 3), goal=1)
    show("log lines", **{level: log.count(f" {level}") for level in ("INFO", "WARNING", "ERROR", "FATAL")})
    show("tracebacks", value=log.count("Traceback"), goal=0)


def show(name: str, **values: Any) -> None:
    print(json.dumps({"name": name, **values}), flush=True)
