"""The doctor at hand: raw messages of the page's websocket, the whole program, simulated BMSs behind a pty."""

import asyncio
import io
import itertools
import json
import logging
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import yaml

from jkbms_addon.__main__ import main
from jkbms_addon.acquisition import ble
from jkbms_addon.acquisition.diagnosis import REASONS
from jkbms_addon.acquisition.slot import Slot
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.doctor import log
from jkbms_addon.doctor.air import NOBODY
from jkbms_addon.doctor.log import Newest
from jkbms_addon.doctor.recording import read
from jkbms_addon.errors import LinkError
from jkbms_addon.inverter.emission import Emission
from jkbms_addon.inverter.options import InverterOptions
from jkbms_addon.inverter.service import Outlet
from jkbms_addon.link import gatt
from jkbms_addon.link.stream import serial_link
from jkbms_addon.options.file import parse
from jkbms_addon.page import doctor, first_run, scans
from jkbms_addon.page.scans import TOLD
from jkbms_addon.page.visitor import LOCKED
from jkbms_addon.simulator.ble import BleUnit
from jkbms_addon.simulator.far_end import serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.frames import HEADER
from jkbms_addon.wire.pb.modbus import ABOUT, LIVE
from jkbms_addon.wire.pb.tables import SIZE
from tests.bluetooth.ether import ether
from tests.cli.test_capture import PASSWORD, PIN, with_secrets
from tests.conftest import free_port, heard, until
from tests.page.test_asks import Client, House, client, house


async def tick(page: Client) -> dict[str, Any]:
    return await page.said("tick")


