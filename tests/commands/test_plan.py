from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.battery.quantities import specs
from jkbms_addon.commands.plan import Step, differences, forbidden, left_out, ordered, settings_of
from jkbms_addon.commands.rules import RULES, check_rules, checked
from jkbms_addon.errors import CommandError
from jkbms_addon.simulator.pb import SimulatedBms, default_settings
from jkbms_addon.wire.pb.registers import WRITABLE

FACTORY: dict[str, Any] = {**default_settings(SimulatedBms(1)), "battery_type": "LFP"}
RULED = sorted({key for rule in RULES for key in (rule.lower, rule.upper)} & set(WRITABLE))


def holds(values: Any) -> bool:
    return all(rule.holds(values) for rule in RULES)


@st.composite
def settings(draw: st.DrawFn, satisfied: bool = True) -> dict[str, Any]:
    """Values of everything that a rule speaks of; they satisfy the rules."""
    values: dict[str, Any] = {"battery_type": draw(st.sampled_from(["LFP", None]))}
    pending = list(RULED)
    if not satisfied:
        return values | {key: drawn(draw, key) for key in pending}
    while pending:  # from below: each above those that must be below it
        key = next(k for k in pending if not {r.lower for r in RULES if r.upper == k} & set(pending))
        pending.remove(key)
        floor = max((values[r.lower] + (0 if r.equal else step(key)) for r in RULES if r.upper == key), default=None)
        values[key] = drawn(draw, key, floor)
    return values


def step(key: str) -> float:
    return 0.001 if specs()[key].unit == "V" else 1


def drawn(draw: st.DrawFn, key: str, floor: float | None = None) -> float:
    low, high, scale = {"V": (2500, 3600, 1000), "°C": (50, 78, 1)}[specs()[key].unit or ""]
    if key in ("charge_undertemperature_protection", "charge_undertemperature_recovery"):
        low, high = -45, 18
    low = low if floor is None else round(floor * scale)
    # few different values, so that settings meet and pass each other often
    return draw(st.integers(low, min(low + 40, high) if low <= high else low)) / scale


def walked(start: dict[str, Any], plan: list[Step]) -> dict[str, Any]:
    """Carry a plan out as a BMS would see it: every command is checked on its own."""
    reached = dict(start)
    for one in plan:
        value = checked(one.key, one.wanted, reached)
        check_rules(one.key, value, reached)
        assert one.before == start.get(one.key)
        reached[one.key] = value
    return reached


@given(settings(), settings())
def test_between_settings_that_satisfy_the_rules_there_is_always_an_order(start: Any, target: Any) -> None:
    target = {**target, "battery_type": start["battery_type"]}
    assert holds(start)
    assert holds(target)
    wanted = {key: value for key, value in target.items() if key in WRITABLE}
    plan = ordered(start, differences(start, wanted))
    reached = dict(start)
    for one in plan:
        reached[one.key] = one.wanted
        assert holds(reached), (one, reached)
    assert walked(start, plan) == pytest.approx(target)
    assert len({one.key for one in plan}) == len(plan)


@given(settings(satisfied=False), settings(satisfied=False))
def test_whatever_the_settings_no_step_breaks_a_rule_or_it_says_so(start: Any, target: Any) -> None:
    wanted = {key: value for key, value in target.items() if key in WRITABLE}
    steps = differences(start, wanted)
    plan, why = planned(start, steps)
    if why:
        assert any(one.key in why for one in steps)
        assert " must be " in why or "not within" in why
        return
    assert sorted(one.key for one in plan) == sorted(one.key for one in steps)
    assert walked(start, plan) == pytest.approx({**start, **wanted})


def planned(start: dict[str, Any], steps: list[Step]) -> tuple[list[Step], str]:
    """The plan, or why there is none."""
    try:
        return ordered(start, steps), ""
    except CommandError as error:
        return [], str(error)


