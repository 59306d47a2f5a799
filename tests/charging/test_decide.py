"""The controller: what it waits for, shows, remembers, and says at the end."""

from math import nan
from typing import Any

import pytest

from jkbms_addon.charging.memory import Memory, remembered
from jkbms_addon.charging.phases import DAY
from jkbms_addon.charging.setpoints import Setpoints
from tests.bank.packs import SETTINGS, WALL, Bench, candidate, got, running, values, with_cell


class TestStart:
    def test_without_data_there_is_silence(self) -> None:
        bench = Bench()
        incomplete = values()
        del incomplete["state_of_charge"]
        for told in ({}, incomplete, values(current=nan), values(state_of_charge=True)):
            assert bench.step(candidate(told=told)) is None
        assert bench.step() is None
        assert bench.step(candidate(age=None)) is None

    def test_first_data_gives_discharge_at_once_and_raises_charge_from_zero(self) -> None:
        bench = Bench()
        first = got(bench.step(candidate()))
        assert (first.charge_current, first.discharge_current) == (0, 90)
        assert (first.charge_enabled, first.discharge_enabled) == (True, True)
        assert first.valid_until == bench.now + 3
        assert not first.expired(bench.now + 2.9)
        assert first.expired(bench.now + 3)
        assert first.expired(nan)

    @pytest.mark.parametrize(("age", "seconds"), [(6.9, 15), (7.1, 0), (-1.0, 0)])
    def test_packs_of_the_last_seven_days_are_waited_for(self, age: float, seconds: int) -> None:
        seen = {"garage/1": WALL + 1000 - age * DAY, "garage/2": WALL + 1000 - age * DAY, "odd": 3.0}
        bench = Bench(memory=Memory(seen=seen))
        silent = [bench.step(candidate(1)) for _ in range(20)].count(None)
        assert silent == seconds

    def test_it_goes_on_when_all_are_heard_even_if_one_does_not_count(self) -> None:
        bench = Bench(memory=Memory(seen={"garage/1": WALL + 1000, "garage/2": WALL + 1000}))
        assert bench.step(candidate(1)) is None
        faulty = candidate(2, values(alarms=("mosfet_over_temperature_protection",)))
        assert bench.step(candidate(1), faulty) is not None
        assert bench.step(candidate(1)) is not None  # only at the start

    @pytest.mark.parametrize(("seconds", "amps"), [(15, 180), (16, 110)])
    def test_who_comes_within_a_quarter_of_a_minute_has_his_share_at_once(self, seconds: int, amps: float) -> None:
        bench = Bench()
        bench.run(candidate(1), seconds=seconds)  # the first step is at 0 s
        decision = got(bench.step(candidate(1), candidate(2)))
        assert decision.discharge_current == amps

    def test_named_packs_are_waited_for(self) -> None:
        bench = Bench()
        bench.controller._named = frozenset({("garage", 1), ("garage", 3)})
        assert bench.step(candidate(1)) is None
        assert bench.step(candidate(1), candidate(3)) is not None


class TestEnd:
    @pytest.mark.parametrize("grid_tied", [True, False])
    def test_clean_stop(self, grid_tied: bool) -> None:
        bench = running(Setpoints(grid_tied=grid_tied))
        for _ in range(3):
            last = got(bench.step(candidate(), enabled=False))
            assert (last.charge_current, last.charge_enabled) == (0, False)
            assert (last.discharge_current, last.discharge_enabled) == ((0, False) if grid_tied else (90, True))
            assert last.reasons["charge_current"] == "charge stopped: switched off"
        assert bench.step(candidate(), enabled=False) is None
        assert bench.step(candidate(), enabled=False) is None

    def test_enabled_again_rises_from_zero(self) -> None:
        bench = running()
        bench.step(candidate(), enabled=False)
        assert got(bench.step(candidate())).charge_current == 1.5
        for _ in range(3):
            assert bench.step(candidate(), enabled=False) is not None
        assert bench.step(candidate(), enabled=False) is None

    def test_never_enabled_is_silence(self) -> None:
        assert Bench().step(candidate(), enabled=False) is None

    def test_nothing_is_asked_of_the_grid_at_the_end(self) -> None:
        bench = Bench(Setpoints(grid_charge="emergency"))
        bench.run(candidate(told=with_cell(4, 2.85)), seconds=30)
        assert got(bench.decision).wanted.now
        assert not got(bench.step(candidate(), enabled=False)).wanted.now


