"""What a reader of the documents copies: every example of options is accepted, every command exists as it is shown."""

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import re
import shlex
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from jkbms_addon.__main__ import COMMANDS, main
from jkbms_addon.options.file import SECTIONS
from tests.test_docs import plugin_in

ROOT = Path(__file__).parent.parent
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted(
        [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "tests/README.md", *ROOT.glob(".github/*/*.yaml")]
    )
    if path.name != "CHANGELOG.md"  # it tells of what was
}
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
# blocks of YAML that are no options, by a key that only they have
OTHERS = {"services": "a compose file", "volumes": "a part of one", "type": "a card of a dashboard"}


# --- options ------------------------------------------------------------------------------------------
def fenced(name: str) -> Iterator[tuple[str, str]]:
    """Language and text of each block of a page."""
    for indent, language, text in FENCED.findall(TEXTS[name]):
        yield language, textwrap.dedent(text) if indent else text


def kind(content: Any) -> str:
    """What a block of YAML or JSON is; empty where nobody knows."""
    if not isinstance(content, dict):
        return ""
    if content.keys() & SECTIONS:
        return "options"
    if "strategy" in content:
        return "bus"
    return next((what for key, what in OTHERS.items() if key in content), "")


def examples() -> Iterator[Any]:
    """Options in the documents; what the program itself prints is among them."""
    for name in TEXTS:
        for number, (language, text) in enumerate(fenced(name), 1):
            if language in ("yaml", "json"):
                content = yaml.safe_load(text)
            elif not language and "\nbuses:\n" in text:
                content = yaml.safe_load("buses:\n" + text.partition("\nbuses:\n")[2])
            else:
                continue
            yield pytest.param(content, id=f"{name}-{number}")


EXAMPLES = list(examples())


