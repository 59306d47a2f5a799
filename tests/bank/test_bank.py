"""Several packs as one."""

from math import isfinite, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.bank.bank import BankState, BatteryBank
from jkbms_addon.bank.candidate import Candidate
from jkbms_addon.views.bank import values as published
from tests.bank.packs import SETTINGS, candidate, values, with_cell

BIG = values(3.32, full_charge_capacity=300.0, capacity_remaining=240.0, state_of_charge=80, current=30.0)


def state(*members: Candidate) -> BankState:
    return BatteryBank().step(members, 0.0)


def reasons(bank: BankState) -> dict[int, str]:
    return {one.key[1]: one.reason for one in bank.excluded}


def test_two_packs_as_one() -> None:
    bank = state(candidate(1), candidate(2, BIG | {"state_of_health": 90}))
    assert bank.total_voltage == pytest.approx((52.8 + 53.12) / 2)
    assert bank.current == 40
    assert bank.power == pytest.approx(52.8 * 10 + 53.12 * 30)
    assert bank.state_of_charge == pytest.approx((50 * 100 + 80 * 300) / 400)
    assert bank.state_of_health == pytest.approx((100 * 100 + 90 * 300) / 400)
    assert (bank.capacity_remaining, bank.full_charge_capacity) == (290, 400)
    assert bank.sharing == {"1": 25, "2": 75}
    assert bank.sharing_error == 0
    assert (bank.packs_online, bank.expected) == (2, 2)


def test_extremes_say_where_they_are() -> None:
    bank = state(candidate(1, with_cell(4, 3.2)), candidate(2, with_cell(11, 3.4, temperature_sensor_2=31.5)))
    assert bank.min_cell
    assert bank.max_cell
    assert bank.max_temperature
    assert (bank.min_cell.value, bank.min_cell.label) == (3.2, "1-4")
    assert (bank.max_cell.value, bank.max_cell.label, bank.max_cell.code) == (3.4, "2-11", 211)
    assert (bank.max_temperature.value, bank.max_temperature.label) == (31.5, "2-T2")
    assert bank.delta_cell_voltage == pytest.approx(0.2)


def test_packs_of_two_buses_with_one_address_are_told_apart() -> None:
    bank = state(candidate(1, with_cell(3, 3.2), bus="a"), candidate(1, bus="b"), candidate(2, bus="b"))
    assert [view.label for view in bank.counted] == ["a/1", "b/1", "2"]
    assert bank.min_cell
    assert bank.min_cell.label == "a/1-3"


def test_unknown_capacity_makes_all_packs_weigh_alike() -> None:
    bank = state(candidate(1), candidate(2, BIG | {"full_charge_capacity": None}))
    assert bank.state_of_charge == 65
    assert bank.full_charge_capacity is None


def test_without_packs_nothing_is_known() -> None:
    bank = state()
    assert {published(bank)[key] for key in ("total_voltage", "current", "power", "state_of_charge")} == {None}
    assert published(bank)["packs_online"] == 0
    assert bank.sharing == {}


def test_published_values() -> None:
    found = published(state(candidate(1), candidate(2, BIG)))
    assert found["total_voltage"] == 52.96
    assert found["state_of_charge"] == 72.5
    assert (found["max_cell_voltage"], found["max_cell_voltage_at"]) == (3.32, "2-1")
    assert (found["sharing_1"], found["sharing_2"]) == (25, 75)
    assert found["packs_excluded"] == "none"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (candidate(2, age=11.0), "silent for 11 s"),
        (candidate(2, fresh=False, age=3.0), "silent for 3 s"),
        (candidate(2, age=None), "no data yet"),
        (candidate(2, {}), "total voltage unknown"),
        (candidate(2, values(cell_voltage=(), min_cell_voltage=3.3)), "cell voltage unknown"),
        (candidate(2, values(cell_voltage=(), max_cell_voltage=3.3)), "cell voltage unknown"),
        (candidate(2, values(current=None)), "current unknown"),
        (candidate(2, values(state_of_charge=None)), "state of charge unknown"),
        (candidate(2, values(current=nan)), "current is not a number"),
        (candidate(2, with_cell(3, nan, total_voltage=52.8)), "cell voltage is not a number"),
        (candidate(2, values(state_of_charge=120)), "state of charge of 120 is not possible"),
        (candidate(2, values(temperature_sensor_1=-200.0)), "temperature 1 of -200 is not possible"),
        (candidate(2, with_cell(3, 0.0)), "cell 2-3 at 0.00 V is not possible"),
        (candidate(2, values(total_voltage=60.0)), "60.0 V does not fit 16 cells"),
        (
            candidate(2, values(alarms=("cell_under_voltage_protection", "charge_over_current_protection"))),
            "Cell under-voltage protection; Charge over-current protection",
        ),
        (candidate(2, faults=("address used twice",)), "address used twice"),
        (candidate(2, values(3.38)), "54.1 V, 1.3 V above the others"),
        (candidate(2, values(alarms=("discharge_short_circuit_protection",))), "Discharge short-circuit protection"),
    ],
)
def test_who_does_not_count_is_named(changed: Candidate, reason: str) -> None:
    bank = state(candidate(1), candidate(3), changed)
    assert reasons(bank) == {2: reason}
    assert bank.excluded[0].text == f"Pack 2: {reason}"
    assert bank.total_voltage == pytest.approx(52.8)
    assert bank.current == 20
    assert bank.expected == 3


