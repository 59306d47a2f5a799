import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.__main__ import main
from jkbms_addon.cli.decode import hex_bytes
from jkbms_addon.wire.pb.frames import checksum
from jkbms_addon.wire.pb.layouts import BALANCER
from jkbms_addon.wire.ttl import frames as legacy
from tests.conftest import captures

STREAM = bytes.fromhex(next(c["hex"] for c in captures("jk_pb") if c["id"] == "stream-v14-master0-slave7"))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    status = main(["decode", *arguments])
    out, err = capsys.readouterr()
    return status, [json.loads(line) for line in out.splitlines()], err


def test_a_stream_with_the_addresses_that_are_proved(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "x").write_text(STREAM.hex())
    status, lines, err = run(capsys, str(tmp_path / "x"))
    assert (status, err) == (0, "")
    assert [(x["format"], x["kind"], x["address"]) for x in lines] == [
        ("pb", "live", 7),
        ("pb", "settings", 7),
        ("pb", "live", 0),
        ("pb", "settings", 0),
        ("pb", "live", 7),
    ]
    assert lines[0]["fields"]["total_voltage"] == 53.539
    assert lines[0]["fields"]["cell_voltage_16"] == 3.345
    assert lines[0]["fields"]["charging"] is True
    assert lines[1]["fields"]["device_address"] == 7


FORMS = {
    "plain": STREAM.hex(),
    "lines": "\n".join(STREAM.hex()[i : i + 64] for i in range(0, len(STREAM.hex()), 64)),
    "spaces": STREAM.hex(" "),
    "0x": ", ".join(f"0x{b:02X}" for b in STREAM),
    "short 0x": ", ".join(f"0x{b:X}" for b in STREAM),
    "xxd": "\n".join(f"{i:08x}: {STREAM[i : i + 16].hex(' ', 2)}  ....be.." for i in range(0, len(STREAM), 16)),
    "hexdump": "\n".join(f"{i:08x}  {STREAM[i : i + 16].hex(' ')}  |..ab..|" for i in range(0, len(STREAM), 16))
    + f"\n{len(STREAM):08x}",
    "od": "\n".join(f"{i:06x} {STREAM[i : i + 16].hex(' ')}" for i in range(0, len(STREAM), 16))
    + f"\n{len(STREAM):06x}",
}


@pytest.mark.parametrize("form", FORMS)
def test_hex_text_as_programs_write_it(form: str) -> None:
    assert hex_bytes(FORMS[form]) == STREAM


def test_repeated_rows_of_a_dump() -> None:
    text = "00000000  01 02\n00000002  00 00\n*\n00000008  05\n00000009\n"
    assert hex_bytes(text) == bytes([1, 2, 0, 0, 0, 0, 0, 0, 5])


def test_what_is_skipped_is_told_on_standard_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    damaged = bytearray(STREAM)
    damaged[100] ^= 4
    (tmp_path / "x").write_text(damaged.hex())
    status, lines, err = run(capsys, str(tmp_path / "x"))
    assert (status, len(lines)) == (0, 4)
    assert err == "skipped: 300 bytes at 77: no valid message\n"


def test_nothing_valid_is_status_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "x").write_text("01 02 03")
    assert run(capsys, str(tmp_path / "x"))[0] == 1
    (tmp_path / "x").write_text("")
    assert run(capsys, str(tmp_path / "x")) == (1, [], "")
    status, _, err = run(capsys, str(tmp_path / "missing"))
    assert (status, err) == (1, f"jkbms_addon: {tmp_path}/missing cannot be read: No such file or directory\n")


def test_a_frame_that_contradicts_itself_is_not_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    frame = bytearray(STREAM[STREAM.index(bytes.fromhex("55aaeb9002")) :][:300])
    frame[173] = 130  # percent
    frame[299] = checksum(frame)
    (tmp_path / "x").write_text(frame.hex())
    status, lines, err = run(capsys, str(tmp_path / "x"))
    assert (status, lines, err) == (1, [], "skipped: frame at 0: contradicts itself: state of charge\n")
    status, (line,), err = run(capsys, "--all", str(tmp_path / "x"))
    assert (status, line["contradicts"], line["fields"]["state_of_charge"], err) == (0, "state of charge", 130, "")


BLUETOOTH = captures("jk_ble")


