"""The page in Debian's Chromium, behind an imitation of Home Assistant's proxy, framed as Home Assistant frames it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.page.place import Place
from tests.conftest import free_port
from tests.page.browser import MARKS
from tests.page.ingress import DARK, LIGHT, Front, front
from tests.page.stage import Stage, batteries, served

pytestmark = MARKS
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]
DASH = "\u2013"
PROXY = "127.0.0.2"
PAGES = ("overview", "cells", "pack/garage/3", "pack/cellar/3", "settings", "inverter", "doctor")
DRAWN = {
    **dict.fromkeys(PAGES, "jk-plot canvas"),
    "settings": "table.settings",
    "inverter": ".limits",
    "doctor": ".answers",
}  # when it is there


@dataclass
class World:
    """A stage with its page and Home Assistant in front of it."""

    stage: Stage
    place: Place
    front: Front


@asynccontextmanager
async def world(folder: Path, stage: Stage | None = None) -> AsyncIterator[World]:
    built = stage or Stage(folder, batteries(9))
    place = Place("127.0.0.1", free_port(), peer=PROXY)
    async with served(built, place), front(place.port, PROXY) as seen:
        yield World(built, place, seen)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("nine")
    stage = Stage(folder, batteries(9))
    stage.past()
    stage.silence(stage.packs[8], 192)
    for _ in range(6):
        stage.feed()
    async with world(folder, stage) as found:
        yield found


class Visit:
    """A page that is open, with all that went wrong in it."""

    def __init__(self, page: Page, home: str) -> None:
        self.page, self.home = page, home
        self.wrong: list[str] = []
        self.asked: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.type}: {message.text}")

    def foreign(self) -> list[str]:
        """Requests to somebody else."""
        return [url for url in self.asked if not url.startswith(self.home) and not url.startswith("data:")]

    async def let_in(self, token: str, selector: str) -> Page:
        """The page, let in by its token, as soon as it shows this."""
        await self.page.fill("#token", token)
        await self.page.click("form .btn.primary")
        await self.page.wait_for_selector(selector)
        return self.page

    async def text(self, selector: str) -> str:
        """Text of an element."""
        return " ".join((await self.page.inner_text(selector)).split())

    async def axe(self) -> list[str]:
        """What axe finds."""
        await self.page.evaluate(AXE)
        found = await self.page.evaluate(f"axe.run({{runOnly: {json.dumps(RULES)}}})")
        return [f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]

    async def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        wide: int = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return wide


@asynccontextmanager
async def visit(
    browser: Browser, url: str, width: int = 1280, theme: str = "light", **more: Any
) -> AsyncIterator[Visit]:
    context = await browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme="dark" if theme == "dark" else "light", **more
    )
    page = await context.new_page()
    page.set_default_timeout(20_000)
    seen = Visit(page, "/".join(url.split("/")[:3]).replace("localhost", "127.0.0.1"))
    try:
        await page.goto(url)
        yield seen
    finally:
        await context.close()


async def test_everything_is_shown(browser: Browser, nine: World) -> None:
    async with visit(browser, nine.front.url, locale="en-GB") as seen:
        await seen.page.wait_for_selector(".pack >> nth=8")
        await seen.page.wait_for_selector("jk-plot canvas")
        assert await flow(seen)
        assert "8 of 9 packs count" in await seen.text(".after")
        assert "Balance wire resistance too large" in await seen.text(".banner")
        assert "Cellar 3 is silent" in await seen.text(".look")
        assert "Cell 11 of Garage 3 lags behind" in await seen.text(".look")
        assert "2 settings differ" in await seen.text(".look")
        way = seen.page.locator(".look li", has_text="Cellar 3 is silent").get_by_role("link")
        assert (await way.get_attribute("href"), await way.inner_text()) == ("#doctor", "Doctor")
        assert await seen.page.locator(".bankbar li").count() == 9
        assert await seen.page.locator(".told dl > div").count() == 4
        assert "Silent 3 min" in await seen.text(".pack >> nth=8")
        assert "2 of 3 packs" in await seen.text(".links")
        for page in PAGES[1:]:
            await seen.page.goto(f"{nine.front.url}#{page}")
            await seen.page.wait_for_selector("h1", state="attached")
            await seen.page.wait_for_selector(DRAWN[page])
        assert seen.wrong == []
        assert seen.foreign() == []
        assert len([url for url in seen.asked if "/v-" in url]) <= 30


async def flow(seen: Visit) -> bool:
    """Whether the page says the bank's power; it is drawn a moment after it was told, which some tries allow for."""
    for _ in range(50):
        said, power = await seen.page.evaluate(
            "import(document.querySelector('script[type=module]').src.replace('app.js', 'data.js'))"
            ".then(({state}) => [document.querySelector('.flow').innerText, (state.bank.w / 1000).toFixed(1)])"
        )
        if " ".join(said.split()) == f"Charging with {power} kW":
            return True
        await asyncio.sleep(0.1)
    return False


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_everybody_can_use_it(browser: Browser, nine: World, theme: str) -> None:
    for width in (1280, 390):
        async with visit(browser, nine.front.url, width, theme) as seen:
            for page in PAGES if width == 1280 else (*PAGES[:3], *PAGES[4:]):
                await seen.page.goto(f"{nine.front.url}#{page}")
                await seen.page.wait_for_selector("h1", state="attached")
                await seen.page.wait_for_selector(DRAWN[page])
                assert await seen.axe() == [], (page, width)
            await seen.page.click(".round")
            await seen.page.wait_for_selector("#menu")
            assert await seen.axe() == [], ("menu", width)


