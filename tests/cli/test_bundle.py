"""The command ``bundle``: everything for a bug report in one file, and no secret in it."""

import asyncio
import io
import json
import logging
import os
import pty
import threading
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon import heartbeat
from jkbms_addon.__main__ import main
from jkbms_addon.cli import bundle as cli
from jkbms_addon.cli import run
from jkbms_addon.cli.bundle import captures
from jkbms_addon.cli.can_text import can
from jkbms_addon.commands.audit import Audit
from jkbms_addon.commands.command import Command, Outcome
from jkbms_addon.doctor import bundle, log, versions
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.can import broadcasting, can_bms, slcan_adapter
from tests.cli.test_decode import STREAM

SECRET = "geheim-4711"


def bundled(tmp_path: Path, options: object, *more: str) -> dict[str, str]:
    path = tmp_path / "options.json"
    path.write_text(options if isinstance(options, str) else json.dumps(options))
    target = tmp_path / "bundle.zip"
    assert main(["bundle", "--options", str(path), *more, str(target)]) == 0
    with zipfile.ZipFile(target) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


def test_what_is_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "HEARTBEAT", tmp_path / "heartbeat")
    monkeypatch.setattr(log, "FILE", tmp_path / "log")
    (tmp_path / "heartbeat").write_text('{"buses": {}}')
    (tmp_path / "log").write_text("x" * 300_000 + "the end")
    (tmp_path / "writes.jsonl").write_text('{"key": "charging_switch"}\n')
    parts = bundled(
        tmp_path,
        {
            "buses": [{"name": "can", "strategy": "can_broadcast", "channel": "can0"}],
            "mqtt": {"host": "host-1", "username": SECRET, "password": SECRET},
            "mqttpass": SECRET,
            "deep": [{"token": SECRET}],
        },
        "--seconds",
        "1",
    )
    assert SECRET not in "".join(parts.values())
    assert json.loads(parts["options.json"])["mqtt"] == {"host": "host-1", "username": "***", "password": "***"}
    assert json.loads(parts["versions.json"]) == versions.versions()
    assert "bus can: can_broadcast on can0" in parts["words.txt"]
    assert parts["health.json"] == '{"buses": {}}'
    assert parts["log.txt"].endswith("the end")
    assert len(parts["log.txt"]) == bundle.LONGEST
    assert "charging_switch" in parts["kept/writes.jsonl"]
    assert parts["capture-can.log"].startswith("not captured: ")
    told = capsys.readouterr().out
    assert all(name in told for name in parts)


def test_nobody_is_named_who_used_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FILE", tmp_path / "log")
    named = ("Anna Müller", 'Jo, the "boss": me')
    lines = [
        f"2026 WARNING options: saved by page {named[0]}; they are used after a restart",
        f"2026 WARNING restart: wanted by page {named[0]}",
        f"2026 INFO    inverter, page {named[0]}: stopped",
        f"2026 DEBUG   page: {named[0]} looks",
        "2026 INFO    page: listens on 172.30.32.1 port 62000",
        "2026 WARNING a: what a page shows; it stays",
    ]
    (tmp_path / "log").write_text("\n".join(lines))
    audit = Audit(tmp_path)
    for name in (*named, ""):
        audit.note(Outcome(Command("a", 1, "charging_switch", True, 0.0, f"page {name}".strip()), "applied"))
    audit.note(Outcome(Command("a", 1, "charging_switch", True, 0.0, "mqtt jkbms/a/1/charging_switch/set"), "applied"))
    audit.stop()
    parts = bundled(tmp_path, {}, "--seconds", "0")
    told = "".join(parts.values())
    assert not any(word in told for word in ("Anna", "Müller", "boss"))
    assert parts["log.txt"].splitlines() == [line.replace(named[0], "user-1") for line in lines]
    sources = [json.loads(line)["source"] for line in parts["kept/writes.jsonl"].splitlines()]
    assert sources == ["page user-1", "page user-2", "page", "mqtt jkbms/a/1/charging_switch/set"]


def test_no_password_of_the_options_stands_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FILE", tmp_path / "log")
    (tmp_path / "log").write_text(f"a plug-in cannot log in with {SECRET} and 123456\nmqtt: connected to jk")
    options = {"mqtt": {"username": "mqtt", "password": SECRET}, "buses": [{"pin": 123456, "token": "jk"}]}
    parts = bundled(tmp_path, options, "--seconds", "0")
    assert parts["log.txt"] == "a plug-in cannot log in with *** and ***\nmqtt: connected to jk"


