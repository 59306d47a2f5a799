"""``python -m tests.benchmarks``: one JSON line per figure. Nothing here asserts; goals are printed beside.

``--only`` takes some parts, ``--record`` keeps what all of them found for DOCS.md, ``--full`` takes a million
damaged frames instead of a hundred thousand.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jkbms_addon.acquisition.master import Master
from jkbms_addon.acquisition.schedule import GAP
from jkbms_addon.battery.plausibility import Gate
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.link.stream import serial_link
from jkbms_addon.simulator.far_end import BYTE_TIME, SerialBus, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.frames import Frame, decode
from tests.benchmarks import can, costs, decoding, dialects, inverter, page, publishing, radio, sun
from tests.benchmarks.corruption import corrupted
from tests.benchmarks.figures import microseconds, record, show
from tests.conftest import mosquitto, until
from tests.mqtt.test_client import listening

if TYPE_CHECKING:
    from collections.abc import Callable


def plausibility() -> None:
    gate, reading = Gate(), decode(Frame(2, decoding.PB_FRAME, 0), 1)
    gate.admit(reading, 0)
    show("plausibility of one live reading", microseconds(lambda: gate.admit(reading, 0.0)), "us")


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
        while not all(member.answers for member in master.schedule.members.values()):
            await master.poll()
        for member in master.schedule.members.values():
            member.due.clear()
        far.requests.clear()
        while len(far.requests) < 15 * 4 + 1:
            await master.poll()
    starts = [at for at, address, _ in far.requests if address == 1]
    measured = (starts[-1] - starts[0]) / (len(starts) - 1)
    needed = 15 * ((11 + 308) * BYTE_TIME + 0.015 + GAP)
    show("round of 15 BMSs", measured, "s")
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


async def whole_program(buses: int, each: int, seconds: float) -> None:
    """The program with several buses at one round a second: how late a value is, and what that takes."""
    label = f"{buses * each} BMSs on {buses} buses at 1 round a second"
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = await stack.enter_async_context(mosquitto(folder))
        heard = await stack.enter_async_context(listening(broker.port))
        far = [
            await stack.enter_async_context(serial_bus([SimulatedBms(n) for n in range(1, each + 1)]))
            for _ in range(buses)
        ]
        sent: dict[str, float] = {}
        for n, bus in enumerate(far):
            bus.on_sent = lambda address, at, n=n: sent.__setitem__(f"jkbms/b{n}/{address}/state", at)
        started = time.monotonic()
        process = await stack.enter_async_context(costs.program(options(far, broker.port, 1.0), folder))
        await until(lambda: heard.last("jkbms/b0/1/state"), 20)
        show("start to first published reading", time.monotonic() - started, "s", 1.5)
        await until(lambda: all(heard.last(f"jkbms/b{n}/{each}/info") for n in range(buses)), 60)
        await asyncio.sleep(3 * each)  # settings and device information of all
        late: list[float] = []
        seen, begin, busy = len(heard.messages), time.monotonic(), costs.cpu_seconds(process.pid)
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
        show(f"CPU, {label}", (costs.cpu_seconds(process.pid) - busy) / elapsed * 100, "% of a core", 3)
        show(f"RSS, {label}", costs.rss(process.pid), "MiB", 45)
        messages = sum("/state" in t and "bridge" not in t for a, t, _, _ in heard.messages if a >= begin)
        show(f"state messages per BMS and second, {label}", messages / elapsed / (buses * each), "1/s", 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--full", action="store_true", help="a million damaged frames")
    parser.add_argument(
        "--seconds", type=float, default=20, help="how long each scene is watched; default: %(default)s"
    )
    parser.add_argument("--record", action="store_true", help="keep the figures for DOCS.md")
    parser.add_argument("--only", action="append", help="a part; may be given several times")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that brokers and programs are ended, too
    kept: dict[str, list[dict[str, Any]]] = {"costs": [], "strategies": []}
    parts: dict[str, Callable[[], object]] = {
        "decoding": decoding.measure,
        "plausibility": plausibility,
        "publishing": publishing.measure,
        "round": lambda: asyncio.run(round_time()),
        "program": lambda: asyncio.run(whole_program(3, 5, args.seconds)),
        "costs": lambda: kept["costs"].extend(costs.sizes(args.seconds)),
        "strategies": lambda: kept["strategies"].extend(costs.strategies(args.seconds)),
        "can": can.measure,
        "bluetooth": radio.measure,
        "inverter": inverter.measure,
        "dialects": lambda: dialects.measure(2000),
        "sun": lambda: sun.measure(365.0 if args.full else 14.0),
        "page": lambda: page.measure(args.seconds),
        "corruption": lambda: corruption(1_000_000 if args.full else 100_000),
    }
    if unknown := set(args.only or ()) - parts.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    if args.record and args.only:
        parser.error("--record takes all parts, so that all figures are of one machine and day")
    for name in args.only or parts:
        parts[name]()
    if args.record:
        record(kept["costs"], kept["strategies"])


if __name__ == "__main__":
    main()
