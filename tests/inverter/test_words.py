"""Frames read back in words, against receivers that do not know our tables."""

import random
from math import isfinite
from typing import Any

import pytest

from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.dialects.message import clock, moment
from jkbms_addon.inverter.dialects.pylontech_rs485 import Query, answer
from jkbms_addon.inverter.dialects.pylontech_rs485_words import KEYS, SHOWN
from jkbms_addon.inverter.dialects.words import OWN, UNITS, Statement, statements, vocabulary
from tests.inverter import receiver_rs485 as master
from tests.inverter.receiver_rs485 import opened
from tests.inverter.receivers import receiver
from tests.inverter.test_dialects_random import ON_CAN, SEED, STATES, random_state
from tests.inverter.test_pylontech_rs485 import BASE

LIMITS = ("charge_voltage", "charge_current", "discharge_current", "discharge_voltage")
MASTERS = {
    0x61: master.system_analog,
    0x62: master.system_alarms,
    0x63: master.system_management,
    0x42: master.analog,
    0x44: master.alarms,
    0x47: master.limits,
    0x92: master.management,
}


def said(name: str, frames: list[tuple[int, bytes]]) -> dict[str, list[Any]]:
    """Everything that a set says, by key; one key may stand in several frames."""
    found: dict[str, list[Any]] = {}
    for can_id, data in frames:
        for one in statements(DIALECTS[name], can_id, data):
            assert isinstance(one, Statement)
            found.setdefault(one.key, []).append(one.value)
    return found


def plain(value: object) -> bool:
    """Whether it can be told to a browser."""
    if isinstance(value, tuple):
        return all(isinstance(one, str) for one in value)
    return value is None or isinstance(value, bool | str) or (isinstance(value, int | float) and isfinite(value))


@pytest.mark.parametrize("name", ON_CAN)
def test_what_is_said_is_what_a_receiver_understands(name: str) -> None:
    draw, dialect = random.Random(SEED), DIALECTS[name]
    hears = receiver(name)
    compared: set[str] = set()
    for _ in range(STATES // 20):
        state = random_state(draw)
        frames = dialect.frames(state)
        told, words = hears(frames), said(name, frames)
        assert all(plain(value) for values in words.values() for value in values)
        for key, values in words.items():
            meant = told.get(key)
            if isinstance(meant, bool):
                assert meant in values, key
            elif isinstance(meant, int | float) and key not in ("min_temperature", "max_temperature"):
                assert any(isinstance(one, int | float) and abs(one - meant) < 1e-6 for one in values), (key, meant)
            elif isinstance(meant, str):
                assert any(isinstance(one, str) and meant.startswith(one.rstrip()) for one in values), (key, meant)
            else:
                continue
            compared.add(key)
    assert {"charge_voltage", "charge_current", "discharge_current", "voltage", "state_of_charge"} <= compared
    assert ("discharge_voltage" in compared) is (name != "growatt_lv")


@pytest.mark.parametrize("name", ON_CAN)
def test_flags_are_read_back(name: str) -> None:
    """Each by itself; the name that is read back is one that has the same bit."""
    dialect = DIALECTS[name]
    for key, names in (("protections", dialect.protections), ("alarms", dialect.alarms)):
        for one in names:
            state = BASE.model_copy(update={key: (one,)})
            (found, *more) = said(name, dialect.frames(state))[key]
            again = dialect.frames(BASE.model_copy(update={key: found}))
            assert dialect.frames(state) == again or more, (key, one, found)
            assert all(isinstance(text, str) for text in found)
        assert not any(said(name, dialect.frames(BASE)).get(key, ()))


@pytest.mark.parametrize("command", SHOWN)
def test_answers_on_rs485_are_read_back(command: int) -> None:
    draw = random.Random(SEED)
    for _ in range(STATES // 20):
        frame = answer(Query(2, command), random_state(draw))
        told = MASTERS[command](opened(frame)[2])
        found: dict[str, Any] = {one.key: one.value for one in statements(DIALECTS["pylontech_rs485"], command, frame)}
        assert all(map(plain, found.values()))
        for key in told.keys() & found.keys():
            meant, value = told[key], found[key]
            if isinstance(meant, int | float) and value is not None:
                assert abs(abs(value) - abs(meant)) < 1e-6 if key.endswith("_current") else abs(value - meant) < 1e-6
        if command in (0x63, 0x92):
            flags = {key for key, value in told.items() if value is True}
            assert set(found["status"]) - {"force_charge_1"} == flags - {"charge_now", "force_charge_1"}


def test_limits_are_said_by_every_dialect() -> None:
    for name in ON_CAN:
        words = said(name, DIALECTS[name].frames(BASE))
        low = name == "sma"  # no bank below 41 V
        assert words["charge_voltage"] == ([41.0] if low else [28.4])
        assert 55.5 in words["charge_current"]
    (limits,) = (
        {one.key: one.value for one in statements(DIALECTS["pylontech_rs485"], 0x63, answer(Query(2, 0x63), BASE))},
    )
    assert tuple(limits[key] for key in LIMITS) == (28.4, 55.5, 55.5, 23.2)


def test_every_unit_belongs_to_a_key() -> None:
    assert UNITS.keys() <= vocabulary()
    assert vocabulary() >= KEYS
    assert not [key for key in vocabulary() if key.startswith("_")], "what is derived needs a name"
    assert set(OWN.values()) <= vocabulary()


def test_a_clock_in_words() -> None:
    state = random_state(random.Random(SEED + 1))
    assert state.date
    assert moment(clock(state.date)) == f"{state.date:%Y-%m-%d %H:%M:%S}"
    assert moment(0) == ""
