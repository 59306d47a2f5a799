from typing import Any

import pytest

from jkbms_addon.battery.quantities import Pack, specs
from jkbms_addon.errors import CommandError
from jkbms_addon.wire.pb.frames import Frame, built
from jkbms_addon.wire.pb.modbus import acknowledgement, parse
from jkbms_addon.wire.pb.registers import NEVER, WRITABLE, write
from tests.conftest import captures

WRITES: list[dict[str, Any]] = [c for c in captures("jk_pb") if c["kind"] == "write"]
BY_REGISTER = {place.register: key for key, place in WRITABLE.items() if place.size == 4}
FRESH = {
    1: Frame(
        1, bytes.fromhex(next(c["hex"] for c in captures("jk_pb") if c["id"] == "rs485-v15.41-addr3-settings")), 0
    ),
    3: Frame(3, bytes.fromhex(next(c["hex"] for c in captures("jk_pb") if c["id"] == "rs485-v15.41-addr3-about")), 0),
}


def value_of(key: str, raw: int) -> Any:
    spec = specs()[key]
    if spec.kind == "flag":
        return bool(raw)
    if spec.unit == "°C":
        return (raw - 2**32 if raw >= 2**31 else raw) / 10
    return raw if spec.unit in ("s", "µs") else raw / 1000


@pytest.mark.parametrize("capture", [c for c in WRITES if "ack_hex" in c["expected"]], ids=lambda c: c["id"])
def test_samples_of_the_vendor_and_captures_byte_for_byte(capture: dict[str, Any]) -> None:
    sent, expected = bytes.fromhex(capture["hex"]), capture["expected"]
    register = int(expected["register"], 16)
    message = parse(sent)
    assert (message.kind, message.address, message.register) == ("write", expected["address"], register)
    assert acknowledgement(message.address, register, message.count) == bytes.fromhex(expected["ack_hex"])
    if register not in BY_REGISTER:
        assert any(register in never for never in NEVER) or register == 0x1114
        return
    key = BY_REGISTER[register]
    assert write(message.address, key, value_of(key, int.from_bytes(message.data)), FRESH[1]) == sent


def test_every_wide_register_of_the_samples_is_covered() -> None:
    sampled = {int(c["expected"]["register"], 16) for c in WRITES if "ack_hex" in c["expected"]}
    assert len(sampled & set(BY_REGISTER)) >= 28


@pytest.mark.parametrize("capture", [c for c in WRITES if "exception_code" in c["expected"]], ids=lambda c: c["id"])
def test_exceptions(capture: dict[str, Any]) -> None:
    expected = capture["expected"]
    reply = expected.get("response_hex") or (capture["hex"] if expected.get("message") == "exception" else None)
    if reply:
        message = parse(bytes.fromhex(reply))
        assert (message.kind, message.code) == ("exception", expected["exception_code"])


def test_the_switch_word_keeps_the_bits_that_we_do_not_know() -> None:
    word = int.from_bytes(FRESH[1].payload[282:284], "little")
    assert word == 0x3300
    assert parse(write(3, "charging_float_mode_switch", False, FRESH[1])).data == bytes.fromhex("3100")
    assert parse(write(3, "heating_switch", True, FRESH[1])).data == bytes.fromhex("3301")
    full = built(1, {}, FRESH[1].payload[:282] + b"\xff\xff" + FRESH[1].payload[284:])
    assert parse(write(3, "display_always_on_switch", False, Frame(1, full, 0))).data == bytes.fromhex("ffef")


def test_registers_of_two_bytes_keep_the_other_one() -> None:
    assert parse(write(3, "heating_start_temperature", -5, FRESH[1])).data == bytes((0xFB, 10))
    assert parse(write(3, "heating_stop_temperature", 8, FRESH[1])).data == bytes((0, 8))
    hours = parse(write(3, "smart_sleep_delay", 22, FRESH[1]))
    assert (hours.register, hours.data[0], hours.data[1]) == (0x1118, 22, FRESH[1].payload[287])
    times = parse(write(3, "cell_request_charge_voltage_time", 2.5, FRESH[3]))
    assert (times.register, times.data) == (0x1504, bytes((25, 120)))


def test_negative_temperatures() -> None:
    sent = write(1, "charge_undertemperature_protection", -25.0, FRESH[1])
    assert sent == bytes.fromhex("0110105c000204ffffff06fad0")


@pytest.mark.parametrize("key", Pack.model_fields)
def test_no_other_key_has_a_path_to_the_wire(key: str) -> None:
    if key in WRITABLE:
        place = WRITABLE[key]
        assert not any(place.register in never for never in NEVER)
        message = parse(write(1, key, 1, FRESH[place.page]))
        assert (message.register, len(message.data)) == (place.register, place.size)
        assert specs()[key].control is not None
        return
    for page in FRESH.values():
        with pytest.raises(CommandError, match="never written"):
            write(1, key, 1, page)


def test_never_registers_cover_what_the_specification_forbids() -> None:
    for register in (0x1600, 0x1604, 0x160A, 0x160C, 0x160E, 0x1626, 0x106C, 0x1108, 0x1110, 0x14B2, 0x14D4, 0x1088):
        assert any(register in never for never in NEVER)
        assert register not in {place.register for place in WRITABLE.values()}
