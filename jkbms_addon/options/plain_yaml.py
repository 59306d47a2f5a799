"""Options as YAML, as they stand in Home Assistant's form, and which lines of it are new. Pure.

What is read is that form of YAML alone: one value a line. Everything else is refused, not guessed.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from jkbms_addon.errors import OptionsError

PLAIN: Final = re.compile(r"[A-Za-z_/](?:[\w ./@-]*[\w/])?", re.ASCII)
WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})  # that are no texts
KEY: Final = re.compile(r'("(?:[^"\\]|\\.)*"|[A-Za-z_/](?:[\w ./@()-]*[\w./@()-])?):(?: +(.*))?', re.ASCII)
WHOLE: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
BROKEN: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})\.\d{1,17}", re.ASCII)
QUOTED: Final = re.compile(r"'((?:[^']|'')*)'")
# texts that begin with a number: an address with or without a port, and ranges of addresses of batteries
NUMBERS: Final = re.compile(r"\d+\.\d+\.\d+\.\d+(?::\d+)?|\d{1,2}-\d{1,2}(?:, ?\d{1,2}(?:-\d{1,2})?)*", re.ASCII)
TEXT: Final = re.compile(r"[A-Za-z_/](?:(?!: | #)[^\0])*(?<!:)")
CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}
DEEPEST: Final = 60  # blanks in front of a line

Line = tuple[int, int, str]  # number, blanks in front, and the rest


def written(content: Any) -> str:  # noqa: ANN401 - decoded JSON
    """The same as YAML, without a line end."""
    return "\n".join(_lines(content))


def changed(before: str, after: str) -> list[str]:
    """What differs between two texts, a line each: with ``-``, ``+`` or a blank in front, and ``@`` for a gap."""
    import difflib  # noqa: PLC0415 - who changes nothing needs no memory for it

    found = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    return ["@" if line.startswith("@") else line for line in list(found)[2:]]


def _lines(content: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from _entry(f"{_scalar(str(key))}:", value)
    elif isinstance(content, list) and content:
        for value in content:
            first, *rest = _lines(value)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(content)


def _entry(head: str, value: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(value, (dict, list)) and value:
        yield head
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a browser makes no difference
    # JSON texts are YAML texts, too, but for what cannot be printed
    return json.dumps(value, ensure_ascii=not (isinstance(value, str) and value.isprintable()))


# --- reading ----------------------------------------------------------------------------------------------
def read(text: str) -> Any:  # noqa: ANN401 - as decoded JSON
    """What such a text says; ``OptionsError`` with the number of the line that is something else."""
    lines = []
    for number, whole in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = whole.rstrip("\r ")
        rest = line.lstrip(" ")
        if not line.isprintable():
            raise _refused(number, "has a tab or something else that cannot be seen; blanks are meant")
        if rest and not rest.startswith("#"):
            lines.append((number, len(line) - len(rest), rest))
    if not lines:
        return None
    content = _block(lines, lines[0][1])
    if lines:
        raise _refused(lines[0][0], "stands further in or out than the lines above allow")
    return content


def _refused(number: int, why: str) -> OptionsError:
    return OptionsError(f"line {number}: {why}")


def _block(lines: list[Line], depth: int) -> Any:  # noqa: ANN401
    """What begins with the first line, at that depth; its lines are taken out."""
    number, _, rest = lines[0]
    if depth > DEEPEST:
        raise _refused(number, "is nested too deep")
    if rest.startswith("- "):
        return _list(lines, depth)
    if KEY.fullmatch(rest):
        return _dictionary(lines, depth)
    del lines[0]
    return _value(number, rest)


def _list(lines: list[Line], depth: int) -> list[Any]:
    found = []
    while lines and lines[0][1] == depth and lines[0][2].startswith("- "):
        number, _, rest = lines[0]
        inner = rest[1:].lstrip(" ")
        inside = depth + len(rest) - len(inner)
        lines[0] = (number, inside, inner)
        found.append(_block(lines, inside))
    return found


def _dictionary(lines: list[Line], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while lines and lines[0][1] == depth and (entry := KEY.fullmatch(lines[0][2])):
        number = lines.pop(0)[0]
        key = _value(number, entry[1])
        if not isinstance(key, str):
            raise _refused(number, f"{entry[1]:.40} is no name; put it between double quotes")
        if key in found:
            raise _refused(number, f"{key:.40} is there twice")
        found[key] = _value(number, entry[2]) if entry[2] else _below(lines, depth)
    return found


def _below(lines: list[Line], depth: int) -> Any:  # noqa: ANN401
    """What stands below a key: further in, or a list at the same depth; nothing is null."""
    if lines and (lines[0][1] > depth or (lines[0][1] == depth and lines[0][2].startswith("- "))):
        return _block(lines, lines[0][1])
    return None


def _value(number: int, text: str) -> Any:  # noqa: ANN401, PLR0911 - a line for each kind
    if text in CONSTANTS:
        return CONSTANTS[text]
    if text in ("[]", "{}"):
        return [] if text == "[]" else {}
    if WHOLE.fullmatch(text):
        return int(text)
    if BROKEN.fullmatch(text):
        return float(text)
    if text.startswith('"'):
        try:
            return json.loads(text)
        except ValueError:
            raise _refused(number, "has a text between double quotes that is not understood") from None
    if quoted := QUOTED.fullmatch(text):
        return quoted[1].replace("''", "'")
    if NUMBERS.fullmatch(text) or (TEXT.fullmatch(text) and text.lower() not in WORDS):
        return text
    # the value is not told, as it may be a secret
    raise _refused(number, "the value is not understood; put a text between double quotes")
