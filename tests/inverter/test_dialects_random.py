"""20,000 random states for each dialect, read back by receivers that do not know our tables."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.state import ALARMS, PROTECTIONS, State
from tests.inverter.receivers import PAIR_ITEMS, Told, receiver

STATES = 20_000
ON_CAN = [name for name, dialect in DIALECTS.items() if dialect.port == "can"]
SEED = 17
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-./"
# resolution on the wire, and the range of it, for each key; a dialect's own are below
COMMON = {
    "charge_voltage": (0.1, 0, 6553.5),
    "charge_current": (0.1, 0, 3276.7),
    "discharge_current": (0.1, 0, 3276.7),
    "discharge_voltage": (0.1, 0, 6553.5),
    "state_of_charge": (1, 0, 100),
    "state_of_health": (1, 0, 100),
    "state_of_charge_precise": (0.01, 0, 100),
    "voltage": (0.01, -327.68, 327.67),
    "current": (0.1, -3276.8, 3276.7),
    "temperature": (0.1, -3276.8, 3276.7),
    "max_temperature": (0.1, -3276.8, 3276.7),
    "min_temperature": (0.1, -3276.8, 3276.7),
    "min_cell_voltage": (0.001, 0, 65.535),
    "max_cell_voltage": (0.001, 0, 65.535),
    "full_charge_capacity": (1, 0, 65535),
    "capacity_remaining": (1, 0, 65535),
    "charged_energy": (0.1, 0, 429496729.5),
    "discharged_energy": (0.1, 0, 429496729.5),
    "charging_cycles": (1, 0, 65535),
    "modules": (1, 0, 255),
    "modules_blocking_charge": (1, 0, 65535),
    "modules_blocking_discharge": (1, 0, 65535),
    "modules_offline": (1, 0, 65535),
    "product": (1, 0, 65535),
}
OWN: dict[str, dict[str, tuple[float, float, float]]] = {
    "victron": {"modules": (1, 0, 65535)},
    "pylontech_v2": {"modules": (1, 0, 65535)},
    "sol_ark": {"voltage": (0.1, -3276.8, 3276.7)},
    "sma": {
        "charge_voltage": (0.1, 41, 63),
        "charge_current": (0.1, 0, 1200),
        "discharge_current": (0.1, 0, 1200),
        "discharge_voltage": (0.1, 41, 48),
        "current": (0.1, -3276.7, 3276.7),
        "voltage": (0.01, -327.67, 327.67),
        "temperature": (0.1, -3276.7, 3276.7),
        "full_charge_capacity": (1, 0, 65534),
    },
    "deye_pcs": {"full_charge_capacity": (0.1, 0, 6553.5)},
    "growatt_lv": {
        "charge_current": (0.1, 0, 6553.5),
        "discharge_current": (0.1, 0, 6553.5),
        "capacity_remaining": (0.01, 0, 655.35),
        "full_charge_capacity": (0.01, 0, 655.35),
    },
}
UNKNOWN_HEALTH, MILD = 100, 25.0
NAMES = {  # with which it introduces itself where nobody gave it another one
    **dict.fromkeys(("pylontech", "pylontech_v2", "sol_ark"), "PYLON"),
    **dict.fromkeys(("victron", "sma", "luxpower"), "JK BMS"),
    "goodwe": "Energy",
    "growatt_lv": "JK",
}
# name of a state -> item of the receiver, in pairs and in the bits of 0x359
PAIR_NAMES = {
    **{item: item for item in PAIR_ITEMS if not item.startswith("reserved")},
    **dict.fromkeys(("system_error", "internal_comm_fail", "cell_failure"), "internal"),
}
BIT_NAMES = {
    **{
        name: name
        for name in (
            *("over_voltage", "under_voltage", "over_temperature", "under_temperature"),
            *("discharge_over_current", "charge_over_current"),
        )
    },
    "charge_over_temperature": "over_temperature",
    "charge_under_temperature": "under_temperature",
}
GROWATT_NAMES = {
    "over_voltage": {"over_voltage"},
    "under_voltage": {"under_voltage"},
    "discharge_over_current": {"discharge_over_current"},
    "charge_over_current": {"charge_over_current"},
    "over_temperature": {"charge_over_temperature", "discharge_over_temperature"},
    "charge_over_temperature": {"charge_over_temperature"},
    "under_temperature": {"charge_under_temperature"},
    "charge_under_temperature": {"charge_under_temperature"},
    "cell_imbalance": {"delta"},
}


def text(draw: random.Random, most: int) -> str:
    return "".join(draw.choice(LETTERS) for _ in range(draw.randint(1, most)))


def some(draw: random.Random, value: Any) -> Any:
    return value if draw.random() < 0.85 else None


def number(draw: random.Random, low: float, high: float) -> float:
    """Mostly what batteries have, sometimes far beyond any field."""
    if draw.random() < 0.03:
        return draw.choice((-1e9, -0.04, 0, 1e9))
    return draw.uniform(low, high)


def random_state(draw: random.Random) -> State:
    capacity = number(draw, 20, 3000)
    values: dict[str, Any] = dict(
        charge_voltage=number(draw, 40, 65),
        charge_current=number(draw, 0, 1500),
        discharge_current=number(draw, 0, 1500),
        discharge_voltage=number(draw, 38, 52),
        state_of_charge=draw.choice((draw.uniform(-1, 101), float(draw.randint(0, 100)))),
        **({"state_of_charge_precise": None} if draw.random() < 0.15 else {}),
        state_of_health=some(draw, draw.uniform(0, 100)),
        voltage=number(draw, 40, 60),
        current=draw.choice((0.0, draw.uniform(-0.2, 0.2), number(draw, -900, 900))),
        temperature=some(draw, number(draw, -40, 90)),
        **{
            key: draw.random() < 0.5
            for key in (
                *("charge_enabled", "discharge_enabled"),
                *("force_charge_1", "force_charge_2", "full_charge_request"),
            )
        },
        protections=tuple(draw.sample(PROTECTIONS, draw.choice((0, 0, 1, 2, 5)))),
        alarms=tuple(draw.sample(ALARMS, draw.choice((0, 0, 1, 2, 5)))),
        modules=draw.choice((draw.randint(0, 16), draw.randint(0, 100_000))),
        module_addresses=tuple(draw.sample(range(16), draw.randint(0, 8))),
        manufacturer=some(draw, text(draw, 8)),
        min_cell_voltage=some(draw, number(draw, 2, 4)),
        max_cell_voltage=some(draw, number(draw, 2, 4)),
        min_temperature=some(draw, number(draw, -40, 90)),
        max_temperature=some(draw, number(draw, -40, 90)),
        **{
            f"{key}_at": some(draw, f"{draw.randint(1, 16)}-{draw.randint(1, 32)}")
            for key in ("min_cell_voltage", "max_cell_voltage", "min_temperature", "max_temperature")
        },
        charging_cycles=some(draw, abs(number(draw, 0, 6000))),
        full_charge_capacity=some(draw, capacity),
        capacity_remaining=some(draw, capacity * draw.random()),
        charged_energy=some(draw, number(draw, 0, 100_000)),
        discharged_energy=some(draw, number(draw, 0, 100_000)),
        **{
            f"modules_{what}": draw.choice((draw.randint(0, 16), draw.randint(0, 100_000)))
            for what in ("blocking_charge", "blocking_discharge", "offline")
        },
        faulty_module=draw.randint(0, 300),
        cell_count=draw.randint(0, 300),
        model=some(draw, text(draw, 16)),
        serial_number=some(draw, text(draw, 16)),
        hardware_version=some(draw, f"{draw.randint(0, 120)}.{draw.randint(0, 120)}"),
        software_version=some(draw, f"{draw.randint(0, 120)}.{draw.randint(0, 120)}"),
        product=some(draw, draw.randint(0, 70_000)),
        date=some(draw, datetime.fromtimestamp(draw.randint(946_684_800, 2_900_000_000), UTC)),
    )
    return State(**values)


def near(told: float, meant: float, key: str, name: str) -> bool:
    """Whether a number is the nearest that the wire can say, within the dialect's range."""
    step, low, high = OWN.get(name, {}).get(key) or COMMON[key]
    return abs(told - min(max(meant, low), high)) <= step / 2 + 1e-6


