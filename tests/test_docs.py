"""The manual against the program: generated tables, examples that run, links that lead somewhere, sizes."""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from jkbms_addon.cli import settings
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.options.file import MQTT, WRITE_LEVELS, WRITES, parse
from tests import documents
from tests.tables import FIRST, INVERTERS, MANUAL, OF_INVERTERS, TABLES, built_in, options, renewed
from tests.test_manifest import links

PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted(MANUAL.glob("*.md"))}
START = re.sub(r"https://github\.com/[^)\s]*/blob/main/", "", FIRST.read_text(encoding="utf-8"))  # as a release sets it
DOCS = "\n".join([text for name, text in PAGES.items() if name != INVERTERS.name])
LONGEST = 16 * 1024  # bytes of the page that Home Assistant shows


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCS, re.DOTALL | re.MULTILINE)


def test_tables_are_as_the_program_makes_them() -> None:
    assert renewed(DOCS) == DOCS, "run python -m tests.documents"


def test_the_page_about_inverters() -> None:
    text = INVERTERS.read_text(encoding="utf-8")
    assert renewed(text, OF_INVERTERS) == text, "run python -m tests.documents"
    assert sorted(re.findall(r"<!-- table:(\w+) -->", text)) == sorted(OF_INVERTERS)
    named = set(re.findall(r"`(\w+)`", text.partition("## By maker")[2].partition("\n## ")[0]))
    assert set(DIALECTS) <= named, "a protocol that no maker's line names: menus.py, then python -m tests.documents"


def test_tables_that_come_from_the_tests() -> None:
    assert renewed(DOCS, documents.TABLES) == DOCS, "run python -m tests.documents"


def test_every_table_is_there_once() -> None:
    assert sorted(re.findall(r"<!-- table:(\w+) -->", DOCS)) == sorted([*TABLES, *documents.TABLES])
    assert TABLES.keys().isdisjoint(documents.TABLES)


def test_a_table_is_renewed_and_others_are_left() -> None:
    text = "<!-- table:a -->\nold\n<!-- end --> <!-- table:b -->\nold\n<!-- end -->"
    said = renewed(text, {"a": lambda: "new"})
    assert said == "<!-- table:a -->\n\nnew\n\n<!-- end --> <!-- table:b -->\nold\n<!-- end -->"


def test_every_option_of_a_strategy_is_explained() -> None:
    rows = [line.strip("| ").split(" | ") for line in options().splitlines()[2:]]
    assert {row[0].strip("`") for row in rows} == set(built_in())
    unexplained = [row for row in rows if len(row) != 4 or not all(cell.strip() for cell in row)]
    assert unexplained == [], "the docstring of its validator is what the table says"


def test_every_option_for_mqtt_is_explained() -> None:
    section = PAGES["options.md"].partition("\n## mqtt\n")[2].partition("\n## ")[0]
    assert [key for key in map(str, MQTT.schema) if f"`{key}`" not in section] == []


def test_every_option_for_writes_is_explained() -> None:
    section = PAGES["options.md"].partition("\n## writes\n")[2].partition("\n## ")[0]
    assert [word for word in (*map(str, WRITES.schema), *WRITE_LEVELS) if f"`{word}`" not in section] == []


def test_examples_of_settings_are_valid() -> None:
    found = re.findall(r"^python3 -m jkbms_addon settings (.+)$", DOCS, re.MULTILINE)
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    assert {parser.parse_args(line.split()).action for line in found} == {"save", "diff", "apply"}


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_links_of_the_manual_lead_somewhere(name: str) -> None:
    for target in links(PAGES[name]):
        path, _, anchor = target.partition("#")
        file = (MANUAL / path).resolve() if path else MANUAL / name
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text(encoding="utf-8")), target


def test_home_assistant_shows_a_page_that_is_short_and_has_no_dead_links() -> None:
    """It shows DOCS.md without anchors, so nothing may lead to one inside of it."""
    assert len(START.encode()) <= LONGEST
    found = links(START)
    assert [target for target in found if target.startswith("#")] == []
    for target in found:
        path, _, anchor = target.partition("#")
        assert (FIRST.parent / path).exists(), target
        assert not anchor or anchor in anchors((FIRST.parent / path).read_text(encoding="utf-8")), target


