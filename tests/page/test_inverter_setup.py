"""The set-up of a first inverter: raw messages of the websocket, simulated packs, an imitation of the Supervisor."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.app import App
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.dialects.menus import PROFILES
from jkbms_addon.options.file import parse
from jkbms_addon.page import supervisor
from jkbms_addon.page.options import ALONE, CHANGED
from jkbms_addon.page.supervisor import Home
from jkbms_addon.page.visitor import LOCKED
from tests.conftest import until
from tests.page import supervisor as imitation
from tests.page.stage import Stage, batteries, served
from tests.page.supervisor import Imitation
from tests.page.test_options import PASSWORD, PIN, Witness, witness

SECTION: dict[str, Any] = {
    "protocol": "pylontech",
    "channel": "can1",
    "set_up_link": True,
    "charge_voltage": 3.45,
    "max_charge_current": 150,
}
SAVED = {
    "inverter": {**SECTION, "confirmed": True},
    "inverter_details": {"float_voltage": 3.35},
}


@dataclass
class Site:
    """The page, a Supervisor, and packs without an inverter."""

    stage: Stage
    far: Imitation
    port: int

    def posted(self) -> bool:
        return any(one.startswith("POST") for one in self.far.asked)


@asynccontextmanager
async def opened(folder: Path, count: int = 4, cells: int = 16) -> AsyncIterator[Site]:
    stage = Stage(folder, batteries(count, cells), inverter=False)
    with imitation.supervisor() as far:
        far.options["buses"].append({"name": "roof", "strategy": "ble", "mac": "C8:47:80:12:34:56", "pin": PIN})
        far.options["mqtt"]["password"] = PASSWORD
        stage.sources.options.home = Home(far.url)
        async with served(stage) as place:
            yield Site(stage, far, place.port)


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setenv("SUPERVISOR_TOKEN", imitation.TOKEN)
    monkeypatch.setattr(supervisor, "PATIENCE", 1.0)
    monkeypatch.setattr(supervisor, "TIMEOUT", 0.5)
    async with opened(tmp_path) as found:
        yield found


async def rehearsed(page: Witness, **changes: Any) -> dict[str, Any]:
    total = (await page.ask("inverter_setup"))["sum"]
    return await page.ask("inverter_rehearse", sum=total, inverter={**SECTION, **changes})


async def draft(page: Witness, **changes: Any) -> dict[str, Any]:
    total = (await page.ask("inverter_setup"))["sum"]
    return {"sum": total, "draft": {"inverter": {**SECTION, "confirmed": True, **changes}}}


# --- what there is to choose ------------------------------------------------------------------------------
async def test_menus_protocols_and_limits_are_told(site: Site) -> None:
    async with witness(site.port) as page:
        told = await page.ask("inverter_setup")
        assert (told["t"], told["home"], told["named"], told["missing"]) == ("inverter_setup", True, [], [])
        assert [one["key"] for one in told["profiles"]] == list(PROFILES)
        assert told["dialects"].keys() == DIALECTS.keys()
        assert {one for profile in told["profiles"] for one in profile["protocols"]} == DIALECTS.keys()
        assert told["dialects"]["pylontech_rs485"]["port"] == "serial"
        assert [one["pack"] for one in told["packs"]] == ["garage/1", "garage/2", "garage/3", "garage/4"]
        assert {(one["cells"], one["kind"], one["charge_voltage"]) for one in told["packs"]} == {(16, "LFP", 3.45)}
        assert told["proposal"]["charge_voltage"] == [3.45, "requested voltage of pack 1"]
        assert told["proposal"]["max_charge_current"][0] == 360
        assert told["proposal"]["max_discharge_current"][0] == 540
        assert len(json.dumps(told)) < 24_000


async def test_what_stands_in_the_options_already_is_not_exceeded(site: Site) -> None:
    site.far.options["inverter"] |= {"max_charge_current": 80.0}
    site.far.options["inverter_details"] = {"soc_limit": 90.0}
    async with witness(site.port) as page:
        told = await page.ask("inverter_setup")
        assert told["proposal"]["max_charge_current"] == [80, "as it stands in the options"]
        assert told["proposal"]["max_discharge_current"][0] == 540
        await page.ask("unlock")
        assert (await page.ask("options_save", **(await draft(page))))["t"] == "saved"
    assert site.far.options["inverter_details"]["soc_limit"] == 90


async def test_a_silent_pack_is_named(site: Site) -> None:
    site.stage.silence(site.stage.packs[3], 192)
    await until(lambda: bool(site.stage.control.state.excluded))
    async with witness(site.port) as page:
        told = await page.ask("inverter_setup")
        assert len(told["packs"]) == 3
        ((pack, why),) = told["missing"]
        assert (pack, why[:10]) == ("garage/4", "silent for")
        assert told["proposal"]["max_charge_current"][0] == 270


# --- the rehearsal ----------------------------------------------------------------------------------------
async def test_frames_with_their_meaning_and_limits_with_their_reasons(site: Site) -> None:
    async with witness(site.port) as page:
        told = await rehearsed(page)
        assert (told["t"], told["errors"], told["why"], told["off"]) == ("inverter_rehearsal", [], "", "")
        frames = {one["id"]: one for one in told["frames"]}
        assert list(frames) == ["0x359", "0x351", "0x355", "0x356", "0x35C", "0x35E"]
        assert frames["0x351"]["bytes"].startswith("28 02 DC 05 ")  # 55.2 V and 150.0 A
        assert frames["0x351"]["says"][:2] == [["charge_voltage", 55.2, "V", 1], ["charge_current", 150.0, "A", 1]]
        assert frames["0x35E"]["says"] == [["manufacturer", "PYLON", "", 0]]
        assert told["limits"]["charge_current"] == [150, "charge limited to 150 A: charge current of the owner"]
        assert told["otherwise"] == []


@pytest.mark.parametrize("protocol", DIALECTS)
async def test_every_protocol_can_be_rehearsed(site: Site, protocol: str) -> None:
    channel = "/dev/ttyUSB5" if DIALECTS[protocol].port == "serial" else "can1"
    async with witness(site.port) as page:
        told = await rehearsed(page, protocol=protocol, channel=channel)
        assert told["errors"] == []
        assert len(told["frames"]) >= min(6, len(DIALECTS[protocol].messages) or 6)
        assert any(one["says"] for one in told["frames"])


async def test_nothing_of_the_running_program_is_touched(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    control = site.stage.control
    before = control.owner, control.options, control.decision(site.stage.app.store.clock())
    async with witness(site.port) as page:
        await rehearsed(page)
    after = control.owner, control.options, control.decision(site.stage.app.store.clock())
    assert before[:2] == after[:2]
    assert (before[2] and before[2].reasons) == (after[2] and after[2].reasons)
    assert not site.posted()
    assert "charging:" not in caplog.text
    assert list(site.stage.sources.outlets) == []


@pytest.mark.parametrize(
    ("changes", "key", "text"),
    [
        ({"charge_voltage": 99}, "charge_voltage", "99 is not a voltage per cell from 1.2 to 4.4"),
        ({"max_charge_current": 1e9}, "max_charge_current", "1000000000.0 is not a current from 0 to 3000"),
        ({"channel": ""}, "channel", "is missing"),
        ({"protocol": "solax"}, "protocol", "must be one of "),
        ({"protocol": "pylontech_rs485"}, "channel", "must be the path of an RS485 adapter"),
        ({"confirmed": 1}, "confirmed", "must be true or false"),
        ({"set_up_link": "yes"}, "set_up_link", "must be true or false"),
    ],
)
async def test_what_is_wrong_is_told_by_its_option(site: Site, changes: Any, key: str, text: str) -> None:
    async with witness(site.port) as page:
        ((where, line),) = (await rehearsed(page, **changes))["errors"]
        assert where == key
        assert line.startswith(text)


@pytest.mark.parametrize(
    "text", ["NaN", "1e999", "-Infinity", "1" + "0" * 400, "[1]", '{"a": 1}', '"' + "x" * 999 + '"']
)
async def test_absurd_values_get_one_line_that_names_the_option(site: Site, text: str) -> None:
    async with witness(site.port) as page:
        total = (await page.ask("inverter_setup"))["sum"]
        for kind, where in (("inverter_rehearse", '"inverter":{%s}'), ("options_review", '"draft":{"inverter":{%s}}')):
            page.number += 1
            inside = where % f'"protocol":"pylontech","charge_voltage":{text}'
            await page.socket.send(f'{{"t":"{kind}","id":{page.number},"sum":"{total}",{inside}}}')
            told = await page.said("no")
            assert told["reason"] == "inverter: charge_voltage: must be a short text, a number, or true and false"
        assert (await page.ask("inverter_setup"))["t"] == "inverter_setup"


@pytest.mark.parametrize("inverter", [None, [], 1, "x", {"x": 1}, {"protocol": None}])
async def test_what_is_no_draft_is_refused(site: Site, inverter: object) -> None:
    async with witness(site.port) as page:
        total = (await page.ask("inverter_setup"))["sum"]
        told = await page.ask("inverter_rehearse", sum=total, inverter=inverter)
        assert told["t"] == "no" or told["errors"] == [["protocol", "is missing"]]


async def test_what_was_changed_elsewhere_meanwhile_is_told(site: Site) -> None:
    async with witness(site.port) as page:
        wanted = await draft(page)
        await page.ask("unlock")
        site.far.options["log_level"] = "debug"
        assert (await page.ask("inverter_rehearse", sum=wanted["sum"], inverter=SECTION))["reason"] == CHANGED
        for kind in ("options_review", "options_save"):
            assert (await page.ask(kind, **wanted))["reason"] == CHANGED
        assert (await page.ask("inverter_rehearse", inverter=SECTION))["reason"] == CHANGED
    assert not site.posted()


async def test_one_question_at_a_time(site: Site) -> None:
    async with witness(site.port) as page:
        site.far.mood = "hang"
        await page.send("inverter_setup")
        answer = await page.ask("inverter_rehearse", sum="", inverter=SECTION)
        assert answer["reason"].startswith("the answer to the question before")


@pytest.mark.parametrize("mood", ["hang", "forbidden", "html", "deep", "nothing"])
async def test_a_supervisor_that_does_not_answer_is_told(site: Site, mood: str) -> None:
    async with witness(site.port) as page:
        site.far.mood = mood
        async with asyncio.timeout(5):
            assert (await page.ask("inverter_setup"))["reason"].startswith("the Supervisor ")


# --- saving -----------------------------------------------------------------------------------------------
async def test_it_is_reviewed_saved_and_would_run(site: Site) -> None:
    before = {**site.far.options}
    async with witness(site.port) as page:
        wanted = await draft(page, float_voltage=3.35)
        told = await page.ask("options_review", **wanted)
        assert (told["errors"], told["notes"]) == ([], [])
        assert "+  protocol: pylontech" in told["diff"]
        assert told["text"].startswith("inverter:\n  protocol: pylontech\n")
        assert (await page.ask("options_save", **wanted))["reason"] == LOCKED
        assert not site.posted()
        await page.ask("unlock")
        told = await page.ask("options_save", **wanted)
        assert (told["t"], told["kept"], told["pending"]) == ("saved", True, True)
        assert (await page.ask("inverter_setup"))["named"][0]["protocol"] == "pylontech"
    assert site.far.options == {**before, **SAVED}
    assert site.far.options["buses"][1]["pin"] == PIN
    assert site.far.options["mqtt"]["password"] == PASSWORD
    app = App(parse(site.far.options), site.stage.folder)
    (outlet,) = app.inverter.outlets
    assert (outlet.options.emits, outlet.options.channel, app.inverter.problems) == (True, "can1", [])
    assert outlet.sender is not None


async def test_what_is_wrong_is_not_saved(site: Site) -> None:
    async with witness(site.port) as page:
        await page.ask("unlock")
        told = await page.ask("options_save", **(await draft(page, charge_voltage=99)))
        assert told["t"] == "review"
        assert told["errors"] == [["inverter", "charge_voltage", "99 is not a voltage per cell from 1.2 to 4.4"]]
    assert not site.posted()


async def test_where_there_is_one_no_other_is_set_up(site: Site) -> None:
    site.far.options["inverter"] = {"protocol": "victron", "channel": "can3", "confirmed": False}
    async with witness(site.port) as page:
        told = await page.ask("inverter_setup")
        assert told["named"] == [{"protocol": "victron", "channel": "can3", "confirmed": False, "problem": ""}]
        assert told["pending"] is True
        await page.ask("unlock")
        for kind in ("options_review", "options_save"):
            answer = await page.ask(kind, **(await draft(page)))
            assert answer["reason"] == "inverter: there is one in the options already; change it there"
    assert site.far.options["inverter"]["protocol"] == "victron"


# --- other installations ----------------------------------------------------------------------------------
@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_TOKEN", raising=False)


@asynccontextmanager
async def without_supervisor(folder: Path, stage: Stage, **raw: Any) -> AsyncIterator[Witness]:
    (folder / "options.json").write_text(json.dumps({"buses": [], **raw}))
    async with served(stage) as place, witness(place.port) as page:
        yield page


@pytest.mark.usefixtures("alone")
async def test_without_a_supervisor_there_is_text_to_paste(tmp_path: Path) -> None:
    async with without_supervisor(tmp_path, Stage(tmp_path, batteries(2), inverter=False)) as page:
        assert (await page.ask("inverter_setup"))["home"] is False
        wanted = await draft(page)
        told = await page.ask("options_review", **wanted)
        assert json.loads(f"{{{told['json']}}}") == {"inverter": SAVED["inverter"]}
        await page.ask("unlock")
        assert (await page.ask("options_save", **wanted))["reason"] == ALONE
    assert json.loads((tmp_path / "options.json").read_text()) == {"buses": []}


@pytest.mark.usefixtures("alone")
async def test_without_packs_nothing_is_proposed_and_nothing_would_be_told(tmp_path: Path) -> None:
    async with without_supervisor(tmp_path, Stage(tmp_path, [], inverter=False)) as page:
        told = await page.ask("inverter_setup")
        assert told["packs"] == []
        assert set(told["proposal"]["charge_voltage"]) == {None, "no battery counts now"}
        told = await rehearsed(page)
        assert (told["limits"], told["frames"], told["errors"]) == (None, [], [])
        assert told["why"] == "no battery has told all of its data yet"


@pytest.mark.usefixtures("alone")
async def test_eight_cells_are_told_as_eight_and_never_above_what_they_bear(tmp_path: Path) -> None:
    async with without_supervisor(tmp_path, Stage(tmp_path, batteries(2, 8), inverter=False)) as page:
        told = await page.ask("inverter_setup")
        assert [one["cells"] for one in told["packs"]] == [8, 8]
        assert told["proposal"]["charge_voltage"][0] == 3.45
        assert (await rehearsed(page))["limits"]["charge_voltage"][0] == 27.6
        told = await rehearsed(page, protocol="sma")
        assert told["frames"] == []
        assert "takes no charge voltage below 41 V" in told["why"]


@pytest.mark.usefixtures("alone")
async def test_the_owner_s_numbers_count_and_a_stop_is_told(tmp_path: Path) -> None:
    stage = Stage(tmp_path, batteries(2), inverter=False)
    stage.control.ask("max_charge_current", "40")
    stage.control.ask("stop", "")
    async with without_supervisor(tmp_path, stage) as page:
        told = await rehearsed(page)
        assert told["limits"]["charge_current"][0] == 40
        assert told["off"] == stage.control.kept.why_off != ""


@pytest.mark.usefixtures("alone")
async def test_a_program_that_stands_still_proposes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, batteries(2), inverter=False)
    async with without_supervisor(tmp_path, stage) as page:
        monkeypatch.setattr(type(stage.control), "hangs", lambda *_: True)
        assert (await page.ask("inverter_setup"))["packs"] == []