def fits(told: Told, state: State, name: str, keys: Iterable[str]) -> None:
    for key in keys:
        if key not in told:
            continue
        meant, value = getattr(state, key), told[key]
        if isinstance(value, bool):
            assert value is bool(meant), key
        elif key == "manufacturer":
            whole = meant or NAMES[name]
            assert value == (whole[:2] if name == "growatt_lv" else whole)
        elif key == "state_of_health" and meant is None and name != "sma":
            assert value == UNKNOWN_HEALTH
        elif key == "temperature" and meant is None and name != "sma":
            assert value == MILD
        elif value is None or meant is None:
            assert (value, meant) == (None, None) or (value == 0 and meant is None), key
        elif isinstance(meant, str):
            assert value == meant[: len(value)], key
            assert value, key
        else:
            assert near(value, meant, key, name), (key, value, meant)


def told_bits(names: Iterable[str], more: dict[str, str]) -> set[str]:
    table = {**BIT_NAMES, **more}
    return {table[name] for name in names if name in table}


def check_bits(told: Told, state: State, name: str) -> None:
    if name == "growatt_lv":
        system = {"system_error": {"system"}, "contactor": {"system"}, "short_circuit": {"short_circuit"}}
        internal = {key: {"internal_comm"} for key in ("internal_comm_fail", "cell_failure", "system_error")}
        for key, finer in (("protections", system), ("alarms", internal)):
            table = {**GROWATT_NAMES, **finer}
            assert told[key] == set().union(*(table.get(one, set()) for one in getattr(state, key)))
        return
    if "protections" in told:
        more = {"short_circuit": "discharge_over_current"}
        if name != "goodwe":
            more |= {"system_error": "system", "contactor": "system"}
        assert told["protections"] == told_bits(state.protections, more)
        more = {"internal_comm_fail": "system"}
        more |= {"cell_failure": "cell_failure"} if name == "goodwe" else {}
        more |= {"system_error": "system"} if name == "sol_ark" else {}
        assert told["alarms"] == told_bits(state.alarms, more)
    if "alarm_pairs" in told:
        for key, names in (("alarm_pairs", state.protections), ("warning_pairs", state.alarms)):
            assert told[key] == {PAIR_NAMES[one] for one in names}
        supported = set(PAIR_ITEMS) if name != "sma" else {one for one in PAIR_ITEMS if not one.startswith("reserved")}
        assert told["cleared"] == (supported - told["alarm_pairs"], supported - told["warning_pairs"])


