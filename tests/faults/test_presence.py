"""Who is present, against the program as its container starts it: what was away comes back quickly, and only it."""

import asyncio
import json
import signal
import time
from pathlib import Path
from typing import Any

from jkbms_addon.simulator.far_end import SerialBus, serial_bus
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.pb.modbus import LIVE
from tests.conftest import Mosquitto, until
from tests.faults.world import World, packs, world

QUICKLY = 12.0  # s until what is back counts again


def polled(one: World, far: SerialBus, addresses: str = "1-2") -> None:
    one.judge.know({("a", n): bms for n, bms in far.batteries.items()})  # type: ignore[misc]
    one.bus = {"strategy": "master", "port": far.port, "addresses": addresses, "interval": 1.0}


def counted(one: World, after: float = 0.0) -> int:
    bank: dict[str, Any] = json.loads(one.told("jkbms/bank/state", after) or "{}")
    return int(bank.get("packs_online", 0))


async def test_a_program_that_stood_still_lets_the_inverter_discharge_again(broker: Mosquitto, tmp_path: Path) -> None:
    async with world(tmp_path, broker) as one, serial_bus(packs()) as far:
        polled(one, far)
        await one.inverter.plug()
        await one.start()
        await until(lambda: one.permitted(0), 30)
        await asyncio.sleep(3)
        one.signal(signal.SIGSTOP)
        await asyncio.sleep(12)
        one.signal(signal.SIGCONT)
        back = time.monotonic()
        await until(lambda: any(discharge > 0 for _, discharge in one.limits(back + 0.5)), QUICKLY)
        assert await one.stop() == 0


async def test_a_battery_that_was_silent_for_ten_seconds_counts_again(broker: Mosquitto, tmp_path: Path) -> None:
    async with world(tmp_path, broker) as one, serial_bus(packs()) as far:
        polled(one, far)
        await one.inverter.plug()
        await one.start()
        await until(lambda: one.permitted(0) and counted(one) == 2, 30)
        await asyncio.sleep(3)
        far.batteries[2].silent = True
        await asyncio.sleep(10.4)
        far.batteries[2].silent = False
        back = time.monotonic()
        await until(lambda: counted(one, back) == 2 and one.available(2), QUICKLY)
        assert await one.stop() == 0


async def test_one_bms_that_answers_for_sixteen_addresses(broker: Mosquitto, tmp_path: Path) -> None:
    one_pack = packs()[1]
    async with world(tmp_path, broker) as one, serial_bus([one_pack]) as far:
        polled(one, far, "0-15")
        far.batteries = dict.fromkeys(range(16), one_pack)
        await one.inverter.plug()
        await one.start()
        await until(lambda: one.permitted(0), 40)
        await asyncio.sleep(15)
        bears = one_pack.settings["max_discharge_current"]
        assert max(discharge for _, discharge in one.limits(0)) <= bears
        shown = {topic.split("/")[2] for _, topic, *_ in one.heard.messages if topic.startswith("jkbms/a/")}
        assert shown == {"2"}
        assert "its settings say address 2" in one.reason()
        assert await one.stop() == 0


async def test_one_address_is_ill_and_the_others_are_well(broker: Mosquitto, tmp_path: Path) -> None:
    async with world(tmp_path, broker) as one, serial_bus(packs()) as far:
        polled(one, far)
        await one.inverter.plug()
        await one.start()
        await until(lambda: one.fresh((1, 2), 0), 30)
        far.mangle = lambda said: said[:287] + said[300:] if said[300:301] == b"\2" else said
        ill = time.monotonic()
        await until(lambda: "BMS 2: its answers arrive cut or damaged" in one.reason(), 20)
        await until(lambda: not one.available(2), 20)
        health = json.loads(one.told("jkbms/bridge/health") or "{}")["batteries"]
        assert health["a_1"]["reason"] == "ok"
        assert health["a_2"]["reason"].startswith("its answers arrive cut or damaged")
        assert one.logged().count("BMS 2: its answers arrive cut") == 1
        assert one.fresh((1,), time.monotonic() - 3)
        assert len([at for at, frame in one.sent if at > ill]) > 10
        far.mangle = bytes
        well = time.monotonic()
        await until(lambda: one.fresh((2,), well), 5)
        await until(lambda: one.reason() == "ok", 20)
        assert await one.stop() == 0


async def test_answers_without_acknowledgement_on_the_default_addresses(broker: Mosquitto, tmp_path: Path) -> None:
    async with world(tmp_path, broker) as one, serial_bus(packs()) as far:
        polled(one, far, "1-15")
        far.mangle = lambda said: said[:300]
        await one.inverter.plug()
        await one.start()
        await until(lambda: one.fresh((1, 2), 0), 40)
        begun = time.monotonic()
        await asyncio.sleep(25)
        away = [t for at, t, p, _ in one.heard.messages if at > begun and p == "offline" and t.startswith("jkbms/a/")]
        assert away == []
        assert one.reason() == "ok"
        assert one.fresh((1, 2), time.monotonic() - 8)
        assert {register for _, _, register in far.requests} >= {LIVE, modbus.SETTINGS}
        assert await one.stop() == 0
