import json
from pathlib import Path

import pytest

from jkbms_addon.__main__ import main
from jkbms_addon.commands.audit import Audit
from jkbms_addon.commands.command import Command, Outcome


def attempted(folder: Path) -> None:
    write = Audit(folder)
    wanted = Command("a", 1, "max_charge_current", 50.0, 0.0, "mqtt t")
    write.note(Outcome(wanted, "applied", "", 40.0, 50.0, at=1700000000))
    wanted = Command("a", 2, "charging_switch", False, 0.0, "mqtt u")
    write.note(Outcome(wanted, "refused", "BMS 2 is silent", at=1700000060))
    write.stop()


def test_attempts_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attempted(tmp_path)
    assert main(["audit", "--data", str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("2023-11-1")
    assert first.endswith("  a/1  max_charge_current: 40.0 -> 50, now 50.0: applied  [mqtt t]")
    assert second.endswith("  a/2  charging_switch: unknown -> OFF, now unknown: refused (BMS 2 is silent)  [mqtt u]")


def test_as_they_are_on_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attempted(tmp_path)
    assert main(["audit", "--data", str(tmp_path), "--json", "--last", "1"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["bms"] == "a/2"


def test_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().out == ""


def test_a_record_of_which_half_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "writes.jsonl").write_text('{"bms": "a/1"}\n')
    assert main(["audit", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("?  a/1")


@pytest.mark.parametrize("time", [1e300, 10**400, float("nan"), -1e18, "x"])
def test_a_time_that_is_none(time: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "writes.jsonl").write_text(json.dumps({"bms": "a/1", "time": time}) + "\n")
    assert main(["audit", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("?  a/1")
