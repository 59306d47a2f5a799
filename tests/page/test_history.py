import base64
import sys
from array import array
from pathlib import Path

import pytest

from jkbms_addon.page.history import NONE, PATIENCE, TIERS, History, Places, Ring, Series, counts, little, scale
from jkbms_addon.page.history_file import NAME, packed, read, write

START = 1_800_000_000.0  # on a border of all three tiers


def run(history: History, start: float, seconds: int, key: str = "a/1", **values: float | None) -> float:
    """A sample a second; the time after it."""
    for n in range(seconds):
        if history.believed(start + n, start + n):
            history.take(key, start + n, values)
    return start + seconds


def column(history: History, name: str, now: float, step: int = 10, key: str = "a/1") -> list[int]:
    answer = history.answer(key, step, [name], now - 1)  # the last sample
    assert answer is not None
    data = array("h")
    data.frombytes(base64.b64decode(str(answer["data"])))
    if sys.byteorder == "big":
        data.byteswap()
    assert len(data) == answer["rows"]
    return list(data)


def known(history: History, name: str, now: float, step: int = 10) -> list[int]:
    return [value for value in column(history, name, now, step) if value != NONE]


def test_means_in_all_tiers() -> None:
    history = History()
    now = run(history, START, 900, power=1000.0, soc=50.0)
    now = run(history, now, 1000, power=3000.0, soc=60.0)
    assert column(history, "power", now)[-1] == 300
    assert known(history, "power", now, 900) == [100, 300]
    assert known(history, "soc", now, 900) == [500, 600]
    assert len(known(history, "soc", now, 60)) == 31
    assert len(known(history, "soc", now, 10)) == 189  # the newest step is not closed before the next sample


def test_a_gap_is_a_gap() -> None:
    history = History()
    now = run(history, START, 60, power=500.0)
    now = run(history, now + 60, 71, power=700.0)
    assert column(history, "power", now)[-20:] == [NONE] + [50] * 6 + [NONE] * 6 + [70] * 7
    now = run(history, now, 20, soc=1.0, power=None)
    assert column(history, "power", now)[-1] == NONE


def test_what_is_unknown_is_none_and_never_zero() -> None:
    history = History()
    run(history, START, 30, power=None, soc=float("nan"))
    assert history.series == {}
    assert set(column(history, "power", START + 30)) == {NONE}
    assert history.answer("a/1", 11, ["power"], START) is None


def test_a_ring_forgets_what_is_older() -> None:
    history = History()
    now = run(history, START, 7300, power=100.0)
    assert column(history, "power", now) == [10] * 720
    later = now + 7200 * 3
    assert set(column(history, "power", later)) == {NONE}
    run(history, later, 20, power=200.0)
    assert known(history, "power", later + 20) == [20]


def test_only_columns_that_exist_are_answered() -> None:
    history = History()
    answer = history.answer("bank", 60, ["soc", "cell_12", "cell_x", "cell_", "rm", "cell_123", "__class__"], START)
    assert answer is not None
    assert answer["cols"] == ["soc", "cell_12"]
    assert answer["scale"] == [0.1, 0.001]
    assert answer["from"] == START - 60 * 1440


def test_counts_are_bounded() -> None:
    assert counts(1e9, 0.1) == 32767
    assert counts(-1e9, 0.1) == -32767
    assert counts(float("inf"), 1) == NONE
    assert counts(float("nan"), 1) == NONE


def test_a_clock_set_back_is_waited_for_and_then_believed() -> None:
    history = History()
    now = run(history, START, 600, power=100.0)
    tick, back = now, now - 300.0
    for n in range(290):
        assert not history.believed(back + n, tick + n)
    assert history.believed(now + 1, tick + 301)  # time has caught up, nothing is lost
    assert len(known(history, "power", now)) == 59
    back = now - 3000.0
    history.take("a/1", now + 1, {"power": 100.0})
    for n in range(int(PATIENCE)):
        assert not history.believed(back + n, tick + 400 + n)
    assert history.believed(back + PATIENCE, tick + 400 + PATIENCE)
    assert known(history, "power", now) == []  # what lies in the future never was
    run(history, back + PATIENCE, 20, power=100.0)
    assert len(known(history, "power", back + PATIENCE + 20)) == 1


def test_a_clock_set_forward_leaves_a_gap() -> None:
    history = History()
    now = run(history, START, 60, power=100.0)
    now = run(history, now + 10 * 86400, 60, power=100.0)
    assert len(known(history, "power", now)) == 5
    assert len(known(history, "power", now, 60)) == 0  # one minute is not closed, the other was ten days ago
    now = run(history, now, 1000, power=100.0)
    assert len(known(history, "power", now, 900)) == 2


