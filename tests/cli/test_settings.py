"""The command ``settings`` as an owner uses it, over real ptys and sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jkbms_addon.cli import visit
from jkbms_addon.commands import backup
from jkbms_addon.commands.audit import Audit
from jkbms_addon.commands.audit import read as attempts
from jkbms_addon.commands.rules import RULES
from jkbms_addon.errors import CommandError, OptionsError
from jkbms_addon.link.stream import serial_link
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.far_end import serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.modbus import page_request
from jkbms_addon.wire.pb.registers import WRITABLE
from tests.conftest import until
from tests.programs import program

LOWER = {  # all of it valid, and its over-voltage protection lies below what the first BMS asks for
    "cell_voltage_overvoltage_protection": 3.43,
    "cell_voltage_overvoltage_recovery": 3.35,
    "cell_request_charge_voltage": 3.42,
    "cell_soc100_voltage": 3.41,
    "max_charge_current": 60.0,
    "smart_sleep_switch": False,
    "total_battery_capacity": 100.0,
}


class Said:
    def __init__(self, status: int | None, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err
        assert "Traceback" not in err


class Owner:
    """One bus, its options and the folder beside them."""

    def __init__(self, far: Any, folder: Path, level: str) -> None:
        self.far, self.folder = far, folder
        link = {"strategy": "master", "port": far.port}
        if not isinstance(far.port, str):
            link = {"strategy": "gateway", "host": "127.0.0.1", "tcp_port": far.port}
        buses = [{"name": "a", **link}, {"name": "b", "strategy": "listen", "port": "/dev/nowhere"}]
        (folder / "options.json").write_text(json.dumps({"buses": buses, "writes": {"level": level}}))

    async def says(self, action: str, *more: str, address: int = 1, bus: str = "a") -> Said:
        where = ("--options", str(self.folder / "options.json"), "--bus", bus, "--address", str(address))
        async with program("settings", action, *where, *more) as process:
            out, err = await process.communicate()
            return Said(process.returncode, out.decode(), err.decode())

    def file(self, name: str = "one.json") -> str:
        return str(self.folder / name)

    def writes(self) -> int:
        return sum(len(bms.writes) for bms in self.far.batteries.values())


@asynccontextmanager
async def owner(folder: Path, level: str = "protections", kind: Any = serial_bus, **other: Any) -> AsyncIterator[Owner]:
    batteries = [
        SimulatedBms(1, serial_number="1000001", latency=0.002),
        SimulatedBms(2, serial_number="1000002", latency=0.002, settings=dict(LOWER), **other),
        SimulatedBms(3, serial_number="1000003", latency=0.002),
    ]
    async with kind(batteries, chunk=308) as far:
        yield Owner(far, folder, level)


@pytest.mark.parametrize("kind", [serial_bus, tcp_bus])
async def test_save_diff_apply_and_diff_again(tmp_path: Path, kind: Any) -> None:
    async with owner(tmp_path, kind=kind) as me:
        saved = await me.says("save", me.file())
        assert (saved.status, saved.err) == (0, "")
        assert "45 settings of BMS 1 (JK_PB2A16S20P, 1000001, LFP)" in saved.out
        same = await me.says("diff", me.file())
        assert (same.status, same.out) == (0, "nothing differs\n")
        differs = await me.says("diff", me.file(), address=2)
        assert differs.status == 1
        assert differs.out.splitlines()[0].split() == ["setting", "BMS", "2", "one.json", "unit"]
        assert "cell_voltage_overvoltage_protection  3.43   3.65" in differs.out
        assert len(differs.out.splitlines()) == 1 + len(LOWER)
        applied = await me.says("apply", me.file(), address=2)
        assert (applied.status, applied.out.splitlines()[-1]) == (0, "6 changed")
        settings = me.far.batteries[2].settings
        assert settings == me.far.batteries[1].settings | {"device_address": 2, "total_battery_capacity": 100.0}
        assert [record["outcome"] for record in attempts(tmp_path)] == ["applied"] * 6
        assert {(record["bms"], record["source"]) for record in attempts(tmp_path)} == {
            ("a/2", f"settings apply {me.file()}")
        }
        again = await me.says("apply", me.file(), "--include", "total_battery_capacity", address=2)
        assert (again.status, again.out.splitlines()[-1]) == (0, "1 changed")
        nothing = await me.says("apply", me.file(), address=2)
        assert (nothing.status, nothing.out.splitlines()[-1]) == (0, "nothing to do")
        assert me.far.batteries[1].writes == me.far.batteries[3].writes == []


async def test_what_a_file_says(tmp_path: Path) -> None:
    async with owner(tmp_path) as me:
        await me.says("save", me.file())
        content = json.loads(Path(me.file()).read_text())
        assert content["format"] == backup.FORMAT
        assert content["bms"]["serial_number"] == "1000001"
        assert content["bms"]["battery_type"] == "LFP"
        assert set(content["settings"]) == set(WRITABLE)
        assert content["settings"]["cell_voltage_overvoltage_protection"] == {"value": 3.65, "unit": "V"}
        assert content["settings"]["cell_request_float_voltage_time"] == {"value": 5.0, "unit": "h"}
        assert content["settings"]["charging_switch"] == {"value": True}
        before = Path(me.file()).read_bytes()
        again = await me.says("save", me.file(), address=2)
        assert again.status == 1
        assert "a backup is never overwritten" in again.err
        assert Path(me.file()).read_bytes() == before


async def test_a_dry_run_shows_the_plan_in_its_order_and_writes_nothing(tmp_path: Path) -> None:
    async with owner(tmp_path, "switches") as me:
        said = await me.says("apply", "--to", "2-3", "--dry-run")
        assert said.status == 0
        steps = [line.split()[1].rstrip(":") for line in said.out.splitlines() if line.startswith("  ")]
        assert steps[0] == "cell_voltage_overvoltage_protection"  # room for what lies below it
        assert steps[-1] == "smart_sleep_switch"
        assert len(steps) == len(LOWER) - 1
        assert "BMS 3 (JK_PB2A16S20P, 1000003, LFP): nothing to do" in said.out
        assert "total_battery_capacity differs and is left as it is; name it with --include" in said.err
        assert "writes.level switches does not allow cell_request_charge_voltage" in said.err
        assert me.writes() == 0
        assert attempts(tmp_path) == []


async def test_what_the_level_forbids_is_not_written_not_even_in_part(tmp_path: Path) -> None:
    for level in ("off", "switches", "settings"):
        async with owner(tmp_path, level) as me:
            said = await me.says("apply", "--to", "2")
            assert said.status == 1
            assert f"writes.level {level} does not allow" in said.err
            assert said.err.endswith("nothing was written\n")
            assert me.writes() == 0


async def test_a_wrong_level_is_told_before_the_bus_is_opened(tmp_path: Path) -> None:
    async with serial_bus([SimulatedBms(1)]) as far:
        said = await Owner(far, tmp_path, "everything").says("apply", "--to", "2")
        assert far.requests == []
    problem = "writes: level: must be one of off, switches, settings, protections; nothing can be changed"
    assert (said.status, said.err) == (1, f"jkbms_addon: {problem}\n")


async def test_copied_to_others(tmp_path: Path) -> None:
    async with owner(tmp_path) as me:
        me.far.batteries[3].settings["max_charge_current"] = 90.0
        me.far.batteries[3].times = (2.0, 6.0)
        said = await me.says("apply", "--to", "2-3")
        assert (said.status, said.out.splitlines()[-1]) == (0, "9 changed")
        for address in (2, 3):
            kept = {"device_address": address, "total_battery_capacity": 100.0 if address == 2 else 280.0}
            assert me.far.batteries[address].settings == me.far.batteries[1].settings | kept
        assert me.far.batteries[3].times == (1.0, 5.0)
        assert me.far.batteries[1].writes == []
        assert (await me.says("diff", "--with", "3")).status == 0


async def test_it_stops_at_the_first_failure_and_tells_what_it_left(tmp_path: Path) -> None:
    async with owner(tmp_path, limits={"cell_voltage_overvoltage_recovery": 3.4}) as me:
        me.far.batteries[3].settings["max_charge_current"] = 90.0
        said = await me.says("apply", "--to", "2-3")
        assert said.status == 1
        left = said.out.partition("stopped; as it is now:\n")[2].splitlines()
        assert left[0] == "  BMS 2: cell_voltage_overvoltage_protection: 3.65 V (wanted 3.65 V, applied)"
        assert left[1] == "  BMS 2: cell_voltage_overvoltage_recovery: 3.35 V (wanted 3.444 V, refused)"
        assert left[-1] == "  BMS 3: max_charge_current: 90.0 A (wanted 100.0 A, not tried)"
        assert "beyond this model's limit (exception 3)" in said.out
        assert len(left) == 7
        assert all("not tried" in line for line in left[2:])
        assert [record["outcome"] for record in attempts(tmp_path)] == ["applied", "refused"]
        assert all(rule.holds(me.far.batteries[2].settings) for rule in RULES)
        assert me.far.batteries[3].writes == []


@pytest.mark.parametrize(
    ("reaction", "words"), [("ignore", "not taken: the BMS acknowledged"), ("dead", "failed: the BMS did not ack")]
)
async def test_what_a_bms_does_not_take(tmp_path: Path, reaction: str, words: str) -> None:
    async with owner(tmp_path, reaction=reaction) as me:
        said = await me.says("apply", "--to", "2")
        assert said.status == 1
        assert words in said.out
        assert len(attempts(tmp_path)) == 1


async def test_a_plan_that_breaks_a_rule_is_not_begun(tmp_path: Path) -> None:
    async with owner(tmp_path) as me:
        await me.says("save", me.file())
        content = json.loads(Path(me.file()).read_text())
        content["settings"] = {
            "max_charge_current": {"value": 42, "unit": "A"},
            "power_off_voltage": {"value": 2.8, "unit": "V"},
        }
        Path(me.file()).write_text(json.dumps(content))
        said = await me.says("apply", me.file())
        assert said.status == 1
        assert (
            "BMS 1: power_off_voltage 2.8 V must be below cell_voltage_undervoltage_protection, which is 2.7 V"
            in said.err
        )
        content["bms"]["battery_type"] = "LTO"
        Path(me.file()).write_text(json.dumps(content))
        other = await me.says("apply", me.file())
        assert "BMS 1 has LFP cells, the settings are for LTO" in other.err
        assert me.writes() == 0


async def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    async with owner(tmp_path) as me, serial_link(me.far.port):
        for action, more in (("save", ("x.json",)), ("diff", ("--with", "2")), ("apply", ("--to", "2"))):
            said = await me.says(action, *more)
            assert (said.status, said.out) == (1, "")
            assert said.err == f"jkbms_addon: {me.far.port} is in use by another program or bus\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("apply",), "one of the arguments FILE --to is required"),
        (("diff",), "one of the arguments FILE --with is required"),
        (("save",), "required: FILE"),
        (("apply", "--to", "1-2"), "to itself"),
        (("diff", "--with", "1"), "to itself"),
        (("apply", "--to", "6-2"), "must be addresses from 0 to 15"),
        (("apply", "--to", "2-16"), "must be addresses from 0 to 15"),
        (("apply", "--to", "2", "--include", "cell_count"), "invalid choice"),
        (("apply", "x.json", "--to", "2"), "not allowed with argument"),
        (("save", "x.json", "--address", "16"), "no address from 0 to 15"),
        (("save", "x.json", "--bus", "nowhere"), "'nowhere' is not in"),
    ],
)
async def test_wrong_usage_is_status_2(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    Owner(type("Far", (), {"port": "/dev/nowhere"}), tmp_path, "off")
    where = ("--options", str(tmp_path / "options.json"), "--bus", "a", "--address", "1")
    async with program("settings", arguments[0], *where, *arguments[1:]) as process:
        _, err = await process.communicate()
        assert process.returncode == 2
        assert words in err.decode()


async def test_a_bus_that_only_listens(tmp_path: Path) -> None:
    me = Owner(type("Far", (), {"port": "/dev/nowhere"}), tmp_path, "protections")
    said = await me.says("apply", "--to", "2", bus="b")
    assert (said.status, said.out) == (1, "")
    assert said.err == "jkbms_addon: bus b: the strategy listen cannot change settings as it is configured\n"


async def test_interrupted_in_the_middle_is_written_down(tmp_path: Path) -> None:
    async with owner(tmp_path, reaction="late") as me:
        where = ("--options", str(tmp_path / "options.json"), "--bus", "a", "--address", "1")
        async with program("settings", "apply", *where, "--to", "2") as process:
            await until(lambda: me.far.batteries[2].writes)
            process.send_signal(2)
            await process.communicate()
            assert process.returncode == 130
            (record,) = attempts(tmp_path)
            assert (record["outcome"], record["to"]) == ("begun", "3.65")  # nobody knows what became of it
            async with program("audit", "--data", str(tmp_path)) as shown:
                out, _ = await shown.communicate()
                assert "3.43 -> 3.65, now unknown: begun, outcome unknown" in out.decode()


# --- in one process, with less patience ------------------------------------------------------------------
async def visited(port: str, addresses: list[int]) -> None:
    bus = visit.chosen(parse({"buses": [{"name": "a", "strategy": "master", "port": port}]}), "a")
    async with visit.visiting(bus, addresses, "off", Audit(Path("/nowhere"))) as one:
        await one.values(addresses)


async def test_a_silent_bms_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "WAIT", 2.0)
    async with serial_bus([SimulatedBms(1)]) as far:
        with pytest.raises(CommandError, match="a: BMS 4 does not answer"):
            await visited(far.port, [1, 4])


async def test_beside_another_master_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "WAIT", 4.0)
    async with serial_bus([SimulatedBms(1, silent=True)]) as far:

        async def other() -> None:
            while True:
                await far.say(page_request(9, 0x1620))
                await asyncio.sleep(0.3)

        task = asyncio.create_task(other())
        with pytest.raises(CommandError, match="BMS 1 does not answer: another master"):
            await visited(far.port, [1])
        task.cancel()


def test_buses_that_cannot_be_used() -> None:
    options = parse({"buses": [{"name": "a", "strategy": "nonsense"}]})
    with pytest.raises(OptionsError, match="bus a: strategy: 'nonsense'"):
        visit.chosen(options, "a")
    with pytest.raises(OptionsError, match="no bus is named 'b': there is a"):
        visit.chosen(options, "b")


# --- files -----------------------------------------------------------------------------------------------
GOOD: dict[str, Any] = {
    "format": backup.FORMAT,
    "bms": {"model": "JK"},
    "settings": {"max_charge_current": {"value": 50, "unit": "A"}, "charging_switch": {"value": True}},
}


def test_a_file_that_was_edited() -> None:
    read = backup.read(json.dumps(GOOD), "f")
    assert read.settings == {"max_charge_current": 50, "charging_switch": True}
    assert read.who == "JK"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "no file of saved settings"),
        ({"settings": []}, "settings or bms is missing"),
        ({"settings": {"cell_count": {"value": 16}}}, "cell_count is no setting that can be changed"),
        ({"settings": {"device_address": {"value": 1}}}, "device_address is no setting that can be changed"),
        ({"settings": {"nonsense": {"value": 1}}}, "nonsense is no setting"),
        ({"settings": {"max_charge_current": 50}}, "has no value"),
        ({"settings": {"max_charge_current": {"value": 50}}}, "the unit must be A, not None"),
        ({"settings": {"max_charge_current": {"value": 50000, "unit": "mA"}}}, "the unit must be A, not mA"),
        ({"settings": {"max_charge_current": {"value": "50", "unit": "A"}}}, "'50' is no number"),
        ({"settings": {"max_charge_current": {"value": True, "unit": "A"}}}, "True is no number"),
        ({"settings": {"charging_switch": {"value": 1}}}, "1 is no true or false"),
        ({"settings": {"charging_switch": {"value": None}}}, "None is no true or false"),
    ],
)
def test_files_that_cannot_be_used(change: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionsError) as refusal:
        backup.read(json.dumps({**GOOD, **change}), "f")
    assert str(refusal.value).startswith("f")
    assert words in str(refusal.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "12", '"x"'])
def test_texts_that_are_no_file(text: str) -> None:
    with pytest.raises(OptionsError):
        backup.read(text, "f")
