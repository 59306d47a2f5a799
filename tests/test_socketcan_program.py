"""The whole program between two CAN links of the kernel and a real broker, while the links fail and the clock jumps."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.simulator.can import broadcasting, can_bms
from tests.conftest import Mosquitto, until
from tests.inverter.senders import current, limits, starts
from tests.mqtt.test_client import Listener, listening
from tests.socketcan import FAULTS, GOAL, NEEDS_CAN, KernelSlcan, Other, link, other, row

pytestmark = NEEDS_CAN
Record = Callable[[str, object], None]
PATIENCE = 90.0  # s; the program needs many of them to start on an emulated machine
STALE = 5.0  # s after which the values of a battery on CAN are no longer used
LATER = 3.0  # s until the inverter has heard of it, on an emulated machine
EMULATED = 5.0
DAY = 86400.0


@dataclass
class Program:
    """What is seen of it from outside."""

    near: Any  # the batteries' link
    far: Any  # the inverter's
    inverter: Other
    heard: Listener

    def health(self) -> dict[str, Any]:
        buses: dict[str, dict[str, Any]] = json.loads(self.heard.last("jkbms/bridge/health") or "{}").get("buses", {})
        return buses.get("can", {})

    def inverter_says(self, key: str) -> Any:
        return json.loads(self.heard.last("jkbms/inverter/state") or "{}").get(key)

    def available(self) -> bool:
        return self.heard.last("jkbms/can/1/availability") == "online"

    def permits(self, since: float) -> list[float]:
        """Moments at which any current was permitted."""
        found = self.inverter.since(since)
        return [at for at, frame in found if frame.can_id == 0x351 and (current(frame) > 0 or current(frame, 4) > 0)]


@asynccontextmanager
async def program(folder: Path, broker: Mosquitto, near: str, far: str) -> AsyncIterator[Program]:
    """Running and well."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(link(near, 250000, "vcan6" if near == "vcan" else ""))
        two = await stack.enter_async_context(link(far, 500000, "vcan8" if far == "vcan" else ""))
        sender = Other(one.peer)
        stack.callback(sender.close)
        send = one.put if isinstance(one, KernelSlcan) else sender
        await stack.enter_async_context(broadcasting([can_bms(1, current=10.0, soc=50.0)], send))
        inverter = await stack.enter_async_context(other(two.peer))
        heard = await stack.enter_async_context(listening(broker.port))
        options = {
            "buses": [{"name": "can", "strategy": "can_broadcast", "channel": one.name}],
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "inverter": {"protocol": "pylontech", "confirmed": True, "channel": two.name, "max_charge_current": 100},
        }
        path = folder / "options-test.json"
        path.write_text(json.dumps(options))
        log = stack.enter_context((folder / "log").open("wb"))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jkbms_addon", "run", "--options", str(path), stderr=log, stdout=subprocess.DEVNULL
        )
        try:
            shown = Program(one, two, inverter, heard)
            await until(lambda: shown.available() and shown.permits(0) and limits(inverter.heard)[-1][0] > 0, PATIENCE)
            yield shown
            process.terminate()
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert "Traceback" not in (folder / "log").read_text()


@pytest.mark.parametrize(
    ("near", "fault"),
    [("vcan", "down"), ("vcan", "gone"), ("controller", "down"), ("controller", "gone"), ("slcan", "bus-off")],
)
async def test_no_limit_on_stale_data_while_the_batteries_link_is_away(
    near: str, fault: str, broker: Mosquitto, tmp_path: Path, record_property: Record
) -> None:
    begin, end, text = FAULTS[fault]
    async with program(tmp_path, broker, near, "vcan") as one:
        began = time.monotonic()
        await getattr(one.near, begin)()
        text = text.format(one.near.name)
        named = await until(lambda: one.health()["reason"] == text, PATIENCE)
        assert one.health()["connected"] == "OFF"
        await until(lambda: not one.available(), PATIENCE)
        unavailable = time.monotonic() - began
        states = one.heard.count("jkbms/can/1/state")
        await asyncio.sleep(8)
        permitted = one.permits(began)
        last = max(permitted, default=began) - began
        assert last < STALE + LATER
        zero = [pair for at, pair in zip_limits(one.inverter.since(began + STALE + LATER))]
        assert len(zero) >= 3  # it goes on telling the inverter that nothing is allowed
        assert set(zero) == {(0.0, 0.0)}
        assert one.heard.count("jkbms/can/1/state") == states
        ended = time.monotonic()
        await getattr(one.near, end)()
        await until(lambda: one.available() and one.health()["reason"] == "ok", PATIENCE)
        took = time.monotonic() - ended
        again = await until(lambda: one.permits(ended), PATIENCE)
        row(record_property, f"program, {near} in", f"link {fault}", text, took)
        print(
            f"     named after {named:.1f} s, battery unavailable after {unavailable:.1f} s, last current permitted "
            f"{last:.1f} s after the fault, permitted again {took + again:.1f} s after its end: {charge_reason(one)}"
        )
        assert took < GOAL + EMULATED


