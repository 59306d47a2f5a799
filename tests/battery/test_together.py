"""What several wires tell of one battery, as one snapshot."""

from dataclasses import dataclass, replace
from typing import Any

from jkbms_addon.battery.identity import Identity
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.snapshot import Snapshot
from jkbms_addon.battery.store import Store

A, B = ("a", 1), ("b", 7)


@dataclass
class Two:
    """One battery with two wires."""

    now: float = 100.0

    def __post_init__(self) -> None:
        self.store = Store(lambda: self.now, Identity(hand=((A, B),)))

    def hear(self, wire: tuple[str, int], kind: str = "live", valid_for: float = 10.0, **values: Any) -> Snapshot:
        self.store.update(wire[0], Reading(wire[1], kind, values, valid_for=valid_for, format="pb"))
        return self.battery

    @property
    def battery(self) -> Snapshot:
        found = self.store.get(A)
        assert found
        return found


def test_live_data_stays_with_its_wire_as_long_as_that_is_fresh() -> None:
    two = Two()
    two.hear(A, current=1.0)
    for _ in range(10):
        two.now += 1
        two.hear(A, current=1.0)
        two.now += 0.2
        assert two.hear(B, current=2.0).values(two.now) == {"current": 1.0}
    assert two.battery.source == A


def test_another_wire_takes_over_within_five_seconds_without_a_gap() -> None:
    two = Two()
    two.hear(A, current=1.0)
    two.hear(B, current=2.0)
    began = two.now
    while two.battery.source == A:
        two.now += 0.5
        if int(two.now * 2) % 2:
            two.hear(B, current=2.0)
        assert two.battery.online(two.now)
        assert two.now - began < 5
    assert two.battery.values(two.now) == {"current": 2.0}
    two.now += 60
    assert two.battery.values(two.now) == {}
    assert two.battery.absence(two.now).startswith("silent for 6")


def test_a_wire_that_repeats_itself_is_left_and_neither_proves_nor_disproves_anything() -> None:
    """A gateway that answers from its memory: the same running time, while the other wire's moves."""
    two = Two()
    for second in range(4):
        two.now += 1
        two.hear(A, current=1.0, total_runtime=5000 + second)
        two.hear(B, current=1.0, total_runtime=5000 + second)
    assert two.battery.source == A
    for second in range(4, 60):
        two.now += 1
        two.hear(A, current=1.0, total_runtime=5003)
        two.hear(B, current=2.0, total_runtime=5000 + second)
        assert second < 7 or two.battery.source == B
        assert two.battery.online(two.now)
    assert two.battery.values(two.now)["current"] == 2.0
    assert two.store.identity.battery(B) == A
    assert two.store.identity.doubt(A) == "its running time stands still on this wire"
    assert two.store.identity.doubt(B) == ""
    two.now += 1
    two.hear(A, current=2.0, total_runtime=5060)
    assert two.store.identity.doubt(A) == ""


def test_where_every_wire_repeats_itself_the_battery_stays_until_it_is_judged_frozen() -> None:
    two = Two()
    for _ in range(20):
        two.now += 1
        two.hear(A, current=1.0, total_runtime=5003)
        two.hear(B, current=1.0, total_runtime=5003)
        assert two.battery.online(two.now)


def test_a_wire_that_tells_more_gets_it_back_when_it_is_steady() -> None:
    two, took = Two(), 0.0
    two.hear(B, current=2.0)
    for _ in range(60):
        two.now += 1
        two.hear(B, current=2.0)
        if two.hear(A, current=1.0, mosfet_temperature=20.0).source == A:
            took = two.now - 101
            break
    assert 9 <= took <= 11
    # one that is heard every five seconds is not steady, so nothing leaps to and fro
    two, sources = Two(), set()
    for second in range(120):
        two.now += 1
        two.hear(B, current=2.0)
        if second % 5 == 0:
            two.hear(A, current=1.0, mosfet_temperature=20.0)
        if second > 10:
            sources.add(two.battery.source)
    assert sources == {B}


def test_what_one_wire_does_not_tell_at_all_another_one_adds_while_it_is_present() -> None:
    two = Two()
    two.hear(A, current=1.0, mosfet_temperature=20.0)
    for _ in range(8):
        two.now += 1
        two.hear(B, current=2.0)
    assert two.battery.values(two.now) == {"current": 2.0, "mosfet_temperature": 20.0}
    two.now += 2.5
    two.hear(B, current=2.0)
    assert two.battery.values(two.now) == {"current": 2.0}


def test_a_value_that_the_wire_calls_unknown_is_not_made_up() -> None:
    two = Two()
    two.hear(A, current=1.0, mosfet_temperature=20.0)
    for _ in range(4):
        two.now += 1
        two.hear(B, current=2.0, mosfet_temperature=None)
    assert two.battery.source == B
    assert two.battery.values(two.now)["mosfet_temperature"] is None


def test_settings_are_those_that_were_heard_last_and_hold_their_time_without_their_wire() -> None:
    two = Two()
    two.hear(A)
    two.hear(B)
    two.hear(A, "settings", 180.0, max_charge_current=100.0, cell_count=16)
    two.now += 1
    two.hear(A)
    two.hear(B)
    told = two.hear(B, "settings", 180.0, max_charge_current=50.0)
    assert told.values(two.now) == {"max_charge_current": 50.0, "cell_count": 16}
    assert told.sources["settings"] == B
    for _ in range(30):
        two.now += 1
        two.hear(A)
    assert not two.store.present(B)
    assert two.battery.values(two.now) == {"max_charge_current": 50.0, "cell_count": 16}


def test_a_wire_that_does_not_count_adds_nothing() -> None:
    two = Two()
    two.hear(A, current=1.0, mosfet_temperature=20.0)
    two.hear(B, current=2.0)
    two.store.update("a", Reading(1, "live", {}, withheld="frozen"))
    assert two.battery.values(two.now) == {"current": 2.0}
    two.store.update("b", Reading(7, "live", {}, withheld="another battery"))
    assert not two.battery.online(two.now)
    assert two.battery.absence(two.now) == "frozen"


def test_every_live_reading_of_the_wire_that_counts_is_news_and_no_other() -> None:
    two = Two()
    first = two.hear(A, current=1.0)
    two.now += 1
    second = two.hear(A, current=1.0)
    assert second.count == first.count + 1
    two.now += 0.1
    assert two.hear(B, current=2.0).count == second.count
    assert two.battery is two.battery  # made once


def test_a_battery_that_goes_by_a_name_of_another_wire_is_the_same_otherwise() -> None:
    two = Two()
    told = two.hear(B, current=2.0)
    alone = two.store.wire(B)
    assert alone
    assert told.key == A
    assert replace(told, bus=B[0], address=B[1], sources={}, count=1) == replace(alone, sources={}, count=1)


def test_what_is_filled_up_is_made_once_as_long_as_nothing_in_it_is_new() -> None:
    """Ranges and announcements are worked out anew with every new part."""
    two = Two()
    two.hear(A)
    two.hear(B)
    two.hear(A, "settings", 180.0, cell_count=16)
    first = two.hear(B, "settings", 180.0, max_charge_current=50.0).parts["settings"]
    assert first.values == {"cell_count": 16, "max_charge_current": 50.0}
    two.now += 1
    assert two.hear(A).parts["settings"] is first
    again = two.hear(A, "settings", 180.0, cell_count=15).parts["settings"]
    assert again is not first
    assert again.values == {"cell_count": 15, "max_charge_current": 50.0}
