"""The files of the page, read as text: what they contain and what they must not."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

from jkbms_addon.battery.alarms import ALARMS
from jkbms_addon.battery.quantities import specs
from jkbms_addon.charging.setpoints import GRID_CHARGE
from jkbms_addon.inverter.dialects.menus import PROFILES
from jkbms_addon.inverter.dialects.words import vocabulary
from jkbms_addon.inverter.state import ALARMS as WARNINGS
from jkbms_addon.inverter.state import PROTECTIONS
from jkbms_addon.page import settings
from jkbms_addon.page.files import WEB, load
from jkbms_addon.page.parts import SETTINGS
from jkbms_addon.views import findings
from jkbms_addon.views.languages import Language, translated
from tests.page.weight import first_load, modules
from tests.tables import built_in

FIRST = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (WEB / "i18n").glob("*.json")}
OF_VIEWS = [
    {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.iterdir()}
    for folder in sorted((WEB / "i18n").iterdir())
    if folder.is_dir()  # words of a view that is fetched when it is wanted
]
LANGUAGES = {
    name: {key: text for table in (words, *(view[name] for view in OF_VIEWS)) for key, text in table.items()}
    for name, words in FIRST.items()
}
OWN = [path for path in WEB.rglob("*") if path.suffix in (".js", ".css", ".html") and "vendor" not in path.parts]
TESTS = Path(__file__).parent


def test_all_languages_have_the_same_words() -> None:
    assert LANGUAGES.keys() == {"en", "de", "fr"}
    for tables in (FIRST, *OF_VIEWS):
        assert tables.keys() == FIRST.keys()
        for words in tables.values():
            assert words.keys() == tables["en"].keys()
    assert len(LANGUAGES["en"]) == sum(len(tables["en"]) for tables in (FIRST, *OF_VIEWS))  # none hides another
    for words in LANGUAGES.values():
        assert all(isinstance(text, str) and text.strip() for text in words.values())


def test_translations_have_the_same_arguments() -> None:
    for name in ("de", "fr"):
        for key, text in LANGUAGES["en"].items():
            assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", LANGUAGES[name][key])), key


def used() -> set[str]:
    """Keys of words that the program asks for; a trailing dot stands for what is put together."""
    found: set[str] = set()
    for path in OWN:
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'\bt\("([\w.]+)"', text)) | set(
            re.findall(r'(?<!plural\()"((?:tier|bank|alarm)\.[\w.]+)"', text)
        )
        found |= {f"{key}.one" for key in re.findall(r'plural\("([\w.]+)"', text)}
    return found


def test_every_word_that_is_asked_for_is_there() -> None:
    assert used() - LANGUAGES["en"].keys() == set()
    assert len(used()) > 80


def finding_keys() -> set[str]:
    return set(re.findall(r'Finding\(\s*"(\w+)"', Path(findings.__file__).read_text(encoding="utf-8")))


def test_every_finding_says_where_to_act() -> None:
    """It has a pack of its own, whose page it opens, or a place that the page knows."""
    text = (WEB / "views" / "findings.js").read_text()
    places = dict(re.findall(r'(\w+): "([a-z/]+)"', text[text.index("PLACES = {") :].partition("}")[0]))
    of_packs = set(re.findall(r'Finding\("(\w+)", "\w+", text, pack\.key', Path(findings.__file__).read_text()))
    assert of_packs > {"weak", "full"}
    assert finding_keys() - of_packs - {"silent"} <= places.keys()
    tabs = set(re.findall(r'"tab\.(\w+)"', (WEB / "i18n" / "en.json").read_text()))
    assert {place.partition("/")[0] for place in places.values()} <= tabs


def test_every_finding_has_words() -> None:
    keys = finding_keys()
    assert len(keys) >= 13
    for key in keys:
        assert [word for word in LANGUAGES["en"] if word.startswith(f"find.{key}.")], key
    for quirk in findings.QUIRKS:
        assert f"find.quirk.{quirk.key}.title" in LANGUAGES["en"]


INVERTER = "its words stand in page/web/i18n/inverter/*.json"


def test_every_strategy_has_words() -> None:
    for words in LANGUAGES.values():
        missing = {f"strategy.{name}" for name in built_in()} - words.keys()
        assert missing == set(), "its words stand in page/web/i18n/*.json"


def test_frames_and_menus_have_words() -> None:
    for words in LANGUAGES.values():
        assert {key.removeprefix("say.") for key in words if key.startswith("say.")} == vocabulary(), INVERTER
        assert {f"trouble.{name}" for name in (*PROTECTIONS, *WARNINGS, "standby")} <= words.keys()
        for key, one in PROFILES.items():
            said = f"inv.menu.{key}" in words, f"inv.note.{key}" in words
            assert said == (bool(one.menu), bool(one.note)), f"inv.menu.{key} or inv.note.{key}: {INVERTER}"
            assert {f"inv.rests.{how}" for how in one.rests_on} <= words.keys()


def test_choices_of_the_owner_have_words() -> None:
    for words in LANGUAGES.values():
        assert {key.removeprefix("grid.") for key in words if key.startswith("grid.")} == set(GRID_CHARGE)


def test_menus_are_called_as_in_the_table() -> None:
    """The table is the only truth; its words stand in the English bundle for who translates."""
    for key, text in LANGUAGES["en"].items():
        found = re.fullmatch(r"inv\.(name|menu|note)\.(\w+)", key)
        if found:
            assert text == getattr(PROFILES[found[2]], found[1]), key


def test_names_of_quantities_and_alarms_exist() -> None:
    for words in LANGUAGES.values():
        assert {key.removeprefix("spec.") for key in words if key.startswith("spec.")} <= specs().keys()
        alarms = {key.removeprefix("alarm.") for key in words if key.startswith("alarm.")}
        ours = {"since", "fault", "warning", "more.one", "more.other", "quiet"}
        assert alarms - ours <= ALARMS.keys()


@pytest.mark.parametrize("folder", [WEB / "vendor", TESTS / "vendor"], ids=["page", "tests"])
def test_vendored_files_are_unchanged(folder: Path) -> None:
    told = json.loads((folder / "VENDOR.json").read_text(encoding="utf-8"))
    listed = set()
    for name, library in told.items():
        assert library["version"]
        assert library["license"]
        assert library["source"].startswith("https://")
        place = folder / name if (folder / name).is_dir() else folder
        for file, digest in library["sha256"].items():
            assert hashlib.sha256((place / file).read_bytes()).hexdigest() == digest, file
            listed.add(place / file)
        assert "LICENSE" in library["sha256"]
    assert {path for path in folder.rglob("*") if path.is_file()} == listed | {folder / "VENDOR.json"}


def test_nothing_leads_elsewhere() -> None:
    for path in OWN:
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, path
        assert not re.search(r"\bon\w+=[\"']|<script(?! type=\"module\" src=)|innerHTML|unsafeHTML|eval\(", text), path


def test_no_file_is_too_long() -> None:
    for path in OWN:
        assert path.read_text(encoding="utf-8").count("\n") <= 400, path


def test_everything_is_found_by_its_path() -> None:
    files = load()
    index = files.known["/"].body.decode()
    assert "@version@" not in index
    for link in re.findall(r'(?:href|src)="\./([^"]+)"', index):
        assert f"/{link}" in files.known
    listed = set(re.findall(r'modulepreload" href="\./[^/]+/([^"]+)"', index)) | {"app.js"}
    assert listed == modules()  # nothing is fetched one after the other
    late = {path.relative_to(WEB).as_posix() for path in WEB.rglob("*.js")} - listed
    assert {"views/settings.js", "views/inverter.js", "views/doctor.js", "views/options.js"} < late


def test_the_version_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("@version@")
    (tmp_path / "a.js").write_text("1")
    first = load(tmp_path)
    assert first.known["/"].body.decode() == first.version
    (tmp_path / "a.js").write_text("2")
    assert load(tmp_path).version != first.version
    assert load(tmp_path).known.keys() == {"/", "/index.html", f"/{load(tmp_path).version}/a.js"}


def test_the_first_load_is_small() -> None:
    needed = first_load(load())
    assert sum(len(gzip.compress(body, 6)) for body in needed) <= 90 * 1024
    assert len(needed) <= 30


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_setting_is_explained(language: Language) -> None:
    words = LANGUAGES[language]
    told = {key.removeprefix("help."): text for key, text in words.items() if key.startswith("help.")}
    assert list(told) == list(SETTINGS)
    for key, text in told.items():
        assert text.endswith("."), key
        assert len(text) <= 250, key
        assert language == "en" or text != LANGUAGES["en"][f"help.{key}"], key
    assert len(set(told.values())) == len(told)
    kinds = {kind for kind, _ in settings.OWN.values()} | {"preset", "preset_for"}
    assert {key.removeprefix("usual.") for key in words if key.startswith("usual.")} == kinds


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_of_settings_in_explanations_are_those_that_are_shown(language: Language) -> None:
    """Words such as OVP, UVP and OTP are the beginning of a name of another setting."""
    words = LANGUAGES[language]
    names = {words[f"spec.{key}"] for key in SETTINGS}
    for key in SETTINGS:
        text = words[f"help.{key}"]
        for short in re.finditer(r"\b(?:\w+ )?(?:OVP|UVP|OTP|UTP|OCP|SCP)\b", text):
            around = text[max(0, short.start() - 1) : short.end() + 15]
            assert any(name in around for name in names), (key, around)


@pytest.mark.parametrize("language", LANGUAGES)
def test_settings_are_called_as_in_home_assistant(language: Language) -> None:
    words = {key: LANGUAGES[language].get(f"spec.{key}") for key in SETTINGS}
    assert words == {key: translated(specs()[key].name, language) for key in SETTINGS}