def test_all_move_up_and_all_move_down() -> None:
    chain = ("power_off_voltage", "cell_voltage_undervoltage_protection", "cell_voltage_undervoltage_recovery")
    low = {**FACTORY, **dict(zip(chain, (2.5, 2.6, 2.7), strict=True)), "cell_soc0_voltage": 2.6}
    high = {**dict(zip(chain, (2.8, 2.9, 3.0), strict=True)), "cell_soc0_voltage": 2.9}
    up = [one.key for one in ordered(low, differences(low, high))]
    assert up.index(chain[1]) < up.index(chain[0])
    assert up.index(chain[2]) < up.index(chain[1])
    assert up.index("cell_soc0_voltage") < up.index(chain[1])
    down = [one.key for one in ordered({**low, **high}, differences(high, {key: low[key] for key in high}))]
    assert down.index(chain[0]) < down.index(chain[1]) < down.index(chain[2])
    assert down.index(chain[1]) < down.index("cell_soc0_voltage")


def test_it_says_which_rule_blocks() -> None:
    wanted = {"max_charge_current": 50.0, "heating_start_temperature": 12, "heating_stop_temperature": 11}
    with pytest.raises(CommandError) as blocked:
        ordered(FACTORY, differences(FACTORY, wanted))
    assert "heating_start_temperature 12 °C must be below heating_stop_temperature, which is 11 °C" in str(
        blocked.value
    )
    assert "max_charge_current" not in str(blocked.value)


def test_it_says_which_range_blocks() -> None:
    with pytest.raises(CommandError, match=r"cell_voltage_overvoltage_protection: 4\.2 is not within 2\.5 to 3\.65 V"):
        ordered(FACTORY, differences(FACTORY, {"cell_voltage_overvoltage_protection": 4.2}))


def test_switches_come_last() -> None:
    wanted = {"charging_switch": False, "heating_switch": True, "max_charge_current": 50.0, "smart_sleep_delay": 3}
    plan = ordered(FACTORY, differences(FACTORY, wanted))
    assert [one.key for one in plan] == ["max_charge_current", "smart_sleep_delay", "charging_switch", "heating_switch"]


def test_differences() -> None:
    wanted = {"max_charge_current": 100, "smart_sleep_delay": 25, "charging_switch": True, "heating_switch": True}
    steps = differences({**FACTORY, "charging_switch": None}, wanted)
    assert [(one.key, one.before, one.wanted) for one in steps] == [
        ("smart_sleep_delay", 24, 25),
        ("charging_switch", None, True),
        ("heating_switch", False, True),
    ]
    assert [str(one) for one in steps[:2]] == ["smart_sleep_delay: 24 h -> 25 h", "charging_switch: unknown -> on"]


def test_settings_are_those_that_can_be_changed_and_are_known() -> None:
    found = settings_of({**FACTORY, "heating_switch": None, "cell_voltage": (3.3,), "model": "JK"}, WRITABLE)
    assert set(found) == set(WRITABLE) & set(FACTORY) - {"heating_switch"}
    assert not {"cell_count", "device_address", "cell_resistance", "current_calibration"} & set(found)
    assert list(found) == [key for key in specs() if key in found]
    assert settings_of(FACTORY, {"cell_count", "charging_switch"}) == {"charging_switch": True}


def test_the_capacity_only_when_it_is_named() -> None:
    steps = differences(FACTORY, {"total_battery_capacity": 100, "smart_sleep_delay": 2})
    assert left_out(steps) == ["total_battery_capacity"]
    assert left_out(steps, ["total_battery_capacity"]) == []


def test_levels() -> None:
    steps = differences(FACTORY, {"charging_switch": False, "smart_sleep_delay": 2, "power_off_voltage": 2.6})
    assert forbidden(steps, "off") == ["charging_switch", "smart_sleep_delay", "power_off_voltage"]
    assert forbidden(steps, "switches") == ["smart_sleep_delay", "power_off_voltage"]
    assert forbidden(steps, "protections") == []
