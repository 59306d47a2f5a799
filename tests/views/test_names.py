"""Names, ids and units: they tell themselves apart, and after a release they are what they are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.battery.alarms import ALARMS
from jkbms_addon.charging.owner import Owner
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.commands.rules import Range
from jkbms_addon.mqtt.discovery import Topics, payload
from jkbms_addon.views import bank, battery, health, inverter
from jkbms_addon.views.charging import Charge
from jkbms_addon.views.entities import Device, Identity
from jkbms_addon.views.languages import LANGUAGES, Language, translated
from jkbms_addon.views.names import ALARM_NAMES
from jkbms_addon.wire.pb.registers import WRITABLE

FROZEN = Path(__file__).with_name("frozen.json")
RENEW = "python -m tests.views.test_names"
SHOWN = 20  # characters of a name on a phone
KEYS = frozenset(key for key in battery.table() if battery.cell(key) <= 16)
CHARGE = Charge(None, Owner(), Setpoints())
DEVICES: dict[str, Device] = {
    "battery": battery.battery(("rs485", 1), KEYS, Identity()),
    "battery that may be changed": battery.battery(
        ("rs485", 1), KEYS, Identity(), dict.fromkeys(WRITABLE, Range(0, 1, 1))
    ),
    "bank": bank.device(["1", "2"], CHARGE, counted=True),
    "inverter": inverter.device("Pylontech", CHARGE, extremes=True),
    "bridge": health.bridge(["rs485"], writing=True),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("device", DEVICES)
def test_names_tell_themselves_apart_on_a_phone(device: str, language: Language) -> None:
    parts = payload(Topics(), DEVICES[device], language)["components"]
    names = {key: part["name"] for key, part in parts.items()}
    limit = SHOWN if language == "en" else SHOWN + 4
    assert {key: name for key, name in names.items() if len(name) > limit} == {}, (
        f"shorten them to {limit} characters; where the last word stayed English, views/languages.py has no line for "
        "the whole name"
    )
    seen: dict[str, str] = {}
    shown = {key: name[:SHOWN].lower() for key, name in names.items()}
    alike = [(seen[name], key) for key, name in shown.items() if seen.setdefault(name, key) != key]
    assert alike == [], f"their first {SHOWN} characters are the same"


def test_every_alarm_has_a_short_name() -> None:
    assert set(ALARM_NAMES) == set(ALARMS)


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
def test_what_is_enabled_or_may_be_changed_is_translated(language: Language) -> None:
    """A word may be the same in two languages, but not most of them."""
    every = [e for device in DEVICES.values() for e in device.entities if e.spec.enabled and e.key != "writing"]
    quantities = {entity.spec.name for entity in every}
    from jkbms_addon.views.languages import _names

    known = _names(language)
    missing = [name for name in quantities if name not in known and name.rpartition(" ")[0] not in known]
    assert [name for name in missing if name not in UNTRANSLATED] == [], "give them a line in views/languages.py"
    same = [name for name in quantities if translated(name, language) == name]
    assert len(same) < len(quantities) / 8


UNTRANSLATED = {"Heartbeat ids", "Max cell number", "Min cell number", "Max temp. number", "Min temp. number"}


def test_a_number_or_a_name_behind_it_stays() -> None:
    assert translated("Cell voltage 16", "de") == "Zellspannung 16"
    assert translated("Share of pack a/2", "fr") == "Part du pack a/2"
    assert translated("Something else", "de") == "Something else"
    parts = payload(Topics(), DEVICES["bridge"], "de")["components"]
    assert parts["rs485_connected"]["name"] == "rs485 verbunden"


def ids(device: str) -> dict[str, Any]:
    """What must not change: proposed ids, unique ids, units and classes."""
    parts = payload(Topics(), DEVICES[device])["components"]
    fields = ("unique_id", "default_entity_id", "unit_of_measurement", "device_class", "state_class")
    return {key: [part.get(field) for field in fields] for key, part in parts.items()}


def test_ids_units_and_classes_are_frozen() -> None:
    """``changed`` finds what went away, too."""
    now, frozen = {device: ids(device) for device in DEVICES}, json.loads(FROZEN.read_text(encoding="utf-8"))
    changed = {
        (device, key): (entry, now[device].get(key))
        for device, parts in frozen.items()
        for key, entry in parts.items()
        if now[device].get(key) != entry
    }
    assert changed == {}, f"this costs users their history; if it must be: CHANGELOG and {RENEW}"
    more = [(device, key) for device, parts in now.items() for key in parts if key not in frozen[device]]
    assert more == [], f"new entities: are key, unit and class as they shall stay for ever? Then {RENEW}"


def test_units_that_would_end_the_statistics_of_those_who_come_from_elsewhere() -> None:
    """``cycles`` would stop those of four other projects, whose counter has no unit."""
    units = {key: row[2] for key, row in ids("battery").items()}
    assert units["charging_cycles"] is None
    assert units["cell_resistance_1"] == "Ω"
    counted = {unit for unit in units.values() if unit}
    assert counted <= {"V", "A", "W", "%", "Ah", "s", "h", "ms", "µs", "°C", "Ω", "kWh"}


def test_switches_have_the_ids_that_cards_look_for() -> None:
    parts = payload(Topics(), DEVICES["battery that may be changed"])["components"]
    wanted = {"charging_switch": "charging", "discharging_switch": "discharging", "balancing_switch": "balancer"}
    wanted["heating_switch"] = "heater"
    assert {key: parts[key]["default_entity_id"] for key in wanted} == {
        key: f"switch.jk_bms_1_{name}" for key, name in wanted.items()
    }
    assert parts["charging"]["default_entity_id"] == "binary_sensor.jk_bms_1_charging"
    assert parts["total_runtime_formatted"]["default_entity_id"] == "sensor.jk_bms_1_total_runtime_formatted"


def test_no_id_of_an_entity_is_translated() -> None:
    plain = payload(Topics(), DEVICES["bank"])["components"]
    german = payload(Topics(), DEVICES["bank"], "de")["components"]
    assert {k: {f: v for f, v in p.items() if f != "name"} for k, p in plain.items()} == {
        k: {f: v for f, v in p.items() if f != "name"} for k, p in german.items()
    }
    assert all(re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", part["default_entity_id"]) for part in german.values())


if __name__ == "__main__":
    FROZEN.write_text(json.dumps({d: ids(d) for d in DEVICES}, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
