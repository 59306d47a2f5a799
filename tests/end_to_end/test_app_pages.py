"""The pages that Home Assistant has for an app, by its real frontend: what stands in its files is shown as it is meant.

With ``PICTURES`` set to a folder, what was looked at is kept there.
"""

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page

from tests.conftest import mosquitto
from tests.end_to_end import form, markdown
from tests.end_to_end.frontend import WIDTH, chromium, page_of_app
from tests.end_to_end.home_assistant import HomeAssistant, home_assistant, needs_home_assistant
from tests.end_to_end.supervisor import REPOSITORY, introduction, texts
from tests.page.browser import CHROMIUM
from tests.test_docs import LONGEST
from tests.test_manifest import CONFIG, LANGUAGES

pytestmark = [
    pytest.mark.home_assistant,
    needs_home_assistant,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.asyncio(loop_scope="module"),
]
PICTURES = os.environ.get("PICTURES")
PHONE = 390
# every text of the frontend that this page has loaded
TEXTS = """
async () => {
  const texts = [];
  const add = (one) => Object.values(one).forEach((it) => (typeof it === 'string' ? texts.push(it) : add(it)));
  const loaded = performance.getEntriesByType('resource').filter((one) => one.name.includes('/static/translations/'));
  for (const one of loaded) add(await (await fetch(one.name)).json());
  return texts;
}
"""
OF_OTHERS = {"MQTT", "⋮"}  # an integration; a menu without a name
BROKEN = """# A page

[above](#a-page), [beside](docs/wiring.md)

| a | b |
| --- | --- |
| `one|two` | three |

what | is no
--- table

<b>[raw](https://example.org)</b>

![picture](docs/page.png)

## Below
"""


@dataclass(slots=True)
class Bench:
    ha: HomeAssistant
    browser: Browser

    @asynccontextmanager
    async def page(
        self,
        name: str,
        *,
        language: str = "en",
        texts: Mapping[str, str] | None = None,
        told: Mapping[str, object] | None = None,
    ) -> AsyncIterator[Page]:
        """A page of the app; at the end the browser must not have complained."""
        found = page_of_app(self.browser, self.ha, name, language=language, texts=texts, told=told)
        async with found as (page, wrong):
            yield page
            assert wrong == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with mosquitto(tmp_path_factory.mktemp("broker")) as broker, home_assistant(broker.port) as ha:
        async with chromium() as browser:
            yield Bench(ha, browser)


def text_of(page: Page) -> Locator:
    return page.locator("supervisor-app-documentation-tab ha-markdown")


async def kept(page: Page, name: str, height: int, width: int = WIDTH) -> None:
    if PICTURES:
        await page.set_viewport_size({"width": width, "height": height})
        await page.wait_for_timeout(1000)
        await page.screenshot(path=Path(PICTURES) / f"{name}.png")


async def test_the_documentation_is_shown_as_it_is_written(bench: Bench) -> None:
    text = texts()["documentation"]
    assert len(text.encode()) <= LONGEST
    async with bench.page("documentation") as page:
        wanted, seen = markdown.said(text), await markdown.shown(text_of(page))
        await kept(page, "documentation", 6000)
    assert wanted.headings
    assert wanted.tables
    assert wanted.code
    assert wanted.links
    assert markdown.faults(wanted, seen) == []


async def test_the_documentation_says_where_things_are_in_home_assistant(bench: Bench) -> None:
    paths = re.findall(r"\*((?:Settings|⋮) → [^*]+)\*", " ".join(texts()["documentation"].split()))
    places = {place for path in paths for place in path.split(" → ")}
    async with bench.page("documentation") as page:
        await markdown.shown(text_of(page))
        there = set(await page.evaluate(TEXTS))
    assert len(paths) >= 5
    assert places - OF_OTHERS - there == set()
    # some entities are switched off at first, where the page of a device tells how many
    assert "*+… disabled entities*" in texts()["documentation"]
    assert any(one.startswith("+{count} disabled") and "entities" in one for one in there)
    for name in ("Show in sidebar", "Watchdog", "Configuration", "Home battery storage"):
        assert f"*{name}*" in texts()["documentation"], name
        assert name in there, name


