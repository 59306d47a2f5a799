"""The oracle is the captures; the simulator shares our tables and is not used here."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jkbms_addon.battery.alarms import WORD_NAMES, raised_bits
from jkbms_addon.battery.plausibility import contradiction
from jkbms_addon.battery.reading import Reading, flat
from jkbms_addon.errors import FrameError
from jkbms_addon.wire.pb.frames import (
    LAYOUTS,
    NO_CELLS,
    Attributed,
    Attribution,
    Event,
    Frame,
    Framer,
    Short,
    built,
    checksum,
    decode,
    masked,
)
from jkbms_addon.wire.pb.layouts import BALANCER
from jkbms_addon.wire.pb.tables import ABOUT, LIVE, SETTINGS
from tests.conftest import captures

ALL: list[dict[str, Any]] = captures("jk_pb")
FRAMES = [c for c in ALL if c["kind"] in ("frame01", "frame02", "frame03") and c["checksum_ok"]]
STREAMS = [c for c in ALL if c["kind"] == "stream"]

# expected name -> our key and the divisor between them
NAMES: dict[str, tuple[str, float]] = {
    # live
    "cell_mV": ("cell_voltage", 1000),
    "wire_resistance_mOhm": ("cell_resistance", 1000),
    "mos_temp_C": ("mosfet_temperature", 1),
    "voltage_mV": ("total_voltage", 1000),
    "current_mA": ("current", 1000),
    "temp1_C": ("temperature_sensor_1", 1),
    "temp2_C": ("temperature_sensor_2", 1),
    "temp4_C": ("temperature_sensor_4", 1),
    "temp5_C": ("temperature_sensor_5", 1),
    "alarm_mask": ("errors_bitmask", 1),
    "balance_current_mA": ("balancing_current", 1000),
    "balance_state": ("balancing", 0),
    "soc_pct": ("state_of_charge", 1),
    "remaining_mAh": ("capacity_remaining", 1000),
    "full_capacity_mAh": ("full_charge_capacity", 1000),
    "cycles": ("charging_cycles", 1),
    "cycle_capacity_mAh": ("total_charging_cycle_capacity", 1000),
    "soh_pct": ("state_of_health", 1),
    "precharge": ("precharging", 0),
    "runtime_s": ("total_runtime", 1),
    "charge_mos_on": ("charging", 0),
    "discharge_mos_on": ("discharging", 0),
    "heating_on": ("heating", 0),
    "emergency_s": ("emergency_time_countdown", 1),
    "heating_current_mA": ("heating_current", 1000),
    "charger_plugged": ("charger_plugged", 0),
    "log_count": ("detail_log_entry_count", 1),
    "enter_sleep_s": ("smart_sleep_countdown", 1),
    "charge_status_time_s": ("charge_status_time_elapsed", 1),
    # settings
    "smart_sleep_voltage_mV": ("smart_sleep_voltage", 1000),
    "cell_uvp_mV": ("cell_voltage_undervoltage_protection", 1000),
    "cell_uvpr_mV": ("cell_voltage_undervoltage_recovery", 1000),
    "cell_ovp_mV": ("cell_voltage_overvoltage_protection", 1000),
    "cell_ovpr_mV": ("cell_voltage_overvoltage_recovery", 1000),
    "balance_trigger_mV": ("balance_trigger_voltage", 1000),
    "soc100_voltage_mV": ("cell_soc100_voltage", 1000),
    "soc0_voltage_mV": ("cell_soc0_voltage", 1000),
    "rcv_voltage_mV": ("cell_request_charge_voltage", 1000),
    "rfv_voltage_mV": ("cell_request_float_voltage", 1000),
    "power_off_voltage_mV": ("power_off_voltage", 1000),
    "max_charge_current_mA": ("max_charge_current", 1000),
    "charge_ocp_delay_s": ("charge_overcurrent_protection_delay", 1),
    "charge_ocp_release_s": ("charge_overcurrent_protection_recovery_time", 1),
    "max_discharge_current_mA": ("max_discharge_current", 1000),
    "discharge_ocp_delay_s": ("discharge_overcurrent_protection_delay", 1),
    "discharge_ocp_release_s": ("discharge_overcurrent_protection_recovery_time", 1),
    "scp_release_s": ("short_circuit_protection_recovery_time", 1),
    "max_balance_current_mA": ("max_balance_current", 1000),
    "charge_otp_C": ("charge_overtemperature_protection", 1),
    "charge_otpr_C": ("charge_overtemperature_recovery", 1),
    "discharge_otp_C": ("discharge_overtemperature_protection", 1),
    "discharge_otpr_C": ("discharge_overtemperature_recovery", 1),
    "charge_utp_C": ("charge_undertemperature_protection", 1),
    "charge_utpr_C": ("charge_undertemperature_recovery", 1),
    "mos_otp_C": ("mosfet_overtemperature_protection", 1),
    "mos_otpr_C": ("mosfet_overtemperature_recovery", 1),
    "cell_count": ("cell_count", 1),
    "charge_switch": ("charging_switch", 0),
    "discharge_switch": ("discharging_switch", 0),
    "balance_switch": ("balancing_switch", 0),
    "capacity_mAh": ("total_battery_capacity", 1000),
    "scp_delay_us": ("short_circuit_protection_delay", 1),
    "start_balance_voltage_mV": ("balancing_start_voltage", 1000),
    "device_address": ("device_address", 1),
    "precharge_s": ("discharge_precharge_time", 1),
    "heating_start_C": ("heating_start_temperature", 1),
    "heating_stop_C": ("heating_stop_temperature", 1),
    "smart_sleep_h": ("smart_sleep_delay", 1),
    # about
    "model": ("model", 1),
    "hw_version": ("hardware_version", 1),
    "sw_version": ("software_version", 1),
    "power_on_count": ("power_on_count", 1),
    "ble_name": ("device_name", 1),
    "first_on_date": ("manufacturing_date", 1),
    "serial": ("serial_number", 1),
    "uart1_protocol": ("uart1_protocol", 1),
    "can_protocol": ("can_protocol", 1),
    "uart2_protocol": ("uart2_protocol", 1),
    "rcv_time_0_1h": ("cell_request_charge_voltage_time", 10),
    "rfv_time_0_1h": ("cell_request_float_voltage_time", 10),
    "protocol_version": ("protocol_version", 1),
}
SWITCHES = {
    "heating": "heating_switch",
    "gps_heartbeat": "gps_heartbeat_switch",
    "display_always_on": "display_always_on_switch",
    "smart_sleep": "smart_sleep_switch",
    "timed_data_storage": "timed_stored_data_switch",
    "charging_float_mode": "charging_float_mode_switch",
}
# rows whose position no capture proves yet
NOT_YET_SEEN: set[str] = set()


def frame_of(capture: dict[str, Any]) -> Frame:
    events = Framer().feed(bytes.fromhex(capture["hex"]))
    assert len(events) == 1
    assert isinstance(events[0], Frame)
    return events[0]


def converted(value: Any, divisor: float) -> Any:
    if isinstance(value, list):
        return tuple(item / divisor for item in value)
    if isinstance(value, str) or value is None:
        return value or None
    if divisor == 0:
        return bool(value)
    return value / divisor if divisor != 1 else value


def wanted(kind: str, expected: dict[str, Any]) -> dict[str, Any]:
    """Expected values under our keys; a live frame's cell count is no setting."""
    found: dict[str, Any] = {
        NAMES[name][0]: converted(value, NAMES[name][1])
        for name, value in expected.items()
        if name in NAMES and not (name == "cell_count" and kind == "frame02")
    }
    if "switches_on" in expected:
        found |= {key: name in expected["switches_on"] for name, key in SWITCHES.items()}
    if "output_flags" in expected:
        found |= {f"dry_contact_{n}": bool(expected["output_flags"] >> n & 1) for n in (1, 2)}
    if "cell_type" in expected:
        found["battery_type"] = ("LFP", "Li-ion", "LTO")[expected["cell_type"]]
    if "charge_status" in expected:
        found["charge_status"] = ("bulk", "absorption", "float")[expected["charge_status"]]
    return found


