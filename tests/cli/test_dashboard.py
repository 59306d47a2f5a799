"""The dashboard that is printed: it can be read by Home Assistant, and it is about what there is."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from jkbms_addon.__main__ import main
from jkbms_addon.views.dashboard import yaml as written

CORE = {"gauge", "entities", "history-graph", "glance", "statistics-graph"}
CONFIG = "homeassistant/device/{}/config"
KINDS = {
    **{f"cell_voltage_{n}": "sensor" for n in range(1, 17)},
    **dict.fromkeys(("total_voltage", "current", "power", "state_of_charge", "energy_charged"), "sensor"),
    **dict.fromkeys(("energy_discharged", "mosfet_temperature", "alarms", "last_change"), "sensor"),
    **dict.fromkeys(("problem", "connection", "charging"), "binary_sensor"),
    "charging_switch": "switch",
    "max_charge_current": "number",
}


def announced(folder: Path, *, bank: bool = True, prefix: str = "jkbms_") -> None:
    devices: dict[str, Any] = {
        f"{prefix}{bus}_{address}": {
            "topic": CONFIG.format(f"{prefix}{bus}_{address}"),
            "components": KINDS,
            "bus": bus,
            "address": address,
            "plain": bus == "a",
        }
        for bus, address in (("a", 2), ("a", 1), ("b", 1))
    }
    devices["jkbms_bridge"] = {"topic": CONFIG.format("jkbms_bridge"), "components": {"writing": "switch"}}
    if bank:
        parts = {"state_of_charge": "sensor", "sharing_1": "sensor", "packs_online": "sensor"}
        devices["jkbms_bank"] = {"topic": CONFIG.format("jkbms_bank"), "components": parts}
    (folder / "announced.json").write_text(json.dumps({"version": 1, "devices": devices}))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["dashboard", *arguments]) == 0
    found: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return found


def entities(card: dict[str, Any]) -> list[str]:
    return [*card.get("entities", []), *([card["entity"]] if "entity" in card else [])]


def opened(views: list[dict[str, Any]], path: object) -> dict[str, Any] | None:
    """The view that Home Assistant's frontend opens; a number is the place of a view, whatever the paths are."""
    return next((view for n, view in enumerate(views) if str(path) in (view["path"], str(n))), None)


def test_each_tab_opens_its_own_view(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announced(tmp_path)
    file = tmp_path / "announced.json"
    file.write_text(file.read_text().replace('"address": 2', '"address": 0').replace("a_2", "a_0"))
    views = printed(capsys, "--data", str(tmp_path))["views"]
    assert [view["title"] for view in views] == ["Battery bank", "JK BMS 0", "JK BMS 1", "JK BMS b 1"]
    assert [opened(views, view["path"]) for view in views] == views


def test_one_view_for_the_bank_and_one_for_each_battery(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announced(tmp_path)
    views = printed(capsys, "--data", str(tmp_path))["views"]
    assert [view["title"] for view in views] == ["Battery bank", "JK BMS 1", "JK BMS 2", "JK BMS b 1"]
    assert [view["path"] for view in views] == ["bank", "pack-1", "pack-2", "pack-b-1"]
    for view in views:
        assert {card["type"] for card in view["cards"]} <= CORE
        assert all(entities(card) for card in view["cards"])
    every = {entity for card in views[1]["cards"] for entity in entities(card)}
    assert {
        "sensor.jk_bms_1_cell_voltage_16",
        "switch.jk_bms_1_charging",
        "number.jk_bms_1_max_charge_current",
    } <= every
    assert "binary_sensor.jk_bms_1_charging" in every
    assert all(entity.partition(".")[2].startswith("jk_bms_1_") for entity in every)
    assert "sensor.jk_bms_b_1_power" in {entity for card in views[3]["cards"] for entity in entities(card)}


def test_without_a_bank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announced(tmp_path, bank=False)
    assert len(printed(capsys, "--data", str(tmp_path))["views"]) == 3


def test_nobody_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--data", str(tmp_path)]) == 1
    assert "no battery is known" in capsys.readouterr().err


def test_another_base_topic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announced(tmp_path, bank=False, prefix="jkbms-garage_")
    options = tmp_path / "options.json"
    options.write_text(json.dumps({"mqtt": {"base_topic": "garage"}}))
    views = printed(capsys, "--data", str(tmp_path))["views"]
    every = {entity for view in views for card in view["cards"] for entity in entities(card)}
    assert "sensor.jk_bms_1_garage_power" in every


@pytest.mark.parametrize(
    "content",
    [
        {"a": [1, 2.5, True, "x y", 'quo"te', "no:"], "b": {"c": [], "d": {}}, "e": [{"f": [{"g": "h"}], "i": "-"}]},
        {"views": [{"cards": [{"type": "gauge", "severity": {"red": 0}}]}]},
    ],
)
def test_what_is_written_reads_the_same(content: dict[str, Any]) -> None:
    assert yaml.safe_load(written(content)) == content
