"""The real strategy, real BlueZ and a virtual radio: every fault of a Bluetooth link, with two batteries at once.

``pytest -m bluetooth -s`` prints a row for each fault: noticed after, healed after, in s.
"""

import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from jkbms_addon.acquisition.ble import PLUGIN
from jkbms_addon.acquisition.contract import BusOptions
from jkbms_addon.acquisition.owner import own_bus
from jkbms_addon.battery.plausibility import contradiction
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.audit import Audit
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.supervise import Supervisor
from tests.bluetooth.air import NEEDS, SLOW, UNITS, Bluez, air, powered, property_set, surroundings
from tests.conftest import until

pytestmark = NEEDS
NOTICED, HEALED = 12.0, 5.0  # s, the goals
LET_GO = 3.0  # s until a unit knows that it was let go
EMULATED = 2.0  # s that an emulated machine may need more for the farewell, the search and the connection


class Plant:
    """Buses of the real program, without its sinks."""

    def __init__(self, folder: Path) -> None:
        self.store = Store()
        writable = {name: PLUGIN.writable({}) for name in UNITS}
        self.commands = CommandQueue("protections", self.store, writable, Audit(folder), unlocked=True)
        self.status: dict[str, BusStatus] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.wrong: list[str] = []
        self.store_update, self.store.update = self.store.update, self._update  # type: ignore[method-assign]

    def _update(self, bus: str, reading: Any) -> None:
        broken = contradiction(reading.values)
        cells = UNITS[bus].cells
        if broken or (reading.kind == "live" and len(reading.values["cell_voltage"]) != cells):
            self.wrong.append(f"{bus}: {broken or reading.values}")
        self.store_update(bus, reading)

    def start(self, name: str, **options: Any) -> None:
        values = PLUGIN.schema({"mac": UNITS[name].address} | options)
        status = self.status[name] = BusStatus(name, "ble")
        supervisor = Supervisor(name, status.down, lambda: False)
        bus = BusOptions(name, "ble", values, PLUGIN)
        owner = partial(own_bus, bus, status, self.store, supervisor.healed, self.commands)
        self._tasks.append(asyncio.create_task(supervisor.run(owner)))

    async def sets(self, name: str, key: str, text: str) -> tuple[str, str]:
        """Change a setting; the outcome and its reason."""
        cursor = self.commands.outcomes.last
        self.commands.ask(name, 1, key, text, "test", retained=False)
        await until(lambda: self.commands.outcomes.last > cursor, SLOW)
        _, (outcome,) = self.commands.outcomes.after(cursor)
        return outcome.result, outcome.reason

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def snapshot(self, name: str) -> Any:
        return self.store.get((name, 1))

    def knows(self, name: str, *keys: str) -> bool:
        return set(keys) <= set(self.snapshot(name).values(self.store.clock()))

    def fresh(self, name: str, since: float) -> bool:
        last = self.status[name].bms(1).last_frame
        snapshot = self.snapshot(name)
        return bool(last and last > since and snapshot and snapshot.online(self.store.clock()))

    async def streams(self, *names: str, seconds: float = SLOW) -> float:
        """Wait until measured values come from all of them; how long it took, in s."""
        since = time.monotonic()
        try:
            return await until(lambda: all(self.fresh(name, since) for name in names), seconds)
        except AssertionError:
            print({name: (s.problem, s.last_error, s.reconnects) for name, s in self.status.items()})
            raise

    async def lost(self, *names: str, seconds: float = 30.0) -> float:
        return await until(lambda: not any(self.status[name].connected for name in names), seconds)


@asynccontextmanager
async def plant(folder: Path, *names: str, **options: Any) -> AsyncIterator[tuple[Plant, Bluez]]:
    async with surroundings() as bluez:
        one = Plant(folder)
        try:
            for name in names:
                one.start(name, **options)
            yield one, bluez
        finally:
            began = time.monotonic()
            await one.stop()
            print(f"ROW | stop | - | {time.monotonic() - began:.1f} |")
        await released(*names)
        assert one.wrong == []


async def released(*names: str) -> None:
    """No unit is left connected; the last word takes its time through the air."""
    end = time.monotonic() + LET_GO
    while left := [name for name in names if (await air("state", name))["connected"]]:
        assert time.monotonic() < end, f"left connected: {left}"
        await asyncio.sleep(0.1)


def row(what: str, noticed: float, healed: float, said: str) -> None:
    print(f"ROW | {what} | {noticed:.1f} | {healed:.1f} | {said} |", flush=True)
    assert noticed <= NOTICED
    assert healed <= HEALED + EMULATED


