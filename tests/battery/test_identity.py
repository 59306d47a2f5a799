"""Which wires lead to the same battery: every way to be sure, and every way to be fooled."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from jkbms_addon.battery.identity import CLOCK, HAND, SERIAL, Identity, conflicting
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.sight import serial_of
from jkbms_addon.battery.store import Store

ONE, OTHER = "3130425110", "3130425111"
Wire = tuple[str, int]


@dataclass
class Unit:
    """A BMS: its running time at the start, and what it says."""

    runtime: float = 4_000_000.0
    serial: str = ONE
    cycled: float = 1234.5
    cells: tuple[float | None, ...] = (3.301, 3.302, 3.299, 3.300)

    def live(self, now: float, **changes: Any) -> dict[str, Any]:
        told = {"total_runtime": int(self.runtime + now), "total_charging_cycle_capacity": self.cycled}
        return {"state_of_charge": 50, **told, "cell_voltage": self.cells, **changes}


@dataclass
class World:
    """Wires to units, heard once a second; ``silent`` wires say nothing, ``mute`` ones no serial number."""

    wires: dict[Wire, Unit]
    mute: Iterable[str] = ("listen",)
    identity: Identity = field(default_factory=Identity)
    now: float = 0.0
    late: dict[str, float] = field(default_factory=dict)  # bus: s by which it tells later
    form: dict[str, str] = field(default_factory=dict)
    silent: set[Wire] = field(default_factory=set)
    changes: dict[Wire, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = Store(lambda: self.now, self.identity)

    def run(self, seconds: int) -> "World":
        for _ in range(seconds):
            self.now += 1
            for (bus, address), unit in self.wires.items():
                if (bus, address) in self.silent:
                    continue
                told = unit.live(self.now - self.late.get(bus, 0.0), **self.changes.get((bus, address), {}))
                form = self.form.get(bus, "pb")
                self.store.update(bus, Reading(address, "live", told, valid_for=10.0, format=form))
                if bus not in self.mute and self.now % 30 < 2:
                    self.store.update(bus, Reading(address, "about", {"serial_number": unit.serial}, format=form))
        return self

    def shown(self) -> set[Wire]:
        return {snapshot.key for snapshot in self.store}


A, B = ("listen", 1), ("ctrl", 1)


def test_equal_serial_numbers_join_after_they_were_borne_out_twice(caplog: pytest.LogCaptureFixture) -> None:
    unit = Unit()
    world = World({("one", 1): unit, ("two", 7): unit})
    with caplog.at_level(logging.INFO):
        world.run(3)
        assert world.shown() == {("one", 1), ("two", 7)}
        assert world.identity.suspect(("two", 7), world.now) == "one/1"
        assert world.identity.suspect(("one", 1), world.now) == ""  # the first one counts meanwhile
        world.run(10)
    assert world.shown() == {("one", 1)}
    assert world.identity.reason(("one", 1)) == SERIAL
    assert "one/1 and two/7 are one battery (equal serial numbers), shown as one/1" in caplog.text
    assert world.identity.doubt(("two", 7)) == ""


def test_a_bus_with_a_jk_master_is_joined_by_running_time() -> None:
    unit = Unit()
    world = World({A: unit, B: unit}).run(50)
    assert world.shown() == {A, B}
    assert world.identity.suspect(B, world.now) == "listen/1"
    world.run(15)
    assert world.shown() == {A}
    assert world.identity.reason(A) == CLOCK
    assert world.store.twins() == []


@pytest.mark.parametrize("late", [0.0, 1.5, 2.9])
def test_two_looks_at_one_running_time_may_differ_by_three_seconds(late: float) -> None:
    unit = Unit()
    assert World({A: unit, B: unit}, late={"ctrl": late}).run(70).shown() == {A}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (Unit(runtime=4_000_004.5), "another running time"),
        (Unit(cycled=1235.2), "another cycle capacity"),
        (Unit(cells=(3.301, 3.302, 3.299, 3.330)), "another cell voltage"),
        (Unit(cells=(3.301, 3.302, 3.299)), "another cell count"),
        (Unit(runtime=0.0), "another running time"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_differs_stays_apart(other: Unit, why: str) -> None:
    world = World({A: Unit(), B: other}).run(400)
    assert world.shown() == {A, B}, why
    assert world.identity.suspect(B, world.now) == ""


def test_equal_zeros_prove_nothing() -> None:
    unit = Unit(runtime=-1e9, cycled=0.0)
    world = World({A: unit, B: unit})
    world.changes = {A: {"total_runtime": 0}, B: {"total_runtime": 0}}
    assert world.run(200).shown() == {A, B}
    fresh = Unit(cycled=0.0)
    assert World({A: fresh, B: fresh}).run(200).shown() == {A, B}


@pytest.mark.parametrize(
    "serial", ["", "0000000000", "11111111", "1234567890", "12345678901234", "S1", " 000000 ", "A1" * 40]
)
def test_serial_numbers_that_makers_leave_standing_prove_nothing(serial: str) -> None:
    assert serial_of({"serial_number": serial}) == ""
    world = World({("one", 1): Unit(serial=serial, runtime=1e6), ("two", 1): Unit(serial=serial, runtime=9e6)}).run(200)
    assert world.shown() == {("one", 1), ("two", 1)}
    assert world.store.twins() == []
    assert serial_of({"serial_number": ONE}) == ONE


def test_a_third_unit_that_runs_for_as_long_keeps_them_apart_and_is_told() -> None:
    unit, third = Unit(), Unit(runtime=4_000_050.0, serial=OTHER, cycled=99.0)
    world = World({A: unit, B: unit, ("listen", 2): third}).run(100)
    assert world.shown() == {A, B, ("listen", 2)}
    (told,) = world.store.twins()
    assert told == (
        "ctrl/1 and listen/1 may be one battery, but listen/2 runs for as long: "
        "say it in the option batteries: ctrl/1 = listen/1, or ctrl/1 != listen/1"
    )
    assert world.identity.suspect(B, world.now) == "listen/1"  # and must not count twice


def test_sixty_seconds_further_the_third_unit_is_far_enough() -> None:
    unit, third = Unit(), Unit(runtime=4_000_061.5, serial=OTHER)
    assert World({A: unit, B: unit, ("listen", 2): third}).run(100).shown() == {A, ("listen", 2)}


def test_the_owner_s_word_for_two_ends_the_doubt() -> None:
    unit = Unit()
    world = World({A: unit, B: unit}, identity=Identity(never=frozenset({frozenset((A, B))}))).run(100)
    assert world.shown() == {A, B}
    assert world.identity.suspect(B, world.now) == ""
    assert world.store.twins() == []


# --- copied boards ----------------------------------------------------------------------------------------------
def test_two_packs_with_one_serial_number_on_two_buses_stay_apart() -> None:
    world = World({("one", 1): Unit(), ("two", 1): Unit(runtime=9e6, cycled=5.0)}).run(60)
    assert world.shown() == {("one", 1), ("two", 1)}
    assert world.store.twins() == [
        f"the serial number {ONE} is told by several batteries (one/1 and two/1); it proves nothing"
    ]
    assert world.identity.suspect(("two", 1), world.now) == ""


def test_a_serial_number_at_two_addresses_of_one_bus_proves_nothing_any_more() -> None:
    unit, copy = Unit(), Unit(runtime=9e6, cycled=5.0)
    world = World({("one", 1): unit, ("two", 1): unit}).run(20)
    assert world.shown() == {("one", 1)}
    world.wires["one", 2] = copy
    world.run(60)
    assert ("two", 1) in world.shown()
    assert f"the serial number {ONE}" in world.store.twins()[0]


def test_two_cables_that_are_swapped_are_no_copied_boards() -> None:
    """Who was told an hour ago to be somewhere need not be there any more."""
    one, other = Unit(), Unit(runtime=9e6, serial=OTHER, cycled=5.0)
    first, second = ("ctrl", 1), ("ctrl", 2)
    world = World({A: one, ("listen", 2): other, first: one, second: other}).run(65)
    assert world.shown() == {A, ("listen", 2)}
    world.wires.update({first: other, second: one})
    world.store.update(
        "ctrl", Reading(1, "about", {"serial_number": OTHER}, format="pb")
    )  # it was asked, the other not
    world.run(20)
    assert world.store.twins() == []
    world.run(100)
    assert world.identity.battery(first) == ("listen", 2)
    assert world.identity.battery(second) == A


# --- by hand ------------------------------------------------------------------------------------------------
def test_the_owner_s_word_counts_at_once_and_its_first_name_is_shown() -> None:
    unit, can = Unit(), ("can", 0)
    world = World({B: unit, can: unit}, mute=("can",), identity=Identity(hand=((can, B),))).run(1)
    assert world.shown() == {can}
    assert world.identity.reason(can) == HAND
    assert world.identity.doubt(B) == ""
    assert world.identity.doubt(can) == ""


def test_a_device_that_was_there_before_keeps_its_name() -> None:
    unit, can = Unit(), ("can", 0)
    identity = Identity(hand=((can, B),), order=[B])
    assert World({B: unit, can: unit}, identity=identity).run(1).shown() == {B}


def test_the_owner_s_word_is_refused_where_the_wires_contradict_it(caplog: pytest.LogCaptureFixture) -> None:
    world = World({A: Unit(), B: Unit(serial=OTHER, runtime=7e6)}, mute=(), identity=Identity(hand=((A, B),)))
    world.run(1)
    assert world.shown() == {A}
    world.run(1)
    assert world.identity.doubt(B) == "its wires contradict each other"  # nobody may write meanwhile
    assert world.identity.doubt(A) == "its wires contradict each other"
    world.run(5)
    assert world.shown() == {A, B}
    assert f"{B[0]}/1 and listen/1 are not one battery: " in caplog.text
    world.wires[B] = world.wires[A]  # the cable is put right
    assert world.run(40).shown() == {A}


def in_minutes(world: World, wire: Wire, seconds: int) -> World:
    """Let a wire tell the running time in whole minutes."""
    for _ in range(seconds):
        world.changes = {wire: {"total_runtime": int((world.wires[wire].runtime + world.now + 1) // 60 * 60)}}
        world.run(1)
    return world


def test_minutes_are_enough_for_the_owner_s_word() -> None:
    """The first generation counts minutes: never joined by itself, but not contradicted either."""
    ttl = ("ttl", 1)
    wires = dict.fromkeys((B, ttl), Unit())
    said = World(wires, mute=("ttl",), form={"ttl": "ttl"}, identity=Identity(hand=((B, ttl),)))
    assert in_minutes(said, ttl, 90).shown() == {B}
    assert said.identity.doubt(ttl) == ""
    alone = World(wires, mute=("ttl",), form={"ttl": "ttl"})
    assert in_minutes(alone, ttl, 300).shown() == {B, ttl}


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        (((("a", 1), ("b", 1)),), ""),
        (((("a", 1), ("b", 1)), (("b", 1), ("c", 1))), ""),
        (((("a", 1), ("b", 1)), (("a", 2), ("b", 1))), "a/1 and a/2 are on one bus and cannot be one battery"),
    ],
)
def test_two_addresses_of_one_bus_cannot_be_one_battery(pairs: Any, why: str) -> None:
    assert conflicting(pairs) == why


# --- what stops being true ------------------------------------------------------------------------------------
def test_a_battery_that_was_replaced_on_one_wire_is_taken_apart(caplog: pytest.LogCaptureFixture) -> None:
    unit = Unit()
    world = World({A: unit, B: unit}).run(70)
    assert world.shown() == {A}
    world.wires[B] = Unit(serial=OTHER, runtime=8e6, cycled=3.0)
    world.run(1)
    assert world.identity.doubt(B) == "its wires contradict each other"
    world.run(3)
    assert world.shown() == {A, B}
    assert "are not one battery: " in caplog.text
    world.wires[B] = unit
    assert world.run(70).shown() == {A}


def test_one_reading_that_contradicts_is_no_divorce() -> None:
    unit = Unit()
    world = World({A: unit, B: unit}).run(70)
    for _ in range(5):
        world.changes = {B: {"total_runtime": 5}}
        world.run(1)
        world.changes = {}
        world.run(3)
    assert world.shown() == {A}
    assert world.identity.doubt(B) == ""


def test_one_old_reading_counts_once_however_often_the_other_wire_speaks() -> None:
    """A slow wire with one wrong reading must not be held against it with every word of the quick one."""
    unit = Unit()
    world = World({A: unit, B: unit}).run(70)
    world.changes = {B: {"total_runtime": 5}}
    world.run(1)
    world.changes, world.silent = {}, {B}
    world.run(9)
    assert world.identity.doubt(B) == "its wires contradict each other"
    world.silent = set()
    world.run(3)
    assert world.shown() == {A}
    assert world.identity.doubt(B) == ""


def test_a_pack_that_moves_to_another_address_is_one_battery_there() -> None:
    unit = Unit()
    world = World({A: unit, B: unit}).run(70)
    world.silent = {A, B}
    world.wires.update({("listen", 3): unit, ("ctrl", 3): unit})
    world.run(80)
    assert ("listen", 3) in world.shown()
    assert ("ctrl", 3) not in world.shown()


def test_a_pack_whose_other_wire_keeps_its_number_stays_one_battery() -> None:
    """Bluetooth is shown under a number of its own, whatever the DIP switches say."""
    unit, ble = Unit(), ("ble", 1)
    world = World({A: unit, ble: unit}).run(70)
    assert world.shown() == {A}
    world.silent = {A}
    world.wires["listen", 3] = unit
    world.run(90)
    assert world.identity.battery(("listen", 3)) == world.identity.battery(ble)
    assert world.identity.battery(A) == A


# --- over a restart --------------------------------------------------------------------------------------------
def test_what_an_earlier_run_joined_is_shown_at_once_and_proved_before_a_write() -> None:
    unit = Unit()
    before = World({A: unit, B: unit}).run(70).identity
    again = Identity(order=list(before.order), links=dict(before.links), serials=dict(before.serials))
    assert again.doubt(B) == "its wires have not been compared yet"
    world = World({A: unit, B: unit}, identity=again, now=100.0).run(1)
    assert world.shown() == {A}
    world.run(3)
    assert again.doubt(B) == ""


def test_the_only_wire_that_is_left_proves_itself_by_its_serial_number() -> None:
    unit = Unit()
    before = World({A: unit, B: unit}).run(70).identity

    def restarted(now: Unit) -> World:
        again = Identity(order=list(before.order), links=dict(before.links), serials=dict(before.serials))
        return World({B: now}, identity=again, now=30.0).run(3)

    same = restarted(unit)
    assert same.shown() == {A}  # the device stays, told by the wire that is left
    assert same.identity.doubt(B) == ""
    assert restarted(Unit(serial=OTHER)).identity.doubt(B) == "its wires have not been compared yet"


def test_wires_of_buses_that_are_no_more_are_forgotten_but_for_the_names_of_batteries() -> None:
    unit = Unit()
    identity = World({A: unit, B: unit, ("old", 5): Unit(runtime=1.0, serial=OTHER, cycled=2.0)}).run(70).identity
    identity.keep(["ctrl"])
    assert identity.battery(B) == A
    assert identity.order == [A, B]
    identity.keep(["else"])
    assert identity.battery(B) == B
    assert identity.order == []
