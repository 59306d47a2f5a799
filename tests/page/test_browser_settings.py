"""Settings changed in Debian's Chromium: the whole program, simulated BMSs behind a pty, edit, review, write, undo."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from jkbms_addon.wire.pb.modbus import LIVE, page_request
from tests.conftest import until
from tests.page.browser import MARKS
from tests.page.stage import Stage, batteries, served
from tests.page.test_asks import TOKEN, House, house
from tests.page.test_browser import Visit, visit

pytestmark = MARKS


@pytest_asyncio.fixture(loop_scope="module")
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as found:
        yield found


async def opened(seen: Visit) -> Page:
    """The page of settings, let in by its token."""
    return await seen.let_in(TOKEN, "table.settings")


async def unlocked(seen: Visit) -> Page:
    """The same, where settings may be changed."""
    page = await opened(seen)
    await page.get_by_role("button", name="Unlock for 10 minutes").click()
    return page


def address(home: House) -> str:
    return f"http://127.0.0.1:{home.port}/#settings"


def value(page: Page, pack: int, name: str) -> Any:
    return page.get_by_role("button", name=f"Pack {pack}, {name}:")


async def typed(page: Page, pack: int, name: str, wanted: str) -> None:
    await value(page, pack, name).click()
    await page.fill(".edit input", wanted)
    await page.press(".edit input", "Enter")


async def test_edit_review_write_and_undo(browser: Browser, home: House) -> None:
    async with visit(browser, address(home)) as seen:
        page = await opened(seen)
        assert await page.locator("button.value").count() == 0  # locked: the same table without editors
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        await typed(page, 1, "Charge OCP", "120")
        await value(page, 1, "Balancing switch").click()
        await expect(page.locator(".changes li")).to_have_count(2)
        await page.get_by_role("button", name="Review").click()
        await expect(page.locator(".stages .now")).to_have_text("review")
        await expect(page.locator(".changes li").nth(0).locator("small")).to_have_text(
            re.compile(r"^[\d.,]+\sA to [\d.,]+\sA$")
        )
        await expect(page.locator(".changes li").nth(1).locator("small")).to_have_count(0)  # a switch has no range
        assert home.bus.batteries[1].writes == []
        await page.get_by_role("button", name="Write").click()
        await expect(page.locator(".changes .badge.charge")).to_have_count(2, timeout=10_000)
        assert "read back 120.0" in " ".join((await page.inner_text(".sheet")).split())
        assert home.asked(1, "max_charge_current") == 120.0
        assert home.asked(1, "balancing_switch") is False
        await page.get_by_role("button", name="Undo all 2").click()
        await page.get_by_role("button", name="Write").click()
        await expect(page.locator(".changes .badge.charge")).to_have_count(2, timeout=10_000)
        assert (home.asked(1, "max_charge_current"), home.asked(1, "balancing_switch")) == (100.0, True)
        await page.get_by_role("button", name="Done").click()
        await expect(page.locator(".sheet")).to_have_count(0)
        await page.get_by_role("button", name="Lock again").click()
        await expect(page.locator("button.value")).to_have_count(0)
        assert seen.wrong == []
        assert seen.foreign() == []


async def test_protections_of_several_packs_want_their_names(browser: Browser, home: House) -> None:
    async with visit(browser, address(home)) as seen:
        page = await unlocked(seen)
        await typed(page, 1, "Charge OCP", "90")
        await page.get_by_role("button", name="Also for the other pack").click()
        await page.get_by_role("button", name="Review").click()
        button = page.get_by_role("button", name="Write")
        await expect(button).to_be_disabled()
        for number in (1, 2):
            await page.get_by_label(f"Type garage/{number}").fill(f"garage/{number}")
        await button.click()
        await expect(page.locator(".changes .badge.charge")).to_have_count(2, timeout=10_000)
        assert [home.asked(pack, "max_charge_current") for pack in (1, 2)] == [90.0, 90.0]
        assert seen.wrong == []


async def test_a_change_is_wished_for_some_of_the_others(browser: Browser, tmp_path: Path) -> None:
    async with house(tmp_path, count=3) as home, visit(browser, address(home)) as seen:
        page = await unlocked(seen)
        await typed(page, 1, "Charge OCP", "90")
        await page.get_by_role("button", name="Also for Pack 3").click()
        await expect(page.locator(".changes li > b")).to_have_text(["Pack 1 · Charge OCP", "Pack 3 · Charge OCP"])
        await page.get_by_role("button", name="Also for the other pack").first.click()
        await expect(page.locator(".changes li")).to_have_count(3)
        assert await seen.axe() == []
        assert seen.wrong == []


async def test_what_is_refused_says_why(browser: Browser, home: House) -> None:
    async with visit(browser, address(home)) as seen:
        page = await unlocked(seen)
        await typed(page, 1, "Float voltage cell", "3.5")
        await page.get_by_role("button", name="Review").click()
        # with the names that the table shows, not the keys
        await expect(page.locator(".changes li.bad")).to_contain_text(
            "Float voltage cell 3.5 V must be below or equal to Charge voltage cell, which is 3.45 V"
        )
        await expect(page.get_by_role("button", name="Write")).to_be_disabled()
        await page.get_by_role("button", name="Back").click()
        await page.get_by_role("button", name="Drop all").click()
        home.bus.batteries[1].reaction = "refuse"
        await typed(page, 1, "Charge OCP", "90")
        await page.get_by_role("button", name="Review").click()
        await page.get_by_role("button", name="Write").click()
        await expect(page.locator(".changes .badge.bad")).to_have_text("refused", timeout=10_000)
        assert home.asked(1, "max_charge_current") == 100.0
        assert seen.wrong == []


async def test_what_is_refused_says_why_in_the_readers_language(browser: Browser, home: House) -> None:
    async with visit(browser, address(home), locale="de-DE") as seen:
        page = await opened(seen)
        await page.get_by_role("button", name="Für 10 Minuten entsperren").click()
        await value(page, 1, "OCP Laden").click()
        await page.fill(".edit input", "90")
        await page.press(".edit input", "Enter")
        home.bus.batteries[1].reaction = "refuse"
        await page.get_by_role("button", name="Prüfen").click()
        await page.get_by_role("button", name="Schreiben").click()
        row = page.locator(".changes li")
        await expect(row.locator(".badge")).to_have_text("abgelehnt", timeout=10_000)
        await expect(row).to_contain_text("der Wert liegt jenseits der Grenze dieses Modells (Ausnahme 3)")
        assert seen.wrong == []


async def test_on_a_phone_each_battery_can_be_chosen(browser: Browser, home: House) -> None:
    async with visit(browser, address(home), 390) as seen:
        page = await unlocked(seen)
        await expect(value(page, 1, "Charge OCP")).to_be_visible()
        await expect(value(page, 2, "Charge OCP")).to_be_hidden()
        await page.locator(".tools").get_by_label("Pack").select_option(label="Pack 2")
        await expect(value(page, 2, "Charge OCP")).to_be_visible()
        await expect(value(page, 1, "Charge OCP")).to_be_hidden()
        assert await seen.overflow() <= 0
        assert seen.wrong == []


async def reviewed(page: Page, *wishes: tuple[int, str, str]) -> None:
    """Typed and looked at, so that a press writes."""
    for pack, name, wanted in wishes:
        await typed(page, pack, name, wanted)
    await page.get_by_role("button", name="Review").click()


async def written(page: Page, *results: str) -> None:
    """Write, and what became of each is shown."""
    await page.get_by_role("button", name="Write").click()
    for row, result in enumerate(results):
        await expect(page.locator(".changes li").nth(row).locator(".badge")).to_have_text(result)


@pytest.mark.parametrize("width", [320, 390, 900])
async def test_in_a_narrow_window_the_changes_are_one_touch_away(browser: Browser, home: House, width: int) -> None:
    """They stand above a table of several screens."""
    async with visit(browser, address(home), width) as seen:
        page = await unlocked(seen)
        last = page.get_by_role("button", name="Pack 1, ").last
        way = page.get_by_role("button", name="1 change", exact=False)
        await expect(way).to_have_count(0)
        await typed(page, 1, "Charge OCP", "120")
        await last.scroll_into_view_if_needed()
        heading = page.get_by_role("heading", name="1 change")
        await expect(heading).not_to_be_in_viewport()
        await expect(way).to_be_in_viewport(ratio=1)
        await way.click()  # nothing lies over it
        await expect(heading).to_be_in_viewport()
        await expect(heading).to_be_focused()
        await page.get_by_role("button", name="Drop all").click()
        await expect(way).to_have_count(0)
        assert seen.wrong == []


async def test_what_a_bms_does_not_take_is_shown_as_that(browser: Browser, home: House) -> None:
    async with visit(browser, address(home)) as seen:
        page = await unlocked(seen)
        home.bus.batteries[1].reaction = "ignore"  # it acknowledges, and holds what it held
        await reviewed(page, (1, "Charge OCP", "90"), (1, "Discharge OCP", "160"))
        await written(page, "not taken", "refused")
        await expect(page.locator(".sheet")).to_contain_text("not tried: the one before was not done")
        assert home.asked(1, "max_charge_current") == 100.0
        assert seen.wrong == []


async def test_another_master_on_the_bus_ends_writing(browser: Browser, home: House) -> None:
    async with visit(browser, address(home)) as seen:
        page = await unlocked(seen)
        await reviewed(page, (1, "Charge OCP", "90"))
        await home.bus.say(page_request(9, LIVE))  # somebody else asks here
        await until(lambda: "another master" in home.app.buses["garage"].problem)
        await written(page, "refused")
        await expect(page.locator(".sheet")).to_contain_text("another master is on this bus")
        assert home.bus.batteries[1].writes == []
        assert seen.wrong == []


async def test_a_link_that_is_lost_meanwhile(browser: Browser, home: House) -> None:
    async with visit(browser, address(home)) as seen:
        page = await unlocked(seen)
        await reviewed(page, (1, "Charge OCP", "90"))
        home.bus.frozen = True
        for bms in home.bus.batteries.values():
            bms.silent = True
        await page.get_by_role("button", name="Write").click()
        await expect(page.locator(".changes .badge.bad")).to_have_text(re.compile("failed|refused"))
        assert home.bus.batteries[1].writes == []
        assert seen.wrong == []


async def test_locked_by_the_owner_while_it_writes(browser: Browser, home: House) -> None:
    async with visit(browser, address(home)) as seen:
        page = await unlocked(seen)
        home.bus.batteries[1].reaction = "late"
        await reviewed(page, (1, "Charge OCP", "90"), (1, "Discharge OCP", "160"))
        await page.get_by_role("button", name="Write").click()
        await until(lambda: home.records() != [])
        await page.get_by_role("button", name="Lock again").click()
        await expect(page.locator(".changes li").nth(1).locator(".badge")).to_have_text("refused")
        assert home.asked(1, "max_discharge_current") == 150.0
        assert seen.wrong == []


async def test_two_browsers_that_change_the_same(browser: Browser, home: House) -> None:
    async with visit(browser, address(home)) as one, visit(browser, address(home)) as other:
        first, second = await unlocked(one), await unlocked(other)
        await reviewed(first, (1, "Charge OCP", "90"))
        await reviewed(second, (1, "Charge OCP", "80"))
        await written(first, "✓ applied")
        assert home.asked(1, "max_charge_current") == 90.0
        await written(second, "refused")  # it was shown 100 A
        await expect(second.locator(".sheet")).to_contain_text("look again")
        assert home.asked(1, "max_charge_current") == 90.0
        assert one.wrong == other.wrong == []


async def test_saved_copied_and_restored(browser: Browser, home: House, tmp_path: Path) -> None:
    async with visit(browser, address(home)) as seen:
        page = await opened(seen)
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Save as a file").click()
        path = tmp_path / "saved.json"
        await (await download.value).save_as(path)
        assert json.loads(path.read_text())["settings"]["max_charge_current"]["value"] == 100.0
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        await typed(page, 1, "Balance trigger", "0.01")
        await page.get_by_role("button", name="Review").click()
        await page.get_by_role("button", name="Write").click()
        await expect(page.locator(".changes .badge.charge")).to_have_count(1, timeout=10_000)
        await page.get_by_role("button", name="Done").click()
        await expect(page.get_by_role("button", name="Differences (1)")).to_be_visible()
        await page.get_by_label("Pack 2", exact=True).check()
        await page.get_by_role("button", name="Copy").click()
        await expect(page.locator(".stages .now")).to_have_text("review")
        await page.get_by_role("button", name="Write").click()
        await expect(page.locator(".changes .badge.charge")).to_have_count(1, timeout=10_000)
        assert home.asked(2, "balance_trigger_voltage") == 0.01
        await page.get_by_role("button", name="Done").click()
        await page.set_input_files("input[type=file]", path)
        await expect(page.locator(".changes li")).to_have_count(1)
        assert seen.wrong == []


async def test_a_setting_is_explained_where_it_is_opened(browser: Browser, home: House) -> None:
    async with visit(browser, address(home), locale="en-GB") as seen:
        page = await opened(seen)
        told, name = page.locator(".help"), page.get_by_role("button", name="OVP cell", exact=True)
        assert await told.count() == 0  # quiet until it is asked for
        await name.focus()
        await page.keyboard.press("Enter")
        await expect(told).to_contain_text("the BMS stops charging")
        await expect(told).to_contain_text("Preset of PB models for LFP: 3.650\u00a0V")
        await expect(name).to_have_attribute("aria-expanded", "true")
        await expect(page.locator(f"#{await name.get_attribute('aria-controls')}")).to_be_visible()
        await page.get_by_role("button", name="Charge voltage cell", exact=True).click()
        await expect(told).to_have_count(1)  # one at a time
        await expect(told).to_contain_text("this app takes for LFP: 3.450\u00a0V")
        await page.get_by_role("button", name="Cell count", exact=True).click()
        await expect(told.locator("p")).to_have_count(1)  # nothing usual is known
        await page.get_by_role("button", name="Cell count", exact=True).click()
        await expect(told).to_have_count(0)
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        await value(page, 1, "UVP cell").click()
        await expect(told).to_contain_text("Preset of PB models for LFP: 2.580\u00a0V")
        await expect(page.locator(".edit input")).to_be_focused()
        assert len([url for url in seen.asked if "/i18n/settings/" in url]) == 1
        assert seen.wrong == []


async def test_a_setting_is_explained_in_the_readers_language(browser: Browser, home: House) -> None:
    async with visit(browser, address(home), locale="de-DE") as seen:
        page = await opened(seen)
        await page.get_by_role("button", name="OVP Zelle", exact=True).click()
        preset = "Voreinstellung der PB-Modelle für LFP: 3,650\u00a0V"
        await expect(page.locator(".help")).to_contain_text(preset)
        await page.get_by_role("link", name="Übersicht").first.click()
        await page.get_by_role("button", name="Aussehen und Sprache").click()
        for language in ("English", "Deutsch"):
            await page.get_by_role("button", name=language).click()
        await page.keyboard.press("Escape")
        await page.get_by_role("link", name="Einstellungen").first.click()
        await expect(page.locator(".help")).to_contain_text(preset)  # the words came again
        assert seen.wrong == []


async def test_explanations_that_are_lost_on_the_way_come_later(browser: Browser, home: House) -> None:
    async with visit(browser, address(home), locale="en-GB") as seen:
        await seen.page.route("**/i18n/settings/*.json", lambda route: route.abort(), times=1)
        page = await opened(seen)
        await page.get_by_role("button", name="OVP cell", exact=True).click()
        await expect(page.locator(".help")).to_contain_text("the BMS stops charging")
        assert [one for one in seen.wrong if "ERR_FAILED" not in one] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
async def test_everybody_can_use_it(browser: Browser, home: House, theme: str, width: int) -> None:
    home.bus.batteries[2].settings["max_charge_current"] = 80.0
    async with visit(browser, address(home), width, theme) as seen:
        page = await opened(seen)
        await page.get_by_role("button", name="Charge UTP", exact=True).click()
        await expect(page.locator(".help p")).to_have_count(3)
        assert await seen.overflow() <= 0
        assert await seen.axe() == []
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        await typed(page, 1, "Charge OCP", "90")
        await page.get_by_role("button", name="Review").click()
        await expect(page.locator(".stages .now")).to_have_text("review")
        assert await seen.overflow() <= 0
        assert await seen.axe() == []
        assert seen.wrong == []


async def test_the_inverter_is_steered_after_an_unlock(browser: Browser, tmp_path: Path) -> None:
    stage = Stage(tmp_path, batteries(2))
    async with served(stage) as place, visit(browser, f"http://127.0.0.1:{place.port}/#inverter") as seen:
        page, control = seen.page, stage.control
        await expect(page.locator(".limits b")).to_have_count(4)
        await expect(page.locator(".rail .now")).to_have_text("Bulk")
        stop = page.get_by_role("button", name="Stop", exact=True)
        await expect(stop).to_be_disabled()
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        grid = page.get_by_label("Charge from the grid").locator("option")
        await expect(grid).to_have_text(["never", "emergency", "emergency and full charge"])
        await page.get_by_role("button", name="Max charging").click()
        await page.fill(".edit input", "40")
        await page.press(".edit input", "Enter")
        await expect(page.locator(".sure")).to_contain_text("Set it to 40 A?")
        await expect(page.locator(".sure .rows")).to_contain_text("40.0 A")  # what would be told, before it is
        assert control.owner.max_charge_current is None
        assert await seen.axe() == []
        await page.get_by_role("button", name="No", exact=True).click()
        await expect(page.locator(".sure")).to_have_count(0)
        assert control.owner.max_charge_current is None
        await page.get_by_role("button", name="Max charging").click()
        await page.fill(".edit input", "40")
        await page.press(".edit input", "Enter")
        await page.get_by_role("button", name="Yes").click()
        await expect(page.locator(".done")).to_have_text("Max charging set to 40")
        assert control.owner.max_charge_current == 40
        await page.get_by_role("button", name="Discharging is on").click()
        await page.get_by_role("button", name="Yes").click()
        await expect(page.locator(".done")).to_have_text("discharging switched off")  # the page has asked already
        assert not control.owner.discharging
        await stop.click()
        await expect(page.locator(".sure")).to_contain_text("The inverter is told nothing any more.")
        assert control.enabled  # it is asked once more
        await page.get_by_role("button", name="Yes").click()
        await expect(page.get_by_role("button", name="Enable")).to_be_visible()
        assert not control.enabled
        assert await seen.axe() == []
        assert seen.wrong == []
