"""candump text through the command. Oracle: the captures and the vendor's examples."""

import json
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.__main__ import main
from jkbms_addon.battery.quantities import specs
from jkbms_addon.wire.candump import candump, written
from jkbms_addon.wire.jkcan.frames import frames
from jkbms_addon.wire.jkcan.kinds import V1
from tests.conftest import captures
from tests.wire.test_jkcan_bus import CELLS, STATE, Sender

STREAM = next(s for s in captures("can")["streams"] if s["id"] == "stream-jk-native-500k")["lines"]


@pytest.fixture
def decoded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def run(lines: list[str]) -> tuple[int, list[dict[str, Any]], str]:
        path = tmp_path / "can.log"
        path.write_text("\n".join(lines))
        status = main(["decode", "--format", "can", str(path)])
        out, err = capsys.readouterr()
        return status, [json.loads(line) for line in out.splitlines()], err

    return run


def log_notation(lines: list[str]) -> list[str]:
    found = [frame for line in lines if (frame := candump(line))]
    return [
        f"(1753000000.{n:06}) can0 {line.split()[1]}#{f.data.hex()}"
        for n, (line, f) in enumerate(zip(lines, found, strict=True))
    ]


@pytest.mark.parametrize("lines", [STREAM, log_notation(STREAM)], ids=["for people", "log"])
def test_captured_frames_in_both_notations(decoded: Any, lines: list[str]) -> None:
    status, said, err = decoded(lines)
    assert (status, err) == (0, "")
    assert [(x["format"], x["address"]) for x in said] == [("can", 0)] * 4 + [("can", None)]
    assert said[0]["kind"] == "BATT_ST1"
    assert said[0]["fields"] == {"total_voltage": 53.1, "current": 1.8, "state_of_charge": 81}
    assert said[1]["fields"]["min_cell_voltage"] == 3.324
    assert said[3]["fields"] == {"capacity_remaining": 227.3, "full_charge_capacity": 280.0, "charging_cycles": 35}
    assert said[4]["fields"] == {"total_voltage": 53.19, "current": 1.8, "charging_cycles": 35}


def test_every_key_has_its_published_name(decoded: Any) -> None:
    state = {**STATE, "charger_plugged": True, "alarms": ("cell_under_voltage_severe",), "errors_bitmask": 1}
    _, said, _ = decoded([written(frame) for _, frame in frames(state, 2)])
    keys = {key for line in said for key in line["fields"]}
    own = {"problem", "errors", *specs()} | {f"cell_voltage_{n}" for n in range(1, len(CELLS) + 1)}
    assert {key for key in keys if not key.startswith("alarm_")} <= own
    fields = {line["kind"]: line["fields"] for line in said}
    assert fields["CELLVOL2"] == {f"cell_voltage_{n}": CELLS[n - 1] for n in (5, 6, 7, 8)}
    assert fields["ALM_INFO"]["alarm_cell_under_voltage_severe"] is True
    assert fields["ALM_INFO"]["errors"] == "Cell under-voltage (severe)"
    assert fields["BMSERR_INFO"]["alarm_balance_wire_resistance_too_large"] is True
    assert fields["BATT_ST1"]["current"] == -12.3


def current(said: list[dict[str, Any]]) -> set[float | None]:
    return {line["fields"]["current"] for line in said if line["kind"] == "BATT_ST1"}


@pytest.mark.parametrize("version", [1, 2])
def test_the_sign_follows_the_pace_where_v2_is_filtered(decoded: Any, version: Any) -> None:
    events = sorted(Sender({}, 0, version).events(0, 2))
    lines = [f"can0  {can_id:03X}   [8]  {data.hex(' ')}" for _, can_id, extended, data in events if not extended]
    assert current(decoded(lines)[1]) == {-12.3}


def test_each_bms_has_its_own_version(decoded: Any) -> None:
    events = sorted([*Sender({}, 0, 1).events(0, 2), *Sender({}, 3, 2).events(0, 2)])
    lines = [f"can0 {can_id:0{8 if ext else 3}X}#{data.hex()}" for _, can_id, ext, data in events]
    assert current(decoded(lines)[1]) == {-12.3}


def test_the_time_of_discharge_tells_v1(decoded: Any) -> None:
    _, said, err = decoded(["can0 2F4#1301D71133006400"])
    assert (said[0]["fields"]["current"], err) == (-56.7, "")


def test_a_sign_that_cannot_be_told_is_not_guessed(decoded: Any) -> None:
    status, said, err = decoded([written(frame) for _, frame in frames(STATE, 0, 2)[: len(V1)]][:1])
    assert (status, current(said)) == (0, {None})
    assert "current of BMS 0" in err


def test_what_is_skipped_is_told(decoded: Any) -> None:
    lines = [
        "",
        "hello",
        "can0 351#00",
        "can0 2F4#01",
        "can0 18E7F4F4#00",
        "can0 18E728F4#00",
        "can0 5F4#4801480048000000",
    ]
    status, said, err = decoded(lines)
    assert (status, len(said)) == (0, 1)
    assert [line.split(": ")[1] for line in err.splitlines()] == [f"line {n}" for n in range(2, 7)]
    assert "line 2: no data frame: hello" in err
    assert "351: no frame of a JK BMS" in err
    assert "dialect" in err


def test_nothing_valid_is_status_1(decoded: Any) -> None:
    assert decoded(["can0 351#00"])[0] == 1
    assert decoded([]) == (1, [], "")
