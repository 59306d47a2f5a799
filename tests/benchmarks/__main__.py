"""``python -m tests.benchmarks``: one JSON line per figure. Nothing here asserts; goals are printed beside.

``--full`` takes a million damaged frames instead of a hundred thousand.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from jkbms_addon.acquisition.link import serial_link
from jkbms_addon.acquisition.master import Master
from jkbms_addon.acquisition.schedule import GAP
from jkbms_addon.plausibility import Gate
from jkbms_addon.protocols.jk02 import Frame, Framer, decode
from jkbms_addon.simulator import BYTE_TIME, SerialBus, SimulatedBms, serial_bus
from jkbms_addon.status import BusStatus
from tests.benchmarks.can import measure as can_figures
from tests.benchmarks.corruption import corrupted
from tests.benchmarks.inverter import measure as inverter_figures
from tests.benchmarks.ttl import measure as ttl_figures
from tests.conftest import captures, mosquitto, until
from tests.mqtt.test_client import listening


def show(name: str, value: float, unit: str, goal: float | None) -> None:
    print(json.dumps({"name": name, "value": round(value, 4), "unit": unit, "goal": goal}), flush=True)


def microseconds(action: Callable[[], object], count: int = 4000) -> float:
    """Median of seven runs; the machine may be shared."""
    runs = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(count):
            action()
        runs.append((time.perf_counter() - start) / count * 1e6)
    return statistics.median(runs)


def decoding() -> None:
    frame = bytes.fromhex(next(c["hex"] for c in captures("jk_pb") if c["id"] == "rs485-16s-discharging"))
    framer, gate = Framer(), Gate()
    gate.admit(decode(Frame(2, frame, 0), 1), 0)

    def whole() -> None:
        event = framer.feed(frame)[0]
        assert isinstance(event, Frame)
        decode(event, 1)

    reading = decode(Frame(2, frame, 0), 1)
    show("decode and check of one live frame", microseconds(whole), "us", 15)
    show("plausibility of one live reading", microseconds(lambda: gate.admit(reading, 0.0)), "us", None)


def corruption(trials: int) -> None:
    found = corrupted(trials)
    for kind, outcomes in found.items():
        show(f"{kind} frames accepted with a wrong value, of {sum(outcomes.values())}", outcomes["wrong"], "frames", 0)
    total = sum(sum(outcomes.values()) for outcomes in found.values())
    wrong = sum(outcomes["wrong"] for outcomes in found.values())
    show(f"damaged frames accepted with a wrong value, of {total}", wrong, "frames", 0)


async def round_time() -> None:
    """15 BMSs, live pages only, as fast as the protocol allows, against what the wire and the gaps need."""
    batteries = [SimulatedBms(n, latency=0.015) for n in range(1, 16)]
    async with serial_bus(batteries) as far, serial_link(far.port) as link:
        master = Master(link, BusStatus("b"), frozenset(range(1, 16)), 0.0)
        while not all(member.present for member in master.schedule.members.values()):
            await master.poll()
        for member in master.schedule.members.values():
            member.due.clear()
        far.requests.clear()
        while len(far.requests) < 15 * 4 + 1:
            await master.poll()
    starts = [at for at, address, _ in far.requests if address == 1]
    measured = (starts[-1] - starts[0]) / (len(starts) - 1)
    needed = 15 * ((11 + 308) * BYTE_TIME + 0.015 + GAP)
    show("round of 15 BMSs", measured, "s", None)
    show("round time over wire time, latency and protocol gaps", measured / needed, "ratio", 1.10)


def options(buses: list[SerialBus], port: int, interval: float) -> dict[str, Any]:
    return {
        "log_level": "warning",
        "buses": [
            {
                "name": f"b{n}",
                "strategy": "master",
                "port": bus.port,
                "addresses": ",".join(str(address) for address in bus.batteries),
                "interval": interval,
            }
            for n, bus in enumerate(buses)
        ],
        "mqtt": {"host": "127.0.0.1", "port": port},
    }


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


async def whole_program(buses: int, each: int, seconds: float) -> None:
    """The program as its container starts it, with a real broker and simulated buses."""
    label = f"{buses * each} BMSs at 1 round a second"
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp())
        broker = await stack.enter_async_context(mosquitto(folder))
        heard = await stack.enter_async_context(listening(broker.port))
        far = [
            await stack.enter_async_context(serial_bus([SimulatedBms(n) for n in range(1, each + 1)]))
            for _ in range(buses)
        ]
        sent: dict[str, float] = {}
        for n, bus in enumerate(far):
            bus.on_sent = lambda address, at, n=n: sent.__setitem__(f"jkbms/b{n}/{address}/state", at)
        path = folder / "options-bench.json"
        path.write_text(json.dumps(options(far, broker.port, 1.0)))
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jkbms_addon", "run", "--options", str(path)
        )
        stack.callback(process.kill)
        await until(lambda: heard.last("jkbms/b0/1/state"), 20)
        show("start to first published reading", time.monotonic() - started, "s", 1.5)
        await until(lambda: all(heard.last(f"jkbms/b{n}/{each}/info") for n in range(buses)), 60)
        await asyncio.sleep(3 * each)  # settings and device information of all
        late: list[float] = []
        seen, begin, busy = len(heard.messages), time.monotonic(), cpu_seconds(process.pid)
        while time.monotonic() - begin < seconds:
            await asyncio.sleep(0.02)
            for at, topic, _, _ in heard.messages[seen:]:
                if topic in sent and 0 <= at - sent[topic] < 0.5:
                    late.append(at - sent.pop(topic))
            seen = len(heard.messages)
        elapsed = time.monotonic() - begin
        late.sort()
        assert late, "nothing was published"
        show(f"last byte to subscriber, p99 of {len(late)}, {label}", late[int(len(late) * 0.99) - 1] * 1e3, "ms", 20)
        show(f"CPU, {label}", (cpu_seconds(process.pid) - busy) / elapsed * 100, "% of a core", 3)
        show(f"RSS, {label}", rss(process.pid), "MiB", 45)
        messages = sum("/state" in t and "bridge" not in t for a, t, _, _ in heard.messages if a >= begin)
        show(f"state messages per BMS and second, {label}", messages / elapsed / (buses * each), "1/s", 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    decoding()
    asyncio.run(round_time())
    asyncio.run(whole_program(3, 5, args.seconds))
    can_figures(show, microseconds)
    ttl_figures(show, microseconds)
    inverter_figures(show, microseconds)
    corruption(1_000_000 if args.full else 100_000)


if __name__ == "__main__":
    main()
