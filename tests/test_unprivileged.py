"""The whole program without any of root's powers, as in a plain container with another user, or under the profile."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Mosquitto, until
from tests.faults.world import KEPT, World
from tests.test_hanging_program import ends_in_time, healthy_world

SOMEBODY = 65534  # another user
# without its capabilities, root may do with files what their bits say, like everybody else
PLAIN = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can lose its powers, with setpriv; everybody else runs all tests without them",
)


async def runs(one: World) -> str:
    """What it logs until everything is told, files were due, and it was ended."""
    one.before = PLAIN
    await one.start()
    await until(lambda: all(one.available(n) for n in (1, 2)), 30)
    await asyncio.sleep(6)  # what has to survive a restart is written every 5 s
    status = Path(f"/proc/{one.process.pid}/status").read_text() if one.process else ""
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    await ends_in_time(one)
    return one.logged()


@needs_root
async def test_all_of_it_runs_without_any_capability(broker: Mosquitto, tmp_path: Path) -> None:
    async with healthy_world(tmp_path, broker) as one:
        log = await runs(one)
        assert one.permitted(0)
        assert "ermi" not in log, log  # permission, permitted
        assert all((tmp_path / f"{name}.json").exists() for name in KEPT if name != "incidents")


@needs_root
async def test_a_folder_that_is_somebody_elses_costs_one_warning_for_each_file(
    broker: Mosquitto, tmp_path: Path
) -> None:
    async with healthy_world(tmp_path, broker) as one:
        os.chown(tmp_path, SOMEBODY, SOMEBODY)
        tmp_path.chmod(0o755)
        log = await runs(one)
        told = [line for line in log.splitlines() if "ermission denied" in line]
        complaints = [line.partition("WARNING ")[2] for line in told if "WARNING" in line]
        assert len(complaints) == len(set(complaints)), log
        for name in ("announced", "charging"):
            assert f"{tmp_path}/{name}.json cannot be written: Permission denied" in complaints, log
        # a stop that was not kept may have been forgotten with it
        (stopped,) = set(told) - {line for line in told if "WARNING" in line or "INFO" in line}
        assert "ERROR   inverter: stopped: " in stopped
        assert "switch Enable on to go on" in stopped
        assert not one.permitted(0)


@needs_root
def test_options_in_a_folder_that_may_not_be_looked_into_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text("{}")
    os.chown(tmp_path, SOMEBODY, SOMEBODY)
    for command in ("run", "--options"), ("options",):
        done = subprocess.run(
            [*PLAIN, sys.executable, "-m", "jkbms_addon", *command, str(tmp_path / "options.json")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr == f"jkbms_addon: options file {tmp_path}/options.json cannot be read: Permission denied\n"
