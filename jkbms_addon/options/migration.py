"""Options of an earlier version, so that nobody has to type them again after an update. Pure.

The Supervisor hands over only what the schema in ``config.yaml`` knows. So a renamed option stays there under its old
name too, as an optional one without a default, and a row here says where its value belongs now.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

EACH: Final = "buses[]."  # in front of a path: within each bus


@dataclass(frozen=True, slots=True)
class Move:
    """An option that got another name or unit; paths such as ``mqtt.host`` or ``buses[].port``.

    ``convert`` makes the new value of any old one, also of one that is wrong. ``default`` is what ``config.yaml`` puts
    into the new place by itself: it is not taken for a wish of the user.
    """

    old: str
    new: str
    convert: Callable[[Any], Any] = lambda value: value
    default: object = None


# nothing was renamed so far
MOVES: Final[tuple[Move, ...]] = ()


def migrated(raw: Mapping[str, Any], moves: Sequence[Move] = MOVES) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The options in today's words, and a line for each one that was given in older ones."""
    options, lines = deepcopy(dict(raw)), []
    for move in moves:
        for where, part, old, new in _places(options, move):
            line = _moved(part, old, new, move)
            if line:
                lines.append(f"{where}{line}")
    return options, tuple(lines)


def _places(options: dict[str, Any], move: Move) -> Iterator[tuple[str, dict[str, Any], str, str]]:
    """Which dictionaries a row is about: all options, or each bus."""
    if not move.old.startswith(EACH):
        yield "", options, move.old, move.new
        return
    buses = options.get("buses")
    for number, bus in enumerate(buses if isinstance(buses, list) else (), 1):
        if isinstance(bus, dict):
            yield f"bus {number}: ", bus, move.old.removeprefix(EACH), move.new.removeprefix(EACH)


def _moved(options: dict[str, Any], old: str, new: str, move: Move) -> str:
    """Put one value into its new place, unless another one was given there; what to tell about it."""
    *path, key = old.split(".")
    holder = _inner(options, path)
    if holder is None or key not in holder:
        return ""
    value = holder.pop(key)
    if value in (None, ""):
        return ""
    *path, key = new.split(".")
    target = _inner(options, path, make=True)
    if target is None or target.get(key) not in (None, "", move.default):
        return f"{old}: ignored, as {new} is given"
    target[key] = move.convert(value)
    return f"{old}: read as {new}, which is its name now"


def _inner(options: dict[str, Any], path: Sequence[str], *, make: bool = False) -> dict[str, Any] | None:
    """The dictionary at a path; None where there is none, or something else."""
    found: Any = options
    for key in path:
        found = found.setdefault(key, {}) if make else found.get(key)
        if not isinstance(found, dict):
            return None
    return found  # type: ignore[no-any-return]
