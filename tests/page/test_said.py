"""What the server says in English has words in every other language of the page; found by the syntax of the sources."""

import ast
import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import get_args

import pytest
from playwright.async_api import Browser, expect

from jkbms_addon.acquisition import diagnosis, ttl_line
from jkbms_addon.charging.owner import NUMBERS
from jkbms_addon.charging.setpoints import GRID_CHARGE
from jkbms_addon.doctor.scan import UNANSWERED
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.dialects.dialect import Effect
from jkbms_addon.link import can
from jkbms_addon.page import parts
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
# where a press, a change, a scan or an option gets its answer, and what a link says of itself
ANSWERS = [
    *("page/" + name for name in ("asks", "doctor", "jobs", "scans", "options", "supervisor", "visitor", "report")),
    *("page/inverter_setup", "page/server"),
    *("commands/" + name for name in ("rules", "plan", "proposal", "queue", "deed", "verify", "verify_ttl", "command")),
    *("commands/" + name for name in ("routes", "audit", "backup")),
    *("acquisition/" + name for name in ("contract", "slot", "deeds", "foreign", "master", "gateway", "auto", "ble")),
    *("acquisition/can_broadcast", "charging/owner", "charging/control", "validators"),
    *("options/" + name for name in ("editor", "file", "first_inverter", "batteries")),
    *("doctor/" + name for name in ("scan", "sweep", "same", "air")),
    *("wire/pb/registers", "wire/pb/ble_registers", "wire/ttl/frames", "link/gatt", "link/stream"),
    *("link/complaints", "link/can_setup", "wire/jkcan/unit"),
    *("battery/identity", "battery/status", "inverter/several"),  # what the findings say beside these
]
# of these, what is no answer, or a part of one that is known as a whole
BESIDE = {
    *('addresses: "{}"', "Bearer {}", "status {}", "{} as it should: {}", "page {}", "hello comes first"),
    "cannot listen on {} port {}: {}",  # in the log: there is no page then
    *("{} or equal to", "{} {} must be {} {}, which is {}: {}"),
    *("has {} cells, the settings are for {}", "cell count", "serial number", "{} {} instead of {}"),
    *("BMS {} on bus {} {}", "does not count: {}", "is silent", "does not say the same twice"),
    "the command was retained; publish it without the retain flag",  # MQTT alone
    "a retained command for the switch Writing is ignored",
    "writing stays locked: the option writes.level is off",  # the page has no such switch then
    "{}: {} characters are no value",
    *(" over {}", "refused by some", "jkbms settings 1", "none (package not installed)", "code {}", "{} of {} bytes"),
    *("listening for a master", "no master heard", "the master has been silent for a minute"),  # in the log
    *("1 or V2", "Balancer enabled", "Charging enabled", "Discharging enabled"),
    "{} bytes that are no message of this protocol",
    *("all batteries", "waiting for the first complete data of ", "{} switched {}", "{} set to {}"),
    *(" Got ", "bus ", "inverter: ", "(nested too deep)", "the broker", "the gateway", "{} by bus {}", "({} of {})"),
    *("extra keys not allowed", "required key not provided", "expected a dictionary"),
    *("{}{}", "; if milliseconds were meant, write {}", " and {} {}", "must be 0 to 3600 seconds{}"),
    *("{} would be seconds{}", "must be the name or the address of {}", ": found {}"),
    "must be the name or the address of {} alone: write {}{}",
    "must name a serial port, best as /dev/serial/by-id/...; for a gateway write {} instead",
    *("another program or inverter", "the BMS with address 0"),
    *("name: {}", "strategy: {}: its schema gives no options"),
    *("Cannot find device", "does not exist", "not permitted", "not supported"),
    *("inverters {}", "% of the bank's current limits for this one; left out: an equal part of the rest"),
    *("the option batteries", "the serial number {} is told by several batteries"),  # why two are one, in the log
    *("the switch Writing takes ON and OFF, not %r", "host {} and tcp_port {}"),
    *("Not connected", "Fatal ", "Permission denied", "Resource temporarily unavailable", "exclusively lock"),
    *(f"{word} {{}}" for word in ("exception", "strategy:")),
}
NAMES = {"Sol-Ark V1.3", "SMA Sunny Island"}  # of dialects, the same in every language
HOLDS_ALL = {"{} and {}"}  # patterns that would hold any sentence with these words in it


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
    "the owner allows no current of charge",
    "its last temperature was {}",
    "below {} °C",
    "batteries are heard",
    "no battery was ever heard",
    "{} is out of its range",
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
    patterns = (one for one in table if one not in HOLDS_ALL)
    return any(re.fullmatch(".+?".join(map(re.escape, one.split("{}"))), text) for one in patterns)


