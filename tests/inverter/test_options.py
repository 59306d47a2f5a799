"""The sections ``bank`` and ``inverter``: whatever is wrong, nothing is sent and the buses run."""

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.app import App
from jkbms_addon.charging.owner import NUMBERS
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.options import (
    BANK,
    FIRST,
    INVERTER,
    INVERTER_KEYS,
    NUMBERS_AND_WISHES,
    PROTOCOLS,
    BankOptions,
    InverterOptions,
    bank_options,
    detail,
    inverter_options,
)
from jkbms_addon.options.file import parse

GOOD = {"protocol": "pylontech", "channel": "can1", "confirmed": True}
BUS = {"name": "rs485", "strategy": "master", "port": "/dev/ttyUSB0"}
CAN = {"name": "can", "strategy": "can_broadcast", "channel": "can0"}


def test_nothing_is_sent_unless_everything_is_said() -> None:
    assert not parse({}).inverter.emits
    assert not inverter_options({}, BankOptions()).wanted
    assert not inverter_options({"confirmed": True}, BankOptions()).emits
    assert not inverter_options({**GOOD, "confirmed": False}, BankOptions()).emits
    assert inverter_options({**GOOD, "confirmed": False}, BankOptions()).wanted
    assert inverter_options(GOOD, BankOptions()).emits


def test_everything_may_be_left_empty_in_the_form() -> None:
    empty = {str(key): "" for key in INVERTER.schema}
    assert inverter_options(empty, BankOptions()) == InverterOptions()
    assert bank_options({"members": None, "enabled": None}, []) == BankOptions()


def test_values_arrive() -> None:
    found = inverter_options(
        GOOD | {"bitrate": "250000", "charge_voltage": 3.4, "chemistry": "LFP", "stop_after": 60, "grid_tied": True},
        BankOptions(),
    )
    assert (found.bitrate, found.channel) == (250000, "can1")
    assert found.setpoints == Setpoints(
        charge_voltage=3.4, chemistry="LFP", stop_after=60, grid_tied=True, soc_follows=True
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"protocol": "fronius"}, "protocol: must be one of none, pylontech, goodwe"),
        ({"protocol": []}, "protocol: must be one of"),
        ({"channel": ""}, "channel: is missing"),
        ({"channel": "a b"}, "channel: must be a CAN interface"),
        ({"bitrate": 125000}, "bitrate: must be 250000 or 500000"),
        ({"confirmed": "yes"}, "confirmed: must be true or false"),
        ({"charge_voltage": 55.2}, "charge_voltage: 55.2 is not a voltage per cell"),
        ({"charge_voltage": float("nan")}, "charge_voltage: nan is not"),
        ({"charge_voltage": 3.3, "float_voltage": 3.4}, "float_voltage: 3.4 V is above charge_voltage"),
        ({"max_charge_current": -1}, "max_charge_current: -1 is not a current"),
        ({"max_charge_current": True}, "max_charge_current: True is not a current"),
        ({"min_discharge_voltage": "48"}, "min_discharge_voltage: '48' is not"),
        ({"manufacturer": "much too long"}, "manufacturer: 'much too long' is not"),
        ({"chemistry": {}}, "chemistry: must be one of LFP, Li-ion, LTO"),
        ({"stale_discharge": "x"}, "stale_discharge: must be one of zero, hold"),
        ({"cell_extremes": "0x070"}, "cell_extremes: pylontech has no such frames"),
        ({"grid_charge": "always"}, "grid_charge: must be one of never, emergency, full"),
        ({"hold_without_data": 16}, "hold_without_data: 16 is not a time from 0 to 15 minutes"),
        ({"soc_limit": 10}, "soc_limit: 10 is not a percentage from 20 to 100"),
        ({"soc_floor": 31}, "soc_floor: 31 is not a percentage from 0 to 30"),
        ({"voltage_offset": 0.6}, "voltage_offset: 0.6 is not a voltage from -0.5 to 0.5"),
        ({"colour": 1}, "colour: is not an option here"),
    ],
    ids=str,
)
def test_a_wrong_option_is_one_clear_line_and_never_sends(changes: dict[str, Any], problem: str) -> None:
    found = inverter_options(GOOD | changes, BankOptions())
    section = "inverter" if problem.split(":", maxsplit=1)[0] in {"colour", *FIRST} else "inverter_details"
    assert found.problem.startswith(f"{section}: {problem}")
    assert "\n" not in found.problem
    assert not found.wanted
    assert not found.emits


@pytest.mark.parametrize("raw", [3, [], "x", None])
def test_sections_that_are_no_objects(raw: object) -> None:
    assert inverter_options(raw, BankOptions()).problem == "inverter: must be an object"
    assert bank_options(raw, []).problem == "bank: must be an object"


