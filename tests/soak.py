"""``python -m tests.soak --hours H [--accelerated]``: many BMSs on four buses, damaged bytes, random faults.

Accelerated time polls as fast as the protocol allows (a gap of some milliseconds instead of 120), so that
one hour of the clock holds some tens of hours' worth of rounds at the usual interval of 2 s. Prints JSON lines:
what grew, what was wrong. Nothing is asserted here; the figures are for people.
"""

import argparse
import asyncio
import gc
import json
import random
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from jkbms_addon.acquisition import master, schedule
from jkbms_addon.app import App
from jkbms_addon.model import Reading
from jkbms_addon.options import parse
from jkbms_addon.simulator import FarEnd, SimulatedBms, serial_bus, tcp_bus
from tests.conftest import mosquitto, until
from tests.mqtt.test_client import Listener, listening

BATTERIES = 4  # on each of the four buses
USUAL = 2.0  # seconds of the usual interval, by which rounds are turned into simulated hours


def damage(dice: random.Random, share: float) -> Any:
    """One byte in so many is another one."""

    def mangle(data: bytes) -> bytes:
        return bytes(dice.randrange(256) if dice.random() < share else byte for byte in data)

    return mangle


class Judge:
    """Compares everything that is believed with what the simulated battery says."""

    def __init__(self, far: dict[str, FarEnd]) -> None:
        self.far = far
        self.wrong: Counter[str] = Counter()
        self.readings: Counter[str] = Counter()
        self.phantoms: set[tuple[str, int | None]] = set()

    def __call__(self, bus: str, reading: Reading) -> None:
        """Look at one reading."""
        end = self.far[bus]
        bms = end.master if reading.address == 0 and end.master else end.batteries.get(reading.address or 0)
        if bms is None:
            self.phantoms.add((bus, reading.address))
            return
        self.readings[reading.kind] += 1
        values = reading.values
        if reading.kind == "live":
            fine = (
                len(values["cell_voltage"]) == bms.cells  # type: ignore[arg-type]
                and values["temperature_sensor_1"] == bms.temperature
                and values["errors_bitmask"] == bms.errors
                and values["full_charge_capacity"] == bms.capacity
                and abs(values["state_of_charge"] - round(bms._charge / bms.capacity * 100)) <= 1  # type: ignore[operator]
                and all(2.9 < cell < 3.7 for cell in values["cell_voltage"])  # type: ignore[operator,union-attr]
            )
        elif reading.kind == "settings":
            fine = all(values[key] == value for key, value in bms.settings.items())
        else:
            fine = values["serial_number"] == bms.serial_number
        if not fine:
            self.wrong[f"{bus}/{reading.address} {reading.kind}"] += 1


