"""Options files of released versions are read for ever, and mean what they meant."""

import json
import logging
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.app import App
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.options import DETAILS, INVERTER_KEYS, BankOptions, InverterOptions, detail
from jkbms_addon.mqtt.broker import MqttOptions
from jkbms_addon.options.file import WriteOptions, parse, read
from jkbms_addon.options.migration import EACH, MOVES, Move, migrated
from jkbms_addon.options.sections import parted
from tests.options_form import paths
from tests.test_manifest import CONFIG, ELEMENT, OWN, faults

FILES = Path(__file__).parent
RELEASED = ("0.1.0", "0.2.0")
ALL = frozenset(range(1, 16))


def loaded(name: str) -> Any:
    return json.loads((FILES / name).read_text(encoding="utf-8"))


def quiet(name: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is wrong with it, and nothing is said of it."""
    caplog.set_level(logging.INFO)
    options = read(FILES / name)
    assert options.problems == []
    assert options.moved == ()
    assert [bus.problem for bus in options.buses] == [""] * len(options.buses)
    assert (options.bank.problem, options.inverter.problem) == ("", "")
    App(options, folder)
    assert caplog.messages == []


# --- 0.1.0: what its files meant; these lines are never changed ----------------------------------------
def test_the_defaults_of_0_1_0(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    quiet("0.1.0-default.json", tmp_path, caplog)
    options = read(FILES / "0.1.0-default.json")
    (bus,) = options.buses
    assert options.log_level == "info"
    assert (bus.name, bus.strategy) == ("rs485", "master")
    assert bus.values == {"port": "/dev/ttyUSB0", "addresses": ALL, "interval": 2.0}
    assert options.mqtt == MqttOptions(
        host="", port=1883, username="", password="", tls=False, ca_file="", discovery_prefix="homeassistant"
    )
    assert options.mqtt.base_topic == "jkbms"
    assert options.writes == WriteOptions(level="off", unlocked_at_start=False)
    assert options.bank == BankOptions(members=(), enabled=False)
    assert options.inverter == InverterOptions(protocol="none", confirmed=False)


def test_everything_that_0_1_0_knew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    quiet("0.1.0-full.json", tmp_path, caplog)
    options = read(FILES / "0.1.0-full.json")
    assert options.log_level == "debug"
    assert [(bus.name, bus.strategy, bus.values) for bus in options.buses] == [
        (
            "rs485",
            "master",
            {
                "port": "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0",
                "addresses": frozenset({1, 2, 3, 7}),
                "interval": 5.0,
            },
        ),
        ("ear", "listen", {"port": "/dev/ttyUSB1"}),
        (
            "garage",
            "gateway",
            {"host": "192.168.1.50", "tcp_port": 8899, "mode": "poll", "addresses": frozenset({1}), "interval": 0.0},
        ),
        (
            "shed",
            "gateway",
            {"host": "shed.example", "tcp_port": 26, "mode": "listen", "addresses": ALL, "interval": 2.0},
        ),
        ("either", "auto", {"port": "/dev/ttyUSB2", "addresses": ALL | {0}, "interval": 3600.0}),
        ("far", "auto", {"host": "192.168.1.51", "tcp_port": 8899, "addresses": ALL, "interval": 2.0}),
        ("old", "ttl", {"port": "/dev/ttyUSB3", "address": 4, "interval": 0.5}),
        ("older", "ttl", {"host": "192.168.1.52", "tcp_port": 8899, "address": 1, "interval": 2.0}),
        ("can", "can_broadcast", {"channel": "can0", "bitrate": 250000, "set_up_link": True}),
    ]
    assert options.mqtt == MqttOptions(
        host="192.168.1.10",
        port=8883,
        username="jkbms",
        password="a secret #1",
        tls=True,
        ca_file="/ssl/ca.pem",
        discovery_prefix="ha/discovery",
        base_topic="home/jkbms",
    )
    assert options.writes == WriteOptions(level="protections", unlocked_at_start=True)
    assert options.bank == BankOptions(
        members=(("rs485", 1), ("rs485", 2), ("rs485", 3), ("garage", None), ("can", None)), enabled=True
    )
    assert options.inverter == InverterOptions(
        protocol="goodwe",
        channel="can1",
        bitrate=250000,
        set_up_link=True,
        dlc="exact",
        cell_extremes="0x370",
        cell_numbers=True,
        confirmed=True,
        setpoints=Setpoints(
            charge_voltage=3.45,
            float_voltage=3.35,
            max_charge_current=120.5,
            max_discharge_current=200.0,
            min_discharge_voltage=3.0,
            stale_discharge="hold",
            stop_after=600.0,
            require_all=True,
            grid_tied=True,
            chemistry="LFP",
        ),
        manufacturer="PYLON",
    )


@pytest.mark.parametrize("version", RELEASED)
def test_a_full_file_leaves_nothing_out(version: str) -> None:
    given = {path for path, _ in given_paths(loaded(f"{version}-full.json"))}
    assert given == loaded(f"{version}-schema.json").keys()


def test_the_files_of_this_version_are_kept() -> None:
    assert CONFIG["version"] in RELEASED, "docs/releasing.md says how they are kept"
    for name in ("default", "full", "schema"):
        assert (FILES / f"{CONFIG['version']}-{name}.json").exists(), name


def given_paths(value: Any, before: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [one for key, inner in value.items() for one in given_paths(inner, f"{before}.{key}" if before else key)]
    if isinstance(value, list):
        return [one for inner in value for one in given_paths(inner, f"{before}[]")]
    return [(before, value)]


# --- the schema ----------------------------------------------------------------------------------------
def wider(old: str, new: str) -> bool:
    """Whether all that passed the old type passes the new one, and may still be missing."""
    before, after = ELEMENT.fullmatch(old), ELEMENT.fullmatch(new)
    assert before, old
    assert after, new
    if before["optional"] and not after["optional"]:
        return False
    kinds, details = (before["type"], after["type"]), (before["detail"] or "", after["detail"] or "")
    if kinds == ("list", "list"):
        return set(details[0].split("|")) <= set(details[1].split("|"))
    if kinds in (("int", "int"), ("int", "float"), ("float", "float"), ("port", "int")):
        return _within("1,65535" if old.startswith("port") else details[0], details[1])
    if kinds[1] in ("str", "password"):
        return kinds[0] in ("str", "password", "match", "list") and not details[1]
    return kinds[0] == kinds[1] and details[0] == details[1]


def _within(inner: str, outer: str) -> bool:
    low, high = [float(text) if text else None for text in (inner or ",").split(",")]
    least, most = [float(text) if text else None for text in (outer or ",").split(",")]
    return (least is None or (low is not None and low >= least)) and (
        most is None or (high is not None and high <= most)
    )


def lost(old: dict[str, str], new: dict[str, str], moves: tuple[Move, ...] = MOVES) -> list[str]:
    """What an update would take from the user: the Supervisor drops what the schema does not know."""
    found = [f"{path} is gone" for path in old if path not in new]
    found += [
        f"{path}: {kind} became {new[path]}" for path, kind in old.items() if path in new and not wider(kind, new[path])
    ]
    for move in moves:
        found += [f"{path} is not in the schema" for path in (move.old, move.new) if path not in new]
        found += [f"{move.old} has to be optional" for kind in (new.get(move.old, "?"),) if not kind.endswith("?")]
    return found


# a person picks a strategy from a list; whoever had written the name of a plug-in there is told to choose ``plugin``
NARROWED = ("buses[].strategy: str became list(",)
# the form has two sections for the inverter since; nobody had installed a version from before
PARTED = tuple(f"inverter.{key} is gone" for key in sorted(INVERTER_KEYS) if detail(key))


@pytest.mark.parametrize("version", RELEASED)
def test_the_schema_still_takes_what_it_took(version: str) -> None:
    found = lost(loaded(f"{version}-schema.json"), dict(paths(CONFIG["schema"])))
    assert [one for one in found if not one.startswith(NARROWED) and one not in PARTED] == []


@pytest.mark.parametrize("version", RELEASED)
def test_the_second_section_takes_what_the_first_one_took(version: str) -> None:
    """But for the older word for minutes without data, which is left to files."""
    before = {path.removeprefix("inverter."): kind for path, kind in loaded(f"{version}-schema.json").items()}
    after = CONFIG["schema"][DETAILS]
    moved = {key: kind for key, kind in before.items() if detail(key)}
    assert moved.keys() - after.keys() == {"stale_discharge"}
    assert [key for key, kind in moved.items() if key in after and not wider(kind, after[key])] == []


@pytest.mark.parametrize("version", RELEASED)
@pytest.mark.parametrize("name", ["default", "full"])
def test_the_supervisor_hands_over_all_of_a_released_file(version: str, name: str) -> None:
    """Stored options over today's defaults, as it does at each start."""
    given = parted(loaded(f"{version}-{name}.json"))
    given.get(DETAILS, {}).pop("stale_discharge", None)
    merged = {
        key: {**value, **given.get(key, {})} if isinstance(value, dict) else given.get(key, value)
        for key, value in CONFIG["options"].items()
    }
    assert list(faults(CONFIG["schema"], merged)) == []
    assert parse(merged) == parse(given)
    assert given.keys() <= merged.keys()


@pytest.mark.parametrize(
    ("old", "new", "so"),
    [
        *(("str", "str", True), ("str?", "str", False), ("str", "str?", True), ("str", "bool", False)),
        *(("match(^a$)", "str", True), ("str", "match(^a$)", False), ("password", "str", True)),
        *(("int(0,15)?", "int(0,16)?", True), ("int(0,15)?", "int(1,15)?", False), ("int(0,15)", "float(0,15)", True)),
        *(
            ("float(0,3600)", "float(0.5,3600)", False),
            ("float(0,3600)", "float(0,)", True),
            ("float", "float(0,1)", False),
        ),
        *(("list(a|b)", "list(a|b|c)", True), ("list(a|b)", "list(a)", False), ("list(a|b)?", "str?", True)),
        *(
            ("port", "port", True),
            ("port", "int(1,65535)", True),
            ("port", "int(1,100)", False),
            ("bool", "bool", True),
        ),
    ],
)
def test_which_types_are_wider(old: str, new: str, so: bool) -> None:
    assert wider(old, new) is so


def test_what_would_be_lost_is_found() -> None:
    old = {"mqtt.server": "str", "mqtt.port": "port"}
    move = Move("mqtt.server", "mqtt.host")
    assert lost(old, {"mqtt.host": "str", "mqtt.port": "port"}) == ["mqtt.server is gone"]
    assert lost(old, {"mqtt.host": "str", "mqtt.server": "str?", "mqtt.port": "port"}, (move,)) == []
    assert lost(old, {**old, "mqtt.host": "str"}, (move,)) == ["mqtt.server has to be optional"]
    assert lost(old, {"mqtt.server": "str?", "mqtt.port": "int(1,9)"}, (move,)) == [
        "mqtt.port: port became int(1,9)",
        "mqtt.host is not in the schema",
    ]


# --- the table of moves, with one that is made up ------------------------------------------------------
def minutes(value: Any) -> Any:
    return value * 60 if isinstance(value, int | float) else value


MADE_UP = (
    Move("mqtt.server", "mqtt.host"),
    Move("mqtt.topic", "mqtt.base_topic", default="jkbms"),
    Move("verbosity", "log_level", str.lower),
    Move("mqtt.changes", "writes.level", default="off"),
    Move(f"{EACH}device", f"{EACH}port"),
    Move(f"{EACH}minutes", f"{EACH}interval", minutes),
)
BUS = {"name": "a", "strategy": "master"}


@pytest.mark.parametrize(
    ("given", "means", "lines"),
    [
        (
            {"mqtt": {"server": "x", "host": ""}},
            {"mqtt": {"host": "x"}},
            ["mqtt.server: read as mqtt.host, which is its name now"],
        ),
        (
            {"mqtt": {"server": "x", "host": "y"}},
            {"mqtt": {"host": "y"}},
            ["mqtt.server: ignored, as mqtt.host is given"],
        ),
        ({"mqtt": {"server": "", "host": "y"}}, {"mqtt": {"host": "y"}}, []),
        ({"mqtt": {"server": None}}, {"mqtt": {}}, []),
        (
            {"mqtt": {"topic": "mine", "base_topic": "jkbms"}},
            {"mqtt": {"base_topic": "mine"}},
            ["mqtt.topic: read as mqtt.base_topic, which is its name now"],
        ),
        ({"verbosity": "DEBUG"}, {"log_level": "debug"}, ["verbosity: read as log_level, which is its name now"]),
        (
            {"mqtt": {"changes": "settings"}},
            {"mqtt": {}, "writes": {"level": "settings"}},
            ["mqtt.changes: read as writes.level, which is its name now"],
        ),
        (
            {
                "buses": [
                    {**BUS, "device": "/dev/x"},
                    {**BUS, "minutes": 2},
                    {**BUS, "port": "/dev/y", "device": "/dev/z"},
                    7,
                ]
            },
            {"buses": [{**BUS, "port": "/dev/x"}, {**BUS, "interval": 120}, {**BUS, "port": "/dev/y"}, 7]},
            [
                "bus 1: device: read as port, which is its name now",
                "bus 3: device: ignored, as port is given",
                "bus 2: minutes: read as interval, which is its name now",
            ],
        ),
        (
            {"buses": [{**BUS, "minutes": "x"}]},
            {"buses": [{**BUS, "interval": "x"}]},
            ["bus 1: minutes: read as interval, which is its name now"],
        ),
        (
            {"mqtt": {"changes": "off"}, "writes": 5},
            {"mqtt": {}, "writes": 5},
            ["mqtt.changes: ignored, as writes.level is given"],
        ),
        ({"mqtt": 5, "buses": "x"}, {"mqtt": 5, "buses": "x"}, []),
        ({}, {}, []),
    ],
    ids=lambda value: str(value)[:40],
)
def test_moves(given: dict[str, Any], means: dict[str, Any], lines: list[str]) -> None:
    before = deepcopy(given)
    assert migrated(given, MADE_UP) == (means, tuple(lines))
    assert given == before
    assert migrated(means, MADE_UP) == (means, ())


def test_a_move_reaches_the_program_and_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    raw = {
        "buses": [{**BUS, "device": "/dev/x", "minutes": 0.5}, {"name": "b", "strategy": "listen", "device": " "}],
        "mqtt": {"server": "broker.example", "host": "", "base_topic": "jkbms", "topic": "mine"},
    }
    options = parse(raw, MADE_UP)
    good, bad = options.buses
    assert good.values == {"port": "/dev/x", "addresses": ALL, "interval": 30.0}
    assert bad.problem == "port: must name a serial port, best as /dev/serial/by-id/..."
    assert (options.mqtt.host, options.mqtt.base_topic, options.problems) == ("broker.example", "mine", [])
    App(options, tmp_path)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert said == list(options.moved)
    assert len(said) == 5


def test_without_the_table_an_old_name_is_refused() -> None:
    options = parse({"buses": [{**BUS, "device": "/dev/x"}], "mqtt": {"server": "x"}})
    assert options.buses[0].problem.startswith("device: is not an option here")
    assert options.problems == ["mqtt: server: is not an option here; nothing is published"]


def test_the_table_of_moves_is_sound() -> None:
    for move in (*MOVES, *MADE_UP):
        assert move.old != move.new
        assert move.old.startswith(EACH) == move.new.startswith(EACH)


if __name__ == "__main__":
    defaults = {key: value for key, value in CONFIG["options"].items() if key in OWN}
    for name, content in (("default", defaults), ("schema", dict(paths(OWN)))):
        file = FILES / f"{CONFIG['version']}-{name}.json"
        if not file.exists():  # what was released is never written anew
            file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