def test_a_warning_keeps_a_pack() -> None:
    assert not state(candidate(1, values(alarms=("battery_over_temperature_alarm", "bit_40")))).excluded


def test_a_fault_in_one_direction_keeps_a_pack_for_the_other() -> None:
    view = state(candidate(1, values(alarms=("cell_under_voltage_protection",)))).counted[0]
    assert (view.may_charge, view.may_discharge) == (True, False)
    assert view.hindered("discharge") == "pack 1: Cell under-voltage protection"


def test_only_extremes_as_told_on_a_can_bus() -> None:
    told = {
        "total_voltage": 52.8,
        "current": 1.0,
        "state_of_charge": 50,
        "min_cell_voltage": 3.29,
        "max_cell_voltage": 3.31,
        "min_voltage_cell": 4,
        "max_voltage_cell": 9,
    }
    view = state(candidate(5, dict(told))).counted[0]
    assert (view.cells, view.low.label, view.high.label) == (16, "5-4", "5-9")


class TestLeavingAndReturning:
    def test_leaves_at_once_and_returns_after_steady_good_data(self) -> None:
        bank = BatteryBank(rejoin_after=10)
        assert bank.step([candidate(1), candidate(2)], 0).packs_online == 2
        assert bank.step([candidate(1), candidate(2, age=11.0)], 1).packs_online == 1
        assert reasons(bank.step([candidate(1), candidate(2)], 2)) == {2: "good for 0 of 10 s"}
        assert bank.step([candidate(1), candidate(2)], 11).packs_online == 1
        assert bank.step([candidate(1), candidate(2, values(current=nan))], 11.5).packs_online == 1
        assert bank.step([candidate(1), candidate(2)], 12).packs_online == 1
        assert bank.step([candidate(1), candidate(2)], 21.9).packs_online == 1
        assert bank.step([candidate(1), candidate(2)], 22).packs_online == 2

    def test_returns_only_when_its_voltage_is_close(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1), candidate(2)], 0)
        bank.step([candidate(1), candidate(2, age=11.0)], 1)
        apart = candidate(2, values(3.20))
        bank.step([candidate(1), apart], 2)
        assert reasons(bank.step([candidate(1), apart], 30)) == {2: "51.2 V, 1.6 V below the others"}
        assert bank.step([candidate(1), candidate(2)], 31).packs_online == 2

    @pytest.mark.parametrize(("volts", "packs"), [(53.8, 2), (53.81, 1), (51.8, 2), (51.79, 1)])
    def test_one_volt_is_close(self, volts: float, packs: int) -> None:
        bank = BatteryBank()
        told = values(total_voltage=volts)
        bank.step([candidate(1, values(total_voltage=52.8))], 0)
        assert bank.step([candidate(1, values(total_voltage=52.8)), candidate(2, told)], 1).packs_online == packs

    OFF = values(3.20, charging=False, discharging=False, current=0.0)
    SHUT = with_cell(4, 2.7, 3.05, discharging=False, alarms=("cell_under_voltage_protection",), current=0.0)

    @pytest.mark.parametrize("away", [OFF, SHUT])
    def test_who_is_not_connected_keeps_nobody_out(self, away: dict[str, Any]) -> None:
        serving = values(3.34)
        bank = BatteryBank()
        assert [view.label for view in bank.step([candidate(1, away), candidate(2, serving)], 0).counted] == ["2"]
        bank = BatteryBank()
        bank.step([candidate(1), candidate(2)], 0)
        bank.step([], 20)
        bank.step([candidate(1, away)], 30)
        assert reasons(bank.step([candidate(1, away)], 49.9)) == {1: "good for 20 of 20 s", 2: "not heard any more"}
        assert [view.label for view in bank.step([candidate(1, away)], 50).counted] == ["1"]
        bank.step([candidate(1, away), candidate(2, serving)], 52)
        counted = bank.step([candidate(1, away), candidate(2, serving)], 62).counted
        assert [view.label for view in counted] == ["1", "2"]

    @pytest.mark.parametrize("away", [OFF, SHUT])
    def test_who_serves_the_house_is_back_first(self, away: dict[str, Any]) -> None:
        bank = BatteryBank()
        bank.step([candidate(1, away), candidate(2)], 0)
        bank.step([], 20)
        bank.step([candidate(1, away)], 30)
        bank.step([candidate(1, away), candidate(2)], 31)
        back = [bank.step([candidate(1, away), candidate(2)], now).counted for now in range(32, 60)]
        assert [view.label for view in next(filter(None, back))] == ["2"]

    def test_who_is_not_connected_does_not_count_among_the_others(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1), candidate(2)], 0)
        found = bank.step([candidate(1, self.OFF), candidate(2, values(3.34)), candidate(3, values(3.34))], 1)
        assert [view.label for view in found.counted] == ["1", "2", "3"]
        found = bank.step([candidate(1, self.OFF), candidate(2, values(3.34)), candidate(4, self.OFF)], 2)
        assert reasons(found)[4] == "51.2 V, 2.2 V below the others"

    def test_who_is_full_serves_and_is_one_of_the_others(self) -> None:
        bank = BatteryBank()
        full = candidate(1, values(3.40, charging=False))
        bank.step([full], 0)
        assert reasons(bank.step([full, candidate(2, values(3.20))], 1)) == {2: "51.2 V, 3.2 V below the others"}

    def test_without_anybody_who_is_connected_all_are_compared(self) -> None:
        bank = BatteryBank()
        shut = [candidate(2, values(3.21, discharging=False)), candidate(3, values(3.4, discharging=False))]
        told = [candidate(1, self.OFF), *shut]
        assert [view.label for view in bank.step(told, 0).counted] == ["1", "2"]

    def test_who_counts_may_drift_apart_and_it_shows(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1), candidate(2)], 0)
        apart = bank.step([candidate(1), candidate(2, values(3.20))], 1)
        assert apart.packs_online == 2
        assert apart.voltage_spread == pytest.approx(1.6)

    def test_the_first_packs_need_not_wait(self) -> None:
        bank = BatteryBank()
        assert bank.step([candidate(1)], 0).packs_online == 1
        assert bank.step([candidate(1), candidate(2)], 1).packs_online == 2

    def test_all_return_together(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1), candidate(2)], 0)
        bank.step([], 20)
        assert bank.step([candidate(1), candidate(2)], 30).packs_online == 0
        assert bank.step([candidate(1), candidate(2)], 39.995).packs_online == 0
        assert bank.step([candidate(1), candidate(2)], 40).packs_online == 2

    def test_who_is_not_listed_any_more_is_named(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1), candidate(2)], 0)
        gone = bank.step([candidate(1)], 1)
        assert reasons(gone) == {2: "not heard any more"}
        assert gone.expected == 2

    @pytest.mark.parametrize("key", ["alarms", "charging", "discharging"])
    def test_who_hides_what_it_told_once_leaves(self, key: str) -> None:
        bank, without = BatteryBank(), values() | {key: None}
        assert bank.step([candidate(1, without)], 0).packs_online == 1
        bank.step([candidate(1)], 1)
        assert reasons(bank.step([candidate(1, without)], 2)) == {1: f"{key} not heard any more"}


