import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.battery.identity import HAND
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.snapshot import Part
from jkbms_addon.page import parts
from jkbms_addon.page.stream import WHOLE, Camera, PackScene, Scene, Told
from tests.page.stage import Battery, Stage, batteries

TEXTS = st.sampled_from(["1", "2", "null", '{"a":[1,null]}'])
PACKS = st.builds(
    PackScene,
    age=st.sampled_from(["0.1", "9.9", "null"]),
    on=st.booleans(),
    parts=st.dictionaries(st.sampled_from(["live", "settings", "about", "cells"]), TEXTS),
)
SCENES = st.builds(
    Scene,
    at=st.floats(0, 1e6),
    whole=st.fixed_dictionaries(dict.fromkeys(WHOLE, TEXTS)),
    buses=TEXTS,
    packs=st.dictionaries(st.sampled_from(["a/1", "a/2", "b/1"]), PACKS),
)


@given(st.lists(SCENES, min_size=1, max_size=8), st.data())
def test_a_client_knows_everything_and_is_told_nothing_twice(scenes: list[Scene], data: st.DataObject) -> None:
    """Whatever scenes a slow client skips, what it was told adds up to the newest; parts come only as news."""
    told = Told()
    known: dict[str, Any] = {}
    packs: dict[str, dict[str, Any]] = {}
    for scene in scenes:
        if data.draw(st.booleans()):
            continue
        tick = json.loads(told.tick(scene))
        assert (tick["t"], tick["buses"]) == ("tick", json.loads(scene.buses))
        for kind in set(tick) & set(WHOLE):
            assert kind not in known or known[kind] != tick[kind]
            known[kind] = tick[kind]
        for name, pack in tick["packs"].items():
            before = packs.setdefault(name, {})
            for kind in set(pack) - {"age", "on"}:
                assert kind not in before or before[kind] != pack[kind]
            before.update(pack)
        assert known == {kind: json.loads(scene.whole[kind]) for kind in WHOLE}
        assert tick["packs"].keys() == scene.packs.keys()
        for name, seen in scene.packs.items():
            assert packs[name]["on"] is seen.on
            assert packs[name]["age"] == json.loads(seen.age)
            for kind, text in seen.parts.items():
                assert packs[name][kind] == json.loads(text)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, batteries(9))


def scene(stage: Stage) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(Told().tick(Camera(stage.sources).scene(stage.app.store.clock(), 1.8e9)))
    return told


def test_what_a_scene_holds(stage: Stage) -> None:
    told = scene(stage)
    bank = told["bank"]
    assert (bank["counted"], bank["known"], bank["out"]) == (9, 9, [])
    assert bank["min"]["at"] == "garage/3"
    assert bank["min"]["n"] == 11
    assert bank["full_kwh"] == pytest.approx(9 * 280 * 51.2 / 1000, rel=0.001)
    assert sum(bank["share"].values()) == pytest.approx(100, abs=0.5)
    assert sum(bank["fair"].values()) == pytest.approx(100, abs=0.5)
    live = told["packs"]["garage/1"]["live"]
    assert all(isinstance(cell, int) and 3300 < cell < 3500 for cell in live["cell_voltage"])
    assert live["cell_resistance"][1] == 61.0
    assert "min_cell_voltage" not in live
    settings = dict(zip(parts.SETTINGS, told["packs"]["garage/6"]["settings"], strict=True))
    assert settings["max_charge_current"] == 80.0
    assert settings["smart_sleep_voltage"] is None
    outlet = told["inverter"]["outlets"][0]
    assert (outlet["emitting"], outlet["target"], outlet["rate"], outlet["alone"]) == (True, "can9", 500000, False)
    assert told["inverter"]["limits"]["charge_voltage"][0] == pytest.approx(55.2, abs=0.5)
    assert [(one["pack"], one["s"]) for one in told["alarms"]] == [("garage/6", "warning")]
    assert told["first"] is None
    assert told["buses"][0]["bms"]["1"] == {"ms": 44, "frames": 3, "health": "ok"}


def test_what_a_pack_allows_is_what_the_charge_control_lets_it_contribute(stage: Stage) -> None:
    """Not the setting of its BMS: a MOSFET may be off, cells may be cold, it may be silent."""
    stage.packs[1].told = {"charging": False}
    stage.packs[3].temperature = 8.0
    stage.silence(stage.packs[8], 192)
    stage.feed()
    allows = scene(stage)["inverter"]["allows"]
    assert allows["garage/1"][0] == 100
    assert allows["garage/2"][0] == 0 < allows["garage/2"][1]
    assert 0 < allows["garage/4"][0] < 100
    assert allows["garage/6"][0] == 80
    assert "cellar/3" not in allows