@pytest.mark.parametrize("capture", BLUETOOTH, ids=lambda c: c["id"])
def test_what_came_over_bluetooth_by_its_own_layout(
    capture: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x").write_text(capture["hex"])
    status, lines, err = run(capsys, "--format", "pb", str(tmp_path / "x"))
    expected = capture["expected"]
    if capture["kind"] == "stream":
        kinds = [m["kind"] for m in expected["messages"]]
        balancer = "3.3.0" in capture["id"] or "b5a24s" in capture["id"]
        told = {"frame01": "settings", "frame02": "live", "frame03": "about"}
        shown = [told[kind] for kind in kinds if kind in told and (kind == "frame03" or not balancer)]
        assert [line["kind"] for line in lines] == shown
        junk = sum(kind in ("junk", "unfinished") for kind in kinds)
        assert (err.count("no valid message"), err.count("is a balancer")) == (junk, int(balancer))
        return
    if expected.get("layout") == "JK04":
        assert (status, lines) == (1, [])
        assert err == f"skipped: frame at 0: {BALANCER}\n"
        return
    assert (status, err, len(lines)) == (0, "", 1)
    assert lines[0]["kind"] == {"frame01": "settings", "frame02": "live", "frame03": "about"}[capture["kind"]]


def test_passwords_never_appear(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for capture in [*captures("jk_pb"), *BLUETOOTH]:
        if capture["kind"] != "frame03" or not capture["checksum_ok"]:
            continue
        frame = bytes.fromhex(capture["hex"])
        secrets = {frame[start : start + 16].split(b"\0")[0].decode("ascii", "ignore") for start in (62, 118)} - {""}
        (tmp_path / "x").write_text(capture["hex"])
        main(["decode", str(tmp_path / "x")])
        shown = capsys.readouterr()
        fields = json.loads(shown.out)["fields"]
        assert secrets
        assert not secrets & {str(value) for value in fields.values()}
        assert not [secret for secret in secrets if secret in shown.err]


SETS = [c for c in captures("jk_ttl") if c["kind"] == "response-read-all" and c["checksum_ok"]]


@pytest.mark.parametrize("capture", SETS, ids=lambda c: c["id"])
def test_a_table_of_the_first_generation(
    capture: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x").write_text(capture["hex"])
    status, lines, err = run(capsys, "--format", "ttl", str(tmp_path / "x"))
    assert (status, err) == (0, "")
    assert [(line["format"], line["kind"], line["address"]) for line in lines] == [
        ("ttl", kind, None) for kind in ("live", "settings", "about")
    ]
    expected, fields = capture["expected"], {key: value for line in lines for key, value in line["fields"].items()}
    assert fields["cell_voltage_1"] == expected["cells_mv"][0] / 1000
    assert (fields["current"], fields["state_of_charge"]) == (expected["current_a"], expected["soc_pct"])
    assert fields["total_battery_capacity"] == expected["capacity_setting_ah"]
    assert not {expected["password"]} - {""} & {str(value) for value in fields.values()}


def test_what_else_is_said_on_a_ttl_port(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    request, good = legacy.READ_ALL, bytes.fromhex(SETS[0]["hex"])
    damaged = bytearray(good)
    damaged[40] ^= 1
    broken = legacy.encode_reply({"cell_voltage": (3.3, 3.3), "total_voltage": 50.0}, password=b"hidden-one")
    overrun = legacy._message(legacy.READ, bytes.fromhex("B2 68 69 64"), 0, 1)
    parts = (request, bytes(damaged), legacy.write_answer(0xAB), broken, overrun, good)
    (tmp_path / "x").write_text(b"".join(parts).hex())
    status, lines, err = run(capsys, "--format", "ttl", str(tmp_path / "x"))
    assert (status, len(lines)) == (0, 5)  # the settings and the identity of the one that contradicts itself, too
    offsets = [sum(map(len, parts[:n])) for n in range(len(parts))]
    assert err.splitlines() == [
        "skipped: frame at 0: a request",
        f"skipped: {len(good)} bytes at 21: no valid message",
        f"skipped: frame at {offsets[2]}: the answer to a write",
        f"skipped: frame at {offsets[3]}: contradicts itself: cells against total voltage",
        f"skipped: frame at {offsets[4]}: a value runs over the end of the message",
    ]
    assert "hidden" not in err


def test_standard_input(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jkbms_addon", "decode"], input=STREAM.hex(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 5)
