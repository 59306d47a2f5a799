"""The strategy without any radio; with real BlueZ it is tested in ``tests/bluetooth``."""

import sys
import time
from typing import Any

import pytest
import voluptuous as vol

from jkbms_addon.acquisition import ble
from jkbms_addon.acquisition.ble import PLUGIN, Ble, Refused
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.errors import LinkError
from jkbms_addon.simulator.ble import BleUnit, BleWire, wired
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb import commands
from jkbms_addon.wire.pb.frames import checksum
from jkbms_addon.wire.pb.layouts import BALANCER
from tests.conftest import captures

FRAMES = {c["id"]: bytes.fromhex(c["hex"]) for c in captures("jk_ble")}


def unit(**options: Any) -> BleUnit:
    return BleUnit(SimulatedBms(3, cells=16), period=0.05, **options)


async def polled(source: Ble, kinds: set[str], seconds: float = 6.0) -> dict[str, Reading]:
    """Poll until readings of these kinds were believed."""
    found: dict[str, Reading] = {}
    end = time.monotonic() + seconds
    while not kinds <= set(found):
        assert time.monotonic() < end, f"only {set(found)}"
        for reading in await source.poll():
            found[reading.kind] = reading
    return found


async def endless(source: Ble | Refused) -> None:
    while True:
        await source.poll()


@pytest.mark.parametrize("layout", ["32S", "24S"])
@pytest.mark.parametrize("mtu", [23, 131, 247])
async def test_all_three_kinds_of_readings_come_by_themselves(layout: str, mtu: int) -> None:
    one, status = unit(layout=layout, mtu=mtu, beat=0.02, second=layout == "32S"), BusStatus("b")
    async with wired(one) as wire:
        source = Ble(wire, status, 1)
        assert await source.begin() == ""
        assert source.layout == layout
        found = await polled(source, {"live", "settings", "about"})
    assert {reading.address for reading in found.values()} == {1}
    live, settings = found["live"].values, found["settings"].values
    assert len(live["cell_voltage"]) == 16  # type: ignore[arg-type]
    assert live["total_voltage"] == pytest.approx(sum(live["cell_voltage"]), abs=0.01)  # type: ignore[arg-type]
    assert settings["cell_count"] == 16
    assert "device_address" not in settings  # that of RS485, which would not be that of the options
    assert ("smart_sleep_delay" in settings) == (layout == "32S")
    assert found["live"].valid_for == ble.SILENT
    assert all(command[4] in (commands.ABOUT, commands.SETTINGS) for command in one.asked)
    assert [command[4] for command in one.asked][:2] == [commands.ABOUT, commands.SETTINGS]
    assert (status.junk, status.checksum_errors, status.implausible, status.problem) == (0, 0, 0, "")
    assert status.bms(1).frames >= 3


async def test_device_information_is_asked_for_until_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble, "ANSWER", 0.1)
    one = unit(needs=3)
    async with wired(one) as wire:
        assert await Ble(wire, BusStatus("b"), 1).begin() == ""
    assert [command[4] for command in one.asked] == [commands.ABOUT] * 3 + [commands.SETTINGS]
    async with wired(unit(needs=9)) as wire:
        with pytest.raises(LinkError, match="does not answer the question for about"):
            await Ble(wire, BusStatus("b"), 1).begin()


async def test_without_measured_values_both_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble, "FIRST", 0.1)
    one = unit()
    one.period = 60.0
    async with wired(one) as wire:
        with pytest.raises(LinkError, match="tells no measured values"):
            await Ble(wire, BusStatus("b"), 1).begin()
    assert [command[4] for command in one.asked] == [commands.ABOUT, commands.SETTINGS] * 2


def frames(settings: str, live: str, about: str) -> dict[int, bytes]:
    return {1: FRAMES[settings], 2: FRAMES[live], 3: FRAMES[about]}


