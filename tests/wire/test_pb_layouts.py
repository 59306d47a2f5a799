"""Bluetooth brings three layouts; the oracle is frames of real units, decoded by programs of others."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.battery.plausibility import contradiction
from jkbms_addon.battery.reading import Reading
from jkbms_addon.errors import FrameError
from jkbms_addon.wire.pb import commands
from jkbms_addon.wire.pb.frames import Attributed, Attribution, Frame, checksum, decode, masked
from jkbms_addon.wire.pb.layouts import live_layout, settings_layout, version_layout
from jkbms_addon.wire.pb.tables import ABOUT_24S, LIVE_24S, SETTINGS, SETTINGS_24S
from tests.conftest import captures
from tests.wire.test_pb_frames import REFUSED, frame_of, told, wanted

ALL: list[dict[str, Any]] = captures("jk_ble")
RS485: list[dict[str, Any]] = [c for c in captures("jk_pb") if c["kind"].startswith("frame0") and c["checksum_ok"]]
FRAMES = [c for c in ALL if c["kind"] != "stream"]
ABOUTS = [c for c in FRAMES if c["kind"] == "frame03"]
# stand in a 24S frame as 0 and are no settings of it
NOT_IN_24S = {"smart_sleep_voltage", "cell_soc100_voltage", "cell_soc0_voltage"} | {
    "cell_request_charge_voltage",
    "cell_request_float_voltage",
}


def layout_of(capture: dict[str, Any]) -> str:
    return capture["expected"].get("layout") or capture.get("transport", "").partition("JK02_")[2] or "32S"


def told_as(capture: dict[str, Any]) -> str | None:
    payload = bytes.fromhex(capture["hex"])
    return live_layout(payload) if capture["kind"] == "frame02" else settings_layout(payload)


@pytest.mark.parametrize(
    "capture", [c for c in [*FRAMES, *RS485] if c["kind"] in ("frame01", "frame02")], ids=lambda c: c["id"]
)
def test_the_structure_of_a_frame_tells_its_layout(capture: dict[str, Any]) -> None:
    assert told_as(capture) == capture["expected"].get("layout", "32S"), (
        'layouts.py tells another layout than the capture has, which says so by "layout" under "expected"'
    )


@pytest.mark.parametrize("capture", FRAMES, ids=lambda c: c["id"])
def test_capture_decodes_to_what_others_read_or_is_refused(capture: dict[str, Any]) -> None:
    if layout_of(capture) == "JK04":
        with pytest.raises(FrameError, match="is a balancer"):
            decode(frame_of(capture))
        return
    values = decode(frame_of(capture)).values
    expected = wanted(capture["kind"], capture["expected"])
    if capture["kind"] == "frame01" and layout_of(capture) == "24S":
        assert set(expected) - set(values) == NOT_IN_24S
        expected = {key: value for key, value in expected.items() if key not in NOT_IN_24S}
    for key in ("temperature_sensor_4", "temperature_sensor_5"):
        if expected.get(key) == 0 and values[key] is None:  # a probe that is not fitted, and no 0 °C
            del expected[key]
    runtime = expected.pop("total_runtime", None)
    assert len(expected) >= 6
    assert {key: values[key] for key in expected} == expected
    if runtime is not None:
        assert struct.pack("f", values["total_runtime"]) == struct.pack("f", runtime)  # theirs are 32-bit floats
    assert contradiction(values) is None


def test_every_row_of_24s_is_asserted_by_a_capture() -> None:
    asserted = {
        key for c in FRAMES if layout_of(c) == "24S" and told_as(c) for key in wanted(c["kind"], c["expected"])
    } | {key for c in ABOUTS for key in wanted(c["kind"], c["expected"])}
    rows = {row.key for t in (LIVE_24S, SETTINGS_24S, ABOUT_24S) for row in t.rows if not row.key.startswith("_")}
    # 0 in all frames that exist
    assert rows - asserted == {"precharging"}, "no capture of 24S says what these rows hold"


@pytest.mark.parametrize("capture", [c for c in FRAMES if layout_of(c) == "24S"], ids=lambda c: c["id"])
def test_what_24s_does_not_tell_is_absent_and_not_0(capture: dict[str, Any]) -> None:
    values = decode(frame_of(capture)).values
    absent = {"device_address", "heating_switch", "charge_status", "dry_contact_1", "temperature_sensor_4"}
    absent |= {"uart1_protocol", "protocol_version", "battery_type", "heating_current", *NOT_IN_24S}
    assert not absent & set(values)


def test_settings_of_24s_prove_no_address() -> None:
    for capture in FRAMES:
        if capture["kind"] == "frame01" and layout_of(capture) != "32S":
            attribution = Attribution()
            attribution.event(frame_of(capture), 0)
            assert [one.address for one in attribution.release()] == [None]


@pytest.mark.parametrize("capture", [c for c in FRAMES if c["expected"].get("layout") == "JK04"], ids=lambda c: c["id"])
def test_a_balancer_read_by_our_tables_would_contradict_itself(capture: dict[str, Any]) -> None:
    if capture["kind"] == "frame01":
        assert contradiction(SETTINGS.decode(bytes.fromhex(capture["hex"]))) == "setting"


@pytest.mark.parametrize("capture", ABOUTS, ids=lambda c: c["id"])
def test_the_version_bears_the_structure_out(capture: dict[str, Any]) -> None:
    told = capture["transport"].removeprefix("BLE ").removeprefix("JK02_")
    if capture["expected"]["sw_version"] == "3.2.3":  # the capture's folder, not its unit, says 24S
        told = "JK04"
    assert version_layout(capture["expected"]["sw_version"], capture["expected"]["model"]) == told


@pytest.mark.parametrize(
    ("version", "model", "layout"),
    [
        ("V11.48", None, "32S"),
        ("11.21h", "JK-B2A24S", "32S"),
        ("10.10", None, "24S"),
        ("6.1.3S", None, "24S"),
        ("5.0", None, "JK04"),
        ("V10.X", "JK_B5A24S", "JK04"),
        ("", None, None),
        (None, None, None),
        ("none", None, None),
    ],
)
def test_layout_by_version(version: str | None, model: str | None, layout: str | None) -> None:
    assert version_layout(version, model) == layout


def capture(name: str) -> bytes:
    return bytes.fromhex(next(c["hex"] for c in ALL if c["id"] == name))


def test_a_pack_without_cells_is_none_of_a_balancer() -> None:
    payload = bytearray(capture("ble-b2a8s30p-19.07-live-1"))
    assert decode(Frame(2, bytes(payload), 0)).values["cell_voltage"] == ()
    payload[254:256] = bytes(2)  # nothing is left that would prove a layout
    assert live_layout(bytes(payload)) is None
    with pytest.raises(FrameError, match="layout cannot be told"):
        decode(Frame(2, bytes(payload), 0))


@pytest.mark.parametrize("name", ["ble-b2a24s20p-10.07-live-1", "ble-pb2a16s15p-precharge-live-1"])
def test_a_loose_wire_does_not_hide_the_layout(name: str) -> None:
    payload, layout = bytearray(capture(name)), live_layout(capture(name))
    mask = 54 if layout == "24S" else 70
    cell, average = struct.unpack_from("<H", payload, 6)[0], struct.unpack_from("<H", payload, mask + 4)[0]
    count = payload[mask : mask + 4].count(0xFF) * 8 or 1
    struct.pack_into("<H", payload, 6, 0)
    struct.pack_into("<H", payload, mask + 4, round(average - cell / max(count, 16)))
    assert live_layout(bytes(payload)) == layout


def test_the_code_behind_the_serial_number_is_masked() -> None:
    payload = bytearray(capture("ble-b2a24s20p-10.07-about-1"))
    payload[97:101] = b"4711"
    payload[-1] = checksum(payload)
    frame = Frame(3, bytes(payload), 0)
    assert b"4711" not in masked(frame).payload
    assert decode(masked(frame)).values == decode(frame).values
    assert "4711" not in str(decode(frame).values)


PAYLOADS = [bytes.fromhex(c["hex"]) for c in FRAMES if c["kind"] == "frame02"]


@given(payload=st.one_of(st.binary(min_size=300, max_size=300), st.sampled_from(PAYLOADS)), data=st.data())
def test_any_frame_has_one_layout_or_none(payload: bytes, data: st.DataObject) -> None:
    noisy = bytearray(payload)
    for place in data.draw(st.lists(st.integers(5, 298), max_size=8)):
        noisy[place] = data.draw(st.integers(0, 255))
    assert live_layout(bytes(noisy)) in ("32S", "24S", "JK04", None)
    assert settings_layout(bytes(noisy)) in ("32S", "24S", "JK04")
    for kind in (1, 2, 3):
        said = told(Attributed(Frame(kind, bytes(noisy), 0), None, None))
        assert isinstance(said, Reading) or (kind != 3 and said in REFUSED)


def test_commands_are_those_of_the_vendors_application() -> None:
    assert commands.command(0x97).hex() == "aa5590eb97000000000000000000000000000011"
    assert commands.command(0x1D, b"\1\0\0\0").hex() == "aa5590eb1d04010000000000000000000000009c"
    assert commands.ACKNOWLEDGEMENT.hex() == "aa5590ebc8010100000000000000000000000044"
    with pytest.raises(ValueError, match="at most 4 bytes"):
        commands.command(0x1D, bytes(5))
    assert commands.rest(commands.ACKNOWLEDGEMENT + b"AT\r\nAT\r\n!") == b"!"
