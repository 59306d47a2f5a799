"""What a sender tells instead of the words of a decision, so that no house is dark while a battery can serve it."""

from typing import Any

import pytest

from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.dialects.dialect import Dialect
from tests.inverter.receivers import Told, receiver
from tests.inverter.test_first_dialects import state

SERVING: dict[str, Any] = {"discharge_enabled": True, "discharge_current": 100.0, "modules": 3}


def told(name: str, *, adapted: bool = True, **changes: Any) -> Told:
    return receiver(name)(DIALECTS[name].frames(state(**changes), adapted=adapted))


def test_a_sunny_island_hears_of_no_alarm_while_a_battery_can_serve() -> None:
    heard = told("sma", **SERVING, protections=("over_voltage", "charge_over_current"), alarms=("cell_imbalance",))
    assert heard["alarm_pairs"] == set()
    assert heard["warning_pairs"] == {"over_voltage", "charge_over_current", "cell_imbalance"}
    heard = told("sma", protections=("over_voltage",))
    assert heard["alarm_pairs"] == {"over_voltage"}


def test_an_empty_battery_on_a_victron_may_still_be_charged() -> None:
    empty: dict[str, Any] = {"protections": ("under_voltage",), "charge_enabled": True}
    assert told("victron", **empty)["alarm_pairs"] == set()
    assert told("victron", **empty)["warning_pairs"] == {"under_voltage"}
    assert told("victron", protections=("under_voltage",))["alarm_pairs"] == {"under_voltage"}
    both = ("under_voltage", "system_error")
    assert told("victron", protections=both, charge_enabled=True)["alarm_pairs"] == {"under_voltage", "internal"}


def test_a_victron_never_hears_of_a_charge_voltage_of_zero() -> None:
    assert told("victron", charge_voltage=0.0, voltage=52.8)["charge_voltage"] == 52.8


def test_one_lost_battery_is_no_critical_error_of_a_sol_ark() -> None:
    lost: dict[str, Any] = {"alarms": ("internal_comm_fail", "under_voltage"), "modules_offline": 1}
    assert told("sol_ark", **SERVING, **lost)["alarms"] == {"under_voltage"}
    assert told("sol_ark", **lost)["alarms"] == {"under_voltage", "system"}
    assert told("sol_ark", charge_enabled=True, **lost)["alarms"] == {"under_voltage"}  # it is being woken


@pytest.mark.parametrize("name", ["sol_ark", "luxpower"])
def test_the_urgent_request_is_the_one_that_means_at_once(name: str) -> None:
    urgent = told(name, force_charge_1=True)
    assert (urgent["forced_1"], urgent["forced_2"]) == (False, True)
    soon = told(name, force_charge_2=True)
    assert (soon["forced_1"], soon["forced_2"]) == (True, False)
    assert told(name, adapted=False, force_charge_1=True)["forced_1"]


@pytest.mark.parametrize("name", [name for name, one in DIALECTS.items() if one.port == "can"])
def test_a_decision_without_trouble_is_told_word_for_word(name: str) -> None:
    calm: dict[str, Any] = {**SERVING, "charge_enabled": True, "charge_current": 50.0}
    assert told(name, **calm) == told(name, adapted=False, **calm)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_what_is_told_of_the_change_is_true(dialect: Dialect) -> None:
    trouble = state(**SERVING, charge_enabled=True, protections=("under_voltage",), alarms=("internal_comm_fail",))
    milder = {"sma": ["under_voltage"], "victron": ["under_voltage"], "sol_ark": ["internal_comm_fail"]}
    assert dialect.changed_by_adapting(trouble) == milder.get(dialect.name, [])


def test_a_luxpower_s_wish_is_put_into_words() -> None:
    wish = DIALECTS["luxpower"].wish
    assert "shut the battery down" in wish(0x300, b"\x01" + bytes(7))
    assert [wish(0x300, bytes(8)), wish(0x300, b""), wish(0x305, b"\x01")] == ["", "", ""]
    assert DIALECTS["pylontech"].wish(0x300, b"\x01") == ""
