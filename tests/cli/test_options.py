"""The command ``options``: an options file in words."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from jkbms_addon.__main__ import main
from tests.test_manifest import CONFIG, ROOT

BUS = {"name": "rs485", "strategy": "master", "port": "/dev/null", "addresses": "1-3", "interval": 2.0}


def checked(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: Any) -> tuple[int, list[str]]:
    path = tmp_path / "options.json"
    path.write_text(json.dumps(options))
    status = main(["options", str(path)])
    return status, capsys.readouterr().out.splitlines()


def test_what_would_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {
        "buses": [BUS, {"name": "can", "strategy": "can_broadcast", "channel": "can0", "bitrate": 250000}],
        "mqtt": {"host": "10.0.0.9", "username": "me", "password": "geheim"},
        "writes": {"level": "switches"},
        "inverter": {"protocol": "pylontech", "channel": "can1"},
    }
    status, lines = checked(tmp_path, capsys, options)
    assert (status, lines) == (
        0,
        [
            "bus rs485: master on /dev/null, addresses 1, 2, 3, every 2 s",
            "bus can: can_broadcast on can0",
            "MQTT: the broker at 10.0.0.9:1883, topics below jkbms",
            "writes: charging, discharging, balancing and the like may be switched",
            "inverter: pylontech on can1 at 500000 bit/s; nothing is sent before confirmed is true",
        ],
    )


def test_what_would_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {
        "buses": [{**BUS, "strategy": "mastr"}, {**BUS, "name": "b", "port": "/dev/nowhere"}],
        "mqtt": {"port": 0},
        "colour": "red",
    }
    status, lines = checked(tmp_path, capsys, options)
    assert status == 1
    assert lines[0].startswith("bus rs485: WRONG strategy: 'mastr' is not one of")
    assert lines[1].startswith("bus b: master on /dev/nowhere, which is not plugged in now")
    assert "WRONG colour: is not an option here" in lines
    assert any(line.startswith("WRONG mqtt: port: ") for line in lines)


def test_every_inverter_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = {"protocol": "victron", "channel": "can1", "confirmed": True}
    two = {"protocol": "pylontech_rs485", "channel": "/dev/ttyUSB7", "confirmed": True, "share": 40}
    said = ["inverter: victron on can1 at 500000 bit/s, 60 % of the currents"]
    said += ["inverter: pylontech_rs485 on /dev/ttyUSB7 at the rate that is heard, 40 % of the currents"]
    status, lines = checked(tmp_path, capsys, {"inverters": [one, two]})
    assert (status, lines[-2:]) == (0, said)
    status, lines = checked(tmp_path, capsys, {"inverters": [one, {**two, "part": 40}]})
    assert (status, lines[-1]) == (1, "WRONG inverters 2: part: is not an option here")
    # the section ``inverter`` is the first of the list, and its trouble is told once
    status, lines = checked(tmp_path, capsys, {"inverter": {**one, "dlc": "long"}, "inverters": [two]})
    assert (status, len([line for line in lines if "dlc" in line])) == (1, 1)


def test_the_defaults_are_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = checked(tmp_path, capsys, CONFIG["options"])
    assert status == 0
    assert "MQTT: the broker that Home Assistant names, topics below jkbms" in lines
    assert "writes: nothing is changed on any battery" in lines
    assert "inverter: none" in lines


def test_who_listens_asks_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = {"name": "rs485", "strategy": "gateway", "host": "10.0.0.5", "tcp_port": 4196}
    _, lines = checked(tmp_path, capsys, {"buses": [{**gateway, "mode": "listen"}]})
    assert lines[0] == "bus rs485: gateway on 10.0.0.5:4196, listening without asking"
    _, lines = checked(tmp_path, capsys, {"buses": [{**gateway, "addresses": "1-2"}]})
    assert lines[0] == "bus rs485: gateway on 10.0.0.5:4196, addresses 1, 2, every 2 s"


def test_another_app_whose_gateway_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = checked(tmp_path, capsys, {"use_gateway": True, "gateway_ip_port": "", "log_level": "notice"})
    assert status == 1
    (wrong,) = [line for line in lines if line.startswith("WRONG")]
    assert wrong.startswith("WRONG gateway_ip_port: is missing, or still the example; give host and tcp_port of the")
    assert wrong.endswith(". Options of the SmartPhoton app became no bus")
    assert "no bus: no battery is read" in lines
    assert not any("save this form" in line for line in lines)


def test_another_app_in_the_new_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = checked(tmp_path, capsys, {"jkbms_path": "/dev/null", "jkbms_count": 3})
    start, end = lines.index("log_level: info"), lines.index("jkbms: {}")
    assert status == 0
    assert lines[start - 1].endswith("save this form instead:")
    assert yaml.safe_load("\n".join(lines[start : end + 1]))["buses"] == [BUS]
    assert lines[end + 1] == "bus rs485: master on /dev/null, addresses 1, 2, 3, every 2 s"


def test_lines_as_they_are_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "theirs.yaml"
    path.write_text("jkbms:\n  - path: /dev/null\n    nb-jkbms: 3\nmqtt:\n  mqttadresse: 10.0.0.9\n")
    assert main(["options", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "bus rs485: master on /dev/null, addresses 1, 2, 3, every 2 s" in lines
    assert "MQTT: the broker at 10.0.0.9:1883, topics below jkbms" in lines
    path.write_text('jkbms_path: /dev/null\nmqttpass: "*geheim\n')
    assert main(["options", str(path)]) == 1
    said = capsys.readouterr().err
    assert "line 2: has a text between double quotes that is not understood" in said
    assert "geheim" not in said


def test_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["options", "/nowhere/options.json"]) == 1
    assert "/nowhere/options.json" in capsys.readouterr().err


def test_from_the_script(tmp_path: Path) -> None:
    path = tmp_path / "options.json"
    path.write_text(json.dumps({"buses": [BUS]}))
    here = Path(sys.executable).parent
    done = subprocess.run(
        [str(ROOT / "run.sh"), "options", str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": f"{here}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        0,
        "bus rs485: master on /dev/null, addresses 1, 2, 3, every 2 s",
    )