async def test_health_of_every_address_with_what_to_try(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        (bus,) = (await tick(page))["buses"]
        assert bus["bms"].keys() == {"1", "2"}
        assert bus["reason"] is None
        assert "reason" not in bus["bms"]["1"]
        home.bus.batteries[2].silent = True
        await until(lambda: not list(home.app.store)[1].online(home.app.store.clock()), 20)
        while (bus := (await tick(page))["buses"][0])["bms"]["2"]["health"] != "silent":
            pass
        reason = REASONS["nothing_polled"]
        assert bus["bms"]["2"]["reason"] == [reason.symptom, reason.cause, reason.remedy]
        assert bus["bms"]["1"]["health"] == "ok"


async def test_the_log_comes_to_who_wants_it(tmp_path: Path) -> None:
    newest = Newest()
    newest.keep()
    try:
        async with house(tmp_path) as home, client(home.port) as page, client(home.port) as other:
            home.app.page.sources.log = newest
            logging.getLogger("jkbms_addon.x").warning("first")
            assert (await page.ask("log", on=True))["t"] == "told"
            lines = (await page.said("log"))["lines"]
            assert lines[-1][1:] == ["WARNING", "first"]
            logging.getLogger("jkbms_addon.x").warning("second")
            assert [line[2] for line in (await page.said("log"))["lines"]] == ["second"]
            await page.ask("log", on=False)
            logging.getLogger("jkbms_addon.x").warning("third")
            for one in (page, other):
                assert {(await one.said("tick", "log"))["t"] for _ in range(4)} == {"tick"}
    finally:
        logging.getLogger().removeHandler(newest)


async def test_what_is_connected_and_who_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        link = tmp_path / "usb-FTDI"
        link.symlink_to(home.bus.port)
        ports = [{"path": str(link), "device": home.bus.port}, {"path": "/dev/ttyUSB9", "device": None}]
        found = {"ports": ports, "can": [{"name": "can0", "up": True}]}
        monkeypatch.setattr(first_run, "look", lambda: found)
        told = await page.ask("ports")
        assert [(one["path"], one["used"]) for one in told["ports"]] == [(str(link), "garage"), ("/dev/ttyUSB9", None)]
        assert told["can"] == [{"name": "can0", "up": True, "used": None}]


async def test_a_computer_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hangs() -> dict[str, Any]:
        released.wait()
        return {"ports": [], "can": []}

    async with house(tmp_path) as home, client(home.port) as page:
        monkeypatch.setattr(doctor, "PATIENCE", 0.1)
        monkeypatch.setattr(first_run, "look", hangs)
        try:
            assert (await page.ask("ports"))["reason"] == doctor.SLOW
            assert (await tick(page))["t"] == "tick"
        finally:
            released.set()


# --- listening ----------------------------------------------------------------------------------------------


def with_about(data: bytes) -> bytes:
    """What a BMS says, with the PIN and the password of an owner in its device information."""
    return with_secrets(data[:SIZE]) + data[SIZE:] if data.startswith(HEADER + b"\x03") else data


async def about(home: House) -> None:
    """Somebody asks for device information, in a turn of the owner."""
    slot = home.app.page.sources.slots["garage"]
    assert await slot.ask(lambda source: source.read_page(1, ABOUT, 1.0))


async def job(page: Client, number: int, *states: str) -> dict[str, Any]:
    """How a job is doing, as soon as it is so."""
    async with asyncio.timeout(60):
        while True:
            for one in page.jobs:
                if one["id"] == number and one["state"] in states:
                    return dict(one)
            await tick(page)


async def get(port: int, path: str, method: str = "GET") -> tuple[int, Message, bytes]:
    def fetch() -> tuple[int, Message, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    return await asyncio.to_thread(fetch)


async def test_bytes_live_with_their_meaning_and_without_secrets(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        home.bus.mangle = with_about
        begun = await page.ask("bytes", bus="garage")
        await about(home)
        lines: list[list[Any]] = []
        async with asyncio.timeout(20):
            while not {"about", "live"} <= {line[4].get("page") for line in lines if line[3] == "frame"}:
                lines += (await page.said("bytes"))["lines"]
        kinds = {(line[1], line[3]) for line in lines}
        assert kinds == {("tx", "request"), ("rx", "frame"), ("rx", "ack")}
        live = next(line for line in lines if line[3] == "frame" and line[4]["page"] == "live")
        assert live[4]["a"] in (1, 2)
        assert live[4]["v"] > 40
        assert live[2].startswith("55 AA EB 90 02")
        assert abs(live[0] - time.time()) < 20
        text = json.dumps(lines)
        for secret in (PIN, PASSWORD):
            assert secret.hex(" ").upper() not in text
        assert (await page.ask("stop", job=begun["job"]))["t"] == "told"
        await job(page, begun["job"], "stopped")


async def test_bytes_end_with_their_visitor(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        jobs, slot = home.app.page.sources.jobs, home.app.page.sources.slots["garage"]
        async with client(home.port) as page, client(home.port) as other:
            await page.ask("bytes", bus="garage")
            await until(lambda: len(slot._taps) == 1)
            assert "garage is busy: bytes" in (await other.ask("capture", bus="garage", seconds=30))["reason"]
            await page.socket.close()
            await until(lambda: slot._taps == [])
            assert [one["state"] for one in jobs.told(0, 0)] == ["stopped"]
            assert (await other.ask("capture", bus="garage", seconds=30))["t"] == "begun"


async def test_a_capture_is_fetched_decodes_and_holds_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        home.bus.mangle = with_about
        begun = await page.ask("capture", bus="garage", seconds=5)
        await about(home)
        done = await job(page, begun["job"], "done")
        assert done["received"] > 1000
        assert done["sent"] > 50
        path, size = done["file"]
        assert re.fullmatch(r"files/[0-9a-f]{32}/garage-\d{8}-\d{6}\.jsonl", path)
        status, headers, body = await get(home.port, path)
        assert (status, len(body)) == (200, size)
        assert headers["Content-Disposition"] == f'attachment; filename="{path.split("/")[2]}"'
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert (await get(home.port, path, "HEAD"))[2] == b""
        assert (await get(home.port, path.replace("files/", "files/0")))[0] == 404
        assert (await get(home.port, path, "POST"))[0] >= 400
        file = tmp_path / "fetched.jsonl"
        file.write_bytes(body)
        assert main(["decode", str(file)]) == 0
        readings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert {(one["address"], one["kind"]) for one in readings} >= {(1, "live"), (2, "live"), (1, "about")}
        recording = read(body.decode(), "x")
        for secret in (PIN, PASSWORD):
            assert secret not in b"".join(chunk.data for chunk in recording.chunks)
            assert secret.hex() not in body.decode()
        assert recording.header["target"] == home.bus.port


async def test_a_capture_goes_on_while_the_phone_sleeps(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        async with client(home.port) as page:
            begun = await page.ask("capture", bus="garage", seconds=5)
        async with client(home.port) as again:
            assert "file" in await job(again, begun["job"], "done")


async def test_what_was_captured_before_a_stop_is_kept(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        begun = await page.ask("capture", bus="garage", seconds=1800)
        await until(lambda: len(home.app.page.sources.slots["garage"]._taps) == 1)
        count = home.app.buses["garage"].frames
        await until(lambda: home.app.buses["garage"].frames >= count + 3, 10)
        await page.ask("stop", job=begun["job"])
        path, _ = (await job(page, begun["job"], "stopped"))["file"]
        assert len(read((await get(home.port, path))[2].decode(), "x").received) > 300


async def test_what_cannot_be_listened_to(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        for kind, more, why in (
            ("bytes", {"bus": "attic"}, "no such bus"),
            ("bytes", {}, "no such bus"),
            ("capture", {"bus": "garage", "seconds": 4}, "takes 5 to 1800 s"),
            ("capture", {"bus": "garage", "seconds": 1801}, "takes 5 to 1800 s"),
            ("capture", {"bus": "garage", "seconds": "30"}, "takes 5 to 1800 s"),
            ("stop", {"job": 1}, "nothing of that"),
            ("stop", {}, "nothing of that"),
        ):
            answer = await page.ask(kind, **more)
            assert answer["t"] == "no", kind
            assert why in answer["reason"]


async def test_listening_does_not_disturb_the_batteries(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        await page.ask("capture", bus="garage", seconds=10)
        began = time.monotonic()

        def times() -> list[float]:
            return [
                at for at, address, register in home.bus.requests if at > began and (address, register) == (1, LIVE)
            ]

        await until(lambda: len(times()) >= 5, 20)
        asked = times()
        gaps = [later - at for at, later in itertools.pairwise(asked)]
        assert len(asked) >= 4
        assert sum(gaps) / len(gaps) == pytest.approx(2.0, abs=0.25)  # as without it
        assert home.app.buses["garage"].timeouts == 0


async def test_the_end_of_the_program_ends_it(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        jobs = home.app.page.sources.jobs
        async with client(home.port) as page:
            await page.ask("capture", bus="garage", seconds=1800)
            await until(lambda: len(home.app.page.sources.slots["garage"]._taps) == 1)
    assert [one["state"] for one in jobs.told(0, 0)] == ["stopped"]


# --- asking -------------------------------------------------------------------------------------------------


def third(home: House) -> None:
    """A BMS that nobody has told the program of."""
    home.bus.batteries[7] = SimulatedBms(7, current=0.0, serial_number="0000000007")


async def test_a_bus_in_use_is_scanned_between_its_polls(tmp_path: Path) -> None:
    async with house(tmp_path, "off") as home, client(home.port) as page:
        third(home)
        assert (await page.ask("scan", bus="garage"))["reason"] == LOCKED
        await page.ask("unlock")  # the level is about settings, and nothing is changed
        began = time.monotonic()
        begun = await page.ask("scan", bus="garage")
        while "phase" not in (one := await job(page, begun["job"], "runs")):
            await tick(page)
        assert one["phase"].startswith("asking addresses 0 to 15")
        done = await job(page, begun["job"], "done", "failed")
        assert [(row[0], row[3]) for row in done["rows"]] == [
            ("1", "0000000000"),
            ("2", "0000000002"),
            ("7", "0000000007"),
        ]
        assert done["entry"] == 'addresses: "1-2,7"'
        assert done["reason"] is None
        asked = [at for at, address, register in home.bus.requests if at > began and (address, register) == (1, LIVE)]
        gaps = [later - at for at, later in itertools.pairwise(asked)]
        assert max(gaps) < 3.5  # the others were asked on
        assert home.app.buses["garage"].timeouts <= 1  # on a busy machine
        assert {one.key[1] for one in home.app.store} == {1, 2}
        assert all(not bms.writes for bms in home.bus.batteries.values())


async def test_a_lock_ends_a_scan(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        await page.ask("unlock")
        begun = await page.ask("scan", bus="garage")
        await page.ask("lock")
        failed = await job(page, begun["job"], "failed")
        assert failed["why"] == LOCKED
        count = len([one for one in home.bus.requests if one[1] not in (1, 2)])
        await heard(home.app.buses["garage"])
        assert len([one for one in home.bus.requests if one[1] not in (1, 2)]) == count


async def test_no_scan_where_an_inverter_is_told_something(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        outlets: Any = home.app.page.sources.outlets
        outlets.append(Outlet(1, InverterOptions("pylontech"), BusStatus("inverter"), Emission(emitting=True)))
        await until(lambda: len(home.app.inverter.control.state.counted) == 2, 20)
        await page.ask("unlock")
        answer = await page.ask("scan", bus="garage")
        assert answer["reason"] == f"garage: {TOLD}"
        assert (await page.ask("capture", bus="garage", seconds=5))["t"] == "begun"  # listening is no matter
        outlets[0].emission.silent("stopped")
        begun = await page.ask("stop", job=1)
        assert begun["t"] == "told"
        begun = await page.ask("scan", bus="garage")
        assert begun["t"] == "begun"
        outlets[0].emission.sent()  # and it is ended when the inverter is told something again
        assert (await job(page, begun["job"], "failed"))["why"] == f"garage: {TOLD}"


async def test_a_bus_that_another_master_rules(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        home.bus.master = SimulatedBms(0)
        await until(lambda: "another master" in home.app.buses["garage"].problem, 20)
        await page.ask("unlock")
        count = len(home.bus.requests)
        begun = await page.ask("scan", bus="garage")
        done = await job(page, begun["job"], "done")
        assert done["notes"] == ["nothing was asked: another master is on this bus"]
        assert len(home.bus.requests) == count


@pytest.mark.parametrize("way", ["port", "host"])
async def test_a_place_that_nobody_uses(tmp_path: Path, way: str) -> None:
    packs = [SimulatedBms(4), SimulatedBms(5)]
    async with house(tmp_path) as home, client(home.port) as page:
        async with (serial_bus if way == "port" else tcp_bus)(packs) as far:
            place = {"port": far.port} if way == "port" else {"host": "127.0.0.1", "tcp_port": far.port}
            assert (await page.ask("scan", **place))["reason"] == LOCKED
            await page.ask("unlock")
            begun = await page.ask("scan", **place)
            done = await job(page, begun["job"], "done", "failed")
            assert [row[0] for row in done["rows"]] == ["4", "5"]
            (entry,) = yaml.safe_load(done["entry"])["buses"]
            assert [bus.problem for bus in parse({"buses": [entry]}).buses] == [""]
            assert all(not bms.writes for bms in packs)


async def test_a_second_cable_to_a_battery_that_is_heard_already_is_told(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        await until(lambda: home.app.store.present(("garage", 1)))
        async with serial_bus([home.bus.batteries[1], SimulatedBms(5)]) as far:
            await page.ask("unlock")
            begun = await page.ask("scan", port=far.port)
            done = await job(page, begun["job"], "done", "failed")
            (note,) = [one for one in done["notes"] if "one battery" in one]
            assert note.startswith(f"{far.port}/1 and garage/1 look like one battery (equal ")


async def test_places_that_are_not_scanned(tmp_path: Path) -> None:
    async with house(tmp_path) as home, client(home.port) as page:
        await page.ask("unlock")
        for more, why in (
            ({}, "needs a serial port"),
            ({"port": 1}, "needs a serial port"),
            ({"port": "/etc/passwd"}, "needs a serial port"),
            ({"port": "/dev/" + "x" * 300}, "needs a serial port"),
            ({"host": "a b", "tcp_port": 1}, "needs a serial port"),
            ({"host": "127.0.0.1"}, "TCP port from 1"),
            ({"host": "127.0.0.1", "tcp_port": 70000}, "TCP port from 1"),
            ({"bus": "attic"}, "no such bus"),
            ({"bus": 1}, "no such bus"),
        ):
            answer = await page.ask("scan", **more)
            assert answer["t"] == "no", more
            assert why in answer["reason"], more
        for more, why in (
            ({"port": home.bus.port}, "garage uses it: scan that bus"),
            ({"port": "/dev/null"}, "is no serial port"),
            ({"port": "/dev/../dev/zero"}, "is no serial port"),
            ({"port": "/dev/ttyUSB99"}, "does not exist"),
            ({"host": "127.0.0.1", "tcp_port": free_port()}, "refused"),
        ):
            begun = await page.ask("scan", **more)
            assert why in (await job(page, begun["job"], "failed"))["why"], more


async def test_a_scan_ends_with_its_visitor(tmp_path: Path) -> None:
    async with house(tmp_path) as home, serial_bus([SimulatedBms(4)]) as far:
        async with client(home.port) as page:
            await page.ask("unlock")
            begun = await page.ask("scan", port=far.port)
            while "phase" not in await job(page, begun["job"], "runs"):
                await tick(page)
        await until(lambda: home.app.page.sources.jobs.told(0, 0)[0]["state"] == "stopped")
        async with serial_link(far.port):  # it is free again
            pass


# --- a bug report -------------------------------------------------------------------------------------------


async def test_a_bundle_tells_what_is_in_it_and_holds_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "BUNDLE", 5)
    monkeypatch.setattr(log, "FILE", tmp_path / "log")
    (tmp_path / "log").write_text("garage: 192.168.1.40:4196 is gone; the serial number 40119491480 is there twice")
    options = {"mqtt": {"host": "broker.home", "password": "geheim-4711"}, "buses": [{"host": "192.168.1.40"}]}
    (tmp_path / "options.json").write_text(json.dumps(options))
    async with house(tmp_path) as home, client(home.port) as page:
        home.bus.mangle = with_about
        told = await page.ask("bundle", seconds=5)
        kinds = [name for name, _ in told["parts"]]
        assert kinds == ["versions", "options", "words", "health", "log", "kept", "capture"]
        assert told["parts"][-1][1] == "garage"
        assert "capture" not in [name for name, _ in (await page.ask("bundle", seconds=0))["parts"]]
        assert (await page.ask("bundle", seconds=7))["t"] == "no"
        begun = await page.ask("bundle", seconds=5, make=True)
        await about(home)
        path, size = (await job(page, begun["job"], "done"))["file"]
        status, headers, body = await get(home.port, path)
        assert (status, len(body), headers["Content-Type"]) == (200, size, "application/zip")
        with zipfile.ZipFile(io.BytesIO(body)) as file:
            parts = {name: file.read(name).decode() for name in file.namelist()}
    assert {name.partition(".")[0].partition("-")[0].partition("/")[0] for name in parts} == set(kinds)
    whole = "".join(text for name, text in parts.items() if not name.startswith("capture"))
    for secret in (
        "geheim-4711",
        "broker.home",
        "192.168.1.40",
        "40119491480",
        "0000000002",
    ):
        assert secret not in whole, secret
    for hidden in (b"0000000002", PIN, PASSWORD):
        assert hidden not in read(parts["capture-garage.jsonl"], "x").received
    assert "host-2:4196 is gone; the serial number serial-" in parts["log.txt"]
    recording = read(parts["capture-garage.jsonl"], "x")
    assert len(recording.received) > 1000
    assert "bus garage: master on" in parts["words.txt"]


RADIO, CARRIED, BALANCER = "C8:47:80:00:00:01", "20:21:11:00:00:02", "C8:47:80:00:00:07"


async def test_batteries_in_the_air_are_scanned_and_those_of_a_bus_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = {
        RADIO: BleUnit(SimulatedBms(1, serial_number="4071200001"), period=0.1),
        CARRIED: BleUnit(SimulatedBms(1, serial_number="4071200002", cells=13), "24S", period=0.1),
        BALANCER: BleUnit(SimulatedBms(1), needs=99),
    }
    air = ether(monkeypatch, units)
    monkeypatch.setattr(ble, "ANSWER", 0.1)
    async with house(tmp_path) as home, client(home.port) as page:
        home.app.buses["boat"] = BusStatus("boat", "ble", RADIO)
        home.app._slots["boat"] = Slot()
        assert (await page.ask("ports"))["air"] is True
        assert (await page.ask("scan", air=True))["reason"] == LOCKED
        assert air.heard_at == []
        await page.ask("unlock")
        begun = await page.ask("scan", air=True)
        done = await job(page, begun["job"], "done", "failed")
        assert done["where"] == "Bluetooth"
        assert [row[:3] for row in done["air"]] == [
            [RADIO, "JK-01", "-60 dBm"],
            [CARRIED, "JK-02", "-61 dBm"],
            [BALANCER, "JK-07", "-62 dBm"],
        ]
        assert done["air"][0][3:] == ["-"] * 5
        assert done["air"][1][3:7] == ["JK-B2A24S20P", "10.07", "4071200002", "13"]
        assert done["notes"][0] == f"{RADIO}: bus boat connects to it"
        assert done["notes"][1].startswith(f"{BALANCER}: connected, but it does not answer the question for about")
        (entry,) = yaml.safe_load(done["entry"])["buses"]
        assert (entry["strategy"], entry["mac"]) == ("ble", CARRIED)
        assert done["buses"] == [entry]  # what a press takes over into the options
        assert [bus.problem for bus in parse({"buses": [entry]}).buses] == [""]
        assert units[RADIO].asked == []  # not a byte to what a bus connects to
        assert air.wires == {}
        for address in units:
            air.vanish(address)
        begun = await page.ask("scan", air=True)
        done = await job(page, begun["job"], "done", "failed")
        assert (done["air"], done["entry"], done["notes"]) == ([], "", [NOBODY])


async def test_no_scan_of_the_air_while_an_inverter_is_told_of_a_battery_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ether(monkeypatch, {})
    async with house(tmp_path) as home, client(home.port) as page:
        outlets: Any = home.app.page.sources.outlets
        outlets.append(Outlet(1, InverterOptions("pylontech"), BusStatus("inverter"), Emission(emitting=True)))
        await until(lambda: len(home.app.inverter.control.state.counted) == 2, 20)
        await page.ask("unlock")
        begun = await page.ask("scan", air=True)  # batteries on a cable are no matter
        assert (await job(page, begun["job"], "done", "failed"))["state"] == "done"
        home.app.buses["garage"].strategy = "ble"
        assert (await page.ask("scan", air=True))["reason"] == f"garage: {TOLD}"


async def test_without_bluetooth_it_is_said_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def heard(_adapter: str, _seconds: float) -> list[Any]:
        raise LinkError("Bluetooth: no Bluetooth on this host: its D-Bus is not there")

    monkeypatch.setattr(gatt, "heard", heard)
    async with house(tmp_path) as home, client(home.port) as page:
        await page.ask("unlock")
        begun = await page.ask("scan", air=True)
        assert "no Bluetooth on this host" in (await job(page, begun["job"], "failed"))["why"]
        # where the library is missing nothing is offered
        monkeypatch.setattr(scans, "find_spec", lambda _name: None)
        await asyncio.sleep(1)
        assert (await page.ask("ports"))["air"] is False


def test_the_page_loads_nothing_of_bluetooth_before_it_is_asked_to() -> None:
    program = "import sys, jkbms_addon.app, jkbms_addon.page.doctor as d; d.radio(); print('bleak' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
