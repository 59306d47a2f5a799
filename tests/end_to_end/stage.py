"""Everything at once: broker, Home Assistant, simulated buses of every strategy, an inverter, and the program."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jkbms_addon.simulator.can import Adapter, CanBms, broadcasting, slcan_adapter
from jkbms_addon.simulator.far_end import FarEnd, TcpBus, running, serial_bus, tcp_bus
from jkbms_addon.simulator.ttl import ttl_port
from jkbms_addon.wire.can import Frame
from tests.conftest import Mosquitto
from tests.end_to_end.batteries import Battery, Park, SteadyBms, SteadyFirst
from tests.end_to_end.home_assistant import HomeAssistant

ROOT = Path(__file__).parents[2]
POLLED, FOLLOWED = "rack", "follow"  # names of buses
GATE, TAP = "gate", "tap"
FIRST, CAN, CAN_V1 = "first", "can", "can_old"
BUSES = (POLLED, FOLLOWED, GATE, TAP, FIRST, CAN, CAN_V1)
SLOT = 0.05  # s that a simulated master gives to each address; real ones take 0.4
HEARTBEAT = Frame(0x305, False, bytes(8))


@dataclass(slots=True)
class Program:
    """The program as the image starts it, with options that a test may change."""

    options: dict[str, Any]
    folder: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        file = self.folder / "options.json"
        file.write_text(json.dumps(self.options))
        log = (self.folder / "program.log").open("ab")
        with log:
            self.process = await asyncio.create_subprocess_exec(
                str(ROOT / "run.sh"),
                "run",
                "--options",
                str(file),
                stderr=log,
                env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            )

    async def stop(self) -> int:
        """Its exit status."""
        if self.process is None or self.process.returncode is not None:
            return 0
        self.process.terminate()
        return await self.process.wait()


@dataclass(slots=True)
class Healing:
    """Seconds until all that is measured on a bus was right again, and until its settings and identities were, too."""

    measured: dict[str, float] = field(default_factory=dict)
    whole: dict[str, float] = field(default_factory=dict)

    def look(self, buses: set[str], left: dict[str, bool], now: float) -> None:
        for bus in buses:
            if not left.get(bus):
                self.measured.setdefault(bus, round(now, 1))
            if bus not in left:
                self.whole.setdefault(bus, round(now, 1))

    def __str__(self) -> str:
        return ", ".join(f"{bus} {self.measured[bus]} (all {self.whole[bus]}) s" for bus in sorted(self.whole))


@dataclass(slots=True)
class Stage:
    """All that plays, and where Home Assistant's view of it is not what the tables and the batteries say."""

    ha: HomeAssistant
    broker: Mosquitto
    program: Program
    park: Park
    inverter: Adapter
    wires: dict[str, FarEnd]
    unique: dict[str, str] = field(default_factory=dict)  # entity id by unique id

    async def look_up(self) -> dict[str, dict[str, Any]]:
        """Entity registry by unique id; the ids are remembered."""
        entities = await self.ha.entities()
        self.unique = {unique: entity["entity_id"] for unique, entity in entities.items()}
        return entities

    def entity(self, battery: Battery, key: str) -> str:
        return self.unique[f"{battery.device}_{key}"]

    def wrong(self, battery: Battery, states: dict[str, Any]) -> dict[str, str]:
        """Values of a battery that are not what it says; disabled entities have no state."""
        found = {}
        specs = battery.value_specs()
        for key, value in battery.says().items():
            state = states.get(self.unique.get(f"{battery.device}_{key}", ""))
            if state is not None and not agrees(state["state"], value, key):
                found[key] = f"{state['state']}, not {value} {specs[key].unit or ''}"
        shown = [states.get(self.unique.get(f"{battery.device}_{key}", "")) for key in specs]
        return found if any(shown) else {"device": "has no state at all"}

    async def healed(self, park: Park, seconds: float) -> "Healing":
        """Wait until Home Assistant shows what every battery says; how long it took, by bus."""
        start = time.monotonic()
        healing = Healing()
        wrong: dict[str, dict[str, str]] = {}
        while time.monotonic() - start < seconds:
            states = await self.ha.states()
            wrong = {b.device: found for b in park.batteries if (found := self.wrong(b, states))}
            healing.look({b.bus for b in park.batteries}, self._left(park, wrong), time.monotonic() - start)
            if not wrong:
                return healing
            await asyncio.sleep(0.1)
        raise AssertionError(f"after {seconds} s: {wrong}")

    @staticmethod
    def _left(park: Park, wrong: dict[str, dict[str, str]]) -> dict[str, bool]:
        """Buses on which something is wrong yet, and whether that is measured values."""
        left: dict[str, bool] = {}
        for battery in park.batteries:
            specs = battery.value_specs()
            for key in wrong.get(battery.device, ()):
                measured = key not in specs or specs[key].topic == "state"
                left[battery.bus] = left.get(battery.bus, False) or measured
        return left

    async def unavailable(self, park: Park, seconds: float) -> float:
        """Wait until nothing of the batteries is shown as if it were known; how long it took."""
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            states = await self.ha.states()
            known = [
                states[self.entity(b, key)]["state"]
                for b in park.batteries
                for key in b.value_specs()
                if self.entity(b, key) in states
            ]
            assert known
            if set(known) == {"unavailable"}:
                return round(time.monotonic() - start, 1)
            await asyncio.sleep(0.1)
        raise AssertionError(f"still shown: {set(known)}")


