"""Whatever the options form can produce is accepted, or answered by one clear line, and never breaks the rest."""

import asyncio
import json
import logging
import re
import socket
from collections import Counter
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from jkbms_addon import heartbeat
from jkbms_addon.acquisition import contract as acquisition
from jkbms_addon.app import App
from jkbms_addon.options.file import Options, parse
from tests.conftest import Mosquitto, until
from tests.options_form import GOOD, SECRET, TEXTS, WEIRD, files, paths
from tests.test_manifest import CONFIG, OWN, faults

PATHS = dict(paths(OWN))
OF_BUS = {path.removeprefix("buses[]."): kind for path, kind in PATHS.items() if path.startswith("buses[].")}
# what the form can hand over wrongly; of all others the form takes care
REFUSABLE = {
    *(f"buses[].{key}" for key in OF_BUS),
    *(f"mqtt.{key}" for key in ("host", "username", "password", "ca_file", "discovery_prefix", "base_topic")),
    "bank.members",
    "batteries[]",
    "page.token",
    "inverter.channel",
    *(f"inverter_details.{key}" for key in ("bitrate", "manufacturer", "float_voltage", "cell_extremes")),
    *(f"inverters[].{key}" for key in ("protocol", "channel", "share", "manufacturer", "cell_extremes")),
}


def lines(options: Options) -> list[str]:
    """Every problem, as it would be logged."""
    found = [*options.problems, *(f"bus {bus.name}: {bus.problem}" for bus in options.buses if bus.problem)]
    told = [options.bank.problem, options.inverter.problem, *(one.problem for one in options.inverters)]
    return [*found, *dict.fromkeys(filter(None, told))]


def refused(options: Options) -> set[str]:
    """Paths of the options that these lines name."""
    paths_named = {"batteries[]"} if options.batteries.problems else set()
    paths_named |= {f"buses[].{bus.problem.partition(':')[0]}" for bus in options.buses if bus.problem}
    texts = [
        text.split(": ")
        for text in (options.mqtt.problem, options.bank.problem, options.inverter.problem, options.page.problem)
        if text
    ]
    paths_named |= {
        f"{words[0]}.{words[1]}" for words in texts if "nothing is sent, as the bank is wrong" not in words[1]
    }
    for words in (one.problem.split(": ") for one in options.inverters if one.problem.startswith("inverters")):
        if "nothing is sent, as the bank is wrong" not in words[1]:
            paths_named.add(f"inverters[].{words[1]}")
    return paths_named


# a section of the form, and the part of the program's options that it is
OF_SECTION = {name: name for name in ("mqtt", "bank", "inverter", "page")} | {"inverter_details": "inverter"}


def accepted(raw: dict[str, Any], options: Options) -> set[str]:
    """Paths of the options that were given and are in use."""
    found = {"log_level", "language", *(f"writes.{key}" for key in raw["writes"])}
    found |= {"batteries[]"} if options.batteries.same or options.batteries.never else set()
    for row, bus in zip(raw["buses"], options.buses, strict=True):
        found |= {f"buses[].{key}" for key in row} if bus.plugin else set()
    for row, one in zip(reversed(raw.get("inverters", [])), reversed(options.inverters), strict=False):
        found |= {f"inverters[].{key}" for key, value in row.items() if value != ""} if not one.problem else set()
    for name, read in OF_SECTION.items():
        if not getattr(options, read).problem:
            found |= {f"{name}.{key}" for key, value in raw.get(name, {}).items() if value != ""}
    return found


def clear(options: Options) -> None:
    """One line for each problem, which begins with the option's name and tells no secret."""
    for line in lines(options):
        assert line.splitlines() == [line]
        assert line.isprintable()
        assert len(line) < 400
        assert SECRET not in line
    assert refused(options) <= PATHS.keys()


def test_every_type_of_the_schema_is_generated() -> None:
    assert {re.sub(r"\W.*", "", kind) for kind in PATHS.values()} == {
        *("str", "password", "bool", "int", "float", "port", "match", "list")
    }


@given(raw=files())
def test_what_is_generated_passes_the_supervisor(raw: dict[str, Any]) -> None:
    assert list(faults(CONFIG["schema"], raw)) == []


@given(raw=files())
def test_the_form_is_accepted_or_answered_by_one_clear_line(raw: dict[str, Any]) -> None:
    options = parse(raw)
    clear(options)
    assert len(options.buses) == len(raw["buses"])
    assert len({bus.name for bus in options.buses}) == len(options.buses)
    for bus in options.buses:
        assert (bus.plugin is None) == bool(bus.problem)
    assert options.unusable == options.moved == ()
    assert options.writes.problem == ""
    assert not (options.inverter.emits and (options.bank.problem or options.inverter.problem))


