"""Options files that nobody would write: each costs at most the part that is wrong, in one line that can be shown."""

import json
from pathlib import Path

import pytest

from jkbms_addon.errors import OptionsError
from jkbms_addon.options.file import Options, read

SURROGATE = "\\ud800"
CONTROL = "a\\nb\\u001b[31m"
BUS = '{"name": "a", "strategy": "master", "port": "/dev/x"}'


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


def parsed(folder: Path, text: str | bytes) -> Options:
    path = folder / "options.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path)


def lines(options: Options) -> list[str]:
    found = [*options.problems, *(bus.problem for bus in options.buses), options.bank.problem, options.inverter.problem]
    return [line for line in found if line]


SECTIONS = ("log_level", "mqtt", "writes", "bank", "inverter")
WRONG = {
    "deep": deep(900),
    "a little deep": deep(20),
    "deep objects": '{"host":' * 400 + "1" + "}" * 400,
    "surrogate": f'"{SURROGATE}"',
    "surrogate as key": f'{{"{SURROGATE}": 1}}',
    "control": f'{{"{CONTROL}": "{CONTROL}"}}',
    "long": f'{{"{"k" * 100_000}": 1}}',
    "huge": "1e400",
    "not a number": "NaN",
    "many digits": "9" * 4000,
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("section", SECTIONS)
def test_a_hostile_section_costs_that_section(section: str, wrong: str, tmp_path: Path) -> None:
    options = parsed(tmp_path, f'{{"{section}": {WRONG[wrong]}, "buses": [{BUS}]}}')
    assert [bus.problem for bus in options.buses] == [""]
    assert len(lines(options)) == 1
    assert_showable(options)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("key", ["name", "strategy", "port", "addresses", "interval", "x"])
def test_a_hostile_bus_costs_that_bus(key: str, wrong: str, tmp_path: Path) -> None:
    entry = BUS.removesuffix("}").replace(f'"{key}": ', '"y": ').replace('"name": "a"', '"name": "b"')
    options = parsed(tmp_path, f'{{"buses": [{entry}, "{key}": {WRONG[wrong]}}}, {BUS}]}}')
    assert [bool(bus.problem) for bus in options.buses] == [True, False]
    assert_showable(options)


@pytest.mark.parametrize("strategy", [SURROGATE, CONTROL, "b" * 100_000])
def test_whatever_a_strategy_is_called_it_can_be_published(strategy: str, tmp_path: Path) -> None:
    (bus,) = parsed(tmp_path, f'{{"buses": [{{"name": "a", "strategy": "{strategy}"}}]}}').buses
    json.dumps([bus.name, bus.strategy, bus.problem], ensure_ascii=False).encode()
    assert len(bus.strategy) <= 60
    assert bus.strategy.isprintable()


def test_the_name_of_a_bus_fits_into_a_topic(tmp_path: Path) -> None:
    entries = [json.dumps({**json.loads(BUS), "name": name}) for name in ("a" * 64, "b" * 65)]
    options = parsed(tmp_path, f'{{"buses": [{", ".join(entries)}]}}')
    assert [bus.name for bus in options.buses] == ["a" * 64, "bus_2"]
    assert "at most 64 characters" in options.buses[1].problem


@pytest.mark.parametrize("text", ["", b"\xff\xfe", "[" * 100_000, deep(5000), '{"mqtt": {"port": ' + "9" * 5000 + "}}"])
def test_a_file_that_is_no_options_is_one_line(text: str | bytes, tmp_path: Path) -> None:
    with pytest.raises(OptionsError) as error:
        parsed(tmp_path, text)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


def assert_showable(options: Options) -> None:
    for line in lines(options):
        assert line.isprintable(), line
        assert len(line) < 400
