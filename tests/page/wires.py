"""The program with a bus of each kind: CAN over a serial adapter, RS485, Bluetooth, and a plug-in of somebody else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jkbms_addon.app import App
from jkbms_addon.options.file import parse
from jkbms_addon.page.place import PageOptions
from jkbms_addon.simulator.ble import BleUnit
from jkbms_addon.simulator.can import Adapter, broadcasting, can_bms, slcan_adapter
from jkbms_addon.simulator.far_end import running, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.acquisition.test_plugins import GOOD, install
from tests.bluetooth.ether import ether
from tests.conftest import free_port, until
from tests.page.test_asks import TOKEN
from tests.plugs import Plug

ADAPTER = "usb-Openlight_Labs_CANable2_2069328C5650-if00"  # with its serial number, as below /dev/serial/by-id
PLUGIN = "somebody_elses"


@dataclass
class Wires:
    """The program with four buses, named for what they are."""

    app: App
    can: Plug[Adapter]
    port: int
    folder: Path


@asynccontextmanager
async def wires(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wires]:
    """As soon as every bus is heard."""
    install(folder / "plugins", PLUGIN, GOOD)
    monkeypatch.syspath_prepend(str(folder / "plugins"))
    ether(monkeypatch, {"C8:47:80:00:00:01": BleUnit(SimulatedBms(1, serial_number="4071200001"), period=0.1)})
    can = Plug(folder / ADAPTER, slcan_adapter)
    await can.plug()
    async with serial_bus([SimulatedBms(5, serial_number="4071200005")]) as rs485:
        raw = {
            "buses": [
                {"name": "can", "strategy": "can_broadcast", "channel": str(can.path)},
                {"name": "rs485", "strategy": "master", "port": rs485.port, "addresses": "5"},
                {"name": "radio", "strategy": "ble", "mac": "C8:47:80:00:00:01"},
                {"name": "other", "strategy": PLUGIN},
            ],
            "mqtt": {"host": "127.0.0.1", "port": 1},
        }
        port = free_port()
        app = App(replace(parse(raw), page=PageOptions(port, TOKEN, host="127.0.0.1")), folder)
        async with running(app.run()), broadcasting([can_bms(0), can_bms(3)], can.far.put):
            await until(lambda: {one.key[0] for one in app.store} == {"can", "rs485", "radio", "other"}, 30)
            yield Wires(app, can, port, folder)
    await can.pull()
