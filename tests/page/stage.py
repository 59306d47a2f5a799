"""A whole installation without wires: the real composition, fed with what batteries would have told."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jkbms_addon.app import App
from jkbms_addon.battery import energy
from jkbms_addon.battery.alarms import WORD_NAMES
from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.reading import Reading, derive
from jkbms_addon.link.stream import Link
from jkbms_addon.link.tap import Tapped
from jkbms_addon.options.file import parse
from jkbms_addon.page import files, recorder
from jkbms_addon.page.history import TIERS, Series
from jkbms_addon.page.place import Place
from jkbms_addon.page.server import Page
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.modbus import LIVE, acknowledgement, page_request
from tests.conftest import free_port

SETTINGS: Mapping[str, Value] = {
    "max_charge_current": 100.0,
    "max_discharge_current": 150.0,
    "cell_voltage_overvoltage_protection": 3.6,
    "cell_voltage_undervoltage_protection": 2.6,
    "cell_request_charge_voltage": 3.45,
    "cell_request_float_voltage": 3.35,
    "balancing_start_voltage": 3.44,
    "charging_switch": True,
    "discharging_switch": True,
    "balancing_switch": True,
    "total_battery_capacity": 280.0,
}


@dataclass
class Battery:
    """What one battery tells."""

    bus: str
    address: int
    soc: float = 78.0
    current: float = 20.0
    cells: int = 16
    offsets: Mapping[int, float] = field(default_factory=dict)  # mV by number of the cell
    alarms: tuple[str, ...] = ()
    settings: Mapping[str, Value] = field(default_factory=dict)
    temperature: float = 20.2
    silent: bool = False
    count: int = 0
    told: Mapping[str, Value] = field(default_factory=dict)  # beside what else it tells

    def live(self) -> dict[str, Value]:
        """Values as a frame has them."""
        self.count += 1
        noise = (self.count * 7 + self.address * 3) % 5
        cells = tuple(
            round(
                3.372
                + (self.soc - 78) * 2e-4
                + (((n * 5 + self.address * 3) % 7) - 3) * 1e-3
                + self.offsets.get(n, 0) / 1000,
                3,
            )
            for n in range(1, self.cells + 1)
        )
        current = round(self.current + noise * 0.1, 1)
        values: dict[str, Value] = {
            "cell_voltage": cells,
            "cell_resistance": tuple(0.06 + 0.001 * (n % 5) for n in range(self.cells)),
            "total_voltage": round(sum(cells), 3),
            "current": current,
            "state_of_charge": round(self.soc),
            "state_of_health": 98,
            "capacity_remaining": round(2.8 * self.soc, 1),
            "full_charge_capacity": 280.0,
            "charging_cycles": 62,
            "total_charging_cycle_capacity": 17360.0,
            "total_runtime": 1_000_000,
            "mosfet_temperature": self.temperature + 1,
            "temperature_sensor_1": self.temperature,
            "temperature_sensor_2": self.temperature + 0.4,
            "charging": True,
            "discharging": True,
            "balancing": self.offsets.get(4, 0) > 0,
            "balancing_current": 0.8 if self.offsets.get(4, 0) > 0 else 0.0,
            "battery_type": "LFP",
            "alarms": self.alarms,
            **self.told,
        }
        derive(values)
        return values

    def about(self) -> dict[str, Value]:
        """Who it is."""
        serial = f"{40119491480 + self.address + 1000 * (self.bus == 'cellar')}"
        return {
            "model": "JK_PB2A16S20P",
            "hardware_version": "15A",
            "software_version": "15.41",
            "serial_number": serial,
            "power_on_count": 22,
        }


def batteries(count: int, cells: int = 16) -> list[Battery]:
    """So many on one bus, from the seventh on on a second one; some of them worth a look."""
    found = [
        Battery("garage", n + 1, 78 + (n * 5) % 4, 20 + (n * 7) % 5 - 2, cells)
        if n < 6
        else Battery("cellar", n - 5, 78 + (n * 5) % 4, cells=cells)
        for n in range(count)
    ]
    if count > 2:
        found[2].offsets = {11: -20, 4: 6}
    if count > 6:
        for one in found[6:]:
            one.temperature, one.current = 15.3, 15.0 - one.address / 5
    if count > 5:
        found[5].alarms = (WORD_NAMES[0],)
        found[5].settings = {"max_charge_current": 80.0}
    if count > 4:
        found[4].settings = {"balancing_switch": False}
    return found


@dataclass
class Wire:
    """Where the bytes or frames of a bus would be."""

    link: Tapped[Any]

    async def read_page(self, _address: int, _register: int, _seconds: float) -> list[Any]:
        """Nobody answers who is asked besides."""
        return []


class Stage:
    """The program, not running, with batteries that are fed by hand. ``inverter`` is told something."""

    def __init__(
        self, folder: Path, packs: list[Battery], *, inverter: bool = True, problem: str = "", level: str = "off"
    ) -> None:
        names = sorted({one.bus for one in packs}, reverse=True) or ["garage"]
        targets = {
            "garage": "/dev/serial/by-id/usb-FTDI_FT232R-if00",
            "cellar": "/dev/serial/by-id/usb-1a86_USB_Serial-if00",
        }
        common = {"strategy": "master", "addresses": "1-15"}
        raw: dict[str, Any] = {
            "buses": [{**common, "name": name, "port": targets.get(name, "/dev/ttyUSB0")} for name in names],
            "mqtt": {"host": "127.0.0.1", "port": 1},
            "writes": {"level": level},
        }
        if inverter:
            raw["inverter"] = {"protocol": "pylontech", "channel": "can9", "confirmed": True}
        self.app = App(parse(raw), folder)
        self.packs, self.folder = packs, folder
        self.links: dict[str, Link] = {}
        self.sources = self.app.page.sources
        self.recorder = recorder.Recorder(self.sources)
        for bus in self.app.buses.values():
            bus.up()
            bus.says(problem)
        for pack in packs:
            self._tell(pack, "live", pack.live())
            self._tell(pack, "settings", {**SETTINGS, "cell_count": pack.cells, **pack.settings})
            self._tell(pack, "about", pack.about())
        self.control = self.sources.control
        for _ in range(3):
            self.feed()

    def _tell(self, pack: Battery, kind: str, values: dict[str, Value], valid_for: float = 1e6) -> None:
        names = WORD_NAMES if kind == "live" else ()
        self.app.store.update(pack.bus, Reading(pack.address, kind, values, names, valid_for=valid_for, format="pb"))

    def feed(self) -> None:
        """One round of all batteries, a decision, and a look at it."""
        now = time.monotonic()
        for pack in self.packs:
            if not pack.silent:
                self._tell(pack, "live", pack.live(), 10.0)
                self._talk(pack)
                bus = self.app.buses[pack.bus]
                bus.frames += 1
                bus.quality.note(now, good=1)
                bus.bms(pack.address).heard(now, 0.044)
        self.control.step(now)
        for outlet in self.sources.outlets:
            outlet.emission.sent()
            outlet.emission.note(0x305, now)
        counted = [self.app.store.get(view.key) for view in self.control.state.counted]
        moments = [energy.moment(one.values(now), now) for one in counted if one]
        bank = energy.combined([one for one in moments if one], now)
        heard = [(f"{one.bus}/{one.address}", one.values(now), now) for one in self.app.store if one.online(now)]
        self.sources.energies.look(heard, bank)
        self.recorder.look()

    def silence(self, pack: Battery, seconds: float) -> None:
        """The pack fell silent so long ago."""
        pack.silent = True
        part = self.app.store.get((pack.bus, pack.address))
        assert part is not None
        clock = self.app.store.clock
        self.app.store.clock = lambda: clock() - seconds
        self._tell(pack, "live", pack.live(), 10.0)
        self.app.store.clock = clock

    @contextmanager
    def talking(self) -> Iterator[None]:
        """As if there were wires: what is fed was asked for and answered on them."""
        with ExitStack() as lent:
            for name, slot in self.sources.slots.items():
                lent.enter_context(slot.lent(Wire(self.links.setdefault(name, Link(name)))))
            yield
            self.links.clear()

    def _talk(self, pack: Battery) -> None:
        if link := self.links.get(pack.bus):
            said = SimulatedBms(pack.address).page(LIVE) + acknowledgement(pack.address, LIVE)
            for tap in link.taps:
                tap("tx", page_request(pack.address, LIVE))
                tap("rx", said)

    async def run(self) -> None:
        """A round a second."""
        while True:
            self.feed()
            await asyncio.sleep(1)

    def past(self) -> None:
        """What the last 30 days may have been."""
        now = time.time()
        keys = [f"{pack.bus}/{pack.address}" for pack in self.packs]
        count = max(1, len(keys))
        for key in ("bank", *keys):
            series = self.sources.history.series.setdefault(key, Series())
            pack = next((one for one in self.packs if f"{one.bus}/{one.address}" == key), None)
            for ring, (step, rows) in zip(series.rings, TIERS, strict=True):
                soc = 79.0
                first = int(now // step) - rows
                flows = [_flow(((first + n) * step / 3600) % 24, (first + n) * step) for n in range(rows)]
                charges = list(_charges(flows, step, soc))
                for n, (flow, charge) in enumerate(zip(flows, charges, strict=True)):
                    ring.put(first + n, _row(flow if pack is None else flow / count, charge, pack))
        for hour in range(int(now // 3600) - 23, int(now // 3600) + 1):
            for pack, key in zip(self.packs, keys, strict=True):
                if not pack.silent:
                    cells = pack.live()["cell_voltage"]
                    assert isinstance(cells, tuple)
                    told = [one if isinstance(one, float) else None for one in cells]
                    self.sources.history.series[key].places.note(hour, told, 3400)
                    self.sources.history.series[key].places.note(hour, told[::-1], 200)
        self.sources.history.loaded()


def _flow(hour: float, at: float) -> float:
    """Power of a house with a roof, W: sun by day, loads by night."""
    sun = 9500 * math.exp(-(((hour - 12.5) / 3.2) ** 2)) * (0.75 + 0.25 * math.sin(at / 1700) * math.sin(at / 431))
    load = 900 + 1500 * math.exp(-(((hour - 19) / 2.2) ** 2)) + 250 * math.sin(at / 613) + 200 * math.sin(at / 97)
    return sun - load


def _charges(flows: list[float], step: int, last: float) -> Iterator[float]:
    """State of charge that ends at ``last``, kept within its bounds."""
    soc, found = last, []
    for flow in reversed(flows):
        found.append(soc)
        soc = min(99.0, max(18.0, soc - flow * step / 3600 / 1250))
    yield from reversed(found)


def _row(flow: float, soc: float, pack: Battery | None) -> dict[str, float]:
    voltage = 51.5 + soc / 45 + flow / 9000
    row = {"power": flow, "soc": soc, "voltage": voltage, "current": flow / voltage}
    if pack is None:
        return {**row, "charged": max(0.0, flow), "discharged": max(0.0, -flow)}
    mean = voltage / 16
    cells = {
        f"cell_{n}": mean + pack.offsets.get(n, n % 3 - 1) / 1000 * (0.6 + soc / 200) for n in range(1, pack.cells + 1)
    }
    return {**row, "mean_cell": mean, "min_cell": min(cells.values()), "max_cell": max(cells.values()), **cells}


@asynccontextmanager
async def served(stage: Stage, place: Place | None = None) -> AsyncIterator[Place]:
    """The page of a stage, on a free port of this computer."""
    place = place or Place("127.0.0.1", free_port())
    ready = asyncio.Event()
    page = asyncio.create_task(Page(stage.sources, files.load()).own(place, ready.set))
    rounds = asyncio.create_task(stage.run())
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait([page, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=10)
        if page.done():
            page.result()
        yield place
    finally:
        for task in (page, rounds, waiting):
            task.cancel()
        await asyncio.gather(page, rounds, waiting, return_exceptions=True)
