"""Which wire a change takes when one of a battery's wires cannot change anything, whatever its strategy can."""

from dataclasses import replace

import pytest

from jkbms_addon.battery.identity import Identity
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.routes import Routes

WHY = "settings of this battery (layout 24S) are only read over Bluetooth"
ABLE = {"radio": frozenset(("charging_switch", "heating_switch")), "cable": frozenset(("charging_switch",))}
RADIO, CABLE = ("radio", 1), ("cable", 1)


class House:
    """One battery on two wires, the radio known first."""

    def __init__(self, *hand: tuple[tuple[str, int], tuple[str, int]]) -> None:
        self.now = 100.0
        self.store = Store(lambda: self.now, Identity(hand=hand))
        self.routes = Routes(self.store, ABLE)

    def hears(self, bus: str, read_only: str = "") -> None:
        live = Reading(1, "live", {"total_voltage": 53.0}, valid_for=10, read_only=read_only)
        self.store.update(bus, live)
        self.store.update(bus, replace(live, kind="settings", valid_for=180, values={"charging_switch": True}))


def test_a_wire_that_only_reads_is_never_the_wire_of_a_change() -> None:
    house = House((RADIO, CABLE))
    house.hears("radio", WHY)
    house.hears("cable")
    assert house.routes.settings(RADIO) == {"charging_switch"}
    assert house.routes.wire(RADIO, "charging_switch") == CABLE
    house.now += 20  # the cable is lost; the other one does not take its place
    house.hears("radio", WHY)
    assert house.routes.wire(RADIO, "charging_switch") == CABLE
    assert house.routes.why_not(RADIO, "heating_switch") == WHY


@pytest.mark.parametrize("bus", ["radio", "cable"])
def test_wires_that_can_change_stand_in_for_each_other(bus: str) -> None:
    house = House((RADIO, CABLE))
    house.hears("radio")
    house.hears("cable")
    assert house.routes.settings(RADIO) == {"charging_switch", "heating_switch"}
    house.now += 20
    house.hears(bus)
    assert house.routes.wire(RADIO, "charging_switch") == (bus, 1)


def test_another_unit_at_the_same_place_is_judged_anew() -> None:
    house = House()
    assert house.routes.settings(RADIO) == ABLE["radio"]  # as long as nothing is known of it
    house.hears("radio", WHY)
    assert house.routes.settings(RADIO) == frozenset()
    assert house.routes.why_not(RADIO, "charging_switch") == WHY
    house.hears("radio")
    assert house.routes.settings(RADIO) == ABLE["radio"]
    assert house.routes.why_not(RADIO, "cell_count") == "cell_count cannot be changed on bus radio"
