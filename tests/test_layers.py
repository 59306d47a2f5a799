"""What may import what, what does no I/O, how long a file may be: read from the sources."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jkbms_addon"
NAME = PACKAGE.name

# An arrow may only point to a lower layer, or to a sibling: same layer, same package. The longest name counts.
LAYERS = {
    "": 0,  # the version
    "errors": 0,
    # tables, and where the newest values are kept
    "alarms": 1,
    "model": 1,
    "wire": 1,
    "bank": 1,
    "status": 1,
    # pure
    "protocols": 2,
    "plausibility": 2,
    "writing.rules": 2,
    "writing.desk": 2,
    "writing.plan": 2,
    "writing.backup": 2,
    # the audit's file
    "writing": 3,
    # what one change is, over any wire that its owner hands in
    "acquisition.change": 3,
    # validators; the inverter's options have a channel, too
    "acquisition.options": 3,
    # pure, too; they show what the desk lets be changed
    "mqtt.discovery": 3,
    "mqtt.outbox": 3,
    "inverter": 2,
    # what it shows of the pure path is pure, too
    "mqtt.bank_discovery": 3,
    # what opens a CAN channel, for the BMSs' bus and for the inverter's
    "can_channel": 3,
    "can_link": 3,
    # files that survive a restart
    "kept": 3,
    # owners of links, and what they need
    "supervise": 4,
    "acquisition": 4,
    "mqtt": 4,
    "inverter.control": 4,
    "inverter.emitter": 4,
    "inverter.options": 4,
    "inverter.path": 4,
    "simulator": 4,
    "simulator_bus": 4,
    "simulator_can": 4,
    "simulator_ttl": 4,
    # the whole
    "options": 5,
    "migration": 0,  # knows dictionaries only
    "app": 5,
    "docs": 5,
    # commands; the demo shows what "run" does
    "cli": 6,
    "demo": 7,
    "__main__": 7,
}

# library -> the only modules (or packages, with a dot at the end) that may import it
FENCES = {
    # what comes from the user, section by section
    "voluptuous": ("options", "acquisition.", "inverter.options"),
    "pydantic": ("model", "wire", "inverter."),
    "aiomqtt": ("mqtt.client", "demo"),
    "paho": (),
    "amqtt": ("demo",),
    "can": ("can_channel",),
    "serial": ("acquisition.link",),
    "serial_asyncio": ("acquisition.link",),
}
# what parses does no I/O
FORBIDDEN_IN_PROTOCOLS = {
    *(
        "asyncio",
        "socket",
        "select",
        "selectors",
        "ssl",
        "http",
        "urllib",
        "subprocess",
        "threading",
        "multiprocessing",
    ),
    *("os", "io", "pathlib", "shutil", "tempfile", "signal", "time", "logging"),
}
MAX_LINES = 400


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module(path: Path) -> str:
    """Dotted name below the package; empty for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(name: str) -> Iterator[str]:
    """Dotted names of all modules that one imports, wherever in it."""
    for node in ast.walk(tree(SOURCES[name])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            assert node.module
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (one if one.removeprefix(f"{NAME}.") in SOURCES else node.module for one in below)


def own_imports(name: str) -> set[str]:
    """Modules of the package that one imports, without its name in front."""
    return {one.removeprefix(NAME).removeprefix(".") for one in imported(name) if one.split(".")[0] == NAME}


def layer(name: str) -> int | None:
    parts = name.split(".")
    found = (LAYERS.get(".".join(parts[:n])) for n in range(len(parts), 0, -1))
    return next((number for number in found if number is not None), None)


def package(name: str) -> str:
    return name if SOURCES[name].name == "__init__.py" else name.rpartition(".")[0]


def test_every_module_has_a_layer_and_every_layer_a_module() -> None:
    assert [name for name in SOURCES if layer(name) is None] == []
    planned = {"inverter.emitter"}
    assert {name for name in LAYERS if name not in SOURCES} <= planned


@pytest.mark.parametrize("name", SOURCES)
def test_arrows_point_down(name: str) -> None:
    own = layer(name)
    assert own is not None
    for other in own_imports(name):
        target = layer(other)
        assert target is not None, f"{other} is no module"
        assert target < own or (target == own and package(other) == package(name)), f"{name} imports {other}"


@pytest.mark.parametrize("library", FENCES)
def test_fences(library: str) -> None:
    allowed = FENCES[library]
    outside = [
        name
        for name in SOURCES
        if any(one.split(".")[0] == library for one in imported(name))
        and not any(name == place or (place.endswith(".") and f"{name}.".startswith(place)) for place in allowed)
    ]
    assert outside == []


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("protocols")])
def test_what_parses_does_no_io(name: str) -> None:
    assert {one.split(".")[0] for one in imported(name)} & FORBIDDEN_IN_PROTOCOLS == set()
    called = {
        node.func.id
        for node in ast.walk(tree(SOURCES[name]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called & {"open", "print", "input", "exec", "eval", "__import__"} == set()


def broad_handlers(name: str) -> Iterator[int]:
    """Lines of handlers and suppressions that take everything."""
    for node in ast.walk(tree(SOURCES[name])):
        if isinstance(node, ast.ExceptHandler):
            caught = [node.type]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            caught = list(node.args) if called == "suppress" else []
            if not caught:
                continue
        else:
            continue
        parts = [part for one in caught for part in (one.elts if isinstance(one, ast.Tuple) else [one])]
        names = [part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", None) for part in parts]
        if None in names or {"Exception", "BaseException"} & set(names):
            yield node.lineno


def test_exactly_one_handler_takes_everything() -> None:
    found = [(name, line) for name in SOURCES for line in broad_handlers(name)]
    assert [name for name, _ in found] == ["supervise"], found


def lines_of_code(name: str) -> int:
    """Lines of a file, without its tables: values of a module or of a class that are assigned by name."""
    whole = tree(SOURCES[name])
    bodies = [whole.body, *(node.body for node in whole.body if isinstance(node, ast.ClassDef))]
    tables = [node for body in bodies for node in body if isinstance(node, ast.Assign | ast.AnnAssign)]
    lines = SOURCES[name].read_text(encoding="utf-8").count("\n")
    return lines - sum((node.end_lineno or 0) - node.lineno + 1 for node in tables)


@pytest.mark.parametrize("name", SOURCES)
def test_no_file_is_too_long(name: str) -> None:
    assert lines_of_code(name) <= MAX_LINES
