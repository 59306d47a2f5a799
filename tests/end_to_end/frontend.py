"""The real frontend in a browser: logged in, in a language, with a Supervisor that answers (``supervisor.py``)."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from playwright.async_api import Browser, Page, async_playwright

from tests.end_to_end import supervisor
from tests.end_to_end.home_assistant import HomeAssistant
from tests.end_to_end.stage import ROOT
from tests.page.browser import CHROMIUM, FLAGS

if TYPE_CHECKING:
    from playwright.async_api import ConsoleMessage, Route

WIDTH = 1280
PICTURES = f"https://raw.githubusercontent.com/{supervisor.REPOSITORY}/main/"


def stored(ha: HomeAssistant, **kept: object) -> str:
    """Run in a page before its own scripts: the frontend finds its token, and what else it keeps, where it keeps it."""
    tokens = {
        "hassUrl": ha.url,
        "clientId": f"{ha.url}/",
        "access_token": ha.token,
        "token_type": "Bearer",
        "expires": 4102444800000,  # ms since 1970, far ahead
        "expires_in": 315360000,
        "refresh_token": "",
    }
    items = {key: json.dumps(value) for key, value in {"hassTokens": tokens, **kept}.items()}
    return f"for (const [key, value] of Object.entries({json.dumps(items)})) localStorage.setItem(key, value);"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


async def _picture(route: "Route") -> None:
    """A picture of README.md, as it will be there."""
    await route.fulfill(path=ROOT / route.request.url.removeprefix(PICTURES))


@asynccontextmanager
async def page_of_app(
    browser: Browser,
    ha: HomeAssistant,
    name: str,
    *,
    language: str = "en",
    texts: Mapping[str, str] | None = None,
    told: Mapping[str, object] | None = None,
) -> AsyncIterator[tuple[Page, list[str]]]:
    """One of the pages that Home Assistant has for an app, and what the browser complains about meanwhile.

    ``told`` is what a Supervisor tells of the app where it is not as usual.
    """
    context = await browser.new_context(viewport={"width": WIDTH, "height": 1400})
    wrong: list[str] = []

    def said(one: "ConsoleMessage") -> None:
        if one.type == "error":
            wrong.append(one.text)

    try:
        await context.route(f"{PICTURES}**", _picture)
        page = await context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", said)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        app = {**supervisor.app(language), **(told or {})}
        answers = supervisor.script(supervisor.known(app), texts or supervisor.texts())
        await page.add_init_script(stored(ha, selectedLanguage=language, dockedSidebar="always_hidden") + answers)
        await page.goto(f"{ha.url}/config/app/{supervisor.SLUG}/{name}")
        yield page, wrong
    finally:
        await context.close()