@pytest.mark.parametrize("fault", ["down", "gone"])
@pytest.mark.parametrize("far", ["vcan", "controller"])
async def test_the_inverters_link_is_away(
    far: str, fault: str, broker: Mosquitto, tmp_path: Path, record_property: Record
) -> None:
    begin, end, text = FAULTS[fault]
    async with program(tmp_path, broker, "vcan", far) as one:
        began = time.monotonic()
        await getattr(one.far, begin)()
        text = text.format(one.far.name)
        named = await until(lambda: one.inverter_says("reason") == text, PATIENCE)
        assert (one.inverter_says("emitting"), one.inverter_says("connected")) == ("OFF", "OFF")
        silent = time.monotonic()
        await asyncio.sleep(6)
        assert one.inverter.since(silent) == []
        assert one.available()
        assert one.health()["reason"] == "ok"  # the batteries' side goes on
        ended = time.monotonic()
        await getattr(one.far, end)()
        await until(lambda: starts(one.inverter.since(ended)), PATIENCE)
        took = starts(one.inverter.since(ended))[0] - ended
        await until(lambda: one.inverter_says("reason") == "ok" and one.inverter_says("emitting") == "ON", PATIENCE)
        row(record_property, f"program, {far} out", f"link {fault}", text, took)
        print(f"     named after {named:.1f} s, {silent - began:.1f} s until all was said")
        assert took < GOAL + EMULATED


@pytest.mark.skipif("CLOCK_MAY_BE_SET" not in os.environ, reason="CLOCK_MAY_BE_SET is not set")
async def test_the_wall_clock_jumps_by_a_day_and_back(
    broker: Mosquitto, tmp_path: Path, record_property: Record
) -> None:
    """Never on a machine whose clock matters: it is really set."""
    async with program(tmp_path, broker, "vcan", "vcan") as one:
        since = datetime.fromisoformat(one.health()["since"]).timestamp()
        for jump in (DAY, -DAY, -DAY, DAY):
            began, offline = time.monotonic(), one.heard.count("jkbms/can/1/availability")
            time.clock_settime(time.CLOCK_REALTIME, time.time() + jump)
            since += jump
            await asyncio.sleep(12)  # the health is told every 10 s
            assert one.heard.count("jkbms/can/1/availability") == offline
            told = [at for at, topic, _, _ in one.heard.messages if topic == "jkbms/can/1/state" and at > began]
            assert max(b - a for a, b in pairwise([began, *told, time.monotonic()])) < 4
            sets = starts(one.inverter.since(began))
            assert max(b - a for a, b in pairwise([began, *sets, time.monotonic()])) < 4
            assert len(one.permits(began)) == len(limits(one.inverter.since(began)))
            health = one.health()
            assert (health["reason"], health["connected"], health["reconnects"]) == ("ok", "ON", 0)
            assert abs(datetime.fromisoformat(health["since"]).timestamp() - since) < 5
            assert health["quality"] == 100
            batteries = json.loads(one.heard.last("jkbms/bridge/health") or "")["batteries"]
            assert 0 <= batteries["can_1"]["age"] < 4
            row(record_property, "program, vcan in and out", f"wall clock {jump:+.0f} s", "ok", 0.0)
        await one.near.down()
        await until(lambda: one.health()["problem"] == "ON", PATIENCE)
        time.clock_settime(time.CLOCK_REALTIME, time.time() + DAY)
        await one.near.up()
        await until(lambda: one.health()["reason"] == "ok" and one.health()["worst_incident"], PATIENCE)
        seconds = float(one.health()["worst_incident"].split(" s:")[0])
        print(f"worst incident: {one.health()['worst_incident']}, {one.health()['worst_incident_time']}")
        assert seconds < 60
        time.clock_settime(time.CLOCK_REALTIME, time.time() - DAY)


def zip_limits(sent: list[Any]) -> list[tuple[float, tuple[float, float]]]:
    found = [(at, frame) for at, frame in sent if frame.can_id == 0x351]
    return [(at, pair) for (at, _), pair in zip(found, limits(sent), strict=True)]


def charge_reason(one: Program) -> str:
    return str(one.inverter_says("charge_current_reason"))
