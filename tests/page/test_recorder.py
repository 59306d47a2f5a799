import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from jkbms_addon.battery.identity import HAND
from jkbms_addon.page import history_file, recorder
from jkbms_addon.page.history import NONE, History
from jkbms_addon.page.recorder import Recorder
from tests.conftest import until
from tests.page.stage import Battery, Stage, batteries

START = 1_800_000_000.0


class Wall:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def looked(stage: Stage, wall: Wall, looks: int) -> None:
    watching = Recorder(stage.sources, wall)
    stage.sources.history = History()
    for _ in range(looks):
        stage.feed()
        watching.look()
        wall.now += 1


def column(history: History, key: str, name: str, wall: Wall) -> list[int]:
    ring = history.series[key].rings[0]
    return [one for one in ring.last(name, int(wall.now // 10) - 1, 10) if one != NONE]


def test_packs_and_bank_are_recorded(tmp_path: Path) -> None:
    stage, wall = Stage(tmp_path, batteries(3)), Wall()
    stage.recorder = Recorder(stage.sources, lambda: 0.0)  # the stage's own has no say here
    looked(stage, wall, 35)
    history = stage.sources.history
    for name in ("power", "soc", "voltage", "min_cell", "cell_11", "temperature", "mosfet"):
        assert len(column(history, "garage/3", name, wall)) == 3, name
    for name in ("power", "soc", "charge_limit", "charged"):
        assert len(column(history, "bank", name, wall)) >= 2, name
    assert history.shares("garage/3", wall.now)[0][10] > 0.9


def test_a_silent_pack_leaves_a_gap(tmp_path: Path) -> None:
    stage, wall = Stage(tmp_path, batteries(3)), Wall()
    stage.recorder = Recorder(stage.sources, lambda: 0.0)
    stage.silence(stage.packs[2], 60)
    looked(stage, wall, 35)
    assert "garage/3" not in stage.sources.history.series


def test_what_is_worth_a_look_of_a_stage(tmp_path: Path) -> None:
    stage = Stage(tmp_path, batteries(9))
    stage.past()
    stage.silence(stage.packs[8], 192)
    for _ in range(7):
        stage.feed()
    found = {one.key: one for one in stage.sources.watch.findings}
    assert found.keys() == {"silent", "weak", "settings"}
    assert found["silent"].pack == "cellar/3"
    assert (found["weak"].pack, found["weak"].args["cell"]) == ("garage/3", 11)
    assert set(str(found["settings"].args["keys"]).split()) == {"max_charge_current", "balancing_switch"}


def test_the_cause_of_a_silence_is_that_of_the_wire_that_spoke_last(tmp_path: Path) -> None:
    """A battery goes by the name of its first wire, whatever bus told it last."""
    stage = Stage(tmp_path, [Battery("garage", 1), Battery("cellar", 1)])
    store = stage.sources.store
    store.identity.links[frozenset((("garage", 1), ("cellar", 1)))] = HAND
    store.identity._rebuild()
    stage.app.buses["garage"].says("garage is quiet")
    stage.app.buses["cellar"].says("cellar is quiet")
    for pack, ago in ((stage.packs[0], 120), (stage.packs[1], 90)):
        stage.silence(pack, ago)
    for _ in range(7):
        stage.feed()
    (battery,) = store
    assert (battery.key, battery.source) == (("garage", 1), ("cellar", 1))
    (silent,) = [one for one in stage.sources.watch.findings if one.key == "silent"]
    assert (silent.pack, silent.args["cause"]) == ("garage/1", "cellar is quiet")


async def test_the_history_outlives_a_restart(tmp_path: Path) -> None:
    first = Stage(tmp_path, batteries(2))
    first.sources.history = History()
    earlier = Stage(tmp_path, batteries(2))
    earlier.past()
    history_file.write(tmp_path / history_file.NAME, *history_file.packed(earlier.sources.history))
    task = asyncio.create_task(recorder.own(first.sources, tmp_path))
    await until(lambda: "garage/2" in first.sources.history.series)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert len(history_file.read(tmp_path / history_file.NAME).series) == 3
    second = Stage(tmp_path, [])
    task = asyncio.create_task(recorder.own(second.sources, tmp_path))
    await until(lambda: "garage/2" in second.sources.history.series)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_it_is_saved_every_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, batteries(1))
    monkeypatch.setattr(recorder, "SAVE_EVERY", 0.0)
    task = asyncio.create_task(recorder.own(stage.sources, tmp_path))
    await until((tmp_path / history_file.NAME).exists)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
