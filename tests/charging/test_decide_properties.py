"""What must hold for every battery: nobody is ever braver for being worse informed or worse off."""

from copy import deepcopy
from math import isfinite, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.bank.candidate import Candidate
from jkbms_addon.battery.quantities import Value
from jkbms_addon.charging.cell_limits import bounds
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.state import Targets
from tests.bank.packs import Bench, candidate, values

CURRENTS = st.floats(0, 300)
TEMPERATURES = st.floats(-25, 70)
ALARM_NAMES = (
    "battery_over_voltage_protection",
    "cell_over_voltage_fully_charged",
    "cell_under_voltage_protection",
    "charge_over_temperature_protection",
    "charge_under_temperature_protection",
    "discharge_over_current_protection",
    "charge_mosfet_anomaly",
    "internal_cpu_aux_communication_anomaly",
    "battery_over_temperature_alarm",
    "bit_31",
)
ALARMS = st.lists(st.sampled_from(ALARM_NAMES), max_size=2).map(tuple)


@st.composite
def packs(draw: Any, *, healthy: bool = False) -> dict[str, Value]:
    """A pack in any state that can be; cells near each other as in parallel packs."""
    cell = draw(st.floats(2.9, 3.5))
    cells = tuple(cell + draw(st.floats(-0.15, 0.15)) for _ in range(4)) * 4
    settings: dict[str, Any] = {
        "max_charge_current": draw(CURRENTS | st.none()),
        "max_discharge_current": draw(CURRENTS | st.none()),
        "cell_voltage_overvoltage_protection": draw(st.floats(3.5, 3.7) | st.none()),
        "cell_voltage_undervoltage_protection": draw(st.floats(2.5, 3.0) | st.none()),
        "cell_request_charge_voltage": draw(st.floats(3.3, 3.6) | st.none()),
        "charge_overtemperature_protection": draw(st.floats(40, 70) | st.none()),
    }
    probes: dict[str, Any] = {"temperature_sensor_1": draw(TEMPERATURES), "temperature_sensor_2": draw(TEMPERATURES)}
    return values(
        cells=cells,
        state_of_charge=draw(st.integers(0, 100)),
        full_charge_capacity=draw(st.floats(20, 400)),
        current=draw(st.floats(-200, 200)),
        mosfet_temperature=draw(st.floats(-20, 100)),
        charging=draw(st.booleans()) or healthy,
        discharging=draw(st.booleans()) or healthy,
        alarms=() if healthy else draw(ALARMS),
        **settings,
        **probes,
    )


POLICIES = st.builds(
    Setpoints,
    charge_voltage=st.floats(3.36, 3.6) | st.none(),
    max_charge_current=st.floats(0, 500) | st.none(),
    max_discharge_current=st.floats(0, 500) | st.none(),
    min_discharge_voltage=st.floats(2.5, 3.2) | st.floats(42, 50) | st.none(),
    stale_discharge=st.sampled_from(("zero", "hold")),
    require_all=st.booleans(),
    grid_tied=st.booleans(),
    charge_rise=st.floats(1, 1000),
    discharge_rise=st.floats(1, 1000),
)
BANKS = st.lists(packs(), min_size=1, max_size=3)


def members(told: list[dict[str, Value]]) -> list[Candidate]:
    return [candidate(n, one) for n, one in enumerate(told, 1)]


def settled(policy: Setpoints, told: list[dict[str, Value]], seconds: int = 8) -> Bench:
    """A bench that has followed these packs for a while."""
    bench = Bench(policy)
    for _ in range(seconds):
        bench.step(*members(told))
    return bench


def no_braver(worse: Targets | None, better: Targets | None) -> None:
    """Silence is never brave; otherwise no current and no permission beyond the other's."""
    if worse is None:
        return
    assert better is not None
    assert worse.charge_current <= better.charge_current + 1e-9
    assert worse.discharge_current <= better.discharge_current + 1e-9
    assert worse.charge_enabled <= better.charge_enabled
    assert worse.discharge_enabled <= better.discharge_enabled


