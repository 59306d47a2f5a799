"""A bill of materials (CycloneDX 1.5, JSON) of the image: ``python3 -m release.bill [--image]``.

From a checkout it holds what is decided there: the Python libraries that requirements.txt demands, with their hashes,
what the page has from others, and the base image. ``--image`` is for the image's own Python, with the checkout bound
in: it adds every Debian package, and fails where other libraries are installed than those that are demanded.

The same contents give the same document: its serial number is made of them, and the time is that of
``SOURCE_DATE_EPOCH``, where that is set. Licences of libraries are those that what is installed declares.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageMetadata, PackageNotFoundError, distributions, metadata
from pathlib import Path
from platform import freedesktop_os_release
from typing import Any, Final
from urllib.parse import quote

from release.release import ROOT, as_program, version

OURS: Final = "jkbms-addon"
VENDOR: Final = Path("jkbms_addon/page/web/vendor/VENDOR.json")
PINNED = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)[^\n]*\n(?P<hashes>(?: +--hash=\S+[ \\]*\n?)+)", re.MULTILINE
)
BASE = re.compile(r"^FROM (?P<host>[^/\s]+)/(?P<name>[^:\s]+):(?P<tag>\S+)", re.MULTILINE)
ASKED = ("Package", "Version", "Architecture", "source:Package", "source:Version", "db:Status-Status")
# how those who have no License-Expression spell a licence of the SPDX list; "BSD" alone could be several of it
SPELT: Final = {"MIT": "MIT", "MIT License": "MIT", "BSD-3-Clause": "BSD-3-Clause"}


class BillError(Exception):
    """The list would not be true."""


def bill(root: Path = ROOT, *, image: bool = False) -> dict[str, Any]:
    """The whole document."""
    python = list(libraries((root / "requirements.txt").read_text(encoding="utf-8")))
    listed = [base(root), *python, *browser(root)]
    if image:
        same(python, installed())
        listed += debian(packages(), freedesktop_os_release())
    about = {"component": {"type": "application", "name": "jkbms", "version": version(root)}, **_time(os.environ)}
    contents = {"metadata": about, "components": [{"bom-ref": one["purl"], **one} for one in listed]}
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(contents, sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        **contents,
    }


def _time(environment: Mapping[str, str]) -> dict[str, str]:
    seconds = environment.get("SOURCE_DATE_EPOCH")
    return {"timestamp": f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}"} if seconds else {}


def base(root: Path = ROOT) -> dict[str, Any]:
    """The image that ours is made of; what its maker put in without a package is told by this name alone."""
    found = BASE.search((root / "Dockerfile").read_text(encoding="utf-8"))
    if found is None:
        raise BillError("Dockerfile names no base image")
    return {
        "type": "container",
        "name": f"{found['host']}/{found['name']}",
        "version": found["tag"],
        "purl": f"pkg:docker/{found['name']}@{found['tag']}?repository_url={found['host']}",
    }


def libraries(requirements: str) -> Iterator[dict[str, Any]]:
    """The Python libraries."""
    for found in PINNED.finditer(requirements):
        name, number = _normal(found["name"]), found["version"]
        yield {
            "type": "library",
            "name": name,
            "version": number,
            "purl": f"pkg:pypi/{name}@{number}",
            **licences(name),
            "hashes": [_hash(one) for one in re.findall(r"sha256:([0-9a-f]{64})", found["hashes"])],
        }


def browser(root: Path = ROOT) -> Iterator[dict[str, Any]]:
    """What the page has from others; its files are parts of it, as they are not the whole package."""
    for name, about in json.loads((root / VENDOR).read_text(encoding="utf-8")).items():
        yield {
            "type": "library",
            "name": name,
            "version": about["version"],
            "purl": f"pkg:npm/{name}@{about['version']}",
            "licenses": [_spdx(about["license"])],
            "externalReferences": [{"type": "vcs", "url": about["source"]}],
            "components": [
                {"type": "file", "name": file, "hashes": [_hash(content)]} for file, content in about["sha256"].items()
            ],
        }


def packages() -> str:
    """Every package that dpkg knows: a line with what is ``ASKED`` of each."""
    shown = "\\t".join(f"${{{one}}}" for one in ASKED) + "\\n"
    try:
        asked = subprocess.run(["dpkg-query", "--show", "--showformat", shown], capture_output=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        raise BillError(f"dpkg-query: {error}") from error
    return asked.stdout.decode()


def debian(told: str, system: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The packages that are installed. ``upstream`` is the source, by which Debian tells what is vulnerable."""
    for line in told.splitlines():
        name, number, architecture, source, its, status = line.split("\t")
        if status != "installed":
            continue
        more = {"arch": architecture, "distro": f"{system['ID']}-{system['VERSION_ID']}"}
        if (source, its) != (name, number):
            more["upstream"] = source if its == number else f"{source}@{its}"
        yield {
            "type": "library",
            "name": name,
            "version": number,
            "purl": f"pkg:deb/{system['ID']}/{_quoted(name)}@{_quoted(number)}?"
            + "&".join(f"{key}={_quoted(value)}" for key, value in more.items()),
        }


def installed() -> dict[str, str]:
    """Name and version of every library of this Python but ourselves."""
    found = {_normal(one.name): one.version for one in distributions()}
    return {name: number for name, number in found.items() if name != OURS}


def same(demanded: list[dict[str, Any]], found: Mapping[str, str]) -> None:
    """``BillError`` where the libraries are not those that are listed."""
    wanted = {one["name"]: one["version"] for one in demanded}
    differ = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if differ:
        words = (f"{name} {found.get(name, 'missing')}, demanded {wanted.get(name, 'not at all')}" for name in differ)
        raise BillError(f"other libraries than requirements.txt demands: {'; '.join(words)}")


def licences(name: str) -> dict[str, Any]:
    """The licence that an installed library declares; nothing where it is not installed or declares none."""
    try:
        told = metadata(name)
    except PackageNotFoundError:
        return {}
    if expression := _told(told, "License-Expression"):
        return {"licenses": [_spdx(expression)]}
    classes = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier") or () if one.startswith("License ::")]
    words = [word for word in (_told(told, "License").split("\n")[0], *classes) if word]
    for word in words:
        if word in SPELT:
            return {"licenses": [_spdx(SPELT[word])]}
    return {"licenses": [{"license": {"name": words[-1]}}]} if words else {}


def _spdx(expression: str) -> dict[str, Any]:
    """One licence by its id, several as the expression that joins them."""
    return {"expression": expression} if " " in expression else {"license": {"id": expression}}


def _told(about: PackageMetadata, key: str) -> str:
    return about[key] if key in about else ""  # noqa: SIM401 - it has no get in the standard library's types


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _quoted(text: str) -> str:
    return quote(text, safe=":")


def _hash(content: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": content}


def main(arguments: list[str]) -> int:
    """Print the document; 0, or 1 with the reason on standard error."""
    if arguments not in ([], ["--image"]):
        print(__doc__, file=sys.stderr)
        return 64
    try:
        print(json.dumps(bill(image=bool(arguments)), indent=2))
    except BillError as error:
        print(f"release.bill: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(as_program(main))
