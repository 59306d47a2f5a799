"""What a release does, step by step as far as that is possible without a forge."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from jkbms_addon import __version__
from release import bill, release
from tests.test_manifest import CONFIG, ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


def test_the_tag_is_the_version() -> None:
    assert release.check(f"v{__version__}") == ""
    assert release.check("v9.9.9") == f"the tag is v9.9.9, the version is v{__version__}"
    assert release.check(__version__) != ""


def test_the_image_is_set_once_and_can_be_set_anew() -> None:
    manifest = (ROOT / "config.yaml").read_text(encoding="utf-8")
    first = release.with_image(manifest, "ghcr.io/somebody/jkbms")
    again = release.with_image(first, "ghcr.io/other/jkbms")
    assert yaml.safe_load(first) == {**CONFIG, "image": "ghcr.io/somebody/jkbms"}
    assert yaml.safe_load(again) == {**CONFIG, "image": "ghcr.io/other/jkbms"}
    assert again.count("image:") == manifest.count("image:") + 1 - ("image" in CONFIG)


@pytest.mark.parametrize("name", ["", "jkbms", "ghcr.io/A/b", "ghcr.io/a/b:1", "ghcr.io/a/b\nslug: x"])
def test_a_strange_image_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of an image"):
        release.with_image("description: x\n", name)


def test_links_of_the_first_page_become_absolute_and_can_be_set_anew() -> None:
    first = release.with_links("[a](docs/a.md#b) [c](https://example.org/docs/c)", "some-body/jk.bms")
    assert first == "[a](https://github.com/some-body/jk.bms/blob/main/docs/a.md#b) [c](https://example.org/docs/c)"
    assert release.with_links(first, "other/jk") == first.replace("some-body/jk.bms", "other/jk")


@pytest.mark.parametrize("name", ["", "jkbms", "a/b/c", "a/b) [x](y"])
def test_a_strange_repository_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no repository"):
        release.with_links("[a](docs/a.md)", name)


def test_as_a_program() -> None:
    def said(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, str(ROOT / "release" / "release.py"), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    assert said("check", f"v{__version__}") == (0, "")
    assert said("check", "v0.0.0")[0] == 1
    assert said("image", "Some-Body/JKbms") == (0, f"image=ghcr.io/some-body/jkbms\nversion={__version__}\n")
    assert said() == (64, "")


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
        for name, job in jobs.items():
            yield from ((f"{path.stem}-{name}-{number}", step) for number, step in enumerate(job["steps"]))


@pytest.mark.parametrize("script", [pytest.param(step["run"], id=name) for name, step in steps() if "run" in step])
def test_the_shell_accepts_every_step(script: str) -> None:
    assert "${{" not in script, "values come through the environment, so that nothing is run that a name holds"
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_what_is_pushed_was_tested() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "publish.yaml").read_text(encoding="utf-8"))["jobs"]
    assert (jobs["build"]["needs"], jobs["publish"]["needs"]) == ("tests", "build")
    assert {".ci/run"} <= {step.get("run") for step in jobs["tests"]["steps"]}
    architectures = {row["name"] for row in jobs["build"]["strategy"]["matrix"]["include"]}
    assert architectures == set(CONFIG["arch"])


def test_digests_become_one_image(tmp_path: Path) -> None:
    """The step that joins both architectures, with a docker that writes down what it was asked."""
    (script,) = [step["run"] for _, step in steps() if step.get("id") == "whole"]
    (tmp_path / "digests").mkdir()
    for digest in ("aa", "bb"):
        (tmp_path / "digests" / digest).touch()
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text('#!/bin/sh\necho "$@" >>asked\ncase "$*" in *inspect*) echo \'"sha256:whole"\';; esac\n')
    docker.chmod(0o755)
    env = {
        "PATH": f"{docker.parent}:/usr/bin:/bin",
        "IMAGE": "ghcr.io/a/b",
        "GITHUB_REF_NAME": "v1.2.3",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=env, check=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == "buildx imagetools create --tag ghcr.io/a/b:1.2.3 ghcr.io/a/b@sha256:aa ghcr.io/a/b@sha256:bb"
    assert (tmp_path / "output").read_text() == "digest=sha256:whole\n"


def test_the_base_image_is_pinned_by_its_date() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r".+:trixie-20\d\d\.\d\d\.\d", bases[0])


def test_the_bill_lists_every_library_with_its_hashes() -> None:
    listed = bill.bill()["components"]
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert {one["name"] for one in listed} == set(re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE))
    assert sum(len(one["hashes"]) for one in listed) == text.count("--hash=sha256:")
    assert all(one["hashes"] for one in listed)
    licences = {one["name"]: one["licenses"][0]["license"]["name"] for one in listed}
    assert licences["pydantic"] == "MIT"
