"""What two dashboard cards of other people look for, and pictures of them in a real frontend.

Facts from their sources: jk-bms-card 1.2.21 (Pho3niX90), jkbms-card 1.0.0 (dr3amr). Their files are not ours:
``python -m tests.end_to_end.cards FILES FOLDER`` takes ``jk-bms-card.js`` and ``jkbms-card.js`` from a folder, shows
both with writing off and on, and writes pictures. The environment is that of the tests of this folder.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from aiohttp import web

from jkbms_addon.simulator.far_end import serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import free_port, mosquitto
from tests.end_to_end.home_assistant import HomeAssistant, home_assistant
from tests.end_to_end.screenshots import browser, logged_in, photographed
from tests.end_to_end.stage import Program

PREFIX = "jk_bms_1"
CELLS = tuple(f"cell_{quantity}_{n}" for quantity in ("voltage", "resistance") for n in range(1, 17))
SENSORS = (
    *("total_voltage", "current", "power", "state_of_charge", "average_cell_voltage", "delta_cell_voltage"),
    *("min_voltage_cell", "max_voltage_cell", "charging_cycles", "total_runtime_formatted", "temperature_sensor_1"),
    *("temperature_sensor_2", "mosfet_temperature", "capacity_remaining", "total_charging_cycle_capacity"),
    *("full_charge_capacity", "balancing_current", *CELLS),
)
FLOWS = tuple(f"binary_sensor.{PREFIX}_{key}" for key in ("charging", "discharging", "balancing"))
# without balancer_status_bitmask: no frame of a unit that we read tells which cells are being balanced
CARDS = {
    "jk-bms-card": (
        *(f"sensor.{PREFIX}_{key}" for key in SENSORS),
        *(f"sensor.{PREFIX}_{key}" for key in ("charging_power", "discharging_power", "errors")),
        *(f"sensor.{PREFIX}_{key}" for key in ("min_cell_voltage", "max_cell_voltage", "balancing_start_voltage")),
        *(f"sensor.{PREFIX}_{key}" for key in ("software_version", "hardware_version", "balance_trigger_voltage")),
        *FLOWS,
    ),
    "jkbms-card": (*(f"sensor.{PREFIX}_{key}" for key in SENSORS), *FLOWS),
}
SWITCHES = {
    "jk-bms-card": tuple(f"switch.{PREFIX}_{key}" for key in ("charging", "discharging", "balancer", "heater")),
    "jkbms-card": tuple(f"switch.{PREFIX}_{key}" for key in ("charging", "discharging", "balancer")),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "jk-bms-card": {"title": "Battery 1", "prefix": PREFIX, "cellCount": 16},
    "jkbms-card": {"prefix": PREFIX, "cell_count": 16, "sec3_decimals": 3},
}
PART = (390, 56, 500, 640)  # of the window, below the head of the page


@dataclass(slots=True)
class Shown:
    """A Home Assistant with one battery."""

    ha: HomeAssistant
    program: Program


@asynccontextmanager
async def one_battery(level: str) -> AsyncIterator[Shown]:
    """Of sixteen cells, 12 A flow in, everything enabled."""
    folder = Path(mkdtemp())
    bms = SimulatedBms(1, serial_number="41270011", soc=64, current=12.4)
    async with mosquitto(folder) as broker, home_assistant(broker.port) as ha, serial_bus([bms]) as rack:
        options = {
            "buses": [{"name": "rack", "strategy": "master", "port": rack.port, "addresses": "1"}],
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "writes": {"level": level},
        }
        program = Program(options, folder)
        await program.start()
        try:
            async with asyncio.timeout(60):
                while "jkbms_rack_1_hardware_version" not in await ha.entities():  # noqa: ASYNC110 - told last
                    await asyncio.sleep(0.5)
            await ha.enable_everything()
            yield Shown(ha, program)
        finally:
            await program.stop()


@asynccontextmanager
async def served(files: Path) -> AsyncIterator[str]:
    """The cards' files, for a frontend that comes from elsewhere."""

    async def shared(_: web.Request, answer: web.StreamResponse) -> None:
        answer.headers["Access-Control-Allow-Origin"] = "*"

    app = web.Application()
    app.router.add_static("/", files)
    app.on_response_prepare.append(shared)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def dashboard(ha: HomeAssistant, address: str, cards: list[str]) -> None:
    """One view a card."""
    for card in cards:
        await ha.ask("lovelace/resources/create", res_type="module", url=f"{address}/{card}.js")
    await ha.ask("lovelace/dashboards/create", url_path="bms-cards", title="Cards", mode="storage")
    views = [{"path": card, "title": card, "cards": [{"type": f"custom:{card}", **SETTINGS[card]}]} for card in cards]
    await ha.ask("lovelace/config/save", url_path="bms-cards", config={"views": views})


async def take(files: Path, folder: Path) -> None:
    cards = [card for card in CARDS if (files / f"{card}.js").exists()]
    for level in ("none", "switches"):
        async with AsyncExitStack() as stack:
            shown = await stack.enter_async_context(one_battery(level))
            address = await stack.enter_async_context(served(files))
            await dashboard(shown.ha, address, cards)
            tab = await stack.enter_async_context(browser())
            await logged_in(tab, shown.ha)
            for card in cards:
                file = folder / f"{card}-writes-{'off' if level == 'none' else 'on'}.png"
                await photographed(tab, f"{shown.ha.url}/bms-cards/{card}", PART, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", type=Path)
    parser.add_argument("folder", type=Path)
    told = parser.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(told.files, told.folder))


if __name__ == "__main__":
    main()
