"""Small files: whatever is in them, and whatever the disk does."""

import asyncio
import json
import logging
import os
import stat
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon import kept
from jkbms_addon.battery.energy import Energies
from jkbms_addon.battery.incidents import Incidents
from jkbms_addon.battery.status import BusStatus, Incident
from jkbms_addon.charging.control import Control
from jkbms_addon.charging.kept_owner import KeptOwner
from jkbms_addon.charging.owner import Owner
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.kept import JsonFile, Saver
from jkbms_addon.mqtt.announced import Published
from jkbms_addon.mqtt.discovery import Topics
from jkbms_addon.page import history_file
from tests.conftest import until

DEEP = "[" * 1000 + "]" * 1000
HOSTILE: dict[str, str | bytes] = {
    "empty": "",
    "cut": '{"enabled": tr',
    "zeros": "\0" * 64,
    "no text": b"\xff\xfe\x80",
    "no object": "[1, 2]",
    "null": "null",
    "deep": DEEP,
    "very deep": "[" * 1_000_000,
    "deep within": '{"enabled": ' + DEEP + ', "devices": ' + DEEP + ', "a": ' + DEEP + "}",
    "huge number": '{"enabled": 1e18, "version": 1e18, "devices": 1e18, "a": 1e18}',
    "digits": '{"a": {"reason": "x", "began": ' + "9" * 5000 + ', "seconds": 1}, "enabled": ' + "9" * 5000 + "}",
    "NaN": '{"a": {"reason": "x", "began": NaN, "seconds": 1}, "enabled": NaN, "devices": NaN}',
    "infinity": '{"a": {"reason": "x", "began": 1, "seconds": Infinity}, "enabled": -Infinity}',
    "year 10^10": '{"a": {"reason": "x", "began": 3e17, "seconds": 5}}',
    "before time": '{"a": {"reason": "x", "began": -3e17, "seconds": 5}}',
    "negative": '{"a": {"reason": "x", "began": 1, "seconds": -5}}',
    "wrong types": '{"a": {"reason": 5, "began": "1", "seconds": []}, "enabled": "yes", "version": "1", "devices": []}',
    "wildcard": '{"version": 1, "devices": {"x": {"topic": "a/#", "components": {}}}}',
    "other bus": '{"version": 1, "devices": {"x": {"topic": "a", "components": {}, "bus": "../#", "address": 1}}}',
    "huge address": '{"version": 1, "devices": {"x": {"topic": "a", "components": {}, "bus": "a", "address": 1e300}}}',
    "lone surrogate": '{"\\ud800": {"reason": "\\udfff"}, "enabled": "\\ud800"}',
    "beyond every range": '{"enabled": true, "charge_voltage": 1e18, "a": 1, "version": 2}',
    "too large": '{"a": "' + "x" * 5_000_000 + '"}',
}


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    content = HOSTILE[request.param]
    for name in ("announced", "incidents", "inverter"):
        (tmp_path / f"{name}.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_damaged_list_of_devices_costs_that_list(hostile: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Published(hostile, Topics()).load() == {}
    assert_one_line(caplog, "announced.json")


def test_a_damaged_file_of_incidents_costs_the_incidents(hostile: Path, caplog: pytest.LogCaptureFixture) -> None:
    bus = BusStatus("a")
    Incidents(hostile, {"a": bus})
    assert bus.worst is None
    assert_one_line(caplog, "incidents.json")


def test_a_damaged_switch_means_stopped(hostile: Path, caplog: pytest.LogCaptureFixture) -> None:
    switch = KeptOwner(JsonFile(hostile / "inverter.json"))
    assert (switch.now.enabled, switch.shown.enabled) == (False, False)
    assert "stopped: " in switch.problem
    assert "switch Enable on" in switch.why_off
    assert any("inverter: stopped: " in line for line in warnings(caplog))
    assert KeptOwner(JsonFile(hostile / "inverter.json")).now.enabled is False  # and it stays so


def test_any_file_can_be_loaded_as_it_is(hostile: Path) -> None:
    assert isinstance(JsonFile(hostile / "inverter.json").load(), dict)


DIGITS = "9" * 400
EVERYWHERE = {
    "huge": f'{{"at": {DIGITS}, "accounts": {{"a/1": {{"charged": {DIGITS}, "last_full": 1e17, "began": {DIGITS}}}}}}}',
    "negative": '{"at": -1e300, "accounts": {"a/1": {"charged": -5, "began": -1}, "b": 3, "c": [], "d": null}}',
    "not a number": '{"at": true, "accounts": {"a/1": {"charged": "1", "efficiency": 1e9, "cycle_lost": [1]}}}',
    "memory": '{"phase": "float", "clock": 1e308, "last_full": 1e300, "counted_from": -1e300, "trim": 1e300}',
    "names": f'{{"seen": {{"a/{DIGITS * 20}": 1, "a/1": 2}}, "empty": ["a/{DIGITS * 20}", "x", "/"]}}',
}


@pytest.mark.parametrize("content", EVERYWHERE)
def test_whatever_the_energies_say_a_date_can_be_shown(content: str, tmp_path: Path) -> None:
    (tmp_path / "energy.json").write_text(EVERYWHERE[content])
    shown_dates(Energies(JsonFile(tmp_path / "energy.json")))


def test_any_file_of_energies_is_taken(hostile: Path, caplog: pytest.LogCaptureFixture) -> None:
    (hostile / "inverter.json").rename(hostile / "energy.json")
    shown_dates(Energies(JsonFile(hostile / "energy.json")))
    assert len(warnings(caplog)) <= 1


def shown_dates(energies: Energies) -> None:
    for account in energies.accounts.values():
        energy = account.energy(1.0)
        for date in (energy.last_full, energy.began):
            assert date is None or datetime.fromtimestamp(date, UTC).year < 2101
        assert energy.efficiency is None or energy.efficiency <= 100


@pytest.mark.parametrize("content", EVERYWHERE)
def test_whatever_the_control_remembers_it_decides(content: str, tmp_path: Path) -> None:
    (tmp_path / "charging.json").write_text(EVERYWHERE[content])
    deciding(tmp_path)


def test_any_memory_of_the_control_is_taken(hostile: Path, caplog: pytest.LogCaptureFixture) -> None:
    (hostile / "inverter.json").rename(hostile / "charging.json")
    deciding(hostile)
    assert len(warnings(caplog)) <= 1


def deciding(folder: Path) -> None:
    memory = JsonFile(folder / "charging.json")
    control = Control(lambda _now: [], lambda: 1.0, wall=lambda: 1.7e9, setpoints=Setpoints(), memory=memory)
    control.step(1.0)


def test_any_history_is_taken(hostile: Path, caplog: pytest.LogCaptureFixture) -> None:
    (hostile / "inverter.json").rename(hostile / "history.bin")
    assert history_file.read(hostile / "history.bin").series == {}
    assert len(warnings(caplog)) == 1


def assert_one_line(caplog: pytest.LogCaptureFixture, name: str) -> None:
    lines = warnings(caplog)
    assert len(lines) == 1
    assert name in lines[0]
    assert len(lines[0]) < 400
    assert lines[0].isprintable()


@pytest.mark.parametrize("kind", ["folder", "pipe", "endless"])
def test_what_is_no_file_costs_nothing_else(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "announced.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert Published(tmp_path, Topics()).load() == {}
    assert_one_line(caplog, "announced.json")


# --- the switch ----------------------------------------------------------------------------------------
def test_a_switch_that_was_never_kept_is_on(tmp_path: Path) -> None:
    switch = KeptOwner(JsonFile(tmp_path / "inverter.json"))
    assert (switch.now.enabled, switch.problem, switch.why_off) == (True, "", "")
    assert KeptOwner().now.enabled


def test_a_switch_that_cannot_be_kept_means_stopped(tmp_path: Path) -> None:
    (tmp_path / "inverter.json").write_text('{"enabled": true}')
    (tmp_path / "inverter.new").symlink_to("/dev/full")
    switch = KeptOwner(JsonFile(tmp_path / "inverter.json"))
    assert not switch.now.enabled
    assert "No space left on device" in switch.why_off


async def test_stop_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, told, synced = tmp_path / "inverter.json", list[bool](), list[str]()
    let, real = threading.Event(), os.fsync

    def fsync(fd: int) -> None:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            assert let.wait(20)
        real(fd)
        synced.append(path.read_text())

    switch = KeptOwner(JsonFile(path), lambda: told.append(switch.shown.enabled))
    task = asyncio.create_task(switch.run())
    monkeypatch.setattr(os, "fsync", fsync)
    switch.change(Owner(enabled=False))
    assert (switch.now.enabled, switch.shown.enabled) == (False, True)  # it holds at once, and is not acknowledged yet
    await asyncio.sleep(0.1)
    switch.change(Owner(enabled=False))  # impatience changes nothing
    assert (switch.now.enabled, switch.shown.enabled, told) == (False, True, [])
    let.set()
    await until(lambda: told)
    assert not switch.shown.enabled
    assert json.loads(synced[-1]) == {"enabled": False}
    assert switch.why_off == "switched off"
    task.cancel()


async def test_a_stop_that_cannot_be_kept_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept, "RETRY", 0.05)
    switch = KeptOwner(JsonFile(tmp_path / "inverter.json"))
    task = asyncio.create_task(switch.run())
    (tmp_path / "inverter.new").symlink_to("/dev/full")
    switch.change(Owner(enabled=False))
    await until(lambda: switch.problem)
    assert (switch.now.enabled, switch.shown.enabled) == (False, False)
    assert "a restart may undo what was set" in switch.why_off
    assert "No space left on device" in switch.why_off
    await asyncio.sleep(0.3)
    assert len(warnings(caplog)) == 1
    (tmp_path / "inverter.new").unlink()
    await until(lambda: not switch.problem)
    assert json.loads((tmp_path / "inverter.json").read_text()) == {"enabled": False}
    task.cancel()


# --- writing ----------------------------------------------------------------------------------------------
async def test_a_disk_that_stands_still_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "PATIENCE", 0.1)
    monkeypatch.setattr(kept, "RETRY", 0.05)
    let, real = threading.Event(), os.fsync

    def fsync(fd: int) -> None:
        assert let.wait(20)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    saver = Saver(JsonFile(tmp_path / "a.json"))
    task = asyncio.create_task(saver.run())
    saver.save({"a": 1})
    await until(lambda: saver.problem)
    assert "the disk does not answer" in saver.problem
    assert saver.pending
    saver.save({"a": 2})
    assert threading.active_count() < 6
    let.set()
    await until(lambda: not saver.pending)
    assert (json.loads((tmp_path / "a.json").read_text()), saver.problem) == ({"a": 2}, "")
    task.cancel()


async def test_what_is_left_is_written_at_the_end(tmp_path: Path) -> None:
    saver = Saver(JsonFile(tmp_path / "a.json"))
    task = asyncio.create_task(saver.run())
    await asyncio.sleep(0)
    saver.save({"a": 1})
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


async def test_incidents_come_back(tmp_path: Path) -> None:
    bus = BusStatus("a")
    incidents = Incidents(tmp_path, {"a": bus})
    task = asyncio.create_task(incidents.run())
    bus.worst = Incident("x" * 5000, 1.7e9, 12.5)
    incidents.keep()
    await until((tmp_path / "incidents.json").exists)
    task.cancel()
    again = BusStatus("a")
    Incidents(tmp_path, {"a": again})
    assert again.worst == Incident("x" * 1000, 1.7e9, 12.5)


def test_a_full_disk_is_told_once_and_once_that_it_is_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    file: Any = JsonFile(tmp_path / "a.json")
    (tmp_path / "a.new").symlink_to("/dev/full")
    for _ in range(3):
        assert "No space left on device" in file.save({"a": 1})
    (tmp_path / "a.new").unlink()
    for _ in range(2):
        assert file.save({"a": 1}) == ""
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
