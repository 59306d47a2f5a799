"""Versions for a bug report, and a Supervisor that is asked for its own: one that behaves and some that do not."""

import platform
import re
import time
from collections.abc import Iterator
from importlib.metadata import version

import pytest

from jkbms_addon import __version__
from jkbms_addon.doctor import versions
from tests.conftest import free_port
from tests.page.supervisor import JUNK, TOKEN, Imitation, supervisor
from tests.test_manifest import ROOT

SILENT = {"supervisor": None, "homeassistant": None, "hassos": None}


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[Imitation]:
    monkeypatch.setenv("SUPERVISOR_TOKEN", TOKEN)
    with supervisor() as found:
        monkeypatch.setattr(versions, "SUPERVISOR", found.url)
        yield found


def test_every_library_that_the_image_holds_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_TOKEN", raising=False)
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
    told = versions.versions()
    assert len(pinned) > 10
    assert {name: told.get(name) for name in pinned} == {name: version(name) for name in pinned}
    assert (told["jkbms"], told["python"]) == (__version__, platform.python_version())


def test_a_library_that_is_not_there_is_null_and_one_that_need_not_be_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs = {"jkbms-addon": ["No.Such>=1", 'nor_this; extra == "x"', "pyserial (>=3)"], "pyserial": ["jkbms-addon"]}
    monkeypatch.setattr(versions, "requires", needs.get)
    monkeypatch.setattr(versions, "OURS", "jkbms-addon")
    found = versions.libraries()
    assert found == {"no-such": None, "pyserial": version("pyserial"), "jkbms-addon": version("jkbms-addon")}


def test_a_program_that_was_never_installed_still_has_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "OURS", "no-such-program")
    assert versions.libraries() == {}
    assert versions.versions()["jkbms"] == __version__


def test_the_supervisor_is_asked(far: Imitation) -> None:
    assert versions.home() == {"supervisor": "2026.08.1", "homeassistant": "2026.8.2", "hassos": None}
    assert far.asked == ["GET /info"]


def test_without_a_supervisor_nobody_is_asked(far: Imitation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPERVISOR_TOKEN")
    assert versions.home() == SILENT
    assert far.asked == []


@pytest.mark.parametrize("mood", [*JUNK, "forbidden"])
def test_junk_is_null(far: Imitation, mood: str) -> None:
    far.mood = mood
    assert versions.home() == SILENT


@pytest.mark.parametrize("mood", ["hang", "drip"])
def test_it_is_not_waited_for_long(far: Imitation, monkeypatch: pytest.MonkeyPatch, mood: str) -> None:
    monkeypatch.setattr(versions, "PATIENCE", 0.5)
    far.mood = mood
    began = time.monotonic()
    assert versions.home() == SILENT
    assert time.monotonic() - began < 3


def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISOR_TOKEN", TOKEN)
    monkeypatch.setattr(versions, "SUPERVISOR", f"http://127.0.0.1:{free_port()}")
    assert versions.home() == SILENT


@pytest.mark.parametrize("told", [7, ["2026.8"], {}, True])
def test_what_is_no_text_is_no_version(far: Imitation, monkeypatch: pytest.MonkeyPatch, told: object) -> None:
    monkeypatch.setattr("tests.page.supervisor.HOUSE", {"supervisor": told, "homeassistant": "2026.8.2"})
    assert versions.home() == {**SILENT, "homeassistant": "2026.8.2"}
