"""What every source goes through: expiry, life, sensors that lie."""

from dataclasses import replace
from typing import Any

import pytest

from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.snapshot import EXPIRY
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.simulator.can import can_bms
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.jkcan.bus import Bus
from jkbms_addon.wire.jkcan.frames import frames
from jkbms_addon.wire.pb.frames import Frame, decode
from jkbms_addon.wire.ttl import frames as legacy
from tests.conftest import captures
from tests.played import PlayedClock


class Bench:
    """An intake and its clock."""

    def __init__(self) -> None:
        self.clock = PlayedClock()
        self.status = BusStatus("t", clock=self.clock)
        self.intake = Intake(self.status)

    def take(self, *readings: Reading, **how: Any) -> list[Reading]:
        return self.intake.take(readings, self.clock(), **how).readings

    def live(self, reading: Reading) -> dict[str, Any]:
        """What is believed of it, said twice."""
        self.take(reading)
        (found,) = self.take(reading)
        return found.values


def table(**changes: Any) -> tuple[Reading, ...]:
    values = {
        "cell_voltage": (3.3,) * 16,
        "total_voltage": 52.8,
        "current": 0.0,
        "state_of_charge": 60,
        "charging_cycles": 31,
        "total_charging_cycle_capacity": 6200,
        "total_runtime": 60 * 500_001,
        "mosfet_temperature": 20,
        "temperature_sensor_1": 20,
        "temperature_sensor_2": 21,
        "total_battery_capacity": 200,
        **changes,
    }
    return legacy.readings(legacy.parse(legacy.encode_reply(values)), 1)


def withheld(bench: Bench, readings: tuple[Reading, ...]) -> str:
    return next((one.withheld for one in bench.take(*readings) if one.kind == "live"), "held")


