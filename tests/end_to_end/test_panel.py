"""The page in the side bar of a real Home Assistant: shown, alive, in its theme and language, on desk and phone."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Frame, async_playwright, expect

from tests.end_to_end.home_assistant import needs_home_assistant
from tests.end_to_end.panel import SideBar, needs_its_folder, side_bar
from tests.page.browser import CHROMIUM, FLAGS

if TYPE_CHECKING:
    from playwright.async_api import Browser, ConsoleMessage

pytestmark = [
    pytest.mark.home_assistant,
    needs_home_assistant,
    needs_its_folder,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
PICTURES = os.environ.get("PICTURES")  # a folder for them
OWN = "/api/hassio_ingress/"


@asynccontextmanager
async def panel(
    browser: "Browser", bar: SideBar, width: int, *, language: str = "en", dark: bool = False
) -> AsyncIterator[tuple[Frame, list[str]]]:
    """Our page in the frame, and what went wrong in it."""
    context = await browser.new_context(viewport={"width": width, "height": 844})
    try:
        page = await context.new_page()
        page.set_default_timeout(60_000)
        wrong: list[str] = []

        def said(one: "ConsoleMessage") -> None:
            if one.type == "error" and OWN in str(one.location):
                wrong.append(one.text)

        page.on("console", said)
        await page.add_init_script(bar.script(language, dark=dark))
        await page.goto(bar.url)
        element = await page.wait_for_selector("iframe")
        frame = await element.content_frame() if element else None
        assert frame
        await frame.wait_for_selector(".pack >> nth=3")
        await frame.wait_for_selector("jk-plot canvas")
        if PICTURES:
            name = f"panel-{language}-{width}-{'dark' if dark else 'light'}.png"
            await page.screenshot(path=Path(PICTURES) / name)
        yield frame, wrong
    finally:
        await context.close()


async def test_in_the_side_bar(tmp_path: Path) -> None:
    async with side_bar(tmp_path) as bar, async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for width in (1280, 390):
            for dark in (False, True):
                async with panel(browser, bar, width, dark=dark) as (frame, wrong):
                    color = await frame.evaluate("getComputedStyle(document.body).backgroundColor")
                    light = sum(int(one) for one in color.strip("rgba()").split(",")[:3]) > 3 * 128
                    assert light is not dark, color
                    wide = await frame.evaluate("document.documentElement.scrollWidth - innerWidth")
                    assert wide <= 0
                    assert wrong == []
        async with panel(browser, bar, 1280, language="de") as (frame, wrong):
            await expect(frame.locator(".flow")).to_contain_text("Lädt mit")
            before = await frame.inner_text(".flow")
            for pack in bar.stage.packs:
                pack.current = -60.0
            await expect(frame.locator(".flow")).not_to_have_text(before, timeout=5000)
            await expect(frame.locator(".flow")).to_contain_text("Entlädt")
            assert wrong == []
        await browser.close()