def compare(bench: Bench, told: list[dict[str, Value]], worse: list[Candidate], seconds: int = 3) -> None:
    """From the same past on, with better and with worse news."""
    other = deepcopy(bench)
    for _ in range(seconds):
        no_braver(other.step(*worse), bench.step(*members(told)))


@given(POLICIES, BANKS, st.integers(0, 2), st.floats(0, 0.4))
def test_no_charge_while_a_cell_is_at_its_limit(policy: Setpoints, told: Any, which: int, over: Any) -> None:
    bench = settled(policy, told)
    which %= len(told)
    full = dict(told[which])
    state = settled(policy, [full | {"alarms": (), "charging": True}]).state
    stop = bounds(state.counted[0], policy).stop
    cells = (stop + over, *full["cell_voltage"][1:])
    full |= {"cell_voltage": cells, "total_voltage": sum(cells)}
    targets = bench.step(*members([*told[:which], full, *told[which + 1 :]]))
    assert targets is None or (targets.charge_current == 0 and not targets.charge_enabled)


@given(POLICIES, BANKS, st.integers(0, 2), st.booleans())
def test_a_missing_pack_never_raises_a_limit(policy: Setpoints, told: Any, which: int, silent: bool) -> None:
    bench = settled(policy, told)
    before = bench.decision
    which %= len(told)
    everybody = members(told)
    left = everybody[:which] + everybody[which + 1 :]
    worse = [*left, candidate(which + 1, told[which], age=11.0)] if silent else left
    if before and before.charge_current == bench.limiter._flows["charge"].allowed.amps:
        other = deepcopy(bench)
        for _ in range(5):
            after = other.step(*worse)
            assert after is None or after.charge_current <= before.charge_current + 1e-9
            # the voltage of other packs is the one thing that may move it
            present = max((view.voltage for view in other.state.counted), default=0.0) + 0.1
            assert after is None or after.charge_voltage <= max(before.charge_voltage, present)
    compare(bench, told, worse, seconds=5)


WORSE_FOR_BOTH = st.sampled_from(
    (
        {"mosfet_temperature": 89.0},
        {"mosfet_temperature": 120.0},
        {"temperature_sensor_1": 54.0},
        {"temperature_sensor_1": 69.9},
        {"temperature_sensor_2": -24.9},
        {"charging": False},
        {"discharging": False},
        {"charging_switch": False},
        {"alarms": None},
        {"charging": None},
        {"total_voltage": nan},
        {"state_of_charge": None},
        {"current": nan},
        {"max_charge_current": 0.0, "max_discharge_current": 0.0},
        {"temperature_sensor_1": 500.0},
        *({"alarms": (name,)} for name in ALARM_NAMES),
    )
)


@given(POLICIES, st.lists(packs(healthy=True), min_size=1, max_size=3), st.integers(0, 2), WORSE_FOR_BOTH)
def test_worse_news_of_one_pack_never_gives_more(policy: Setpoints, told: Any, which: int, change: Any) -> None:
    which %= len(told)
    mild = dict.fromkeys(("mosfet_temperature", "temperature_sensor_1", "temperature_sensor_2"), 25.0)
    sound = [one | mild for one in told]
    bench = settled(policy, sound)
    worse = [*sound[:which], sound[which] | change, *sound[which + 1 :]]
    compare(bench, sound, members(worse))


@given(POLICIES, BANKS, st.integers(0, 2), st.sampled_from(ALARM_NAMES))
def test_one_more_alarm_never_gives_more(policy: Setpoints, told: Any, which: int, name: Any) -> None:
    bench = settled(policy, told)
    which %= len(told)
    alarms = (*told[which]["alarms"], name)
    compare(bench, told, members([*told[:which], told[which] | {"alarms": alarms}, *told[which + 1 :]]))


@given(POLICIES, BANKS, st.integers(0, 2), st.integers(0, 15), st.floats(0, 1.5))
def test_a_higher_cell_never_gives_more_charge(policy: Setpoints, told: Any, which: int, cell: int, more: Any) -> None:
    bench = settled(policy, told)
    which %= len(told)
    cells = list(told[which]["cell_voltage"])
    cells[cell] += more
    worse = told[which] | {"cell_voltage": tuple(cells)}
    other = deepcopy(bench)
    better = bench.step(*members(told))
    after = other.step(*members([*told[:which], worse, *told[which + 1 :]]))
    assert after is None or (better and after.charge_current <= better.charge_current + 1e-9)