async def test_no_page_is_wider_than_its_window(browser: Browser, nine: World) -> None:
    async with visit(browser, nine.front.url) as seen:
        for language in ("en", "de", "fr"):
            await seen.page.evaluate(f"localStorage.setItem('jkbms-language', '{language}')")
            await seen.page.reload()
            for page in PAGES:
                await seen.page.goto(f"{nine.front.url}#{page}")
                await seen.page.wait_for_selector(DRAWN[page].removesuffix(" canvas"))
                for width in (320, 390, 768, 1024, 1280):
                    await seen.page.set_viewport_size({"width": width, "height": 800})
                    assert await seen.overflow() <= 0, (language, page, width)
        await seen.page.evaluate("document.documentElement.style.fontSize = '200%'")
        for page in PAGES:
            await seen.page.goto(f"{nine.front.url}#{page}")
            for width in (390, 1280):
                await seen.page.set_viewport_size({"width": width, "height": 800})
                assert await seen.overflow() <= 0, ("200 %", page, width)


@pytest.mark.parametrize("language", ["en-GB", "de-DE", "fr-FR"])
async def test_the_names_of_the_pages_stay_whole_on_a_phone(browser: Browser, nine: World, language: str) -> None:
    async with visit(browser, nine.front.url, 360, locale=language) as seen:
        names = seen.page.locator(".bottom span")
        await names.first.wait_for()
        lines = "all => all.map((one) => Math.round(one.offsetHeight / parseFloat(getComputedStyle(one).lineHeight)))"
        assert set(await names.evaluate_all(lines)) == {1}
        assert seen.wrong == []


async def test_news_come_within_two_seconds(browser: Browser, nine: World) -> None:
    async with visit(browser, nine.front.url) as seen:
        await seen.page.wait_for_selector(".pack")
        nine.stage.packs[0].soc = 41
        await seen.page.wait_for_selector(".bankbar li:first-child b:text-is('41')", timeout=2500)
        nine.stage.packs[0].soc = 78
        await seen.page.wait_for_selector(".bankbar li:first-child b:text-is('78')", timeout=2500)


async def test_it_survives_a_restart_and_refused_sessions(browser: Browser, tmp_path: Path) -> None:
    stage, place = Stage(tmp_path, batteries(2)), Place("127.0.0.1", free_port(), peer=PROXY)
    async with front(place.port, PROXY) as seen:
        async with served(stage, place):
            opened = visit(browser, seen.url)
            found = await opened.__aenter__()
            await found.page.wait_for_selector(".pack")
        await found.page.wait_for_selector(".gone", timeout=20_000)
        assert "No connection, last data" in await found.text(".gone")
        assert await found.page.locator(".pack").count() == 2  # what was known stays
        seen.allowed = False
        async with served(stage, place):
            await asyncio.sleep(1.5)
            seen.allowed = True
            await found.page.wait_for_selector(".gone", state="detached", timeout=9000)
            assert [
                one for one in found.wrong if not any(word in one for word in ("WebSocket", "401", "500", "502"))
            ] == []
        await opened.__aexit__(None, None, None)