MOVING = {"total_runtime": 90.0}  # s that may pass between saying and comparing
PRECISION = 0.0011  # of every unit; no two values of one battery are that close


def agrees(state: str, value: float | str, key: str = "") -> bool:
    """Whether a state says the same as a value."""
    if isinstance(value, bool):
        return state == ("on" if value else "off")
    if isinstance(value, str):
        return state == value
    try:
        return abs(float(state) - value) <= MOVING.get(key, PRECISION)
    except ValueError:
        return False


def batteries() -> Park:
    """What is in the racks; every value differs from its neighbours'."""
    park = Park()
    one = SteadyBms(1, serial_number="4711", current=12.5, errors=0x80001, soc=60)
    two = SteadyBms(2, serial_number="4712", current=7.5, errors=0x80000, soc=62, temperature=24.0)
    two.lowest = 3.21
    park.pb(POLLED, one, asked=True)
    park.pb(POLLED, two, asked=True)
    park.pb(POLLED, SteadyBms(3, serial_number="4713", current=3.0, errors=0), asked=True)
    for address, cells in ((0, 16), (4, 15)):
        park.pb(FOLLOWED, SteadyBms(address, cells, current=-21.5 - address, soc=40, errors=0x800), asked=False)
    park.pb(GATE, SteadyBms(5, cells=8, serial_number="4715", current=-8.25, errors=0x80000), asked=True)
    park.pb(GATE, SteadyBms(6, cells=8, serial_number="4716", current=-8.5, errors=0x80000), asked=True)
    for address in (0, 7):
        park.pb(TAP, SteadyBms(address, current=5.5 + address, soc=80, errors=0x80000), asked=False)
    park.first(FIRST, SteadyFirst(current=-33.3, soc=71, errors=0b101), 9)
    can = CanBms(SteadyBms(2, current=14.5, soc=55, errors=0x1, temperature=19.0), 2, ("temperature_too_low_severe",))
    can.changes = {"mosfet_temperature": 27.0, "temperature_sensor_2": 20.0, "temperature_sensor_4": 18.0}
    can.changes |= {"max_cell_temperature": 20.0, "min_cell_temperature": 18.0, "average_cell_temperature": 19.0}
    park.can(CAN, can)
    old = CanBms(SteadyBms(0, current=-9.5, soc=45, errors=0), 1, ("cell_under_voltage_important",))
    old.changes = {"max_cell_temperature": 22.0, "min_cell_temperature": 20.0, "average_cell_temperature": 21.0}
    park.can(CAN_V1, old)
    return park


async def beating(adapter: Adapter) -> None:
    """What an inverter says every second, so that it is known to be there."""
    while True:
        adapter.put(HEARTBEAT)
        await asyncio.sleep(0.5)


@asynccontextmanager
async def staged(broker: Mosquitto, ha: HomeAssistant, folder: Path) -> AsyncIterator[Stage]:
    """Everything in its place, and the program started."""
    park = batteries()

    def listed(bus: str) -> list[Any]:
        return [battery.bms for battery in park.of(bus)]

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        rack = await enter(serial_bus(listed(POLLED)))
        follow = await enter(serial_bus(listed(FOLLOWED)[1:], master=listed(FOLLOWED)[0], slot=SLOT))
        gate = await enter(tcp_bus(listed(GATE)))
        tap = await enter(tcp_bus(listed(TAP)[1:], master=listed(TAP)[0], slot=SLOT))
        first = await enter(ttl_port(listed(FIRST)[0]))
        adapters: dict[str, Adapter] = {}
        for bus in (CAN, CAN_V1):
            adapters[bus] = await enter(slcan_adapter(250000))
            senders = [b.can for b in park.of(bus) if isinstance(b.can, CanBms)]
            await enter(broadcasting(senders, adapters[bus].put))
        inverter = await enter(slcan_adapter(500000))
        await enter(running(beating(inverter)))
        options = {
            "log_level": "debug",
            "buses": [
                {"name": POLLED, "strategy": "master", "port": rack.port, "addresses": "1-3"},
                {"name": FOLLOWED, "strategy": "listen", "port": follow.port},
                _gateway(GATE, gate, mode="poll", addresses="5-6", interval=1),
                _gateway(TAP, tap, mode="listen"),
                {"name": FIRST, "strategy": "ttl", "port": first.port, "address": 9, "interval": 1},
                {"name": CAN, "strategy": "can_broadcast", "channel": adapters[CAN].port, "bitrate": 250000},
                {"name": CAN_V1, "strategy": "can_broadcast", "channel": adapters[CAN_V1].port, "bitrate": 250000},
            ],
            "mqtt": {"host": "127.0.0.1", "port": broker.port, "detail": "full"},
            "writes": {"level": "protections"},
            "bank": {"members": f"{POLLED}/1-2"},
            "inverter": {
                "protocol": "goodwe",
                "channel": inverter.port,
                "confirmed": True,
                "cell_extremes": "0x370",
                "cell_numbers": True,
                "max_charge_current": 120,
                "max_discharge_current": 140,
            },
        }
        program = Program(options, folder)
        wires: dict[str, FarEnd] = {POLLED: rack, FOLLOWED: follow, GATE: gate, TAP: tap, FIRST: first}
        await program.start()
        try:
            yield Stage(ha, broker, program, park, inverter, wires)
        finally:
            await program.stop()


def _gateway(name: str, far: TcpBus, **options: Any) -> dict[str, Any]:
    return {"name": name, "strategy": "gateway", "host": "127.0.0.1", "tcp_port": far.port, **options}