@pytest.mark.parametrize("capture", FRAMES, ids=lambda c: c["id"])
def test_capture_decodes_to_what_its_source_says(capture: dict[str, Any]) -> None:
    values = decode(frame_of(capture)).values
    expected = wanted(capture["kind"], capture["expected"])
    assert len(expected) > 8
    assert {key: values[key] for key in expected} == expected


def test_every_row_of_every_layout_is_asserted_by_a_capture() -> None:
    asserted = {key for c in FRAMES for key in wanted(c["kind"], c["expected"])}
    rows = {row.key for layout in (LIVE, SETTINGS, ABOUT) for row in layout.rows if not row.key.startswith("_")}
    assert rows - asserted == NOT_YET_SEEN, (
        'no capture says what these rows hold: put it under "expected" of one, and its name there into NAMES'
    )


@pytest.mark.parametrize("capture", [c for c in FRAMES if c["kind"] == "frame02"])
def test_computed_values_come_from_the_cells_that_exist(capture: dict[str, Any]) -> None:
    values, cells = decode(frame_of(capture)).values, capture["expected"]["cell_mV"]
    assert contradiction(values) is None
    if not cells:
        assert values["min_cell_voltage"] is None
        assert values["min_voltage_cell"] is None
        return
    assert values["min_cell_voltage"] == min(cells) / 1000
    assert values["max_cell_voltage"] == max(cells) / 1000
    assert values["delta_cell_voltage"] == pytest.approx((max(cells) - min(cells)) / 1000)
    assert cells[values["max_voltage_cell"] - 1] == max(cells)  # type: ignore[operator]
    expected = capture["expected"]
    assert values["power"] == pytest.approx(expected["voltage_mV"] * expected["current_mA"] / 1e6, abs=0.001)
    assert (values["charging_power"], values["discharging_power"]) == (
        max(values["power"], 0),  # type: ignore[type-var]
        max(-values["power"], 0),  # type: ignore[operator]
    )