@given(raw=files())
def test_a_wrong_bus_changes_nothing_for_the_others(raw: dict[str, Any]) -> None:
    options = parse(raw)
    good = [(row, bus) for row, bus in zip(raw["buses"], options.buses, strict=True) if bus.plugin]
    alone = parse({**raw, "buses": [row for row, _ in good]})
    assert [(bus.name, bus.values, bus.problem) for bus in alone.buses] == [(b.name, b.values, "") for _, b in good]


# some that chance brings together too seldom: everything at once, one channel at two bit rates, a float voltage
# above the charge voltage, several inverters
FULL = json.loads((Path(__file__).parent / "options" / "0.1.0-full.json").read_text(encoding="utf-8"))
CLASH = {
    **CONFIG["options"],
    "buses": [{"name": "can", "strategy": "can_broadcast", "channel": "nocan7", "bitrate": "250000"}],
    "inverter": {"protocol": "pylontech", "confirmed": True, "channel": "nocan7"},
    "inverter_details": {"bitrate": "500000"},
}
FLOAT = {
    **CONFIG["options"],
    "inverter": {"protocol": "none", "charge_voltage": 3.4},
    "inverter_details": {"float_voltage": 3.5},
}
SEVERAL = {
    **CONFIG["options"],
    "inverters": [
        {
            "protocol": "goodwe",
            "channel": "can7",
            "bitrate": "500000",
            "set_up_link": True,
            "confirmed": True,
            "manufacturer": "GOODWE",
            "dlc": "exact",
            "cell_extremes": "0x370",
            "cell_numbers": True,
            "share": 40.0,
        },
        {"protocol": "pylontech_rs485", "channel": "/dev/ttyUSB7", "baudrate": "9600", "confirmed": True},
    ],
}
SHARES = {
    **CONFIG["options"],
    "inverters": [{"protocol": "pylontech", "channel": f"can{n}", "share": 60.0} for n in (7, 8)],
}
ELSEWHERE = [
    {**CONFIG["options"], "buses": [{"name": "x", "strategy": "plugin", "plugin": name, "port": "/dev/ttyUSB7"}]}
    for name in ("master", "", "nobody")
]
HURRY = {**CONFIG["options"], "buses": [{"name": "x", "strategy": "ttl", "port": "/dev/ttyUSB7", "interval": 0.1}]}
NO_SUCH_FRAMES = {**CONFIG["options"], "inverters": [{"protocol": "sma", "channel": "can7", "cell_numbers": True}]}

WIRES = {
    **CONFIG["options"],
    "buses": [{"name": name, "strategy": "listen", "port": f"/dev/{name}"} for name in ("a", "b")],
    "batteries": ["a/1 = b/1", "a/2 != b/2"],
}
# every option of a bus where it belongs, and at a bus that does not know it: a new strategy moves what chance brings
ITS_OWN = {
    **CONFIG["options"],
    "buses": [{"name": f"bus_{n}", **one} for n, one in enumerate((*GOOD, {**GOOD[0], "baudrate": "9600"}))],
}
VALUES = {key: value for bus in ITS_OWN["buses"] for key, value in bus.items() if key not in ("name", "strategy")}
CAN, MASTER = {"strategy": "can_broadcast", "channel": "nocan7"}, {"strategy": "master", "port": "/dev/nowhere"}
OF_CAN = ("channel", "bitrate", "set_up_link")
NOT_ITS_OWN = {
    **CONFIG["options"],
    "buses": [{"name": key, **(MASTER if key in OF_CAN else CAN), key: value} for key, value in VALUES.items()],
}
DETAILED = {
    **CONFIG["options"],
    "inverter": {"protocol": "goodwe", "confirmed": True, "channel": "can7"},
    "inverter_details": {
        "bitrate": "250000",
        "manufacturer": "GOODWE",
        "chemistry": "LFP",
        "dlc": "exact",
        "float_voltage": 3.35,
        "min_discharge_voltage": 3.0,
        "balance_voltage": 3.55,
        "soc_limit": 90.0,
        "soc_follows": True,
        "grid_charge": "full",
        "hold_without_data": 5.0,
        "stop_after": 600.0,
        "require_all": True,
        "grid_tied": True,
        "cell_extremes": "0x370",
        "cell_numbers": True,
    },
}
NOR_THESE = {
    **CONFIG["options"],
    "inverter": {"protocol": "sma", "confirmed": True, "channel": "can7"},
    "inverter_details": {"cell_extremes": "0x370"},
}