def figures() -> dict[str, float]:
    """What must not grow."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
    return {"rss": round(rss, 1), "fds": len(list(Path("/proc/self/fd").iterdir())), "tasks": len(asyncio.all_tasks())}


async def faults(far: dict[str, FarEnd], broker: Any, dice: random.Random, end: float) -> Counter[str]:
    """Something goes wrong every few seconds, and is well again."""
    seen: Counter[str] = Counter()
    while time.monotonic() < end:
        await asyncio.sleep(dice.uniform(2, 8))
        one = dice.choice(list(far.values()))
        kind = dice.choice(["frozen", "silent", "garbage", "broker"])
        seen[kind] += 1
        usual = one.mangle
        if kind == "frozen":
            one.frozen = True
        elif kind == "silent":
            next(iter(one.batteries.values())).silent = True
        elif kind == "garbage":
            one.mangle = lambda data: bytes(dice.randrange(256) for _ in data)
        else:
            await broker.kill()
        await asyncio.sleep(dice.uniform(0.5, 3))
        one.frozen, one.mangle = False, usual
        next(iter(one.batteries.values())).silent = False
        if kind == "broker":
            await broker.start()
    return seen


async def count(heard: Listener, tally: Counter[str]) -> None:
    """Count state messages and forget them, so that the listener's memory is not taken for the program's."""
    while True:
        await asyncio.sleep(1)
        tally["state"] += sum(t.endswith("/state") and t.count("/") == 3 for _, t, _, _ in heard.messages)
        heard.messages.clear()


async def soak(seconds: float, gap: float, interval: float, seed: int) -> None:
    """Run for so many seconds of the clock."""
    dice = random.Random(seed)
    schedule.GAP = gap
    vars(master)["GAP"] = gap
    master.YIELD = 5.0
    packs = [SimulatedBms(n, latency=0.005, serial_number=f"S{n}", soc=40 + n) for n in range(1, BATTERIES + 1)]
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp())
        broker = await stack.enter_async_context(mosquitto(folder))
        heard = await stack.enter_async_context(listening(broker.port))

        def fresh() -> list[SimulatedBms]:
            return [SimulatedBms(p.address, latency=0.005, serial_number=p.serial_number, soc=p.soc) for p in packs]

        far: dict[str, FarEnd] = {
            "a": await stack.enter_async_context(serial_bus(fresh())),
            "b": await stack.enter_async_context(serial_bus(fresh()[1:], master=SimulatedBms(0), slot=0.05)),
            "c": await stack.enter_async_context(tcp_bus(fresh())),
            "d": await stack.enter_async_context(tcp_bus(fresh())),
        }
        buses: list[dict[str, Any]] = [
            {"name": "a", "strategy": "master", "port": far["a"].port, "interval": interval},  # type: ignore[attr-defined]
            {"name": "b", "strategy": "listen", "port": far["b"].port},  # type: ignore[attr-defined]
            {"name": "c", "strategy": "gateway", "host": "127.0.0.1", "tcp_port": far["c"].port, "interval": interval},  # type: ignore[attr-defined]
            {
                "name": "d",
                "strategy": "auto",
                "host": "127.0.0.1",
                "tcp_port": far["d"].port,  # type: ignore[attr-defined]
                "interval": interval,
                "addresses": "1-4",
            },
        ]
        for bus in buses:
            if bus["strategy"] in ("master", "gateway"):
                bus["addresses"] = "1-4"
        judge = Judge(far)
        app = App(parse({"buses": buses, "mqtt": {"host": "127.0.0.1", "port": broker.port}}), folder)
        update = app.bank.update

        def watched(bus: str, reading: Reading) -> None:
            judge(bus, reading)
            update(bus, reading)

        app.bank.update = watched  # type: ignore[method-assign]
        running = asyncio.create_task(app.run())
        stack.callback(running.cancel)
        await until(lambda: len(list(app.bank)) >= 4 * BATTERIES, 60)
        for end in far.values():
            end.mangle = damage(dice, 0.01 / 30)  # about one frame in ten is hit
        tally: Counter[str] = Counter()
        counting = asyncio.create_task(count(heard, tally))
        stack.callback(counting.cancel)
        await asyncio.sleep(1.5)
        tally.clear()
        start = figures()
        live = judge.readings["live"]
        seen = await faults(far, broker, dice, time.monotonic() + seconds)
        for end in far.values():
            end.mangle = bytes
        await until(lambda: all(s.online(app.bank.clock()) for s in app.bank), 60)
        finish = figures()
        rounds = (judge.readings["live"] - live) / (4 * BATTERIES)
        await asyncio.sleep(1.5)
        states = tally["state"]
        for line in (
            {"name": "rounds", "value": round(rounds), "simulated_hours": round(rounds * USUAL / 3600, 2)},
            {"name": "start", **start},
            {"name": "end", **finish},
            {"name": "queues", "value": sum(q.qsize() for q in app.desk.queues.values()), "goal": 0},
            {"name": "readings", **judge.readings},
            {"name": "faults", **seen},
            {"name": "wrong values", "value": sum(judge.wrong.values()), "goal": 0, "where": dict(judge.wrong)},
            {"name": "phantom devices", "value": len(judge.phantoms), "goal": 0},
            {"name": "checksum errors", "value": sum(b.checksum_errors for b in app.buses.values())},
            {"name": "implausible", "value": sum(b.implausible for b in app.buses.values())},
            {
                "name": "state messages per live reading",
                "value": round(states / max(1, judge.readings["live"] - live), 3),
            },
        ):
            print(json.dumps(line), flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument(
        "--hours", type=float, default=0.05, help="hours of the clock, or simulated ones with --accelerated"
    )
    parser.add_argument("--accelerated", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    # accelerated, a round of four takes about 0.2 s instead of 2 s
    seconds = args.hours * 3600 / (10 if args.accelerated else 1)
    asyncio.run(
        soak(seconds, 0.01 if args.accelerated else schedule.GAP, 0.0 if args.accelerated else USUAL, args.seed)
    )


if __name__ == "__main__":
    main()
