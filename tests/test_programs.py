"""That no test leaves a program behind, however it ends."""

import subprocess

import pytest

from tests.programs import none_left, program, started


async def test_a_program_ends_with_its_block_also_when_that_fails() -> None:
    with pytest.raises(KeyError):
        async with started("sleep", "60") as process:
            raise KeyError
    assert process.returncode == -9


async def test_a_command_that_ends_by_itself_is_not_disturbed() -> None:
    async with program("--version") as process:
        out, _ = await process.communicate()
    assert (process.returncode, out.count(b"\n")) == (0, 1)


def test_what_is_left_all_the_same_is_ended_and_told() -> None:
    running: list[subprocess.Popen[bytes]] = []

    def forgetful() -> None:
        with none_left():
            running.append(subprocess.Popen(["sleep", "60"]))

    with pytest.raises(AssertionError, match="left running"):
        forgetful()
    assert running[0].wait() == -9
