"""What an inverter would be told: by a control of its own, said by the dialect, and read back."""

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jkbms_addon.bank.bank import BankState, BatteryBank
from jkbms_addon.battery.energy import Energy
from jkbms_addon.battery.quantities import Value
from jkbms_addon.charging.owner import Owner
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.options import InverterOptions
from jkbms_addon.inverter.rehearsal import LIMITS, WAITING, Rehearsal, rehearsed
from tests.bank.packs import candidate, values
from tests.inverter.test_dialects_random import ON_CAN

LOCAL = datetime(2026, 11, 27, 13, 5, tzinfo=UTC)


def bank(*told: dict[str, Value]) -> BankState:
    return BatteryBank().step([candidate(n, one) for n, one in enumerate(told, 1)], 0.0)


def rehearse(protocol: str, state: BankState, owner: Owner | None = None, **more: Any) -> Rehearsal:
    options = InverterOptions(protocol, "can0", setpoints=Setpoints(**more))
    return rehearsed(options, state, 1000.0, LOCAL, owner)


def said(found: Rehearsal, key: str) -> list[Any]:
    return [one.value for frame in found.spoken for one in frame.says if one.key == key]


@pytest.mark.parametrize("protocol", DIALECTS)
def test_the_limits_of_every_dialect_with_their_reasons(protocol: str) -> None:
    found = rehearse(protocol, bank(values(), values()), max_charge_current=120)
    assert found.decision
    assert (found.decision.charge_current, found.decision.discharge_current) == (120, 180)
    assert found.decision.reasons["charge_current"] == "charge limited to 120 A: charge current of the owner"
    for key in LIMITS:
        assert key in found.decision.reasons
        if (protocol, key) != ("growatt_lv", "discharge_voltage"):
            assert any(abs(one - getattr(found.decision, key)) < 0.06 for one in said(found, key)), key
    assert (found.otherwise, found.why) == ((), "")


@pytest.mark.parametrize("protocol", ON_CAN)
def test_frames_are_those_that_the_sender_would_send(protocol: str) -> None:
    found = rehearse(protocol, bank(values()))
    order, sent = [one.can_id for one in DIALECTS[protocol].messages], [one.number for one in found.spoken]
    assert sent == [can_id for can_id in order if can_id in sent]
    assert {one.number for one in found.spoken} <= DIALECTS[protocol].ids
    assert all(1 <= len(one.data) <= 8 for one in found.spoken)


def test_queries_on_rs485_are_answered() -> None:
    found = rehearse("pylontech_rs485", bank(values()))
    assert [one.number for one in found.spoken] == [0x61, 0x62, 0x63, 0x42, 0x44, 0x47, 0x92]
    assert all(one.data.startswith(b"~2002") and one.data.endswith(b"\r") for one in found.spoken)


def test_what_the_protocol_cannot_say_is_named() -> None:
    many = bank(values(cells=(3.3,) * 18))
    found = rehearse("sma", many)
    (one,) = found.otherwise
    assert (one.key, one.told) == ("discharge_voltage", 48.0)
    assert one.decided > 48.0
    assert rehearse("pylontech", many).otherwise == ()


def test_nothing_is_told_to_one_that_takes_no_voltage_as_low_as_the_owners() -> None:
    eight = bank(values(cells=(3.3,) * 8))
    found = rehearse("sma", eight)
    assert found.spoken == ()
    assert "takes no charge voltage below 41 V, and 27.6 V is the most" in found.why
    assert said(rehearse("pylontech", eight), "charge_voltage") == [27.6]


def test_without_packs_it_says_why_nothing_would_be_told() -> None:
    found = rehearse("pylontech", BankState())
    assert (found.decision, found.spoken, found.why) == (None, (), WAITING)
    silent = BatteryBank().step([candidate(1, age=60.0)], 0.0)
    assert rehearse("pylontech", silent).why == "Pack 1: silent for 60 s"


def test_what_the_owner_set_beside_the_options_counts() -> None:
    found = rehearse("pylontech", bank(values()), Owner(max_charge_current=30, discharging=False))
    assert found.decision
    assert (found.decision.charge_current, found.decision.discharge_current) == (30, 0)


def test_a_share_is_a_share_of_the_currents() -> None:
    options = InverterOptions("pylontech", "can0", share=0.5)
    found = rehearsed(options, bank(values()), 1000.0, LOCAL)
    assert (said(found, "charge_current"), said(found, "charge_voltage")) == ([45.0], [55.2])


def test_what_was_counted_and_the_clock_are_said_where_somebody_wants_them() -> None:
    energy = Energy(charged=12.5, discharged=10.0)
    found = rehearsed(InverterOptions("victron", "can0"), bank(values()), 1000.0, LOCAL, energy=energy)
    assert said(found, "charged_energy") == [12.5]
    assert said(rehearse("growatt_lv", bank(values())), "date") == ["2026-11-27 13:05:00"]


NUMBERS = {
    "charge_voltage": (1.2, 4.4),
    "float_voltage": (1.2, 4.4),
    "balance_voltage": (1.2, 4.4),
    "max_charge_current": (0, 3000),
    "max_discharge_current": (0, 3000),
    "min_discharge_voltage": (1.2, 1000),
    "soc_limit": (20, 100),
    "stop_after": (0, 86400),
}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(DIALECTS)),
    st.fixed_dictionaries({}, optional={key: st.floats(low, high) for key, (low, high) in NUMBERS.items()}),
    st.lists(st.sampled_from([1, 4, 8, 16, 24, 32]), max_size=3),
    st.booleans(),
)
def test_whatever_the_options_allow_can_be_rehearsed(
    protocol: str, numbers: dict[str, float], cells: list[int], full: bool
) -> None:
    cell = 3.6 if full else 3.1
    more: Any = numbers
    found = rehearse(protocol, bank(*(values(cells=(cell,) * count) for count in cells)), **more)
    assert bool(found.spoken) is bool(found.decision) is not bool(found.why)
    wanted = numbers.get("max_charge_current")
    assert found.decision is None or wanted is None or found.decision.charge_current <= wanted


def test_it_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    state = bank(values())
    with caplog.at_level(logging.DEBUG):
        first, second = rehearse("pylontech", state), rehearse("pylontech", state)
    assert first == second
    assert caplog.records == []