class TestVoltage:
    def test_the_lowest_wish_of_all_and_of_who_left(self) -> None:
        bench = Bench()
        low = values(cell_request_charge_voltage=3.42)
        both = bench.run(candidate(1), candidate(2, low), seconds=3)
        assert (both.charge_voltage, both.reasons["charge_voltage"]) == (
            54.7,
            "charge up to 54.7 V: requested voltage of pack 2",
        )
        assert bench.run(candidate(1), seconds=3).charge_voltage == 54.7

    def test_never_follows_the_battery_up(self) -> None:
        """54.4 V asked: whatever is measured, no more is told."""
        bench = Bench(Setpoints(charge_voltage=3.40))
        for cell in (3.40, 3.45, 3.5, 3.55, 3.6, 3.65, 3.7):
            assert bench.run(candidate(told=values(cell)), seconds=5).charge_voltage <= 54.4

    @pytest.mark.parametrize(("offset", "volts"), [(0.3, 55.5), (-0.3, 54.9), (0.05, 55.2), (0.0, 55.2)])
    def test_the_owners_offset(self, offset: float, volts: float) -> None:
        decision = Bench(Setpoints(voltage_offset=offset)).run(candidate(), seconds=3)
        assert decision.charge_voltage == volts
        assert ("offset" in decision.reasons["charge_voltage"]) is (offset != 0)

    @pytest.mark.parametrize(
        ("memory", "told", "setpoints", "reason"),
        [
            ({}, values(), Setpoints(), "requested voltage of pack 1"),
            ({"phase": "float", "ramp": 53.6}, values(3.35), Setpoints(), "float"),
            (
                {"phase": "limited", "ramp": 53.6},
                values(state_of_charge=79),
                Setpoints(soc_limit=80),
                "limited to 80 %",
            ),
            ({"phase": "balance"}, values(), Setpoints(balance_voltage=3.5), "balance voltage of the owner"),
            ({}, with_cell(9, 3.50, 3.42), Setpoints(), "trimmed for cell 1-9 at 3.50 V"),
            ({"trim": 54.9}, values(3.40), Setpoints(), "trimmed, as the battery came to more than 55.2 V"),
            (
                {"brake": 52.0},
                values(charging=False),
                Setpoints(),
                "brake, as 10 A flow although charging is stopped",
            ),
            (
                {"phase": "float", "ramp": 53.6, "brake": 53.6},
                values(3.35, charging=False, current=0.0),
                Setpoints(),
                "float",
            ),
        ],
    )
    def test_the_reason_names_what_decides(self, memory: Any, told: Any, setpoints: Any, reason: str) -> None:
        bench = Bench(setpoints, memory=Memory.model_validate({"highest": 55, "sent": 55.2, **memory}))
        why = bench.run(candidate(told=told), seconds=3).reasons["charge_voltage"]
        assert why.partition(": ")[2] == reason

    def test_least_voltage(self) -> None:
        assert got(running().decision).discharge_voltage == 46.4
        assert got(running(Setpoints(min_discharge_voltage=50.0)).decision).discharge_voltage == 50
        decision = got(running(Setpoints(min_discharge_voltage=3.0)).decision)
        assert decision.discharge_voltage == 48
        assert decision.reasons["discharge_voltage"] == "discharge down to 48.0 V: option min_discharge_voltage"
        bench = Bench()
        higher = values(cell_voltage_undervoltage_protection=3.0)
        assert bench.run(candidate(1), candidate(2, higher), seconds=3).discharge_voltage == 46.4

    @pytest.mark.parametrize(
        ("setpoints", "changes", "reason"),
        [
            (Setpoints(), {}, "under-voltage protection of pack 1 and 0.10 V per cell"),
            (
                Setpoints(),
                {"cell_voltage_undervoltage_protection": None, "total_voltage_undervoltage_protection": None},
                "usual for LFP",
            ),
            (Setpoints(empty_voltage=3.0), {}, "empty voltage of the owner"),
            (Setpoints(empty_voltage=2.5), {}, "under-voltage protection of pack 1 and 0.10 V per cell"),
            (Setpoints(min_discharge_voltage=3.0), {}, "option min_discharge_voltage"),
            (Setpoints(min_discharge_voltage=50.0), {}, "option min_discharge_voltage"),
            (Setpoints(min_discharge_voltage=40.0, empty_voltage=3.0), {}, "empty voltage of the owner"),
        ],
    )
    def test_the_least_voltage_has_its_reason(self, setpoints: Setpoints, changes: Any, reason: str) -> None:
        decision = Bench(setpoints).run(candidate(told={**values(), **changes}), seconds=3)
        volts = f"{decision.discharge_voltage:.1f}"
        assert decision.reasons["discharge_voltage"] == f"discharge down to {volts} V: {reason}"

    def test_the_least_voltage_is_that_of_the_pack_that_goes_lowest(self) -> None:
        higher = values(cell_voltage_undervoltage_protection=3.0)
        why = Bench().run(candidate(1, higher), candidate(2), seconds=3).reasons["discharge_voltage"]
        assert why == "discharge down to 46.4 V: under-voltage protection of pack 2 and 0.10 V per cell"