def check_forces(told: Told, state: State, name: str) -> None:
    if "forced_1" in told:  # by the names of the paper
        assert (told["forced_1"], told["forced_2"]) == (state.force_charge_1, state.force_charge_2)
    elif "bit_5" in told:
        assert (told["bit_5"], told["bit_4"]) == (state.force_charge_1, state.force_charge_2)
    if "please_charge" in told:
        assert told["please_charge"] is (state.force_charge_1 or state.force_charge_2)


def check_goodwe(told: Told, state: State) -> None:
    assert told["module_addresses"] == {n for n in state.module_addresses if n < 8}


def check_pylontech_v2(told: Told, state: State) -> None:
    if "capacity_remaining_tenths" in told:
        assert state.capacity_remaining is not None
        assert abs(told["capacity_remaining_tenths"] - min(max(state.capacity_remaining, 0), 6553.5)) <= 0.0501
    else:
        assert None in (state.capacity_remaining, state.state_of_charge_precise)
    check_known(told, state)


def check_known(told: Told, state: State) -> None:
    """A frame comes exactly when something is known."""
    cells = state.min_cell_voltage is not None and state.max_cell_voltage is not None
    assert ("min_kelvin" in told) is cells
    assert ("full_charge_capacity" in told) is (state.full_charge_capacity is not None)
    for key in ("min_cell_voltage_at", "max_cell_voltage_at", "min_temperature_at", "max_temperature_at"):
        assert told.get(key) == getattr(state, key)
    for key, kelvin in (("min_temperature", "min_kelvin"), ("max_temperature", "max_kelvin")):
        if kelvin in told:
            meant = getattr(state, key)
            assert abs(told[kelvin] - min(max(MILD if meant is None else meant, -273), 65262)) <= 0.5


def check_victron(told: Told, state: State) -> None:
    check_known(told, state)
    assert ("charged_energy" in told) is (None not in (state.charged_energy, state.discharged_energy))
    assert ("capacity_remaining" in told) is (state.capacity_remaining is not None)
    assert ("state_of_charge_precise" in told) is (state.state_of_charge_precise is not None)
    assert told.get("serial_number") == state.serial_number
    assert told["model"] == (state.model or "JK BMS")
    assert told["product_text"] == told["model"][:8]
    if state.software_version:
        assert told["version"] == tuple(min(int(one), 99) for one in state.software_version.split("."))


def check_sma(told: Told, state: State) -> None:
    assert "dropped" not in told
    assert told["type"] == (3 if state.product is None else min(state.product, 65534))
    if state.software_version:
        assert told["version"] == tuple(int(one) for one in state.software_version.split("."))
    assert (told["full_charge_capacity"] is None) is (state.full_charge_capacity is None)
    assert (told["state_of_charge_precise"] is None) is (state.state_of_charge_precise is None)


def check_deye_pcs(told: Told, state: State) -> None:
    assert told["digits"] == min(max(state.modules, 1), 999)
    assert told["maker"] == (5 if state.product is None else min(state.product, 255))
    counts = (
        *(state.modules, state.modules_blocking_charge, state.modules_blocking_discharge, state.modules_offline),
        state.modules + state.modules_offline,
    )
    assert told["counts"] == tuple(min(one, 255) for one in counts)
    assert told["on_grid"] == (told["charge_current"], told["discharge_current"])
    check_temperatures(told, state, "max_cell_voltage" in told)


