"""A folder for one run of a command: who holds it keeps it, and what nobody holds goes."""

import asyncio
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.cli import folder
from jkbms_addon.errors import OptionsError
from tests.cli.test_replay import filed, overheard
from tests.conftest import Mosquitto, until
from tests.mqtt.test_client import listening
from tests.programs import program


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left(place: Path, name: str = "jkbms-demo-left") -> Path:
    (place / name).mkdir()
    (place / name / "options.json").touch()
    return place / name


def test_it_goes_with_the_block(place: Path) -> None:
    def fails() -> None:
        with folder.own_folder("demo") as one:
            (one / "file").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert list(place.iterdir()) == []


def test_what_nobody_holds_goes_and_what_somebody_holds_stays(place: Path) -> None:
    left(place)
    other = left(place, "jkbms-replay-left")
    with folder.own_folder("demo") as first, folder.own_folder("demo") as second:
        assert {*place.iterdir()} == {first, second, other}


def test_what_is_no_folder_of_ours_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "jkbms-demo-file").touch()
    theirs = left(place, "theirs")
    (place / "jkbms-demo-link").symlink_to(theirs)
    with folder.own_folder("demo"):
        pass
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    somebodys = left(place)
    with folder.own_folder("demo"):
        pass
    assert {*place.iterdir()} == {place / "jkbms-demo-file", place / "jkbms-demo-link", theirs, somebodys}
    assert len(list(theirs.iterdir())) == len(list(somebodys.iterdir())) == 1


def test_who_sweeps_before_the_lock_costs_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, made = tempfile.mkdtemp, list[str]()

    def swept(**options: Any) -> str:
        made.append(make(**options))
        if len(made) == 1:
            folder._sweep(place, "jkbms-demo-")
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    with folder.own_folder("demo") as one:
        assert list(place.iterdir()) == [one] == [Path(made[1])]


def test_no_place_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(OptionsError, match="needs a folder for its files: TMPDIR"), folder.own_folder("demo"):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
async def test_a_replay_takes_its_folder_along(number: signal.Signals, broker: Mosquitto, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    mqtt = ("--mqtt-host", "127.0.0.1", "--mqtt-port", str(broker.port))
    where = {**os.environ, "TMPDIR": str(place)}
    async with listening(broker.port) as heard:
        async with program("replay", filed(tmp_path, overheard()), *mqtt, "--loop", env=where) as process:
            await until(lambda: heard.last("jkbms/bridge/state") == "online")
            assert len(list(place.iterdir())) == 1
            process.send_signal(number)
            assert await asyncio.wait_for(process.wait(), 10) == 0
        await until(lambda: heard.last("jkbms/bridge/state") == "offline")
    assert list(place.iterdir()) == []