class TestSettingsThatAreNotToldAnyMore:
    WITHOUT = values() | dict.fromkeys(SETTINGS)
    CHANGED = values(cell_voltage_overvoltage_protection=3.5, max_charge_current=20.0, battery_type="LTO")

    def test_they_stay_as_they_were(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1, self.CHANGED)], 0)
        bank.step([candidate(1, self.WITHOUT)], 1)
        pack = bank.step([candidate(1, self.WITHOUT | {"max_charge_current": 30.0})], 2).counted[0].pack
        assert pack.cell_voltage_overvoltage_protection == 3.5
        assert (pack.max_charge_current, pack.max_discharge_current) == (30.0, 100.0)
        assert pack.battery_type == "LTO"

    def test_where_they_are_asked_for_they_must_be_told_all_the_same(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1, settings_required=True)], 0)
        view = bank.step([candidate(1, self.WITHOUT, settings_required=True)], 1).counted[0]
        assert (view.may_charge, view.may_discharge) == (False, True)
        assert view.hindered("charge") == "pack 1: charge OCP unknown"

    def test_a_switch_that_was_off_does_not_stay_off(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1, values(charging_switch=False))], 0)
        assert bank.step([candidate(1)], 1).counted[0].may_charge

    def test_nothing_is_taken_over_by_another_battery(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1, self.CHANGED), candidate(2, self.WITHOUT)], 0)
        assert bank.step([candidate(2, self.WITHOUT)], 1).counted[0].pack.max_charge_current is None


