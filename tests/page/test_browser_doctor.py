"""The doctor in Debian's Chromium: the whole program, simulated BMSs behind a pty."""

import io
import json
import logging
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from jkbms_addon.__main__ import main
from jkbms_addon.doctor.log import NEWEST
from jkbms_addon.doctor.recording import read
from jkbms_addon.page import first_run
from jkbms_addon.simulator.ble import BleUnit
from jkbms_addon.simulator.far_end import serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.bluetooth.ether import ether
from tests.page.browser import MARKS
from tests.page.stage import Stage, batteries
from tests.page.test_asks import TOKEN, House, house
from tests.page.test_browser import Visit, visit, world
from tests.page.wires import wires

pytestmark = MARKS


@pytest_asyncio.fixture(loop_scope="module")
async def home(tmp_path: Path) -> AsyncIterator[House]:
    NEWEST.keep()
    try:
        async with house(tmp_path) as found:
            yield found
    finally:
        logging.getLogger().removeHandler(NEWEST)


async def opened(seen: Visit) -> Page:
    """The doctor, let in by its token."""
    return await seen.let_in(TOKEN, ".answers")


def address(home: House) -> str:
    return f"http://127.0.0.1:{home.port}/#doctor"


async def test_bytes_live_and_a_capture(browser: Browser, home: House, tmp_path: Path) -> None:
    async with visit(browser, address(home), locale="en-GB") as seen:
        page = await opened(seen)
        await page.get_by_role("button", name="Bytes live").click()
        await expect(page.locator(".bytes li").first).to_be_visible()
        await expect(page.locator(".bytes")).to_contain_text("ask BMS 2 for live data", timeout=10_000)
        await expect(page.locator(".bytes")).to_contain_text("300 bytes: live data of BMS 2 · ")
        await expect(page.get_by_role("button", name="Bytes live")).to_be_disabled()
        assert await seen.axe() == []
        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator(".job")).to_contain_text("stopped")
        capture = page.get_by_role("button", name="Capture")
        await capture.click()
        await expect(page.locator(".job").first).to_contain_text("s left")
        await page.wait_for_timeout(2500)
        await page.get_by_role("button", name="Stop").click()
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download").click()
        path = tmp_path / "fetched"
        await (await download.value).save_as(path)
        assert (await download.value).suggested_filename.startswith("garage-")
        assert len(read(path.read_text(), "x").received) > 300
        assert seen.wrong == []
        assert seen.foreign() == []


def card(page: Page, bus: str) -> Locator:
    """What the doctor shows of one bus."""
    return page.locator(".doctor .card").filter(has=page.get_by_role("heading", name=bus))


