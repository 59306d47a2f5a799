import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.acquisition.contract import known, load
from jkbms_addon.errors import OptionsError
from jkbms_addon.options.file import Options, parse, read

PORT = "port: must name a serial port, best as /dev/serial/by-id/..."
BUS = {"name": "rs485", "strategy": "master", "port": "/dev/ttyUSB0", "addresses": "1-3,7", "interval": 2.0}


def bus(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**BUS, **changes}.items() if value != "-"}


def test_the_documented_example() -> None:
    options = parse(
        {
            "log_level": "info",
            "buses": [BUS],
            "mqtt": {
                "host": "",
                "port": 1883,
                "username": "",
                "password": "",
                "tls": False,
                "ca_file": "",
                "discovery_prefix": "homeassistant",
                "base_topic": "jkbms",
            },
        }
    )
    (one,) = options.buses
    assert (one.name, one.problem) == ("rs485", "")
    assert one.values == {"port": "/dev/ttyUSB0", "addresses": frozenset({1, 2, 3, 7}), "interval": 2.0}


def test_everything_may_be_left_out() -> None:
    assert parse({}) == Options()
    (one,) = parse({"buses": [{"name": "a", "strategy": "master", "port": "/dev/x", "addresses": ""}]}).buses
    assert one.values["addresses"] == frozenset(range(1, 16))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"port": "-"}, "port: is missing"),
        ({"port": ""}, "port: is missing"),
        ({"port": 5}, "port: must name a serial port"),
        ({"addresses": "1-16"}, "addresses: addresses are 0 to 15"),
        ({"addresses": "3-1"}, "addresses: the range 3-1 runs backwards"),
        ({"addresses": "a"}, "addresses: must be addresses such as '1-3,7'"),
        ({"addresses": "1,,2"}, "addresses: must be addresses such as '1-3,7'"),
        ({"addresses": "1 2"}, "addresses: must be addresses such as '1-3,7'"),
        ({"interval": -1}, "interval: must be 0 to 3600 seconds"),
        ({"interval": "2"}, "interval: must be a number of seconds"),
        ({"interval": 500}, "interval: 500 would be seconds; if milliseconds were meant, write 0.5"),
        ({"interval": 5000}, "interval: must be 0 to 3600 seconds; if milliseconds were meant, write 5"),
        ({"interval": "２"}, "interval: must be written with the digits 0 to 9, '2'"),  # noqa: RUF001
        ({"addresses": "１-３"}, "addresses: must be written with the digits 0 to 9, '1-3'"),  # noqa: RUF001
        ({"baudrate": 4800}, "baudrate: must be 115200 or 9600"),
        (
            {"port": "tcp://10.0.0.5:8899"},
            f"{PORT}; for a gateway write host 10.0.0.5 and tcp_port 8899 instead",
        ),
        (
            {"port": "10.0.0.5:8899"},
            f"{PORT}; for a gateway write host 10.0.0.5 and tcp_port 8899 instead",
        ),
        (
            {"port": "socket://gw"},
            f"{PORT}; for a gateway write host gw and tcp_port NUMBER instead",
        ),
        ({"interval": True}, "interval: must be a number of seconds"),
        ({"interval": float("nan")}, "interval: must be a number of seconds"),
        ({"colour": "red"}, "colour: is not an option here"),
        ({"strategy": "mastr"}, "strategy: 'mastr' is not one of"),
        ({"strategy": "-"}, "strategy: is missing"),
        ({"name": "RS 485"}, "name: 'RS 485' must consist of a-z, 0-9 and _"),
        ({"name": "inverter"}, "name: 'inverter' is what the app calls something of its own; choose another one"),
        ({"name": "any_battery"}, "name: 'any_battery' is what the app calls something of its own"),
        ({"name": "-"}, "name: None must consist of"),
    ],
    ids=str,
)
def test_a_wrong_option_of_one_bus_is_named_and_the_others_run(changes: dict[str, Any], problem: str) -> None:
    wrong, right = parse({"buses": [bus(**changes), bus(name="other", port="/dev/ttyUSB1")]}).buses
    assert wrong.plugin is None
    assert wrong.problem.startswith(problem)
    assert "\n" not in wrong.problem
    assert (right.problem, right.plugin is None) == ("", False)


@pytest.mark.parametrize("text", [" 1 - 3 , 7", "1-3,7", "7,3,1-2", "\t1-3,7"])
def test_blanks_around_addresses(text: str) -> None:
    assert parse({"buses": [bus(addresses=text)]}).buses[0].values["addresses"] == {1, 2, 3, 7}