async def test_charts_come_also_when_their_library_did_not_at_first(browser: Browser, nine: World) -> None:
    async with visit(browser, "about:blank") as seen:
        tries = 0

        async def answer(route: Route) -> None:
            nonlocal tries
            tries += 1
            await (route.abort() if tries < 3 else route.continue_())

        await seen.page.route("**/uPlot.iife.min.js", answer)
        await seen.page.goto(nine.front.url)
        await seen.page.wait_for_selector("jk-plot canvas", timeout=9000)
        assert tries == 3
        assert [one for one in seen.wrong if "ERR_FAILED" not in one] == []


async def test_the_theme_follows_home_assistant(browser: Browser, nine: World) -> None:
    nine.front.style, nine.front.language = LIGHT, "de"
    async with visit(browser, nine.front.host) as seen:
        inner = seen.page.frame_locator("iframe")
        await inner.locator(".pack").first.wait_for()
        assert await inner.locator("html").get_attribute("data-theme") == "light"
        assert await inner.locator("html").get_attribute("lang") == "de"
        await seen.page.evaluate(f"document.documentElement.style.cssText = '{DARK}'")
        await inner.locator("html[data-theme=dark]").wait_for(timeout=3000)
        color = "getComputedStyle(document.body).backgroundColor"
        assert await inner.locator("body").evaluate(f"() => {color}") == "rgb(17, 17, 17)"
        await seen.page.evaluate(
            "const frame = document.querySelector('iframe').contentWindow;"
            "const told = {type: 'home-assistant/properties', narrow: true, route: {path: '/app/jkbms/cells'}};"
            "frame.postMessage(told, '*')"
        )
        await inner.locator("table.heat").wait_for()
        assert seen.wrong == []
    nine.front.language = "en"


async def test_the_choice_of_the_reader_comes_first(browser: Browser, nine: World) -> None:
    async with visit(browser, nine.front.url, theme="dark", locale="fr-FR") as seen:
        await seen.page.wait_for_selector(".pack")
        assert await seen.page.get_attribute("html", "data-theme") == "dark"
        assert await seen.page.get_attribute("html", "lang") == "fr"
        await seen.page.click(".round")
        await seen.page.click("text=Clair")
        await seen.page.click("text=Deutsch")
        await seen.page.wait_for_selector(".look h2:text-is('Einen Blick wert')")
        await seen.page.reload()
        await seen.page.wait_for_selector(".look h2:text-is('Einen Blick wert')")
        assert await seen.page.get_attribute("html", "data-theme") == "light"


async def test_a_page_that_cannot_be_fetched_says_so(browser: Browser, nine: World) -> None:
    async with visit(browser, nine.front.url, locale="en-GB") as seen:
        page = seen.page
        await page.route("**/views/doctor.js", lambda route: route.abort())
        await page.wait_for_selector(".pack")
        starts = len([url for url in seen.asked if url.endswith("/app.js")])
        await page.evaluate("location.hash = 'doctor'")
        await page.wait_for_selector("main >> text=This page could not be loaded.")
        await page.evaluate("location.hash = 'cells'")
        await page.wait_for_selector("table.heat")  # the others go on
        await page.evaluate("location.hash = 'doctor'")
        await page.wait_for_selector("main >> text=This page could not be loaded.")
        assert await seen.axe() == []
        assert len([url for url in seen.asked if url.endswith("/app.js")]) == starts  # it does not start by itself
        await page.unroute("**/views/doctor.js")
        await page.get_by_role("button", name="Try again").click()
        await page.wait_for_selector(".answers")
        assert [one for one in seen.wrong if "ERR_FAILED" not in one] == []


