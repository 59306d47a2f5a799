"""The devices "Battery bank" and "Inverter": what Home Assistant is told of them, and when."""

import json
from typing import Any

import pytest

from jkbms_addon.bank.bank import published
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.charging.owner import NUMBERS, Owner
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.report import Emission, Report, sent_keys
from jkbms_addon.inverter.state import Targets, said
from jkbms_addon.mqtt.bank_discovery import (
    BANK_ENTITIES,
    CHARGING_ENTITIES,
    EXTREMES,
    INVERTER_ENTITIES,
    LIMIT_ENTITIES,
    bank_extra,
    bank_payload,
    inverter_extra,
    inverter_payload,
)
from jkbms_addon.mqtt.discovery import Topics
from jkbms_addon.mqtt.outbox import Announced, Extra, Message, Outbox
from tests.bank.packs import Bench, candidate, running
from tests.mqtt.test_discovery import DEVICE, TOP

TOPICS = Topics()


def reported(bench: Bench | None = None, emission: Emission | None = None, **options: Any) -> Report:
    decision = bench.decision if bench else None
    return Report(decision, emission or Emission(), BusStatus("inverter"), Owner(), Setpoints(**options))


BANK = bank_payload(TOPICS, ["1", "a/2"])
STEERED = bank_payload(TOPICS, ["1", "a/2"], reported())
INVERTER = inverter_payload(TOPICS, "Pylontech", reported(), extremes=True)
BOTH = [
    pytest.param(BANK, "bank", id="bank"),
    pytest.param(STEERED, "bank", id="bank with limits"),
    pytest.param(INVERTER, "inverter", id="inverter"),
]


@pytest.mark.parametrize(("payload", "name"), BOTH)
def test_home_assistant_takes_the_device_and_every_entity(payload: dict[str, Any], name: str) -> None:
    assert set(payload) <= TOP
    assert set(payload["device"]) <= DEVICE
    assert payload["device"]["identifiers"] == [f"jkbms_{name}"]
    for key, part in payload["components"].items():
        assert part["unique_id"] == f"jkbms_{name}_{key}"
        assert part["default_entity_id"] == f"{part['p']}.jk_bms_{name}_{key}"
        assert part["name"]
        assert part["p"] == "button" or part["state_topic"] == f"jkbms/{name}/state"
        if part["p"] == "binary_sensor":
            assert not {"unit_of_measurement", "state_class"} & set(part)
    classes = [part.get("device_class") for part in payload["components"].values()]
    assert classes.count("battery") == 1


def test_switch_and_button_have_their_topics() -> None:
    parts = INVERTER["components"]
    assert (parts["enable"]["p"], parts["enable"]["command_topic"]) == ("switch", "jkbms/inverter/enable/set")
    assert (parts["stop"]["p"], parts["stop"]["command_topic"]) == ("button", "jkbms/inverter/stop/set")


def test_what_is_published_is_what_is_announced() -> None:
    bench = running(packs=2)
    told = published(bench.state)
    assert {key for key in told if not key.startswith("sharing_") or key == "sharing_error"} == set(BANK_ENTITIES)
    owner = {f"set_{key}" for key in (*NUMBERS, "grid_charge")} | {"charging", "discharging"}
    report = reported(bench).published(0.0)
    assert set(report) == set(INVERTER_ENTITIES) | {"enable"} | owner
    assert set(reported(bench).limits()) == {*LIMIT_ENTITIES, *CHARGING_ENTITIES, *owner}
    assert {*sent_keys(extremes=False)} < set(report)
    assert len(EXTREMES) == 8


def test_the_owner_steers_within_the_options() -> None:
    parts = inverter_payload(TOPICS, "Pylontech", reported(max_charge_current=120.0), extremes=False)["components"]
    amperes, cells = parts["set_max_charge_current"], parts["set_charge_voltage"]
    assert (amperes["p"], amperes["min"], amperes["max"]) == ("number", 0, 120)
    assert (cells["min"], cells["max"], cells["step"]) == (3.40, 3.60, 0.01)
    assert cells["command_topic"] == "jkbms/inverter/set_charge_voltage/set"
    assert parts["set_grid_charge"]["options"] == ["never", "emergency", "full"]
    assert parts["discharging"]["p"] == "switch"
    assert parts["balance"]["p"] == "button"
    never = inverter_payload(TOPICS, "Pylontech", reported(grid_charge="never"), extremes=False)["components"]
    assert never["set_grid_charge"]["options"] == ["never"]


def test_numbers_fit_the_cells() -> None:
    bench = running(Setpoints(chemistry="LTO"))
    parts = inverter_payload(TOPICS, "Pylontech", reported(bench), extremes=False)["components"]
    assert (parts["set_charge_voltage"]["min"], parts["set_charge_voltage"]["max"]) == (2.50, 2.80)


