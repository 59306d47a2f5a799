"""Snapshots of the bank of batteries as members of the inverter's bank."""

from typing import Any

import pytest

from jkbms_addon.bank.bank import BankState, BatteryBank
from jkbms_addon.bank.candidate import View
from jkbms_addon.bank.membership import Membership, Wanted
from jkbms_addon.battery.identity import Identity
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from tests.bank.packs import SETTINGS, values


class Heard:
    """A bank with a clock of its own."""

    def __init__(self, *buses: str, identity: Identity | None = None) -> None:
        self.now = 100.0
        self.store = Store(lambda: self.now, identity)
        self.buses = {name: BusStatus(name) for name in buses}

    def hear(self, bus: str, address: int, form: str = "pb", valid_for: float = 10.0, **changes: Any) -> None:
        told = values(**changes)
        live = {key: value for key, value in told.items() if key not in SETTINGS}
        self.store.update(bus, Reading(address, "live", live, valid_for=valid_for, format=form))

    def settings(self, bus: str, address: int) -> None:
        told = {key: value for key, value in values().items() if key in SETTINGS}
        self.store.update(bus, Reading(address, "settings", told, format="pb"))

    def about(self, bus: str, address: int, serial: str) -> None:
        self.store.update(bus, Reading(address, "about", {"serial_number": serial}, format="pb"))

    def state(self, membership: Membership) -> BankState:
        return BatteryBank(membership.expected).step(membership.candidates(self.store, self.now), self.now)

    def reasons(self, membership: Membership) -> dict[str, str]:
        state = self.state(membership)
        return {one.name: one.reason for one in state.excluded}

    def counted(self, membership: Membership) -> list[str]:
        state = self.state(membership)
        return [view.name for view in state.counted]


def test_all_batteries_or_those_named() -> None:
    heard = Heard("a", "b")
    for bus, address in (("a", 1), ("a", 2), ("b", 1)):
        heard.hear(bus, address)
    assert heard.counted(Membership(heard.buses)) == ["JK BMS a 1", "JK BMS a 2", "JK BMS b 1"]
    assert heard.counted(Membership(heard.buses, (("a", 2), ("b", None)))) == ["JK BMS a 2", "JK BMS b 1"]
    assert heard.counted(Membership({"a": BusStatus("a")}, (("a", 1),))) == ["JK BMS 1"]


def test_how_many_are_expected() -> None:
    assert Membership({}, (("a", 1), ("a", 2))).expected == 2
    assert Membership({}, (("a", 1), ("b", None))).expected == 0
    assert Membership({}).expected == 0


@pytest.mark.parametrize(
    ("form", "age", "aging", "silent"),
    [("can", 1.9, False, False), ("can", 2.1, True, False), ("can", 5.1, True, True)],
)
def test_ages_on_a_can_bus(form: str, age: float, aging: bool, silent: bool) -> None:
    heard = Heard("a")
    heard.hear("a", 1, form)
    heard.now += age
    (one,) = Membership(heard.buses).candidates(heard.store, heard.now)
    state = BatteryBank().step([one], heard.now)
    assert (not state.counted, not state.counted or state.aging) == (silent, aging)


@pytest.mark.parametrize(
    ("interval", "valid_for", "hold", "stale"),
    [(2.0, 10.0, 5.0, 10.0), (8.0, 24.0, 13.0, 24.0), (600.0, 1800.0, 30.0, 30.0)],
)
def test_ages_where_batteries_are_asked(interval: float, valid_for: float, hold: float, stale: float) -> None:
    heard = Heard("a")
    heard.hear("a", 1, valid_for=valid_for)
    bms = heard.buses["a"].bms(1)
    bms.expected, bms.valid_for = interval, valid_for
    (one,) = Membership(heard.buses).candidates(heard.store, heard.now)
    assert (one.hold_after, one.stale_after) == (hold, stale)


