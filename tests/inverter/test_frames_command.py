"""``frames``: a state in, candump lines out."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.cli import frames
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.state import ALARMS, PROTECTIONS

STATE: dict[str, Any] = {
    "charge_voltage": 55.2,
    "charge_current": 100,
    "discharge_current": 100.0,
    "discharge_voltage": 50.3,
    "state_of_charge": 26,
    "state_of_health": 100,
    "voltage": 0,
    "current": 0,
    "temperature": 25,
    "charge_enabled": True,
    "discharge_enabled": True,
    "force_charge_1": False,
    "force_charge_2": False,
    "full_charge_request": False,
    "protections": [],
    "alarms": [],
    "modules": 4,
    "module_addresses": [1, 5],
    "manufacturer": "Energy",
}


@pytest.fixture
def call(tmp_path: Path) -> Any:
    def run(text: object, *options: str) -> int:
        path = tmp_path / "state.json"
        path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
        parser = argparse.ArgumentParser()
        frames.add_arguments(parser)
        return frames.run(parser.parse_args([*options, str(path)]))

    return run


def test_sample_messages(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(STATE, "--protocol", "goodwe", "--dlc", "exact") == 0
    assert capsys.readouterr().out.splitlines() == [
        "  can0  359   [8]  00 00 00 00 04 00 00 22",
        "  can0  351   [8]  28 02 E8 03 E8 03 F7 01",
        "  can0  355   [4]  1A 00 64 00",
        "  can0  356   [6]  00 00 00 00 FA 00",
        "  can0  35C   [1]  C0",
        "  can0  35E   [6]  45 6E 65 72 67 79",
    ]


def test_padded_by_default(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(STATE, "--protocol", "pylontech", "--channel", "vcan1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  vcan1  359   [8]  00 00 00 00 04 50 4E 00"
    assert all("[8]" in line for line in lines)


@pytest.mark.parametrize("key", ["state_of_health", "temperature"])
def test_what_may_be_unknown(call: Any, capsys: pytest.CaptureFixture[str], key: str) -> None:
    assert call(STATE | {key: None}, "--protocol", "goodwe") == 0
    assert "  can0  355   [8]  1A 00 64 00" in capsys.readouterr().out


def test_what_may_be_left_out(call: Any) -> None:
    least = {key: value for key, value in STATE.items() if isinstance(value, int | float)}
    assert call(least, "--protocol", "goodwe") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Invalid JSON"),
        ("[]", "object"),
        ({key: value for key, value in STATE.items() if key != "charge_voltage"}, "charge_voltage: is missing"),
        (STATE | {"phase": "bulk"}, "phase: is not a key of a state"),
        (STATE | {"valid_until": 1}, "valid_until: is not a key of a state"),
        (STATE | {"voltage": float("nan")}, "voltage: "),
        (STATE | {"voltage": None}, "voltage: "),
        (STATE | {"voltage": "52"}, "voltage: "),
        (STATE | {"voltage": True}, "voltage: "),
        (STATE | {"charge_enabled": 1}, "charge_enabled: "),
        (STATE | {"modules": 1.5}, "modules: "),
        (STATE | {"module_addresses": [-1]}, "module_addresses.0: "),
        (STATE | {"alarms": ["fire"]}, "alarms.0: "),
        (STATE | {"protections": "over_voltage"}, "protections: "),
        (STATE | {"manufacturer": "PYLONTECH"}, "manufacturer: "),
    ],
)
def test_bad_input_is_one_line_and_status_1(
    call: Any, capsys: pytest.CaptureFixture[str], text: object, message: str
) -> None:
    assert call(text, "--protocol", "goodwe") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert message in told.err


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    frames.add_arguments(parser)
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    for name in ("missing.json", ".", "latin"):
        assert frames.run(parser.parse_args(["--protocol", "goodwe", str(tmp_path / name)])) == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_wrong_usage_is_status_2(call: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        call(STATE, "--protocol", "canopen")
    assert caught.value.code == 2


def test_a_name_that_the_dialect_does_not_know_is_told(call: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(STATE | {"protections": ["system_error"]}, "--protocol", "goodwe") == 0
    assert "goodwe has no bit for system_error" in capsys.readouterr().err


def test_help_names_everything() -> None:
    parser = argparse.ArgumentParser()
    frames.add_arguments(parser)
    told = parser.format_help()
    assert all(word in told for word in (*STATE, *PROTECTIONS, *ALARMS))


SAMPLES = Path(__file__).parent / "samples"


@pytest.mark.parametrize("name", list(DIALECTS))
def test_a_sample_for_each_dialect(call: Any, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """What one state looks like in each; the receivers of the other tests have read all of it."""
    assert call((SAMPLES / "state.json").read_text(encoding="utf-8"), "--protocol", name) == 0
    found, sample = capsys.readouterr().out, SAMPLES / f"{name}.txt"
    assert sample.exists(), f"if these bytes are what a receiver understands, they are {sample.name}:\n{found}"
    assert found == sample.read_text(encoding="utf-8")