def test_a_pack_alone_and_an_inverter_that_is_not_there() -> None:
    """Limits and numbers on the bank, where there is no inverter to be told them."""
    told = reported(running(packs=2)).limits()
    assert (told["charge_voltage"], told["charge_current"], told["phase"]) == (55.2, 180, "bulk")
    assert told["charge_voltage_reason"] == "charge up to 55.2 V: requested voltage of pack 1"
    assert (told["set_charge_voltage"], told["set_max_charge_current"], told["set_grid_charge"]) == (
        3.45,
        None,
        "never",
    )


def test_every_value_that_is_sent_is_shown_with_its_reason() -> None:
    emission = Emission()
    emission.note(0x305, 100.0)
    emission.note(0x123, 101.0)
    emission.sent()
    bench = running(packs=2)
    assert bench.decision
    targets: Targets = said(bench.decision)
    told = reported(bench, emission).published(103.2)
    assert told["charge_current"] == round(targets.charge_current, 1)
    assert told["charge_current_reason"] == targets.reasons["charge_current"]
    assert (told["heartbeat_age"], told["heartbeats"], told["heartbeat_ids"]) == (3, 1, "305")
    assert (told["emitting"], told["reason"], told["phase"]) == (True, "ok", "bulk")
    assert (told["protections"], told["alarms"]) == ("none", "none")


def test_without_a_decision_everything_is_unknown_and_the_reason_says_why() -> None:
    emission = Emission()
    emission.silent("waiting")
    told = Report(None, emission, BusStatus("inverter"), Owner(enabled=False), Setpoints()).published(0.0)
    assert told["charge_current"] is None
    assert told["heartbeat_age"] is None
    assert (told["emitting"], told["enable"], told["reason"]) == (False, False, "waiting")


# --- when it is said -----------------------------------------------------------------------------------
class Told:
    """An outbox with a bank of batteries behind it."""

    def __init__(self, *, always: bool = False, announced: dict[str, Announced] | None = None) -> None:
        self.bench, self.count = Bench(), 0
        self.emission = Emission()
        extras: list[Extra] = [
            bank_extra(TOPICS, lambda: self.bench.state, lambda: self.count, always=always),
            inverter_extra(TOPICS, self.report, lambda: self.count, "Pylontech", extremes=False),
        ]
        self.outbox = Outbox(TOPICS, Store(lambda: 0.0), {}, {}, announced, extras=extras)

    def report(self) -> Report:
        return reported(self.bench, self.emission)

    def due(self, topic: str) -> list[Message]:
        self.count += 1
        return [message for message in self.outbox.due(float(self.count)) if topic in message.topic]


def test_the_bank_appears_with_the_second_battery() -> None:
    told = Told()
    told.bench.step(candidate(1))
    assert told.due("bank") == []
    told.bench.step(candidate(1), candidate(2))
    config, state = told.due("bank")
    assert (config.topic, config.retain) == ("homeassistant/device/jkbms_bank/config", True)
    assert (state.topic, state.retain) == ("jkbms/bank/state", False)
    assert json.loads(state.payload)["packs_online"] == 2
    assert "sharing_2" in json.loads(config.payload)["components"]


def test_the_bank_appears_at_once_where_the_options_say_so() -> None:
    told = Told(always=True)
    assert [message.topic for message in told.due("bank")][1] == "jkbms/bank/state"


def test_state_once_for_each_step_and_everything_again_on_the_birth_message() -> None:
    told = Told()
    told.bench.step(candidate(1), candidate(2))
    assert len(told.due("inverter")) == 2
    assert [message.topic for message in told.due("inverter")] == ["jkbms/inverter/state"]
    assert [message.topic for message in told.outbox.due(99.0)] == ["jkbms/bridge/health"]
    told.outbox.forget()
    assert len(told.due("inverter")) == 2


def test_without_extremes_their_keys_are_neither_announced_nor_sent() -> None:
    told = Told()
    told.bench.step(candidate(1), candidate(2))
    config, state = told.due("inverter")
    assert not EXTREMES & set(json.loads(config.payload)["components"])
    assert not EXTREMES & set(json.loads(state.payload))


def test_what_is_not_wanted_any_more_is_removed() -> None:
    known = {"jkbms_inverter": Announced("homeassistant/device/jkbms_inverter/config", {"phase": "sensor"})}
    outbox = Outbox(TOPICS, Store(lambda: 0.0), {}, {}, known)
    assert Message("homeassistant/device/jkbms_inverter/config", "", retain=True) in outbox.due(0.0)
    assert "jkbms_inverter" not in outbox.announced


def test_shares_of_packs_that_were_not_heard_yet_are_not_buried() -> None:
    before = {"total_voltage": "sensor", "sharing_7": "sensor", "nonsense": "sensor"}
    told = Told(announced={"jkbms_bank": Announced("homeassistant/device/jkbms_bank/config", before)})
    told.bench.step(candidate(1), candidate(2))
    tombs, config, _ = told.due("bank")
    assert json.loads(tombs.payload)["components"]["nonsense"] == {"p": "sensor"}
    assert "sharing_7" not in json.loads(tombs.payload)["components"]
    assert "nonsense" not in json.loads(config.payload)["components"]


def test_names() -> None:
    assert INVERTER["device"]["name"] == "Inverter"
    assert BANK["device"]["name"] == "Battery bank"
