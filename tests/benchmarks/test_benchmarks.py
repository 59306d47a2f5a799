"""The benchmarks run, and what they compare with is comparable; no figure is asserted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.acquisition.can_broadcast import SETTLE
from jkbms_addon.errors import FrameError
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.options.file import parse
from jkbms_addon.wire.pb import frames as jk02
from jkbms_addon.wire.ttl import frames as legacy
from tests.benchmarks import __main__ as whole
from tests.benchmarks import can, costs, decoding, dialects, figures, floor, inverter, radio
from tests.benchmarks.corruption import KINDS, corrupted


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    fresh: list[dict[str, Any]] = []
    monkeypatch.setattr(figures, "kept", fresh)
    monkeypatch.setattr(costs, "SETTLE", 0.0)
    monkeypatch.setattr(can, "WARM_UP", 1.0)
    return fresh


def told(readings: Any) -> dict[str, Any]:
    return {key: value for reading in readings for key, value in reading.values.items()}


@pytest.mark.parametrize("plain", [floor.pb, floor.pb_checked])
def test_the_floor_of_the_live_frame_reads_the_same(plain: Callable[[bytes], dict[str, Any]]) -> None:
    values = told([jk02.decode(jk02.Frame(2, decoding.PB_FRAME, 0), 1)])
    found = plain(decoding.PB_FRAME)
    assert found == {key: values[key] for key in found}
    assert len(found) == 29


@pytest.mark.parametrize("plain", [floor.ttl, floor.ttl_checked])
def test_the_floor_of_the_first_generation_reads_the_same(plain: Callable[[bytes], dict[str, Any]]) -> None:
    (frame,) = legacy.Framer().feed(decoding.TTL_TABLE)
    values = told(legacy.readings(frame, 1))
    found = plain(decoding.TTL_TABLE)
    texts = found.pop("_texts")
    assert found == {key: values[key] for key in found}
    assert len(found) == 51
    assert texts[0] == values["device_type"].encode()


def test_the_floor_of_a_can_frame_reads_the_same() -> None:
    message: Any = decoding.can()()
    found = floor.batt_st1(decoding.CAN_FRAME.data)
    assert found == {key: message.values[key] for key in found}
    assert len(found) == 3


@pytest.mark.parametrize("check", [floor.pb_checked, floor.ttl_checked])
def test_the_floor_with_checks_does_check(check: Callable[[bytes], dict[str, Any]]) -> None:
    frame = bytearray(decoding.PB_FRAME if check is floor.pb_checked else decoding.TTL_TABLE)
    frame[20] ^= 1
    with pytest.raises(FrameError):
        check(bytes(frame))


def test_decoding(kept: list[dict[str, Any]]) -> None:
    decoding.measure(20)
    whole.plausibility()
    assert len(kept) == 18
    assert all(figure["value"] > 0 for figure in kept)


@pytest.mark.parametrize("layout", radio.LAYOUTS)
def test_what_a_frame_over_bluetooth_costs_is_that_of_a_believed_one(layout: str) -> None:
    told: Any = radio.frame(layout)()
    (reading,) = told
    assert reading.kind == "live"
    assert len(reading.values["cell_voltage"]) == 16


def test_bluetooth(kept: list[dict[str, Any]]) -> None:
    radio.measure(10)
    assert len(kept) == 5
    assert all(figure["value"] > 0 for figure in kept)


def test_corruption() -> None:
    found = corrupted(40)
    assert set(found) == set(KINDS)
    assert all(sum(outcomes.values()) for outcomes in found.values())


@pytest.mark.parametrize("name", [name for name in costs.SETS if "listen" not in name])
async def test_what_a_strategy_costs(name: str) -> None:
    build, frame = costs.SETS[name]
    cost = await costs.measured(build, 1, 2.5)
    assert cost["batteries"] == 1
    assert cost["rss"] > 10
    assert cost["messages"] > 0
    assert cost["payload"] > 0
    assert frame()()


@pytest.mark.parametrize("name", [name for name in costs.SETS if "listen" in name])
async def test_what_following_costs_is_what_a_master_says(name: str, tmp_path: Path) -> None:
    """Waiting for two cycles of a real master would take too long here: only that it is set up rightly."""
    build, _ = costs.SETS[name]
    async with build(4) as scene:
        options = parse(costs.options(scene, 1))
        assert [bus.problem for bus in options.buses] == [""]
        assert scene.batteries == 4


async def test_the_inverter_is_told(kept: list[dict[str, Any]]) -> None:
    await inverter.punctuality(3.0)
    assert len(kept) == 6


async def test_buses_at_once(kept: list[dict[str, Any]]) -> None:
    await whole.whole_program(1, 1, 2.0)
    assert len(kept) == 5


async def test_hearing_can() -> None:
    with can.far_end(60, ("BATT_ST1", "CELL_VOLT", "BMSERR_INFO")) as port:
        for _ in range(6):  # the far end is a program of its own, which takes its time on a busy machine
            figures_found = await can.heard(port, SETTLE + 0.5)  # sooner nobody is told of
            if min(figures_found) > 0:
                return
    raise AssertionError(figures_found)


def test_what_is_kept_names_the_machine_and_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FILE", tmp_path / "measured")
    figures.show("x", 1.23456, "us", 2)
    figures.record([{"batteries": 1}], [])
    content = json.loads(figures.FILE.read_text(encoding="utf-8"))
    assert content["figures"] == [{"name": "x", "value": 1.2346, "unit": "us", "goal": 2}]
    assert content["costs"] == [{"batteries": 1}]
    assert content["machine"].keys() == {"cores", "architecture", "python", "date"}


def test_what_was_recorded_is_of_this_program() -> None:
    content = json.loads(Path(figures.__file__).with_name("measured.json").read_text(encoding="utf-8"))
    assert [row["batteries"] for row in content["costs"]] == list(costs.SIZES)
    assert [row["strategy"] for row in content["strategies"]] == list(costs.SETS)


def test_every_dialect_has_a_figure(kept: list[dict[str, Any]]) -> None:
    dialects.measure(3)
    assert {row["name"].rpartition(" ")[2] for row in kept} == set(DIALECTS)
    assert all(row["value"] > 0 for row in kept)
