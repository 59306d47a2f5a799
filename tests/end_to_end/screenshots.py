"""Pictures for the README: our devices in a real Home Assistant, by a headless Chromium.

``python -m tests.end_to_end.screenshots FOLDER``, with the environment that the tests of this folder need, and
Chromium and mosquitto installed. The pictures have all colours; ``pngquant`` makes them small.
"""

import argparse
import asyncio
import base64
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import pi, sin
from pathlib import Path
from typing import Any

import aiohttp

from jkbms_addon.simulator.can import slcan_adapter
from jkbms_addon.simulator.far_end import running, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import mosquitto
from tests.end_to_end.frontend import stored
from tests.end_to_end.home_assistant import HomeAssistant, home_assistant
from tests.end_to_end.stage import Program, beating

WIDTH = 1280  # of the window
# name of the picture, device, and the part of the page: x, y, width, height; the third column is for a logbook
PICTURES = (
    ("battery", "jkbms_rack_1", (0, 0, 860, 1366)),
    ("settings", "jkbms_rack_1", (428, 1502, 432, 1478)),
    ("battery_bank", "jkbms_bank", (0, 0, 860, 1324)),
)
# a part of a page that Home Assistant makes of what ours say: its path, with {bank} for the id of the bank's device
MADE = (
    ("energy-dashboard", "energy/electricity", (0, 0, 1280, 900)),
    ("activity", "logbook?device_id={bank}", (0, 0, 860, 500)),
)
LOADING = 12.0  # s that the pages take at most, on a slow machine
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


@dataclass(slots=True)
class Tab:
    """One page of the browser, driven by its DevTools protocol."""

    socket: aiohttp.ClientWebSocketResponse
    number: int = 0

    async def do(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": params})
        while True:
            answer = await self.socket.receive_json()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """A Chromium with an empty profile."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program, *FLAGS, f"--user-data-dir={profile}", "about:blank", stderr=asyncio.subprocess.DEVNULL
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
                    address = (await answer.json(content_type=None))["webSocketDebuggerUrl"]
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    yield Tab(socket)
        finally:
            process.terminate()
            await process.wait()


async def _port(file: Path) -> str:
    async with asyncio.timeout(30):
        while not file.exists() or not file.read_text():  # noqa: ASYNC110 - another program writes it
            await asyncio.sleep(0.1)
    return file.read_text().split()[0]


async def logged_in(tab: Tab, ha: HomeAssistant) -> None:
    """The frontend finds its token where it keeps it."""
    # without the menu of Home Assistant there is more room for what is ours
    script = stored(ha, dockedSidebar="always_hidden")
    await tab.do("Page.enable")
    await tab.do("Page.addScriptToEvaluateOnNewDocument", source=script)


async def photographed(tab: Tab, url: str, part: tuple[int, int, int, int], file: Path) -> None:
    """A part of a page, in a window that is high enough for it."""
    x, y, width, height = part
    size = {"width": WIDTH, "height": y + height, "deviceScaleFactor": 1, "mobile": False}
    await tab.do("Emulation.setDeviceMetricsOverride", **size)
    await tab.do("Page.navigate", url=url)
    await asyncio.sleep(LOADING)
    clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
    picture = await tab.do("Page.captureScreenshot", format="png", clip=clip)
    file.write_bytes(base64.b64decode(picture["data"]))
    print(f"{file}: {file.stat().st_size // 1024} kB")


async def a_day_of_energy(ha: HomeAssistant) -> None:
    """The battery of the energy dashboard, filled in as by its dialog, and a day of sun as long-term statistics."""
    ids = {unique: one["entity_id"] for unique, one in (await ha.entities()).items()}
    energy_in, energy_out = ids["jkbms_bank_energy_charged"], ids["jkbms_bank_energy_discharged"]
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for entity_id, begins, ends, most in ((energy_in, 8, 17, 2.4), (energy_out, 17, 31, 1.1)):
        total, day = 0.0, []
        for hour in range(now.hour):
            inside = begins <= hour < ends or begins <= hour + 24 < ends
            total += most * (0.35 + 0.65 * sin(pi * ((hour - begins) % 24 + 0.5) / (ends - begins))) if inside else 0.0
            start = (now.replace(hour=hour)).isoformat()
            day.append({"start": start, "state": round(total, 3), "sum": round(total, 3)})
        about = {"has_sum": True, "mean_type": 0, "name": None, "source": "recorder", "statistic_id": entity_id}
        metadata = {**about, "unit_of_measurement": "kWh", "unit_class": "energy"}
        await ha.ask("recorder/import_statistics", metadata=metadata, stats=day)
    battery = {"type": "battery", "stat_energy_from": energy_out, "stat_energy_to": energy_in}
    await ha.ask("energy/save_prefs", energy_sources=[battery])
    await asyncio.sleep(5)


async def take(folder: Path) -> None:
    """Two batteries on one bus and an inverter, as an installation has them."""
    state = Path(tempfile.mkdtemp())
    batteries = [
        SimulatedBms(1, serial_number="41270011", soc=64, current=18.4),
        SimulatedBms(2, serial_number="41270012", soc=63, current=17.1, temperature=22.5),
    ]
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        broker = await enter(mosquitto(state))
        ha = await enter(home_assistant(broker.port))
        rack = await enter(serial_bus(batteries))
        inverter = await enter(slcan_adapter(500000))
        await enter(running(beating(inverter)))
        options = {
            "buses": [{"name": "rack", "strategy": "master", "port": rack.port, "addresses": "1-2"}],
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "writes": {"level": "settings"},
            "inverter": {
                "protocol": "pylontech",
                "channel": inverter.port,
                "confirmed": True,
                "max_charge_current": 120,
                "max_discharge_current": 140,
            },
        }
        program = Program(options, state)
        await program.start()
        try:
            await asyncio.sleep(15)  # until everything has been told
            tab = await enter(browser())
            await logged_in(tab, ha)
            devices = await ha.devices()
            for name, device, part in PICTURES:
                url = f"{ha.url}/config/devices/device/{devices[device]['id']}"
                await photographed(tab, url, part, folder / f"{name}.png")
            await a_day_of_energy(ha)
            for name, path, part in MADE:
                url = f"{ha.url}/{path.format(bank=devices['jkbms_bank']['id'])}"
                await photographed(tab, url, part, folder / f"{name}.png")
        finally:
            await program.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(folder))


if __name__ == "__main__":
    main()
