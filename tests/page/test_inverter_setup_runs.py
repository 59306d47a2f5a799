"""What was set up on the page, run by the program: an inverter on a pty hears what the dry run had shown."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.app import App
from jkbms_addon.options.file import read
from jkbms_addon.page.place import PageOptions
from jkbms_addon.simulator.can import slcan_adapter
from jkbms_addon.simulator.far_end import running, serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import free_port, until
from tests.page.test_asks import TOKEN, Client, client

STEADY = ("0x351", "0x35C", "0x35E", "0x359")  # frames that do not move with what the batteries measure


@asynccontextmanager
async def program(file: Path) -> AsyncIterator[tuple[App, int]]:
    """The program with what stands in its options file, and its page on a port."""
    port = free_port()
    options = replace(read(file), page=PageOptions(port, TOKEN, host="127.0.0.1"))
    app = App(options, file.parent, file)
    async with running(app.run()):
        await until(lambda: app.inverter.control.state.packs_online == 2, 20)
        yield app, port


async def set_up(page: Client, channel: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The sections that are to be pasted, and the frames that were shown."""
    told = await page.ask("inverter_setup")
    limits = {key: value for key, (value, _) in told["proposal"].items()}
    assert None not in limits.values()
    section = {"protocol": "pylontech", "channel": channel, **limits, "max_charge_current": 15, "confirmed": True}
    heard = await page.ask("inverter_rehearse", sum=told["sum"], inverter=section)
    assert heard["errors"] == []
    review = await page.ask("options_review", sum=told["sum"], draft={"inverter": section})
    assert review["errors"] == []
    return json.loads(f"{{{review['json']}}}"), {one["id"]: one["bytes"] for one in heard["frames"]}


async def test_the_inverter_hears_what_the_dry_run_had_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_TOKEN", raising=False)
    file = tmp_path / "options.json"
    packs = [SimulatedBms(n, current=10.0, soc=50.0, errors=0, serial_number=f"{n:010}") for n in (1, 2)]
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(serial_bus(packs))
        far = await stack.enter_async_context(slcan_adapter(500000))
        buses = [{"name": "a", "strategy": "master", "port": bus.port, "addresses": "1-2", "interval": 1.0}]
        raw: dict[str, Any] = {"buses": buses, "mqtt": {"host": "127.0.0.1", "port": 1}}
        file.write_text(json.dumps(raw))
        async with program(file) as (_, port), client(port) as page:
            sections, shown = await set_up(page, far.port)
        assert far.transmitted == []  # nothing was sent
        file.write_text(json.dumps({**raw, **sections}))
        async with program(file) as (app, _):

            def heard() -> dict[str, str]:
                return {f"0x{one.can_id:03X}": one.data.hex(" ").upper() for _, one in far.transmitted}

            assert app.inverter.problems == []
            await until(lambda: all(heard().get(key) == shown[key] for key in STEADY), 25)
        assert heard().keys() == shown.keys()
