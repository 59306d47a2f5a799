"""A JK master with two slaves and a second cable to each, in a real Home Assistant: three devices, no gaps."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from jkbms_addon.simulator.far_end import serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import mosquitto
from tests.end_to_end.acts import comes
from tests.end_to_end.home_assistant import HomeAssistant, home_assistant, needs_home_assistant
from tests.end_to_end.stage import Program
from tests.plugs import Plug

pytestmark = [pytest.mark.home_assistant, needs_home_assistant]
PACKS = {"jkbms_bank_0", "jkbms_bank_1", "jkbms_bank_2"}


async def batteries(ha: HomeAssistant) -> set[str]:
    """Devices of batteries, by identifier."""
    return {name for name in await ha.devices() if name.startswith(("jkbms_bank_", "jkbms_ctrl_"))}


async def test_two_cables_are_one_device_with_the_controls_of_the_second(tmp_path: Path) -> None:
    """Found out by running time within two minutes; then the asking bus falls silent, and after it the other one."""
    units = {n: SimulatedBms(n, serial_number=f"31304251{n:02}", current=-10.0, soc=60.0, errors=0) for n in range(3)}
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        broker = await enter(mosquitto(tmp_path))
        ha = await enter(home_assistant(broker.port))
        shared = Plug(tmp_path / "rs485-2", lambda: serial_bus([units[1], units[2]], master=units[0], slot=0.15))
        control = Plug(tmp_path / "rs485-1", lambda: serial_bus(list(units.values())))
        for plug in (shared, control):
            await plug.plug()
            stack.push_async_callback(plug.pull)
        options = {
            "buses": [
                {"name": "bank", "strategy": "listen", "port": str(shared.path)},
                {"name": "ctrl", "strategy": "master", "port": str(control.path), "addresses": "0-2", "interval": 1.0},
            ],
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "writes": {"level": "switches", "unlocked_at_start": True},
        }
        program = Program(options, tmp_path)
        await program.start()
        stack.push_async_callback(program.stop)

        async def merged() -> bool:
            return await batteries(ha) == PACKS and (await ha.devices()).keys() >= {"jkbms_bank"}

        async def controls() -> bool:
            return "jkbms_bank_0_discharging_switch" in await ha.entities()

        took = await comes(merged, 150)
        await comes(controls, 30)
        known = await ha.entities()
        ours = {unique: e["entity_id"] for unique, e in known.items() if unique.startswith("jkbms_bank_0_")}
        assert not any(unique.startswith("jkbms_ctrl_") for unique in known)
        switch = ours["jkbms_bank_0_discharging_switch"]
        assert switch.startswith("switch.")
        await ha.call("switch", "turn_off", entity_id=switch)

        async def off() -> bool:
            return units[0].settings["discharging_switch"] == 0 and bool((await ha.states())[switch]["state"] == "off")

        await comes(off, 20)
        voltage = ours["jkbms_bank_0_total_voltage"]
        for broken in (control, shared):
            await broken.pull()
            end = time.monotonic() + 14
            while time.monotonic() < end:
                assert (await ha.states())[voltage]["state"] not in ("unavailable", "unknown")
                await asyncio.sleep(0.3)
            assert await batteries(ha) == PACKS
            await broken.plug()
            await asyncio.sleep(8)
        assert ha.complaints() == []
        print(f"one battery each after {took} s")
