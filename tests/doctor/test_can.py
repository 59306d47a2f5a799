"""Frames of a CAN bus in words, and as a log that ``decode`` reads. Oracle of what they say: the captures."""

import json
from pathlib import Path

import pytest

from jkbms_addon.__main__ import main
from jkbms_addon.doctor.can import DIALECT, FrameLog, FrameWords, reading
from jkbms_addon.doctor.recording import Passed
from jkbms_addon.doctor.words import Word
from jkbms_addon.errors import FrameError
from jkbms_addon.link.tap import Direction
from jkbms_addon.simulator.can import CanBms, can_bms
from jkbms_addon.wire.can import Frame
from jkbms_addon.wire.candump import candump
from tests.conftest import captures

STREAM = next(s for s in captures("can")["streams"] if s["id"] == "stream-jk-native-500k")["lines"]
CAPTURED = [Frame(one.can_id, one.extended, one.data) for line in STREAM if (one := candump(line))]
BY_ID = "/dev/serial/by-id/usb-Openlight_Labs_CANable2_b158aa7_github.com_norm_2069328C5650-if00"


def passed(*frames: Frame, at: float = 0.0, direction: Direction = "rx") -> Passed[tuple[Frame, ...]]:
    return Passed(at, direction, frames)


def spoken(battery: CanBms, seconds: float) -> list[tuple[float, Frame]]:
    """What a battery sends in so many s."""
    return [(n / 100, frame) for n in range(int(100 * seconds)) for frame in battery.due(n / 100)]


def word_of(words: list[Word], name: str) -> Word:
    return next(word for word in words if word.said.get("name") == name)


# --- in words -------------------------------------------------------------------------------------------------
def test_what_captured_frames_mean() -> None:
    words = FrameWords()
    words.take(passed(*CAPTURED, at=1.5))
    told, left_out = words.newest(40)
    assert (len(told), left_out) == (len(CAPTURED), 0)
    status = word_of(told, "BATT_ST1")
    assert (status.seconds, status.direction, status.kind, status.data) == (1.5, "rx", "can", CAPTURED[0].data)
    assert status.said == {
        "id": "2F4",
        "name": "BATT_ST1",
        "a": 0,
        "version": 2,
        "told": [["total_voltage", 53.1, "V"], ["state_of_charge", 81, "%"], ["current", 1.8, "A"]],
    }
    assert word_of(told, "0x01F21400").said["a"] is None  # its id tells nobody's address
    assert json.loads(json.dumps([word.said for word in told]))  # as it goes to the browser


def test_of_each_id_the_newest_is_told_and_how_many_are_left_out() -> None:
    words, count = FrameWords(), 0
    for at, frame in spoken(can_bms(3), 1.0):
        words.take(passed(frame, at=at))
        count += 1
    told, left_out = words.newest(40)
    ids = [word.said["id"] for word in told]
    assert len(set(ids)) == len(ids) == count - left_out
    assert left_out > 50
    assert word_of(told, "BATT_ST1").seconds > 0.9
    assert words.newest(40) == ([], 0)
    for at, frame in spoken(can_bms(3), 1.0):
        words.take(passed(frame, at=1 + at))
    told, left_out = words.newest(5)
    assert [word.seconds for word in told] == sorted(word.seconds for word in told)[-5:]
    assert (len(told), left_out) == (5, count - 5)


@pytest.mark.parametrize(("version", "seconds"), [(1, 8.0), (2, 1.0)])
def test_the_current_has_its_sign_once_the_version_is_known(version: int, seconds: float) -> None:
    battery = can_bms(0, 1 if version == 1 else 2, current=-12.3)
    words = FrameWords()
    for at, frame in spoken(battery, seconds):
        words.take(passed(frame, at=at))
    said = word_of(words.newest(40)[0], "BATT_ST1").said
    assert said["version"] == version
    assert ["current", -12.3, "A"] in said["told"]


def test_cells_are_numbered_and_alarms_named() -> None:
    words = FrameWords()
    for at, frame in spoken(can_bms(1, cells=8, alarms=("cell_under_voltage_severe",)), 1.1):
        words.take(passed(frame, at=at))
    told = words.newest(40)[0]
    assert [(key, unit) for key, _, unit in word_of(told, "CELLVOL2").said["told"]] == [
        (f"cell_voltage_{n}", "V") for n in range(5, 9)
    ]
    assert ["alarms", ("cell_under_voltage_severe",), None] in word_of(told, "ALM_INFO").said["told"]


def test_what_is_none_of_ours_cannot_be_true_or_is_a_dialect() -> None:
    words = FrameWords()
    inverter, damaged = Frame(0x351, False, bytes(8)), Frame(0x2F4, False, b"\x01")
    dialect = Frame(0x18F0F472, True, bytes(8))
    words.take(passed(inverter, direction="tx"))
    words.take(passed(damaged, dialect))
    told = words.newest(40)[0]
    assert [(word.direction, word.kind) for word in told] == [
        ("tx", "stranger"),
        ("rx", "impossible"),
        ("rx", "impossible"),
    ]
    assert told[0].said == {"id": "351"}
    assert told[2].said == {"id": "18F0F472", "why": DIALECT}
    with pytest.raises(FrameError, match="dialect"):
        reading(dialect, 2)


# --- as a log -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("target", "channel"),
    [("can1", "can1"), ("vcan0.12", "vcan0.12"), (BY_ID, "can0"), ("C8:47:80:00:00:01", "can0"), ("", "can0")],
)
def test_the_channel_is_an_interface_and_never_a_place(target: str, channel: str) -> None:
    log = FrameLog(target, 1753000000.0)
    log.take(passed(CAPTURED[0], at=0.25))
    (line,) = log.lines()
    assert line == f"(1753000000.250000) {channel} 2F4#{CAPTURED[0].data.hex().upper()}"
    assert log.lines() == []


def test_what_was_sent_is_marked_and_counted_apart() -> None:
    log = FrameLog("can0", 0.0)
    log.take(passed(*CAPTURED[:2]))
    log.take(None)
    log.take(passed(CAPTURED[2], at=1.0, direction="tx"))
    lines = log.lines()
    assert [line.endswith(" T") for line in lines] == [False, False, True]
    assert (log.received, log.sent) == (2, 1)
    assert [(one.can_id, one.data) for line in lines if (one := candump(line))] == [
        (frame.can_id, frame.data) for frame in CAPTURED[:3]
    ]


def test_decode_knows_a_log_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = FrameLog(BY_ID, 1753000000.0)
    log.take(passed(Frame(0x351, False, bytes(8)), *CAPTURED))
    file = tmp_path / "cellar.log"
    file.write_text("\n".join(["(1753000000.0) can0 351#R", *log.lines(), ""]))  # one that candump heard, too
    assert main(["decode", str(file)]) == 0
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["kind"] for one in said][:1] == ["BATT_ST1"]
    assert {one["format"] for one in said} == {"can"}
    assert len(said) == len(CAPTURED)