async def test_frames_of_a_can_bus_and_a_capture_that_decodes(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with (
        wires(tmp_path, monkeypatch) as home,
        visit(browser, f"http://127.0.0.1:{home.port}/#doctor", locale="de-DE") as seen,
    ):
        page = await opened(seen)
        can = card(page, "can")
        await can.get_by_role("button", name="Bytes live").click()
        live = page.locator(".bytes")
        await expect(live).to_contain_text("BATT_ST1 von BMS 3 (V2) · total_voltage ", timeout=10_000)
        await expect(live).to_contain_text("CELLVOL1 von BMS 0 (V2) · cell_voltage_1 3,")
        for width in (320, 390, 1280):
            await page.set_viewport_size({"width": width, "height": 844})
            assert await seen.overflow() <= 0, width
            assert await seen.axe() == [], width
        await can.get_by_role("button", name="Beenden").click()
        await can.get_by_role("button", name="Aufzeichnung").click()
        await page.wait_for_timeout(2500)
        await can.get_by_role("button", name="Beenden").click()
        async with page.expect_download() as download:
            await can.get_by_role("link", name="Herunterladen").first.click()
        assert re.fullmatch(r"can-\d{8}-\d{6}\.log", (await download.value).suggested_filename)
        path = tmp_path / "fetched.log"
        await (await download.value).save_as(path)
        assert main(["decode", str(path)]) == 0
        readings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert {one["address"] for one in readings} == {0, 3}
        assert seen.wrong == []


async def test_no_button_where_nothing_can_come_of_it(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        wires(tmp_path, monkeypatch) as home,
        visit(browser, f"http://127.0.0.1:{home.port}/#doctor", locale="en-GB") as seen,
    ):
        page = await opened(seen)
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        for bus, buttons in (
            ("can", ["Capture", "Bytes live"]),
            ("rs485", ["Scan", "Capture", "Bytes live"]),
            ("radio", ["Scan"]),
            ("other", []),
        ):
            await expect(card(page, bus)).to_be_visible()
            await expect(card(page, bus).locator(".acts button")).to_have_text(buttons)
            await expect(card(page, bus).locator(".acts select")).to_have_count(int("Capture" in buttons))
            await expect(card(page, bus).locator(".acts button:disabled")).to_have_count(0)
        await home.can.pull()
        off = card(page, "can").locator(".acts button:disabled")
        await expect(off).to_have_count(2, timeout=15_000)  # as long as its link is gone
        assert seen.wrong == []


async def test_leaving_the_doctor_ends_the_bytes(browser: Browser, home: House) -> None:
    async with visit(browser, address(home)) as seen:
        page = await opened(seen)
        await page.get_by_role("button", name="Bytes live").click()
        await expect(page.locator(".bytes li").first).to_be_visible()
        await page.goto(address(home).replace("doctor", "overview"))
        await expect(page.locator(".pack").first).to_be_visible()
        await page.goto(address(home))
        await expect(page.locator(".job")).to_contain_text("stopped")
        assert seen.wrong == []


async def test_scan_after_an_unlock(browser: Browser, home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    old = BleUnit(SimulatedBms(1, serial_number="4071200002", cells=13), "24S", period=0.1)
    ether(monkeypatch, {"20:21:11:00:00:02": old})
    async with serial_bus([SimulatedBms(4)]) as far:
        ports = [{"path": home.bus.port, "device": None}, {"path": far.port, "device": None}]
        monkeypatch.setattr(first_run, "look", lambda: {"ports": ports, "can": []})
        async with visit(browser, address(home), locale="en-GB") as seen:
            page = await opened(seen)
            await expect(page.locator(".ports")).to_contain_text("used by garage")
            buttons = page.get_by_role("button", name="Scan")
            await expect(buttons).to_have_count(4)  # the bus, the free port, a gateway, the air
            for n in range(4):
                await expect(buttons.nth(n)).to_be_disabled()
            await page.get_by_role("button", name="Unlock for 10 minutes").click()
            await page.locator(".ports").get_by_role("button", name="Scan").click()
            await expect(page.locator(".job")).to_contain_text("listening to", timeout=10_000)
            await expect(page.locator(".job pre")).to_contain_text("strategy: master", timeout=40_000)
            await expect(page.locator(".job tbody tr")).to_have_count(1)
            assert await seen.axe() == []
            await page.get_by_label("Name or address").fill("127.0.0.1")
            await page.get_by_label("TCP port").fill("1")
            await buttons.nth(2).click()
            await expect(page.locator(".job").first).to_contain_text("refused")
            await buttons.last.click()
            heard = page.locator(".job").first
            await expect(heard).to_contain_text("JK-B2A24S20P", timeout=10_000)
            await expect(heard).to_contain_text("-60 dBm")
            await expect(heard.locator("pre")).to_contain_text('mac: "20:21:11:00:00:02"')
            assert await seen.axe() == []
            async with visit(browser, address(home), locale="de-DE") as german:
                page_of = await opened(german)
                voltages = page_of.locator(".job td", has_text=re.compile(r"^\d+.\d\d V$"))
                await expect(voltages).to_have_text([re.compile(r"^\d\d,\d\d V$")] * 2)  # on the wire, in the air
                await expect(page_of.locator(".job").first).to_contain_text("10.07")  # a version stays as it is
            (home.folder / "options.json").write_text('{"buses": []}')
            await heard.get_by_role("link", name="Take this entry over").click()
            await expect(page.locator("main input[type=text]").first).to_have_value("ble1")
            await expect(page.get_by_label("Bluetooth address or name").first).to_have_value("20:21:11:00:00:02")
            assert seen.wrong == []


async def test_a_bundle_shows_first_what_is_in_it(browser: Browser, home: House, tmp_path: Path) -> None:
    (home.folder / "options.json").write_text(json.dumps({"mqtt": {"password": "geheim-4711"}}))
    async with visit(browser, address(home), locale="en-GB") as seen:
        page = await opened(seen)
        await page.get_by_role("button", name="Show what is in it").click()
        await expect(page.locator(".parts li")).to_have_count(7)
        await expect(page.locator(".parts")).to_contain_text("what passes on garage")
        await page.get_by_role("button", name="without captures").click()
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download").click()
        path = tmp_path / "bundle.zip"
        await (await download.value).save_as(path)
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as file:
            assert "geheim-4711" not in file.read("options.json").decode()
        assert seen.wrong == []


async def test_the_log_and_a_battery_that_is_silent(browser: Browser, home: House) -> None:
    async with visit(browser, address(home), locale="en-GB") as seen:
        page = await opened(seen)
        logging.getLogger("jkbms_addon.x").warning("odd things happen")
        await expect(page.locator(".log .warn").first).to_contain_text("odd things happen")
        home.bus.batteries[2].silent = True
        await expect(page.locator(".why")).to_contain_text("BMS 2: no answer to any question", timeout=25_000)
        await expect(page.locator(".answers .badge.bad")).to_have_text("silent")
        await page.get_by_role("button", name="All", exact=True).click()
        told = page.locator(".log .warn").filter(has_text="BMS 2 does not answer any more")
        await expect(told.first).to_be_visible()
        assert seen.wrong == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_everybody_can_use_it(browser: Browser, home: House, theme: str) -> None:
    async with visit(browser, address(home), theme=theme, locale="en-GB") as seen:
        page = await opened(seen)
        logging.getLogger("jkbms_addon.x").warning("odd things happen")
        await page.get_by_role("button", name="Show what is in it").click()
        await page.get_by_role("button", name="Bytes live").click()
        await expect(page.locator(".bytes li").nth(3)).to_be_visible()
        for width in (320, 390, 768, 1280):
            await page.set_viewport_size({"width": width, "height": 844})
            assert await seen.overflow() <= 0, width
            assert await seen.axe() == [], width
        assert seen.wrong == []


async def test_a_file_comes_through_home_assistant(browser: Browser, tmp_path: Path) -> None:
    async with (
        world(tmp_path, Stage(tmp_path, batteries(2))) as found,
        visit(browser, f"{found.front.url}#doctor", locale="en-GB") as seen,
    ):
        page = seen.page
        await page.get_by_role("button", name="Show what is in it").click()
        await page.get_by_role("button", name="without captures").click()
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Download").click()
        path = tmp_path / "bundle.zip"
        await (await download.value).save_as(path)
        with zipfile.ZipFile(path) as file:
            assert "versions.json" in file.namelist()
        assert seen.wrong == []