def test_settings_that_are_not_heard_any_more_are_unknown(stage: Stage) -> None:
    now = stage.app.store.clock()
    heard = Reading(1, "settings", {"max_charge_current": 80.0}, valid_for=0.01)
    stage.app.store.update("garage", heard)
    while stage.app.store.clock() < now + 0.02:
        pass
    pack = scene(stage)["packs"]["garage/1"]
    assert pack["on"]
    assert set(pack["settings"]) == {None}
    assert pack["about"]["model"]
    stage.silence(stage.packs[0], 192)  # what it said last is shown, as that of a silent one
    assert 80.0 in scene(stage)["packs"]["garage/1"]["settings"]


def test_a_silent_pack_keeps_its_last_words_and_does_not_count(stage: Stage) -> None:
    stage.silence(stage.packs[8], 192)
    stage.feed()
    told = scene(stage)
    silent = told["packs"]["cellar/3"]
    assert silent["on"] is False
    assert silent["age"] == pytest.approx(192, abs=2)
    assert silent["live"]["current"] is not None
    assert told["bank"]["counted"] == 8
    assert told["bank"]["out"][0]["pack"] == "cellar/3"
    assert "cellar/3" not in told["bank"]["share"]
    assert [one["key"] for one in told["findings"]][:1] != []


def test_an_alarm_stays_while_its_pack_is_silent(stage: Stage) -> None:
    stage.silence(stage.packs[5], 60)
    stage.feed()
    assert scene(stage)["alarms"][0]["pack"] == "garage/6"
    stage.packs[5].silent, stage.packs[5].alarms = False, ()
    stage.feed()
    assert scene(stage)["alarms"] == []


def test_nothing_heard_yet(tmp_path: Path) -> None:
    stage = Stage(tmp_path, [], problem="no answer to any question: wires; check A and B")
    camera = Camera(stage.sources)
    camera.first = {"ports": [], "can": []}
    told = json.loads(Told().tick(camera.scene(stage.app.store.clock(), 1.8e9)))
    assert told["packs"] == {}
    assert told["bank"] is None
    assert told["first"] == {"ports": [], "can": []}
    assert told["buses"][0]["problem"].startswith("no answer")


def test_unknown_is_null_and_never_nan(tmp_path: Path) -> None:
    stage = Stage(tmp_path, [])
    values: dict[str, Any] = {
        "current": float("nan"),
        "total_voltage": None,
        "cell_voltage": (3.3, None, float("inf")),
        "alarms": (),
        "state_of_charge": 50,
        "balancing": True,
    }
    stage.app.store.update("garage", Reading(1, "live", values, valid_for=10.0))
    live = scene(stage)["packs"]["garage/1"]["live"]
    assert live == {
        "current": None,
        "total_voltage": None,
        "cell_voltage": [3300, None, None],
        "alarms": [],
        "state_of_charge": 50,
        "balancing": True,
    }


def test_a_part_is_written_once_for_all_clients(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    camera, written = Camera(stage.sources), []
    values = parts.values

    def counted(kind: str, part: Part) -> str:
        written.append(part)
        return values(kind, part)

    monkeypatch.setattr(parts, "values", counted)
    for _ in range(3):
        camera.scene(stage.app.store.clock(), 1.8e9)
    assert len(written) == 27
    stage.feed()
    camera.scene(stage.app.store.clock(), 1.8e9)
    assert len(written) == 36  # only the live parts are new


def test_the_stream_is_small(tmp_path: Path) -> None:
    stage = Stage(tmp_path, batteries(15))
    camera, told = Camera(stage.sources), Told()
    first = told.tick(camera.scene(stage.app.store.clock(), 1.8e9))
    stage.feed()
    later = told.tick(camera.scene(stage.app.store.clock(), 1.8e9))
    hello = parts.encoded(parts.static("off", "1", "v", ["a"]))
    assert len(first) + len(hello) <= 40_000
    assert len(later) <= 20_000  # every second; batteries are asked every two


def test_the_wires_of_a_battery_and_what_each_tells(tmp_path: Path) -> None:
    """Told only where there are several; nothing in it changes from second to second."""
    stage = Stage(tmp_path, [Battery("garage", 1), Battery("cellar", 1), Battery("cellar", 2)])
    store, camera = stage.sources.store, Camera(stage.sources)
    store.identity.links[frozenset((("garage", 1), ("cellar", 1)))] = HAND
    store.identity._rebuild()
    stage.feed()
    now = store.clock()
    assert json.loads(camera.scene(now, 1000.0).packs["cellar/2"].parts["wires"]) == []
    both = json.loads(camera.scene(now, 1000.0).packs["garage/1"].parts["wires"])
    assert [(one["wire"], one["state"]) for one in both] == [("garage/1", "on"), ("cellar/1", "on")]
    assert sorted(kind for one in both for kind in one["tells"]) == ["about", "live", "settings"]
    stage.silence(stage.packs[0], 100)
    for later in (0.0, 1.4):
        told = json.loads(camera.scene(now + later, 1000.0 + later).packs["garage/1"].parts["wires"])
        assert told[0] == {"wire": "garage/1", "state": "silent", "tells": [], "at": 900}
        assert told[1] == {"wire": "cellar/1", "state": "on", "tells": ["live", "settings", "about"]}