def test_home_assistant_finds_what_is_new_in_an_update() -> None:
    """By its own rule, which wants a heading that is the version and nothing else."""
    text = (FIRST.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[?(\d[^\s\]]+)", text, re.MULTILINE)
    assert len(versions) >= 2
    for latest, installed in itertools.combinations(versions, 2):
        rule = rf"^#* {re.escape(latest)}\n(?:^(?!#* {re.escape(installed)}).*\n)*"
        found = re.search(rule, text, re.MULTILINE)
        assert found, latest
        assert text[found.end() :].startswith(f"## {installed}\n")


def test_every_page_of_the_manual_is_found() -> None:
    listed = {target.partition("#")[0] for target in links(PAGES["README.md"])}
    assert PAGES.keys() - {"README.md"} <= listed
    assert "docs/README.md" in links(START)
    assert "docs/README.md" in links((FIRST.parent / "README.md").read_text(encoding="utf-8"))


def test_what_the_first_page_names_exists() -> None:
    strategies = set(
        re.findall(r"`([a-z_]+)` \|$", START.partition("## What you need")[2].partition("## ")[0], re.MULTILINE)
    )
    assert strategies == set(built_in()), "DOCS.md, What you need: a row for each strategy, which ends with its name"
    for text in re.findall(r"^```yaml\n(.*?)^```$", START, re.DOTALL | re.MULTILINE):
        assert [bus.problem for bus in parse(yaml.safe_load(text)).buses] == [""]


def test_examples_of_options_are_valid() -> None:
    example = next(json.loads(text) for text in blocks("json") if '"mqtt"' in text)
    compose = next(loaded for text in blocks("yaml") if "services" in (loaded := yaml.safe_load(text)))
    form = next(loaded for text in blocks("yaml") if "buses" in (loaded := yaml.safe_load(text)))
    assert [bus.problem for bus in parse(example).buses] == [""]
    assert [bus.problem for bus in parse(form).buses] == [""]
    assert "./options.json:/data/options.json:ro" in compose["services"]["jkbms"]["volumes"]
    assert any(line.endswith(f":{example['buses'][0]['port']}") for line in compose["services"]["jkbms"]["devices"])


# what the program does with a plug-in: find it, check its options, open it, poll it, keep what it says
PROBE = """
import asyncio, json, sys
from jkbms_addon.acquisition import known
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.model import flat
from jkbms_addon.options.file import parse

async def polled(bus, bank):
    async with bus.plugin.open(bus.values, BusStatus(bus.name)) as source:
        for reading in await source.poll():
            bank.update(bus.name, reading)

row = json.loads(sys.argv[1])
bus, = parse({"buses": [row]}).buses
wrong = [parse({"buses": [{**row, **change}]}).buses[0].problem for change in ({"port": ""}, {"colour": "red"})]
bank = Store()
asyncio.run(polled(bus, bank))
snapshots = [[s.bus, s.address, flat(s.topic("state", bank.clock()))] for s in bank]
print(json.dumps({"known": known(), "problem": bus.problem, "wrong": wrong, "snapshots": snapshots}))
"""


def plugin_in(folder: Path) -> Path:
    """The example as pip would install it into a folder."""
    (source,) = blocks("python")
    project = tomllib.loads(blocks("toml")[0])
    points = project["project"]["entry-points"]["jkbms_addon.acquisition"]
    ((name, target),) = points.items()
    info = folder / f"{project['project']['name'].replace('-', '_')}-{project['project']['version']}.dist-info"
    info.mkdir(parents=True)
    (folder / f"{target.partition(':')[0]}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['project']['name']}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[jkbms_addon.acquisition]\n{name} = {target}\n")
    return folder


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    return plugin_in(tmp_path / "plugins")


def test_the_example_plugin_works(installed: Path, tmp_path: Path) -> None:
    battery = tmp_path / "battery.json"
    battery.write_text('{"total_voltage": 53.5, "current": -10, "state_of_charge": 61}')
    row = next(json.loads(text) for text in blocks("json") if '"json_file"' in text) | {"port": str(battery)}
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(row)],
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    said = json.loads(probe.stdout)
    assert "json_file" in said["known"]
    assert set(built_in()) < set(said["known"])
    assert said["problem"] == ""
    assert [problem.partition(":")[0] for problem in said["wrong"]] == ["port", "colour"]
    ((bus, address, values),) = said["snapshots"]
    assert (bus, address) == ("file", 1)
    assert values["state_of_charge"] == 61
    assert values["power"] == -535


def test_the_example_plugin_is_short() -> None:
    (source,) = blocks("python")
    assert len([line for line in source.splitlines() if line.strip()]) <= 20


def test_the_first_page_names_the_blueprints_that_exist() -> None:
    found = [
        re.findall(r'^  name: "JK BMS: (.+)"$', file.read_text(encoding="utf-8"), re.MULTILINE)
        for file in (MANUAL / "blueprints").glob("*.yaml")
    ]
    listed = re.findall(r"Blueprints\s\(([^)]+)\)\sare in `docs/blueprints`", START)
    assert sorted(" ".join(listed[0].split()).split(", ")) == sorted(name for names in found for name in names)


@pytest.mark.parametrize("form", sorted((FIRST.parent / "translations").glob("*.yaml")), ids=lambda form: form.stem)
def test_the_form_names_chapters_that_exist(form: Path) -> None:
    said = yaml.safe_load(form.read_text(encoding="utf-8"))["configuration"]
    texts = (said[key]["description"] for key in ("writes", "inverter"))
    for text, chapter in zip(texts, ("Changing settings of a battery", "Telling an inverter"), strict=True):
        assert chapter in text
        assert f"\n## {chapter}\n" in START
    assert "Inverter and charge control" in said["inverter"]["fields"]["confirmed"]["description"]
    assert PAGES["charging.md"].startswith("# Inverter and charge control\n")
    assert "Inverters" in said["inverter"]["fields"]["protocol"]["description"]
    assert INVERTERS.read_text(encoding="utf-8").startswith("# Inverters: ")
