"""What a release does, step by step as far as that is possible without a forge."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from jkbms_addon import __version__
from release import release
from tests.test_manifest import CONFIG, LOCAL, ROOT

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


def test_pictures_are_named_by_their_files() -> None:
    first = release.with_links("![a b](docs/a.png) [c](DOCS.md) [d](#d) [e](https://x.org/e.png)", "a/b")
    raw, page = "https://raw.githubusercontent.com/a/b/main", "https://github.com/a/b/blob/main"
    assert first == f"![a b]({raw}/docs/a.png) [c]({page}/DOCS.md) [d](#d) [e](https://x.org/e.png)"
    assert release.with_links(first, "c/d") == first.replace("a/b", "c/d")


def test_the_page_of_the_app_is_set_once() -> None:
    manifest = (ROOT / "config.yaml").read_text(encoding="utf-8")
    first = release.with_url(manifest, "some-body/jk.bms")
    assert yaml.safe_load(first) == {**CONFIG, "url": "https://github.com/some-body/jk.bms"}
    assert yaml.safe_load(release.with_url(first, "a/b")) == {**CONFIG, "url": "https://github.com/a/b"}


def test_what_a_release_commits_passes(tmp_path: Path) -> None:
    """The tests of documents and manifest hold with and without the links, the image and the page that it sets."""
    copied = shutil.copytree(ROOT, tmp_path / "here", ignore=shutil.ignore_patterns(*LOCAL))
    for step in (("set", "ghcr.io/a/b"), ("links", "a/b")):
        subprocess.run([sys.executable, "release/release.py", *step], cwd=copied, check=True)
    assert "(docs/" not in (copied / "README.md").read_text(encoding="utf-8")
    tests = ["tests/test_docs.py", "tests/test_manifest.py", "tests/test_release.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not what_a_release"]
    done = subprocess.run([*command, *tests], cwd=copied, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


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


@pytest.mark.parametrize("command", ["release.bill", "release.release image a/b"])
def test_whoever_reads_may_have_enough(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


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


def imitated_docker(folder: Path, answer: str) -> str:
    """The search path with a docker that writes down what it is asked, and answers."""
    (folder / "bin").mkdir()
    docker = folder / "bin" / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >>asked\n{answer}\n')
    docker.chmod(0o755)
    return f"{docker.parent}:/usr/bin:/bin"


def test_digests_become_one_image(tmp_path: Path) -> None:
    """The step that joins both architectures, with a docker that writes down what it was asked."""
    (script,) = [step["run"] for _, step in steps() if step.get("id") == "whole"]
    (tmp_path / "digests").mkdir()
    for digest in ("aa", "bb"):
        (tmp_path / "digests" / digest).touch()
    path = imitated_docker(tmp_path, """case "$*" in *inspect*) echo '"sha256:whole"';; esac""")
    env = {
        "PATH": path,
        "IMAGE": "ghcr.io/a/b",
        "GITHUB_REF_NAME": "v1.2.3",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
    }
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=env, check=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == "buildx imagetools create --tag ghcr.io/a/b:1.2.3 ghcr.io/a/b@sha256:aa ghcr.io/a/b@sha256:bb"
    assert (tmp_path / "output").read_text() == "digest=sha256:whole\n"


def test_each_image_is_asked_what_is_in_it(tmp_path: Path) -> None:
    """The step that has the image write its own list, in a repository with one commit."""
    (script,) = [step["run"] for _, step in steps() if "release.bill" in step.get("run", "")]
    env = {
        "PATH": imitated_docker(tmp_path, 'echo "{} $SOURCE_DATE_EPOCH"'),
        "IMAGE": "ghcr.io/a/b",
        "DIGEST": "sha256:aa",
        "NAME": "aarch64",
        **{f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        "GIT_COMMITTER_DATE": "1700000000 +0000",
    }
    for command in ("init --quiet", "commit --quiet --allow-empty --message x"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, env=env, check=True)
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=env, check=True)
    asked = "run --rm --env SOURCE_DATE_EPOCH --volume {}:/source:ro --workdir /source --entrypoint python3 {} {}\n"
    wanted = asked.format(tmp_path, "ghcr.io/a/b@sha256:aa", "-m release.bill --image")
    assert (tmp_path / "asked").read_text() == wanted
    assert (tmp_path / "bill-aarch64.json").read_text() == "{} 1700000000\n"


def test_the_list_of_each_architecture_is_signed_for_the_image_that_users_get() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "publish.yaml").read_text(encoding="utf-8"))["jobs"]
    kept = {
        step["with"]["name"]: step["with"]["path"]
        for step in jobs["build"]["steps"]
        if "upload" in step.get("uses", "")
    }
    assert kept["bill-${{ matrix.name }}"] == "bill-${{ matrix.name }}.json"
    fetched = [step["with"] for step in jobs["publish"]["steps"] if "download" in step.get("uses", "")]
    assert {"path": "bills", "pattern": "bill-*", "merge-multiple": True} in fetched
    used = [(step.get("uses", ""), step.get("with", {})) for step in jobs["publish"]["steps"]]
    signed = [about for name, about in used if name.startswith("actions/attest-sbom@")]
    (provenance,) = [about for name, about in used if name.startswith("actions/attest-build-provenance@")]
    assert {about.pop("sbom-path") for about in signed} == {f"bills/bill-{name}.json" for name in CONFIG["arch"]}
    assert signed == [provenance] * len(CONFIG["arch"])


def test_the_base_image_is_pinned_by_its_date() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r".+:trixie-20\d\d\.\d\d\.\d", bases[0])
