"""``bundle``: what a bug report needs, in one file without secrets."""

import argparse
import asyncio
import json
import platform
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jkbms_addon import __version__
from jkbms_addon.acquisition.contract import BusOptions
from jkbms_addon.cli.capture import Tape, record
from jkbms_addon.cli.options import told
from jkbms_addon.cli.run import LOG
from jkbms_addon.doctor.target import Target
from jkbms_addon.errors import LinkError, OptionsError
from jkbms_addon.heartbeat import HEARTBEAT
from jkbms_addon.options.file import DEFAULT_FILE, Options, read

LIBRARIES = ("aiomqtt", "paho-mqtt", "pydantic", "pyserial", "pyserial-asyncio", "python-can", "voluptuous")
KEPT = ("incidents.json", "inverter.json", "writes.jsonl")
SECRET = ("password", "pin", "token", "secret", "username", "mqttuser", "mqttpass")
LONGEST = 200_000  # bytes of each text; what is newest of it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--options", type=Path, default=DEFAULT_FILE, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="N", help="of each bus (default: %(default)s)")
    parser.add_argument("file", type=Path, nargs="?", default=Path("jkbms-bundle.zip"), help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Write the file and list what is in it; 0. ``OptionsError`` when it cannot be written."""
    parts = dict(collected(args.options, args.seconds))
    try:
        with zipfile.ZipFile(args.file, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in parts.items():
                bundle.writestr(name, text)
    except OSError as error:
        raise OptionsError(f"{args.file} cannot be written: {error.strerror or error}") from error
    print(f"{args.file} holds, with passwords, PINs and user names blanked:")
    for name, text in parts.items():
        print(f"  {name:<24} {len(text.encode()):>8} bytes  {what(name)}")
    print("Look into it before you hand it on: names of gateways and batteries and serial numbers are in it.")
    return 0


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
    "capture": "bytes on a bus",
}


def collected(options: Path, seconds: float) -> Iterator[tuple[str, str]]:
    """Name and text of each part; what cannot be had says why instead."""
    yield "versions.json", json.dumps(versions(), indent=2)
    yield "options.json", masked_text(options)
    found, problem = _options(options)
    yield "words.txt", "\n".join(told(found)) if found else problem
    yield "health.json", _file(HEARTBEAT)
    yield "log.txt", _file(LOG)
    for name in KEPT:
        yield f"kept/{name}", _file(options.resolve().parent / name)
    for bus in found.buses if found else ():
        if bus.plugin and seconds > 0:
            yield f"capture-{bus.name}.jsonl", captured(bus, seconds)


def versions() -> dict[str, str]:
    """Versions of everything that matters."""
    return {
        "jkbms": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        **{name: _version(name) for name in LIBRARIES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _options(path: Path) -> tuple[Options | None, str]:
    try:
        return read(path), ""
    except OptionsError as error:
        return None, str(error)
    except RecursionError:
        return None, "nested too deep"


def masked_text(path: Path) -> str:
    """The options file without its secrets; nothing of it where it is no JSON, as then they cannot be told apart."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        return f"is no JSON: {error}"
    return json.dumps(masked(content), ensure_ascii=False, indent=2)


def masked(content: Any) -> Any:  # noqa: ANN401 - decoded JSON
    """The same with every secret blanked, whatever it is and however deep it stands."""
    if isinstance(content, dict):
        return {key: "***" if _secret(key) and value else masked(value) for key, value in content.items()}
    return [masked(one) for one in content] if isinstance(content, list) else content


def _secret(key: str) -> bool:
    return any(word in key.lower() for word in SECRET)


def _file(path: Path) -> str:
    """The newest of a file."""
    try:
        return path.read_bytes()[-LONGEST:].decode("utf-8", "replace")
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def captured(bus: BusOptions, seconds: float) -> str:
    """Bytes on a bus, secrets blanked, nothing sent; or why there are none."""
    place = target(bus)
    if place is None:
        return "only serial ports and gateways can be captured"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture.jsonl"
        try:
            asyncio.run(record(place, Tape(path), seconds, frozenset()))
        except (LinkError, OptionsError) as error:
            return f"not captured: {error}; the running app has the port, stop it first if the bytes matter"
        return _file(path)


def target(bus: BusOptions) -> Target | None:
    """Where the bytes of a bus come from; None where they are no stream."""
    values = bus.values
    if "host" in values and "tcp_port" in values:
        return Target(str(values["host"]), int(values["tcp_port"]))
    return Target(str(values["port"])) if "port" in values else None
