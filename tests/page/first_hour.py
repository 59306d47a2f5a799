"""A new installation in Home Assistant, and what its owner does until he sees his batteries.

Everything is as it would be there: Core and Supervisor in front of the page, the options of ``config.yaml`` as nobody
has touched them, a Supervisor that keeps what is saved and starts the program again with it. Four simulated BMSs are
behind a pty.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from jkbms_addon.app import App
from jkbms_addon.options.file import read
from jkbms_addon.page import first_run, service
from jkbms_addon.page.place import ask
from jkbms_addon.page.supervisor import Home
from jkbms_addon.simulator.far_end import SerialBus, running, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import free_port, until
from tests.page import supervisor as imitation
from tests.page.ingress import Front, front
from tests.page.supervisor import Imitation

PROXY = "127.0.0.2"
Shot = Callable[[str], Awaitable[None]]


@dataclass
class Installation:
    """Home Assistant, its Supervisor, the bus; ``starts`` counts how often the program was started."""

    front: Front
    far: Imitation
    bus: SerialBus
    starts: int = 0


def four() -> list[SimulatedBms]:
    """The batteries."""
    return [
        SimulatedBms(n, soc=61.0 + n, current=12.0 + n / 2, serial_number=f"401194914{n:02}", offsets={5 + n: -0.006})
        for n in range(1, 5)
    ]


@asynccontextmanager
async def installed(folder: Path) -> AsyncIterator[Installation]:
    """One that was just installed."""
    again, loop = asyncio.Event(), asyncio.get_running_loop()
    with imitation.supervisor() as far, pytest.MonkeyPatch.context() as patch:
        port = free_port()
        far.told = {"ip_address": "127.0.0.1", "ingress_port": port}
        far.restarted = lambda: loop.call_soon_threadsafe(again.set)
        patch.setenv("SUPERVISOR_TOKEN", imitation.TOKEN)
        patch.setattr(service, "ask", lambda: replace(ask(far.url), peer=PROXY))
        async with serial_bus(four()) as bus, front(port, PROXY) as seen:
            ports = [{"path": bus.port, "device": None}]
            patch.setattr(first_run, "look", lambda: {"ports": ports, "can": []})
            found = Installation(seen, far, bus)
            async with running(_kept_running(found, folder, again)):
                await until(lambda: _listens(port))
                yield found


def _listens(port: int) -> bool:
    """Whether the page is there; it serves nobody who comes from here."""
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


async def _kept_running(home: Installation, folder: Path, again: asyncio.Event) -> None:
    """Start the program as the Supervisor does: with the options that it holds, written to a file."""
    file = folder / "options.json"
    while True:
        file.write_text(json.dumps(home.far.options), encoding="utf-8")
        app = App(read(file), folder, file)
        app.page.sources.options.home = Home(home.far.url)
        home.starts += 1
        again.clear()
        async with running(app.run()):
            await again.wait()


async def played(page: Page, url: str, shot: Shot) -> None:
    """What the owner does; ``shot`` takes a picture of each step."""
    await page.goto(url)
    await page.wait_for_selector(".first .ports li")
    await expect(page.locator(".tried")).to_contain_text("/dev/ttyUSB0")
    await shot("start")
    await page.get_by_role("link", name="Scan a port").click()
    await page.get_by_role("button", name="Unlock for 10 minutes").click()
    await page.locator(".ports").get_by_role("button", name="Scan").click()
    await expect(page.locator(".job tbody tr")).to_have_count(4, timeout=60_000)
    await page.locator(".job").scroll_into_view_if_needed()
    await shot("scan")
    await page.get_by_role("link", name="Take this entry over").click()
    await expect(page.get_by_label("Addresses")).to_have_value("1-4")
    await shot("entry")
    await page.get_by_role("button", name="Review").click()
    await page.locator(".diff .added").first.wait_for()
    await page.locator(".sheet").scroll_into_view_if_needed()
    await shot("review")
    await page.get_by_role("button", name="Save", exact=True).click()
    await page.get_by_role("button", name="Restart now").click()
    await page.locator(".pack >> nth=3").wait_for(timeout=30_000)
    await expect(page.locator(".flow")).to_contain_text("Charging with", timeout=30_000)
    await page.evaluate("scrollTo(0, 0)")
    await shot("packs")
