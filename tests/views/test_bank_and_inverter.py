"""The devices "Battery bank" and "Inverter": what Home Assistant is told of them, and when."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.charging.control import Control
from jkbms_addon.charging.memory import Memory
from jkbms_addon.charging.owner import NUMBERS, Owner
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.emission import Emission
from jkbms_addon.mqtt.discovery import Topics, payload
from jkbms_addon.mqtt.outbox import Outbox
from jkbms_addon.mqtt.register import Announced, Message
from jkbms_addon.views import bank, charging, inverter
from jkbms_addon.views.charging import Charge
from jkbms_addon.views.inverter import EXTREMES, Report, sent_keys
from tests.bank.packs import WALL, Bench, candidate, running
from tests.mqtt.test_discovery import DEVICE, TOP

if TYPE_CHECKING:
    from jkbms_addon.views.entities import Shown

TOPICS = Topics()


def charge(bench: Bench | None = None, *, owner: Owner | None = None, **options: Any) -> Charge:
    return Charge(bench.decision if bench else None, owner or Owner(), Setpoints(**options))


def reported(bench: Bench | None = None, emission: Emission | None = None) -> Report:
    return Report(charge(bench), emission or Emission(), BusStatus("inverter"))


BANK = payload(TOPICS, bank.device(["1", "a/2"]))
STEERED = payload(TOPICS, bank.device(["1", "a/2"], charge()))
INVERTER = payload(TOPICS, inverter.device("Pylontech", charge(), extremes=True))
BOTH = [
    pytest.param(BANK, "bank", id="bank"),
    pytest.param(STEERED, "bank", id="bank with limits"),
    pytest.param(INVERTER, "inverter", id="inverter"),
]


@pytest.mark.parametrize(("told", "name"), BOTH)
def test_home_assistant_takes_the_device_and_every_entity(told: dict[str, Any], name: str) -> None:
    assert set(told) <= TOP
    assert set(told["device"]) <= DEVICE
    assert told["device"]["identifiers"] == [f"jkbms_{name}"]
    for key, part in told["components"].items():
        assert part["unique_id"] == f"jkbms_{name}_{key}"
        assert part["default_entity_id"] == f"{part['p']}.jk_bms_{name}_{key}"
        assert part["name"]
        assert part["p"] == "button" or part["state_topic"] == f"jkbms/{name}/state"
        if part["p"] == "binary_sensor":
            assert not {"unit_of_measurement", "state_class"} & set(part)
    classes = [part.get("device_class") for part in told["components"].values()]
    assert classes.count("battery") == 1


def test_switch_and_button_have_their_topics() -> None:
    parts = INVERTER["components"]
    assert (parts["enable"]["p"], parts["enable"]["command_topic"]) == ("switch", "jkbms/inverter/enable/set")
    assert (parts["stop"]["p"], parts["stop"]["command_topic"]) == ("button", "jkbms/inverter/stop/set")


def test_what_is_published_is_what_is_announced() -> None:
    bench = running(packs=2)
    told = bank.values(bench.state)
    assert {key for key in told if not key.startswith("sharing_") or key == "sharing_error"} == set(bank.ENTITIES)
    report = reported(bench).values(0.0)
    assert set(report) == {*inverter.ENTITIES, "enable", *charging.EVERY}
    assert set(charging.limits(charge(bench))) == set(charging.LIMITS)
    why = charging.reasons(charge(bench), ("charge_current", "nothing"))
    assert why["nothing_reason"] is None
    assert str(why["charge_current_reason"]).startswith("charge limited: ")  # A stand beside it, and move
    assert set(charging.values(charge(bench))) == {*charging.CHARGING, *charging.EVERY}
    assert {*sent_keys(extremes=False)} < set(report)
    assert len(EXTREMES) == 8


def steered(*args: Any, **options: Any) -> dict[str, Any]:
    device = inverter.device("Pylontech", charge(*args, **options), extremes=False)
    parts: dict[str, Any] = payload(TOPICS, device)["components"]
    return parts


def test_the_owner_steers_within_the_options() -> None:
    parts = steered(max_charge_current=120.0)
    amperes, cells = parts["set_max_charge_current"], parts["set_charge_voltage"]
    assert (amperes["p"], amperes["min"], amperes["max"]) == ("number", 0, 120)
    assert (cells["min"], cells["max"], cells["step"], cells["device_class"]) == (3.40, 3.60, 0.01, "voltage")
    assert cells["command_topic"] == "jkbms/inverter/set_charge_voltage/set"
    assert parts["set_grid_charge"]["options"] == ["never", "emergency", "full"]
    assert (parts["discharging"]["p"], parts["balance"]["p"]) == ("switch", "button")
    assert steered(grid_charge="never")["set_grid_charge"]["options"] == ["never"]
    assert len(NUMBERS) == len([key for key in parts if key.startswith("set_")]) - 1


def test_numbers_fit_the_cells() -> None:
    parts = steered(running(Setpoints(chemistry="LTO")))
    assert (parts["set_charge_voltage"]["min"], parts["set_charge_voltage"]["max"]) == (2.50, 2.80)


def test_everything_that_takes_commands_does_something() -> None:
    taking = {key for key, part in INVERTER["components"].items() if "command_topic" in part}
    control = Control(lambda _now: [], lambda: 0.0, setpoints=Setpoints())
    assert taking == {*charging.takes(control), *inverter.CONTROLS}
    assert {key for key, part in STEERED["components"].items() if "command_topic" in part} == set(
        charging.takes(control)
    )


def test_limits_and_numbers_without_an_inverter() -> None:
    now = charge(running(packs=2), owner=Owner(soc_limit=80))
    told = {**charging.limits(now), **charging.values(now)}
    assert (told["charge_voltage"], told["charge_current"], told["phase"]) == (55.2, 180, "bulk")
    assert told["charge_voltage_reason"] == "charge up to 55.2 V: requested voltage of pack 1"
    assert (told["set_charge_voltage"], told["set_max_charge_current"], told["set_soc_limit"]) == (3.45, None, 80)
    assert (told["last_full"], told["packs_empty"], told["findings"]) == (None, "none", "none")


def test_the_last_full_charge_is_a_time() -> None:
    bench = Bench(memory=Memory(last_full=WALL))
    bench.step(candidate())
    assert charging.values(charge(bench))["last_full"] == "2025-06-15T15:06:40+00:00"


def test_every_value_that_is_sent_is_shown_with_its_reason() -> None:
    emission = Emission()
    emission.note(0x305, 100.0)
    emission.sent()
    bench = running(packs=2)
    told = reported(bench, emission).values(103.2)
    assert bench.decision
    assert told["charge_current"] == round(bench.decision.charge_current, 1)
    assert told["charge_current_reason"] == "charge limited: over-current setting of pack 1, 100 A"
    assert (told["heartbeat_age"], told["heartbeats"], told["heartbeat_ids"]) == (3, 1, "305")
    assert (told["emitting"], told["reason"], told["phase"]) == (True, "ok", "bulk")
    assert (told["protections"], told["alarms"]) == ("none", "none")


def test_without_a_decision_everything_is_unknown_and_the_reason_says_why() -> None:
    emission = Emission()
    emission.silent("waiting")
    told = Report(charge(owner=Owner(enabled=False)), emission, BusStatus("inverter")).values(0.0)
    assert told["charge_current"] is None
    assert told["heartbeat_age"] is None
    assert (told["emitting"], told["enable"], told["reason"]) == (False, False, "waiting")


# --- when it is said -----------------------------------------------------------------------------------
class Told:
    """An outbox with a bank of batteries behind it."""

    def __init__(self, *, always: bool = False, announced: dict[str, Announced] | None = None) -> None:
        self.bench, self.count = Bench(), 0
        self.emission = Emission()
        others: list[Shown] = [
            bank.view(lambda: self.bench.state, lambda: self.count, always=always),
            inverter.view(self.report, lambda: self.count, "Pylontech", extremes=False),
        ]
        self.outbox = Outbox(TOPICS, Store(lambda: 0.0), {}, {}, announced, others=others)

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
    assert [message.topic for message in told.due("inverter")] == ["jkbms/inverter/state"]  # may have been missed
    assert told.due("inverter") == []  # nothing new
    told.emission.silent("unplugged")
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
    assert "jkbms_inverter" not in outbox.register.announced


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
