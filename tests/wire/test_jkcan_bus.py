"""A bus of BMSs over time; frames are made by the encoder, whose own oracle is ``test_jkcan``."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.battery.alarms import WORD_NAMES
from jkbms_addon.battery.plausibility import contradiction
from jkbms_addon.battery.reading import Reading, flat
from jkbms_addon.wire.candump import candump
from jkbms_addon.wire.jkcan import frames as jkcan
from jkbms_addon.wire.jkcan import unit as jkcan_unit
from jkbms_addon.wire.jkcan.bus import Bus, Presence
from jkbms_addon.wire.jkcan.doubts import Cells, Clocks, Lasting
from jkbms_addon.wire.jkcan.frames import V1_ALARMS, V2_ALARMS, V2_LEVELS, Version, frames
from jkbms_addon.wire.jkcan.kinds import (
    ALL_TEMP,
    ALM_INFO,
    BATT_ST1,
    BATT_ST2,
    BMS_INFO,
    BMSERR_INFO,
    CELL_TEMP,
    CELL_VOLT,
    CELLVOL,
    CHG_INFO,
    KINDS,
    SW_STA,
    V1,
    V2_ONLY,
    Kind,
)
from tests.conftest import captures

CELLS = tuple((3300 + n) / 1000 for n in range(16))
STATE: dict[str, Any] = {
    "total_voltage": 52.9,
    "current": -12.3,
    "state_of_charge": 81,
    "max_cell_voltage": 3.32,
    "max_voltage_cell": 16,
    "min_cell_voltage": 3.29,
    "min_voltage_cell": 1,
    "max_cell_temperature": 24,
    "min_cell_temperature": 21,
    "average_cell_temperature": 22,
    "capacity_remaining": 227.3,
    "full_charge_capacity": 280.0,
    "total_charging_cycle_capacity": 9841.1,
    "charging_cycles": 35,
    "temperature_sensor_1": 21,
    "temperature_sensor_2": 24,
    "mosfet_temperature": 31,
    "temperature_sensor_4": None,
    "temperature_sensor_5": None,
    "errors_bitmask": 0,
    "total_runtime": 16629219,
    "heating_current": 0.0,
    "state_of_health": 100,
    "charging": True,
    "discharging": True,
    "balancing": False,
    "heating": False,
    "charger_plugged": False,
    "acc_on": True,
    "cell_voltage": CELLS,
    "requested_charge_voltage": 57.6,
    "requested_charge_current": 95.0,
    "charger_requested": True,
}
UNDER_VOLTAGE = "cell_under_voltage_severe"


@dataclass
class Sender:
    """A BMS that sends its frames with their periods, some kinds not at all."""

    values: dict[str, Any] = field(default_factory=dict)
    address: int = 0
    version: Version = 2
    without: Iterable[Kind] = ()
    phase: float = 0.0

    def events(self, start: float, end: float) -> list[tuple[float, int, bool, bytearray]]:
        sent = []
        for kind, frame in frames({**STATE, **self.values}, self.address, self.version):
            period = 0.1 if self.version == 1 and kind is CELL_TEMP else kind.period
            if kind not in self.without:
                count = round((end - start) / period)
                sent += [(start + self.phase + n * period, *frame[:2], bytearray(frame.data)) for n in range(count)]
        return sent


def play(bus: Bus, start: float, end: float, *senders: Sender) -> list[Reading]:
    """All frames of that time in order; the readings of one look a second."""
    told, look = [], start
    for at, can_id, extended, data in sorted(event for sender in senders for event in sender.events(start, end)):
        while look <= at < end:
            told += bus.readings(look)
            look += 1.0
        bus.heard(can_id, extended, data, at)
    return told


def last(bus: Bus, start: float, end: float, *senders: Sender) -> dict[str, Any]:
    """Values of the last reading of that time."""
    told = play(bus, start, end, *senders)
    assert told
    return told[-1].values


def test_everything_a_v2_bms_says() -> None:
    bus = Bus()
    told = play(bus, 0, 8, Sender({"charger_plugged": True, "errors_bitmask": 1 << 3}, 4))
    assert [reading.address for reading in told] == [4] * len(told)
    assert len(told) == 5  # one a second after three seconds of listening
    reading = told[-1]
    assert (reading.kind, reading.format, reading.alarm_names) == ("live", "can", V2_ALARMS)
    expected = {**STATE, "charger_plugged": True, "errors_bitmask": 1 << 3, "total_voltage": round(sum(CELLS), 3)}
    expected |= {"min_cell_voltage": 3.3, "max_cell_voltage": 3.315, "alarms": (WORD_NAMES[3],)}
    assert {key: reading.values[key] for key in expected} == expected
    derived = {key: reading.values[key] for key in ("power", "average_cell_voltage", "delta_cell_voltage")}
    assert derived == {"power": -650.916, "average_cell_voltage": 3.3075, "delta_cell_voltage": 0.015}
    assert not [key for key in reading.values if key.startswith("_")]
    assert flat(reading.values, reading.alarm_names)["problem"] is True
    assert 4.5 <= reading.valid_for <= 5
    assert contradiction(reading.values) is None
    assert bus.problems(8) == {}
    (presence,) = bus.presences(8)
    assert presence == Presence(4, 2, presence.rate)
    assert 90 < presence.rate < 98


def test_captured_frames_are_one_battery() -> None:
    bus = Bus(settle=0)
    stream = next(s for s in captures("can")["streams"] if s["id"] == "stream-jk-native-500k")
    for n, line in enumerate(stream["lines"]):
        frame = candump(line)
        assert frame
        bus.heard(*frame[2:], n / 1000)
    (reading,) = bus.readings(0.01)
    expected = {"total_voltage": 53.1, "current": 1.8, "state_of_charge": 81, "total_charging_cycle_capacity": 9841.1}
    expected |= {"capacity_remaining": 227.3, "min_cell_voltage": 3.324, "delta_cell_voltage": 0.003}
    assert {key: reading.values[key] for key in expected} == expected
    assert reading.values["alarms"] is None  # no fault frame so far


# --- version and sign -----------------------------------------------------------------------------------
def test_v1_is_known_after_five_seconds_and_its_sign_is_turned() -> None:
    bus = Bus()
    told = play(bus, 0, 9, Sender(version=1))
    before = [reading for reading in told if reading.values["current"] is None]
    after = told[len(before) :]
    assert len(before) in (2, 3)
    assert all("power" not in reading.values and reading.values["alarms"] is None for reading in before)
    assert {reading.values["current"] for reading in after} == {-12.3}
    assert after[-1].alarm_names == V1_ALARMS
    assert after[-1].values["alarms"] == ()
    # what V1 never says is absent, not unknown
    assert not {"charging", "cell_voltage", "capacity_remaining", "errors_bitmask"} & after[-1].values.keys()
    assert after[-1].values["delta_cell_voltage"] == 0.03
    assert (bus.version(0), bus.problems(9)) == (1, {})


def test_the_same_bytes_as_v2_have_the_other_sign() -> None:
    one, two = Sender({"current": -12.3}, version=1), Sender({"current": 12.3}, version=2)
    frame = {s.version: next(e[3] for e in sorted(s.events(0, 0.02)) if e[1] == 0x2F4) for s in (one, two)}
    assert frame[1] == frame[2]
    assert last(Bus(), 0, 4, two)["current"] == 12.3


@pytest.mark.parametrize("kind", V2_ONLY, ids=lambda kind: kind.name)
def test_any_frame_that_only_v2_sends_tells_the_version(kind: Kind) -> None:
    bus = Bus()
    bus.heard(kind.base, True, bytes(8), 0)
    assert bus.version(0) == 2


def test_v2_is_known_at_once_and_overrules_the_pace() -> None:
    bus = Bus()
    play(bus, 0, 7, Sender(version=1))
    assert bus.version(0) == 1
    told = play(bus, 7, 9, Sender())
    assert bus.version(0) == 2
    assert told[-1].values["current"] == -12.3


def test_v2_behind_a_filter_is_named() -> None:
    bus = Bus()
    told = play(bus, 0, 8, Sender(without=V2_ONLY))
    assert bus.version(0) == 2
    assert bus.problems(8) == {0: jkcan_unit.FILTERED}
    assert (told[0].values["current"], told[-1].values["current"]) == (None, -12.3)
    play(bus, 8, 9, Sender())
    assert bus.problems(9) == {}


@pytest.mark.parametrize(
    "sender",
    [
        Sender(version=1, address=3),  # V1 knows no addresses
        Sender(version=1, without=[CELL_TEMP]),
    ],
)
def test_no_sign_where_the_version_cannot_be_told(sender: Sender) -> None:
    bus = Bus()
    told = play(bus, 0, 12, sender)
    assert told
    assert all(reading.values["current"] is None for reading in told)
    assert bus.problems(12) == {sender.address: jkcan_unit.UNSIGNED}


def test_a_lossy_v1_is_not_taken_for_v2() -> None:
    bus = Bus()
    for event in sorted(Sender(version=1).events(0, 30))[::5]:
        bus.heard(*event[1:], event[0])
    assert bus.version(0) in (None, 1)


def test_a_version_that_is_set_is_not_detected() -> None:
    told = play(Bus(version=1), 0, 4, Sender())
    assert {reading.values["current"] for reading in told} == {12.3}


def test_an_inverted_sign_is_named_and_not_turned() -> None:
    bus = Bus(version=2, interval=60)
    for minute in range(33):
        state = {"current": 20.0, "state_of_charge": 81 - minute // 4, "capacity_remaining": 280 * 0.81}
        for second in range(0, 60, 4):
            for _, frame in frames({**STATE, **state})[:2]:
                bus.heard(*frame, minute * 60 + second)
    now = 32 * 60 + 56.0
    assert jkcan_unit.INVERTED in bus.problems(now)[0]
    assert bus.readings(now)[0].values["current"] == 20.0


# --- freshness ------------------------------------------------------------------------------------------
GONE: list[tuple[Kind, float, set[str]]] = [
    (CELL_TEMP, 5, {"min_cell_temperature", "max_cell_temperature", "average_cell_temperature"}),
    (ALL_TEMP, 5, {"temperature_sensor_1", "temperature_sensor_2", "mosfet_temperature"}),
    (BATT_ST2, 5, {"capacity_remaining", "full_charge_capacity", "charging_cycles", "total_charging_cycle_capacity"}),
    (BMSERR_INFO, 2, {"errors_bitmask", "alarms"}),
    (BMS_INFO, 5, {"total_runtime", "state_of_health", "heating_current"}),
    (SW_STA, 5, {"charging", "discharging", "balancing", "heating", "charger_plugged", "acc_on"}),
    (CHG_INFO, 2, {"requested_charge_voltage", "requested_charge_current", "charger_requested"}),
]


@pytest.mark.parametrize(("kind", "fresh", "keys"), GONE, ids=lambda part: getattr(part, "name", None))
def test_what_is_not_fresh_is_unknown(kind: Kind, fresh: float, keys: set[str]) -> None:
    bus, state = Bus(), {"charger_plugged": True}
    before = last(bus, 0, 5, Sender(state))
    assert all(before[key] is not None for key in keys)
    kept = last(bus, 5, 4.5 + fresh, Sender(state, without=[kind]))
    assert all(kept[key] is not None for key in keys)
    gone = last(bus, 4.5 + fresh, 7 + fresh, Sender(state, without=[kind]))
    assert {key for key in keys if gone[key] is None} == keys
    assert gone["current"] == -12.3


def test_without_cells_their_extremes_stay() -> None:
    bus = Bus()
    assert last(bus, 0, 4, Sender())["min_cell_voltage"] == 3.3
    gone = last(bus, 4, 12, Sender(without=CELLVOL))
    assert "cell_voltage" not in gone
    assert (gone["min_cell_voltage"], gone["max_cell_voltage"], gone["delta_cell_voltage"]) == (3.29, 3.32, 0.03)
    assert (gone["total_voltage"], gone["average_cell_voltage"]) == (52.9, None)


def test_the_cells_stand_in_for_their_extremes() -> None:
    assert last(Bus(), 0, 9, Sender(without=[CELL_VOLT]))["min_cell_voltage"] == 3.3


@pytest.mark.parametrize("without", [[BATT_ST1], [CELL_VOLT, *CELLVOL]])
def test_a_bms_without_its_vital_frames_is_stale(without: list[Kind]) -> None:
    bus = Bus()
    told = play(bus, 0, 4, Sender())
    assert told
    stale = play(bus, 4, 12, Sender(without=without))
    assert len(stale) <= 6
    assert all(reading.valid_for <= 5 for reading in stale)
    assert play(bus, 12, 14, Sender(without=without)) == []
    assert without[0].name in bus.problems(14)[0]


def test_nothing_is_told_of_a_silent_bus() -> None:
    bus = Bus()
    play(bus, 0, 4, Sender())
    assert bus.readings(4.1)
    assert not bus.readings(5.5)
    assert not bus.readings(20)
    assert (bus.problems(20), bus.presences(20), bus.version(0), bus.rejected(0)) == ({}, [], None, 0)


def test_who_comes_back_proves_itself_anew() -> None:
    bus = Bus()
    play(bus, 0, 4, Sender())
    told = play(bus, 60, 68, Sender(version=1))
    assert told[0].values["current"] is None
    assert told[-1].values["current"] == -12.3
    assert "cell_voltage" not in told[-1].values


# --- alarms ---------------------------------------------------------------------------------------------
def test_alarm_levels_expire_after_a_second_while_the_bus_lives() -> None:
    bus = Bus(interval=0.1)
    alarmed = Sender({"alarms": (UNDER_VOLTAGE,)})
    assert last(bus, 0, 4, alarmed)["alarms"] == (UNDER_VOLTAGE,)
    for event in sorted(Sender().events(4, 6)):
        bus.heard(*event[1:], event[0])
        for reading in bus.readings(event[0]):
            assert reading.values["alarms"] == ((UNDER_VOLTAGE,) if event[0] < 4.85 else ()) or event[0] < 5


def test_a_silent_bus_does_not_clear_alarms() -> None:
    bus = Bus()
    play(bus, 0, 4, Sender({"alarms": (UNDER_VOLTAGE,)}))
    told = play(bus, 7, 9.5, Sender())
    assert [reading.values["alarms"] for reading in told] == [(UNDER_VOLTAGE,), ()]


def test_a_gap_does_not_bring_old_alarms_back() -> None:
    bus = Bus(interval=0.1)
    play(bus, 0, 3, Sender({"alarms": (UNDER_VOLTAGE,)}))
    assert last(bus, 3, 6, Sender())["alarms"] == ()
    for event in sorted(Sender().events(8, 9)):
        bus.heard(*event[1:], event[0])
        assert all(reading.values["alarms"] == () for reading in bus.readings(event[0]) if event[0] > 8.2)


def test_v1_alarms_come_from_the_levels() -> None:
    told = play(Bus(), 0, 8, Sender({"alarms": (UNDER_VOLTAGE,)}, version=1))
    assert told[-1].values["alarms"] == (UNDER_VOLTAGE,)
    assert flat(told[-1].values, told[-1].alarm_names)["errors"] == "Cell under-voltage (severe)"


def test_v2_without_fault_frames_falls_back_and_says_so() -> None:
    bus = Bus()
    told = play(bus, 0, 8, Sender({"alarms": (UNDER_VOLTAGE,)}, without=[BMSERR_INFO]))
    assert told[0].values["alarms"] is None
    assert (told[-1].values["alarms"], told[-1].alarm_names) == ((UNDER_VOLTAGE,), V2_LEVELS)
    assert bus.problems(8) == {0: jkcan_unit.UNGRADED}


# --- cells ----------------------------------------------------------------------------------------------
def test_a_broken_sense_wire_is_named() -> None:
    bus = Bus()
    play(bus, 0, 4, Sender())
    broken = (*CELLS[:6], None, *CELLS[7:15], None)
    values = last(bus, 4, 7, Sender({"cell_voltage": broken}))
    assert values["cell_voltage"] == broken
    assert (values["total_voltage"], values["min_voltage_cell"], values["max_voltage_cell"]) == (52.9, 1, 15)
    assert bus.problems(7) == {0: "broken sense wire: cell 7, 16 reads 0 V"}
    play(bus, 7, 9, Sender())
    assert bus.problems(9) == {}


def test_cells_that_contradict_the_voltage_are_not_shown() -> None:
    bus = Bus()
    wrong = {"cell_voltage": tuple(cell + 0.2 for cell in CELLS)}
    told = play(bus, 0, 9, Sender(wrong))
    assert all("cell_voltage" not in reading.values for reading in told)
    assert told[-1].values["total_voltage"] == 52.9
    assert "the cells sum to 56.12 V but the battery has 52.9 V" in bus.problems(9)[0]


def test_the_fast_voltage_wins_when_it_has_moved_on() -> None:
    bus = Bus()
    play(bus, 0, 4, Sender())
    assert last(bus, 4, 6, Sender({"total_voltage": 51.0}, without=CELLVOL))["total_voltage"] == 51.0


@pytest.mark.parametrize("count", [1, 4, 5, 16, 17, 25])
def test_cells_are_counted(count: int) -> None:
    cells, voltage = (3.3,) * count, round(3.3 * count, 1)
    assert last(Bus(), 0, 4, Sender({"cell_voltage": cells, "total_voltage": voltage}))["cell_voltage"] == cells


def test_a_set_of_cells_is_whole_within_a_second_and_a_half() -> None:
    cells = Cells()
    assert cells.heard(1, (3.3, 3.3, 3.3, 3.3), 0.0) is None
    assert cells.heard(5, (3.3, 3.3, None, None), 0.1) is None
    assert cells.heard(1, (3.3, 3.3, 3.3, 3.3), 1.0) == (3.3,) * 6
    assert cells.heard(5, (3.4, 3.4, None, None), 1.1) == (*(3.3,) * 4, 3.4, 3.4)
    assert cells.heard(1, (3.5, 3.3, 3.3, 3.3), 2.0) is None  # the other frame is of an earlier burst
    assert cells.heard(1, (3.5, 3.3, 3.3, 3.3), 3.0) is None
    assert cells.heard(5, (3.4, 3.4, None, None), 4.2) == (3.5, 3.3, 3.3, 3.3, 3.4, 3.4)


# --- who must not be believed ---------------------------------------------------------------------------
DUPLICATES: dict[str, tuple[Sender, Sender]] = {
    "capacity": (Sender(), Sender({"full_charge_capacity": 281.0}, without=[BATT_ST1, BMS_INFO], phase=0.03)),
    "cycles": (Sender(), Sender({"charging_cycles": 36}, without=[BATT_ST1, BMS_INFO], phase=0.03)),
    "run time": (Sender(), Sender({"total_runtime": 99}, without=[BATT_ST1, BATT_ST2], phase=0.2)),
    "rate": (Sender(), Sender(phase=0.007)),
}


@pytest.mark.parametrize("name", DUPLICATES)
def test_two_with_one_address_are_named_and_not_shown(name: str) -> None:
    bus = Bus()
    both, other = DUPLICATES[name], Sender(address=5)
    told = play(bus, 0, 8, *both, other)
    assert [reading.address for reading in told if reading.address == 0] == []
    assert len([reading for reading in told if reading.address == 5]) == 5
    assert bus.problems(8) == {0: jkcan_unit.DUPLICATE}
    assert not [reading for reading in play(bus, 8, 60, both[0]) if reading.address == 0]
    assert play(bus, 60, 75, both[0])  # a minute after it was put right
    assert bus.problems(75) == {}


def test_a_restarted_bms_is_not_two() -> None:
    bus = Bus()
    play(bus, 0, 4, Sender())
    assert play(bus, 4, 8, Sender({"total_runtime": 1}))
    assert bus.problems(8) == {}
    clocks = Clocks()
    assert [clocks.seen(s, n) for n, s in enumerate((100, 101, 5, 6, 200, 7))] == [False] * 4 + [True, True]


def test_frames_that_piled_up_are_not_two() -> None:
    bus = Bus()
    play(bus, 0, 4, Sender())
    for event in sorted(Sender().events(4, 6)):  # the reader slept
        bus.heard(*event[1:], 6.0)
    assert play(bus, 6, 12, Sender())
    assert bus.problems(12) == {}


@pytest.mark.parametrize("can_id", [0x18E728F4, 0x18F0F472])
def test_ids_of_the_dialect_silence_the_bus(can_id: int) -> None:
    bus = Bus()
    bus.heard(can_id, True, bytes(8), 0)
    assert play(bus, 0, 6, Sender(), Sender(address=1)) == []
    assert bus.problems(6) == dict.fromkeys((0, 1), jkcan_unit.DIALECT)


def test_temperatures_without_a_mask_are_the_dialect() -> None:
    bus = Bus()
    bus.heard(ALL_TEMP.base, True, bytes.fromhex("4848484848480000"), 0)
    assert play(bus, 0, 6, Sender()) == []
    assert jkcan_unit.DIALECT in bus.problems(6)[0]


@pytest.mark.parametrize(
    "state", [{"capacity_remaining": 295.0, "state_of_charge": 100}, {"state_of_charge": 72}, {"state_of_charge": 86}]
)
def test_capacities_that_do_not_fit_are_the_dialect(state: dict[str, Any]) -> None:
    bus = Bus()
    play(bus, 0, 8, Sender(state))
    assert bus.problems(8) == {0: jkcan_unit.DIALECT}
    assert not bus.readings(8)


def test_impossible_values_are_named_and_never_told() -> None:
    bus = Bus()
    play(bus, 0, 4, Sender())
    bus.heard(0x2F4, False, bytes.fromhex("FFFFA00F32000000"), 4.2)
    bus.heard(0x18F428F4, True, bytes.fromhex("0000000000006500"), 4.2)
    (reading,) = bus.readings(4.2)
    assert (reading.values["total_voltage"], reading.values["state_of_health"]) == (round(sum(CELLS), 3), 100)
    assert bus.rejected(0) == 2
    assert "impossible BATT_ST1: voltage of 6553.5 V; impossible BMS_INFO" in bus.problems(4.2)[0]
    play(bus, 4.2, 65, Sender())
    assert bus.problems(65) == {}


def test_a_current_at_its_floor_is_told_and_named() -> None:
    bus = Bus()
    assert last(bus, 0, 4, Sender({"current": -400.0}))["current"] == -400
    assert bus.problems(4) == {0: jkcan_unit.FLOOR}


def test_a_request_must_suit_the_cells() -> None:
    bus = Bus()
    values = last(bus, 0, 4, Sender({"charger_plugged": True, "requested_charge_voltage": 84.0}))
    assert values["requested_charge_voltage"] is None
    assert "84.0 V requested for 16 cells" in bus.problems(4)[0]


def test_a_first_burst_that_is_not_whole_counts_no_cells() -> None:
    bus, charger = Bus(), {"charger_plugged": True, "requested_charge_voltage": 55.2}
    play(bus, 0, 1, Sender(charger, without=CELLVOL[2:]))
    values = last(bus, 1, 5, Sender(charger))
    assert values["requested_charge_voltage"] == 55.2
    assert (bus.problems(5), bus.rejected(0)) == ({}, 0)


def test_a_charger_alone_is_no_bms() -> None:
    bus = Bus()
    bus.heard(CHG_INFO.base, True, bytes.fromhex("024003B600000000"), 0)
    assert bus.presences(0) == []


def test_address_twelve_is_nobody() -> None:
    bus = Bus(settle=0)
    for can_id, extended in ((0x300, False), (0x500, False), (0x18F12900, True), (0x351, False), (0x01F21400, True)):
        bus.heard(can_id, extended, bytes.fromhex("1302B20F51000000"), 0)
    assert bus.presences(0) == []
    assert bus.problems(0) == {}


# --- cost -----------------------------------------------------------------------------------------------
def test_the_fast_frame_is_throttled_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    real = jkcan.decoded
    monkeypatch.setattr(jkcan, "decoded", lambda kind, data: decoded.append(kind.name) or real(kind, data))  # type: ignore[func-returns-value]
    bus = Bus()
    units = [Sender({"current": n * 1.0}, n) for n in range(12)]
    told = play(bus, 0, 10, *units)
    assert len(told) == 12 * 7
    assert all(reading.values["current"] == reading.address for reading in told)
    # what says the same again is not decoded again
    assert {decoded.count(kind.name) for kind in (BATT_ST1, CELL_VOLT, BMSERR_INFO)} == {12}
    for n in range(500):
        bus.heard(0x2F4, False, bytes((19, 2, n % 256, 15, 81)), 10 + n / 50)
    assert 45 <= decoded.count("BATT_ST1") - 12 <= 50


def test_a_caller_with_the_same_period_misses_nothing() -> None:
    bus, told = Bus(), 0
    for n, event in enumerate(sorted(Sender().events(0, 20))):
        bus.heard(*event[1:], event[0])
        if n % 107 == 0:  # about once a second
            told += len(bus.readings(event[0]))
    assert told == 15


def test_a_condition_must_last() -> None:
    lasting = Lasting(5)
    assert [lasting.holds(n != 3, n) for n in range(10)] == [False] * 9 + [True]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([(k.base + n, k.extended) for k in KINDS for n in (0, 11)]),
            st.binary(max_size=8),
            st.floats(0, 2),
        ),
        max_size=60,
    )
)
def test_any_frames_at_any_time_do_no_harm(sent: list[tuple[tuple[int, bool], bytes, float]]) -> None:
    bus, now = Bus(settle=0), 0.0
    play(bus, 0, 0.1, Sender())
    for ident, data, seconds in sent:
        now += seconds
        bus.heard(*ident, data, now)
        bus.problems(now)
        bus.presences(now)
        for reading in bus.readings(now):
            assert 0 <= reading.valid_for <= 5
            assert abs(reading.values["current"] or 0) <= 1000  # type: ignore[arg-type]
            flat(reading.values, reading.alarm_names)


assert {kind for kind, _, _ in GONE} | {BATT_ST1, CELL_VOLT, ALM_INFO, *CELLVOL} == {*V1, *V2_ONLY, CHG_INFO}