async def test_the_documentation_on_a_phone(bench: Bench) -> None:
    async with bench.page("documentation") as page:
        await page.set_viewport_size({"width": PHONE, "height": 844})
        await markdown.shown(text_of(page))
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        await kept(page, "documentation-phone", 9000, PHONE)


async def test_the_introduction_is_shown_as_it_is_written(bench: Bench) -> None:
    wanted = markdown.said(introduction())
    async with bench.page("info") as page:
        about = page.locator("supervisor-app-info ha-markdown")
        seen = await markdown.shown(about)
        await page.locator(f'a[href="https://github.com/{REPOSITORY}"]').first.wait_for()
        widths = await about.locator("img").evaluate_all("(all) => all.map((one) => one.naturalWidth)")
        await kept(page, "introduction", 3500)
    assert wanted.links
    assert wanted.images
    assert markdown.faults(wanted, seen) == []
    assert len(widths) == len(wanted.images)
    assert all(widths), "a picture is not there"


async def changelog(bench: Bench, installed: str) -> markdown.Text:
    """What is shown of it where a version is installed."""
    async with bench.page("info", told={"version": installed}) as page:
        await page.get_by_text("Changelog", exact=True).click()
        seen = await markdown.shown(page.locator("ha-dialog ha-markdown"))
        await kept(page, f"changelog-{installed}", 1400)
    return seen


async def test_the_changelog_is_shown_as_it_is_written(bench: Bench) -> None:
    """Without its title, which the dialog has."""
    wanted = markdown.said(texts()["changelog"].removeprefix("# Changelog\n"))
    assert wanted.headings
    assert markdown.faults(wanted, await changelog(bench, CONFIG["version"])) == []


async def test_the_changelog_of_an_update_ends_where_the_installed_version_begins(bench: Bench) -> None:
    seen = await changelog(bench, "0.1.0")
    assert f"2 {CONFIG['version']}" in seen.headings
    assert "2 0.1.0" not in seen.headings


async def test_what_is_broken_is_found(bench: Bench) -> None:
    """The frontend leaves links out that are neither absolute nor anchors."""
    async with bench.page("documentation", texts={"documentation": BROKEN}) as page:
        seen = await markdown.shown(text_of(page))
    found = markdown.faults(markdown.said(f"{BROKEN}\n## Lost\n\n```\nlost\n```\n"), seen)
    assert found[:6] == [
        "heading: '2 Lost' is shown as None",
        "table: [['a', 'b'], ['one', 'two', 'three']] is shown as [['a', 'b'], ['`one', 'two`']]",
        "code: 'lost' is shown as None",
        "link: 'docs/wiring.md' is shown as ''",
        "image: 'docs/page.png' is shown as ''",
        "leads nowhere: #a-page",
    ]
    assert any(one.startswith("raw: ") and "--- table" in one for one in found), found


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_form_has_the_rows_of_its_schema(bench: Bench, language: str) -> None:
    """Each with its name in the language, the element for its kind, and marked as required only where it is."""
    wanted = form.Form(language)
    async with bench.page("config", language=language) as page:
        assert await form.shown(form.top(page)) == wanted.rows()
        for section in (row for row in CONFIG["options"] if isinstance(CONFIG["schema"][row], dict)):
            opened = await form.opened(page, wanted.name(section))
            assert await form.shown(opened) == wanted.of(section), section
        await kept(page, f"form-{language}", 7000)
        bus = await form.shown(await form.entry(page))
        await kept(page, f"form-{language}-bus", 2000)
    assert bus == wanted.of("buses")
    names = CONFIG["schema"]["buses"][0]
    assert [key for key, row in zip(names, bus, strict=True) if row.required] == ["name", "strategy"]
    assert bus[list(names).index("strategy")].kind == "ha-selector-select"
