import json
from typing import Any

import pytest

from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.mqtt.discovery import Topics
from jkbms_addon.mqtt.outbox import Detail, Outbox
from jkbms_addon.mqtt.register import Announced, Message
from tests.battery.test_store import Clock

CONFIG = "homeassistant/device/jkbms_a_1/config"


class Published:
    """An outbox with a clock and a bank to feed."""

    def __init__(self, announced: dict[str, Announced] | None = None, buses: tuple[str, ...] = ("a",)) -> None:
        self.clock = Clock()
        self.store = Store(self.clock)
        self.buses = {name: BusStatus(name) for name in buses}
        served = {name: frozenset({1, 2}) for name in buses}
        self.outbox = Outbox(Topics(), self.store, self.buses, served, announced)

    def live(self, address: int = 1, **values: Any) -> None:
        said = {"state_of_charge": 50, "cell_voltage": (3.3, 3.31), "alarms": (), "charging": True, **values}
        self.store.update("a", Reading(address, "live", said, ("charge_mosfet_anomaly",), valid_for=10))

    def sent(self) -> list[Message]:
        return self.outbox.due(self.clock.now)

    def payloads(self, topic: str) -> list[Any]:
        return [
            json.loads(m.payload) if m.payload.startswith("{") else m.payload for m in self.sent() if m.topic == topic
        ]


def topics(messages: list[Message]) -> list[str]:
    return [m.topic.removeprefix("jkbms/") for m in messages if "bridge" not in m.topic]


def test_first_words_of_a_battery_come_in_the_order_that_home_assistant_needs() -> None:
    published = Published()
    published.live()
    messages = published.sent()
    assert topics(messages) == [CONFIG, "a/1/availability", "a/1/state"]
    assert [m.retain for m in messages if "a/1" in m.topic] == [True, False]
    assert messages[0].topic == "homeassistant/device/jkbms_bridge/config"


def test_one_state_message_per_reading_and_nothing_without_news() -> None:
    published = Published()
    published.live()
    published.sent()
    assert published.sent() == []
    published.clock.now += 1.1  # once more, as Home Assistant may only now have subscribed
    assert topics(published.sent()) == ["a/1/state"]
    published.clock.now += 1.1
    assert published.sent() == []
    published.live()
    assert topics(published.sent()) == ["a/1/state"]


def test_state_has_every_known_key_null_when_unknown_and_on_off_as_text() -> None:
    published = Published()
    published.live(mosfet_temperature=21.5)
    published.sent()
    published.live(mosfet_temperature=None, cell_voltage=(3.3, 3.4))
    (state,) = published.payloads("jkbms/a/1/state")
    assert state == {
        "state_of_charge": 50,
        "cell_voltage_1": 3.3,
        "cell_voltage_2": 3.4,
        "mosfet_temperature": None,
        "charging": "ON",
        "problem": "OFF",
        "errors": "",
        "alarms": "none",
        "alarm_charge_mosfet_anomaly": "OFF",
    }


def test_settings_and_identity_are_sent_when_they_change() -> None:
    published = Published()
    published.live()
    published.sent()
    published.store.update("a", Reading(1, "settings", {"cell_count": 16}))
    messages = published.sent()
    assert topics(messages) == [CONFIG, "a/1/settings"]
    assert messages[-1].retain
    published.store.update("a", Reading(1, "settings", {"cell_count": 16}))
    assert published.sent() == []
    published.store.update("a", Reading(1, "settings", {"cell_count": 15}))
    assert published.payloads("jkbms/a/1/settings") == [{"cell_count": 15}]


def test_settings_that_are_not_heard_any_more_become_unknown_once() -> None:
    published = Published()
    published.live()
    published.store.update("a", Reading(1, "settings", {"cell_count": 16}, valid_for=15))
    published.sent()
    published.clock.now += 9
    published.live()
    assert published.payloads("jkbms/a/1/settings") == []
    published.clock.now += 9
    published.live()
    (unknown,) = [m for m in published.sent() if m.topic == "jkbms/a/1/settings"]
    assert json.loads(unknown.payload) == {"cell_count": None}
    assert unknown.retain
    published.live()
    assert published.payloads("jkbms/a/1/settings") == []
    published.store.update("a", Reading(1, "settings", {"cell_count": 16}))
    assert published.payloads("jkbms/a/1/settings") == [{"cell_count": 16}]


def test_who_a_battery_is_does_not_age() -> None:
    published = Published()
    published.live()
    published.store.update("a", Reading(1, "about", {"serial_number": "4711"}, valid_for=15))
    published.sent()
    published.clock.now += 20
    published.live()
    assert published.payloads("jkbms/a/1/info") == []


def test_a_silent_battery_goes_offline_and_comes_back() -> None:
    published = Published()
    published.live()
    published.sent()
    published.clock.now += 10.1
    assert published.payloads("jkbms/a/1/availability") == ["offline"]
    assert "a/1/state" not in topics(published.sent())
    published.live()
    assert topics(published.sent()) == ["a/1/availability", "a/1/state"]


