"""Changes every constant, comparison, operator and key of bank and charge control, one at a time, and counts what dies.

``python -m tests.mutants`` tries all of them, ``--sample 300`` so many drawn at random, names of modules only those.
A mutant is dead when a test fails, cannot be collected, or hangs. Each is tried in a child of this process, in which
its module is compiled from the changed tree; nothing is written. What survives is printed with its line. The tests of
the module itself come first, the closed loop last; ``--fast`` leaves it out, and then at least so many die.
"""

import argparse
import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import CodeType, ModuleType

ROOT = Path(__file__).parent.parent
PACKAGES = ("charging", "bank")
LONGEST = 300  # s of processor time that the tests of one mutant may take; the machine may be busy with other things
HANGS = 1800.0  # s that they may take altogether
LOOPS = ("charging/test_closed_loop.py",)  # a minute long, so only what survives all others is tried there
SLOW = ("closed_loop", "any_installation")
UNIT_TESTS = tuple(
    name
    for path in sorted((ROOT / "tests" / "charging").glob("test_*.py"))
    if (name := path.stem.removeprefix("test_")) not in SLOW
)
OTHER_TESTS = ("bank/test_bank.py", "bank/test_membership.py", "inverter/test_state.py", "views")
# where the tests of a module are that has no file of its own name
TESTS_OF = {"voltage": "decide", "told_charge": "requests", "lasting": "moments", "cadence": "moments"}
TESTS_OF |= {"setpoints": "owner", "chemistry": "cell_limits", "candidate": "bank", "kept_owner": "control"}
# what every child needs and no change touches; it is imported once
PRELOADED = (
    *("pydantic", "asyncio", "voluptuous", "yaml", "pytest", "hypothesis.strategies", "pytest_asyncio.plugin"),
    *("jkbms_addon.battery.quantities", "jkbms_addon.battery.snapshot", "jkbms_addon.kept"),
)
# what no test can tell, and why: module, and a part of "what it was -> what it is: source of the line"
EXCUSED = {
    ("control", "self._saved, self._saved_at, self._saved_as = Memory()"): "the first time it is written anyway",
    ("silence", "0.0 -> 0.01: if capacity is None"): "both are less than 20 %",
    ("proposal", "6 -> 7: amps = floor"): "any number between an ampere and the last bit does",
    ("cell_limits", "50.0 -> 51.0: COLD"): "what is colder than all chemistries bear narrows nothing",
    ("cell_limits", "100.0 -> 102.0: HOT"): "what is hotter than all chemistries bear narrows nothing",
    ("cell_limits", "120 -> 121: mosfet"): "what is hotter than the usual narrows nothing",
    ("cell_limits", "4 -> 5: DIGITS"): "any number between a millivolt and the last bit does",
    ("voltage", "self.charge = 0.0"): "is set before it is looked at for the first time",
    ("cell_limits", "empty = max(empty, owner.empty_voltage or 0.0"): "any number far below a cell does",
    ("derating", "if above < x1:"): "both pieces say the same where they meet",
    ("decide", "spread = 1000 * BALANCED"): "is shown in whole millivolts",
    ("decide", "LtE -> Lt: if not 0 <= wall - self._seen"): "notes the same moment once more",
    ("derating", 'latches.factor(key, "'): "a name that is told apart from the others is all that is wanted",
    ("derating", "'both' -> 'bothx': return latches"): "as above",
    ("derating", "'mosfet' -> 'mosfetx': return latches"): "as above",
    ("derating", "stop - 1e-9"): "far less than a BMS can tell",
    ("derating", "factor > 1e-6"): "far less than a BMS can tell",
    ("trim", "Gt -> GtE: if excess > 0"): "a difference of measured voltages that is 0 to its last bit",
}
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
CALLS = {"min": "max", "max": "min", "all": "any", "any": "all"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the module, the line, what it was and what it is, and how to make it."""

    module: str
    line: int
    was: str
    now: str
    change: Callable[[ast.Module], None]


def sources() -> dict[str, Path]:
    """Module names and files."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / "jkbms_addon" / package).glob("*.py")):
            if path.stem != "__init__":
                found[f"jkbms_addon.{package}.{path.stem}"] = path
    return found


def mutants(module: str, tree: ast.Module) -> Iterator[Mutant]:
    """Every change of a module."""
    texts = {id(part) for part in _texts(tree)}
    for index, node in enumerate(ast.walk(tree)):
        if id(node) in texts:
            continue
        for number, (was, now) in enumerate(_changes(node)):
            yield Mutant(module, getattr(node, "lineno", 0), was, now, _changer(index, number))


def _texts(tree: ast.Module) -> Iterator[ast.AST]:
    """Parts that only say something: docstrings, messages, annotations, theories; and what Python itself wants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
        elif isinstance(node, ast.JoinedStr | ast.ImportFrom | ast.Import | ast.Assert | ast.Raise):
            yield from ast.walk(node)
        elif isinstance(node, ast.AnnAssign):
            yield from ast.walk(node.annotation)
            if node.value is not None and isinstance(node.target, ast.Name) and node.target.id.startswith("WHY"):
                yield from ast.walk(node.value)
        elif isinstance(node, ast.arg) and node.annotation is not None:
            yield from ast.walk(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            returns = None if isinstance(node, ast.ClassDef) else node.returns
            for part in (*node.decorator_list, *((returns,) if returns else ())):
                yield from ast.walk(part)
        elif isinstance(node, ast.Call) and _is_log(node):
            yield from ast.walk(node)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):  # a type, such as Literal
            yield from ast.walk(node.value)


def _is_log(call: ast.Call) -> bool:
    name = call.func
    if isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name):
        return name.value.id in ("_LOGGER", "logging")
    return isinstance(name, ast.Name) and name.id == "ConfigDict"


def _changes(node: ast.AST) -> Iterator[tuple[str, str]]:
    """What can be made of one node, in words."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield repr(node.value), repr(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield repr(node.value), repr(_other(node.value))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        yield repr(node.value), repr(node.value + "x")
    elif isinstance(node, ast.Compare):
        for op in node.ops:
            yield type(op).__name__, SWAPS[type(op)].__name__
    elif (isinstance(node, ast.BinOp) and type(node.op) in SWAPS) or isinstance(node, ast.BoolOp):
        yield type(node.op).__name__, SWAPS[type(node.op)].__name__
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not", ""
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in CALLS:
        yield node.id, CALLS[node.id]


def _other(value: float) -> float:
    """A number that is a little different: a step of a count, two percent of a measure."""
    if isinstance(value, int):
        return value + 1
    return 0.01 if value == 0 else value * 1.02


def _changer(index: int, number: int) -> Callable[[ast.Module], None]:
    def change(tree: ast.Module) -> None:
        node = next(node for at, node in enumerate(ast.walk(tree)) if at == index)
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            node.value = not node.value
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            node.value = _other(node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value += "x"
        elif isinstance(node, ast.Compare):
            node.ops[number] = SWAPS[type(node.ops[number])]()  # type: ignore[call-overload]
        elif isinstance(node, ast.BinOp | ast.BoolOp):
            node.op = SWAPS[type(node.op)]()  # type: ignore[assignment]
        elif isinstance(node, ast.UnaryOp):
            node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
            ast.fix_missing_locations(node)
        elif isinstance(node, ast.Name):
            node.id = CALLS[node.id]

    return change


class _Loader(importlib.abc.Loader):
    """Compiles one module from a changed tree."""

    def __init__(self, code: CodeType) -> None:
        self._code = code

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, code: CodeType, path: Path) -> None:
        self._name, self._code, self._path = name, code, path

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_loader(fullname, _Loader(self._code), origin=str(self._path))


def tests_for(module: str) -> Iterator[list[str]]:
    """Files of tests to be tried one list after the other: those of the module itself, all others, the closed loop."""
    stem = module.rsplit(".", maxsplit=1)[-1]
    every = [*(f"charging/test_{name}.py" for name in UNIT_TESTS), *OTHER_TESTS]
    first = [one for one in every if one.endswith(f"test_{TESTS_OF.get(stem, stem)}.py")]
    others = [one for one in every if one not in first]
    for stage in (first, others, LOOPS):
        if found := [str(ROOT / "tests" / one) for one in stage]:
            yield found


def survives(mutant: Mutant, path: Path, tree: ast.Module, stages: Sequence[Sequence[str]]) -> bool:
    """Whether all tests pass with it; in a child."""
    changed = deepcopy(tree)
    mutant.change(changed)
    code = compile(ast.fix_missing_locations(changed), str(path), "exec")
    child = os.fork()
    if child == 0:
        status = 1
        resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, LONGEST))
        with contextlib.suppress(BaseException):
            status = _tried(_Finder(mutant.module, code, path), stages)
        os._exit(0 if status == 0 else 1)
    began = time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        if time.monotonic() - began > HANGS:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.02)


