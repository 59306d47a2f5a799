"""What a bug report needs, in one file without secrets. It blocks.

Passwords, PINs, tokens and user names are blanked; names of hosts, Bluetooth addresses and serial numbers stand as
``host-1`` and the like, the same everywhere, so that a reader still sees which one is meant; so do the names of people
who changed something on the page.
"""

import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from jkbms_addon.doctor import log
from jkbms_addon.doctor.versions import versions
from jkbms_addon.heartbeat import HEARTBEAT
from jkbms_addon.validators import secret, secrets_of

KEPT = ("incidents.json", "inverter.json", "writes.jsonl")
LONGEST = 200_000  # bytes of each text; what is newest of it
HOSTS: Final = ("host", "mac")  # options that name something in this house
OPEN: Final = ("", "localhost", "127.0.0.1", "core-mosquitto")  # that tell nothing
SAID: Final = re.compile(r'serial(?:[ _]number)?"?\s*[:=]?\s*"?([A-Za-z0-9]{8,})')  # as it stands in logs and files
# as audit and log name who did something on the page
PEOPLE: Final = (
    re.compile(r'("source": "page )(.+?)(?="[,}])'),
    re.compile(r"( by page )(.+?)(?=;|$)", re.MULTILINE),
    re.compile(r"( inverter, page )(.+?)(?=: )"),
    re.compile(r"( page: )(.+)(?= looks$)", re.MULTILINE),
)


def what(name: str) -> str:
    """What a part of the bundle is, in words."""
    return next(text for start, text in CONTENTS.items() if name.startswith(start))


CONTENTS = {
    "versions": "versions of the app, its libraries and the machine",
    "options": "the options file",
    "words": "what would run, in words",
    "health": "counters of the buses and batteries, as the running app wrote them last",
    "log": "the newest lines of the log",
    "kept": "what the app keeps over restarts",
    "capture": "what passes on a bus",
}


def collected(options: Path, words: str) -> Iterator[tuple[str, str]]:
    """Name and text of each part but the captures; what cannot be had says why instead."""
    yield "versions.json", json.dumps(versions(), indent=2)
    yield "options.json", masked_text(options)
    yield "words.txt", words
    yield "health.json", _file(HEARTBEAT)
    yield "log.txt", _file(log.FILE)
    for name in KEPT:
        yield f"kept/{name}", _file(options.resolve().parent / name)


def written(parts: Mapping[str, str], options: Path, serials: Iterable[str] = ()) -> bytes:
    """The parts as one file, without names of this house: those in the options, and serial numbers."""
    content = _decoded(options)
    names, secrets = [*_named(content)], _secrets(content)
    numbers = dict.fromkeys([*serials, *(found for text in parts.values() for found in SAID.findall(text))])
    aliases = {name: f"host-{n}" for n, name in enumerate(dict.fromkeys(names), 1)}
    aliases |= {number: f"serial-{n}" for n, number in enumerate(numbers, 1)}
    people: dict[str, str] = {}
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in parts.items():
            shown = text if name.startswith("capture") else _anonymous(_blanked(text, secrets), people)
            bundle.writestr(name, _renamed_head(name, shown, aliases))
    return file.getvalue()


def _blanked(text: str, secrets: Iterable[str]) -> str:
    """Without secrets of the options, wherever they stand: a plug-in may have logged one."""
    for one in secrets:
        text = text.replace(one, "***")
    return text


def _anonymous(text: str, people: dict[str, str]) -> str:
    """Without names of people, each of which has the same other name in all parts."""
    for pattern in PEOPLE:
        text = pattern.sub(lambda found: found[1] + people.setdefault(found[2], f"user-{len(people) + 1}"), text)
    return text


def _renamed_head(name: str, text: str, aliases: Mapping[str, str]) -> str:
    """A part with its names renamed; of a capture the head only, as digits of its bytes may look like a number."""
    if not name.startswith("capture"):
        return _renamed(text, aliases)
    if name.endswith(".log"):  # frames and nothing else
        return text
    head, line, rest = text.partition("\n")
    return _renamed(head, aliases) + line + rest


def _renamed(text: str, aliases: Mapping[str, str]) -> str:
    if not aliases:
        return text
    longest = sorted(aliases, key=len, reverse=True)
    pattern = rf"(?<![\w.-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])"
    return re.sub(pattern, lambda found: aliases[found[0]], text)


def _decoded(options: Path) -> Any:  # noqa: ANN401 - decoded JSON
    """The options; None where they cannot be read."""
    try:
        return json.loads(options.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _named(content: Any) -> Iterator[str]:  # noqa: ANN401 - decoded JSON
    if isinstance(content, dict):
        for key, value in content.items():
            if key in HOSTS and isinstance(value, str) and value not in OPEN:
                yield value
            else:
                yield from _named(value)
    elif isinstance(content, list):
        for one in content:
            yield from _named(one)


def _private(key: str) -> bool:
    """Passwords, PINs and tokens; a user name may be a word that stands everywhere."""
    return secret(key) and "user" not in key.lower()


def _secrets(content: object) -> list[str]:
    """Those of the options that are long enough to be told from other words, the longest first."""
    found = {one for one in secrets_of(content, _private) if len(one) >= log.SHORTEST}
    return sorted(found, key=len, reverse=True)


def masked_text(path: Path) -> str:
    """The options file without its secrets; nothing of it where it is no JSON, as then they cannot be told apart."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        return f"is no JSON: {error}"
    # half a character, as a form may hold it, cannot be written
    return json.dumps(masked(content), ensure_ascii=False, indent=2).encode(errors="replace").decode()


def masked(content: Any) -> Any:  # noqa: ANN401 - decoded JSON
    """The same with every secret blanked, whatever it is and however deep it stands."""
    if isinstance(content, dict):
        return {key: "***" if secret(key) and value else masked(value) for key, value in content.items()}
    return [masked(one) for one in content] if isinstance(content, list) else content


def _file(path: Path) -> str:
    """The newest of a file."""
    try:
        return path.read_bytes()[-LONGEST:].decode("utf-8", "replace")
    except OSError as error:
        return f"cannot be read: {error.strerror}"
