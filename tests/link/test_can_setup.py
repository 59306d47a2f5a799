"""Setting a link up, with a program ``ip`` that only notes what it is told."""

import os
import stat
from pathlib import Path

import pytest

from jkbms_addon.errors import LinkError
from jkbms_addon.link.can_setup import found_rate, set_up

GOOD = (
    '[{"flags":["UP"],"txqlen":10,"linkinfo":{"info_kind":"can","info_data":'
    '{"state":"ERROR-ACTIVE","restart_ms":100,"bittiming":{"bitrate":250000}}}}]'
)
CHANGE = [
    "link set dev can0 down",
    "link set dev can0 txqueuelen 10 type can bitrate 250000 restart-ms 100",
    "link set dev can0 up",
]


# the kernel's slcan: some fixed rates, and no restart
SLCAN = (
    '[{"flags":["UP"],"txqlen":10,"linkinfo":{"info_kind":"can","info_data":'
    '{"state":"ERROR-ACTIVE","restart_ms":0,"bittiming_bitrate":250000,"bitrate_const":[250000,500000]}}}]'
)


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (GOOD, []),
        (GOOD.replace('"UP"', ""), CHANGE),
        (GOOD.replace("250000", "500000"), CHANGE),
        (GOOD.replace("ERROR-ACTIVE", "BUS-OFF"), CHANGE),
        (GOOD.replace('"restart_ms":100,', ""), CHANGE),
        (SLCAN, []),
        (SLCAN.replace('bitrate":250000', 'bitrate":500000'), CHANGE),
        ('[{"flags":["NOARP"],"linkinfo":{"info_kind":"vcan"}}]', CHANGE[-1:]),
        ('[{"flags":["NOARP","UP"],"linkinfo":{"info_kind":"vcan"}}]', []),
    ],
)
async def test_a_link_is_set_up(shown: str, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, f"[ $1 = link ] || {{ echo '{shown}'; exit; }}\necho \"$@\" >> {tmp_path}/told")
    await set_up("can0", 250000)
    noted = tmp_path / "told"
    assert (noted.read_text().splitlines() if noted.exists() else []) == told


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("echo 'RTNETLINK answers: Operation not permitted' >&2; exit 2", "NET_ADMIN"),
        ("echo 'Device \"can0\" does not exist.' >&2; exit 1", "does not exist; is the adapter plugged in"),
        ("echo 'something else' >&2; exit 1", "cannot be set up: something else"),
    ],
)
async def test_a_refused_link_is_named(script: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, script)
    with pytest.raises(LinkError, match=text):
        await set_up("can0", 250000)


async def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LinkError, match="iproute2"):
        await set_up("can0", 250000)


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = folder / "ip"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    "complaint", ["Error: Device doesn't support restart from Bus Off.", "RTNETLINK answers: Operation not supported"]
)
async def test_a_controller_without_restart_is_set_up_without(
    complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        f"[ $1 = link ] || {{ echo '{SLCAN.replace('ERROR-ACTIVE', 'BUS-OFF')}'; exit; }}\n"
        f'case "$*" in *restart-ms*) echo "{complaint}" >&2; exit 2;; esac\necho "$@" >> {tmp_path}/told'
    )
    program(tmp_path, monkeypatch, script)
    await set_up("can0", 250000)
    told = (tmp_path / "told").read_text().splitlines()
    assert told == [CHANGE[0], CHANGE[1].removesuffix(" restart-ms 100"), CHANGE[2]]


@pytest.mark.parametrize(("shown", "rate"), [(GOOD, 250000), (SLCAN, 250000), ('[{"linkinfo":{}}]', None)])
async def test_the_rate_of_a_link_is_found(
    shown: str, rate: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, f"echo '{shown}'")
    assert await found_rate("can0") == rate
    program(tmp_path, monkeypatch, "exit 1")
    assert await found_rate("can0") is None