def test_bytes_of_a_bus_without_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/nowhere")  # as in a container whose files are read-only
    master, slave = pty.openpty()
    enough = threading.Event()

    def sends() -> None:  # again and again, as nobody knows when it begins to listen
        while not enough.wait(0.2):
            with suppress(BlockingIOError):
                os.write(master, STREAM)

    os.set_blocking(master, False)
    sender = threading.Thread(target=sends)
    sender.start()
    try:
        name = os.ttyname(slave)
        parts = bundled(tmp_path, {"buses": [{"name": "a", "strategy": "listen", "port": name}]}, "--seconds", "1.5")
    finally:
        enough.set()
        sender.join()
        os.close(master)
        os.close(slave)
    lines = [json.loads(line) for line in parts["capture-a.jsonl"].splitlines()]
    assert len(lines) > 1


async def test_frames_of_a_can_bus(tmp_path: Path) -> None:
    path = tmp_path / "usb-Openlight_0001"
    async with slcan_adapter() as adapter, broadcasting([can_bms(2)], adapter.put):
        path.symlink_to(adapter.port)
        bus = {"name": "rack", "strategy": "can_broadcast", "channel": str(path)}
        found = parse({"buses": [bus]})
        parts = await asyncio.to_thread(lambda: dict(captures(found, 1.5)))
        assert adapter.transmitted == []
    [(name, text)] = parts.items()
    assert name == "capture-rack.log"
    assert str(path) not in text
    assert "usb-Openlight" not in text
    readings = [one for one in can(text) if not isinstance(one, str)]
    assert {one.address for one in readings} == {2}
    assert "BATT_ST1" in {one.kind for one in readings}


def test_a_can_bus_that_is_not_there_is_told() -> None:
    found = parse({"buses": [{"name": "rack", "strategy": "can_broadcast", "channel": "/dev/ttyNowhere"}]})
    text = dict(captures(found, 1.0))["capture-rack.log"]
    assert text.startswith("not captured: ")
    assert "does not exist" in text


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    parts = bundled(
        tmp_path, {"buses": [{"name": "a", "strategy": "master", "port": "/dev/nowhere"}]}, "--seconds", "1"
    )
    assert parts["capture-a.jsonl"].startswith("not captured: ")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"mqtt": {"password": "geheim-4711"'])
def test_a_damaged_options_file_costs_only_itself(tmp_path: Path, text: str) -> None:
    parts = bundled(tmp_path, text, "--seconds", "0")
    assert SECRET not in "".join(parts.values())
    assert parts["options.json"].startswith("is no JSON")


def test_half_a_character_in_the_options_costs_only_itself(tmp_path: Path) -> None:
    text = '{"mqtt": {"host": "\\ud83d", "password": "\\ud83d1234"}, "\\ude00": ["\\ude00"]}'
    parts = bundled(tmp_path, text, "--seconds", "0")
    assert json.loads(parts["options.json"]) == {"mqtt": {"host": "?", "password": "***"}, "?": ["?"]}


def test_it_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = tmp_path / "options.json"
    options.write_text("{}")
    assert main(["bundle", "--options", str(options), "--seconds", "0", "/nowhere/x.zip"]) == 1
    assert "/nowhere/x.zip" in capsys.readouterr().err


def test_that_it_cannot_be_written_is_told_before_the_buses_are_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "captures", lambda *_: pytest.fail("it listened for nothing"))
    (tmp_path / "options.json").write_text("{}")
    assert main(["bundle", "--options", str(tmp_path / "options.json"), "/nowhere/x.zip"]) == 1
    assert "/nowhere/x.zip cannot be written" in capsys.readouterr().err


def test_the_log_is_remembered_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FILE", tmp_path / "log")
    root = logging.getLogger()
    before = list(root.handlers)
    run.remember_log()
    (added,) = [handler for handler in root.handlers if handler not in before]
    try:
        logging.getLogger("jkbms_addon.test").warning("something happened")
        assert "something happened" in (tmp_path / "log").read_text()
    finally:
        root.removeHandler(added)
        added.close()


def test_the_heartbeat_holds_the_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "HEARTBEAT", tmp_path / "beat")
    told: dict[str, Any] = {"buses": {"a": {"frames": 7}}}
    heartbeat.write(lambda: told)
    assert json.loads((tmp_path / "beat").read_text()) == told
    monkeypatch.setattr(heartbeat, "HEARTBEAT", tmp_path / "nowhere" / "beat")
    heartbeat.write(lambda: told)


def test_frames_that_look_like_a_serial_number_stay_what_they_are(tmp_path: Path) -> None:
    log = "(1753000000.000000) can0 2F4#4071200001\n(1753000000.020000) can0 2F4#4071200001\n"
    packed = bundle.written({"log.txt": "BMS 4071200001", "capture-can.log": log}, tmp_path / "none", ["4071200001"])
    with zipfile.ZipFile(io.BytesIO(packed)) as file:
        assert file.read("log.txt") == b"BMS serial-1"
        assert file.read("capture-can.log").decode() == log
