"""A first-generation BMS that speaks: ``4E 57`` tables on a UART-TTL port, behind a pty or a gateway.

For the demo and the tests, as ``simulator`` is; encoded through the decoder's own table.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from struct import unpack
from typing import Any, Literal

from jkbms_addon.simulator.far_end import SerialBus, TcpBus, pty, running
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.modbus import LIVE
from jkbms_addon.wire.ttl import frames as legacy
from jkbms_addon.wire.ttl.tags import WRITABLE

Speech = Literal["ttl", "modbus", "noise"]
START_UP = 16.0  # seconds after a start in which charge and cycles are told as 0 (specification, chapter 4)


@dataclass(slots=True)
class SimulatedFirst:
    """One BMS of the first generation: slow physics, real frames.

    ``asleep`` until it is activated; ``taken`` tells whether a write that it acknowledges has any effect;
    ``acknowledging`` whether it answers a write, ``hearing`` whether it minds writes at all; a ``picky`` one wants a
    pairing message first and does not take the ids that it ``refuses``;
    ``speech`` other than ``ttl`` is another protocol on the port; ``version`` is that of the protocol.
    """

    cells: int = 16
    capacity: int = 200  # Ah
    soc: int = 60  # %
    cycles: int = 31
    version: int = 1
    current: float | None = None  # A; None = a sine of some tens of amperes
    temperature: int = 21  # °C
    errors: int = 0
    password: bytes = b"Pa55word!"
    latency: float = 0.001  # s to the first byte
    silent: bool = False
    asleep: bool = False
    taken: bool = True
    acknowledging: bool = True
    hearing: bool = True
    picky: bool = False
    refuses: frozenset[int] = frozenset()
    paired: bool = False
    writes: list[bytes] = field(default_factory=list)  # ids with values, as they came
    speech: Speech = "ttl"
    settings: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=lambda: time.monotonic() - 3600)  # monotonic; a restart sets it anew
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.settings = {**default_settings(self), **self.settings}

    def live(self) -> dict[str, Any]:
        """Measured values as they are told now."""
        now = time.monotonic()
        current = round(30 * math.sin(now / 60), 2) if self.current is None else self.current
        share, up = self.soc / 100, now - self.started >= START_UP
        cells = tuple(round(3.2 + 0.12 * share + current * 0.0002 + 0.001 * (n * 7 % 5), 3) for n in range(self.cells))
        on = bool(self.settings["charging_switch"]), bool(self.settings["discharging_switch"])
        return {
            "cell_voltage": cells,
            "total_voltage": round(sum(cells), 2),
            "current": current,
            "state_of_charge": self.soc if up else 0,
            "charging_cycles": self.cycles if up else 0,
            "total_charging_cycle_capacity": self.cycles * self.capacity,
            "total_runtime": 60 * (500_000 + int(now - self.began) // 60),
            "mosfet_temperature": self.temperature + 6,
            "temperature_sensor_1": self.temperature,
            "temperature_sensor_2": self.temperature + 1,
            "temperature_sensor_count": 2,
            "errors_bitmask": self.errors,
            "operation_mode_bitmask": on[0] | on[1] << 1,
            "charging": on[0],
            "discharging": on[1],
            "balancing": False,
        }

    def table(self) -> bytes:
        """The answer to a read-all."""
        return legacy.encode_reply({**self.live(), **self.settings, **IDENTITY}, self.version, password=self.password)

    def answer(self, frame: legacy.Frame) -> bytes:
        """What it says to a request; empty when it stays silent."""
        if frame.command == legacy.ACTIVATE_COMMAND:
            self.asleep = False
        self.paired |= frame.command == legacy.PAIR
        if self.silent or self.asleep or frame.kind != "echo" or frame.command == legacy.PAIR:
            return b""
        if frame.command == legacy.ACTIVATE_COMMAND:
            return ACTIVATED
        if frame.command == legacy.WRITE:
            return self._written(frame.info)
        return self.table()

    def _written(self, info: bytes) -> bytes:
        """A write is acknowledged; that says nothing about whether it was taken."""
        self.writes.append(info)
        if not self.hearing or (self.picky and not self.paired):
            return b""
        row = WRITABLE.get(info[0])
        if row and self.taken and row.id not in self.refuses:
            codec = row.field.codec
            self.settings[row.field.key] = codec.decode(unpack(">" + codec.fmt, info[1 : 1 + row.width])[0])
        return legacy.write_answer(info[0]) if self.acknowledging else b""


ACTIVATED = legacy.closed(bytes.fromhex("4E57001300000000010001000000000068" + "00000000"))
IDENTITY = {
    "battery_type": "LFP",
    "device_type": "Input Us",
    "manufacturing_date": "2307",
    "software_version": "11.XW_S11.26___",
    "manufacturer": "Input UserdaJK_B2A20S20P",
    "model": "JK_B2A20S20P",
}


def default_settings(bms: SimulatedFirst) -> dict[str, Any]:
    """What an LFP pack is set to."""
    return {
        "total_voltage_overvoltage_protection": round(3.65 * bms.cells, 2),
        "total_voltage_undervoltage_protection": round(2.7 * bms.cells, 2),
        "cell_voltage_overvoltage_protection": 3.65,
        "cell_voltage_overvoltage_recovery": 3.5,
        "cell_voltage_overvoltage_delay": 5,
        "cell_voltage_undervoltage_protection": 2.7,
        "cell_voltage_undervoltage_recovery": 2.9,
        "cell_voltage_undervoltage_delay": 5,
        "cell_pressure_difference_protection": 0.3,
        "max_discharge_current": 150,
        "discharge_overcurrent_protection_delay": 300,
        "max_charge_current": 100,
        "charge_overcurrent_protection_delay": 30,
        "balancing_start_voltage": 3.4,
        "balance_trigger_voltage": 0.01,
        "balancing_switch": True,
        "mosfet_overtemperature_protection": 90,
        "mosfet_overtemperature_recovery": 70,
        "temperature_sensor_temperature_protection": 100,
        "temperature_sensor_temperature_recovery": 100,
        "temperature_sensor_temperature_difference_protection": 20,
        "charge_overtemperature_protection": 70,
        "discharge_overtemperature_protection": 70,
        "charge_undertemperature_protection": -20,
        "charge_undertemperature_recovery": -10,
        "discharging_low_temperature_protection": -20,
        "discharging_low_temperature_recovery": -10,
        "cell_count": bms.cells,
        "total_battery_capacity": bms.capacity,
        "charging_switch": True,
        "discharging_switch": True,
        "current_calibration": 1.0,
        "device_address": 1,
        "sleep_wait_time": 10,
        "alarm_low_volume": 20,
        "dedicated_charger_switch": False,
        "actual_battery_capacity": bms.capacity,
    }


@dataclass(slots=True, kw_only=True)
class TtlPort(SerialBus):
    """The BMS's side of a pty; ``asked`` holds time and command of every request."""

    bms: SimulatedFirst
    words: legacy.Framer = field(default_factory=legacy.Framer)
    asked: list[tuple[float, int]] = field(default_factory=list)

    async def heard(self, data: bytes) -> None:
        """Answer what was asked."""
        await _heard(self, data)


