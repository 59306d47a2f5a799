"""Options of the SmartPhoton app: every shape that its versions had becomes a bus of ours."""

import re
from typing import Any

import pytest
import yaml

from jkbms_addon.options.coming_from import GROUPS, SYNONYMS, UNTOUCHED, WITHOUT, Carried, carried_over
from jkbms_addon.options.file import parse
from tests.supervisor import handed_over
from tests.test_manifest import CONFIG, ROOT

PATH = "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"
MASTER = {"name": "rs485", "strategy": "master", "port": PATH, "addresses": "1-3", "interval": 2.0}
CAN = {"name": "can", "strategy": "can_broadcast", "channel": "can0", "bitrate": 500000, "set_up_link": True}
GATEWAY = {"name": "rs485", "strategy": "gateway", "host": "10.0.0.5", "tcp_port": 4196, "mode": "listen"}

SHAPES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("1.0.3", {"listbatterie": [{"chemin": PATH, "type": "serial", "batterie": "jkbms", "nbSlave": 3}]}, MASTER),
    ("1.0.4", {"list-jkbms": {"path": PATH, "nb-jkbms": 3}}, MASTER),
    ("1.0.5", {"jkbms": [{"path": PATH, "nb-jkbms": 3}], "mqtt": {"mqttport": 1883}}, MASTER),
    ("1.1.2", {"jkbms": [{"path": PATH, "nb_jkbms": 3, "use_gateway": False, "gateway_ip": ""}]}, MASTER),
    ("1.2.0", {"jkbms_path": PATH, "jkbms_count": 3, "use_gateway": False, "gateway_port": 5000}, MASTER),
    ("2.0.0", {"jkbms": {"jkbms_path": PATH, "jkbms_count": 3, "CAN bus usage": False}}, MASTER),
    ("3.0.13", {"jkbms_path": PATH, "jkbms_count": "3", "mqttadresse": "core-mosquitto", "mqttport": 1883}, MASTER),
    (
        "4.1.10",
        {
            "jkbms_path": PATH,
            "jkbms_count": 3,
            "use_gateway": False,
            "gateway_ip_port": "192.168.1.100:5000",
            "bms_broadcasting": False,
            "CAN_bus_usage": False,
            "mqttadresse_port": "core-mosquitto.local.hass.io:1883",
            "mqttuser": "username",
            "mqttpass": "password",
            "premium_section": True,
            "dashboard_language": "fr",
            "Send_bip": True,
        },
        MASTER,
    ),
    (
        "pauses",
        {"jkbms_path": PATH, "jkbms_count": 3, "non_broadcasting_data_interval_s": 3},
        {**MASTER, "interval": 9.0},
    ),
    (
        "long pauses",
        {"jkbms_path": PATH, "jkbms_count": 3, "non_broadcasting_data_interval_s": 30},
        {**MASTER, "interval": 10.0},
    ),
    ("one", {"jkbms_path": PATH}, {**MASTER, "addresses": "1"}),
    ("broadcasting", {"jkbms_path": PATH, "bms_broadcasting": "true"}, {**MASTER, "strategy": "listen"}),
    ("CAN before all", {"CANbus_usage": True, "use_gateway": True, "jkbms_path": PATH, "bms_broadcasting": True}, CAN),
    ("gateway", {"use_gateway": True, "gateway_ip_port": "10.0.0.5:4196", "bms_broadcasting": True}, GATEWAY),
    (
        "gateway in two",
        {
            "use_gateway": True,
            "gateway_ip": "10.0.0.5",
            "gateway_port": 4196,
            "bms_broadcasting": True,
            "jkbms_path": "/dev/ttyUSBx",
        },
        GATEWAY,
    ),
    (
        "gateway polled",
        {"use_gateway": True, "gateway_ip_port": "rs485-jkbms.lv:4196", "jkbms_count": 2},
        {**GATEWAY, "host": "rs485-jkbms.lv", "mode": "poll", "addresses": "1-2", "interval": 2.0},
    ),
)


