import asyncio
import json
import logging
import os
from pathlib import Path

import pytest

from jkbms_addon.commands import audit
from jkbms_addon.commands.audit import Audit, read
from jkbms_addon.commands.command import Command, Outcome
from jkbms_addon.errors import CommandError


def command(n: int) -> Command:
    return Command("a", 1, "max_charge_current", float(n), 0.0, "mqtt x")


def outcome(n: int, result: str = "applied") -> Outcome:
    return Outcome(command(n), result, "", n - 1, n, at=1000.0 + n)


def noted(folder: Path, *outcomes: Outcome) -> Audit:
    """An audit that has written these."""
    write = Audit(folder)
    for one in outcomes:
        write.note(one)
    write.stop()
    return write


def test_a_line_holds_everything(tmp_path: Path) -> None:
    noted(tmp_path, outcome(5))
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
    noted(tmp_path, *map(outcome, range(200)))
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert all(size < 2000 + 300 for size in sizes)
    kept = [int(str(record["to"])) for record in read(tmp_path)]
    assert kept == list(range(kept[0], 200))
    assert len(kept) >= 2000 // 200


def test_a_restart_appends(tmp_path: Path) -> None:
    noted(tmp_path, outcome(1))
    noted(tmp_path, outcome(2))
    assert [record["to"] for record in read(tmp_path)] == ["1", "2"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_once_and_again_after_it_was_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write = Audit(tmp_path)
    write.path.symlink_to("/dev/full")
    for n in range(3):
        write.note(outcome(n))
    write.stop()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"{write.path} cannot be written: No space left on device" in caplog.text
    write.path.unlink()
    write.note(outcome(3))
    write.stop()
    assert [record["to"] for record in read(tmp_path)] == ["3"]
    write.path.unlink()
    write.path.symlink_to("/dev/full")
    write.note(outcome(4))
    write.stop()
    assert len(caplog.records) == 2


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    write = noted(tmp_path, outcome(1))
    with write.path.open("a") as file:
        file.write('{"time": 1, "bm\n')
    noted(tmp_path, outcome(2))
    assert [record["to"] for record in read(tmp_path)] == ["1", "2"]


def test_no_file_is_no_attempt(tmp_path: Path) -> None:
    assert read(tmp_path) == []


def test_texts_stay_on_their_line(tmp_path: Path) -> None:
    noted(tmp_path, Outcome(Command("a", 1, "k", "1\n2 °C", 0.0, "x"), "refused", "so\nlala"))
    (line,) = (tmp_path / audit.NAME).read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["to"] == "1?2 °C"


# --- intents -------------------------------------------------------------------------------------------
async def test_an_intent_is_on_file_before_begin_returns_and_closed_by_its_outcome(tmp_path: Path) -> None:
    write = Audit(tmp_path)
    intent = await write.begin(command(80), 100.0)
    (record,) = read(tmp_path)
    assert (record["outcome"], record["from"], record["to"], record["id"]) == ("begun", 100.0, "80", intent)
    assert [one.command.value for one in await Audit(tmp_path).unfinished()] == [80.0]
    write.note(outcome(80), intent)
    write.stop()
    (record,) = read(tmp_path)
    assert (record["outcome"], record["id"]) == ("applied", intent)
    assert await Audit(tmp_path).unfinished() == []


@pytest.mark.parametrize("torn", ['{"time": 1, "bm', '{"time": 1}', ""])
async def test_a_line_that_was_cut_off_costs_no_other(torn: str, tmp_path: Path) -> None:
    write = noted(tmp_path, outcome(1))
    with write.path.open("a") as file:
        file.write(torn)  # the power went, or the disk was full
    intent = await write.begin(command(80), 100.0)
    write.stop()
    assert [one.id for one in await Audit(tmp_path).unfinished()] == [intent]
    assert write.path.read_text().count("\n") == 2 + bool(torn)


async def test_it_is_on_the_disk_and_not_only_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    await Audit(tmp_path).begin(command(1), 0)
    assert synced == [str(tmp_path / audit.NAME), str(tmp_path)]  # the file, and its name in the folder


async def test_what_cannot_be_recorded_is_refused_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write = Audit(tmp_path)
    write.path.symlink_to("/dev/full")
    with pytest.raises(CommandError, match=r"nothing is changed that cannot be recorded.*No space left on device"):
        await write.begin(command(1), 0)
    write.note(outcome(1, "refused"))
    write.stop()
    assert caplog.records == []  # the refusal tells it


async def test_a_disk_that_hangs_refuses_and_blocks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PATIENCE", 0.2)
    monkeypatch.setattr(audit, "FAREWELL", 0.2)
    write = Audit(tmp_path)
    os.mkfifo(write.path)  # opening it waits for a reader
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    task = asyncio.create_task(others())
    with pytest.raises(CommandError, match="the disk does not answer"):
        await write.begin(command(1), 0)
    task.cancel()
    assert turns > 5
    write.stop()
    descriptor = os.open(write.path, os.O_RDONLY | os.O_NONBLOCK)  # lets the thread end
    await asyncio.sleep(0.1)
    os.close(descriptor)


def test_a_flood_of_refused_ones_pushes_no_change_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_SIZE", 4000)
    write = noted(tmp_path, *(outcome(n) for n in range(10)))
    for n in range(2000):
        write.note(outcome(n, "refused"))
        if n % 100 == 0:
            write.stop()
    write.stop()
    kept = read(tmp_path)
    assert [record["to"] for record in kept if record["outcome"] == "applied"] == [str(n) for n in range(10)]
    assert kept[-1]["to"] == "1999"
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 * 4000 + 1000


async def test_what_is_open_outlives_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_SIZE", 2000)
    write = Audit(tmp_path)
    await write.begin(command(42), 0)
    write.stop()
    noted(tmp_path, *map(outcome, range(200)))
    assert [intent.command.value for intent in await Audit(tmp_path).unfinished()] == [42.0]


async def test_lines_that_are_no_intents(tmp_path: Path) -> None:
    fine = {"id": "y", "bms": "a/1", "key": "max_charge_current", "to": "1", "source": "x", "from": None}
    lines = (
        {"outcome": "begun"},
        {"outcome": "begun", "time": 10**400, **fine},
        {"outcome": "begun", "id": "x", "bms": "a/b", "key": "k", "to": "1"},
        [1],
        "x",
    )
    (tmp_path / audit.NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert await Audit(tmp_path).unfinished() == []
    with (tmp_path / audit.NAME).open("a") as file:
        file.write("[" * 100_000 + "\n" + "9" * 10_000 + "\n")
    assert await Audit(tmp_path).unfinished() == []
