from dataclasses import replace
from typing import Any

from jkbms_addon.battery.identity import Identity
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.store import Store


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def live(soc: int = 50, valid_for: float = 10, **values: Any) -> Reading:
    return Reading(1, "live", {"state_of_charge": soc, **values}, valid_for=valid_for)


SETTINGS = Reading(1, "settings", {"cell_count": 16})


def test_only_live_data_makes_a_battery() -> None:
    bank = Store(Clock())
    bank.update("a", SETTINGS)
    assert list(bank) == []
    bank.update("a", Reading(None, "live", {"state_of_charge": 5}))
    assert list(bank) == []
    bank.update("a", live())
    assert [snapshot.key for snapshot in bank] == [("a", 1)]
    assert bank.changed.is_set()


def test_values_of_a_silent_battery_are_gone_not_frozen() -> None:
    clock = Clock()
    bank = Store(clock)
    bank.update("a", live())
    bank.update("a", SETTINGS)
    snapshot = next(iter(bank))
    assert snapshot.values(clock.now) == {"state_of_charge": 50, "cell_count": 16}
    assert snapshot.pack(clock.now).state_of_charge == 50
    clock.now += 9.9
    assert snapshot.online(clock.now)
    clock.now += 0.2
    assert not snapshot.online(clock.now)
    assert snapshot.values(clock.now) == {}
    assert snapshot.pack(clock.now).state_of_charge is None


def test_what_has_not_expired_stays_although_live_data_was_away() -> None:
    clock = Clock()
    bank = Store(clock)
    bank.update("a", live())
    bank.update("a", replace(SETTINGS, valid_for=180.0))
    bank.update("a", Reading(1, "about", {"serial_number": "4711"}, valid_for=86400.0))
    clock.now += 60
    assert not bank.present(("a", 1))
    bank.update("a", live(51))
    assert bank.present(("a", 1))
    snapshot = next(iter(bank))
    assert snapshot.values(clock.now) == {"state_of_charge": 51, "cell_count": 16, "serial_number": "4711"}
    clock.now += 121
    bank.update("a", live(51))
    assert next(iter(bank)).values(clock.now) == {"state_of_charge": 51, "serial_number": "4711"}


def test_what_was_told_before_the_first_live_data_is_not_lost() -> None:
    bank = Store(Clock())
    bank.update("a", SETTINGS)
    bank.update("a", live())
    assert next(iter(bank)).values(100) == {"state_of_charge": 50, "cell_count": 16}


def test_a_battery_that_is_withheld_is_not_present_and_nothing_of_it_is_shown() -> None:
    clock = Clock()
    bank = Store(clock)
    bank.update("a", replace(live(), withheld="frozen"))
    assert list(bank) == []
    bank.update("a", live())
    bank.update("a", replace(live(), withheld="frozen"))
    snapshot = next(iter(bank))
    assert not snapshot.online(clock.now)
    assert (snapshot.values(clock.now), snapshot.absence(clock.now)) == ({}, "frozen")
    bank.update("a", live(49))
    assert bank.present(("a", 1))


def test_topics_share_the_values_out() -> None:
    clock = Clock()
    bank = Store(clock)
    bank.update("a", live(battery_type="LFP", alarms=()))
    bank.update("a", SETTINGS)
    snapshot = next(iter(bank))
    assert snapshot.topic("state", clock.now) == {"state_of_charge": 50, "alarms": ()}
    assert snapshot.topic("info", clock.now) == {"battery_type": "LFP"}
    assert snapshot.topic("settings", clock.now) == {"cell_count": 16}


def test_same_address_on_two_buses_is_two_batteries() -> None:
    bank = Store(Clock())
    bank.update("a", live(1))
    bank.update("b", live(2))
    assert {s.key: s.values(100)["state_of_charge"] for s in bank} == {("a", 1): 1, ("b", 1): 2}


def test_a_battery_with_two_wires_is_one_by_either_name() -> None:
    clock = Clock()
    bank = Store(clock, Identity(hand=((("a", 1), ("b", 7)),)))
    bank.update("b", replace(live(60), address=7))
    assert [snapshot.key for snapshot in bank] == [("a", 1)]  # whichever wire tells it
    bank.update("a", live(61))
    assert [snapshot.key for snapshot in bank] == [("a", 1)]
    assert bank.get(("b", 7)) is bank.get(("a", 1))
    assert [wire.key for wire in bank.wires(("b", 7))] == [("a", 1), ("b", 7)]
    assert (bank.present(("a", 1)), bank.present(("b", 7)), bank.present(("b", 1))) == (True, True, False)
    assert [[wire.key for wire in bank.on(bus)] for bus in "abc"] == [[("a", 1)], [("b", 7)], []]
    alone = bank.wire(("b", 7))
    assert alone
    assert alone.values(clock.now) == {"state_of_charge": 60}
