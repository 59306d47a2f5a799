"""An ether without any radio: the whole program finds and connects simulated BMSs by their addresses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jkbms_addon.errors import LinkError
from jkbms_addon.link import gatt
from jkbms_addon.link.gatt import Heard, Where
from jkbms_addon.simulator.ble import BleUnit, BleWire, wired

CONNECTING = 0.3  # s


class Ether:
    """Units by address. Whoever is in ``away`` is not heard, nor is who is connected: a unit serves one at a time."""

    def __init__(self, units: dict[str, BleUnit]) -> None:
        self.units, self.away = units, set[str]()
        self.wires: dict[str, BleWire] = {}
        self.heard_at: list[str] = []  # adapters on which somebody listened

    @asynccontextmanager
    async def link(self, where: Where) -> AsyncIterator[BleWire]:
        unit = self.units.get(where.unit)
        await asyncio.sleep(CONNECTING)
        if unit is None or where.unit in self.away or where.unit in self.wires:
            raise LinkError(f"{where.unit}: {gatt.NOT_HEARD}")
        unit.streaming = False
        async with wired(unit) as wire:
            self.wires[where.unit] = wire
            try:
                yield wire
            finally:
                del self.wires[where.unit]

    async def heard(self, adapter: str, _seconds: float) -> list[Heard]:
        self.heard_at.append(adapter)
        await asyncio.sleep(CONNECTING)
        free = [address for address in self.units if address not in self.away and address not in self.wires]
        return [Heard(address, f"JK-{address[-2:]}", -60 - n) for n, address in enumerate(free)]

    def vanish(self, address: str) -> None:
        """Out of range."""
        self.away.add(address)
        if wire := self.wires.get(address):
            wire.hang_up()

    def come_back(self, address: str) -> None:
        self.away.discard(address)


def ether(monkeypatch: pytest.MonkeyPatch, units: dict[str, BleUnit]) -> Ether:
    """In the place of BlueZ, for a test."""
    one = Ether(units)
    monkeypatch.setattr(gatt, "gatt_link", one.link)
    monkeypatch.setattr(gatt, "heard", one.heard)
    return one
