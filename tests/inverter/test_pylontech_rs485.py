"""The RS485 dialect: frames of real batteries, a master that was tried on them, and everything that can go wrong."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.inverter.dialects.pylontech_rs485 import QUERIES, Query, QueryFramer, answer, framed
from jkbms_addon.inverter.state import State
from tests.inverter import receiver_rs485 as master
from tests.inverter.receiver_rs485 import opened
from tests.inverter.test_dialects_random import SEED, STATES, random_state

# frames of real batteries, published by the projects that the module names
US2000_ANALOG = (
    b"~20024600C06E10020F0C9A0C980C990C980C9A0C9A0C990C9B0C9C0C9A0C9B0C9B0C9B0C9B0C99050B740B550B570B530B630000BD06190F"
    b"02C3500084E545\r"
)
PAPER_ANALOG = (  # the 74 Ah example of V3.3
    b"~20024600F07A11020F0D450D440D450D440D450D440D450D440D3E0D450D4A0D4A0D4B0D4A0D4A"
    b"050BC30BC30BC30BCD0BCD0000C725FFFF04FFFF000200CA58012110E1"
)
US2000_ALARMS = b"~20024600A04210020F000000000000000000000000000000050000000000000000000E00000000F108\r"
UP2500_MANAGEMENT = b"~20024600B014026EF05AA0022BFDD5C0F915\r"
US3000_MANAGEMENT = b"~20024600B01402D002AFC80172FE8EC0F91C\r"
US3000_LIMITS = b"~20024600B032100E420BEA0AF00D030A470384D2F0B3B0A7F80D030A47FC7CF27F\r"
QUERY_ANALOG, QUERY_SERIAL = b"~20024642E00202FD33\r", b"~20024693E00202FD2D\r"
VALUES: dict[str, Any] = {
    "charge_voltage": 28.4,
    "charge_current": 55.5,
    "discharge_current": 55.5,
    "discharge_voltage": 23.2,
    "state_of_charge": 50,
    "voltage": 26,
    "current": 0,
}
BASE = State(**VALUES, charge_enabled=True, discharge_enabled=True)


def ask(command: int, info: bytes = b"", state: State = BASE, address: int = 2) -> bytes:
    (query,) = QueryFramer().feed(framed(address, command, info))
    return answer(query, state)


# --- the master is right, as it reads what real batteries said -------------------------------------------
def test_the_master_reads_real_batteries() -> None:
    _, code, info = opened(US2000_ANALOG)
    told = master.analog(info)
    assert (code, told["value"], len(told["cells"]), told["cells"][8]) == (0, 2, 15, 3.228)
    assert told["temperatures"] == [20.1, 17.0, 17.2, 16.8, 18.4]
    assert (told["current"], told["voltage"], told["remaining"], told["capacity"]) == (0.0, 48.39, 6.415, 50.0)
    assert told["charging_cycles"] == 132
    told = master.alarms(opened(US2000_ALARMS)[2])
    assert (told["charge_enabled"], told["discharge_enabled"], told["status"]) == (True, True, set())
    told = master.limits(opened(US3000_LIMITS)[2])
    assert told["cell"] == [3.65, 3.05, 2.8]
    assert told["module"] == [54.0, 46.0, 43.0]
    assert (told["charge_current"], told["discharge_current"]) == (90.0, -90.0)
    assert told["charge_temperatures"] == [60.0, -10.0]


@pytest.mark.parametrize(
    ("frame", "meant"),
    [
        (UP2500_MANAGEMENT, (28.4, 23.2, 55.5, 55.5)),
        (US3000_MANAGEMENT, (53.25, 45.0, 37.0, 37.0)),
    ],
)
def test_we_say_it_as_real_batteries_do(frame: bytes, meant: tuple[float, ...]) -> None:
    keys = ("charge_voltage", "discharge_voltage", "charge_current", "discharge_current")
    state = BASE.model_copy(update=dict(zip(keys, meant, strict=True)))
    assert ask(0x92, b"\x02", state) == frame


def test_queries_of_other_programs_are_heard() -> None:
    ear = QueryFramer()
    assert ear.feed(QUERY_ANALOG) == [Query(2, 0x42, b"\x02")]
    assert ear.feed(QUERY_SERIAL + b"~200246630000FDA9\r") == [Query(2, 0x93, b"\x02"), Query(2, 0x63)]
    assert ear.feed(b"~201246610000FDAA\r") == [Query(0x12, 0x61)]


# --- random states ---------------------------------------------------------------------------------------
def near(told: float, meant: float, step: float, low: float, high: float) -> bool:
    return abs(told - min(max(meant, low), high)) <= step / 2 + 1e-6


def test_the_master_reads_what_was_meant() -> None:
    draw = random.Random(SEED)
    for _ in range(STATES):
        state = random_state(draw).model_copy(update={"cell_count": draw.choice((0, 1, 8, 15, 16, 24))})
        check_analog(master.analog(opened(answer(Query(2, 0x42, b"\x02"), state))[2]), state)
        check_alarms(master.alarms(opened(answer(Query(2, 0x44, b"\x02"), state))[2]), state)
        check_management(master.management(opened(answer(Query(2, 0x92, b"\x02"), state))[2]), state)
        check_limits(master.limits(opened(answer(Query(2, 0x47), state))[2]), state)
        check_system(state)


def check_analog(told: master.Told, state: State) -> None:
    assert (told["value"], len(told["cells"])) == (2, state.cell_count or 16)
    assert near(told["voltage"], state.voltage, 0.001, 0, 65.535)
    assert near(told["current"], state.current, 0.1, -3276.8, 3276.7)
    capacity = state.full_charge_capacity
    if capacity is None or capacity <= 0:
        capacity = 100.0  # only the ratio counts
    if 0.1 < capacity < 16777:
        assert near(told["capacity"], capacity, 0.001, 0, 16777.215)
        meant = min(max(state.state_of_charge, 0), 100)
        assert abs(100 * told["remaining"] / told["capacity"] - meant) <= 0.1 / capacity + 1e-6
    known = state.min_cell_voltage is not None and state.max_cell_voltage is not None
    if known and len(told["cells"]) >= 3:
        assert near(told["cells"][0], state.min_cell_voltage or 0, 0.001, 0, 65.535)
        assert near(told["cells"][1], state.max_cell_voltage or 0, 0.001, 0, 65.535)
    mean = 25.0 if state.temperature is None else state.temperature
    for told_one, meant_one in zip(
        told["temperatures"], (mean, state.min_temperature, state.max_temperature), strict=False
    ):
        assert near(told_one, mean if meant_one is None else meant_one, 0.1, -273.1, 3003.6)


def check_alarms(told: master.Told, state: State) -> None:
    raised = set(state.protections)
    assert (told["charge_enabled"], told["discharge_enabled"]) == (state.charge_enabled, state.discharge_enabled)
    assert (told["charging"], told["discharging"]) == (state.current > 0.1, state.current < -0.1)
    assert told["full"] is (state.state_of_charge >= 99.5)
    assert ("cell_uv" in told["status"]) is ("under_voltage" in raised)
    assert ("module_ov" in told["status"]) is ("over_voltage" in raised)
    assert ("coc" in told["status"]) is ("charge_over_current" in raised)
    assert ("doc" in told["status"]) is bool(raised & {"discharge_over_current", "short_circuit"})
    assert ("charge_ot" in told["status"]) is bool(raised & {"over_temperature", "charge_over_temperature"})
    assert ("discharge_ot" in told["status"]) is ("over_temperature" in raised)
    assert told["charge_current"] == (2 if "charge_over_current" in raised else 0)
    assert told["voltage"] == (2 if "over_voltage" in raised else 1 if "under_voltage" in raised else 0)
    if len(told["cells"]) >= 2:
        assert told["cells"][0] == ("under_voltage" in raised)
        assert told["cells"][1] == 2 * ("over_voltage" in raised)
        assert not any(told["cells"][2:])
    assert told["temperatures"][1] == bool(raised & {"under_temperature", "charge_under_temperature"})


def check_management(told: master.Told, state: State) -> None:
    assert near(told["charge_voltage"], state.charge_voltage, 0.001, 0, 65.535)
    assert near(told["discharge_voltage"], state.discharge_voltage, 0.001, 0, 65.535)
    assert near(told["charge_current"], state.charge_current, 0.1, 0, 3276.7)
    assert near(-told["discharge_current"], state.discharge_current, 0.1, 0, 3276.8)
    for key in ("charge_enabled", "discharge_enabled", "force_charge_1", "force_charge_2", "full_charge_request"):
        assert told[key] is getattr(state, key)


def check_limits(told: master.Told, state: State) -> None:
    assert near(told["module"][0], state.charge_voltage, 0.001, 0, 65.535)
    assert near(told["module"][2], state.discharge_voltage, 0.001, 0, 65.535)
    assert near(told["cell"][0], state.charge_voltage / (state.cell_count or 16), 0.001, 0, 65.535)
    assert near(told["charge_current"], state.charge_current, 0.1, 0, 3276.7)
    assert near(-told["discharge_current"], state.discharge_current, 0.1, 0, 3276.8)


NAMES = {
    "over_voltage": "cell_high",
    "under_voltage": "cell_low",
    "over_temperature": "hot",
    "charge_over_temperature": "hot",
    "under_temperature": "cold",
    "charge_under_temperature": "cold",
    "charge_over_current": "charge_current",
    "discharge_over_current": "discharge_current",
    "short_circuit": "discharge_current",
}
ALARMS = {**NAMES, "cell_imbalance": "imbalance", "internal_comm_fail": "internal_comm"}
PROTECTIONS = {**NAMES, "system_error": "system_fault", "contactor": "system_fault"}


def check_system(state: State) -> None:
    told = master.system_management(opened(answer(Query(2, 0x63), state))[2])
    assert near(told["charge_voltage"], state.charge_voltage, 0.001, 0, 65.535)
    assert near(told["charge_current"], state.charge_current, 0.1, 0, 6553.5)
    assert near(told["discharge_current"], state.discharge_current, 0.1, 0, 6553.5)
    assert told["charge_now"] is (state.force_charge_1 or state.force_charge_2)
    assert told["full_charge_request"] is state.full_charge_request
    assert (told["charge_enabled"], told["discharge_enabled"]) == (state.charge_enabled, state.discharge_enabled)
    told = master.system_analog(opened(answer(Query(0x12, 0x61), state))[2])
    assert near(told["voltage"], state.voltage, 0.001, 0, 65.535)
    assert near(told["current"], state.current, 0.01, -327.68, 327.67)
    assert near(told["state_of_charge"], state.state_of_charge, 1, 0, 100)
    assert near(told["mean_health"], 100 if state.state_of_health is None else state.state_of_health, 1, 0, 100)
    for key in ("max_cell_voltage", "min_cell_voltage"):
        meant = getattr(state, key)
        assert near(told[key], 65.535 if meant is None else meant, 0.001, 0, 65.535)
        place = getattr(state, f"{key}_at")
        assert told[f"{key}_module"] == (int(place.split("-")[0]) if place else 0xFFFF)
    told = master.system_alarms(opened(answer(Query(2, 0x62), state))[2])
    assert told["alarms"] == {ALARMS[name] for name in state.alarms if name in ALARMS}
    assert told["protections"] == {PROTECTIONS[name] for name in state.protections if name in PROTECTIONS}


# --- who we are, and what we do not do -------------------------------------------------------------------
def test_identity() -> None:
    state = BASE.model_copy(update={"serial_number": "1234567890", "software_version": "1.7", "manufacturer": "JK"})
    address, code, info = opened(ask(0x51, state=state))
    assert (address, code, info.ascii(10), info.u8(), info.u8()) == (2, 0, "JK BMS\0\0\0\0", 1, 7)
    assert info.ascii(20) == "JK" + 18 * "-"
    info = opened(ask(0x93, b"\x02", state))[2]
    assert (info.u8(), info.ascii(16)) == (2, "1234567890" + 6 * "\0")
    info = opened(ask(0x60, state=state))[2]
    assert (info.ascii(10), info.ascii(20).rstrip("\0"), info.u16(), info.u8()) == ("JK BMS\0\0\0\0", "JK", 0x0107, 1)
    assert opened(ask(0x96, b"\x02", state))[2].text == "020000010700"
    assert ask(0x4F) == b"~200246000000FDB2\r"


@pytest.mark.parametrize("command", [0x94, 0x95, 0x64, 0x41, 0x99])
def test_what_is_not_obeyed(command: int) -> None:
    assert opened(ask(command, bytes(9)))[1] == 4


def test_other_batteries_are_not_answered() -> None:
    assert all(ask(0x42, bytes([n]), address=n) == b"" for n in range(256) if n not in (0x02, 0x12))
    assert opened(ask(0x42, b"\x03"))[1] == 6
    assert opened(ask(0x42, b"\x02\x02"))[1] == 5
    assert opened(ask(0x92, b"\xff"))[1] == 6


def test_an_echo_is_no_query() -> None:
    """An adapter that hears itself must not make us answer our own answers for ever."""
    for command in QUERIES:
        assert QueryFramer().feed(ask(command)) == []
    assert QueryFramer().feed(ask(0x94, bytes(9))) == []


def test_the_whole_system_is_one_battery() -> None:
    assert master.analog(opened(ask(0x42, b"\xff"))[2])["value"] == 1
    assert master.alarms(opened(ask(0x44, b"\xff"))[2])["value"] == 1
    assert ask(0x42) == ask(0x42, b"\x02")


def test_a_wrong_length_is_told_and_a_wrong_sum_is_noise() -> None:
    body = b"20024642F00202"
    (query,) = QueryFramer().feed(b"~" + body + f"{-sum(body) & 0xFFFF:04X}\r".encode())
    assert opened(answer(query, BASE))[1] == 3
    assert QueryFramer().feed(QUERY_ANALOG.replace(b"FD33", b"FD34")) == []
    assert QueryFramer().feed(framed(2, 0x42, b"\x02").replace(b"46", b"4A", 1)) == []


@given(st.lists(st.binary(max_size=40) | st.sampled_from([QUERY_ANALOG, QUERY_SERIAL]), max_size=12), st.data())
def test_any_bytes_in_any_pieces(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    expected, ear, found, rest = QueryFramer().feed(whole), QueryFramer(), [], whole
    while rest:
        n = data.draw(st.integers(1, len(rest)))
        found += ear.feed(rest[:n])
        rest = rest[n:]
    assert found == expected
    for query in found:
        answer(query, BASE)


def test_every_query_has_an_answer_whatever_the_state() -> None:
    draw = random.Random(SEED + 3)
    for _ in range(300):
        state = random_state(draw)
        for command in QUERIES:
            assert opened(answer(Query(2, command), state))[1] == 0