class TestFacts:
    def test_what_is_shown(self) -> None:
        full = Memory(phase="float", last_full=WALL + 1000 - 2.5 * DAY, learned=0.25, clock=600, trim=54.7, highest=50)
        bench = Bench(memory=full)
        shown = bench.run(candidate(1), candidate(2, values(charging=False)), seconds=2).facts
        assert shown.days_since_full == pytest.approx(2.5, abs=1e-3)
        assert (shown.last_full, shown.learned, shown.absorbed) == (full.last_full, 0.25, 600)
        assert (shown.may_charge, shown.may_discharge, shown.empty) == (1, 2, ())
        assert [shown.charge_voltage, shown.float_voltage, shown.empty_voltage] == pytest.approx([3.45, 3.35, 2.9])
        assert shown.trim == pytest.approx(0.5, abs=0.01)
        assert shown.chemistry == "LFP"

    def test_a_clock_that_went_back_makes_no_days(self) -> None:
        ahead = Memory(last_full=WALL + 5 * DAY)
        assert Bench(memory=ahead).run(candidate(), seconds=1).facts.days_since_full == 0

    def test_without_a_trim_nothing_is_lowered(self) -> None:
        assert Bench().run(candidate(), seconds=2).facts.trim == 0
        # that of a balance lies above the charge voltage
        bench = Bench(Setpoints(balance_voltage=3.55), memory=Memory(phase="balance", trim=56.0, highest=50))
        told = values(3.53, state_of_charge=99, current=1.0)
        assert bench.run(candidate(told=told), seconds=1).facts.trim == 0

    @pytest.mark.parametrize(("cell", "asleep"), [(2.949, True), (2.9505, False)])
    def test_nearly_empty_is_five_hundredths_of_a_volt_above(self, cell: float, asleep: bool) -> None:
        told = with_cell(4, cell, current=0.0)
        assert Bench().run(candidate(told=told), seconds=2).facts.asleep is asleep
        assert not Bench().run(candidate(1, told), candidate(2), seconds=2).facts.asleep

    def test_findings(self) -> None:
        day = WALL // DAY * DAY + 5 * DAY
        unbalanced = tuple(day - n * DAY for n in (1, 2, 3))
        found = Bench(memory=Memory(doubtful=True, unbalanced=unbalanced)).run(candidate(), seconds=1).facts.findings
        assert found == (
            "the inverter's meter reads more than 0.6 V high: measure at its terminals",
            "on 3 days charging ended with more than 20 mV between the cells",
        )
        twice = Memory(unbalanced=(unbalanced[0], unbalanced[0] + 60, unbalanced[1]))
        assert Bench(memory=twice).run(candidate(), seconds=1).facts.findings == ()
        # WALL + 1001 is when it is asked
        edge = Memory(unbalanced=(*unbalanced[:2], WALL + 1001 + 1 - 30 * DAY))
        assert len(Bench(memory=edge).run(candidate(), seconds=1).facts.findings) == 1
        old = Memory(unbalanced=(*unbalanced[:2], WALL + 1001 - 30 * DAY))
        assert Bench(memory=old).run(candidate(), seconds=1).facts.findings == ()