def test_names_are_unique() -> None:
    first, second = parse({"buses": [BUS, BUS]}).buses
    assert first.problem == ""
    assert second.problem == "name: 'rs485' is used twice"
    assert second.name != first.name


def test_a_bus_without_a_usable_name_takes_nobody_elses() -> None:
    buses = parse({"buses": [bus(name="!"), bus(name="bus_1", port="/dev/a"), bus(name="bus_1")]}).buses
    assert [(one.name, bool(one.problem)) for one in buses] == [("bus_1_", True), ("bus_1", False), ("bus_3", True)]


@pytest.mark.parametrize("entry", [None, 3, "x", []])
def test_a_bus_that_is_no_object(entry: object) -> None:
    (one,) = parse({"buses": [entry]}).buses
    assert "must be an object" in one.problem


@pytest.mark.parametrize(
    ("raw", "message"),
    [([], "options: must be a JSON object"), ("x", "options: must"), ({"buses": {}}, "buses: must be a list")],
    ids=str,
)
def test_what_is_no_options_ends_the_program_with_one_line(raw: object, message: str) -> None:
    with pytest.raises(OptionsError) as error:
        parse(raw)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({"log_level": "loud"}, "log_level: 'loud' is not one of trace"),
        ({"log_level": []}, "log_level: [] is not one of trace"),
        ({"colour": 1}, "colour: is not an option here"),
        ({"a\nb": 1}, "a\\nb: is not an option here"),
        ({"mqtt": {"port": 0}}, "mqtt: port: must be a whole number from 1 to 65535; nothing is published"),
        ({"mqtt": {"port": True}}, "mqtt: port: must be a whole number"),
        ({"mqtt": {"tls": "yes"}}, "mqtt: tls: must be true or false"),
        ({"mqtt": {"base_topic": "a/#"}}, "mqtt: base_topic: must be a topic"),
        ({"mqtt": {"base_topic": "a b"}}, "mqtt: base_topic: must be a topic"),
        ({"mqtt": {"base_topic": "a\x07b"}}, "mqtt: base_topic: must be a topic"),
        ({"mqtt": {"base_topic": "$SYS/a"}}, "mqtt: base_topic: must be a topic"),
        ({"mqtt": {"base_topic": "///"}}, "mqtt: base_topic: must be a topic"),
        ({"mqtt": {"discovery_prefix": "x" * 201}}, "mqtt: discovery_prefix: must have at most 200 characters"),
        ({"mqtt": {"host": 5}}, "mqtt: host: must be a text"),
        ({"mqtt": {"host": "a b"}}, "mqtt: host: must be the name or the address of the broker"),
        ({"mqtt": {"host": "a..b"}}, "mqtt: host: must be the name"),
        ({"mqtt": {"username": "a\0b"}}, "mqtt: username: must be a text without control characters"),
        ({"mqtt": {"password": "x" * 65536}}, "mqtt: password: must be a text of at most 65535 bytes"),
        ({"mqtt": {"password": "\ud800"}}, "mqtt: password: must be a text"),
        ({"mqtt": {"ca_file": "/ssl/a\0"}}, "mqtt: ca_file: must be a text without control characters"),
        ({"mqtt": {"hots": "x"}}, "mqtt: hots: is not an option here"),
        ({"mqtt": []}, "mqtt: must be an object"),
        ({"writes": {"level": "all"}}, "writes: level: must be one of off, switches, settings, protections; nothing"),
        ({"writes": {"unlocked_at_start": 1}}, "writes: unlocked_at_start: must be true or false"),
        ({"writes": "off"}, "writes: must be an object"),
    ],
    ids=lambda value: str(value)[:60].replace("\0", "0"),
)
def test_what_is_wrong_for_all_is_one_line_and_the_buses_run(raw: dict[str, Any], problem: str) -> None:
    options = parse({"buses": [BUS], **raw})
    (line,) = options.problems
    assert line.startswith(problem)
    assert "\n" not in line
    assert options.buses[0].problem == ""


def test_a_wrong_section_permits_nothing() -> None:
    raw = {"writes": {"level": "settings", "unlocked_at_start": "x"}, "mqtt": {"host": "other", "port": -1}}
    options = parse(raw)
    assert (options.writes.level, options.writes.unlocked_at_start) == ("off", False)
    assert options.mqtt.host == ""
    assert options.mqtt.problem


