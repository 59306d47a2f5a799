"""What may import what, what does no I/O, how long a file may be: read from the sources."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jkbms_addon"
NAME = PACKAGE.name

# An arrow may only point up this list, or stay in its row: packages are layers.
ORDER = (
    ("errors", "clock", "worker", "supervise", "validators", "kept", "heartbeat", "supervisor"),
    ("battery",),
    ("wire",),
    ("link",),
    ("commands",),
    ("acquisition",),
    ("doctor",),
    ("bank",),
    ("charging",),
    ("inverter",),
    ("views",),
    ("page",),
    ("mqtt",),
    ("options",),
    ("app", "simulator", "model"),
    ("cli",),
    ("__main__",),
)
ROWS = {name: number for number, row in enumerate(ORDER) for name in row}

# library -> the only modules (or packages, with a dot at the end) that may import it
FENCES = {
    # what comes from the user, section by section
    "voluptuous": ("validators", "options.", "acquisition.", "inverter.options", "inverter.several"),
    "websockets": ("page.server",),
    "pydantic": ("kept", "battery.", "wire.codec", "charging.", "inverter.", "mqtt.announced"),
    "aiomqtt": ("mqtt.client", "mqtt.connection", "mqtt.session", "cli.demo"),
    "paho": (),
    "amqtt": ("cli.demo",),
    "can": ("link.can",),
    "serial": ("link.stream",),
    "serial_asyncio": ("link.stream",),
}
# what parses does no I/O
FORBIDDEN_IN_WIRE = {
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


def row(name: str) -> int:
    """Row of a module, or of the package that it is in; the root of the package has none."""
    return ROWS[name.split(".", maxsplit=1)[0]]


def test_every_package_has_a_row_and_every_row_a_package() -> None:
    assert {name.split(".")[0] for name in SOURCES if name} == set(ROWS)


@pytest.mark.parametrize("name", [name for name in SOURCES if name])
def test_no_import_runs_up(name: str) -> None:
    below = [other for other in own_imports(name) if other and row(other) > row(name)]
    assert below == [], f"{name} imports what stands below it in ORDER: import it from where it is defined, or move it"


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


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith("wire")])
def test_what_parses_does_no_io(name: str) -> None:
    assert {one.split(".")[0] for one in imported(name)} & FORBIDDEN_IN_WIRE == set()
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
    """The supervisor's; a thread handles nothing, it carries what was raised to who waits for it."""
    found = [(name, line) for name in SOURCES for line in broad_handlers(name)]
    assert [name for name, _ in found] == ["supervise", "worker"], found


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
