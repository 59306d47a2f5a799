"""The Supervisor asked and told, one that behaves and one that does not."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from jkbms_addon.errors import AddonError, CommandError, LinkError
from jkbms_addon.page import supervisor as asked
from jkbms_addon.page.supervisor import Home
from tests.conftest import free_port
from tests.page.supervisor import JUNK, TOKEN, Imitation, supervisor


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[Imitation]:
    monkeypatch.setenv("SUPERVISOR_TOKEN", TOKEN)
    monkeypatch.setattr(asked, "PATIENCE", 0.5)
    monkeypatch.setattr(asked, "TIMEOUT", 0.25)
    with supervisor() as found:
        yield found


async def test_options_are_read_saved_and_used(far: Imitation) -> None:
    restarts: list[int] = []
    far.restarted = lambda: restarts.append(1)
    home = Home(far.url)
    options = await home.options()
    assert options == far.options
    options["buses"][0]["name"] = "garage"
    options["buses"][0]["baudrate"] = 9600
    await home.save(options)
    assert far.options["buses"][0]["name"] == "garage"
    assert far.options["buses"][0]["baudrate"] == "9600"
    await home.restart()
    assert restarts == [1]
    assert far.asked == ["GET info", "POST options", "POST restart"]


async def test_its_own_words_are_told_where_it_refuses(far: Imitation) -> None:
    options = {**far.options, "buses": [{"strategy": "master"}]}
    with pytest.raises(CommandError, match="the Supervisor refuses: App jkbms has invalid options: Missing option"):
        await Home(far.url).save(options)
    far.mood = "forbidden"
    with pytest.raises(CommandError, match="the Supervisor refuses: status 403"):
        await Home(far.url).save(far.options)


@pytest.mark.parametrize("mood", JUNK)
async def test_junk_is_one_line(far: Imitation, mood: str) -> None:
    far.mood = mood
    home = Home(far.url)
    for ask in (home.options, lambda: home.save({}), home.restart):
        if mood == "no data" and ask is not home.options:
            continue  # where nothing is to be told, that is an answer
        with pytest.raises(AddonError) as told:
            await ask()
        assert len(str(told.value).splitlines()) == 1
        assert TOKEN not in str(told.value)


@pytest.mark.parametrize("mood", ["hang", "drip"])
async def test_it_is_not_waited_for_long(far: Imitation, mood: str) -> None:
    far.mood = mood
    home = Home(far.url)
    began = time.monotonic()
    with pytest.raises(LinkError, match="does not answer"):
        await home.options()
    assert time.monotonic() - began < 2
    far.mood = ""
    async with asyncio.timeout(5):
        while True:  # until the call that hung has ended by itself
            with suppress(LinkError):
                assert (await home.options())["buses"]
                break


async def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_TOKEN", TOKEN)
    with pytest.raises(LinkError, match="does not answer"):
        await Home(f"http://127.0.0.1:{free_port()}").options()


@pytest.mark.parametrize("method", ["options", "restart"])
async def test_a_wrong_token_is_a_refusal(far: Imitation, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setenv("SUPERVISOR_TOKEN", "another")
    ask: Any = getattr(Home(far.url), method)
    with pytest.raises(CommandError, match="403"):
        await ask()