async def test_the_keyboard_alone_reaches_everything(browser: Browser, nine: World) -> None:
    async with visit(browser, nine.front.url) as seen:
        await seen.page.wait_for_selector(".pack")
        wanted = await seen.page.evaluate(
            "[...document.querySelectorAll('a[href], button, summary')].filter((one) => one.offsetParent).length"
        )
        reached = set()
        for _ in range(wanted + 20):
            await seen.page.keyboard.press("Tab")
            place = await seen.page.evaluate(
                "(() => { const all = [...document.querySelectorAll('a[href], button, summary')];"
                " const one = document.activeElement; return [all.indexOf(one),"
                " getComputedStyle(one).outlineStyle] })()"
            )
            if place[0] >= 0:
                assert place[1] != "none"  # one sees where one is
                reached.add(place[0])
        assert len(reached) == wanted
        await seen.page.focus(".pack a")
        await seen.page.keyboard.press("Enter")
        await seen.page.wait_for_selector(".cellgrid")
        await seen.page.focus(".cellgrid button >> nth=6")
        await seen.page.keyboard.press("Enter")
        await seen.page.wait_for_selector("text=Cell 7 of Garage 1")
        await seen.page.focus(".round")
        await seen.page.keyboard.press("Enter")
        await seen.page.wait_for_selector("#menu")
        await seen.page.keyboard.press("Escape")
        await seen.page.wait_for_selector("#menu", state="detached")


async def test_cells_are_touched(browser: Browser, nine: World) -> None:
    async with visit(browser, f"{nine.front.url}#cells", 390) as seen:
        await seen.page.wait_for_selector("table.heat")
        wide = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"
        assert await seen.page.locator("table.heat th[scope=row], .map .seg").evaluate_all(wide) == []
        await seen.page.click("table.heat tbody tr:nth-child(2) .c >> nth=2")
        await seen.page.wait_for_selector(".fold")
        assert await seen.page.locator(".fold .c").count() == 16
        assert "Cell 3 of Garage 2" in await seen.text(".chart")
        for metric in ("Voltage", "Resistance", "Time lowest"):
            await seen.page.click(f".seg >> text={metric}")
            await seen.page.wait_for_selector(f".seg [aria-pressed=true]:text-is('{metric}')")
            assert await seen.overflow() <= 0
        assert seen.wrong == []


async def test_an_alarm_can_be_put_aside(browser: Browser, nine: World) -> None:
    async with visit(browser, nine.front.url) as seen:
        await seen.page.click(".banner button")
        await seen.page.wait_for_selector(".banner", state="detached")
        await seen.page.reload()
        await seen.page.wait_for_selector(".pack")
        assert await seen.page.locator(".banner").count() == 0
        assert "Balance wire" in await seen.text(".pack >> nth=5")  # the badge stays


@pytest.mark.parametrize(("count", "cells"), [(1, 8), (4, 32), (15, 16)])
async def test_few_and_many(browser: Browser, tmp_path: Path, count: int, cells: int) -> None:
    async with world(tmp_path, Stage(tmp_path, batteries(count, cells), inverter=count > 1)) as found:
        for width in (390, 1280):
            async with visit(browser, found.front.url, width) as seen:
                await seen.page.wait_for_selector(".pack, .cellgrid")
                assert await seen.overflow() <= 0
                await seen.page.goto(f"{found.front.url}#cells")
                await seen.page.wait_for_selector("table.heat")
                assert await seen.page.locator("table.heat tbody tr:first-child .c").count() == cells
                assert await seen.overflow() <= 0
                assert width > 390 or await seen.axe() == []
                assert seen.wrong == []


async def test_the_first_run(browser: Browser, tmp_path: Path) -> None:
    problem = "no answer to any question: wires, power or DIP address; check A, B and GND"
    async with world(tmp_path, Stage(tmp_path, [], problem=problem)) as found:
        for width, theme in ((390, "dark"), (1280, "light")):
            async with visit(browser, found.front.url, width, theme) as seen:
                await seen.page.wait_for_selector("text=No battery heard yet")
                await seen.page.wait_for_selector("text=Connected to this computer")
                assert "check A, B and GND" in await seen.text(".tried")
                assert "“Scan a port” finds your batteries" in await seen.text(".first section.card")
                await expect(seen.page.locator(".first pre")).to_be_hidden()
                await seen.page.get_by_text("Type it in instead").click()
                await expect(seen.page.locator(".first pre")).to_contain_text("strategy: auto")
                assert await seen.overflow() <= 0
                assert await seen.axe() == []
                assert seen.wrong == []
        async with visit(browser, found.front.url) as seen:
            await seen.page.wait_for_selector("text=No battery heard yet")
            found.stage.packs.extend(batteries(1))
            await seen.page.wait_for_selector(".hero")  # the page changes by itself