async def test_every_fault_with_two_batteries(tmp_path: Path) -> None:
    async with plant(tmp_path, "A", "B") as (one, bluez):
        print(f"ROW | start | - | {await one.streams('A', 'B', seconds=2 * SLOW):.1f} |", flush=True)
        print("MTU", {name: (await air("state", name))["mtu"] for name in "AB"})
        for name in "AB":
            await until(partial(one.knows, name, "cell_count", "software_version"), SLOW)
        values = {name: one.snapshot(name).values(one.store.clock()) for name in "AB"}
        assert values["A"]["software_version"] == "15.41"
        assert values["B"]["software_version"] == "10.07"
        assert "smart_sleep_delay" in values["A"]
        assert "smart_sleep_delay" not in values["B"]

        assert await one.sets("A", "balancing_switch", "OFF") == ("applied", "")
        assert (await air("state", "A"))["settings"]["balancing_switch"] is False
        result, reason = await one.sets("B", "balancing_switch", "OFF")
        print(f"ROW | written | - | - | 24S: {result}: {reason} |", flush=True)
        assert result == "refused"

        async def fault(what: str, names: str, begin: Any, end: Any) -> None:
            await begin
            noticed = await one.lost(*names)
            said = one.status[names[0]].problem
            if end is not None:
                await asyncio.sleep(2)
                await end
            row(what, noticed, await one.streams(*names), said)

        await fault("hang-up", "A", air("drop", "A"), None)
        await fault("frozen", "B", air("set", "B", "silent", True), air("set", "B", "silent", False))
        await fault("not heard", "A", air("vanish", "A"), air("return", "A"))
        await fault("adapter off", "AB", property_set("Powered", False), powered())
        await fault("bluetoothd killed", "AB", bluez.kill(), bluez.start())

        async def pulled_back() -> None:
            for name in "AB":
                await air("revive", name)
            await air("plug")
            await powered()

        await fault("adapter pulled", "AB", air("unplug"), pulled_back())
        usage = resource.getrusage(resource.RUSAGE_SELF)
        before = usage.ru_utime + usage.ru_stime
        frames = {name: one.status[name].frames for name in "AB"}
        await asyncio.sleep(20)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        heard = sum(one.status[name].frames - frames[name] for name in "AB")
        rss = int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        cpu = (usage.ru_utime + usage.ru_stime - before) / max(1, heard)
        print(f"FIGURES | {heard} frames in 20 s | {1000 * cpu:.1f} ms a frame (of this processor) | {rss:.0f} MB")
        print({name: (s.frames, s.junk, s.checksum_errors, s.reconnects) for name, s in one.status.items()})


async def test_both_layouts_with_the_other_size_of_notifications(tmp_path: Path) -> None:
    """32S in pieces of 20 bytes, 24S in whole bursts; and one unit is found by its name."""
    async with plant(tmp_path) as (one, _):
        await air("set", "A", "mtu", 23)
        await air("set", "B", "mtu", 247)
        one.start("A", mac=UNITS["A"].name)
        one.start("B")
        print(f"ROW | start | - | {await one.streams('A', 'B', seconds=2 * SLOW):.1f} |", flush=True)
        assert {name: (await air("state", name))["mtu"] for name in "AB"} == {"A": 23, "B": 247}
        for name in "AB":
            await until(partial(one.knows, name, "cell_count", "software_version"), SLOW)
        await air("drop", "A")
        noticed = await one.lost("A")
        said = one.status["A"].problem
        row("hang-up, notifications of 20 bytes", noticed, await one.streams("A"), said)
        assert {name: s.checksum_errors for name, s in one.status.items()} == {"A": 0, "B": 0}


OTHER = """
import asyncio, sys
from bleak import BleakClient
from bleak.backends.device import BLEDevice
async def main():
    address, path = sys.argv[1], "/org/bluez/hci0/dev_" + sys.argv[1].replace(":", "_")
    client = BleakClient(BLEDevice(address, None, {"path": path, "props": {"Adapter": "/org/bluez/hci0"}}), timeout=30)
    await client.connect()
    port = next(c for s in client.services for c in s.characteristics if c.uuid.startswith("0000ffe1"))
    try:
        await client.start_notify(port, lambda *_: None)
        print("subscribed", flush=True)
    except Exception as error:
        print(f"refused: {error}", flush=True)
    await asyncio.sleep(6)
asyncio.run(main())
"""


async def test_a_second_program_on_this_host_takes_nothing_from_us(tmp_path: Path) -> None:
    """Another integration of Home Assistant opens the unit that we hold, and ends without a farewell."""
    async with plant(tmp_path, "A") as (one, _):
        await one.streams("A", seconds=2 * SLOW)
        status = one.status["A"]
        words = (sys.executable, "-c", OTHER, UNITS["A"].address)
        other = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
        assert other.stdout is not None
        said = (await other.stdout.readline()).decode().strip()
        before, bad, lost = status.frames, status.checksum_errors, status.reconnects
        await asyncio.sleep(5)
        heard = status.frames - before
        print(f"ROW | second program | - | - | {heard} frames in 5 s beside it; it was told: {said} |", flush=True)
        assert heard >= 5
        assert (status.checksum_errors, status.reconnects) == (bad, lost)
        assert said.startswith("refused")
        await other.wait()
        row("second program gone", 0.0, await one.streams("A"), "")


async def test_a_unit_that_demands_a_pin(tmp_path: Path) -> None:
    async with plant(tmp_path, "C", pin="123456") as (one, _):
        print(f"ROW | pairing | - | {await one.streams('C', seconds=2 * SLOW):.1f} |", flush=True)
        await air("drop", "C")
        noticed = await one.lost("C")
        row("hang-up of a bonded unit", noticed, await one.streams("C"), one.status["C"].problem)


async def test_a_unit_that_demands_a_pin_and_gets_none(tmp_path: Path) -> None:
    async with plant(tmp_path, "C") as (one, _):
        await until(lambda: one.status["C"].last_error not in ("", "not opened yet"), 2 * SLOW)
        await asyncio.sleep(5)
        print(f"ROW | no PIN | - | - | {one.status['C'].last_error} |", flush=True)
        assert not one.fresh("C", 0)