class TestMemory:
    def test_everything_survives(self) -> None:
        before = Memory(
            phase="absorption",
            clock=77,
            at_voltage=88,
            highest=66,
            ramp=54.1,
            learned=0.3,
            doubtful=True,
            last_full=5.0,
            counted_from=4.0,
            tried=3.0,
            unbalanced=(1.0, 2.0),
            unlimited=True,
            trim=54.5,
            float_trim=-0.2,
            brake=53.0,
            sent=54.4,
            empty=("garage/2",),
            seen={"garage/1": WALL},
        )
        again, wrong = remembered(before.model_dump(mode="json"))
        assert (again, wrong) == (before, "")
        assert Bench(memory=before).controller.memory() == before

    def test_an_empty_file_is_a_beginning(self) -> None:
        assert remembered({}) == (Memory(), "")
        assert Bench().controller.memory() == Memory()

    @pytest.mark.parametrize(
        "content",
        [{"learned": 0.6}, {"clock": -1}, {"highest": 101}, {"float_trim": 0.5}, {"phase": "x"}, {"sent": "x"}, 3],
    )
    def test_what_makes_no_sense_is_dropped_with_a_reason(self, content: Any) -> None:
        memory, wrong = remembered(content)
        assert memory == Memory()
        assert wrong

    def test_empty_packs_stay_empty(self) -> None:
        bench = Bench(memory=Memory(empty=("garage/1", "nonsense", "a/b")))
        low = values(3.05, current=-20.0)
        assert bench.run(candidate(told=low), seconds=3).discharge_current == 0
        assert bench.controller.memory().empty == ("garage/1",)

    def test_who_is_there_is_noted_now_and_then(self) -> None:
        bench = Bench(memory=Memory(seen={"garage/9": WALL - 8 * DAY}))
        bench.run(candidate(1), seconds=3)
        assert bench.controller.memory().seen == {"garage/1": bench.wall - 2}
        bench.run(candidate(1), seconds=3599)
        assert bench.controller.memory().seen == {"garage/1": bench.wall - 1}


class TestSteps:
    def test_a_step_counts_as_long_as_it_was(self) -> None:
        bench = Bench(memory=Memory(phase="float", ramp=55.0, highest=50, sent=55.0))
        bench.run(candidate(told=values(3.4)), seconds=2)
        before = bench.controller._voltage.phases.progress.ramp
        bench.run(candidate(told=values(3.4)), seconds=3)
        assert before - bench.controller._voltage.phases.progress.ramp == pytest.approx(0.3 / 60)

    def test_a_late_step_counts_ten_seconds_at_most(self) -> None:
        bench = Bench(memory=Memory(phase="float", ramp=55.0, highest=50, sent=55.0))
        bench.run(candidate(told=values(3.4)), seconds=2)
        before = bench.controller._voltage.phases.progress.ramp
        bench.step(candidate(told=values(3.4)), seconds=3600)
        assert before - bench.controller._voltage.phases.progress.ramp == pytest.approx(1 / 60)

    @pytest.mark.parametrize("wrong", [{"age": 10.1}, {"fresh": False}, {"age": nan}, {"age": 5.1, "stale_after": 5.0}])
    def test_stale_is_silent(self, wrong: Any) -> None:
        bench = running()
        assert got(bench.step(candidate(**wrong))).lost

    def test_aging_data_lets_nothing_rise(self) -> None:
        bench = Bench()
        bench.run(candidate(), seconds=3)
        old = candidate(age=2.5, hold_after=2.0)
        assert [got(bench.step(old)).charge_current for _ in range(2)] == [3, 3]
        assert "aging" in got(bench.decision).reasons["charge_current"]
        lower = candidate(told=values(max_discharge_current=40.0), age=2.5, hold_after=2.0)
        assert got(bench.step(lower)).discharge_current == 36
        assert got(bench.step(old)).discharge_current == 36

    @pytest.mark.parametrize(
        "change", [{"charge_voltage": 3.42}, {"max_discharge_current": 12.0}, {"min_discharge_voltage": 3.1}]
    )
    def test_what_the_owner_changes_counts_at_once(self, change: Any) -> None:
        bench = running()
        bench.controller.allow(Setpoints(**change))
        decision = got(bench.step(candidate()))
        assert (decision.charge_voltage, decision.discharge_current, decision.discharge_voltage) in (
            (54.7, 90, 46.4),
            (55.2, 12, 46.4),
            (55.2, 90, 49.6),
        )


