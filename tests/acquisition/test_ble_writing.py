"""Settings changed over Bluetooth: the outcome is always what the BMS says afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jkbms_addon.acquisition import ble
from jkbms_addon.acquisition.ble import PLUGIN, Ble
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.commands.command import Command, Identity
from jkbms_addon.commands.deed import Change, Deed
from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.simulator.ble import BleUnit, wired
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb import ble_registers, commands
from jkbms_addon.wire.pb.modbus import LIVE, SETTINGS

QUESTIONS = {commands.SETTINGS, commands.ABOUT}


class Owner:
    """A connected battery, and what was written to it."""

    def __init__(self, source: Ble, unit: BleUnit, known: dict[str, Any]) -> None:
        self.source, self.unit, self.known = source, unit, known
        self.steps: list[str] = []

    async def sets(self, key: str, value: Any, battery: Identity | None = None) -> Change:
        async def begin(_before: object) -> None:
            self.steps.append("begin")

        command = Command("b", 1, key, value, 0.0, battery=battery or Identity())
        deed = Deed(command, self.known, None, lambda: self.steps.append("permit"), begin)
        return await self.source.change(deed)

    @property
    def written(self) -> list[bytes]:
        return [asked for asked in self.unit.asked if asked[4] not in QUESTIONS]


@asynccontextmanager
async def owner(layout: str = "32S", **options: Any) -> AsyncIterator[Owner]:
    bms = SimulatedBms(1, serial_number="4071200001", **options)
    unit = BleUnit(bms, layout, period=0.1, beat=0.05, second=True)
    async with wired(unit) as wire:
        source = Ble(wire, BusStatus("b"), 1)
        assert await source.begin() == ""
        known: dict[str, Any] = {}
        async with asyncio.timeout(8):
            while not {"serial_number", "cell_count", "total_voltage"} <= set(known):
                for reading in await source.poll():
                    known.update(reading.values)
        yield Owner(source, unit, known)


CHANGES = [
    ("charging_switch", False, "1d 04 00 00 00 00"),
    ("display_always_on_switch", True, "2b 04 01 00 00 00"),
    ("balance_trigger_voltage", 0.012, "06 04 0c 00 00 00"),
    ("cell_voltage_overvoltage_protection", 3.6, "04 04 10 0e 00 00"),
    ("max_charge_current", 80.0, "0c 04 80 38 01 00"),
    ("charge_undertemperature_protection", -3.5, "18 04 dd ff ff ff"),
    ("heating_start_temperature", -4, "37 01 fc 00 00 00"),
    ("smart_sleep_delay", 23, "39 01 17 00 00 00"),
    ("cell_request_charge_voltage_time", 1.5, "b3 01 0f 00 00 00"),
]


@pytest.mark.parametrize(("key", "value", "said"), CHANGES, ids=lambda x: x if isinstance(x, str) else "")
async def test_a_change_is_written_once_and_read_back(key: str, value: Any, said: str) -> None:
    async with owner() as one:
        change = await one.sets(key, value)
        assert (change.result, change.reason, change.after) == ("applied", "", value)
        assert [command[4:10].hex(" ") for command in one.written] == [said]
        assert one.steps == ["begin", "permit"]
        again = await one.sets(key, value)
        assert (again.result, len(one.written)) == ("unchanged", 1)
        # the stream goes on
        seen = [reading.kind for _ in range(20) for reading in await one.source.poll()]
        assert "live" in seen


@pytest.mark.parametrize(
    ("reaction", "result", "reason"),
    [
        ("ignore", "not_taken", "acknowledged but did not take"),
        ("mute", "applied", "taken without acknowledgement"),
        ("dead", "failed", "did not acknowledge"),
    ],
)
async def test_the_acknowledgement_proves_nothing(reaction: str, result: str, reason: str) -> None:
    async with owner(reaction=reaction) as one:
        change = await one.sets("balance_trigger_voltage", 0.012)
        assert change.result == result
        assert reason in change.reason
        assert change.after == (0.012 if reaction == "mute" else 0.005)
        assert len(one.written) == 1


async def test_rules_and_ranges_hold() -> None:
    async with owner() as one:
        for key, value in (
            ("cell_voltage_overvoltage_recovery", 3.7),
            ("max_charge_current", 700.0),
            ("balance_trigger_voltage", 0.0),
        ):
            assert (await one.sets(key, value)).result == "refused"
        for key in ("cell_count", "device_address", "smart_sleep_voltage"):
            with pytest.raises(CommandError, match="never written"):
                await one.sets(key, 1)
        assert one.written == []


async def test_nobody_else_is_asked_for_over_bluetooth() -> None:
    """The page's scan of a bus asks for the measured values of all addresses."""
    async with owner() as one:
        asked = len(one.unit.asked)
        with pytest.raises(CommandError, match="nobody but the battery itself, shown at address 1"):
            await one.source.read_page(2, LIVE, 0.4)
        ((_, reading),) = await one.source.read_page(1, LIVE, 1.0)
        assert (reading.kind, reading.address) == ("live", 1)
        assert len(one.unit.asked) == asked  # measured values come by themselves
        ((_, reading),) = await one.source.read_page(1, SETTINGS, 1.0)
        assert reading.kind == "settings"


async def test_another_battery_is_not_written_to() -> None:
    async with owner() as one:
        change = await one.sets("charging_switch", False, Identity(serial_number="0815"))
        assert change.result == "refused"
        assert "another battery" in change.reason
        assert one.written == []


async def test_24s_is_only_read() -> None:
    async with owner("24S") as one:
        with pytest.raises(CommandError, match=r"layout 24S\) are only read"):
            await one.sets("charging_switch", False)
        assert one.written == []


async def test_a_link_lost_after_the_write_leaves_the_outcome_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async with owner() as one:
        answers = BleUnit.answers

        def dies(unit: BleUnit, command: bytes) -> list[bytes]:
            if command[4] not in QUESTIONS:
                one.source._link.lost = True  # type: ignore[attr-defined]
            return answers(unit, command)

        monkeypatch.setattr(BleUnit, "answers", dies)
        change = await one.sets("charging_switch", False)
        assert change.result == "failed"
        assert "not verified" in change.reason
        with pytest.raises(LinkError):
            await one.source.poll()


def test_what_can_be_written_is_what_has_a_register() -> None:
    options = PLUGIN.schema({"mac": "C8:47:80:00:00:01"})
    assert PLUGIN.writable(options) == set(ble_registers.REGISTERS)
    assert ble.REGISTERS.shared == {}