def check_temperatures(told: Told, state: State, there: bool) -> None:
    """An extreme that is not known is the mean, and without one 25 °C."""
    mean = MILD if state.temperature is None else state.temperature
    for key in ("max_temperature", "min_temperature") if there else ():
        meant = getattr(state, key)
        assert near(told[key], mean if meant is None else meant, key, "deye_pcs"), key


def check_luxpower(told: Told, state: State) -> None:
    mean = MILD if state.temperature is None else state.temperature
    low = mean if state.min_temperature is None else state.min_temperature
    high = mean if state.max_temperature is None else state.max_temperature
    assert near(told["min_temperature"], low, "min_temperature", "luxpower")
    floor = min(told["min_temperature"] + 0.1, 3276.7)  # never equal, as YamBMS has it
    if low > -3276.8:  # beyond the field there is no step left
        assert abs(told["max_temperature"] - min(max(high, floor), 3276.7)) <= 0.0501
    cells = None not in (state.max_cell_voltage, state.min_cell_voltage)
    assert ("max_cell_voltage" in told) is cells


def check_growatt_lv(told: Told, state: State) -> None:
    flowing = round(told["current"], 1)
    assert told["state"] == told["inverter_state"] == (1 if flowing == 0 else 2 if flowing > 0 else 3)
    known = None not in (state.min_cell_voltage, state.max_cell_voltage)
    delta = state.max_cell_voltage - state.min_cell_voltage if known else 0  # type: ignore[operator]
    assert abs(told["delta"] - min(max(delta, 0), 65.535)) <= 0.000501
    for key in ("min", "max"):
        place = getattr(state, f"{key}_cell_voltage_at")
        assert told[f"{key}_cell_number"] == (int(place.split("-")[1]) if place else 0)
    assert told["faulty_module"] == min(state.faulty_module, 255)
    assert told["cell_count"] == min(state.cell_count, 255)
    date = state.date
    assert told["date"] == (
        (date.year, date.month, date.day, date.hour, date.minute, date.second) if date else (2000, 0, 0, 0, 0, 0)
    )
    assert 1 <= told["hardware"] <= 9
    assert 1 <= told["software"] <= 9
    mean = MILD if state.temperature is None else state.temperature
    assert near(
        told["max_temperature"],
        mean if state.max_temperature is None else state.max_temperature,
        "max_temperature",
        "growatt_lv",
    )


CHECKS: dict[str, Any] = {
    "goodwe": check_goodwe,
    "pylontech_v2": check_pylontech_v2,
    "victron": check_victron,
    "sma": check_sma,
    "deye_pcs": check_deye_pcs,
    "luxpower": check_luxpower,
    "growatt_lv": check_growatt_lv,
}
APART = {  # keys that the own checks compare
    "luxpower": {"max_temperature", "min_temperature"},
    "deye_pcs": {"max_temperature", "min_temperature"},
    "growatt_lv": {"max_temperature"},
}
NOT_NUMBERS = {"protections", "alarms", "module_addresses", "date", "model", "serial_number"}


@pytest.mark.parametrize("name", ON_CAN)
def test_a_receiver_reads_what_was_meant(name: str) -> None:
    draw, dialect = random.Random(SEED), DIALECTS[name]
    hears = receiver(name)
    keys = [key for key in State.model_fields if key not in NOT_NUMBERS | APART.get(name, set())]
    keys = [key for key in keys if name != "growatt_lv" or key not in {"faulty_module", "cell_count"}]
    for _ in range(STATES):
        state = random_state(draw)
        told = hears(dialect.frames(state))
        if name == "luxpower" and state.full_charge_capacity is None:
            assert told.pop("full_charge_capacity") == 0
        fits(told, state, name, keys)
        check_bits(told, state, name)
        check_forces(told, state, name)
        if name in CHECKS:
            CHECKS[name](told, state)


@pytest.mark.parametrize("name", ON_CAN)
def test_exact_frames_are_the_beginning_of_the_padded_ones(name: str) -> None:
    draw, dialect = random.Random(SEED), DIALECTS[name]
    for _ in range(500):
        state = random_state(draw)
        padded, exact = dialect.frames(state), dialect.frames(state, "exact")
        assert [can_id for can_id, _ in padded] == [can_id for can_id, _ in exact]
        for (can_id, whole), (_, short) in zip(padded, exact, strict=True):
            if (name, can_id) != ("pylontech_v2", 0x355):  # the firmware leaves the finer charge empty
                assert whole[: len(short)] == short
        assert {can_id for can_id, _ in padded} <= dialect.ids


def test_the_old_firmware_s_charge() -> None:
    state = random_state(random.Random(SEED)).model_copy(update={"state_of_charge_precise": 84.0})
    exact = dict(DIALECTS["pylontech_v2"].frames(state, "exact"))[0x355]
    assert exact[4:] == bytes(2)