async def test_a_port_of_its_own_asks_for_the_token(browser: Browser, tmp_path: Path) -> None:
    token = "correct horse battery staple"
    place = Place("127.0.0.1", free_port(), token=token)
    async with served(Stage(tmp_path, batteries(2)), place), visit(browser, f"http://127.0.0.1:{place.port}/") as seen:
        await seen.page.wait_for_selector("#token")
        assert await seen.axe() == []
        await seen.page.fill("#token", "wrong wrong wrong wrong")
        await seen.page.click("text=Enter")
        await seen.page.wait_for_selector("#token")
        await seen.page.fill("#token", token)
        await seen.page.click("text=Enter")
        await seen.page.wait_for_selector(".pack")
        await seen.page.reload()
        await seen.page.wait_for_selector(".pack")
        assert token not in "".join(seen.asked)


async def test_pure_functions(browser: Browser, nine: World) -> None:
    async with visit(browser, nine.front.url, locale="de-DE") as seen:
        await seen.page.wait_for_selector(".pack")
        told = await seen.page.evaluate(
            """async () => {
              const base = document.querySelector('script[type=module]').src;
              const format = await import(base.replace('app.js', 'format.js'));
              const theme = await import(base.replace('app.js', 'theme.js'));
              const data = await import(base.replace('app.js', 'data.js'));
              return {
                numbers: [format.num(1234.56, 1), format.num(null, 1)],
                signed: [-0.4, 3].map((one) => format.signed(one)).concat(format.signed(-3.26, 1)),
                power: [999.4, 1000, -12345, null].map((one) => format.power(one)).concat([format.power(1200, true)]),
                spans: [0, 59.4, 60, 3600, 5400, 90000, 864000, null].map(format.span),
                heat: [0, 2.4, 2.5, -2.5, 7, -15.2, 40].map(format.heat),
                bars: [0, 30, 300, -7.5].map(format.barHeight),
                contrast: [theme.contrast([0, 0, 0], [255, 255, 255]), theme.contrast([9, 9, 9], [9, 9, 9])],
                rgb: [theme.rgb('#0a141e'), theme.rgb('rgba(1, 2, 3, .5)'), theme.rgb('nonsense'), theme.rgb('')],
                decoded: data.decoded(
                  {cols: ['a', 'b'], rows: 2, scale: [1, 0.1], tier: 10, from: 50, data: 'AQACAP//AIA='}),
                words: [format.t('span.s', {n: 5}), format.t('no.such.key'), format.tOr('no', 'other')],
              };
            }"""
        )
    assert told["numbers"] == ["1.234,6", DASH]
    assert told["signed"] == ["0", "+3", "-3,3"]
    assert told["power"] == [["999", "W"], ["1,0", "kW"], ["-12,3", "kW"], [DASH, "W"], ["1.200", "W"]]
    assert told["spans"] == ["0 s", "59 s", "1 min", "1 h", "1 h 30 min", "1 d 1 h", "10 d", DASH]
    assert told["heat"] == [0, 0, 1, -1, 2, -4, 4]
    assert told["bars"] == [0, 50, 50, 25]
    assert told["contrast"] == [pytest.approx(21), 1]
    assert told["rgb"] == [[10, 20, 30], [1, 2, 3], None, None]
    assert told["decoded"] == {"times": [50, 60], "columns": {"a": [1, 2], "b": [-0.1, None]}, "tier": 10}
    assert told["words"] == ["5 s", "no.such.key", "other"]