@pytest.mark.parametrize(("theirs", "ours"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_a_set_of_theirs_runs(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    wanted = {key: value for key, value in ours.items() if not (ours["strategy"] == "listen" and key in ASKED)}
    options = parse(theirs)
    (bus,) = options.buses
    assert carried_over(theirs)[0]["buses"] == [wanted]
    assert bus.problem == ""
    assert not options.unusable
    assert options.writes.level == "off"


ASKED = ("addresses", "interval")


@pytest.mark.parametrize("theirs", [row[1] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_the_form_in_the_log_is_the_one_that_runs(theirs: dict[str, Any]) -> None:
    (line,) = carried_over(theirs).lines
    head, _, form = line.partition("\n")
    printed = yaml.safe_load(form)
    assert head.endswith("save this form instead:")
    assert parse(printed).buses == parse(theirs).buses
    assert parse(printed).moved == ()
    # as a whole, in place of all that the form held
    posted, refused = handed_over(CONFIG["schema"], printed)
    assert (posted.keys(), refused) == (printed.keys(), [])
    assert parse(posted).mqtt == parse(theirs).mqtt


def test_the_form_in_the_log_holds_an_inverter_where_the_form_has_it() -> None:
    inverter = {"protocol": "goodwe", "channel": "can1", "confirmed": True, "dlc": "exact", "max_charge_current": 90}
    raw = {"jkbms_path": PATH, "inverter": inverter, "inverter_details": {"cell_extremes": "0x370"}}
    printed = yaml.safe_load(parse(raw).moved[0].partition("\n")[2])
    posted, refused = handed_over(CONFIG["schema"], printed)
    assert (posted, refused) == (printed, [])
    assert parse(posted).inverter == parse(raw).inverter
    assert (parse(posted).inverter.dlc, parse(posted).inverter.cell_extremes) == ("exact", "0x370")


def test_pasted_beside_the_defaults_of_our_form() -> None:
    """As the Supervisor hands it over: its defaults filled in."""
    pasted = {**CONFIG["options"], "jkbms_path": PATH, "jkbms_count": 3, "mqttadresse_port": "10.0.0.9:1884"}
    options = parse({**pasted, "mqttuser": "me", "mqttpass": "geheim"})
    assert [bus.values["port"] for bus in options.buses] == [PATH]
    assert (options.mqtt.host, options.mqtt.port, options.mqtt.username) == ("10.0.0.9", 1884, "me")
    assert options.mqtt.password == "geheim"
    assert "geheim" not in "".join(options.moved)
    secrets = {"token": "page-geheim-0123456", "port": 8100}
    assert "geheim" not in "".join(parse({**pasted, "mqttpass": "geheim", "page": secrets}).moved)


def test_our_form_knows_what_is_pasted_into_it() -> None:
    current = SHAPES[7][1].keys() - {"premium_section", "dashboard_language", "Send_bip"}
    assert current <= CONFIG["schema"].keys()
    assert CONFIG["options"]["buses"] in UNTOUCHED


# --- pasted into the form ------------------------------------------------------------------------------
MANUAL: str = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
WAY = MANUAL[MANUAL.index("Copy your options") : MANUAL.index("Which strategy becomes")]
OTHERWISE = [line.split("|") for line in WAY[: WAY.index("`./run.sh options FILE`")].splitlines() if "| `" in line]
OTHER = {name for row in OTHERWISE for name in re.findall(r"`([^`]+)`", row[1])} - {"- path: …"}


def lost(theirs: dict[str, Any]) -> set[str]:
    """Spellings of a set with a meaning that never reach the program when it is put below the form."""
    given, refused = pasted(theirs)
    found = {"jkbms"} if refused else set[str]()
    for key, value in theirs.items():
        known = CONFIG["schema"].get(key, {})
        found |= {key} if key not in given and _means(key) else set()
        inner = value[0] if isinstance(value, list) else value
        if isinstance(inner, dict):
            before = "mqtt." if key == "mqtt" else ""
            found |= {before + one for one in inner if one not in known and _means(one)}
    return found


def _means(key: str) -> bool:
    plain = key.lower().replace(" ", "_").replace("-", "_")
    return plain in SYNONYMS.keys() | GROUPS and plain not in ("batterie", "type")


def pasted(theirs: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What the program is given then, and why nothing is saved."""
    return handed_over(CONFIG["schema"], {**CONFIG["options"], **theirs})


MORE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("own broker", {"jkbms_path": PATH, "mqttadresse": "10.0.0.9", "mqttport": 1884, "mqttuser": "me"}),
    ("1.2.5", {"jkbms": {"jkbms_path": PATH, "jkbms_count": 3}, "mqtt": {"mqttadresse": "10.0.0.9"}}),
    ("1.2.5, all", {"jkbms": {"jkbms_path": PATH}, "mqtt": {"mqttport": 7, "mqttuser": "u", "mqttpass": "p"}}),
    ("their manual", {"jkbms_path": PATH, "mqttaddress": "10.0.0.9:1884"}),
    ("their manual, CAN", {"jkbms": {"path": PATH, "nb_jkbms": 3, "CAN bus usage": True}}),
    ("their manual, flat", {"path": PATH, "nb_jkbms": 2}),
    ("nothing saved", {"jkbms": [{"path": PATH, "nb_jkbms": 3}]}),
    ("one group", {"nbre-batterie": {"chemin": PATH, "nbSlave": 2}}),
    ("below", {"jkbms": {"use_gateway": True, "gateway_ip_port": "10.0.0.5:4196"}}),
    ("pauses below", {"jkbms": {"jkbms_path": PATH, "non_broadcasting_data_interval_s": 3}}),
    ("1.2.5, gateway", {"jkbms": {"use_gateway": True, "gateway_ip": "10.0.0.5", "gateway_port": 4196}}),
    ("3.0.12", {"jkbms": {"jkbms_path": PATH, "bms_broadcasting": True, "communication_debug": True}}),
    ("CAN", {"CAN_bus_usage": True, "jkbms_path": PATH}),
)


ROWS = [*(row[:2] for row in SHAPES), *MORE]


@pytest.mark.parametrize("theirs", [row[1] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_put_below_the_form_runs_or_the_manual_says_how_to_write_it(theirs: dict[str, Any]) -> None:
    meant = parse({**CONFIG["options"], **theirs})
    given, refused = pasted(theirs)
    wrong = lost(theirs)
    assert wrong <= OTHER, "the manual does not say that the form drops it"
    assert refused == ([".jkbms: no dictionary"] if isinstance(theirs.get("jkbms"), list) else [])
    if not wrong:
        runs = parse(given)
        assert (runs.buses, runs.mqtt, runs.problems) == (meant.buses, meant.mqtt, [])


def test_the_manual_has_nobody_write_otherwise_what_would_run() -> None:
    assert set[str]().union(*(lost(theirs) for _, theirs in ROWS)) == OTHER


@pytest.mark.parametrize("name", sorted(SYNONYMS.keys() - {"batterie", "type"}))
def test_every_spelling_is_known_to_the_form_or_to_that_table(name: str) -> None:
    plain = {re.sub(r"[ -]", "_", one.lower()).removeprefix("mqtt.") for one in OTHER}
    assert name in plain | {key.lower() for key in CONFIG["schema"]}


def test_what_replaces_everything_is_not_saved() -> None:
    _, refused = handed_over(CONFIG["schema"], {"jkbms_path": PATH, "jkbms_count": 3})
    assert ".inverters: missing" in refused
    assert ".language: missing" in refused


def test_a_bus_that_the_user_gave_is_kept() -> None:
    mine = {"name": "x", "strategy": "listen", "port": "/dev/ttyUSB7"}
    options = parse({"buses": [mine], "jkbms_path": PATH, "CAN bus usage": True})
    assert [bus.name for bus in options.buses] == ["x"]
    (line,) = options.moved
    assert "CAN bus usage" in line
    assert "jkbms_path" in line
    assert not options.unusable


@pytest.mark.parametrize(
    ("theirs", "named"),
    [
        ({"jkbms_path": "/dev/serial/by-id/usb-xxxx_USB_Serial-abcdefghij", "jkbms_count": 1}, "jkbms_path"),
        ({"jkbms_count": 2}, "jkbms_path"),
        ({"use_gateway": True, "gateway_ip_port": "192.168.1.100:5000", "jkbms_path": PATH}, "gateway_ip_port"),
        ({"use_gateway": True, "gateway_ip": "10.0.0.5"}, "gateway_ip_port"),
        ({"listbatterie": [{"chemin": PATH, "batterie": "pylontech", "nbSlave": 3}]}, "batterie: pylontech"),
        ({"listbatterie": [{"batterie": "jkbms"}]}, "jkbms_path"),
    ],
)
@pytest.mark.parametrize("beside", [{}, {"buses": CONFIG["options"]["buses"]}], ids=["alone", "beside our form"])
def test_an_example_is_no_value(theirs: dict[str, Any], named: str, beside: dict[str, Any]) -> None:
    options = parse({**theirs, **beside})
    assert (options.buses, options.moved) == ((), ())
    assert options.unusable[0].startswith(named)


# --- several of them in a list -------------------------------------------------------------------------
TWO = {"chemin": PATH, "type": "serial", "batterie": "jkbms", "nbSlave": 3}
OTHER_PATH = "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port1"
BY_IP = {"chemin": "10.0.0.5:4196", "type": "ip", "batterie": "jkbms", "nbSlave": 2}
SECOND = {**MASTER, "name": "rs485_2", "port": OTHER_PATH, "addresses": "1"}
POLLED = {**GATEWAY, "mode": "poll", "addresses": "1-2", "interval": 2.0}
NO_GATEWAY = "chemin: is missing, or still the example; give host and tcp_port of the gateway"
NO_BUS = "This entry of the SmartPhoton app became no bus"

SEVERAL: tuple[tuple[str, dict[str, Any], list[dict[str, Any]], list[str]], ...] = (
    ("1.0.3", {"listbatterie": [TWO, {"chemin": OTHER_PATH, "type": "rs485"}]}, [MASTER, SECOND], []),
    ("by IP", {"listbatterie": [TWO, BY_IP]}, [MASTER, {**POLLED, "name": "rs485_2"}], []),
    ("1.0.5", {"jkbms": [{"path": PATH, "nb-jkbms": 3}, {"path": OTHER_PATH}]}, [MASTER, SECOND], []),
    (
        "one is no JK",
        {"listbatterie": [{"chemin": OTHER_PATH, "batterie": "pylontech"}, TWO]},
        [MASTER],
        [f"listbatterie, entry 1: batterie: pylontech is not read here, only jkbms. {NO_BUS}"],
    ),
    (
        "one port twice",
        {"listbatterie": [TWO, TWO, {**BY_IP, "nbSlave": 1}, BY_IP]},
        [MASTER, {**POLLED, "name": "rs485_2", "addresses": "1"}],
        [
            f"listbatterie, entry 2: {PATH} is read by another entry already. {NO_BUS}",
            f"listbatterie, entry 4: 10.0.0.5:4196 is read by another entry already. {NO_BUS}",
        ],
    ),
    (
        "nothing in them",
        {"list-jkbms": [{"path": PATH, "nb-jkbms": 3}, {}, 7, {"path": "/dev/ttyUSBx", "nb-jkbms": 2}]},
        [MASTER],
        [
            f"list_jkbms, entry 2: tells no port. {NO_BUS}",
            f"list_jkbms, entry 3: tells no port. {NO_BUS}",
            f"list_jkbms, entry 4: jkbms_path: is missing, or still the example; give the serial port. {NO_BUS}",
        ],
    ),
    (
        "an address alone",
        {"listbatterie": [TWO, {**BY_IP, "chemin": "10.0.0.5"}]},
        [MASTER],
        [f"listbatterie, entry 2: {NO_GATEWAY}. {NO_BUS}"],
    ),
    (
        "and another beside it",
        {"jkbms_path": OTHER_PATH, "listbatterie": [TWO, BY_IP], "bms_broadcasting": True},
        [
            {"name": "rs485", "strategy": "listen", "port": OTHER_PATH},
            {"name": "rs485_2", "strategy": "listen", "port": PATH},
            {**GATEWAY, "name": "rs485_3"},
        ],
        [],
    ),
    ("CAN before all", {"CAN_bus_usage": True, "listbatterie": [TWO, BY_IP]}, [CAN], []),
    ("CAN and another", {"jkbms": [{"CAN bus usage": True}, {"path": PATH, "nb_jkbms": 3}]}, [CAN, MASTER], []),
)


@pytest.mark.parametrize(("theirs", "ours", "missing"), [row[1:] for row in SEVERAL], ids=[row[0] for row in SEVERAL])
def test_each_entry_of_a_list_runs_or_is_named(
    theirs: dict[str, Any], ours: list[dict[str, Any]], missing: list[str]
) -> None:
    options = parse({**CONFIG["options"], **theirs})
    found = carried_over({**CONFIG["options"], **theirs})
    assert found.options["buses"] == ours
    assert list(options.unusable) == list(found.missing) == missing
    assert [bus.problem for bus in options.buses] == [""] * len(ours)
    assert parse(yaml.safe_load(found.lines[0].partition("\n")[2])).buses == options.buses


def test_where_no_entry_of_a_list_runs_all_are_named_and_nothing_is_guessed() -> None:
    theirs = {"listbatterie": [{"chemin": PATH, "batterie": "pylontech"}, {"batterie": "jkbms"}]}
    options = parse({**CONFIG["options"], **theirs})
    assert (options.buses, options.moved) == ((), ())
    assert [line.partition(":")[0] for line in options.unusable] == ["listbatterie, entry 1", "listbatterie, entry 2"]


def test_one_entry_that_is_reached_by_ip() -> None:
    assert carried_over({"listbatterie": [BY_IP]}).options["buses"] == [POLLED]
    (why,) = parse({"listbatterie": [{**BY_IP, "chemin": "/dev/ttyUSB0"}]}).unusable
    assert why.startswith(f"{NO_GATEWAY}. ")


def test_a_level_of_the_log_that_we_do_not_have() -> None:
    for beside in ({}, {"jkbms_path": PATH}):
        options = parse({"log_level": "notice", **beside})
        assert (options.log_level, options.unusable) == ("info", ())
        assert options.moved[0] == "log_level: notice of the SmartPhoton app is info here"


def test_nothing_of_theirs_changes_nothing() -> None:
    ours = {key: value for key, value in CONFIG["options"].items() if key != "jkbms"}
    assert carried_over(CONFIG["options"]) == Carried(ours)


@pytest.mark.parametrize(
    "odd", [None, [], {}, 7, "x" * 5000, [{}], [{}, [], 7], [{"path": {}}] * 2, {"path": {}}, [[]], "٣", True]
)
@pytest.mark.parametrize("key", [*sorted(SYNONYMS), "jkbms", "list-jkbms", "mqtt"])
def test_whatever_they_hold_is_survived(key: str, odd: object) -> None:
    parse({"jkbms_path": PATH, "use_gateway": True, "gateway_ip_port": "h:1", key: odd})


def test_names_are_plain() -> None:
    assert SYNONYMS.keys().isdisjoint(WITHOUT)
    assert all(name == name.lower().replace(" ", "_").replace("-", "_") for name in [*SYNONYMS, *WITHOUT])