@pytest.mark.parametrize("capture", [c for c in FRAMES if c["kind"] == "frame02" and "alarms" in c["expected"]])
def test_alarms(capture: dict[str, Any]) -> None:
    raised = decode(frame_of(capture)).values["alarms"]
    assert isinstance(raised, tuple)
    assert len(raised) == len(capture["expected"]["alarms"])


@example(b"\xff" * 300)
@example(b"\0" * 300)
@given(payload=st.binary(min_size=300, max_size=300))
def test_the_checksum_is_the_sum_of_all_other_bytes(payload: bytes) -> None:
    assert checksum(payload) == checksum(bytearray(payload)) == sum(payload[:299]) % 256


@pytest.mark.parametrize("capture", [c for c in ALL if c["checksum_ok"] is False], ids=lambda c: c["id"])
def test_wrong_checksum_is_skipped(capture: dict[str, Any]) -> None:
    framer = Framer()
    assert not [e for e in framer.feed(bytes.fromhex(capture["hex"])) + framer.flush() if isinstance(e, Frame)]
    assert framer.checksum_failures == 1


def test_logs_are_frames_without_a_table() -> None:
    log = next(c for c in ALL if c["kind"] == "frame05")
    with pytest.raises(FrameError, match="type 5"):
        decode(frame_of(log))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def events_of(pieces: list[bytes]) -> list[Event]:
    framer = Framer()
    found = [event for piece in pieces for event in framer.feed(piece)] + framer.flush()
    assert not framer.waiting
    return found


def attributed(events: list[Event]) -> list[Attributed]:
    attribution = Attribution()
    return [a for event in events for a in attribution.event(event, 0)] + attribution.release()


def junk(events: list[Event], size: int) -> list[tuple[int, int]]:
    found, position = [], 0
    for event in events:
        if event.offset > position:
            found.append((position, event.offset - position))
        position = event.offset + (event.message.size if isinstance(event, Short) else 300)
    return [*found, (position, size - position)] if position < size else found


@pytest.mark.parametrize("capture", STREAMS, ids=lambda c: c["id"])
def test_stream_yields_its_messages_however_it_is_cut(capture: dict[str, Any]) -> None:
    data = bytes.fromhex(capture["hex"])
    chunks, at = [], 0
    for length in capture["chunk_lengths"]:
        chunks.append(data[at : at + length])
        at += length
    whole = events_of([data])
    assert whole == events_of([data[i : i + 1] for i in range(len(data))]) == events_of(chunks)
    messages = capture["expected"]["messages"]
    told = [(f"frame0{e.type}" if isinstance(e, Frame) else e.message.kind, e.offset) for e in whole]
    assert told == [(m["kind"], m["offset"]) for m in messages if m["kind"] != "junk"]
    assert junk(whole, len(data)) == [(m["offset"], m["len"]) for m in messages if m["kind"] == "junk"]
    short = [(m["address"], int(m["register"], 16)) for m in messages if m["kind"] in ("request", "ack")]
    assert short == [(e.message.address, e.message.register) for e in whole if isinstance(e, Short)]


@pytest.mark.parametrize("capture", STREAMS, ids=lambda c: c["id"])
def test_stream_is_attributed_as_its_source_proves(capture: dict[str, Any]) -> None:
    found = attributed(events_of([bytes.fromhex(capture["hex"])]))
    told = [{"kind": f"frame0{a.frame.type}", "address": a.address, "by": a.by} for a in found]
    assert told == [{k: m[k] for k in ("kind", "address", "by")} for m in capture["expected"]["attribution"]]


STREAM_BYTES = [bytes.fromhex(c["hex"]) for c in [*STREAMS, *captures("jk_ble")] if c["kind"] == "stream"]
REFUSED = {BALANCER, NO_CELLS}
anything = st.one_of(
    st.binary(max_size=700),
    st.builds(
        lambda data, start, noise, at: data[start:at] + noise + data[at:],
        st.sampled_from(STREAM_BYTES),
        st.integers(0, 400),
        st.binary(max_size=40),
        st.integers(0, 2200),
    ),
)


def told(one: Attributed) -> Reading | str:
    try:
        return one.reading()
    except FrameError as error:
        return str(error)


