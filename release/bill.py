"""A bill of materials (CycloneDX 1.5, JSON) of the libraries in the image: ``python3 -m release.bill``.

Versions and hashes are those that requirements.txt demands; licences come from what is installed.
"""

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from release.release import ROOT, version

PINNED = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)[^\n]*\n(?P<hashes>(?: +--hash=\S+[ \\]*\n?)+)", re.MULTILINE
)


def components(requirements: str) -> Iterator[dict[str, Any]]:
    """One entry for each library."""
    for found in PINNED.finditer(requirements):
        name, number = found["name"], found["version"]
        yield {
            "type": "library",
            "name": name,
            "version": number,
            "purl": f"pkg:pypi/{name.lower()}@{number}",
            "licenses": [{"license": {"name": licence(name)}}],
            "hashes": [
                {"alg": "SHA-256", "content": one} for one in re.findall(r"sha256:([0-9a-f]{64})", found["hashes"])
            ],
        }


def licence(name: str) -> str:
    """The licence that a library declares."""
    try:
        told = metadata(name)
    except PackageNotFoundError:
        return "not installed here"
    classified = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier") or () if one.startswith("License ::")]
    said = _told(told, "License-Expression") or ", ".join(classified) or _told(told, "License").split("\n")[0]
    return said or "not declared"


def _told(about: PackageMetadata, key: str) -> str:
    return about[key] if key in about else ""  # noqa: SIM401 - it has no get in the standard library's types


def bill(root: Path = ROOT) -> dict[str, Any]:
    """The whole document."""
    listed = list(components((root / "requirements.txt").read_text(encoding="utf-8")))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "jkbms", "version": version(root)}},
        "components": listed,
    }


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=2)
    print()
