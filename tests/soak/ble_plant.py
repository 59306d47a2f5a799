"""The soak over Bluetooth itself: two batteries, their faults, and what is judged."""

import asyncio
import random
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from jkbms_addon.acquisition import ble
from jkbms_addon.acquisition.contract import BusOptions, Plugin
from jkbms_addon.acquisition.owner import own_bus
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.errors import LinkError
from jkbms_addon.simulator.ble import BleUnit, BleWire, wired
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.supervise import Supervisor

DROPS = 90.0  # s between two faults of a battery, on average
SHARE = 0.002  # of pieces that are damaged
WARM, SETTLED = 120.0, 30.0  # s before and after the faults


def memory() -> float:
    """Resident MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


class Judged(Store):
    """A store that looks whether what it is told is what the simulated battery said."""

    def __init__(self, units: dict[str, BleUnit]) -> None:
        super().__init__()
        self._units, self.wrong, self.believed = units, list[str](), dict.fromkeys(units, 0)

    def update(self, bus: str, reading: Reading) -> None:
        self.believed[bus] += 1
        if not self._right(self._units[bus].bms, reading):
            self.wrong.append(f"{bus}: {reading.values}")
        super().update(bus, reading)

    @staticmethod
    def _right(bms: SimulatedBms, reading: Reading) -> bool:
        values: Any = reading.values
        if reading.kind == "live":
            told = len(values["cell_voltage"]), values["full_charge_capacity"], values["current"]
            summed = abs(values["total_voltage"] - sum(values["cell_voltage"])) < 0.02
            return told == (bms.cells, 280.0, bms.current) and summed
        if reading.kind == "settings":
            return (values["cell_voltage_overvoltage_protection"], values["cell_count"]) == (3.65, bms.cells)
        return bool(values["serial_number"] == "0000000000")


class Plant:
    """Two buses as the program runs them."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.units = {
            "new": BleUnit(SimulatedBms(1, cells=16, current=5.0), "32S", 131, beat=1.0, second=True),
            "old": BleUnit(SimulatedBms(2, cells=13, current=-3.0), "24S", 23),
        }
        self.store = Judged(self.units)
        self.status = {name: BusStatus(name, "ble") for name in self.units}
        self._wires: dict[str, BleWire] = {}
        self._gone: set[str] = set()

    @asynccontextmanager
    async def _opened(self, options: Any, status: BusStatus) -> AsyncIterator[ble.Ble]:
        name = options["mac"]
        if name in self._gone:
            raise LinkError("not heard")
        self.units[name].streaming = False
        async with wired(self.units[name]) as wire:
            wire.damage = self._damage
            self._wires[name] = wire
            source = ble.Ble(wire, status, 1)
            reason = await source.begin()
            assert not reason, reason
            yield source

    def _damage(self, piece: bytes) -> bytes:
        dice = self._dice
        if dice.random() >= SHARE:
            return piece
        noisy = bytearray(piece)
        noisy[dice.randrange(len(noisy))] ^= 1 << dice.randrange(8)
        return bytes(noisy) if dice.random() < 0.5 else bytes(noisy[: len(noisy) // 2])

    def _owner(self, name: str) -> asyncio.Task[None]:
        plugin = Plugin(schema=ble.PLUGIN.schema, open=self._opened, addresses=lambda _options: frozenset((1,)))
        supervisor = Supervisor(name, self.status[name].down, lambda: False)
        bus = BusOptions(name, "ble", {"mac": name, "address": 1}, plugin)
        owner = partial(own_bus, bus, self.status[name], self.store, supervisor.healed)
        return asyncio.create_task(supervisor.run(owner))

    async def _faults(self, name: str) -> None:
        dice = self._dice
        while True:
            await asyncio.sleep(dice.expovariate(1 / DROPS))
            fault = dice.choice(("drop", "silence", "vanish"))
            if fault == "silence":
                self.units[name].silent = True
                await asyncio.sleep(dice.uniform(1, 20))
                self.units[name].silent = False
                continue
            if fault == "vanish":
                self._gone.add(name)
            self._wires[name].lost = True
            await asyncio.sleep(dice.uniform(1, 40) if fault == "vanish" else 1)
            self._gone.discard(name)

    async def soak(self, seconds: float) -> dict[str, Any]:
        """Run for so many seconds of the hurried clock; what was seen."""
        owners = [self._owner(name) for name in self.units]
        await asyncio.sleep(WARM)
        before, used = memory(), time.process_time()
        disturbing = [asyncio.create_task(self._faults(name)) for name in self.units]
        await asyncio.sleep(seconds)
        for task in disturbing:
            task.cancel()
        self._gone.clear()
        for unit in self.units.values():
            unit.silent = False
        await asyncio.sleep(SETTLED)
        present = [name for name in self.units if self.store.present((name, 1))]
        for task in owners:
            task.cancel()
        await asyncio.gather(*owners, *disturbing, return_exceptions=True)
        return {"hours": round(seconds / 3600, 2), **self._figures(before, used), "present at the end": present}

    def _figures(self, before: float, used: float) -> dict[str, Any]:
        frames = sum(one.frames for one in self.status.values())
        counted = {
            key: {name: getattr(one, key) for name, one in self.status.items()}
            for key in ("frames", "reconnects", "checksum_errors", "implausible")
        }
        return {
            **counted,
            "believed": self.store.believed,
            "wrong values": self.store.wrong[:5],
            "tasks left": len(asyncio.all_tasks()) - 1,
            "memory grew by MB": round(memory() - before, 1),
            "largest MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "processor ms a frame, with both simulators": round(
                1000 * (time.process_time() - used) / max(1, frames), 2
            ),
        }
