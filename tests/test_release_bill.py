"""The list of what is in the image, judged by the schema of CycloneDX and by those who define package URLs."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement

from jkbms_addon import __version__
from release import bill
from tests.end_to_end.image import build, needs_image, said
from tests.test_manifest import ROOT

SYSTEM = {"ID": "debian", "VERSION_ID": "13"}
TRIXIE = """\
libbpf1\t1:1.5.0-3\tarm64\tlibbpf\t1.5.0-3\tinstalled
tzdata\t2026f-0+deb13u1\tall\ttzdata\t2026f-0+deb13u1\tinstalled
libstdc++6\t14.2.0-19\tarm64\tgcc-14\t14.2.0-19\tinstalled
dash\t0.5.12-12\tarm64\tdash\t0.5.12-12\tconfig-files
"""


def valid(document: dict[str, Any]) -> None:
    fault = JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(document))
    assert fault is None, str(fault)[:400]
    for one in document["components"]:
        assert PackageURL.from_string(one["purl"]).to_string() == one["purl"] == one["bom-ref"]


def of(kind: str, document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in document["components"] if one["purl"].startswith(f"pkg:{kind}/")}


def test_the_document_is_what_the_standard_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    told = bill.bill()
    valid(told)
    assert told["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert told["metadata"]["component"] == {"type": "application", "name": "jkbms", "version": __version__}
    assert bill.bill() == told


def test_other_contents_have_another_number(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {bill.bill()["serialNumber"]}
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    numbers.add(bill.bill()["serialNumber"])
    monkeypatch.setattr(bill, "version", lambda _: "9.9.9")
    numbers.add(bill.bill()["serialNumber"])
    assert len(numbers) == 3


def image_has() -> set[str]:
    """Every library that pip would install for the program with Bluetooth, for the image's Python."""
    found: set[str] = set()
    wanted = [(bill.OURS, "ble")]
    while wanted:
        name, extra = wanted.pop()
        for line in requires(name) or ():
            one = Requirement(line)
            normal = re.sub(r"[-_.]+", "-", one.name).lower()
            where = {"python_version": "3.13", "python_full_version": "3.13.5", "extra": extra}
            if normal not in found and (one.marker is None or one.marker.evaluate({**where, "sys_platform": "linux"})):
                found.add(normal)
                wanted += [(normal, more) for more in ("", *one.extras)]
    return found


def test_every_library_of_the_image_is_listed_with_its_hashes() -> None:
    listed = of("pypi", bill.bill())
    assert set(listed) == image_has() > {"bleak", "dbus-fast", "pydantic-core", "websockets"}
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert sum(len(one["hashes"]) for one in listed.values()) == text.count("--hash=sha256:")
    assert all(one["hashes"] for one in listed.values())
    assert all(f"\n{one['name']}=={one['version']} " in text for one in listed.values())


def test_licences_are_of_the_spdx_list_where_they_can_be() -> None:
    told = {name: one["licenses"][0] for name, one in of("pypi", bill.bill()).items()}
    assert told["pydantic"] == {"license": {"id": "MIT"}}
    assert told["packaging"] == {"expression": "Apache-2.0 OR BSD-2-Clause"}
    assert told["voluptuous"] == {"license": {"id": "BSD-3-Clause"}}, "its header says more than its class"
    assert told["pyserial"] == {"license": {"name": "BSD License"}}, "which of several is not declared"


def test_of_a_library_that_is_not_installed_no_licence_is_told() -> None:
    (told,) = bill.libraries("No.Such_Library==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    assert "licenses" not in told
    assert told["purl"] == "pkg:pypi/no-such-library@1.0"


def test_what_the_page_has_from_others_is_listed_with_every_file() -> None:
    listed = of("npm", bill.bill())
    vendor = ROOT / bill.VENDOR
    assert set(listed) == {path.name for path in vendor.parent.iterdir() if path.is_dir()}
    assert listed["uplot"]["licenses"] == [{"license": {"id": "MIT"}}]
    for name, one in listed.items():
        files = {path.relative_to(vendor.parent / name).as_posix() for path in (vendor.parent / name).rglob("*.*")}
        assert {file["name"] for file in one["components"]} >= files
        assert all(len(file["hashes"][0]["content"]) == 64 for file in one["components"])


def test_the_base_image_is_named() -> None:
    (one,) = of("docker", bill.bill()).values()
    assert f"FROM {one['name']}:{one['version']}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def in_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the demanded libraries were all there are, on Debian."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    demanded = {one["name"]: one["version"] for one in bill.libraries(text)}
    monkeypatch.setattr(bill, "installed", lambda: demanded)
    monkeypatch.setattr(bill, "packages", lambda: TRIXIE)
    monkeypatch.setattr(bill, "freedesktop_os_release", lambda: SYSTEM)


def test_packages_of_debian_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_image(monkeypatch)
    told = bill.bill(image=True)
    valid(told)
    assert [one["purl"] for one in of("deb", told).values()] == [
        "pkg:deb/debian/libbpf1@1:1.5.0-3?arch=arm64&distro=debian-13&upstream=libbpf%401.5.0-3",
        "pkg:deb/debian/tzdata@2026f-0%2Bdeb13u1?arch=all&distro=debian-13",
        "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=arm64&distro=debian-13&upstream=gcc-14",
    ]
    assert of("pypi", told) == of("pypi", bill.bill())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bleak": "3.0.0"}, "bleak 3.0.0, demanded "),
        ({"bleak": None}, "bleak missing, demanded "),
        ({"requests": "2.0"}, "requests 2.0, demanded not at all"),
    ],
)
def test_another_image_than_the_demanded_one_has_no_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], changed: dict[str, str | None], said: str
) -> None:
    in_the_image(monkeypatch)
    found = {**bill.installed(), **changed}
    monkeypatch.setattr(bill, "installed", lambda: {name: number for name, number in found.items() if number})
    assert bill.main(["--image"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert f"other libraries than requirements.txt demands: {said}" in told.err


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="this is no Debian")
def test_a_real_dpkg_is_understood() -> None:
    real = {(one["name"], one["version"]) for one in bill.debian(bill.packages(), SYSTEM)}
    asked = subprocess.run(["dpkg-query", "--show"], capture_output=True, text=True, check=True)
    every = {tuple(re.sub(r":\w+\t", "\t", line).split("\t")) for line in asked.stdout.splitlines()}
    assert real == {(name, number) for name, number in every if number}
    assert len(real) > 50


def test_without_dpkg_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = bill.packages
    in_the_image(monkeypatch)
    monkeypatch.setattr(bill, "packages", asked)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bill.main(["--image"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith("release.bill: dpkg-query: ")


def test_an_unknown_argument_is_refused() -> None:
    asked = [sys.executable, "-m", "release.bill", "--images"]
    assert subprocess.run(asked, cwd=ROOT, capture_output=True, check=False).returncode == 64


@pytest.mark.image
@needs_image
async def test_the_real_image_tells_what_is_in_it(tmp_path: Path) -> None:
    await build()
    for name in ("release", bill.VENDOR.parent):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.txt", "pyproject.toml", "Dockerfile"):
        shutil.copy(ROOT / name, tmp_path)
    told = json.loads(await said(tmp_path, "sh", "-c", "cd /data && python3 -m release.bill --image"))
    valid(told)
    assert {"ca-certificates", "iproute2", "python3", "tzdata", "libc6", "dpkg"} < set(of("deb", told))
    assert all(one["licenses"] for one in of("pypi", told).values())