def completed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A whole file: a bus around or beside the example where that names one which it does not show."""
    if kind(content) == "bus":
        return {"buses": [content]}
    named = json.dumps([content.get("bank"), content.get("batteries")])
    missing = set(re.findall(r"([a-z0-9_]+)/\d", named)) - {bus["name"] for bus in content.get("buses", [])}
    beside = [{"name": name, "strategy": "listen", "port": f"/dev/{name}"} for name in sorted(missing)]
    return {**content, "buses": [*content.get("buses", []), *beside]}


def said_of(options: Mapping[str, Any], folder: Path) -> str:
    """What the command ``options`` says of a file that it does not accept; empty where it does."""
    (folder / "options.json").write_text(json.dumps(options))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["options", str(folder / "options.json")])
    return (out.getvalue() + err.getvalue() or "no word") if status else ""


@pytest.mark.parametrize("content", EXAMPLES)
def test_every_example_of_options_is_accepted(content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kind(content), f"not options? then say in OTHERS of {Path(__file__).name} what it is"
    if kind(content) in OTHERS.values():
        return
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command looks for plug-ins beside the file
    plugin_in(tmp_path / "plugins")
    said = said_of(completed(content), tmp_path)
    assert not said, f"the command options says:\n{said}"


def test_the_examples_are_found() -> None:
    found = [kind(one.values[0]) for one in EXAMPLES]
    assert found.count("options") >= 10
    assert "bus" in found


@pytest.mark.parametrize(
    "wrong",
    [
        {"buses": [{"name": "a", "strategy": "master", "prt": "/dev/ttyUSB0"}]},
        {"bank": {"members": "a/1-99"}},
        {"batteries": ["a/1 == b/1"]},
        {"inverter": {"protocol": "nobody"}},
        {"inverters": [{"protocol": "victron", "channel": "can1", "part": 40}]},
        {"name": "a", "strategy": "plugin", "plugin": "nobody", "port": "/x"},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_wrong_example_is_noticed(wrong: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert "WRONG" in said_of(completed(wrong), tmp_path)


# --- commands -----------------------------------------------------------------------------------------
def lines() -> Iterator[tuple[str, str]]:
    """Page and text of whatever is shown as code: lines of blocks, and what stands between backquotes."""
    for name, text in TEXTS.items():
        shown = [line for language, block in fenced(name) if language == "sh" for line in joined(block)]
        shown += re.findall(r"`([^`\n]+)`", FENCED.sub("", text))
        yield from ((name, line.partition(" #")[0].strip()) for line in shown)


def joined(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


def commands(pattern: str) -> list[Any]:
    """Page and match of all code in which a command stands."""
    found = {(name, match[1].strip()): None for name, line in lines() for match in re.finditer(pattern, line)}
    return [pytest.param(command, id=f"{name}: {command}") for name, command in found]


END = r"([^|;&>)]*)"
OURS = commands(rf"(?:python3? |jkbms )-m jkbms_addon {END}")
MODULES = commands(rf"python3? -m ((?:tests|release)[.\w]* ?{END[1:-1]})")
SCRIPT = commands(rf"\./run\.sh {END}")


def refused(line: str) -> str:
    """Why a command of ours is not taken as it is shown; empty where it is. ``…`` stands for anything."""
    command, *arguments = shlex.split(line.replace("NAME", "pylontech"))
    if command not in COMMANDS:
        return f"there is no command {command}"
    parser = argparse.ArgumentParser(exit_on_error=False)
    importlib.import_module(COMMANDS[command][0]).add_arguments(parser)
    said = io.StringIO()
    if not arguments or "…" in arguments:
        return ""
    with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit, argparse.ArgumentError):
        parser.parse_args(arguments)
        return ""
    return f"{command} does not take {arguments}: {said.getvalue()}"


@pytest.mark.parametrize("line", OURS)
def test_every_command_takes_what_is_shown(line: str) -> None:
    assert refused(line) == ""


@pytest.mark.parametrize(
    "line", ["scna", "audit --lst 20", "scan --listen-seconds 5", "settings restore --bus a", "decode --format x"]
)
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    assert refused(line)


def sources(module: str) -> str:
    """Text of a module, or of all of a package."""
    found = importlib.util.find_spec(module)
    assert found, f"there is no module {module}"
    assert found.origin
    files = Path(found.origin).parent.glob("*.py") if found.submodule_search_locations else [Path(found.origin)]
    return "".join(file.read_text(encoding="utf-8") for file in files)


@pytest.mark.parametrize("line", MODULES)
def test_every_module_of_the_tests_takes_what_is_shown(line: str) -> None:
    module, *arguments = shlex.split(line)
    text = sources(module)
    assert 'if __name__ == "__main__"' in text or "__main__" in {
        path.stem for path in (ROOT / module.replace(".", "/")).glob("*.py")
    }, f"{module} is no program"
    assert [one for one in arguments if one.startswith("--") and f'"{one}"' not in text] == []


@pytest.mark.parametrize("line", SCRIPT)
def test_the_script_takes_what_is_shown(line: str) -> None:
    cases = re.findall(r"^([\w |]+)\)$", (ROOT / "run.sh").read_text(encoding="utf-8"), re.MULTILINE)
    assert line.split(maxsplit=1)[0] in " | ".join(cases).split(" | ")


def test_commands_are_found() -> None:
    assert len(OURS) >= 20
    assert len(MODULES) >= 5
    assert len(SCRIPT) >= 3


# --- files --------------------------------------------------------------------------------------------
NAMED = re.findall(r"`([\w./-]+/[\w./*-]*|[\w-]+\.(?:py|md|yaml|toml))`", TEXTS["CONTRIBUTING.md"])


def paths(word: str) -> list[str]:
    """What the shell makes of a word with braces."""
    before, brace, rest = word.partition("{")
    inner, _, after = rest.partition("}")
    return [f"{before}{one}{after}" for one in inner.split(",")] if brace else [word]


TESTS = {
    path
    for name, line in lines()
    if re.search(r"pytest|run\.sh test", line)
    for word in line.split()
    if word.startswith("tests/")
    for path in paths(word)
}


@pytest.mark.parametrize("name", sorted({*NAMED, *TESTS}))
def test_every_file_that_the_walks_name_exists(name: str) -> None:
    """``NAME`` is for the reader to choose."""
    pattern = name.strip("/").replace("NAME", "*")
    assert any(True for folder in (ROOT, ROOT / "jkbms_addon") for _ in folder.glob(pattern)), name


def test_files_are_found() -> None:
    assert "tests/test_options_form.py" in TESTS
    assert "battery/quantities.py" in NAMED
