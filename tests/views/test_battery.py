"""The device of a battery: its values by part, and what of them is not worked out again."""

from typing import Any

import pytest

from jkbms_addon.battery.quantities import specs
from jkbms_addon.battery.reading import Reading, flat
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.rules import Range
from jkbms_addon.views import battery as views
from jkbms_addon.views.battery import Values, cell, columns, numbered, table
from jkbms_addon.views.entities import Identity
from jkbms_addon.wire.pb.frames import Frame, decode
from tests.battery.test_store import Clock
from tests.conftest import captures

KEY = ("a", 1)


def filled() -> tuple[Store, Clock]:
    """A battery with settings that expire and live data that lasts longer."""
    clock = Clock()
    store = Store(clock)
    store.update("a", Reading(1, "live", {"current": 1.0, "cell_voltage": (3.3, None, 3.2)}, valid_for=500))
    store.update("a", Reading(1, "settings", {"cell_count": 3}, valid_for=180))
    return store, clock


def snapshot(store: Store) -> Any:
    found = store.get(KEY)
    assert found
    return found


def test_values_are_what_the_captures_say_by_part() -> None:
    for capture in captures("jk_pb"):
        if capture["kind"] not in ("frame01", "frame02") or not capture["checksum_ok"]:
            continue
        reading = decode(Frame(int(capture["kind"][-1]), bytes.fromhex(capture["hex"]), 0), 1)
        told = views.split(reading.values, reading.alarm_names)
        expected = {k: v for k, v in flat(reading.values, reading.alarm_names).items() if v is not None}
        rows = table()
        for part, values in told.items():
            told_too = {k: v for k, v in values.items() if k in ("alarms", "total_runtime_formatted")}
            assert values == told_too | {k: v for k, v in expected.items() if k in rows and rows[k].topic == part}


def test_only_a_part_that_is_new_is_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    store, clock = filled()
    seen: list[Any] = []
    split = views.split

    def counted(values: Any, names: tuple[str, ...]) -> Any:
        seen.append(values)
        return split(values, names)

    monkeypatch.setattr(views, "split", counted)
    values = Values()
    first = values.of(snapshot(store), clock.now)
    store.update("a", Reading(1, "live", {"current": 2.0}, valid_for=500))
    second = values.of(snapshot(store), clock.now)
    assert [sorted(one) for one in seen] == [["cell_voltage", "current"], ["cell_count"], ["current"]]
    assert first["settings"] is second["settings"]
    assert (first["state"]["cell_voltage_3"], second["state"]) == (3.2, {"current": 2.0})


def test_what_has_expired_is_not_shown() -> None:
    store, clock = filled()
    values = Values()
    assert values.of(snapshot(store), clock.now)["settings"] == {"cell_count": 3}
    clock.now += 180
    assert values.of(snapshot(store), clock.now)["settings"] == {}


def test_columns_are_the_keys_of_one_part_in_the_order_of_the_table() -> None:
    known = frozenset({"cell_count", "current", "total_voltage", "cell_voltage_2", "model", "problem"})
    assert columns(known, "state") == ("total_voltage", "current", "cell_voltage_2", "problem")
    assert columns(known, "settings") == ("cell_count",)
    assert columns(known, "info") == ("model",)


def test_numbers_of_cells() -> None:
    assert [cell(key) for key in ("cell_voltage_1", "cell_resistance_32", "cell_count", "current")] == [1, 32, 0, 0]
    assert len(numbered("cell_voltage")) == 32
    assert set(specs()) - set(table()) == {"cell_voltage", "cell_resistance"}


def test_alarms_are_named_with_their_severities_the_worst_first() -> None:
    raised = ("change_the_default_password", "balance_wire_resistance_too_large", "cell_under_voltage_protection")
    state = views.split({"alarms": raised}, ())["state"]
    assert state["alarms"] == (
        "fault: Cell under-voltage protection; warning: Balance wire resistance too large; "
        "info: Change the default password"
    )
    assert views.split({"alarms": ()}, ())["state"]["alarms"] == "none"
    assert "alarms" not in views.split({"alarms": None}, ())["state"]


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 d 0 h"), (90061, "1 d 1 h"), (4e8, "4629 d 15 h")])
def test_a_running_time_in_words_has_no_minutes(seconds: float, words: str) -> None:
    assert views.split({"total_runtime": seconds}, ())["state"]["total_runtime_formatted"] == words


def test_what_an_owner_looks_at_is_enabled() -> None:
    keys = frozenset(key for key in table() if not (cell(key) > 16))
    entities = views.battery(KEY, keys, Identity()).entities
    enabled = [entity.key for entity in entities if entity.spec.enabled]
    assert 30 <= len(enabled) <= 44, enabled  # two of them only where there are no other temperatures
    assert not [key for key in enabled if table().get(key) and table()[key].topic != "state"]


def test_settings_are_there_to_be_changed_only_where_they_may_be() -> None:
    keys = frozenset({"charging_switch", "cell_voltage_overvoltage_protection", "charge_overcurrent_protection_delay"})
    shown = {e.key: e for e in views.battery(KEY, keys, Identity()).entities}
    assert {(e.kind, e.spec.enabled) for key, e in shown.items() if key in keys} == {
        ("binary_sensor", False),
        ("sensor", False),
    }
    ranges = dict.fromkeys(keys, Range(0, 1, 1))
    changed = {e.key: e for e in views.battery(KEY, keys, Identity(), ranges).entities}
    assert {key: (changed[key].kind, changed[key].spec.enabled) for key in keys} == {
        "charging_switch": ("switch", True),
        "cell_voltage_overvoltage_protection": ("number", True),
        "charge_overcurrent_protection_delay": ("number", False),
    }