def test_everything_again_after_a_birth_message() -> None:
    published = Published()
    published.live()
    published.store.update("a", Reading(1, "settings", {"cell_count": 16}))
    published.store.update("a", Reading(1, "about", {"serial_number": "4711"}))
    first = published.sent()
    published.outbox.forget()
    assert sorted(topics(published.sent())) == sorted(topics(first))


def test_identity_changes_the_device() -> None:
    published = Published()
    published.live()
    published.sent()
    published.store.update("a", Reading(1, "about", {"serial_number": "4711", "model": "JK"}))
    (payload,) = published.payloads(CONFIG)
    assert payload["device"]["serial_number"] == "4711"


def test_cells_that_a_battery_does_not_have_any_more_are_buried_once() -> None:
    published = Published()
    published.live(cell_voltage=(3.3, 3.3, 3.3))
    published.sent()
    published.live(cell_voltage=(3.3, 3.3))
    buried, clean = published.payloads(CONFIG)
    assert buried["components"]["cell_voltage_3"] == {"p": "sensor"}
    assert "cell_voltage_3" not in clean["components"]
    published.live(cell_voltage=(3.3, 3.3))
    assert published.payloads(CONFIG) == []


def test_what_an_earlier_run_announced_stays_until_it_is_heard_again() -> None:
    parts = {"state_of_charge": "sensor", "cell_count": "sensor", "charging": "sensor", "gone_key": "sensor"}
    published = Published({"jkbms_a_1": Announced(CONFIG, parts, ("a", 1))})
    assert topics(published.sent()) == ["a/1/availability"]  # nothing heard yet: offline
    published.live()
    buried, clean = published.payloads(CONFIG)
    assert "cell_count" in clean["components"]
    assert buried["components"]["gone_key"] == {"p": "sensor"}  # the table has it no more
    assert buried["components"]["charging"] == {"p": "sensor"}  # became a binary sensor
    assert clean["components"]["charging"]["p"] == "binary_sensor"
    assert published.outbox.register.announced["jkbms_a_1"].components == {
        n: p["p"] for n, p in clean["components"].items()
    }


@pytest.mark.parametrize("key", [("b", 1), ("a", 7)], ids=["bus removed", "address removed"])
def test_devices_that_are_not_configured_any_more_are_removed(key: tuple[str, int]) -> None:
    config = f"homeassistant/device/jkbms_{key[0]}_{key[1]}/config"
    published = Published({f"jkbms_{key[0]}_{key[1]}": Announced(config, {"current": "sensor"}, key)})
    removed = [m for m in published.sent() if m.payload == ""]
    assert {m.topic for m in removed} == {
        config,
        *(f"jkbms/{key[0]}/{key[1]}/{t}" for t in ("availability", "settings", "info")),
    }
    assert all(m.retain for m in removed)
    assert [m for m in published.sent() if m.payload == ""] == []


def test_a_bus_with_an_invalid_option_keeps_its_devices() -> None:
    announced = {"jkbms_a_1": Announced(CONFIG, {"current": "sensor"}, ("a", 1))}
    clock = Clock()
    outbox = Outbox(Topics(), Store(clock), {"a": BusStatus("a", option_error=True)}, {}, announced)
    assert not [m for m in outbox.due(clock.now) if m.payload == ""]


def test_a_changed_prefix_empties_the_old_topic() -> None:
    published = Published(
        {"jkbms_a_1": Announced("old/device/jkbms_a_1/config", {"charging": "binary_sensor"}, ("a", 1))}
    )
    published.live()
    assert Message("old/device/jkbms_a_1/config", "", retain=True) in published.sent()


def test_health_tells_buses_batteries_and_any_problem() -> None:
    published = Published()
    status = published.buses["a"]
    status.up()
    status.timeouts = 3
    status.bms(1).heard(published.clock.now, 0.038)
    published.live()
    (health,) = published.payloads("jkbms/bridge/health")
    assert health["any_battery_problem"] == "OFF"
    assert health["buses"]["a"]["connected"] == "ON"
    assert health["buses"]["a"]["reason"] == "ok"
    assert health["buses"]["a"]["timeouts"] == 3
    assert health["batteries"]["a_1"] == {
        "health": "ok",
        "reason": "ok",
        "age": 0.0,
        "latency": 38,
        "frames": 1,
        "failures": 0,
        "implausible": 0,
        "connection": "ON",
    }
    published.live(alarms=("charge_mosfet_anomaly",))
    status.down("unplugged")
    (health,) = published.payloads("jkbms/bridge/health")
    assert health["any_battery_problem"] == "ON"
    assert (health["buses"]["a"]["problem"], health["buses"]["a"]["last_error"]) == ("ON", "unplugged")


def any_problem(published: Published) -> str:
    return str(published.outbox.health(published.clock.now)["any_battery_problem"])


def connection(published: Published, address: int = 1) -> str | None:
    said: str | None = published.outbox.health(published.clock.now)["batteries"][f"a_{address}"]["connection"]
    return said


