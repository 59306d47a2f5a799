"""The image, built and run by commands that the environment names.

``IMAGE_BUILD`` is given the folder with the Dockerfile. ``IMAGE_RUN`` is given a folder that becomes ``/data`` and
perhaps a command in place of the entry point; it runs in the host's network with the files of ``DEVICES`` bound in
under the same names, passes SIGTERM on and ends with the status of the container. With ``ROFS=1`` the root file
system is read-only. With ``AS=USER:GROUP:MORE`` (three numbers) it is that user with one more group, without any
capability and without ever getting one. With ``PROFILE=jkbms`` it is confined by that AppArmor profile, loaded before.
``IMAGE_PATIENCE`` is how many times longer things may take, in an emulator.
"""

import asyncio
import os
import re
import shlex
import signal
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.programs import started

BUILD, RUN = (os.environ.get(f"IMAGE_{name}") for name in ("BUILD", "RUN"))
needs_image = pytest.mark.skipif(
    not (BUILD and RUN),
    reason="IMAGE_BUILD and IMAGE_RUN are not set: how the image is built and run (tests/README.md)",
)
PATIENCE = float(os.environ.get("IMAGE_PATIENCE", "1"))
ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


async def build() -> None:
    assert BUILD
    process = await asyncio.create_subprocess_exec(
        *shlex.split(BUILD), str(ROOT), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode(errors="replace")


def container(
    data: Path,
    *command: str,
    devices: Iterable[Path] = (),
    read_only: bool = True,
    user: str = "",
    profile: str = "",
) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """A running container with a pipe for what it says; it is ended with the block."""
    assert RUN
    return started(
        *shlex.split(RUN),
        str(data),
        *command,
        end=signal.SIGTERM,  # it has to take its container along
        stderr=asyncio.subprocess.STDOUT,
        env={
            **os.environ,
            "NET": "host",
            "DEVICES": " ".join(map(str, devices)),
            "ROFS": "1" if read_only else "",
            "AS": user,
            "PROFILE": profile,
        },
    )


async def said(data: Path, *command: str, status: int = 0, read_only: bool = True, profile: str = "") -> str:
    """What a command says in a container."""
    running = container(data, *command, read_only=read_only, profile=profile)
    async with running as process, asyncio.timeout(60 * PATIENCE):
        out, _ = await process.communicate()
    text = out.decode(errors="replace")
    assert process.returncode == status, text
    return text


def health_check() -> str:
    """The command of the Dockerfile that tells whether the app is alive."""
    found = re.search(r"^HEALTHCHECK(?:[^\n]*\\\n)*\s*CMD (.*)$", DOCKERFILE, re.MULTILINE)
    assert found
    return found[1]