@dataclass(slots=True, kw_only=True)
class TtlGateway(TcpBus):
    """A BMS behind a gateway that passes bytes on."""

    bms: SimulatedFirst
    words: legacy.Framer = field(default_factory=legacy.Framer)
    asked: list[tuple[float, int]] = field(default_factory=list)

    async def heard(self, data: bytes) -> None:
        """Answer what was asked."""
        await _heard(self, data)


async def _heard(far: TtlPort | TtlGateway, data: bytes) -> None:
    if far.echo:
        await far.say(data)
    for frame in far.words.feed(data):
        far.asked.append((time.monotonic(), frame.command))
        await asyncio.sleep(far.bms.latency)
        await far.say(_said(far.bms, frame))


def _said(bms: SimulatedFirst, frame: legacy.Frame) -> bytes:
    if bms.speech == "modbus" and not bms.silent:
        return SimulatedBms(1).page(LIVE)
    if bms.speech == "noise" and not bms.silent:
        return b"~25014642E00202FD2E\r" * 3  # as a PACE BMS speaks
    return bms.answer(frame)


@asynccontextmanager
async def ttl_port(bms: SimulatedFirst, **options: Any) -> AsyncIterator[TtlPort]:  # noqa: ANN401
    """A simulated BMS behind a fresh pty; ``port`` is the path to open."""
    with pty() as (ours, path):
        far = TtlPort(bms=bms, port=path, fd=ours, batteries={}, **options)
        async with running(far.serve()):
            yield far


@asynccontextmanager
async def ttl_gateway(bms: SimulatedFirst, **options: Any) -> AsyncIterator[TtlGateway]:  # noqa: ANN401
    """A simulated BMS behind a gateway on a free port of 127.0.0.1."""
    far = TtlGateway(bms=bms, batteries={}, **options)
    await far.start()
    try:
        yield far
    finally:
        await far.stop()