def test_both_outcomes_come_for_every_option() -> None:
    """In one long run that is the same every time; without it the tests above could be about nothing."""
    used, wrong = Counter[str](), Counter[str]()
    calm = settings(
        max_examples=700, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck]
    )

    @example(FULL)
    @example(CLASH)
    @example(SEVERAL)
    @example(FLOAT)
    @example(SHARES)
    @example(ELSEWHERE[0])
    @example(ELSEWHERE[1])
    @example(ELSEWHERE[2])
    @example(HURRY)
    @example(NO_SUCH_FRAMES)
    @example(NOR_THESE)
    @example(DETAILED)
    @example(WIRES)
    @example(ITS_OWN)
    @example(NOT_ITS_OWN)
    @calm
    @given(raw=files())
    def collect(raw: dict[str, Any]) -> None:
        options = parse(raw)
        used.update(accepted(raw, options))
        wrong.update(refused(options))

    collect()
    # a new option moves all that chance brings
    assert [path for path in PATHS if not used[path]] == [], "never accepted: GOOD in options_form.py, or an @example"
    never = [path for path in REFUSABLE if not wrong[path]]
    assert never == [], "never refused: give it an @example"
    assert {path for path in PATHS if wrong[path]} == REFUSABLE, "refused, too: put it into REFUSABLE"


# --- running what was accepted -------------------------------------------------------------------------
LOCAL = {"127.0.0.1", "localhost", "::1"}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Names lead nowhere, at once, but are checked as by the system's resolver; the heartbeat is a file of the test."""
    ask = socket.getaddrinfo

    def nowhere(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(host, str) and host not in LOCAL:
            host.encode("idna")
            if "\0" in host:
                raise ValueError("embedded null character")
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ask(host, port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    monkeypatch.setattr(heartbeat, "HEARTBEAT", tmp_path / "heartbeat")


async def moment(running: App, seconds: float, *, publishing: bool = False) -> None:
    """Let the app run for so long, or until it has published everything."""
    task = asyncio.create_task(running.run())
    if publishing:
        await until(lambda: task.done() or running.outbox.sent > 0, seconds)
    else:
        await asyncio.wait({task}, timeout=seconds)
    assert not task.done(), task.exception()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug-ins are looked up once: the search through all installed packages would cost most of the time."""
    found = tuple(entry_points(group=acquisition.GROUP))
    monkeypatch.setattr(acquisition, "entry_points", lambda **_group: found)


async def test_every_text_that_is_accepted_can_be_used(
    no_network: None, quick: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [(good, key, text) for good in GOOD for key in TEXTS if key in good for text in (*TEXTS[key], *WEIRD)]
    rows = [{"name": f"b{n}", **good, key: text} for n, (good, key, text) in enumerate(texts)]
    options = parse({"buses": rows, "mqtt": {"host": "127.0.0.1", "port": 9}})
    clear(options)
    running = App(options, tmp_path)
    assert len(running._running) > 20
    await moment(running, 0.5)
    assert [r.getMessage() for r in caplog.records if r.exc_info] == []
    for name, status in running.buses.items():
        assert not status.connected, name
        assert status.problem not in ("", "not opened yet", "internal error, see the log"), name


@pytest.mark.parametrize("key", ["host", "username", "ca_file", "discovery_prefix", "base_topic"])
async def test_every_text_for_mqtt_that_is_accepted_can_be_used(
    key: str, no_network: None, broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for text in dict.fromkeys((*TEXTS[key], *WEIRD)):
        options = parse({"mqtt": {"host": "127.0.0.1", "port": broker.port, "tls": key == "ca_file", key: text}})
        clear(options)
        running = App(options, tmp_path)
        caplog.clear()
        works = key in ("username", "discovery_prefix", "base_topic") and not options.problems
        await moment(running, 8 if works else 0.1, publishing=works)
        told = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert [record.getMessage() for record in told if record.exc_info] == []
        if works:
            assert [record.getMessage() for record in told] == []  # the broker takes it
        assert (running.outbox.sent > 0) == works, text


def test_the_app_is_built_of_whatever_was_accepted(
    no_network: None, quick: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    runs = Counter[str]()
    calm = settings(
        max_examples=150, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck]
    )

    @calm
    @given(raw=files())
    def build(raw: dict[str, Any]) -> None:
        caplog.clear()
        options = parse(raw)
        running = App(options, tmp_path)
        told = [record.getMessage() for record in caplog.records]
        assert Counter(told) >= Counter(lines(options))  # two buses on one port are found only here
        assert len(told) == len(set(told))
        runs["running"] += bool(running._running)
        if runs["seen"] % 5 == 0:  # a sample
            asyncio.run(moment(running, 0.15))
        runs["seen"] += 1
        bad = [r for r in caplog.records if r.exc_info or "this is a bug" in r.getMessage()]
        assert bad == []
        assert SECRET not in caplog.text

    build()
    assert runs["running"] > 50
