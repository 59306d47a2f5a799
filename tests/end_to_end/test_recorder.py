"""How many rows and logbook entries four noisy packs cost a real recorder: in the calm, and while power leaps.

Noise of 0.6 mV a cell and 0.15 A, as it was measured; ten minutes, prints the figures.
"""

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.simulator.far_end import running, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import mosquitto
from tests.end_to_end.acts import comes
from tests.end_to_end.home_assistant import HomeAssistant, home_assistant, needs_home_assistant
from tests.end_to_end.stage import Program

pytestmark = [pytest.mark.home_assistant, needs_home_assistant]
CALM, QUICK = 40, 120  # rows a minute and device
MINUTES = 2
SETTLED = 100.0  # s after which what is told once at the start has been told


@dataclass(slots=True)
class NoisyBms(SimulatedBms):
    """One whose measurements are never quite the same."""

    load: list[float] = field(default_factory=lambda: [-12.0])  # A, the same for all
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def live(self) -> dict[str, Any]:
        self.current = round(self.load[0] + self.dice.gauss(0, 0.15), 3)
        return SimulatedBms.live(self)

    def cell_voltages(self, share: float, current: float) -> list[float]:
        return [round(one + self.dice.gauss(0, 0.0006), 3) for one in SimulatedBms.cell_voltages(self, share, current)]


async def leaping(load: list[float]) -> None:
    """A house whose load leaps every two seconds, by up to 25 A a pack."""
    dice = random.Random(3)
    while True:
        await asyncio.sleep(2)
        load[0] = -12.0 + dice.uniform(-25, 25)


async def rows(ha: HomeAssistant, since: datetime) -> dict[str, Counter[str]]:
    """Rows of the recorder by device identifier and entity."""
    names = {device["id"]: name for name, device in (await ha.devices()).items()}
    found = {name: Counter[str]() for name in names.values()}
    owners = {one["entity_id"]: names[one["device_id"]] for one in (await ha.entities()).values()}
    told = {"start_time": since.isoformat(), "entity_ids": list(owners), "significant_changes_only": False}
    history = await ha.ask("history/history_during_period", **told, include_start_time_state=False, no_attributes=True)
    for entity_id, states in history.items():
        found[owners[entity_id]][entity_id] += len(states)
    return found


async def entries(ha: HomeAssistant, since: datetime) -> list[str]:
    """What the logbook says of ours."""
    ours = {one["entity_id"] for one in (await ha.entities()).values()}
    told = await ha.ask("logbook/get_events", start_time=since.isoformat())
    return [f"{one['entity_id']}: {one.get('state')}" for one in told if one.get("entity_id") in ours]


async def test_four_noisy_packs_stay_within_their_budget(tmp_path: Path) -> None:
    load = [-12.0]
    about: dict[str, Any] = {"soc": 64, "errors": 0, "load": load}
    packs = [NoisyBms(n, serial_number=f"3130425{n:03}", dice=random.Random(n), **about) for n in range(1, 5)]
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(mosquitto(tmp_path))
        ha = await stack.enter_async_context(home_assistant(broker.port))
        if not {"recorder", "history", "logbook"} <= set((await ha.ask("get_config"))["components"]):
            pytest.skip("this Home Assistant was started without recorder:, history: and logbook: (tests/README.md)")
        rack = await stack.enter_async_context(serial_bus(list(packs)))
        options = {
            "buses": [{"name": "rack", "strategy": "auto", "port": rack.port, "addresses": "1-15", "interval": 2.0}],
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "bank": {"enabled": True},
        }
        program = Program(options, tmp_path)
        await program.start()
        stack.push_async_callback(program.stop)

        async def there() -> bool:
            return {f"jkbms_rack_{n}" for n in range(1, 5)} | {"jkbms_bank"} <= (await ha.devices()).keys()

        await comes(there, 60)
        for budget in (CALM, QUICK):
            if budget == QUICK:
                await stack.enter_async_context(running(leaping(load)))
            await asyncio.sleep(SETTLED)
            begun = datetime.now(UTC)
            await asyncio.sleep(60 * MINUTES)
            found = await rows(ha, begun)
            counted = {name: round(told.total() / MINUTES) for name, told in found.items()}
            said = await entries(ha, begun)
            print(f"of {budget}: {counted} rows a minute, {len(said)} logbook entries: {said[:5]}")
            batteries = {
                name: count for name, count in counted.items() if name.startswith(("jkbms_rack", "jkbms_bank"))
            }
            print(found["jkbms_bank"].most_common(8))
            assert min(batteries.values()) > 1  # it is counted, and said every minute
            assert max(batteries.values()) <= budget
            assert budget == QUICK or said == []