@pytest.mark.parametrize(
    "members", ["rs485/1-2, can", "rs485/1,rs485/2 can", ["rs485/1-2", "can"], ["rs485/1-2", "can", "can"]]
)
def test_members_as_text_and_as_list(members: object) -> None:
    assert bank_options({"members": members}, ["rs485", "can"]).members == (("rs485", 1), ("rs485", 2), ("can", None))


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ("x/1", "bank: members: there is no bus 'x'"),
        ("rs485/99", "bank: members: addresses are 0 to 15"),
        ("rs485/", "bank: members: must be addresses"),
        ("!", "bank: members: '!' must be a bus"),
        (3, "bank: members: must be a text"),
        ([3], "bank: members: there is no bus '3'"),
    ],
)
def test_a_wrong_bank_sends_nothing_either(members: object, problem: str) -> None:
    options = parse({"buses": [BUS], "bank": {"members": members}, "inverter": GOOD})
    assert options.bank.problem.startswith(problem)
    assert options.inverter.problem.startswith("inverter: nothing is sent, as the bank is wrong: bank: ")
    assert not options.inverter.emits
    assert options.buses[0].problem == ""


def test_a_channel_is_used_in_one_way_only() -> None:
    serial = "/dev/ttyACM0"
    options = parse({"buses": [CAN | {"channel": serial}], "inverter": GOOD | {"channel": serial}})
    assert options.inverter.problem == f"inverter: channel: {serial} is already used by bus can"
    options = parse({"buses": [CAN], "inverter": GOOD | {"channel": "can0"}})
    assert options.inverter.problem == "inverter_details: bitrate: can0 already runs at 250000 bit/s by bus can"
    options = parse({"buses": [CAN | {"bitrate": 500000}], "inverter": GOOD | {"channel": "can0"}})
    assert options.inverter.emits


def test_the_form_offers_what_the_program_takes() -> None:
    config = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))
    numbers = {"rebulk_drop", "full_charge_days", "soc_floor", "voltage_offset"}  # are set in Home Assistant
    first, details = (set(config["schema"][name]) for name in ("inverter", "inverter_details"))
    assert first == FIRST
    assert len(first) <= 8, "what everybody reads"
    assert details == {key for key in INVERTER_KEYS if detail(key)} - numbers - {"stale_discharge"}
    assert numbers <= set(NUMBERS)
    assert set(config["schema"]["bank"]) == {str(key) for key in BANK.schema}
    assert config["schema"]["inverter"]["protocol"] == f"list({'|'.join(PROTOCOLS)})", "the order is that of DIALECTS"
    options = parse(config["options"])
    assert (options.bank, options.inverter) == (BankOptions(), InverterOptions())
    assert {str(key) for key in INVERTER.schema} & set(NUMBERS_AND_WISHES) >= {"charge_voltage", "grid_charge"}


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 900),
        ({"stale_discharge": "zero"}, 0),
        ({"stale_discharge": "hold"}, 900),
        ({"hold_without_data": 0}, 0),
        ({"hold_without_data": 2, "stale_discharge": "zero"}, 120),
    ],
)
def test_the_older_word_for_the_hold_is_kept(given: dict[str, Any], seconds: float) -> None:
    assert inverter_options(GOOD | given, BankOptions()).setpoints.hold == seconds


@pytest.mark.parametrize(("protocol", "follows"), [("pylontech", True), ("goodwe", False)])
def test_the_charge_follows_the_cells_where_it_decides(protocol: str, follows: bool) -> None:
    assert inverter_options(GOOD | {"protocol": protocol}, BankOptions()).setpoints.soc_follows is follows
    assert inverter_options(GOOD | {"protocol": protocol, "soc_follows": True}, BankOptions()).setpoints.soc_follows


def test_a_wrong_section_is_shown_on_the_bridge_device(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    app = App(parse({"buses": [BUS], "inverter": GOOD | {"charge_voltage": 55}}), tmp_path)
    health = app.outbox.health(0.0)
    assert health["configuration_problem"] == "ON"
    assert health["configuration_reason"].startswith("inverter: charge_voltage: 55 is not")
    assert app.inverter.outlets == []
    assert [line for line in caplog.messages if "charge_voltage" in line] == [health["configuration_reason"]]


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
section = st.dictionaries(st.sampled_from(sorted(str(key) for key in INVERTER.schema)), anything, max_size=4) | anything


@given(inverter=section, bank=st.dictionaries(st.sampled_from(["members", "enabled"]), anything) | anything)
def test_any_section_is_accepted_or_refused_in_one_line(inverter: Any, bank: Any) -> None:
    base = GOOD | inverter if isinstance(inverter, dict) else inverter
    options = parse({"buses": [BUS], "bank": bank, "inverter": base})
    for problem in (options.bank.problem, options.inverter.problem):
        assert "\n" not in problem
    assert options.buses[0].problem == ""
    assert not (options.inverter.emits and (options.inverter.problem or options.bank.problem))
    if options.inverter.emits:
        assert options.inverter.confirmed is True