def test_without_its_settings_a_battery_that_is_asked_is_not_charged() -> None:
    heard = Heard("a")
    heard.hear("a", 1)
    asked = Membership(heard.buses, asked=frozenset({"a"}))
    assert asked.candidates(heard.store, heard.now) == []  # they come within seconds, which is worth no alarm
    for _ in range(16):
        heard.now += 1
        heard.hear("a", 1)

    def view(membership: Membership) -> View:
        return BatteryBank().step(membership.candidates(heard.store, heard.now), heard.now).counted[0]

    assert (view(asked).may_charge, view(asked).may_discharge) == (False, True)
    assert view(asked).hindered("charge") == "pack 1: charge OCP unknown"
    assert view(Membership(heard.buses)).may_charge  # whoever follows another master never hears them
    heard.buses["a"].mode = "polling"
    assert Membership(heard.buses).candidates(heard.store, heard.now) == []
    heard.settings("a", 1)
    assert view(asked).may_charge


def test_a_pack_is_made_once_for_what_was_said() -> None:
    heard = Heard("a")
    heard.hear("a", 1)
    membership = Membership(heard.buses)
    (first,), (second,) = (membership.candidates(heard.store, heard.now) for _ in range(2))
    assert first.pack is second.pack
    heard.hear("a", 1, current=-5.0)
    (third,) = membership.candidates(heard.store, heard.now)
    assert third.pack
    assert third.pack.current == -5.0
    heard.hear("a", 1, current=True)
    (wrong,) = membership.candidates(heard.store, heard.now)
    assert (wrong.pack, wrong.problem) == (None, "current is not a number")


def test_one_battery_on_two_buses_counts_once() -> None:
    heard = Heard("a", "b")
    membership = Membership(heard.buses, identity=heard.store.identity)
    for bus in ("a", "b"):
        heard.about(bus, 1, "3130425110")
        heard.hear(bus, 1)
    # not even while nobody knows yet whether it is one
    assert heard.counted(membership) == ["JK BMS a 1"]
    assert heard.reasons(membership) == {"JK BMS b 1": "perhaps the same battery as a/1"}
    bank = BatteryBank()
    assert bank.step(membership.candidates(heard.store, heard.now), heard.now).expected == 2
    for _ in range(6):
        heard.now += 1
        heard.hear("a", 1)
        heard.hear("b", 1)
    state = bank.step(membership.candidates(heard.store, heard.now), heard.now)
    assert [view.name for view in state.counted] == ["JK BMS a 1"]
    assert state.excluded == ()
    assert state.expected == 1  # nobody waits for the other name any more
    assert state.aliases == {("b", 1)}


@pytest.mark.parametrize("wanted", [(("b", 1),), (("a", 1),), (("b", None),), (("a", 1), ("b", 1))])
def test_a_battery_belongs_by_whichever_of_its_wires_it_is_named(wanted: Wanted) -> None:
    heard = Heard("a", "b", identity=Identity(hand=((("a", 1), ("b", 1)),)))
    heard.hear("a", 1)
    heard.hear("a", 2)
    membership = Membership(heard.buses, wanted, identity=heard.store.identity)
    assert heard.counted(membership) == ["JK BMS a 1"]
    assert membership.expected == (0 if wanted[0][1] is None else 1)


def test_a_battery_that_changes_its_wire_need_not_tell_what_the_other_one_told() -> None:
    """What a battery told once and does not any more hides the worst, but another wire may never tell it."""
    heard = Heard("a", "b", identity=Identity(hand=((("a", 1), ("b", 1)),)))
    membership, bank = Membership(heard.buses, identity=heard.store.identity), BatteryBank()
    for seconds in range(16):
        heard.now += 1
        if seconds < 3:
            heard.hear("a", 1)
        heard.hear("b", 1, charging=None)
        state = bank.step(membership.candidates(heard.store, heard.now), heard.now)
        assert [view.name for view in state.counted] == ["JK BMS a 1"], seconds
    heard.hear("b", 1, charging=True)
    bank.step(membership.candidates(heard.store, heard.now), heard.now)
    heard.hear("b", 1, charging=None)
    state = bank.step(membership.candidates(heard.store, heard.now), heard.now)
    assert [one.reason for one in state.excluded] == ["charging not heard any more"]


def test_a_battery_that_fell_silent_is_named() -> None:
    heard = Heard("a")
    heard.hear("a", 1)
    heard.now += 11
    assert heard.reasons(Membership(heard.buses)) == {"JK BMS 1": "silent for 11 s"}
