from pathlib import Path

import pytest

from jkbms_addon.battery.quantities import Scalar, Value
from jkbms_addon.battery.snapshot import Key
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.audit import Audit
from jkbms_addon.commands.command import Command, Outcome, OutcomeLog
from jkbms_addon.commands.plan import Step
from jkbms_addon.commands.proposal import MOST, Proposal, Proposer, copied, other_cells
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.commands.rules import check_seen
from jkbms_addon.errors import CommandError

ONE, TWO = ("garage", 1), ("cellar", 2)
VALUES: dict[str, Value] = {
    "battery_type": "LFP",
    "cell_voltage_overvoltage_protection": 3.6,
    "cell_voltage_overvoltage_recovery": 3.5,
    "cell_voltage_undervoltage_protection": 2.6,
    "cell_request_charge_voltage": 3.45,
    "cell_request_float_voltage": 3.35,
    "max_charge_current": 80.0,
    "total_battery_capacity": 280,
    "balancing_switch": False,
}
ALL = frozenset(VALUES) - {"battery_type"}


def proposed(
    wishes: dict[Key, dict[str, Scalar]], level: str = "protections", include: list[str] | None = None
) -> Proposal:
    writable = {"garage": ALL, "cellar": ALL - {"balancing_switch"}}
    commands = CommandQueue(level, Store(), writable, Audit(Path()))
    return Proposer({ONE: VALUES, TWO: VALUES}, commands.forbidden).proposal(wishes, include)


def test_changes_stand_in_an_order_that_breaks_no_rule() -> None:
    found = proposed(
        {
            ONE: {
                "balancing_switch": True,
                "cell_voltage_overvoltage_recovery": 3.6,
                "cell_voltage_overvoltage_protection": 3.65,
                "max_charge_current": 80.0,
            }
        }
    )
    assert found.steps == (
        (ONE, Step("cell_voltage_overvoltage_protection", 3.6, 3.65)),
        (ONE, Step("cell_voltage_overvoltage_recovery", 3.5, 3.6)),
        (ONE, Step("balancing_switch", False, True)),
    )
    assert (found.refused, found.left_out) == ((), ())
    assert found.protected == {ONE}


def test_what_cannot_be_done_has_its_reason_and_stops_nothing_else() -> None:
    silent = ("garage", 3)
    found = proposed(
        {
            ONE: {"cell_request_charge_voltage": 3.62, "cell_request_float_voltage": 3.4, "device_address": 4},
            TWO: {"balancing_switch": True},
            silent: {"balancing_switch": True},
        }
    )
    assert found.steps == ((ONE, Step("cell_request_float_voltage", 3.35, 3.4)),)
    reasons = {(key, name): why for key, name, why in found.refused}
    assert reasons[ONE, "device_address"] == "device_address cannot be changed on bus garage"
    assert reasons[TWO, "balancing_switch"] == "balancing_switch cannot be changed on bus cellar"
    assert reasons[silent, "balancing_switch"] == "the battery is silent"
    assert (
        "must be below or equal to cell_voltage_overvoltage_protection" in reasons[ONE, "cell_request_charge_voltage"]
    )


@pytest.mark.parametrize(
    ("level", "why"),
    [
        ("off", "writing is off: see the option writes.level"),
        ("settings", "max_charge_current is not allowed by writes.level settings"),
    ],
)
def test_the_level_decides(level: str, why: str) -> None:
    found = proposed({ONE: {"max_charge_current": 100.0}}, level)
    assert found == Proposal((), ((ONE, "max_charge_current", why),), ())


def test_what_a_battery_has_is_copied_only_when_it_is_named() -> None:
    source = {**VALUES, "total_battery_capacity": 300, "max_charge_current": 100.0}
    wishes = {key: dict(settings) for key, settings in copied(source, ALL, [ONE]).items()}
    found = proposed(wishes, include=[])
    assert [step.key for _, step in found.steps] == ["max_charge_current"]
    assert found.left_out == ((ONE, "total_battery_capacity"),)
    named = proposed(wishes, include=["total_battery_capacity"])
    assert {step.key for _, step in named.steps} == {"max_charge_current", "total_battery_capacity"}
    assert named.left_out == ()


def test_too_much_at_once() -> None:
    wishes: dict[Key, dict[str, Scalar]] = {("garage", n): {"max_charge_current": 1.0} for n in range(MOST + 1)}
    with pytest.raises(CommandError, match="400"):
        proposed(wishes)


def test_cells_of_another_kind() -> None:
    assert other_cells("LTO", VALUES) == "has LFP cells, the settings are for LTO"
    assert other_cells("LFP", VALUES) == ""
    assert other_cells(None, VALUES) == ""


@pytest.mark.parametrize(
    ("key", "seen", "present"),
    [
        ("max_charge_current", 100.0, 99.96),  # as it was rounded to be shown
        ("max_charge_current", None, 99.0),
        ("max_charge_current", 100.0, None),
        ("cell_voltage_overvoltage_protection", 3.65, 3.65),
        ("balancing_switch", True, True),
    ],
)
def test_what_was_seen_holds(key: str, seen: Value, present: Value) -> None:
    check_seen(key, seen, present)


@pytest.mark.parametrize(
    ("key", "seen", "present", "says"),
    [
        ("max_charge_current", 100.0, 99.9, "is 99.9 A now, and 100.0 A was shown"),
        ("cell_voltage_overvoltage_protection", 3.65, 3.651, "is 3.651 V now, and 3.65 V was shown"),
        ("balancing_switch", True, False, "is off now, and on was shown"),
    ],
)
def test_what_was_seen_does_not_hold_any_more(key: str, seen: Value, present: Value, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        check_seen(key, seen, present)


def test_an_outcome_is_known_again_by_its_ticket() -> None:
    log = OutcomeLog()
    told = list[Outcome]()
    first, second = log.ticket(lambda _: None), log.ticket(told.append)
    log.add(Outcome(Command("garage", 1, "x", 1.0, 0.0, ticket=first), "refused"))
    log.add(Outcome(Command("garage", 1, "x", 1.0, 0.0), "refused"))
    assert told == []
    log.add(Outcome(Command("garage", 1, "x", 1.0, 0.0, ticket=second), "applied"))
    log.add(Outcome(Command("garage", 1, "x", 1.0, 0.0, ticket=second), "failed"))
    assert [one.result for one in told] == ["applied"]