@given(POLICIES, BANKS, st.integers(0, 2), st.integers(0, 15), st.floats(0, 2.5))
def test_a_lower_cell_never_gives_more_discharge(
    policy: Setpoints, told: Any, which: int, cell: int, less: Any
) -> None:
    bench = settled(policy, told)
    which %= len(told)
    cells = list(told[which]["cell_voltage"])
    cells[cell] -= less
    worse = told[which] | {"cell_voltage": tuple(cells)}
    other = deepcopy(bench)
    better = bench.step(*members(told))
    after = other.step(*members([*told[:which], worse, *told[which + 1 :]]))
    assert after is None or (better and after.discharge_current <= better.discharge_current + 1e-9)


@given(POLICIES, BANKS, st.floats(2.1, 20))
def test_older_data_never_gives_more(policy: Setpoints, told: Any, age: Any) -> None:
    bench = settled(policy, told)
    compare(bench, told, [candidate(n, one, age=age) for n, one in enumerate(told, 1)])


ANY_NUMBER = st.floats() | st.integers(-(10**9), 10**9) | st.none() | st.booleans() | st.just("text")
KEYS = sorted(values())


@given(
    POLICIES,
    st.lists(st.tuples(packs(), st.dictionaries(st.sampled_from(KEYS), ANY_NUMBER, max_size=3)), max_size=3),
    st.integers(1, 12),
    st.booleans(),
)
def test_outputs_are_numbers_within_their_bounds(policy: Setpoints, damaged: Any, seconds: int, enabled: bool) -> None:
    bench = Bench(policy)
    for n in range(seconds):
        told = [one if n % 2 else one | damage for one, damage in damaged]
        within_bounds(bench, policy, bench.step(*members(told), enabled=enabled))
    within_bounds(bench, policy, bench.step())
    within_bounds(bench, policy, bench.step(enabled=False))


def within_bounds(bench: Bench, policy: Setpoints, targets: Targets | None) -> None:
    if targets is None:
        return
    for key, value in targets:
        assert not isinstance(value, float) or isfinite(value), key
    assert 0 <= targets.charge_current <= (3000 if policy.max_charge_current is None else policy.max_charge_current)
    option = policy.max_discharge_current
    assert 0 <= targets.discharge_current <= (3000 if option is None else option)
    assert 0 < targets.discharge_voltage < 16 * 4.5
    known = bench.state.counted or bench.limiter._bank.counted
    present = max(view.voltage for view in known)
    highest = min(limit.highest * limit.cells for limit in bench.limiter._bounds.values())
    assert present - 1e-5 <= targets.charge_voltage <= max(highest, present + 0.1) + 1e-9
    assert targets.charge_enabled or targets.charge_current < 0.05
    assert targets.charge_enabled or not targets.force_charge_1
    assert set(targets.reasons) == {"charge_voltage", "charge_current", "discharge_voltage", "discharge_current"}
    assert bench.now < targets.valid_until <= bench.now + 3


@given(POLICIES, st.lists(BANKS, min_size=2, max_size=6))
def test_charge_rises_slowly_whatever_happens(policy: Setpoints, story: Any) -> None:
    bench, before = Bench(policy), 0.0
    for told in story:
        targets = bench.step(*members(told))
        if targets is not None:
            assert targets.charge_current <= before + policy.charge_rise + 1e-9
            before = targets.charge_current


@pytest.mark.parametrize("seconds", [1, 30])
@given(setpoints=POLICIES, told=BANKS)
def test_silence_is_never_brave(seconds: int, policy: Setpoints, told: Any) -> None:
    bench = settled(policy, told)
    for _ in range(seconds):
        targets = bench.step()
        assert targets is None or (targets.charge_current == 0 and not targets.charge_enabled)
        if targets and policy.stale_discharge == "zero":
            assert targets.discharge_current == 0
            assert not targets.discharge_enabled
