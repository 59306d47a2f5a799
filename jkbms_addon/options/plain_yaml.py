"""Options as YAML, as they stand in Home Assistant's form, and which lines of it are new. Pure."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

PLAIN: Final = re.compile(r"[A-Za-z_/](?:[\w ./@-]*[\w/])?", re.ASCII)
WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})  # that are no texts


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