def test_a_first_generation_that_rests_ticks_every_minute_and_a_frozen_one_does_not() -> None:
    bench, runtime = Bench(), 60 * 500_001
    bench.take(*table())
    for n in range(300):
        bench.clock.now += 2
        assert withheld(bench, table(total_runtime=runtime + n * 2 // 60 * 60)) == ""
    began, last = bench.clock(), table(total_runtime=runtime + 600)
    while not withheld(bench, last).startswith("frozen"):
        bench.clock.now += 2
        assert bench.clock() - began < 75
    assert bench.clock() - began >= 60
    assert bench.status.bms(1).frozen
    assert withheld(bench, table(total_runtime=runtime + 660)) == ""


def test_firmware_that_counts_in_steps_of_256_minutes_is_not_called_frozen() -> None:
    bench = Bench()
    bench.take(*table(total_runtime=60 * 256 * 9))
    for _ in range(300):
        bench.clock.now += 2
        assert withheld(bench, table(total_runtime=60 * 256 * 9)) == ""


@pytest.mark.parametrize("ticking", [True, False])
def test_a_frozen_battery_on_can(*, ticking: bool) -> None:
    bench, bms, bus = Bench(), can_bms(3, current=0.0), Bus()
    bms.bms.clock = bench.clock
    bms.bms.started = bench.clock()
    still = frames(bms.values(), 3)
    found: list[str] = []
    for _ in range(700):
        bench.clock.now += 0.1
        for _kind, frame in frames(bms.values(), 3) if ticking else still:
            bus.heard(frame.can_id, frame.extended, frame.data, bench.clock())
        for reading in bus.readings(bench.clock()):
            found += [one.withheld for one in bench.take(reading)]
    assert len(found) > 55
    assert found[0] == found[50] == ""
    assert found[-1].startswith("frozen") is not ticking


def test_every_reading_has_an_end() -> None:
    bench = Bench()
    for kind, seconds in EXPIRY.items():
        assert [one.valid_for for one in bench.take(Reading(1, kind, {"state_of_charge": 5}))] == [seconds]
    for odd in (float("nan"), float("inf"), -1.0, 0.0):
        (one,) = bench.take(Reading(1, "live", {"state_of_charge": 5}, valid_for=odd))
        assert one.valid_for == EXPIRY["live"]
    assert [one.valid_for for one in bench.take(Reading(1, "live", {"state_of_charge": 5}, valid_for=7.0))] == [7.0]


def temperatures(*told: int) -> tuple[Bench, list[Any]]:
    """What is shown of a sensor that tells this every two seconds, each as often as it takes to be believed."""
    bench = Bench()
    bench.take(*table(temperature_sensor_1=told[0]))
    shown = []
    for value in told:
        bench.clock.now += 2
        for _ in range(2):
            found = [one for one in bench.take(*table(temperature_sensor_1=value)) if one.kind == "live"]
        shown.append(found[0].values["temperature_sensor_1"])
    return bench, shown


def test_a_temperature_that_leaps_while_it_crosses_zero_is_unknown_and_not_fifty_degrees() -> None:
    _, shown = temperatures(2, 1, 0, 50, 50, 50, 0, -1)
    assert shown == [2, 1, 0, None, None, None, 0, -1]
    _, shown = temperatures(0, 50, 50, 0)  # also where it was heard first at zero
    assert shown == [0, None, None, 0]


def test_a_leap_is_believed_when_it_has_been_true_for_a_minute() -> None:
    _, shown = temperatures(20, *[45] * 40)
    assert shown[1] is None
    assert shown.index(45) in (31, 32)
    assert shown[-1] == 45


def test_a_leap_is_not_made_of_a_long_silence() -> None:
    bench = Bench()
    bench.live(table(temperature_sensor_1=5)[0])
    bench.clock.now += 3600
    assert bench.live(table(temperature_sensor_1=25)[0])["temperature_sensor_1"] == 25


def pb_frame(name: str) -> Reading:
    data = bytes.fromhex(next(one["hex"] for one in captures("jk_pb") if one["id"] == name))
    return decode(Frame(2, data[:300], 0), 1)


@pytest.mark.parametrize("name", ["ble-11.48-8s-live", "ble-11.50-4s-aged", "ble-11.288H-2s-heating-0"])
def test_probes_that_are_not_fitted_are_absent(name: str) -> None:
    values = Bench().live(pb_frame(name))
    assert (values["temperature_sensor_4"], values["temperature_sensor_5"]) == (None, None)
    assert values["temperature_sensor_1"] > 10


def cold(temperature: float) -> Reading:
    bms = SimulatedBms(1, temperature=temperature, runtime=1_000_000)  # always the same one
    return decode(Frame(2, bms.page(0x1620), 0), 1)


def test_a_probe_that_was_ever_anything_else_is_real() -> None:
    bench = Bench()
    assert bench.live(cold(0.1))["temperature_sensor_1"] == 0.1
    for now in (0.0, -0.1, 0.0):
        bench.clock.now += 10
        assert bench.live(cold(now))["temperature_sensor_1"] == now
    # also when the link was opened anew
    again = Intake(bench.status)
    again.take((cold(0.0),), bench.clock())
    assert again.take((cold(0.0),), bench.clock()).readings[0].values["temperature_sensor_1"] == 0.0


def test_a_damaged_frame_does_not_make_a_probe_real() -> None:
    bench = Bench()
    assert bench.live(cold(0.0))["temperature_sensor_1"] is None
    for damage in (0.7, 90.0):
        assert bench.take(cold(damage)) == []  # doubted, and never said again
        for _ in range(40):
            bench.clock.now += 2
            assert [one.values["temperature_sensor_1"] for one in bench.take(cold(0.0))] == [None]
    assert bench.live(cold(0.7))["temperature_sensor_1"] == 0.7
    assert bench.live(cold(0.0))["temperature_sensor_1"] == 0.0


def test_a_probe_that_has_said_zero_ever_since_is_not_fitted_even_in_the_cold() -> None:
    bench = Bench()
    assert bench.live(cold(0.0))["temperature_sensor_1"] is None
    assert bench.live(cold(0.0))["temperature_sensor_2"] == 0.4


def test_the_same_is_counted_for_every_format() -> None:
    bench = Bench()
    good = replace(cold(20.0), raw=b"")
    bench.take(good)
    bench.take(replace(good, values={**good.values, "state_of_charge": 120}))
    bench.take(good, latency=0.05, expected=2.0, valid_for=10.0)
    bms = bench.status.bms(1)
    assert (bms.implausible, bench.status.implausible, bms.frames) == (1, 1, 2)
    assert (bms.latency, bms.expected, bms.valid_for) == (0.05, 2.0, 10.0)


def test_a_trouble_whose_numbers_move_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.take(*table())
    caplog.clear()
    for count in (287, 295, 290):
        bench.intake.named("", {2: f"its answers arrive cut or damaged ({count} of 300 bytes)"})
    assert "(290 of 300 bytes)" in bench.status.bms(2).problem  # it is shown as it is
    bench.intake.named("", {2: "two BMSs answer at the same address"})
    assert [one.message for one in caplog.records if one.levelname == "WARNING"] == [
        "t: BMS 2: its answers arrive cut or damaged (287 of 300 bytes)",
        "t: BMS 2: two BMSs answer at the same address",
    ]