@pytest.mark.parametrize("language", SAID)
@pytest.mark.parametrize("file", SOURCES)
def test_every_reason_has_words(file: str, language: str) -> None:
    told = {text for text in sentences(file) if re.search(r"[a-z]{2,} |[a-z]{2,}: ", text)} - APART
    assert {text for text in told if not known(text.strip(), SAID[language])} == set()


@pytest.mark.parametrize("language", SAID)
@pytest.mark.parametrize("file", ANSWERS)
def test_every_answer_has_words(file: str, language: str) -> None:
    told = {text for text in sentences(file) if re.search(r"[a-z]{2,} |[a-z]{2,}: ", text)} - APART - BESIDE
    log = {text for text in told if re.search(r"%(\.\d)?[sdf]", text)} | {one.name for one in NUMBERS.values()}
    assert {text for text in told - log if not whole(text, SAID[language])} == set()


def whole(text: str, table: dict[str, str]) -> bool:
    """Whether the page has words for it, or for the sentence behind the name of an option."""
    key, colon, rest = text.strip().partition(": ")
    return known(text.strip(), table) or bool(colon and key.replace("_", "").isalnum() and known(rest, table))


@pytest.mark.parametrize("language", SAID)
def test_every_trouble_has_words(language: str) -> None:
    reasons = [*diagnosis.REASONS.values(), *ttl_line.REASONS.values(), UNANSWERED]
    texts = {text for one in reasons for text in (one.symptom, one.cause, one.remedy)} | set(can._TEXTS.values())
    assert {text for text in texts if not known(text, SAID[language])} == set()


@pytest.mark.parametrize("language", SAID)
def test_every_choice_of_the_owner_has_words(language: str) -> None:
    assert {f"grid charge is {word}" for word in GRID_CHARGE} <= SAID[language].keys()
    more = {f"{a} is more than the option allows, which is {b}" for b, a in combinations(GRID_CHARGE, 2)}
    assert more <= SAID[language].keys()


def _meanings() -> Iterator[str]:
    """What the page tells of a dialect: its name, what a stop does, what it cannot and must not say."""
    for dialect in DIALECTS.values():
        told = parts.speaks(dialect)
        yield from (dialect.title, *told["stops"], *told["lacks"], *told["never"])


def _meaning(text: str, table: dict[str, str]) -> str:
    """In other words, as a whole but for what a stop does, told behind a word; KeyError where there is none."""
    effect, colon, says = text.partition(": ")
    if colon and effect in get_args(Effect):
        return table[f"{effect}: {{}}"].replace("{0}", table[says])
    return text if text in NAMES else table[text]