class TestFaults:
    FAULT = values(alarms=("mosfet_over_temperature_protection",))

    def test_packs_with_faults_count_when_no_other_is_left(self) -> None:
        bank = BatteryBank()
        both = bank.step([candidate(1, self.FAULT), candidate(2, self.FAULT)], 0)
        assert both.faulty
        assert both.packs_online == 2

    def test_the_first_that_recovers_counts_alone(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1, self.FAULT), candidate(2, self.FAULT)], 0)
        one = bank.step([candidate(1), candidate(2, self.FAULT)], 1)
        assert not one.faulty
        assert [view.label for view in one.counted] == ["1"]

    def test_a_single_pack_recovers_without_a_gap(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1, self.FAULT)], 0)
        assert bank.step([candidate(1)], 1).packs_online == 1

    def test_silence_beside_a_fault(self) -> None:
        bank = BatteryBank()
        bank.step([candidate(1), candidate(2)], 0)
        left = bank.step([candidate(1, self.FAULT), candidate(2, age=11.0)], 1)
        assert left.faulty
        assert [view.label for view in left.counted] == ["1"]


PACK = st.builds(
    lambda n, cell, told, age: candidate(n, values(cell, **told), age=age),
    st.integers(0, 4),
    st.floats(2.0, 3.8),
    st.fixed_dictionaries(
        {},
        optional={
            "current": st.floats() | st.none(),
            "state_of_charge": st.floats(allow_nan=True) | st.none(),
            "full_charge_capacity": st.floats(0, 1000) | st.none(),
            "alarms": st.sampled_from([(), ("charge_mosfet_anomaly",)]),
        },
    ),
    st.sampled_from([0.0, 5.0, 20.0, None, nan]),
)


@given(st.lists(st.lists(PACK, max_size=4), min_size=1, max_size=5))
def test_whatever_comes_is_summed_over_counted_packs_only(story: list[list[Candidate]]) -> None:
    bank = BatteryBank()
    for now, members in enumerate(story):
        found = bank.step(members, now)
        listed = {one.key for one in members}
        assert {view.key for view in found.counted} <= listed
        assert found.packs_online + len(found.excluded) == len({m.key for past in story[: now + 1] for m in past})
        assert all(one.reason for one in found.excluded)
        numbers: list[Any] = [value for value in published(found).values() if isinstance(value, float)]
        assert all(isfinite(value) for value in numbers)
        if found.counted:
            voltages = [view.voltage for view in found.counted]
            assert found.total_voltage
            assert min(voltages) - 1e-9 <= found.total_voltage <= max(voltages) + 1e-9
            charges = [view.state_of_charge for view in found.counted]
            assert found.state_of_charge is not None
            assert min(charges) - 1e-9 <= found.state_of_charge <= max(charges) + 1e-9


# --- ends of ranges ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("total", "counts"),
    [(52.8, True), (0.94 * 52.8, True), (0.92 * 52.8, False), (1.06 * 52.8, True), (1.08 * 52.8, False)],
)
def test_the_total_fits_its_cells_within_seven_percent(total: float, counts: bool) -> None:
    state = BatteryBank().step([candidate(1, values(total_voltage=total))], 0.0)
    assert bool(state.counted) is counts


@pytest.mark.parametrize(("current", "shares"), [(0.49, 0), (0.5, 2), (-0.49, 0), (-0.5, 2)])
def test_there_are_shares_from_one_ampere_on(current: float, shares: int) -> None:
    state = BatteryBank().step([candidate(n, values(current=current)) for n in (1, 2)], 0.0)
    assert len(state.sharing) == shares


