"""The AppArmor profile, as far as it can be read without a kernel: what the program names is allowed, on both machines.

Whether a kernel agrees is tried elsewhere (docs/container.md tells what was): what stands here cannot be forgotten.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from jkbms_addon import heartbeat
from jkbms_addon.doctor import log, target
from jkbms_addon.options.file import DEFAULT_FILE
from jkbms_addon.page import first_run

ROOT = Path(__file__).parent.parent
LINES = (ROOT / "apparmor.txt").read_text(encoding="utf-8").splitlines()
RULES = [line.strip() for line in LINES if line.startswith("  ") and not line.strip().startswith("#")]
FILES = [words for rule in RULES if (words := re.fullmatch(r"((?:/|@\{PROC\}).*) (\w+),", rule))]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
MACHINES = {"amd64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu"}
PLACES = {"@{PROC}": "/proc", "@{pid}": "[0-9]+"}
GLOBS = {"**": ".*", "*": "[^/]*", "{": "(?:", "}": ")", ",": "|", "?": "[^/]"}


def pattern(glob: str) -> re.Pattern[str]:
    """What AppArmor means by a path."""
    pieces = re.findall(r"@\{\w+\}|\*\*|\[[^]]+\]|.", glob)
    return re.compile(
        "".join(PLACES.get(one) or GLOBS.get(one) or (one if one[0] == "[" else re.escape(one)) for one in pieces)
    )


def allowed(path: str) -> str:
    """Every letter that the profile has for a path."""
    return "".join(rule[2] for rule in FILES if pattern(rule[1]).fullmatch(path))


def test_the_first_line_makes_the_kernel_look_at_sockets() -> None:
    assert LINES[0] == "abi <abi/3.0>,"


def test_the_supervisor_finds_one_profile_and_can_give_it_the_full_name_of_the_app() -> None:
    assert [line.split()[1] for line in LINES if re.match(r"profile\b", line)] == [CONFIG["slug"]]
    assert not [rule for rule in RULES if re.search(rf"\b(?:peer|label)=\(?{CONFIG['slug']}\b", rule)]


@pytest.mark.parametrize(
    ("path", "letters"),
    [
        (f"{first_run.DEVICES}/", "r"),  # ports that have no lasting name are found by looking
        (f"{first_run.BY_ID}/", "r"),
        (f"{target.BY_ID}/", "r"),
        (f"{first_run.NETWORK}/", "r"),
        *((f"{first_run.DEVICES}/{name.replace('*', '0')}", "rwk") for name in first_run.PATTERNS),
        *((f"/sys/devices/virtual/net/can0/{name}", "r") for name in ("carrier", "operstate", "type")),
        (str(heartbeat.HEARTBEAT), "rw"),
        (str(log.FILE), "rw"),
        (str(DEFAULT_FILE), "r"),
        ("/data/plugins/mine/fast.so", "m"),
        ("/ssl/ca.pem", "r"),
        ("/run.sh", "rix"),
        ("/run/dbus/system_bus_socket", "rw"),
    ],
)
def test_what_the_program_names_is_allowed(path: str, letters: str) -> None:
    assert set(letters) <= set(allowed(path)), allowed(path)


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/dev/mem", "/dev/sda", "/proc/1/environ", "/data", "/opt/jkbms", "/usr/bin/mount"]
)
def test_and_nothing_beside_it(path: str) -> None:
    assert allowed(path) == ""


@pytest.mark.parametrize("machine", CONFIG["arch"])
def test_libraries_of_ours_are_allowed_on_every_machine(machine: str) -> None:
    suffix = f".cpython-313-{MACHINES[machine]}.so"
    for path in (
        f"/opt/jkbms/lib/python3.13/site-packages/dbus_fast/message{suffix}",
        f"/usr/lib/python3.13/lib-dynload/_ssl{suffix}",
    ):
        assert {"m", "r"} <= set(allowed(path)), path
    assert "r" in allowed(f"/usr/lib/python3.13/_sysconfigdata__{MACHINES[machine]}.py")


def test_who_names_one_machine_names_the_others() -> None:
    """Libraries of the system are allowed by ``abstractions/base``, which names none."""
    assert set(MACHINES) == set(CONFIG["arch"])
    for rule in RULES:
        named = {one for one in MACHINES.values() if one in rule or one.partition("-")[0] in rule}
        assert named in (set(), set(MACHINES.values())), rule


@pytest.mark.parametrize(
    "kind", ["inet stream", "inet6 stream", "inet dgram", "inet6 dgram", "netlink raw", "can raw", "unix stream"]
)
def test_sockets_of_the_program_are_named(kind: str) -> None:
    assert f"network {kind}," in RULES


def test_the_socket_of_a_battery_over_bluetooth_is_named() -> None:
    """AcquireNotify of BlueZ; without the rule it is up to ``abstractions/base`` whether a byte is heard."""
    assert "network unix seqpacket," in RULES


def test_permissions_of_the_app_and_of_the_profile_are_the_same() -> None:
    capabilities = {rule.split()[1].rstrip(",").upper() for rule in RULES if rule.startswith("capability ")}
    assert capabilities == set(CONFIG["privileged"])
    assert CONFIG["host_dbus"] is any(rule.startswith("dbus ") for rule in RULES)
    assert {f"/{one['type']}" for one in CONFIG["map"]} <= {rule[1].rstrip("/") for rule in FILES}
