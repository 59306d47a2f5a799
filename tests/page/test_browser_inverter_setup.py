"""A first inverter set up in Debian's Chromium, step by step, against an imitation of the Supervisor."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from jkbms_addon.app import App
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.options.file import parse
from jkbms_addon.page import first_run
from jkbms_addon.page.files import WEB
from jkbms_addon.page.supervisor import Home
from tests.page import supervisor as imitation
from tests.page.browser import MARKS
from tests.page.stage import Stage, batteries
from tests.page.supervisor import Imitation
from tests.page.test_browser import Visit, World, visit, world

pytestmark = MARKS
RS485 = "/dev/serial/by-id/usb-FTDI_RS485-if00"
USED = "/dev/serial/by-id/usb-FTDI_FT232R-if00"  # by the bus of the stage
PORTS = {
    "ports": [{"path": USED, "device": "/dev/ttyUSB0"}, {"path": RS485, "device": "/dev/ttyUSB1"}],
    "can": [{"name": "can0", "up": True}, {"name": "can1", "up": False}],
}


@dataclass
class Site:
    """The page in Home Assistant without an inverter, and the Supervisor behind it."""

    world: World
    far: Imitation

    @property
    def url(self) -> str:
        return f"{self.world.front.url}#inverter"


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_run, "look", lambda: PORTS)


@pytest_asyncio.fixture(loop_scope="module")
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ports: None) -> AsyncIterator[Site]:
    monkeypatch.setenv("SUPERVISOR_TOKEN", imitation.TOKEN)
    stage = Stage(tmp_path, batteries(4), inverter=False)
    with imitation.supervisor() as far:
        stage.sources.options.home = Home(far.url)
        async with world(tmp_path, stage) as found:
            yield Site(found, far)


async def forward(page: Page, name: str, words: str = "Next") -> None:
    """On to a step, whose heading has the focus then."""
    await page.get_by_role("button", name=words).click()
    heading = page.get_by_role("heading", name=name)
    await expect(heading).to_be_visible()
    await expect(heading).to_be_focused()


async def choose(page: Page, name: str) -> None:
    await page.locator(".choice label").filter(has_text=name).first.click()


async def to_limits(page: Page, inverter: str = "Deye, Sunsynk", adapter: str = "can1") -> None:
    await choose(page, inverter)
    await forward(page, "Step 2 of 4: Adapter")
    await choose(page, adapter)
    await forward(page, "Step 3 of 4: Limits")


async def to_the_end(page: Page) -> None:
    await forward(page, "Step 4 of 4: Dry run")
    await forward(page, "What would change", "To the review")


async def saved(page: Page, site: Site) -> object:
    """The section that is held after the review, the unlock, the confirmation, and a press on Save."""
    await forward(page, "What would change", "To the review")
    await expect(page.locator(".diff")).to_contain_text("+  protocol: pylontech")
    save = page.get_by_role("button", name="Save", exact=True)
    await page.get_by_role("button", name="Unlock for 10 minutes").click()
    await expect(save).to_be_disabled()
    assert site.far.asked == ["GET info"] * len(site.far.asked)  # nothing was posted before it was confirmed
    await page.get_by_role("checkbox", name="Tell the inverter this from the restart on").check()
    await expect(page.locator(".diff")).to_contain_text("+  confirmed: true")
    await save.click()
    await expect(page.get_by_role("heading", name="Saved")).to_be_visible()
    return {**site.far.options["inverter"], **site.far.options["inverter_details"]}


async def test_four_steps_to_an_inverter_that_runs(browser: Browser, site: Site, tmp_path: Path) -> None:
    restarts: list[int] = []
    site.far.restarted = lambda: restarts.append(1)
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = seen.page
        await expect(page.get_by_role("button", name="Next")).to_be_disabled()
        await page.get_by_label("Find a maker").fill("uze")
        await expect(page.locator(".choice b")).to_have_text(["SRNE", "Another one"])
        await page.get_by_label("Find a maker").fill("")
        await choose(page, "Deye, Sunsynk")
        await expect(page.locator(".choice.on")).to_contain_text('Set in its menu: battery type "Lithium"')
        await expect(page.locator(".choice.on")).to_contain_text("bytes of a real battery")
        await forward(page, "Step 2 of 4: Adapter")
        await expect(page.locator(".choice.closed")).to_contain_text("used by garage")
        await expect(page.locator("form")).to_contain_text(
            "Its socket BMS: CAN H on pin 4, CAN L on pin 5, ground on pin 3."
        )
        await choose(page, "can0")
        await expect(page.get_by_label("Set up the interface")).not_to_be_checked()
        await choose(page, "can1")
        await expect(page.get_by_label("Set up the interface")).to_be_checked()  # it is down
        await forward(page, "Step 3 of 4: Limits")
        await expect(page.get_by_label("Charge up to", exact=True)).to_have_value("3.45")
        await expect(page.locator(".field").first).to_contain_text("55.2 V for 16 cells. Proposed: requested voltage")
        await expect(page.get_by_label("Charge at most with", exact=True)).to_have_value("360")
        await expect(page.get_by_label("Discharge at most with")).to_have_value("540")
        await page.get_by_label("Charge at most with", exact=True).fill("99999")
        await page.get_by_role("button", name="Next").click()
        await expect(page.locator(".field.wrong")).to_contain_text("99999 is not a current from 0 to 3000")
        await page.get_by_label("Charge at most with", exact=True).fill("120")
        await expect(page.get_by_role("button", name="Take 360 A again")).to_be_visible()
        await forward(page, "Step 4 of 4: Dry run")
        await expect(page.locator(".frames b")).to_have_text(["0x359", "0x351", "0x355", "0x356", "0x35C", "0x35E"])
        frame = page.locator(".frames li").nth(1)
        await expect(frame.locator("code")).to_contain_text("28 02 B0 04")
        await expect(frame).to_contain_text("Charge at most120.0\u00a0A")
        await expect(page.locator(".limits")).to_contain_text("charge current of the owner")
        assert await saved(page, site) == {
            "protocol": "pylontech",
            "channel": "can1",
            "set_up_link": True,
            "charge_voltage": 3.45,
            "float_voltage": 3.35,
            "min_discharge_voltage": 2.7,
            "max_charge_current": 120,
            "max_discharge_current": 540,
            "confirmed": True,
        }
        assert App(parse(site.far.options), tmp_path).inverter.outlets[0].options.emits
        await page.get_by_role("button", name="Restart now").click()
        await expect(page.locator(".sheet")).to_contain_text("The app restarts")
        assert restarts == [1]
        assert seen.wrong == []
        assert seen.foreign() == []


async def test_by_the_keyboard_alone(browser: Browser, site: Site) -> None:
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = seen.page
        await page.get_by_label("Find a maker").focus()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        await page.keyboard.press("ArrowDown")
        await expect(page.locator(".choice.on b").first).to_have_text("Deye with its own batteries' protocol")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Step 2 of 4: Adapter")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        await expect(page.get_by_role("button", name="Next")).to_be_enabled()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Step 3 of 4: Limits")).to_be_focused()
        await page.get_by_label("Charge up to", exact=True).focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Step 4 of 4: Dry run")).to_be_focused()
        await page.get_by_role("button", name="Back").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Step 3 of 4: Limits")).to_be_focused()
        assert seen.wrong == []


async def test_over_rs485_with_answers_in_words(browser: Browser, site: Site) -> None:
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = seen.page
        await choose(page, "Axpert")
        await forward(page, "Step 2 of 4: Adapter")
        await expect(page.locator(".choice b")).to_have_text([USED, RS485, "Another one: type it"])
        await choose(page, "Another one: type it")
        await page.get_by_label("Interface or port").fill("can1")
        await page.get_by_role("button", name="Next").click()
        await expect(page.locator(".field.wrong")).to_contain_text("must be the path of an RS485 adapter")
        await choose(page, RS485)
        await page.get_by_label("Baud rate").select_option("9600")
        await forward(page, "Step 3 of 4: Limits")
        await forward(page, "Step 4 of 4: Dry run")
        await expect(page.get_by_role("heading", name="The answers")).to_be_visible()
        await expect(page.locator(".frames b").first).to_have_text("61")
        await expect(page.locator(".frames code").first).to_contain_text("~2002")
        await forward(page, "What would change", "To the review")
        await expect(page.locator(".diff")).to_contain_text('+  baudrate: "9600"')
        assert seen.wrong == []


async def test_a_protocol_that_cannot_say_it_cannot_be_confirmed(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ports: None
) -> None:
    monkeypatch.delenv("SUPERVISOR_TOKEN", raising=False)
    (tmp_path / "options.json").write_text('{"buses": []}')
    eight = Stage(tmp_path, batteries(2, 8), inverter=False)
    async with world(tmp_path, eight) as found, visit(browser, f"{found.front.url}#inverter", locale="en-GB") as seen:
        page = seen.page
        await to_limits(page, "SMA Sunny Island")
        await expect(page.locator(".field").first).to_contain_text("27.6 V for 8 cells")
        await forward(page, "Step 4 of 4: Dry run")
        await expect(page.locator(".warned").first).to_contain_text("takes no charge voltage below 41 V")
        await forward(page, "What would change", "To the review")
        await expect(page.get_by_role("checkbox")).to_be_disabled()
        await expect(page.locator(".paste")).to_contain_text('"confirmed": false')
        assert seen.wrong == []


async def test_without_a_supervisor_there_is_text_to_paste(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ports: None
) -> None:
    monkeypatch.delenv("SUPERVISOR_TOKEN", raising=False)
    (tmp_path / "options.json").write_text('{"buses": []}')
    stage = Stage(tmp_path, batteries(2), inverter=False)
    async with (
        world(tmp_path, stage) as found,
        visit(browser, f"{found.front.url}#inverter", locale="en-GB", permissions=["clipboard-read"]) as seen,
    ):
        page = seen.page
        await to_limits(page)
        await to_the_end(page)
        await expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
        await page.get_by_role("checkbox").check()
        await expect(page.locator(".paste")).to_contain_text('"confirmed": true')
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_text("Copied")).to_be_visible()
        copied = json.loads(f"{{{await page.evaluate('navigator.clipboard.readText()')}}}")
        assert parse({"buses": [], **copied}).inverter.emits
        assert seen.wrong == []


async def test_packs_that_are_silent_leave_the_limits_empty(browser: Browser, site: Site) -> None:
    stage = site.world.stage
    for pack in stage.packs:
        stage.silence(pack, 60)
    stage.feed()
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = seen.page
        await to_limits(page)
        await expect(page.get_by_label("Charge up to", exact=True)).to_have_value("")
        await expect(page.locator(".field").first).to_contain_text("No proposal: no battery counts now")
        await forward(page, "Step 4 of 4: Dry run")
        await expect(page.locator(".warned").first).to_contain_text("Nothing would be told now")
        await forward(page, "What would change", "To the review")
        await expect(page.get_by_role("checkbox")).to_be_disabled()
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        await expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
        assert seen.wrong == []


async def test_where_the_options_name_one_there_is_no_set_up(browser: Browser, site: Site) -> None:
    site.far.options["inverter"] = {"protocol": "victron", "channel": "can3", "confirmed": False}
    async with visit(browser, site.url, locale="en-GB") as seen:
        main = seen.page.locator("main")
        await expect(main).to_contain_text("The options name an inverter already: victron on can3.")
        await expect(seen.page.locator(".choices")).to_have_count(0)
        await expect(seen.page.get_by_role("button", name="Restart now")).to_be_visible()
        await seen.page.get_by_role("link", name="Buses in the options").click()
        await expect(seen.page.get_by_role("heading", level=1)).to_have_text("Buses in the options")
        assert seen.wrong == []


async def test_options_changed_elsewhere_are_told_and_read_again(browser: Browser, site: Site) -> None:
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = seen.page
        await choose(page, "Deye, Sunsynk")
        await forward(page, "Step 2 of 4: Adapter")
        await choose(page, "can1")
        site.far.options["log_level"] = "debug"
        await page.get_by_role("button", name="Next").click()
        await expect(page.get_by_role("alert")).to_contain_text("changed elsewhere meanwhile")
        await page.get_by_role("button", name="Read again").click()
        await expect(page.get_by_role("alert")).to_have_count(0)
        await expect(page.get_by_role("radio", name="can1")).to_be_checked()  # what was chosen stays
        await forward(page, "Step 3 of 4: Limits")
        assert seen.wrong == []


async def test_a_refusal_leaves_text_to_paste(browser: Browser, site: Site) -> None:
    site.far.options.pop("log_level")
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = seen.page
        await to_limits(page)
        await to_the_end(page)
        await page.get_by_role("checkbox").check()
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("Missing option 'log_level'")
        await expect(page.locator(".paste")).to_contain_text("protocol: pylontech")
        assert await seen.axe() == []
        assert seen.wrong == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_everybody_can_use_it(browser: Browser, site: Site, theme: str) -> None:
    async def usable(seen: Visit) -> None:
        for width in (320, 390, 768, 1280):
            await seen.page.set_viewport_size({"width": width, "height": 844})
            assert await seen.overflow() <= 0, width
            assert await seen.axe() == [], width

    site.world.stage.silence(site.world.stage.packs[3], 60)
    async with visit(browser, site.url, theme=theme, locale="en-GB") as seen:
        page = seen.page
        await choose(page, "Solis")
        await page.locator("summary").click()
        await usable(seen)
        await choose(page, "Another one")
        await page.get_by_label("Protocol", exact=True).select_option("victron")
        await forward(page, "Step 2 of 4: Adapter")
        await choose(page, "Another one: type it")
        await page.get_by_label("Interface or port").fill("can 7")
        await page.get_by_role("button", name="Next").click()
        await expect(page.locator(".field.wrong")).to_have_count(1)
        await usable(seen)
        await choose(page, "can1")
        await forward(page, "Step 3 of 4: Limits")
        await usable(seen)
        await forward(page, "Step 4 of 4: Dry run")
        await expect(page.locator(".frames")).to_contain_text("Lowest cell")
        await usable(seen)
        await forward(page, "What would change", "To the review")
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        await usable(seen)
        assert seen.wrong == []


@pytest.mark.parametrize(
    ("language", "title", "further"),
    [("de-DE", "Einen Wechselrichter einrichten", "Weiter"), ("fr-FR", "Installer un onduleur", "Suivant")],
)
async def test_in_the_reader_s_language(browser: Browser, site: Site, language: str, title: str, further: str) -> None:
    async with visit(browser, site.url, locale=language) as seen:
        page = seen.page
        await expect(page.get_by_role("heading", level=1)).to_have_text(title)
        await choose(page, "Victron")
        words = json.loads((WEB / f"said/{language[:2]}.json").read_text(encoding="utf-8"))
        meant = page.locator(".choices details")
        for text in (DIALECTS["victron"].title, *DIALECTS["victron"].lacks, *DIALECTS["victron"].never):
            await expect(meant).to_contain_text(words[text])
        await page.get_by_role("button", name=further).click()
        await choose(page, "can1")
        await page.get_by_role("button", name=further).click()
        await expect(page.locator("#inv-charge_voltage")).to_have_value("3,45")
        await page.locator("#inv-charge_voltage").fill("3,5")
        await page.get_by_role("button", name=further).click()
        await expect(page.locator(".limits")).to_contain_text("56,0\u00a0V")
        text = await page.inner_text("main")
        for mark in ("inv.", "say.", "trouble.", "opt."):
            assert mark not in text, mark
        assert seen.wrong == []


async def test_the_options_lead_there_and_who_has_an_inverter_fetches_nothing_of_it(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    async with visit(browser, f"{site.world.front.url}#options", locale="en-GB") as seen:
        await seen.page.get_by_role("link", name="Set one up").click()
        await expect(seen.page.get_by_role("heading", level=1)).to_have_text("Set up an inverter")
        assert seen.wrong == []
    other = Stage(tmp_path / "other", batteries(2))
    async with world(tmp_path, other) as found, visit(browser, f"{found.front.url}#inverter") as seen:
        await seen.page.wait_for_selector(".limits")
        await seen.page.wait_for_timeout(2500)
        assert [url for url in seen.asked if "setup" in url or "i18n/inverter" in url] == []


async def test_what_is_changed_must_be_confirmed_anew(browser: Browser, site: Site) -> None:
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = seen.page
        await to_limits(page)
        await to_the_end(page)
        await page.get_by_role("button", name="Unlock for 10 minutes").click()
        await page.get_by_role("checkbox").check()
        await expect(page.get_by_role("button", name="Save", exact=True)).to_be_enabled()
        await page.get_by_role("button", name="Back").click()
        await page.get_by_role("button", name="Back").click()
        await page.get_by_label("Charge at most with", exact=True).fill("300")
        await to_the_end(page)
        await expect(page.get_by_role("checkbox")).not_to_be_checked()
        await expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
        await expect(page.locator(".diff")).to_contain_text("+  max_charge_current: 300")
        await expect(page.locator(".diff")).to_contain_text("confirmed: false")
        assert seen.wrong == []


async def test_what_is_wrong_elsewhere_is_told_where_it_shows(browser: Browser, site: Site) -> None:
    site.far.options["bank"] = {"members": "nowhere/1"}
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = seen.page
        await choose(page, "Deye, Sunsynk")
        await forward(page, "Step 2 of 4: Adapter")
        await choose(page, "can1")
        await page.get_by_role("button", name="Next").click()
        await expect(page.get_by_role("alert")).to_contain_text("nothing is sent, as the bank is wrong")
        await expect(page.get_by_role("heading", name="Step 2 of 4: Adapter")).to_be_visible()
        assert seen.wrong == []


async def test_an_adapter_that_is_taken_meanwhile_is_told_at_its_step(browser: Browser, site: Site) -> None:
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = seen.page
        await to_limits(page, adapter=RS485)
        await forward(page, "Step 4 of 4: Dry run")
        site.far.options["buses"].append({"name": "attic", "strategy": "listen", "port": RS485})
        await page.get_by_role("button", name="Once more").click()
        await page.get_by_role("button", name="Read again").click()
        await page.get_by_role("button", name="Once more").click()
        await expect(page.get_by_role("heading", name="Step 2 of 4: Adapter")).to_be_focused()
        await expect(page.get_by_role("alert")).to_contain_text("is already used by bus attic")
        await choose(page, "can1")
        await forward(page, "Step 3 of 4: Limits")
        await to_the_end(page)
        assert seen.wrong == []


async def test_without_any_adapter_its_name_can_be_typed(
    browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_run, "look", lambda: {"ports": [], "can": []})
    async with visit(browser, site.url, locale="en-GB") as seen:
        page = seen.page
        await choose(page, "Victron")
        await forward(page, "Step 2 of 4: Adapter")
        await expect(page.locator("fieldset")).to_contain_text("None is connected to this computer")
        monkeypatch.setattr(first_run, "look", lambda: PORTS)
        await page.get_by_role("button", name="Look again").click()
        await choose(page, "can1")
        await forward(page, "Step 3 of 4: Limits")
        assert seen.wrong == []
