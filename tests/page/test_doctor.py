"""The doctor at hand: raw messages of the page's websocket, the whole program, simulated BMSs behind a pty."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.acquisition.diagnosis import REASONS
from jkbms_addon.doctor.log import Newest
from jkbms_addon.page import doctor, first_run
from tests.conftest import until
from tests.page.test_asks import Client, client, house


async def tick(page: Client) -> dict[str, Any]:
    return await page.said("tick")


async def test_health_of_every_address_with_what_to_try(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        (bus,) = (await tick(page))["buses"]
        assert bus["bms"].keys() == {"1", "2"}
        assert bus["reason"] is None
        assert "reason" not in bus["bms"]["1"]
        home.bus.batteries[2].silent = True
        await until(lambda: not list(home.app.store)[1].online(home.app.store.clock()), 20)
        while (bus := (await tick(page))["buses"][0])["bms"]["2"]["health"] != "silent":
            pass
        reason = REASONS["nothing_polled"]
        assert bus["bms"]["2"]["reason"] == [reason.symptom, reason.cause, reason.remedy]
        assert bus["bms"]["1"]["health"] == "ok"


async def test_the_log_comes_to_who_wants_it(tmp_path: Path) -> None:
    newest = Newest()
    newest.keep()
    try:
        async with house(tmp_path) as home, client(home.port) as page, client(home.port) as other:
            home.app.page.sources.log = newest
            logging.getLogger("jkbms_addon.x").warning("first")
            assert (await page.ask("log", on=True))["t"] == "told"
            lines = (await page.said("log"))["lines"]
            assert lines[-1][1:] == ["WARNING", "first"]
            logging.getLogger("jkbms_addon.x").warning("second")
            assert [line[2] for line in (await page.said("log"))["lines"]] == ["second"]
            await page.ask("log", on=False)
            logging.getLogger("jkbms_addon.x").warning("third")
            for one in (page, other):
                assert {(await one.said("tick", "log"))["t"] for _ in range(4)} == {"tick"}
    finally:
        logging.getLogger().removeHandler(newest)


async def test_what_is_connected_and_who_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        link = tmp_path / "usb-FTDI"
        link.symlink_to(home.bus.port)
        ports = [{"path": str(link), "device": home.bus.port}, {"path": "/dev/ttyUSB9", "device": None}]
        found = {"ports": ports, "can": [{"name": "can0", "up": True}]}
        monkeypatch.setattr(first_run, "look", lambda: found)
        told = await page.ask("ports")
        assert [(one["path"], one["used"]) for one in told["ports"]] == [(str(link), "garage"), ("/dev/ttyUSB9", None)]
        assert told["can"] == [{"name": "can0", "up": True, "used": None}]


async def test_a_computer_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hangs() -> dict[str, Any]:
        released.wait()
        return {"ports": [], "can": []}

    async with house(tmp_path) as home, client(home.port) as page:
        monkeypatch.setattr(doctor, "PATIENCE", 0.1)
        monkeypatch.setattr(first_run, "look", hangs)
        try:
            assert (await page.ask("ports"))["reason"] == doctor.SLOW
            assert (await tick(page))["t"] == "tick"
        finally:
            released.set()