@given(data=anything, places=st.lists(st.integers(0, 5000), max_size=12))
@example(data=b"\x55\xaa\xeb\x90\x02" + bytes(300), places=[3])
def test_any_bytes_give_the_same_however_they_are_cut_and_raise_only_frame_errors(
    data: bytes, places: list[int]
) -> None:
    whole = events_of([data])
    assert whole == events_of(cut(data, places))
    for one in attributed(whole):
        said = told(one)
        assert isinstance(said, Reading) or one.frame.type not in LAYOUTS or said in REFUSED


def test_secrets_have_no_row_and_are_masked() -> None:
    payload = bytearray(built(3, {"model": "JK_PB2A16S20P"}))
    payload[62:68], payload[118:126] = b"PIN987", b"PASSW0RD"
    payload[-1] = checksum(payload)
    frame = Frame(3, bytes(payload), 0)
    values = flat(decode(frame).values)
    assert "PIN987" not in str(values)
    assert "PASSW0RD" not in str(values)
    hidden = masked(frame)
    assert b"PIN987" not in hidden.payload
    assert b"PASSW0RD" not in hidden.payload
    assert checksum(hidden.payload) == hidden.payload[-1]
    assert decode(hidden).values == decode(frame).values


def test_a_probe_that_is_absent_by_mask_and_reads_zero_is_unknown() -> None:
    base = bytes.fromhex(next(c for c in FRAMES if c["id"] == "rs485-v15.41-addr3-live")["hex"])
    payload = built(2, {"_sensors": 0x07, "temperature_sensor_4": 0.0, "temperature_sensor_5": 12.5}, base)
    values = decode(Frame(2, payload, 0)).values
    assert values["temperature_sensor_4"] is None
    assert values["temperature_sensor_5"] == 12.5  # the mask alone proves nothing
    assert values["temperature_sensor_1"] == 19.5


@pytest.mark.parametrize("mask", [0x1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFF, 0x5, 0x80000001])
def test_cells_by_the_presence_mask(mask: int) -> None:
    cells = [3.3 + n / 1000 for n in range(32)]
    said: dict[str, Any] = {"_mask": mask, "cell_voltage": cells, "total_voltage": 1.0}
    frame = Frame(2, built(2, said), 0)
    present = decode(frame).values["cell_voltage"]
    assert isinstance(present, tuple)
    assert [n for n, cell in enumerate(present) if cell is not None] == [n for n in range(32) if mask >> n & 1]
    assert decode(frame).values["max_voltage_cell"] == mask.bit_length()


def test_unknown_alarm_bits_keep_their_number() -> None:
    assert raised_bits(1 << 31) == ("bit_31",)
    assert raised_bits(0b101) == (WORD_NAMES[0], WORD_NAMES[2])


@given(
    values=st.fixed_dictionaries(
        {
            "current": st.integers(-(2**31), 2**31 - 1).map(lambda raw: raw / 1000),
            "mosfet_temperature": st.one_of(st.none(), st.integers(-1999, 32767).map(lambda raw: raw / 10)),
            "state_of_charge": st.integers(0, 255),
            "total_voltage": st.integers(0, 2**32 - 1).map(lambda raw: raw / 1000),
            "dry_contact_1": st.booleans(),
            "dry_contact_2": st.booleans(),
            "charge_status": st.sampled_from(["bulk", "absorption", "float"]),
        }
    )
)
def test_round_trip(values: dict[str, Any]) -> None:
    decoded = decode(Frame(2, built(2, {"_sensors": 0xFF, "_mask": 1, **values}), 0)).values
    assert {key: decoded[key] for key in values} == values


def test_a_reply_of_another_unit_is_attributed_to_that_unit() -> None:
    stream = next(c for c in STREAMS if c["id"] == "stream-active-addr1-reply-308")
    attribution = Attribution()
    attribution.requested(5, 0x1620, 0)
    found = [a for e in events_of([bytes.fromhex(stream["hex"])]) for a in attribution.event(e, 0.03)]
    assert [(a.address, a.by) for a in found] == [(1, "ack")]


def test_without_acknowledgement_only_a_young_matching_request_proves_a_live_frame() -> None:
    frame = frame_of(next(c for c in FRAMES if c["id"] == "rs485-v15.41-addr3-live"))
    for age, register, address in ((0.4, 0x1620, 3), (0.6, 0x1620, None), (0.1, 0x161E, None)):
        attribution = Attribution()
        attribution.requested(3, register, 0)
        attribution.event(frame, age)
        assert [a.address for a in attribution.release()] == [address]


def test_an_acknowledgement_too_far_behind_proves_nothing() -> None:
    data = bytes.fromhex(next(c for c in STREAMS if c["id"] == "stream-active-addr1-reply-308")["hex"])
    for filler, address in ((4, 1), (5, None)):
        found = attributed(events_of([data[:300] + b"\xff" * filler + data[300:]]))
        assert [a.address for a in found] == [address]
