"""``python -m tests.page.shots [FOLDER]``: pictures of the page for README.md and DOCS.md; ``--all`` takes more."""

import argparse
import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from tests.page.browser import CHROMIUM, FLAGS
from tests.page.first_hour import installed, played
from tests.page.stage import Stage, batteries, served

DOCS = Path(__file__).parent.parent.parent / "docs"
WIDTHS = {1280: 900, 390: 844}
# page, width, theme, and how much of it is shown: pictures of the manual are small
SHOWN = (
    ("overview", 1280, "light", 1000),
    ("overview", 390, "dark", 1180),
    ("cells", 1280, "dark", 1000),
    ("pack/garage/3", 1280, "light", 700),
    ("settings", 1280, "light", 1000),
    ("inverter", 1280, "dark", 900),
    ("doctor", 1280, "light", 1000),
)


def stage(folder: Path, count: int, cells: int = 16) -> Stage:
    """An installation with something to look at."""
    packs = batteries(count, cells)
    built = Stage(folder, packs, inverter=count != 4, level="protections")
    built.past()
    if count > 8:
        built.silence(packs[8], 192)
    for _ in range(6):
        built.feed()
    return built


async def picture(
    browser: Browser, url: str, path: Path, width: int, theme: str, language: str = "en-GB", most: int = 0
) -> None:
    """One page, whole or its first ``most`` pixels, without its bars in the middle of it."""
    page = await browser.new_page(
        viewport={"width": width, "height": WIDTHS[width]},
        color_scheme="dark" if theme == "dark" else "light",
        device_scale_factor=1 if width > 600 else 1.25 if most else 2,
        locale=language,
    )
    await page.goto(url)
    await page.wait_for_selector("jk-plot canvas, .first, table.settings, .limits, .answers", timeout=15000)
    await page.wait_for_timeout(1200)
    if url.endswith("#settings"):
        await change(page)
    if url.endswith("#doctor"):
        await page.get_by_role("button", name="Bytes live").first.click()
        await page.wait_for_selector(".bytes li >> nth=8")
        await page.wait_for_timeout(6000)
    height = most or await page.evaluate("document.documentElement.scrollHeight")
    await page.set_viewport_size({"width": width, "height": height})
    await page.wait_for_timeout(500)
    await page.screenshot(path=path)
    await page.close()


async def change(page: Page) -> None:
    """Two settings changed, up to their review."""
    await page.get_by_role("button", name="Unlock for 10 minutes").click()
    await page.get_by_role("button", name="Garage 6, Charge OCP:").click()
    await page.fill(".edit input", "100")
    await page.press(".edit input", "Enter")
    await page.get_by_role("button", name="Garage 5, Balancing switch:").click()
    await page.get_by_role("button", name="Review").click()


async def hour(browser: Browser, folder: Path) -> None:
    """The first hour of a new owner, step by step."""
    page = await browser.new_page(viewport={"width": 900, "height": 620}, color_scheme="light", locale="en-GB")
    page.set_default_timeout(15_000)

    async def step(name: str) -> None:
        await page.wait_for_timeout(1200)
        await page.screenshot(path=folder / f"first-hour-{name}.png")

    with tempfile.TemporaryDirectory() as data:
        async with installed(Path(data)) as home:
            await played(page, home.front.url, step)
    await page.close()


async def inverter(browser: Browser, folder: Path) -> None:
    """Limits and dry run of the set-up of a first inverter."""
    page = await browser.new_page(viewport={"width": 900, "height": 700}, color_scheme="light", locale="en-GB")
    page.set_default_timeout(15_000)
    with tempfile.TemporaryDirectory() as data:
        (Path(data) / "options.json").write_text('{"buses": []}', encoding="utf-8")
        async with served(stage(Path(data), 4)) as place:
            await page.goto(f"http://127.0.0.1:{place.port}/#inverter")
            await page.locator(".choice label").filter(has_text="Deye, Sunsynk").click()
            await page.locator(".foot .primary").click()
            await page.locator(".choice label").last.click()
            await page.get_by_label("Interface or port").fill("can1")
            for name, height in (("limits", 860), ("rehearsal", 1120)):
                await page.set_viewport_size({"width": 900, "height": height})
                await page.locator(".foot .primary").click()
                await page.wait_for_selector("#inv-charge_voltage" if name == "limits" else ".frames")
                await page.wait_for_timeout(800)
                await page.screenshot(path=folder / f"inverter-setup-{name}.png")
    await page.close()


async def shoot(folder: Path, *, everything: bool) -> None:
    """All pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as tool:
        browser = await tool.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with tempfile.TemporaryDirectory() as data:
            nine = stage(Path(data), 9)
            with nine.talking():
                async with served(nine) as place:
                    url = f"http://127.0.0.1:{place.port}/"
                    for page, width, theme, most in SHOWN:
                        name = f"page-{page.split('/')[0]}-{width}.png"
                        await picture(browser, f"{url}#{page}", folder / name, width, theme, most=most)
                    if everything:
                        for page in ("overview", "cells", "pack/garage/3", "pack/cellar/3"):
                            for width in WIDTHS:
                                for theme in ("light", "dark"):
                                    name = f"all-{page.replace('/', '-')}-{width}-{theme}.png"
                                    await picture(browser, f"{url}#{page}", folder / name, width, theme)
                        for language in ("de-DE", "fr-FR"):
                            await picture(
                                browser, url, folder / f"all-overview-390-{language}.png", 390, "light", language
                            )
                            await picture(
                                browser, url, folder / f"all-overview-1280-{language}.png", 1280, "light", language
                            )
        await hour(browser, folder)
        await inverter(browser, folder)
        for count, cells in ((1, 16), (4, 32), (15, 8), (0, 16)) if everything else ():
            with tempfile.TemporaryDirectory() as data:
                async with served(stage(Path(data), count, cells)) as place:
                    for width in WIDTHS:
                        for page in ("overview", "cells"):
                            path = folder / f"all-{count}-{page}-{width}.png"
                            await picture(browser, f"http://127.0.0.1:{place.port}/#{page}", path, width, "light")
        await browser.close()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.page.shots")
    parser.add_argument("folder", nargs="?", type=Path, default=DOCS)
    parser.add_argument("--all", action="store_true", help="every page, width and theme, 1, 4 and 15 packs")
    args = parser.parse_args()
    asyncio.run(shoot(args.folder, everything=args.all))


if __name__ == "__main__":
    main()