def test_what_the_form_leaves_empty_is_the_default() -> None:
    names = ("host", "username", "password", "ca_file", "discovery_prefix", "base_topic")
    assert parse({"mqtt": dict.fromkeys(names, "")}) == Options()


def test_a_range_that_never_ends_costs_nothing() -> None:
    (one,) = parse({"buses": [bus(addresses="1-99999999999999")]}).buses
    assert one.problem == "addresses: addresses are 0 to 15"


@pytest.mark.parametrize(
    "port", ["loop://", "socket://1.2.3.4:9", "ttyUSB0", "/dev/x\0", "/dev/\ud800", "/" * 256, " "]
)
def test_a_port_is_a_path(port: str) -> None:
    (one,) = parse({"buses": [bus(port=port)]}).buses
    assert one.problem.startswith("port: must name a serial port, best as /dev/serial/by-id/...")


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "a b", "a\0", "\ud800", ".", "http://a/", "1.2.3.4:8899", "[::1]"])
def test_a_host_has_a_name_that_can_be_looked_up(host: str) -> None:
    (one,) = parse({"buses": [{"name": "a", "strategy": "gateway", "host": host, "tcp_port": 1}]}).buses
    assert one.problem.startswith("host: must be the name or the address of the gateway")


@pytest.mark.parametrize("host", ["192.168.1.5", "fe80::1%eth0", "bücher.example", "gateway", "a.b.c."])
def test_names_of_hosts(host: str) -> None:
    (one,) = parse({"buses": [{"name": "a", "strategy": "gateway", "host": host, "tcp_port": 1}]}).buses
    assert one.problem == ""
    assert parse({"mqtt": {"host": host}}).problems == []


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="cannot be read: No such file"):
        read(tmp_path / "missing.json")
    (tmp_path / "broken").write_text("{")
    with pytest.raises(OptionsError, match="is not JSON"):
        read(tmp_path / "broken")
    (tmp_path / "good").write_text(json.dumps({"buses": [BUS]}))
    assert read(tmp_path / "good").buses[0].name == "rs485"


def test_an_unknown_strategy_lists_the_known_ones() -> None:
    assert "master" in known()
    with pytest.raises(OptionsError, match=", ".join(known())):
        load("nonsense")


def test_a_password_is_not_in_any_repr() -> None:
    assert "geheim" not in repr(parse({"mqtt": {"password": "geheim"}}))


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    raw=st.fixed_dictionaries(
        {},
        optional={
            "log_level": st.sampled_from(["info", "trace", ""]) | anything,
            "buses": st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "name": st.sampled_from(["a", "b", "A"]) | anything,
                        "strategy": st.sampled_from(known()) | anything,
                        "port": st.just("/dev/x") | anything,
                        "addresses": st.text("0123456789,- ", max_size=8) | anything,
                        "interval": st.floats() | anything,
                        "extra": anything,
                    },
                )
                | anything,
                max_size=3,
            )
            | anything,
            "mqtt": st.dictionaries(st.sampled_from(["host", "port", "tls", "base_topic"]), anything) | anything,
        },
    )
)
def test_any_options_are_accepted_or_answered_by_one_clear_line(raw: Any) -> None:
    line = ""
    try:
        options = parse(raw)
    except OptionsError as error:
        line = str(error)
    if line:
        assert "\n" not in line
        return
    assert len({b.name for b in options.buses}) == len(options.buses)
    for one in options.buses:
        assert (one.plugin is None) == bool(one.problem)
        assert "\n" not in one.problem


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("10.0.0.5:8899", "write 10.0.0.5 and tcp_port 8899"),
        ("tcp://gateway:8899", "write gateway and tcp_port 8899"),
        ("[fe80::1]:8899", "write fe80::1 and tcp_port 8899"),
        ("http://gateway/", "write gateway"),
        ("１０.0.0.5", "must be written with the digits 0 to 9, '10.0.0.5'"),  # noqa: RUF001
    ],
)
def test_a_host_that_was_typed_with_more_than_its_name(host: str, problem: str) -> None:
    (bus,) = parse({"buses": [{"name": "a", "strategy": "gateway", "host": host, "tcp_port": 8899}]}).buses
    assert bus.problem.startswith("host: ")
    assert problem in bus.problem
    assert "\n" not in bus.problem


@pytest.mark.parametrize("host", ["10.0.0.5", "gateway", "gw.local", "fe80::1", "::1"])
def test_a_host_alone_is_well(host: str) -> None:
    (bus,) = parse({"buses": [{"name": "a", "strategy": "gateway", "host": host, "tcp_port": 8899}]}).buses
    assert bus.problem == ""