JK04 = ("ble-b2a16s-3.3.0-settings-1", "ble-b2a16s-3.3.0-live-1", "ble-b2a16s-3.3.0-about-1")
S24 = ("ble-b2a24s20p-10.07-settings-1", "ble-b2a24s20p-10.07-live-1", "ble-b2a24s20p-10.07-about-1")
S32 = ("ble-b2a8s20p-11.17-settings-1", "ble-b2a8s20p-11.17-live-2", "ble-b2a8s20p-11.17-about-1")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (JK04, BALANCER),
        ((*JK04[:2], S24[2]), BALANCER),  # even if its version said something else
        ((JK04[0], *S32[1:]), BALANCER),
        ((S24[0], S32[1], S32[2]), "device information (32S), settings (24S) and measured values (32S) disagree"),
        ((*S32[:2], S24[2]), "device information (24S), settings (32S) and measured values (32S) disagree"),
        ((*S24[:2], S32[2]), "device information (32S), settings (24S) and measured values (24S) disagree"),
    ],
)
async def test_a_unit_whose_layout_is_not_proved_is_not_read(said: tuple[str, str, str], reason: str) -> None:
    async with wired(unit(said=frames(*said))) as wire:
        source = Ble(wire, BusStatus("b"), 1)
        assert (await source.begin()).startswith(reason)
        assert source.layout is None


async def test_who_cannot_be_read_is_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ble, "IDLE", 0.01)
    monkeypatch.setattr(ble, "REST", 0.1)
    status = BusStatus("b")
    source = Refused(status, BALANCER)
    assert await source.poll() == []
    assert status.problem == BALANCER
    with pytest.raises(LinkError, match="is a balancer"):
        await endless(source)
    assert caplog.text.count("balancer") == 1


async def test_a_frame_of_another_layout_is_never_read(caplog: pytest.LogCaptureFixture) -> None:
    one, status = unit(), BusStatus("b")
    async with wired(one) as wire:
        source = Ble(wire, status, 1)
        await source.begin()
        await polled(source, {"live", "settings"})
        before = status.implausible
        one.said = frames(S24[0], S24[1], S32[2])
        for _ in range(4):  # what was under way
            await source.poll()
        end = time.monotonic() + 6
        while status.implausible < before + 5:
            assert time.monotonic() < end
            told = [reading for reading in await source.poll() if reading.kind != "about"]
            assert not told


async def test_silence_is_a_lost_link_and_a_heartbeat_is_no_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble, "SILENT", 0.4)
    monkeypatch.setattr(ble, "IDLE", 0.1)
    one = unit(beat=0.05)
    async with wired(one) as wire:
        source = Ble(wire, BusStatus("b"), 1)
        await source.begin()
        one.silent = True
        began = time.monotonic()
        with pytest.raises(LinkError, match="connected, but silent"):
            await endless(source)
    assert 0.3 < time.monotonic() - began < 1.5


async def test_who_hangs_up_is_told_at_once() -> None:
    async with wired(unit()) as wire:
        source = Ble(wire, BusStatus("b"), 1)
        await source.begin()
        wire.lost = True
        with pytest.raises(LinkError, match="hung up"):
            await endless(source)


async def test_settings_are_asked_for_again_and_a_change_must_be_told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble, "RENEW", {"settings": 0.2, "about": 3600.0})
    monkeypatch.setattr(ble, "AGAIN", 0.05)
    one = unit()
    async with wired(one) as wire:
        source = Ble(wire, BusStatus("b"), 1)
        await source.begin()
        await polled(source, {"settings"})
        one.bms.settings["balance_trigger_voltage"] = 0.02
        told = []
        end = time.monotonic() + 3
        while 0.02 not in told:
            assert time.monotonic() < end
            told += [r.values["balance_trigger_voltage"] for r in await source.poll() if r.kind == "settings"]