def test_places_of_cells() -> None:
    places = Places()
    hour = 500_000
    places.note(hour, (3.3, 3.3, 3.3), 100.0)  # all alike: nobody is lowest
    assert places.shares(hour) == ([], [], 0.0)
    places.note(hour, (3.2, 3.3, 3.4), 90.0)
    places.note(hour + 1, (3.3, 3.2, 3.2), 10.0)
    low, high, hours = places.shares(hour + 1)
    assert low == pytest.approx([0.9, 0.05, 0.05])
    assert high == pytest.approx([0.1, 0.0, 0.9])
    assert hours == pytest.approx(100 / 3600)
    assert places.shares(hour + 24)[0] == pytest.approx([0, 0.5, 0.5])
    places.note(hour + 30, (None, 3.2, 3.4), 10.0)
    assert list(places.low) == [hour + 30]
    assert places.shares(hour + 30)[0] == [0, 1, 0]
    assert places.shares(hour + 60) == ([], [], 0.0)


def filled() -> tuple[History, float]:
    history = History()
    now = run(history, START, 2000, power=1234.0, cell_1=3.312, cell_2=3.3)
    now = run(history, now, 1000, key="bank", soc=55.0)
    history.note("a/1", now, (3.3, 3.4), 60)
    return history, now


def test_a_restart_loses_nothing(tmp_path: Path) -> None:
    history, now = filled()
    assert write(tmp_path / NAME, *packed(history)) == ""
    again = read(tmp_path / NAME)
    for key in ("a/1", "bank"):
        for step, _ in TIERS:
            for name in ("power", "cell_1", "cell_2", "soc"):
                assert column(again, name, now, step, key) == column(history, name, now, step, key)
    assert again.shares("a/1", now) == history.shares("a/1", now)
    # the clock of a computer that lost its time at the restart does not cost the history
    assert not again.believed(START - 10000, 5.0)
    assert again.believed(now + 100, 60.0)
    run(again, now + 100, 20, power=10.0)
    assert column(again, "power", now + 120)[-1] == 1


@pytest.mark.parametrize("cut", [0, 5, 60, -1, -100])
def test_a_damaged_file_is_thrown_away(tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    history, now = filled()
    write(tmp_path / NAME, *packed(history))
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole[:cut])
    assert read(tmp_path / NAME).series == {}
    assert len(caplog.records) == 1
    assert "thrown away" in caplog.text
    del now


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"version":1', b'"version":2'),
        (b'"power"', b'"pxwer"'),
        (b"[10,720]", b"[10,721]"),
        (b'"head":', b'"hxad":'),
        (b'"low":{', b'"low":['),
    ],
)
def test_a_strange_header_is_thrown_away(tmp_path: Path, old: bytes, new: bytes) -> None:
    write(tmp_path / NAME, *packed(filled()[0]))
    whole = (tmp_path / NAME).read_bytes()
    assert old in whole
    (tmp_path / NAME).write_bytes(whole.replace(old, new))
    assert read(tmp_path / NAME).series == {}


def test_a_battery_that_is_gone_for_long_is_forgotten(tmp_path: Path) -> None:
    history, now = filled()
    history.take("a/9", now - 31 * 86400, {"soc": 1.0})
    history.take("a/9", now - 31 * 86400 + 10, {"soc": 1.0})
    again = History()
    again.adopt(history, now)
    assert again.series.keys() == {"a/1", "bank"}


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    assert "cannot be written" in write(tmp_path / "missing" / NAME, *packed(filled()[0]))
    assert read(tmp_path / NAME).series == {}


def test_a_file_of_the_other_byte_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history, now = filled()
    header, columns = packed(history)
    for one in columns:
        one.byteswap()
    other = "big" if sys.byteorder == "little" else "little"
    write(tmp_path / NAME, header.replace(sys.byteorder.encode(), other.encode()), columns)
    assert column(read(tmp_path / NAME), "power", now) == column(history, "power", now)


def test_bytes_are_little_endian() -> None:
    assert little(array("h", (1, -2))) == b"\x01\x00\xfe\xff"


def test_what_a_pack_takes() -> None:
    series = Series()
    series.take(START, dict.fromkeys(("power", "soc", *(f"cell_{n}" for n in range(1, 17))), 1.0))
    for n in range(1, 1000):
        series.take(START + n, dict.fromkeys(("power", "soc", *(f"cell_{n}" for n in range(1, 17))), 1.0))
    size = sum(column.itemsize * len(column) for ring in series.rings for column in ring.columns.values())
    assert size == 18 * 2 * (720 + 1440 + 2880)
    assert scale("cell_7") == 0.001


def test_a_step_is_closed_once() -> None:
    ring = Ring(10, 5)
    ring.put(100, {"soc": 1.0})
    ring.put(100, {"soc": 9.0})
    ring.put(99, {"soc": 9.0})
    assert list(ring.last("soc", 100, 3)) == [NONE, NONE, 10]
    assert list(ring.last("power", 100, 2)) == [NONE, NONE]
    assert list(Ring(10, 5).last("power", 100, 2)) == [NONE, NONE]