def test_what_remains_follows_from_the_charge_where_it_is_not_told() -> None:
    told = values(capacity_remaining=None, full_charge_capacity=280.0, state_of_charge=50)
    assert BatteryBank().step([candidate(1, told)], 0.0).counted[0].remaining == 140.0


@pytest.mark.parametrize(
    ("changed", "may"),
    [
        ({}, (True, True)),
        ({"charging": False}, (False, True)),
        ({"charging_switch": False}, (False, True)),
        ({"charging_switch": True}, (True, True)),
        ({"discharging": False}, (True, False)),
        ({"discharging_switch": False}, (True, False)),
        ({"charging": None, "discharging": None}, (True, True)),
    ],
)
def test_a_mosfet_or_its_switch_that_is_off_closes_one_direction(
    changed: dict[str, Any], may: tuple[bool, bool]
) -> None:
    one = BatteryBank().step([candidate(1, values(**changed))], 0.0).counted[0]
    assert (one.may_charge, one.may_discharge) == may
    assert (one.charge_closed, one.discharge_closed) == may


EXTREMES: dict[str, Any] = {"cell_voltage": (), "min_cell_voltage": 3.3, "max_cell_voltage": 3.3}


@pytest.mark.parametrize(
    ("told", "cells"),
    [
        ({"cells": (3.3,) * 8, "total_voltage": 26.4, "cell_count": None}, 8),
        (
            {
                "cell_voltage": (),
                "min_cell_voltage": 3.3,
                "max_cell_voltage": 3.3,
                "cell_count": 15,
                "total_voltage": 49.5,
            },
            15,
        ),
        ({"cell_voltage": (), "min_cell_voltage": 3.3, "max_cell_voltage": 3.3, "cell_count": None}, 16),
        (
            {
                "cell_voltage": (),
                "min_cell_voltage": 3.3,
                "max_cell_voltage": 3.3,
                "cell_count": None,
                "total_voltage": 3.3,
            },
            1,
        ),
    ],
)
def test_how_many_cells_a_pack_has(told: dict[str, Any], cells: int) -> None:
    assert BatteryBank().step([candidate(1, values(**told))], 0.0).counted[0].cells == cells


@pytest.mark.parametrize(("apart", "counted"), [(0.5, 2), (-0.5, 2), (0.75, 1)])
def test_a_voltage_at_the_edge_of_the_window_is_close_enough(apart: float, counted: int) -> None:
    bank = BatteryBank()
    bank._window = 0.5
    bank.step([candidate(1, values(total_voltage=53.0))], 0.0)
    state = bank.step([candidate(n, values(total_voltage=v)) for n, v in ((1, 53.0), (2, 53.0 + apart))], 1.0)
    assert len(state.counted) == counted


def test_a_pack_that_was_away_is_good_since_it_was_heard() -> None:
    """Three packs, of which one is old by two seconds when it comes back: its pause counts from there."""
    bank = BatteryBank()
    bank.step([candidate(1), candidate(2)], 0.0)
    bank.step([candidate(1), candidate(2, fresh=False, age=11.0)], 20.0)
    wait = bank._rejoin_after
    back = [candidate(1), candidate(2, age=2.0)]
    assert len(bank.step(back, 40.0).counted) == 1
    assert len(bank.step([candidate(1), candidate(2)], 40.0 - 2.0 + wait - 0.1).counted) == 1
    assert len(bank.step([candidate(1), candidate(2)], 40.0 - 2.0 + wait).counted) == 2


def test_how_many_packs_block_a_direction() -> None:
    packs = [candidate(1), candidate(2), candidate(3, values(charging=False))]
    state = BatteryBank().step(packs, 0.0)
    assert (state.blocking("charge"), state.blocking("discharge")) == (1, 0)


def test_who_joins_is_compared_with_the_mean_of_those_that_count() -> None:
    bank = BatteryBank()
    bank._window = 0.5
    two = [candidate(n, values(total_voltage=v)) for n, v in ((1, 53.0), (2, 53.5))]
    bank.step(two, 0.0)
    near, far = (bank.step([*two, candidate(3, values(total_voltage=v))], 1.0) for v in (53.70, 54.00))
    assert [len(state.counted) for state in (near, far)] == [3, 3]  # once in, it stays
    fresh = BatteryBank()
    fresh._window = 0.5
    fresh.step(two, 0.0)
    assert len(fresh.step([*two, candidate(3, values(total_voltage=54.00))], 1.0).counted) == 2