async def test_damage_is_counted_and_nothing_wrong_is_believed() -> None:
    one, status = unit(), BusStatus("b")
    count = 0

    def damage(piece: bytes) -> bytes:
        nonlocal count
        count += 1
        return piece if count % 7 else piece[:-1] + bytes((piece[-1] ^ 0x55,))

    async with wired(one) as wire:
        source = Ble(wire, status, 1)
        await source.begin()
        await polled(source, {"live"})
        wire.damage = damage
        end, seen = time.monotonic() + 1.5, 0
        while time.monotonic() < end:
            for reading in await source.poll():
                seen += 1
                if reading.kind == "live":
                    assert reading.values["full_charge_capacity"] == 280.0
                    assert reading.values["total_voltage"] == pytest.approx(53.6, abs=1.5)
    assert seen
    assert status.checksum_errors > 0


async def test_passwords_never_reach_the_log(caplog: pytest.LogCaptureFixture) -> None:
    about = bytearray(FRAMES[S32[2]])
    about[62:68], about[118:126] = b"PIN987", b"PASSW0RD"
    about[-1] = checksum(about)
    with caplog.at_level(1):
        async with wired(unit(said={**frames(*S32), 3: bytes(about)})) as wire:
            assert await Ble(wire, BusStatus("b"), 1).begin() == ""
    assert "55 aa eb 90 03" in caplog.text
    assert b"PIN987".hex(" ") not in caplog.text
    assert b"PASSW0RD".hex(" ") not in caplog.text


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({}, "mac"),
        ({"mac": "C8:47:80:00:00"}, "must be an address such as"),
        ({"mac": "x" * 30}, "must be an address such as"),
        ({"mac": "C8:47:80:00:00:01", "adapter": "0"}, "must be a Bluetooth adapter"),
        ({"mac": "C8:47:80:00:00:01", "pin": "12a"}, "1 to 6 digits"),
        ({"mac": "C8:47:80:00:00:01", "pin": 1234567}, "1 to 6 digits"),
        ({"mac": "C8:47:80:00:00:01", "address": 16}, "0 to 15"),
    ],
)
def test_wrong_options_are_named(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(vol.Invalid) as caught:
        PLUGIN.schema(row)
    assert problem in str(caught.value)


def test_options_are_understood() -> None:
    known = PLUGIN.schema({"mac": "c8-47-80-00-00-01", "pin": 123456, "adapter": "hci1"})
    assert known == {"mac": "C8:47:80:00:00:01", "pin": "123456", "adapter": "hci1", "address": 1}
    assert PLUGIN.schema({"mac": "JK_PB2A16S20P"})["mac"] == "JK_PB2A16S20P"
    assert PLUGIN.addresses(known) == {1}
    assert PLUGIN.target(known) == "C8:47:80:00:00:01"


def test_the_library_is_loaded_only_where_a_bus_uses_it() -> None:
    import subprocess

    program = "import sys, jkbms_addon.acquisition.ble, jkbms_addon.app; print('bleak' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


async def test_without_the_library_the_bus_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jkbms_addon.link.gatt", None)
    with pytest.raises(LinkError, match="install the extra ble"):
        async with ble.opened({"mac": "C8:47:80:00:00:01", "address": 1}, BusStatus("b")):
            pass


STREAMS = [c for c in captures("jk_ble") if c["kind"] == "stream"]


@pytest.mark.parametrize("capture", STREAMS, ids=lambda c: c["id"])
async def test_recorded_notifications_in_the_pieces_in_which_they_came(capture: dict[str, Any]) -> None:
    data, at, pieces = bytes.fromhex(capture["hex"]), 0, []
    for length in capture["chunk_lengths"]:
        pieces.append(data[at : at + length])
        at += length
    status = BusStatus("b")
    source = Ble(BleWire(unit()), status, 1)
    found = source._frames(pieces)
    wanted = list(capture["expected"]["messages"])
    assert [f"frame0{frame.type}" for frame in found] == [m["kind"] for m in wanted if m["kind"].startswith("frame")]
    assert status.junk == sum(m["len"] for m in wanted if m["kind"] == "junk")
