"""From an empty installation to four batteries shown, without a line of YAML, played in Debian's Chromium."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.page.browser import MARKS
from tests.page.first_hour import installed, played
from tests.page.test_browser import visit

pytestmark = MARKS


@pytest.mark.parametrize("width", [1280, 390])
async def test_from_an_empty_installation_to_four_packs(browser: Browser, tmp_path: Path, width: int) -> None:
    steps = []
    async with installed(tmp_path) as home, visit(browser, "about:blank", width, locale="en-GB") as seen:

        async def step(name: str) -> None:
            steps.append(name)
            assert await seen.axe() == [], name
            assert await seen.overflow() <= 0, name

        await played(seen.page, home.front.url, step)
        assert steps == ["start", "scan", "entry", "review", "packs"]
        (bus,) = home.far.options["buses"]
        assert bus == {"name": "rs485", "strategy": "master", "port": home.bus.port, "addresses": "1-4"}
        assert home.starts == 2
        packs = seen.page.locator(".pack")
        await expect(packs).to_have_count(4)
        for n in range(4):
            await expect(packs.nth(n)).to_contain_text(f"Pack {n + 1}")
        assert [one for one in seen.wrong if "ebSocket" not in one] == []