async def test_what_the_protocol_of_the_inverter_means_can_be_unfolded(browser: Browser, nine: World) -> None:
    async with visit(browser, nine.front.url, locale="en-GB") as seen:
        await seen.page.wait_for_selector(".speaks summary")
        await seen.page.click(".speaks summary")
        said = await seen.text(".speaks ul")
        dialect = DIALECTS["pylontech"]
        assert f"Told to stop discharging: {dialect.stop_discharging.effect}: " in said
        assert all(words in said for words in (*dialect.lacks, *dialect.never))
        for width in (390, 1280):
            await seen.page.set_viewport_size({"width": width, "height": 800})
            assert await seen.overflow() <= 0
        assert await seen.axe() == []


async def test_what_each_pack_allows_now(browser: Browser, tmp_path: Path) -> None:
    """Where its MOSFET is off nothing, where it is cold less than its setting, where it is silent nobody knows."""
    stage = Stage(tmp_path, batteries(4))
    stage.packs[1].told = {"charging": False}
    stage.packs[2].temperature = 8.0
    stage.silence(stage.packs[3], 192)
    stage.feed()
    async with served(stage) as place, visit(browser, f"http://127.0.0.1:{place.port}/#inverter") as seen:
        rows = seen.page.locator(".columns .card").first.locator("tbody tr")
        await expect(rows).to_have_count(4)
        allows = [(await rows.nth(n).locator("td").nth(1).inner_text()).replace("\xa0", " ") for n in range(4)]
        assert (allows[0], allows[1], allows[3]) == ("100 A", "0 A", DASH)
        assert 0 < float(allows[2].removesuffix(" A")) < 100
        assert seen.wrong == []


async def test_a_reason_does_not_repeat_its_limit(browser: Browser, tmp_path: Path) -> None:
    """The number stands beside it; so on both pages that tell the limits."""
    stage = Stage(tmp_path, batteries(2))
    home = "http://127.0.0.1:{place.port}/#"
    async with served(stage) as place, visit(browser, home.format(place=place) + "inverter") as seen:
        why = seen.page.locator(".limits span")
        await expect(why).to_have_count(4)
        assert await why.first.inner_text() == "requested voltage of pack 1"
        assert await why.last.inner_text() == "under-voltage protection of pack 1 and 0.10 V per cell"
        told = await why.all_inner_texts()
        await seen.page.goto(home.format(place=place) + "overview")
        again = seen.page.locator(".told dl span")
        await expect(again).to_have_count(4)
        assert (await again.all_inner_texts())[::3] == told[::3]  # currents rise meanwhile
        assert seen.wrong == []


@pytest.mark.parametrize(("locale", "why"), [("en-GB", "requested voltage of {}"), ("de-DE", "Wunschspannung von {}")])
async def test_a_pack_has_one_name_also_in_reasons(browser: Browser, nine: World, locale: str, why: str) -> None:
    decision = nine.stage.control.decision(nine.stage.app.store.clock())
    assert decision is not None
    label = re.search(r"requested voltage of pack ([a-z]+)/(\d)", decision.reasons["charge_voltage"])
    assert label, "two buses have a pack of this address"
    name = f"{label[1].capitalize()} {label[2]}"
    async with visit(browser, f"{nine.front.url}#inverter", locale=locale) as seen:
        await expect(seen.page.locator(".limits span").first).to_have_text(why.format(name))
        await expect(seen.page.locator(".columns")).not_to_contain_text(label[0].partition("pack ")[2])
        assert seen.wrong == []


async def test_the_link_tells_its_interface_and_whether_nobody_else_sends(browser: Browser, tmp_path: Path) -> None:
    stage = Stage(tmp_path, batteries(2))
    async with served(stage) as place, visit(browser, f"http://127.0.0.1:{place.port}/#inverter") as seen:
        link = seen.page.locator(".wire")
        title = stage.sources.outlets[0].title
        await expect(link.locator("h3")).to_have_text(f"can9, 500\xa0kbit/s, {title}")
        await expect(link).to_contain_text("answered")
        await expect(link).to_contain_text("sent")
        await expect(link).not_to_contain_text("no other sender")
        stage.sources.outlets[0].emission.alone = True
        await expect(link).to_contain_text("no other sender of limits")
        assert await seen.axe() == []
        assert seen.wrong == []
