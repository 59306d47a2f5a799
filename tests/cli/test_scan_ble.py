"""``scan --bluetooth`` without any radio: what is heard and said is put in its place here."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bleak.backends.scanner import AdvertisementData

from jkbms_addon.__main__ import main
from jkbms_addon.acquisition import ble
from jkbms_addon.acquisition.ble import Ble, Refused
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.cli import scan
from jkbms_addon.doctor import air
from jkbms_addon.errors import LinkError
from jkbms_addon.link import gatt
from jkbms_addon.link.gatt import Heard, advertises
from jkbms_addon.simulator.ble import BleUnit, wired
from jkbms_addon.simulator.pb import SimulatedBms

ADDRESSES = ("C8:47:80:00:00:01", "20:21:11:00:00:02", "C8:47:80:00:00:03", "C8:47:80:00:00:04")
LAYOUTS = dict(zip(ADDRESSES, ("32S", "24S"), strict=False))


@asynccontextmanager
async def opened(options: Any, status: BusStatus) -> AsyncIterator[Ble | Refused]:
    address = options["mac"]
    if address == ADDRESSES[2]:
        raise LinkError(f"{address}: it refuses without pairing, or the PIN is wrong: set the option pin")
    if address == ADDRESSES[3]:
        yield Refused(status, "this model is a balancer")
        return
    bms = SimulatedBms(1, serial_number="4071200001", cells=16)
    async with wired(BleUnit(bms, LAYOUTS[address], period=0.05)) as wire:
        source = Ble(wire, status, 1)
        await source.begin()
        yield source


@pytest.fixture(autouse=True)
def _log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets up the log of the whole process, which other tests look at."""
    monkeypatch.setattr(scan, "log_to_stderr", lambda _level: None)


@pytest.fixture
def _air(monkeypatch: pytest.MonkeyPatch) -> None:
    async def heard(adapter: str, seconds: float) -> list[Heard]:
        assert (adapter, seconds) == ("hci1", air.LISTEN)
        return [Heard(address, f"JK{n}" if n else "", -60 - n) for n, address in enumerate(ADDRESSES)]

    monkeypatch.setattr(gatt, "heard", heard)
    monkeypatch.setattr(ble, "opened", opened)


@pytest.mark.usefixtures("_air")
def test_batteries_in_the_air_with_entries_for_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--bluetooth", "hci1"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["address", "name", "RSSI", "model", "firmware", "serial", "number", "cells", "voltage"]
    assert lines[1].split()[:8] == [ADDRESSES[0], "-", "-60", "dBm", "JK_PB2A16S20P", "15.41", "4071200001", "16"]
    assert lines[2].split()[:8] == [ADDRESSES[1], "JK1", "-61", "dBm", "JK-B2A24S20P", "10.07", "4071200001", "16"]
    assert lines[3].split() == [ADDRESSES[2], "JK2", "-62", "dBm", *("-",) * 5]
    assert "\n".join(lines[6:]) == (
        'buses:\n  - name: ble1\n    strategy: ble\n    mac: "C8:47:80:00:00:01"\n    address: 1\n    adapter: "hci1"\n'
        '  - name: ble2\n    strategy: ble\n    mac: "20:21:11:00:00:02"\n    address: 2\n    adapter: "hci1"'
    )
    assert f"\n{ADDRESSES[2]}: it refuses without pairing" in err
    assert f"{ADDRESSES[3]}: this model is a balancer" in err


def test_nobody_in_the_air(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def heard(_adapter: str, _seconds: float) -> list[Heard]:
        return []

    monkeypatch.setattr(gatt, "heard", heard)
    assert main(["scan", "--bluetooth"]) == 1
    assert "no JK BMS is heard" in capsys.readouterr().err


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "jkbms_addon.link.gatt", None)
    assert main(["scan", "--bluetooth"]) == 1
    assert "install the extra ble" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("uuids", "companies", "name", "ours"),
    [
        (["0000ffe0-0000-1000-8000-00805f9b34fb"], {0x0B65: b""}, "", True),
        (["0000ffe0-0000-1000-8000-00805f9b34fb"], {0x4B4A: b""}, "x", True),
        (["0000ffe0-0000-1000-8000-00805f9b34fb"], {}, "JK_PB2A16S20P", True),
        (["0000ffe0-0000-1000-8000-00805f9b34fb"], {}, "HM-10", False),  # hundreds of products have that service
        ([], {0x0B65: b""}, "JK", False),
    ],
)
def test_what_is_a_bms_in_the_air(uuids: list[str], companies: dict[int, bytes], name: str, ours: bool) -> None:
    told = AdvertisementData(name, companies, {}, uuids, None, -60, ())
    assert advertises(told, name) is ours
