"""Options from the page: raw messages of its websocket, and an imitation of the Supervisor."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.page import options, supervisor
from jkbms_addon.page.options import ALONE, CHANGED
from jkbms_addon.page.supervisor import Home
from jkbms_addon.page.visitor import LOCKED
from tests.conftest import until
from tests.page import supervisor as imitation
from tests.page.stage import Stage, batteries, served
from tests.page.supervisor import JUNK, Imitation
from tests.page.test_asks import Client, client

PIN, PASSWORD = "471108", "geheim-4711"
BUS = {"name": "cellar", "strategy": "gateway", "host": "10.0.0.9", "tcp_port": 8899}


@dataclass
class Site:
    """The page, a Supervisor, and all that was ever said to the browser."""

    stage: Stage
    far: Imitation
    port: int

    def buses(self) -> list[str]:
        return [one["name"] for one in self.far.options["buses"]]

    def posted(self) -> bool:
        return any(one.startswith("POST") for one in self.far.asked)


class Witness(Client):
    """A client that keeps everything it hears."""

    heard = ""

    async def said(self, *kinds: str) -> dict[str, Any]:
        message = await super().said(*kinds)
        self.heard += json.dumps(message)
        return message


@asynccontextmanager
async def witness(port: int) -> AsyncIterator[Witness]:
    async with client(port) as found:
        page = Witness(found.socket)
        yield page
        for secret in (PIN, PASSWORD, imitation.TOKEN):
            assert secret not in page.heard


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setenv("SUPERVISOR_TOKEN", imitation.TOKEN)
    monkeypatch.setattr(supervisor, "PATIENCE", 1.0)
    monkeypatch.setattr(supervisor, "TIMEOUT", 0.5)
    stage = Stage(tmp_path, batteries(1))
    with imitation.supervisor() as far:
        far.options["buses"].append({"name": "roof", "strategy": "ble", "mac": "C8:47:80:12:34:56", "pin": PIN})
        far.options["mqtt"]["password"] = PASSWORD
        stage.sources.options.home = Home(far.url)
        async with served(stage) as place:
            yield Site(stage, far, place.port)


async def draft(page: Client, *more: dict[str, Any]) -> dict[str, Any]:
    """All buses as they are, and more."""
    told = await page.ask("options")
    return {"sum": told["sum"], "draft": [*({"was": n} for n in range(len(told["buses"]))), *more]}


# --- looking ----------------------------------------------------------------------------------------------
async def test_everybody_sees_the_buses_and_nobody_a_secret(site: Site) -> None:
    async with witness(site.port) as page:
        told = await page.ask("options")
        assert told["home"] is True
        assert [one["bus"]["name"] for one in told["buses"]] == ["rs485", "roof"]
        assert told["buses"][1]["kept"] == ["pin"]
        assert [one["key"] for one in told["forms"]["listen"]] == ["port", "baudrate"]
        assert told["pending"] is True  # other buses than those of the stage
        assert "proposed" not in told
    assert site.far.asked == ["GET info"]


async def test_an_entry_of_a_scan_has_its_place(site: Site) -> None:
    entry = {"name": "rs485", "strategy": "master", "port": "/dev/ttyUSB7", "addresses": "1-4"}
    async with witness(site.port) as page:
        assert (await page.ask("options", entry=entry))["proposed"] == {"was": 0, "bus": entry, "keep": []}
        for junk in (1, "x", ["y"], None):
            assert "proposed" not in await page.ask("options", entry=junk)


async def test_a_review_tells_what_changes_and_what_is_wrong(site: Site) -> None:
    async with witness(site.port) as page:
        wanted = await draft(page, {"bus": {**BUS, "tcp_port": 0}})
        told = await page.ask("options_review", **wanted)
        assert told["errors"] == [[2, "tcp_port", "must be a whole number from 1 to 65535"]]
        told = await page.ask("options_review", **(await draft(page, {"bus": BUS})))
        assert (told["errors"], told["notes"]) == ([], [])
        assert "+  - name: cellar" in told["diff"]
        assert "name: cellar" in told["text"]
    assert not site.posted()


# --- nothing without an unlock ----------------------------------------------------------------------------
async def test_nothing_is_saved_or_restarted_without_an_unlock(site: Site) -> None:
    async with witness(site.port) as page:
        wanted = await draft(page, {"bus": BUS})
        for kind in ("options_save", "restart"):
            answer = await page.ask(kind, **wanted)
            assert (answer["t"], answer["reason"]) == ("no", LOCKED)
        async with witness(site.port) as other:  # an unlock holds for its own connection
            await other.ask("unlock")
            assert (await page.ask("options_save", **wanted))["reason"] == LOCKED
        await page.ask("unlock")
        await page.ask("lock")
        assert (await page.ask("options_save", **wanted))["reason"] == LOCKED
    assert not site.posted()


async def test_a_lock_in_the_middle_keeps_from_saving(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with witness(site.port) as page:
        wanted = await draft(page, {"bus": BUS})
        await page.ask("unlock")
        gate, place = asyncio.Event(), options.Place.worked

        async def slow(self: options.Place, work: Any) -> Any:
            gate.set()
            await asyncio.sleep(0.3)
            return await place(self, work)

        monkeypatch.setattr(options.Place, "worked", slow)
        await page.send("options_save", **wanted)
        number = page.number
        await gate.wait()
        await page.send("lock")
        answers = {}
        while number not in answers:
            told = await page.said("no", "lock", "saved")
            answers[told["id"]] = told
        assert answers[number]["reason"] == LOCKED
    assert not site.posted()


# --- saving -----------------------------------------------------------------------------------------------
async def test_saved_read_back_and_restarted(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    restarts: list[int] = []
    site.far.restarted = lambda: restarts.append(1)
    async with witness(site.port) as page:
        wanted = await draft(page, {"bus": BUS})
        await page.ask("unlock")
        told = await page.ask("options_save", **wanted)
        assert told["t"] == "saved", told
        assert (told["t"], told["kept"], told["pending"]) == ("saved", True, True)
        assert [one["bus"]["name"] for one in told["buses"]] == ["rs485", "roof", "cellar"]
        assert site.far.options["buses"][1]["pin"] == PIN
        assert site.far.options["mqtt"]["password"] == PASSWORD
        assert site.far.options["buses"][2] == BUS
        assert (await page.ask("restart"))["t"] == "told"
    assert restarts == [1]
    assert site.far.asked[-4:] == ["GET info", "POST options", "GET info", "POST restart"]
    assert "options: saved by page; they are used after a restart" in caplog.text


async def test_a_secret_is_kept_although_the_browser_does_not_know_it(site: Site) -> None:
    async with witness(site.port) as page:
        told = await page.ask("options")
        bus = {**told["buses"][1]["bus"], "mac": "C8:47:80:00:00:01"}
        await page.ask("unlock")
        rows = [{"was": 0}, {"was": 1, "bus": bus, "keep": ["pin"]}]
        assert (await page.ask("options_save", sum=told["sum"], draft=rows))["kept"] is True
        assert site.far.options["buses"][1] == {**bus, "pin": PIN}


async def test_what_is_wrong_is_not_saved(site: Site) -> None:
    async with witness(site.port) as page:
        wanted = await draft(page, {"bus": {**BUS, "tcp_port": 0}})
        await page.ask("unlock")
        told = await page.ask("options_save", **wanted)
        assert told["t"] == "review"
        assert told["errors"]
    assert not site.posted()


async def test_what_was_changed_elsewhere_meanwhile_is_not_overwritten(site: Site) -> None:
    async with witness(site.port) as page:
        wanted = await draft(page, {"bus": BUS})
        await page.ask("unlock")
        site.far.options["buses"][0]["interval"] = 5.0
        for kind in ("options_review", "options_save"):
            assert (await page.ask(kind, **wanted))["reason"] == CHANGED
        assert (await page.ask("options_save", draft=[]))["reason"] == CHANGED
    assert not site.posted()


async def test_of_two_who_save_at_once_one_is_refused(site: Site) -> None:
    async with witness(site.port) as page, witness(site.port) as other:
        for one in (page, other):
            await one.ask("unlock")
        first, second = await draft(page, {"bus": BUS}), await draft(other, {"bus": {**BUS, "name": "attic"}})
        told = await asyncio.gather(page.ask("options_save", **first), other.ask("options_save", **second))
        assert sorted(one["t"] for one in told) == ["no", "saved"]
        assert len(site.far.options["buses"]) == 3


async def test_what_the_supervisor_kept_otherwise_is_told(site: Site) -> None:
    async with witness(site.port) as page:
        wanted = await draft(page, {"bus": BUS})
        await page.ask("unlock")
        site.far.mood = "forgetful"
        assert (await page.ask("options_save", **wanted))["kept"] is False


# --- a Supervisor that does not do its part ---------------------------------------------------------------
async def test_its_refusal_is_told_without_secrets(site: Site) -> None:
    async with witness(site.port) as page:
        del site.far.options["log_level"]
        wanted = await draft(page, {"bus": BUS})
        await page.ask("unlock")
        told = await page.ask("options_save", **wanted)
        assert told["t"] == "no"
        assert "Missing option 'log_level'" in told["reason"]
        assert "Got" not in told["reason"]
    assert "cellar" not in site.buses()


@pytest.mark.parametrize("mood", ["hang", "forbidden", *sorted(JUNK.keys() - {"no data"})])
async def test_whatever_it_answers_the_page_says_so_and_goes_on(site: Site, mood: str) -> None:
    async with witness(site.port) as page:
        wanted = await draft(page, {"bus": BUS})
        await page.ask("unlock")
        site.far.mood = mood
        frames = site.stage.app.buses["garage"].frames
        for kind in ("options", "options_save"):
            async with asyncio.timeout(5):
                told = await page.ask(kind, **wanted)
            assert told["t"] == "no"
            assert told["reason"].startswith("the Supervisor ")
        await until(lambda: site.stage.app.buses["garage"].frames > frames)  # the buses do not wait for it
        site.far.mood = ""
        site.far.freed.set()
        assert (await page.ask("options"))["t"] == "options"
    assert site.buses() == ["rs485", "roof"]


async def test_a_save_without_an_answer_is_told(site: Site) -> None:
    async with witness(site.port) as page:
        wanted = await draft(page, {"bus": BUS})
        await page.ask("unlock")
        site.far.mood = "hang at save"
        assert (await page.ask("options_save", **wanted))["reason"] == supervisor.SLOW


async def test_a_restart_that_gives_no_answer_has_begun(site: Site) -> None:
    async with witness(site.port) as page:
        await page.ask("unlock")
        site.far.mood = "hang at save"
        assert (await page.ask("restart"))["t"] == "told"
        site.far.freed.set()
        site.far.mood = "forbidden"
        assert "403" in (await page.ask("restart"))["reason"]


async def test_one_question_at_a_time(site: Site) -> None:
    async with witness(site.port) as page:
        site.far.mood = "hang"
        await page.send("options")
        assert (await page.ask("options"))["reason"].startswith("the answer to the question before")


# --- without a Supervisor ---------------------------------------------------------------------------------
@pytest.fixture
async def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Path, int]]:
    monkeypatch.delenv("SUPERVISOR_TOKEN", raising=False)
    file = tmp_path / "options.json"
    buses = [{"name": "roof", "strategy": "ble", "mac": "C8:47:80:12:34:56", "pin": PIN}]
    file.write_text(json.dumps({"buses": buses, "mqtt": {"password": PASSWORD}}))
    async with served(Stage(tmp_path, batteries(1))) as place:
        yield file, place.port


async def test_without_a_supervisor_there_is_text_to_paste(alone: tuple[Path, int]) -> None:
    file, port = alone
    before = file.read_text()
    async with witness(port) as page:
        told = await page.ask("options")
        assert (told["home"], told["buses"][0]["bus"]["name"]) == (False, "roof")
        wanted = {"sum": told["sum"], "draft": [{"was": 0}, {"bus": BUS}]}
        review = await page.ask("options_review", **wanted)
        assert [one["name"] for one in json.loads(f"{{{review['json']}}}")["buses"]] == ["roof", "cellar"]
        await page.ask("unlock")
        assert (await page.ask("options_save", **wanted))["reason"] == ALONE
        assert (await page.ask("restart"))["reason"] == ALONE
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "they are no JSON"),
        ("{", "they are no JSON"),
        ("[" * 100_000, "they are no JSON"),
        ("[]", "they are no object"),
        ('{"buses": 1}', ""),
        (None, "No such file or directory"),
    ],
)
async def test_a_file_that_cannot_be_used_is_told(alone: tuple[Path, int], text: str | None, why: str) -> None:
    file, port = alone
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    async with witness(port) as page:
        answer = await page.ask("options")
    assert answer["t"] == "no"
    assert answer["reason"].endswith(why)


async def test_whatever_stands_in_the_file_can_be_told(alone: tuple[Path, int]) -> None:
    file, port = alone
    file.write_text('{"buses": [{"name": "a", "strategy": "\\ud800", "interval": NaN, "port": [1]}, 5]}')
    async with witness(port) as page:
        told = await page.ask("options")
        assert told["buses"][0]["bus"]["interval"] == "nan"
        wanted = {"sum": told["sum"], "draft": [{"was": 0}, {"was": 1}, {"bus": {**BUS, "name": "b\ud800"}}]}
        assert (await page.ask("options_review", **wanted))["t"] == "review"