def _tried(finder: _Finder, stages: Sequence[Sequence[str]]) -> int:
    import pytest

    sys.meta_path.insert(0, finder)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", "--no-header"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what was imported before
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return next((status for stage in stages if (status := int(pytest.main([*options, *stage])))), 0)


def excused(module: str, text: str) -> str:
    """Why nobody could tell; empty where a test should have."""
    stem = module.rsplit(".", maxsplit=1)[-1]
    return next((why for (name, part), why in EXCUSED.items() if name == stem and part in text), "")


def main() -> None:
    """Try them and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="such as phases; all of them without")
    parser.add_argument("--sample", type=int, help="how many to draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fast", action="store_true", help="without the closed loop")
    args = parser.parse_args()
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in sources().items()}
    wanted = {name: tree for name, tree in trees.items() if not args.modules or name.rsplit(".")[-1] in args.modules}
    every = [mutant for name, tree in wanted.items() for mutant in mutants(name, tree)]
    chosen = every
    if args.sample and args.sample < len(every):
        chosen = Random(args.seed).sample(every, args.sample)
    for preloaded in PRELOADED:
        importlib.import_module(preloaded)
    stages = list(tests_for("nothing"))[: -1 if args.fast else None]
    path, tree = next((sources()[name], tree) for name, tree in trees.items())
    if not survives(Mutant("", 0, "", "", lambda _tree: None), path, tree, stages):
        sys.exit("the tests fail without any change")
    dead = 0
    for number, mutant in enumerate(chosen, 1):
        path, stages = sources()[mutant.module], list(tests_for(mutant.module))[: -1 if args.fast else None]
        if survives(mutant, path, trees[mutant.module], stages):
            line = path.read_text(encoding="utf-8").splitlines()[mutant.line - 1].strip()
            text = f"{mutant.was} -> {mutant.now}: {line}"
            why = excused(mutant.module, text)
            print(f"{mutant.module}:{mutant.line} {text}" + (f"  ({why})" if why else ""), flush=True)
        else:
            dead += 1
        if number % 50 == 0:
            print(f"... {number} of {len(chosen)}, {dead} dead", flush=True)
    print(f"{dead} of {len(chosen)} dead ({100 * dead / max(1, len(chosen)):.1f} %), of {len(every)} in all")


if __name__ == "__main__":
    main()