def test_an_alarm_stays_until_its_battery_takes_it_back() -> None:
    published = Published()
    published.live(alarms=("charge_mosfet_anomaly",))
    published.sent()
    assert any_problem(published) == "ON"
    published.clock.now += 30  # a BMS falls silent after under-voltage
    assert published.payloads("jkbms/a/1/availability") == ["offline"]
    assert (any_problem(published), connection(published)) == ("ON", "OFF")
    published.live()
    published.sent()
    assert (any_problem(published), connection(published)) == ("OFF", "ON")


def test_a_lost_battery_is_a_problem_and_its_connection_says_so() -> None:
    published = Published()
    published.live()
    published.live(2)
    published.sent()
    assert any_problem(published) == "OFF"
    published.clock.now += 11
    published.live(2)
    (health,) = published.payloads("jkbms/bridge/health")
    assert health["any_battery_problem"] == "ON"
    assert [health["batteries"][f"a_{n}"]["connection"] for n in (1, 2)] == ["OFF", "ON"]


def test_a_battery_with_a_corrupt_link_is_a_problem() -> None:
    published = Published()
    published.live()
    published.sent()
    for _ in range(3):
        published.buses["a"].bms(1).failed(damaged=True)
    published.buses["a"].bms(7).failed(damaged=True)  # of nobody
    assert any_problem(published) == "ON"
    published.buses["a"].bms(1).heard(published.clock.now)
    assert any_problem(published) == "OFF"


def test_a_battery_of_an_earlier_run_is_given_time_before_it_is_lost() -> None:
    published = Published({"jkbms_a_1": Announced(CONFIG, {"current": "sensor"}, ("a", 1))})
    published.sent()
    assert (any_problem(published), connection(published)) == ("OFF", None)
    published.clock.now += 61
    assert (any_problem(published), connection(published)) == ("ON", "OFF")


def test_a_silent_battery_whose_device_is_deleted_is_no_problem_any_more() -> None:
    published = Published()
    published.live()
    published.sent()
    published.clock.now += 11
    published.sent()
    assert any_problem(published) == "ON"
    published.outbox.again(CONFIG)  # Home Assistant cleared it
    assert [m for m in published.sent() if m.topic == CONFIG] == []
    assert any_problem(published) == "OFF"
    published.live()
    assert CONFIG in [m.topic for m in published.sent()]


def test_a_battery_goes_by_its_address_until_that_is_taken_and_stays_so() -> None:
    published = Published(buses=("a", "b"))
    published.live()
    assert any("number" not in m.payload and '"JK BMS 1"' in m.payload for m in published.sent())
    said: dict[str, Any] = {"state_of_charge": 50}
    published.store.update("b", Reading(1, "live", said, valid_for=10))
    published.store.update("b", Reading(2, "live", said, valid_for=10))
    configs = {m.topic: json.loads(m.payload) for m in published.sent() if m.topic.endswith("/config")}
    names = {t.split("/")[2]: c["device"]["name"] for t, c in configs.items()}
    assert names == {"jkbms_b_1": "JK BMS b 1", "jkbms_b_2": "JK BMS 2"}
    ids = [c["components"]["state_of_charge"]["default_entity_id"] for c in configs.values()]
    assert ids == ["sensor.jk_bms_b_1_state_of_charge", "sensor.jk_bms_2_state_of_charge"]
    # after a restart the other one comes first
    later = Published(published.outbox.register.announced, buses=("a", "b"))
    later.store.update("b", Reading(1, "live", said, valid_for=10))
    (config,) = [json.loads(m.payload) for m in later.sent() if m.topic.endswith("jkbms_b_1/config")]
    assert config["device"]["name"] == "JK BMS b 1"


def test_readings_are_told_in_full_where_somebody_wants_that() -> None:
    published = Published()
    published.outbox = Outbox(
        *(Topics(), published.store, published.buses, {"a": frozenset({1})}), detail=Detail(calm=False, raw=True)
    )
    published.live(current=1.23456)
    told = {m.topic: json.loads(m.payload) for m in published.sent() if m.topic in ("jkbms/a/1/state", "jkbms/a/1/raw")}
    assert {topic: values["current"] for topic, values in told.items()} == dict.fromkeys(told, 1.23456)
    published.live(current=1.23567)
    messages = published.sent()
    assert [m.retain for m in messages if m.topic == "jkbms/a/1/raw"] == [False]


def test_noise_is_not_told() -> None:
    published = Published()
    published.live(current=1.2)
    published.sent()
    published.live(current=1.3)
    assert [state["current"] for state in published.payloads("jkbms/a/1/state")] == [1.2]


def test_what_is_known_beside_the_readings_is_told_with_them() -> None:
    published = Published()
    published.outbox = Outbox(
        *(Topics(), published.store, published.buses, {"a": frozenset({1})}),
        more=lambda key: {"energy_charged": 1.5, "time_to_empty": None} if key == ("a", 1) else {},
    )
    published.live()
    (state,) = published.payloads("jkbms/a/1/state")
    assert (state["energy_charged"], state["time_to_empty"]) == (1.5, None)


def test_informational_alarms_set_no_problem() -> None:
    published = Published()
    published.live(alarms=("change_the_default_password",))
    (state,) = published.payloads("jkbms/a/1/state")
    assert (state["problem"], state["errors"]) == ("OFF", "Change the default password")
