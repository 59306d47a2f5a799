"""What the server says in English has words in every other language of the page; found by the syntax of the sources."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from jkbms_addon.acquisition import diagnosis, ttl_line
from jkbms_addon.doctor.scan import UNANSWERED
from jkbms_addon.link import can
from tests.page.browser import MARKS
from tests.page.stage import Stage, batteries, served
from tests.page.test_browser import visit

PACKAGE = Path(diagnosis.__file__).parents[1]
SAID = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (PACKAGE / "page/web/said").glob("*.json")}
# where limits and who counts get their reasons
SOURCES = [
    *(
        "charging/" + name
        for name in ("cell_limits", "current", "derating", "sharing", "silence", "slew", "told_charge")
    ),
    *("charging/" + name for name in ("decide", "voltage", "kept_owner", "asleep", "proposal")),
    *(
        "bank/bank",
        "bank/candidate",
        "bank/membership",
        "inverter/emission",
        "inverter/responder",
        "inverter/sender",
        "inverter/bounds",
        "inverter/watch",
    ),
]
# not a reason that the page shows, or a part of one that is made whole in the next line
APART = {
    "inverter: %s",
    "inverter: sending on %s",
    "inverter: nothing is sent: %s",
    "inverter: answering on %s",
    "inverter: nothing is said: %s",
    "discharge {}",
    " fell out; before that: ",
    " and ",
    "{} limited to {} A: {}",  # charge or discharge
    "{} stopped: {}",
    "{} MOSFET of pack {} off",
    ", with an offset of {} V",
    "{}, but ",
    "the {}-voltage protection of pack {} is not known",  # under or over
    "the {} over-current setting of pack {} is not known",
    ", {} packs together",
    "{}{}, times {}",
    "{}a restart may undo what was set: {}",
    "{} V, {} V {} the others",  # above or below
    "pack {}: {} unknown",  # of two that are known
    "JK BMS {}",
    "JK BMS {} {}",
    # answers to a press, told as they are
    "the battery was not empty when it was last heard",
    "its last temperature was {}",
    "below {} °C",
    "batteries are heard",
    "no battery was ever heard",
    "{} is out of its range",
    # findings, which have words of their own
    "the inverter's meter reads more than 0.6 V high: measure at its terminals",
    "on {} days charging ended with more than {} mV between the cells",
}


def sentences(file: str) -> Iterator[str]:
    """Texts in a module with a space in them, with {} for what is put in; neither docstrings nor parts of others."""
    tree = ast.parse((PACKAGE / f"{file}.py").read_text(encoding="utf-8"))
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for one in whole for part in ast.walk(one) if part is not one}
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts | prose:
            yield node.value


def known(text: str, table: dict[str, str]) -> bool:
    """Whether the page has words for it, as one of its patterns or as several."""
    if text in table:
        return True
    return any(re.fullmatch(".+?".join(map(re.escape, one.split("{}"))), text) for one in table if one.strip("{}, "))


@pytest.mark.parametrize("language", SAID)
@pytest.mark.parametrize("file", SOURCES)
def test_every_reason_has_words(file: str, language: str) -> None:
    told = {text for text in sentences(file) if re.search(r"[a-z]{2,} |[a-z]{2,}: ", text)} - APART
    assert {text for text in told if not known(text.strip(), SAID[language])} == set()


@pytest.mark.parametrize("language", SAID)
def test_every_trouble_has_words(language: str) -> None:
    reasons = [*diagnosis.REASONS.values(), *ttl_line.REASONS.values(), UNANSWERED]
    texts = {text for one in reasons for text in (one.symptom, one.cause, one.remedy)} | set(can._TEXTS.values())
    assert {text for text in texts if not known(text, SAID[language])} == set()


def test_the_languages_say_the_same() -> None:
    assert set(SAID) == {"de", "fr"}
    assert SAID["de"].keys() == SAID["fr"].keys()
    for table in SAID.values():
        for text, to in table.items():
            assert set(re.findall(r"\{(\d)\}", to)) == {str(n) for n in range(text.count("{}"))}, text


SENTENCES = {
    "rising (then 360 A: over-current setting of pack 1, 100 A)": (
        "steigt (dann 360 A: Überstrom-Einstellung von Pack 1, 100 A)"
    ),
    "charge limited to 40.5 A: cell 2-11 at 3.52 V": "Laden begrenzt auf 40,5 A: Zelle 2-11 bei 3,52 V",
    "charge up to 55.2 V: requested voltage of pack 3, with an offset of -0.1 V": (
        "laden bis 55,2 V: Wunschspannung von Pack 3, mit einem Aufschlag von -0,1 V"
    ),
    "its answers arrive cut or damaged (287 of 300 bytes)": (
        "seine Antworten kommen abgeschnitten oder beschädigt an (287 von 300 Bytes)"
    ),
    "10.0.0.9:8899: the gateway sends nothing": "10.0.0.9:8899: der Umsetzer sendet nichts",
    "something new: that nobody knows": "something new: that nobody knows",
}


class TestInTheBrowser:
    """By the page's own module."""

    pytestmark = MARKS

    async def test_sentences_within_sentences(self, browser: Browser, tmp_path: Path) -> None:
        stage = Stage(tmp_path, batteries(3))
        async with served(stage) as place, visit(browser, f"http://127.0.0.1:{place.port}/", locale="de-DE") as seen:
            await expect(seen.page.locator(".told dl")).to_contain_text("Wunschspannung von Pack 1", timeout=20_000)
            found = await seen.page.evaluate(
                "(all) => import(document.querySelector('script[type=module]').src.replace('app.js', 'format.js'))"
                ".then(({said}) => all.map(said))",
                list(SENTENCES),
            )
            assert found == list(SENTENCES.values())
            assert seen.wrong == []
