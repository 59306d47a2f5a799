"""Options changed in Debian's Chromium, against an imitation of the Supervisor."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from jkbms_addon.page import first_run
from jkbms_addon.page.supervisor import Home
from tests.page import supervisor as imitation
from tests.page.browser import MARKS
from tests.page.stage import Stage, batteries
from tests.page.supervisor import Imitation
from tests.page.test_browser import Visit, World, visit, world

pytestmark = MARKS
PIN, PASSWORD = "471108", "geheim-4711"
ROOF = {"name": "roof", "strategy": "ble", "mac": "C8:47:80:12:34:56", "pin": PIN}
BY_ID = "/dev/serial/by-id/usb-FTDI_FT232R-if00"


@dataclass
class Site:
    """The page in Home Assistant, and the Supervisor behind it."""

    world: World
    far: Imitation

    @property
    def url(self) -> str:
        return f"{self.world.front.url}#options"


@pytest_asyncio.fixture(loop_scope="module")
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setenv("SUPERVISOR_TOKEN", imitation.TOKEN)
    ports = [{"path": BY_ID, "device": "/dev/ttyUSB1"}, {"path": "/dev/ttyUSB7", "device": None}]
    monkeypatch.setattr(first_run, "look", lambda: {"ports": ports, "can": [{"name": "can0", "up": True}]})
    stage = Stage(tmp_path, batteries(4))
    with imitation.supervisor() as far:
        far.options["buses"].append(dict(ROOF))
        far.options["mqtt"]["password"] = PASSWORD
        stage.sources.options.home = Home(far.url)
        async with world(tmp_path, stage) as found:
            yield Site(found, far)


def frames(page: Page) -> list[str]:
    """Everything that the server says from now on."""
    said: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda data: said.append(str(data))))
    return said


async def opened(seen: Visit, bus: str) -> Page:
    """The form of a bus."""
    card = seen.page.locator(".options li.card").filter(has_text=bus)
    await card.get_by_role("button", name="Change").click()
    return seen.page


async def test_a_bus_is_changed_reviewed_saved_and_used(browser: Browser, site: Site) -> None:
    restarts: list[int] = []
    site.far.restarted = lambda: restarts.append(1)
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = await opened(seen, "rs485")
        await page.get_by_label("Addresses").fill("1-99")
        await page.get_by_label("TCP port").fill("0")
        await page.get_by_role("button", name="Review").click()
        await expect(page.locator(".field.wrong")).to_have_count(2)
        await expect(page.locator(".field.wrong").last).to_contain_text("addresses are 0 to 15")
        await expect(page.get_by_label("Addresses")).to_have_attribute("aria-invalid", "true")
        assert await seen.axe() == []
        await page.get_by_label("TCP port").fill("")
        await page.get_by_label("Addresses").fill("1-4")
        await page.get_by_label("Serial port").select_option(BY_ID)
        await page.get_by_role("button", name="Review").click()
        await expect(page.locator(".diff .added")).to_have_text([f"+    port: {BY_ID}", '+    addresses: "1-4"'])
        await expect(page.locator(".diff .left")).to_have_count(2)
        save = page.get_by_role("button", name="Save", exact=True)
        await expect(save).to_be_disabled()
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        await save.click()
        await expect(page.get_by_role("heading", name="Saved")).to_be_visible()
        assert site.far.options["buses"][0] == {
            "name": "rs485",
            "strategy": "auto",
            "port": BY_ID,
            "addresses": "1-4",
            "interval": 2.0,
        }
        assert site.far.options["buses"][1] == ROOF
        await expect(page.locator(".sheet")).to_contain_text("The inverter is told nothing meanwhile.")
        await page.get_by_role("button", name="Restart now").click()
        await expect(page.locator(".sheet")).to_contain_text("The app restarts")
        assert restarts == [1]
        assert seen.wrong == []
        assert seen.foreign() == []


async def test_a_bus_is_added_with_the_fields_of_its_strategy(browser: Browser, site: Site) -> None:
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = seen.page
        await page.get_by_role("button", name="Add a bus").click()
        await page.get_by_label("Name").fill("can")
        await page.get_by_label("Strategy").select_option("can_broadcast")
        labels = page.locator(".field label")
        await expect(labels).to_have_text(
            ["Name *", "Strategy *", "CAN interface *", "Bit rate", "Set up the interface"]
        )
        await page.get_by_label("CAN interface").select_option("can0")
        await page.get_by_label("Set up the interface").check()
        await page.get_by_label("Bit rate").select_option("500000")
        await page.get_by_label("Strategy").select_option("listen")
        await expect(labels).to_have_text(["Name *", "Strategy *", "Serial port *", "Baud rate"])
        await page.get_by_label("Serial port").select_option(label="Another one: type it")
        await page.get_by_role("textbox", name="Serial port").fill("/dev/ttyUSB9")  # it comes with the next frame
        await page.locator(".options li.card").filter(has_text="roof").get_by_role("button", name="Remove").click()
        await page.get_by_role("button", name="Review").click()
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_role("heading", name="Saved")).to_be_visible()
        assert site.far.options["buses"][1:] == [{"name": "can", "strategy": "listen", "port": "/dev/ttyUSB9"}]
        assert seen.wrong == []


async def test_secrets_are_kept_forgotten_and_never_shown(browser: Browser, site: Site) -> None:
    async with visit(browser, "about:blank", locale="en-GB") as seen:
        page, said = seen.page, frames(seen.page)
        await page.goto(site.url)
        await opened(seen, "roof")
        await expect(page.get_by_label("PIN")).to_have_attribute("placeholder", "kept as it is")
        for field, text, line, held in (
            ("Bluetooth address or name", "JK_PB", "", PIN),
            ("PIN", "815815", '+    pin: "(new)"', "815815"),
            ("", "", "", None),
        ):
            if field:
                await page.get_by_label(field).fill(text)
            else:
                await page.get_by_role("button", name="Forget").click()
            await page.get_by_role("button", name="Review").click()
            await expect(page.locator(".diff")).to_contain_text(line)
            if await (key := page.get_by_role("button", name="Unlock for 10 minutes")).count():
                await key.click()
            await page.get_by_role("button", name="Save", exact=True).click()
            await expect(page.get_by_role("heading", name="Saved")).to_be_visible()
            assert site.far.options["buses"][1].get("pin") == held
            await opened(seen, "roof")
        assert any('"t":"saved"' in one for one in said)
        for secret in (PIN, "815815", PASSWORD):
            assert secret not in "".join(said)
            assert secret not in await page.content()
        assert seen.wrong == []


async def test_where_it_is_refused_there_is_text_to_paste(browser: Browser, site: Site) -> None:
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = await opened(seen, "rs485")
        await page.get_by_label("Addresses").fill("1-4")
        await page.get_by_role("button", name="Review").click()
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        site.far.mood = "error"
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("System is not ready")
        site.far.mood = ""
        # options are read before they are saved: what is refused there has no text, so once more
        site.far.options.pop("log_level")
        await page.get_by_role("button", name="Read again").click()
        await opened(seen, "rs485")
        await page.get_by_label("Addresses").fill("1-4")
        await page.get_by_role("button", name="Review").click()
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("Missing option 'log_level'")
        await expect(page.locator(".paste")).to_contain_text('addresses: "1-4"')
        await expect(page.locator(".paste")).to_contain_text('pin: "(kept)"')
        assert await seen.axe() == []
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_text("Copied")).to_be_visible()
        assert seen.wrong == []


async def test_without_a_supervisor_the_file_s_text_is_shown(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUPERVISOR_TOKEN", raising=False)
    (tmp_path / "options.json").write_text(json.dumps({"buses": [ROOF]}))
    async with (
        world(tmp_path, Stage(tmp_path, batteries(1))) as found,
        visit(browser, f"{found.front.url}#options", locale="en-GB", permissions=["clipboard-read"]) as seen,
    ):
        page = await opened(seen, "roof")
        await page.get_by_label("Shown as").fill("7")
        await page.get_by_role("button", name="Review").click()
        await expect(page.locator(".paste")).to_contain_text('"address": 7')
        await expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_text("Copied")).to_be_visible()
        copied = json.loads(f"{{{await page.evaluate('navigator.clipboard.readText()')}}}")
        assert copied == {"buses": [{**ROOF, "address": 7, "pin": "(kept)"}]}
        assert seen.wrong == []


async def test_a_supervisor_that_is_away_is_told(browser: Browser, site: Site) -> None:
    site.far.mood = "forbidden"
    async with visit(browser, site.url, locale="en-GB") as seen:
        await expect(seen.page.get_by_role("alert")).to_contain_text("status 403")
        site.far.mood = ""
        await seen.page.get_by_role("button", name="Read again").click()
        await expect(seen.page.locator(".options li.card")).to_have_count(2)
        assert seen.wrong == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_everybody_can_use_it(browser: Browser, site: Site, theme: str) -> None:
    async with visit(browser, site.url, theme=theme, locale="en-GB") as seen:
        page = await opened(seen, "roof")
        await page.get_by_label("Shown as").fill("99")
        await page.get_by_role("button", name="Review").click()
        await expect(page.locator(".field.wrong")).to_have_count(1)
        for width in (320, 390, 768, 1280):
            await page.set_viewport_size({"width": width, "height": 844})
            assert await seen.overflow() <= 0, width
            assert await seen.axe() == [], width
        await page.get_by_label("Shown as").fill("9")
        await page.get_by_role("button", name="Review").click()
        await expect(page.locator(".diff")).to_be_visible()
        for width in (320, 1280):
            await page.set_viewport_size({"width": width, "height": 844})
            assert await seen.overflow() <= 0, width
            assert await seen.axe() == [], width
        assert seen.wrong == []


async def test_who_does_not_look_at_them_does_not_fetch_them(browser: Browser, site: Site) -> None:
    async with visit(browser, site.world.front.url) as seen:
        await seen.page.locator(".pack").first.wait_for()
        assert [url for url in seen.asked if "options" in url] == []
        assert site.far.asked == []
        await seen.page.goto(site.url)
        await seen.page.locator(".options li.card").first.wait_for()
        assert len([url for url in seen.asked if "options" in url]) >= 3
        assert site.far.asked == ["GET info"]


@pytest.mark.parametrize(("language", "title"), [("de-DE", "Busse in den Optionen"), ("fr-FR", "Bus dans les options")])
async def test_in_the_reader_s_language(browser: Browser, site: Site, language: str, title: str) -> None:
    async with visit(browser, site.url, locale=language) as seen:
        await expect(seen.page.get_by_role("heading", level=1)).to_have_text(title)
        await seen.page.locator(".options li.card button").first.click()
        await expect(seen.page.locator(".field").first).to_be_visible()
        assert "opt." not in await seen.page.inner_text("main")
        assert seen.wrong == []
