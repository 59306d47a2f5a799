"""The profile on a kernel that enforces it: what the app does is allowed, and what others might do with it is not."""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jkbms_addon.simulator.far_end import serial_bus
from jkbms_addon.simulator.pb import SimulatedBms
from tests.conftest import mosquitto
from tests.end_to_end.image import PATIENCE, RUN, container, health_check, said
from tests.mqtt.test_client import listening

PROFILE = "jkbms"
LOADED = Path("/sys/kernel/security/apparmor/profiles")


def enforced() -> bool:
    """Whether the kernel enforces the profile."""
    try:
        return f"{PROFILE} (enforce)" in LOADED.read_text(encoding="utf-8")
    except OSError:
        return False


pytestmark = [
    pytest.mark.apparmor,
    pytest.mark.skipif(
        not (RUN and enforced()), reason="no kernel that enforces the profile, or no IMAGE_RUN (tests/README.md)"
    ),
]


@contextmanager
def refusals() -> Iterator[list[str]]:
    """What the kernel refuses to the profile meanwhile; complete at the end of the block."""
    found: list[str] = []
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(log, 0, os.SEEK_END)
    try:
        yield found
        while True:
            try:
                record = os.read(log, 8192).decode(errors="replace")
            except BlockingIOError:
                break
            if 'apparmor="DENIED"' in record and f'profile="{PROFILE}' in record:
                found.append(record.partition(";")[2].strip())
    finally:
        os.close(log)


# in the container, in which no other programs may run: the app, the health check, and the end
DAY = """
import os, signal, subprocess, time
app, end = subprocess.Popen(["/run.sh"]), time.monotonic() + {seconds}
while time.monotonic() < end and not os.path.exists("/data/energy.json"):
    time.sleep(1)
if subprocess.run(["sh", "-c", {health!r}]).returncode == 0:
    print("alive", flush=True)
app.send_signal(signal.SIGTERM)
print("status", app.wait(), flush=True)
"""


async def test_nothing_is_refused_to_the_app(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, listening(broker.port) as heard, serial_bus([SimulatedBms(1)]) as far:
        port = Path("/dev/ttyUSB-bench")
        port.unlink(missing_ok=True)
        port.symlink_to(far.port)
        bus = {"name": "rack", "strategy": "master", "port": str(port), "addresses": "1", "interval": 1}
        options = {"buses": [bus], "mqtt": {"host": "127.0.0.1", "port": broker.port}, "writes": {"level": "settings"}}
        data = tmp_path / "data"
        data.mkdir()
        (data / "options.json").write_text(json.dumps(options))
        script = DAY.format(seconds=60 * PATIENCE, health=f"{{ {health_check()}; }}")
        try:
            with refusals() as refused:
                async with container(data, "python3", "-c", script, devices=[port], profile=PROFILE) as inner:
                    async with asyncio.timeout(120 * PATIENCE):
                        out, _ = await inner.communicate()
        finally:
            port.unlink()
        log = out.decode(errors="replace")
        assert re.findall(r"^(?:alive|status \d+)$", log, re.MULTILINE) == ["alive", "status 0"], log
        assert any(topic == "jkbms/rack/1/state" for _, topic, _, _ in heard.messages), log
    assert refused == []


# what works for root in any container, and is none of the app's business
FORBIDDEN = {
    "read passwords": "open('/etc/shadow').read()",
    "read addresses of the kernel": "open('/proc/kallsyms').read(100)",
    "write beside /data": "open('/var/tmp/x', 'w')",
    "write into the program": "open('/opt/jkbms/x', 'w')",
    "write beside its own in memory": "open('/dev/shm/x', 'w')",
    "change the first script": "os.chmod('/run.sh', 0o777)",
    "make a device": "os.mknod('/data/null', 0o20666, os.makedev(1, 3))",
    "open a raw socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 768)",
    "open a socket for ICMP": "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    "become another user": "os.setuid(1000)",
    "run another program": "subprocess.run(['/usr/bin/env'], check=True)",
    "run a program of its own": "subprocess.run(['/data/program'], check=True)",
}
TRIALS = """
import json, os, socket, subprocess
told = {}
for name, what in json.load(open('/data/trials.json')).items():
    child = os.fork()
    if not child:
        try:
            exec(what)
        except (OSError, subprocess.SubprocessError):
            os._exit(1)
        os._exit(0)
    told[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print('TOLD ' + json.dumps(told))
"""


async def tried(data: Path, profile: str) -> dict[str, bool]:
    """Which of the trials work."""
    data.mkdir()
    (data / "trials.json").write_text(json.dumps(FORBIDDEN))
    program = data / "program"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    text = await said(data, "python3", "-c", TRIALS, read_only=False, profile=profile)
    found = re.search(r"^TOLD (.*)$", text, re.MULTILINE)
    assert found, text
    told: dict[str, bool] = json.loads(found[1])
    return told


async def test_what_works_without_the_profile_is_refused_with_it(tmp_path: Path) -> None:
    free = await tried(tmp_path / "free", "")
    with refusals() as refused:
        held = await tried(tmp_path / "held", PROFILE)
    assert free == dict.fromkeys(FORBIDDEN, True)  # else it proves nothing that it does not work with the profile
    assert held == dict.fromkeys(FORBIDDEN, False)
    assert len(refused) >= len(FORBIDDEN) / 2  # so the kernel does tell; a rule that denies is silent
