import json
import logging
from pathlib import Path

import pytest

from jkbms_addon.commands import audit
from jkbms_addon.commands.audit import Audit, read
from jkbms_addon.commands.command import Command, Outcome


def outcome(n: int) -> Outcome:
    return Outcome(Command("a", 1, "max_charge_current", str(n), "mqtt x"), "applied", "", n - 1, n, at=1000.0 + n)


def test_a_line_holds_everything(tmp_path: Path) -> None:
    Audit(tmp_path)(outcome(5))
    assert read(tmp_path) == [
        {
            "time": 1005.0,
            "bms": "a/1",
            "key": "max_charge_current",
            "from": 4,
            "to": "5",
            "now": 5,
            "source": "mqtt x",
            "outcome": "applied",
            "reason": "",
        }
    ]


def test_kept_to_a_size_with_the_newest_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_SIZE", 2000)
    write = Audit(tmp_path)
    for n in range(200):
        write(outcome(n))
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert all(size < 2000 + 300 for size in sizes)
    kept = [int(str(record["to"])) for record in read(tmp_path)]
    assert kept == list(range(kept[0], 200))
    assert len(kept) >= 2000 // 200


def test_a_restart_appends(tmp_path: Path) -> None:
    Audit(tmp_path)(outcome(1))
    Audit(tmp_path)(outcome(2))
    assert [record["to"] for record in read(tmp_path)] == ["1", "2"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_once_and_again_after_it_was_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write = Audit(tmp_path)
    write.path.symlink_to("/dev/full")
    for n in range(3):
        write(outcome(n))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"{write.path} cannot be written: No space left on device" in caplog.text
    write.path.unlink()
    write(outcome(3))
    assert [record["to"] for record in read(tmp_path)] == ["3"]
    write.path.unlink()
    write.path.symlink_to("/dev/full")
    write(outcome(4))
    assert len(caplog.records) == 2


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    write = Audit(tmp_path)
    write(outcome(1))
    with write.path.open("a") as file:
        file.write('{"time": 1, "bm\n')
    write(outcome(2))
    assert [record["to"] for record in read(tmp_path)] == ["1", "2"]


def test_no_file_is_no_attempt(tmp_path: Path) -> None:
    assert read(tmp_path) == []


def test_texts_stay_on_their_line(tmp_path: Path) -> None:
    Audit(tmp_path)(Outcome(Command("a", 1, "k", "1\n2 °C", "x"), "refused", "so\nlala"))
    (line,) = (tmp_path / audit.NAME).read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["to"] == "1\n2 °C"