LTO: dict[str, Any] = {
    "cell_voltage_overvoltage_protection": 2.8,
    "cell_voltage_undervoltage_protection": 1.6,
    "cell_request_charge_voltage": 2.65,
    "cell_request_float_voltage": 2.5,
    "cell_count": 24,
}


class TestSettingsThatAreNotToldAnyMore:
    """Another wire of the battery goes on with what is measured, and knows nothing of settings."""

    @pytest.mark.parametrize(
        ("told", "voltage", "amps"),
        [
            (values(cell_voltage_overvoltage_protection=3.5), 54.4, 90),
            (values(cell_request_charge_voltage=3.42), 54.7, 90),
            (values(max_charge_current=20.0, max_discharge_current=20.0), 55.2, 18),
            (values(cells=(2.4,) * 24, **LTO), 63.6, 90),
        ],
    )
    def test_nothing_rises_with_them(self, told: dict[str, Any], voltage: float, amps: float) -> None:
        bench = Bench()
        before = bench.run(candidate(told=told), seconds=80)
        assert (before.charge_voltage, before.charge_current, before.discharge_current) == (voltage, amps, amps)
        after = bench.run(candidate(told=told | dict.fromkeys(SETTINGS)), seconds=80)
        assert (after.charge_voltage, after.charge_current, after.discharge_current) == (voltage, amps, amps)
        assert after.facts == before.facts


def test_a_pack_that_is_not_connected_does_not_darken_the_house() -> None:
    bench = Bench()
    off = candidate(1, values(3.20, charging=False, discharging=False, current=0.0))
    assert bench.run(off, candidate(2, values(3.34)), seconds=30).discharge_current == 90


@pytest.mark.parametrize(
    ("memory", "voltage"),
    [
        ({"trim": 26.9}, 55.2),  # of a battery of 8 cells
        ({"trim": -1000.0}, 55.2),
        ({"trim": 52.59}, 55.2),
        ({"trim": 52.61}, 52.6),
        ({"phase": "limited", "ramp": 26.9, "highest": 85}, 53.4),
        ({"phase": "limited", "ramp": 46.9, "highest": 85}, 53.4),
        ({"phase": "limited", "ramp": 47.1, "highest": 85}, 47.1),
        ({"phase": "float", "ramp": 26.9, "highest": 85}, 53.6),
    ],
)
def test_what_can_only_be_of_another_battery_is_forgotten(memory: dict[str, Any], voltage: float) -> None:
    told = candidate(told=values(3.34, state_of_charge=81, current=0.0))
    bench = Bench(Setpoints(soc_limit=80 if memory.get("phase") == "limited" else None), memory=Memory(**memory))
    assert got(bench.step(told)).charge_voltage == pytest.approx(voltage)


@pytest.mark.parametrize(("brake", "voltage"), [(26.9, 53.6), (46.99, 53.6), (47.01, 47.0)])
def test_a_brake_of_another_battery_is_forgotten(brake: float, voltage: float) -> None:
    bench = Bench(memory=Memory(phase="float", brake=brake, highest=50, ramp=53.6))
    assert got(bench.step(candidate(told=values(charging=False, current=0.0)))).charge_voltage == pytest.approx(voltage)


def test_what_was_not_heard_has_not_been_so() -> None:
    """Neither full nor dwindled for the time in which all were silent."""
    top = candidate(told=values(3.44, current=1.0, state_of_charge=99))
    bench = Bench(memory=Memory(phase="absorption", highest=99))
    bench.run(top, seconds=5)
    bench.run(seconds=700)
    bench.run(top, seconds=600)
    assert bench.controller.events() == []
    bench.run(top, seconds=12)
    assert bench.controller.events() == ["full"]
    dwindled = candidate(told=values(3.42, current=1.0, state_of_charge=90))
    bench = Bench()
    bench.run(dwindled, seconds=5)
    bench.run(seconds=890)
    bench.run(dwindled, seconds=800)
    assert bench.controller.memory().learned == 0
    bench.run(dwindled, seconds=120)
    assert bench.controller.memory().learned == pytest.approx(0.48)