@pytest.mark.parametrize("language", SAID)
def test_every_dialect_has_words(language: str) -> None:
    assert {_meaning(text, SAID[language]) for text in _meanings()} > NAMES
    assert {f"{effect}: {{}}" for effect in get_args(Effect)} <= SAID[language].keys()


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
    "discharge down to 43.2 V: under-voltage protection of pack 1 and 0.10 V per cell": (
        "entladen bis 43,2 V: Unterspannungsschutz von Pack 1 und 0,10 V je Zelle"
    ),
    "discharge down to 48.0 V: option min_discharge_voltage": "entladen bis 48,0 V: Option min_discharge_voltage",
    "its answers arrive cut or damaged (287 of 300 bytes)": (
        "seine Antworten kommen abgeschnitten oder beschädigt an (287 von 300 Bytes)"
    ),
    "10.0.0.9:8899: the gateway sends nothing": "10.0.0.9:8899: der Umsetzer sendet nichts",
    "something new: that nobody knows": "something new: that nobody knows",
    "rs485 is busy: capture of Anna is under way": "rs485 ist belegt: Aufzeichnung von Anna ist im Gang",
    "bus rs485: channel: is already used by bus can": "bus rs485: channel: wird schon von Bus can benutzt",
    "cell_soc100_voltage: 3.75 is not within 2.5 to 3.65 V": (
        "cell_soc100_voltage: 3,75 liegt nicht zwischen 2,5 und 3,65 V"
    ),
    "power_off_voltage 2.9 V must be below or equal to cell_soc0_voltage, which is 2.6 V: "
    "an empty battery must show 0 % before it is cut off": (
        "power_off_voltage 2,9 V darf nicht über cell_soc0_voltage liegen, was jetzt 2,6 V ist: "
        "eine leere Batterie muss 0 % zeigen, bevor sie abgeschaltet wird"
    ),
    "balancing_switch is off now, and on was shown: look again": (
        "balancing_switch ist jetzt aus, und gezeigt wurde ein: Sehen Sie noch einmal hin"
    ),
    "Max charging set to 40": "Max charging auf 40 gestellt",
    "charging switched off": "Laden ausgeschaltet",
    "garage/1 and cellar/2 may be one battery, but garage/3 runs for as long: "
    "say it in the option batteries: garage/1 = cellar/2, or garage/1 != cellar/2": (
        "garage/1 und cellar/2 sind vielleicht eine Batterie, aber garage/3 läuft ebenso lange: "
        "Sagen Sie es in der Option batteries: garage/1 = cellar/2, oder garage/1 != cellar/2"
    ),
    "over-current setting of pack 1, 100 A, 4 packs together, times 0.9": (
        "Überstrom-Einstellung von Pack 1, 100 A, 4 Packs zusammen, mal 0,9"
    ),
    "over-current setting of pack 1, 100.5 A, times 0.9": "Überstrom-Einstellung von Pack 1, 100,5 A, mal 0,9",
    "pack 2 carries 60 %: over-current setting of pack 2, 100 A, 4 packs together, times 0.9": (
        "Pack 2 trägt 60 %: Überstrom-Einstellung von Pack 2, 100 A, 4 Packs zusammen, mal 0,9"
    ),
    "CELL_VOLT and BATT_ST1 not heard: nothing is shown": "CELL_VOLT und BATT_ST1 nicht gehört: nichts wird gezeigt",
}


def in_findings() -> set[str]:
    """Arguments of findings that are sentences."""
    source = (PACKAGE / "views/findings.py").read_text(encoding="utf-8")
    found = set(re.findall(r'"(\w+)": (?:\w+\.(?:problem|cause)|text)\b', source))
    assert found >= {"text", "problem", "cause"}
    return found


class TestInTheBrowser:
    """By the page's own module."""

    pytestmark = MARKS

    async def test_sentences_within_sentences(self, browser: Browser, tmp_path: Path) -> None:
        stage = Stage(tmp_path, batteries(3))
        async with served(stage) as place, visit(browser, f"http://127.0.0.1:{place.port}/", locale="de-DE") as seen:
            await expect(seen.page.locator(".told dl")).to_contain_text("Wunschspannung von Pack 1", timeout=20_000)
            await expect(seen.page.locator(".speaks")).to_contain_text("Kann nicht sagen: höchste und niedrigste")
            found = await seen.page.evaluate(
                "(all) => import(document.querySelector('script[type=module]').src.replace('app.js', 'format.js'))"
                ".then(({said}) => all.map(said))",
                [*SENTENCES, *_meanings()],
            )
            assert found == [*SENTENCES.values(), *(_meaning(text, SAID["de"]) for text in _meanings())]
            told = {"key": "silent", "pack": "none/1", "args": dict.fromkeys(in_findings(), "no battery is heard")}
            read = await seen.page.evaluate(
                "(told) => import(document.querySelector('script[type=module]').src"
                ".replace('app.js', 'views/findings.js')).then(({readable}) => readable(told))",
                told,
            )
            assert {read[name] for name in in_findings()} == {"keine Batterie ist zu hören"}
            assert seen.wrong == []
