"""``scan --bluetooth`` with real BlueZ and a virtual radio: who is in the air, and entries for the options."""

import asyncio
import sys
import time

from jkbms_addon.options.file import parse
from tests.bluetooth.air import NEEDS, STRANGER, UNITS, air, surroundings
from tests.bluetooth.test_bluez import released

pytestmark = NEEDS


async def scanned(*more: str) -> tuple[int, str, str]:
    """Status, standard output and error of the command."""
    words = (sys.executable, "-m", "jkbms_addon", "scan", "--bluetooth", *more)
    pipe = asyncio.subprocess.PIPE
    command = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=pipe)
    out, err = await command.communicate()
    assert command.returncode is not None
    return command.returncode, out.decode(), err.decode()


async def test_who_is_in_the_air() -> None:
    async with surroundings():
        began = time.monotonic()
        status, out, err = await scanned()
        print(f"\nROW | scan | {time.monotonic() - began:.1f} |", f"{out}\n{err}", sep="\n", flush=True)
        await released(*UNITS)
        assert status == 0
        rows = [line.split() for line in out.splitlines()[1:4]]
        # the loudest first, by the names that they tell
        assert [row[:4] for row in rows] == [[u.address, u.name, str(u.rssi), "dBm"] for u in UNITS.values()]
        assert rows[0][4:8] == ["JK_PB2A16S20P", "15.41", "4071200000A", "16"]
        assert rows[1][4:8] == ["JK-B2A24S20P", "10.07", "4071200000B", "13"]
        assert rows[2][4:] == ["-"] * 5
        assert f"{UNITS['C'].address}: " in err
        assert "set the option pin" in err
        assert STRANGER not in out + err
        entries = out[out.index("buses:") :]
        assert [f'mac: "{UNITS[name].address}"' in entries for name in "ABC"] == [True, True, False]
        # what it prints can be pasted as it is
        import yaml

        options = parse(yaml.safe_load(entries))
        assert options.problems == []
        assert [(bus.strategy, bus.values["mac"]) for bus in options.buses] == [
            ("ble", UNITS["A"].address),
            ("ble", UNITS["B"].address),
        ]


async def test_nobody_is_heard_and_an_adapter_that_is_not_there() -> None:
    async with surroundings():
        for name in (*UNITS, "Z"):
            await air("vanish", name)
        status, out, err = await scanned()
        assert (status, out) == (1, "")
        assert "no JK BMS is heard: out of range" in err
        status, out, err = await scanned("hci7")
        print(f"ROW | no such adapter | {err.strip()} |", flush=True)
        assert (status, out) == (1, "")
        assert "Bluetooth: " in err
