"""The command ``scan`` as a new user would use it, over real ptys and sockets."""

import asyncio
import itertools
import os
import pty
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from jkbms_addon.acquisition.diagnosis import REASONS
from jkbms_addon.acquisition.ttl import PLUGIN as TTL
from jkbms_addon.battery.reading import Reading
from jkbms_addon.doctor.found import Found, entry, ranges, table
from jkbms_addon.doctor.found import yaml as written
from jkbms_addon.doctor.target import Target, lasting
from jkbms_addon.link.stream import serial_link
from jkbms_addon.options.file import parse
from jkbms_addon.simulator.far_end import FarEnd, running, serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb.modbus import PAGES, page_request
from jkbms_addon.wire.ttl import frames as legacy
from tests.conftest import captures, until
from tests.programs import program

TABLE = next(
    bytes.fromhex(c["hex"]) for c in captures("jk_ttl") if c["kind"] == "response-read-all" and c["checksum_ok"]
)
BUSES: dict[str, Callable[..., Any]] = {"--port": serial_bus, "--host": tcp_bus}


class Scanned:
    """What a scan said."""

    def __init__(self, status: int | None, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err
        assert "Traceback" not in err

    @property
    def rows(self) -> list[list[str]]:
        lines = self.out.partition("\nbuses:")[0].splitlines()
        return [re.split(r" {2,}", row) for row in lines[1:] if row]

    @property
    def entry(self) -> dict[str, Any]:
        """The entry, which the program itself must take."""
        (raw,) = yaml.safe_load("buses:" + self.out.partition("\nbuses:")[2])["buses"]
        if raw["strategy"] == "ttl":
            TTL.schema({key: value for key, value in raw.items() if key not in ("name", "strategy")})
        else:
            assert [bus.problem for bus in parse({"buses": [raw]}).buses] == [""]
        return dict(raw)


async def scanned(way: str, far: Any, *more: str) -> Scanned:
    place = far if isinstance(far, str) else far.port if way == "--port" else f"127.0.0.1:{far.port}"
    async with program("scan", way, place, *more) as process:
        out, err = await process.communicate()
        return Scanned(process.returncode, out.decode(), err.decode())


def batteries() -> list[SimulatedBms]:
    return [
        SimulatedBms(1, serial_number="40119491480"),
        SimulatedBms(2, cells=8, serial_number="40119491481", current=0.0),
        SimulatedBms(7, serial_number="40119491482"),
    ]


@pytest.mark.parametrize("way", BUSES)
@pytest.mark.parametrize("echo", [False, True], ids=["", "echo"])
async def test_nobody_asks(way: str, echo: bool) -> None:
    async with BUSES[way](batteries(), echo=echo) as far:
        found = await scanned(way, far, "--listen-seconds", "0.5")
        assert {register for _, _, register in far.requests} == set(PAGES)
        assert {address for _, address, _ in far.requests} == set(range(16))
    assert found.status == 0
    assert [row[:5] for row in found.rows] == [
        ["1", "JK_PB2A16S20P", "15.41", "40119491480", "16"],
        ["2", "JK_PB2A16S20P", "15.41", "40119491481", "8"],
        ["7", "JK_PB2A16S20P", "15.41", "40119491482", "16"],
    ]
    assert found.rows[1][5].endswith(" V")
    assert found.rows[1][6].endswith(" ms")
    assert {row[7] for row in found.rows} == {"asked"}
    if way == "--port":
        assert found.entry == {"name": "rs485", "strategy": "master", "port": far.port, "addresses": "1-2,7"}
    else:
        link = {"host": "127.0.0.1", "tcp_port": far.port}
        assert found.entry == {"name": "rs485", "strategy": "gateway", **link, "mode": "poll", "addresses": "1-2,7"}
    assert "asking addresses 0 to 15: found 1-2" in found.err
    assert "\r" not in found.err  # plain lines where it is no terminal


@pytest.mark.parametrize("way", BUSES)
async def test_beside_a_master_it_only_listens(way: str) -> None:
    # the default time, as a master's cycle is long: here 1.5 s
    async with BUSES[way]([SimulatedBms(3)], master=SimulatedBms(0), slot=0.08) as far:
        sent = watched(far)
        found = await scanned(way, far, "--listen-seconds", "1")
        assert sent == []
    assert found.status == 0
    assert [(row[0], row[4], row[7]) for row in found.rows] == [("0", "16", "master"), ("3", "16", "heard")]
    assert "the BMS with address 0 asks on this bus, so nothing was asked" in found.err
    assert found.entry["strategy"] == ("listen" if way == "--port" else "gateway")
    assert found.entry.get("mode") == (None if way == "--port" else "listen")


def watched(far: FarEnd) -> list[bytes]:
    """All that the far end hears from now on."""
    sent: list[bytes] = []
    feed = far.framer.feed
    far.framer.feed = lambda data: sent.append(data) or feed(data)  # type: ignore[method-assign,func-returns-value]
    return sent


async def test_two_cables_to_one_battery_are_told() -> None:
    one, other = SimulatedBms(1, serial_number="40119491480"), SimulatedBms(2)
    async with serial_bus([one, other]) as first, tcp_bus([one, SimulatedBms(3)]) as second:
        place = f"127.0.0.1:{second.port}"
        found = await scanned("--port", first, "--listen-seconds", "0.5", "--also", place)
    assert found.status == 0
    lines = found.out.splitlines()
    assert lines[0] == f"{first.port}:"
    assert f"{place}:" in lines
    assert lines[-1] == f"{first.port}/1 and {place}/1 look like one battery (equal serial numbers, 40119491480)"
    assert found.out.count("look like one battery") == 1


async def test_a_master_that_appears_while_asking() -> None:
    async with serial_bus([SimulatedBms(3), SimulatedBms(9)], slot=0.05) as far:
        sent = watched(far)
        running = asyncio.create_task(scanned("--port", far, "--listen-seconds", "0.5"))
        await until(lambda: sent)
        await asyncio.sleep(1.5)
        far.master = SimulatedBms(0)
        await asyncio.sleep(1)
        before = len(sent)
        found = await running
        assert len(sent) == before
    assert found.status == 0
    assert [row[0] for row in found.rows] == ["0", "3", "9"]
    assert found.entry["strategy"] == "listen"


async def test_beside_another_program_it_only_listens() -> None:
    async with serial_bus([SimulatedBms(4)]) as far:

        async def other() -> None:
            while True:
                await far.say(page_request(4, 0x1620))
                await far._reply(4, 0x1620)
                await asyncio.sleep(0.3)

        task = asyncio.create_task(other())
        found = await scanned("--port", far, "--listen-seconds", "2")
        task.cancel()
        assert far.requests == []
    assert [row[0] for row in found.rows] == ["4"]
    assert found.entry == {"name": "rs485", "strategy": "auto", "port": far.port, "addresses": "4"}
    assert "another program or inverter asks on this bus" in found.err


async def test_somebody_asks_and_nobody_answers() -> None:
    async with serial_bus([]) as far:

        async def other() -> None:
            while True:
                await far.say(page_request(4, 0x1620))
                await asyncio.sleep(0.2)

        task = asyncio.create_task(other())
        found = await scanned("--port", far, "--listen-seconds", "1")
        task.cancel()
    assert (found.status, found.out) == (1, "")
    assert "somebody asks on this bus, but no BMS answers" in found.err


async def test_nothing_there() -> None:
    async with serial_bus([]) as far:
        sent = watched(far)
        found = await scanned("--port", far, "--listen-seconds", "0.5")
        assert b"".join(sent).endswith(legacy.READ_ALL)
        assert b"".join(sent).count(legacy.READ_ALL) == 1
    reason = REASONS["nothing_polled"]
    assert (found.status, found.out) == (1, "")
    assert f"nothing found on {far.port}: {reason.symptom}\n" in found.err
    assert found.err.endswith(f"likely cause: {reason.cause}\nwhat to try: {reason.remedy}\n")


@pytest.mark.parametrize(
    ("noise", "key"), [(b"\xff\x7f" * 40, "flood"), (bytes(range(100, 160)), "garbage"), (b"HELLO\r\n", "heartbeat")]
)
async def test_something_else_talks(noise: bytes, key: str) -> None:
    async with serial_bus([SimulatedBms(1)]) as far:
        sent = watched(far)

        async def other() -> None:
            for n in itertools.count():
                await far.say(noise if key == "heartbeat" else noise[n % 7 :])
                await asyncio.sleep(0.1)

        async with running(other()):
            found = await scanned("--port", far, "--listen-seconds", "1")
        assert sent == []
    assert (found.status, found.out) == (1, "")
    assert REASONS[key].symptom in found.err
    assert "so nothing was asked" in found.err


async def test_answers_that_arrive_damaged() -> None:
    async with serial_bus(batteries()[:2], mangle=lambda data: data[:40] + data[41:]) as far:
        found = await scanned("--port", far, "--listen-seconds", "0.2")
    assert (found.status, found.out) == (1, "")
    assert "BMS 1 answers, but damaged, or what cannot be true" in found.err
    assert REASONS["damaged"].symptom in found.err


@asynccontextmanager
async def first_generation(table: bytes) -> AsyncIterator[str]:
    """A BMS that answers to nothing but a read of its whole table."""
    async with serial_bus([]) as far:

        async def heard(data: bytes) -> None:
            if legacy.READ_ALL in data:
                await far.say(table)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(far), "heard", lambda _self, data: heard(data))
            yield far.port


async def test_the_first_generation() -> None:
    async with first_generation(TABLE) as port:
        found = await scanned("--port", port, "--listen-seconds", "0.2")
    (row,) = found.rows
    assert found.status == 0
    assert row[0] == "-"
    assert row[5].endswith(" V")
    assert found.entry == {"name": "ttl", "strategy": "ttl", "port": port}


async def test_the_first_generation_asked_by_another_program() -> None:
    async with serial_bus([]) as far:

        async def other() -> None:
            while True:
                await far.say(legacy.READ_ALL + TABLE)
                await asyncio.sleep(0.3)

        sent = watched(far)
        task = asyncio.create_task(other())
        found = await scanned("--port", far, "--listen-seconds", "1")
        task.cancel()
        assert sent == []
    assert found.entry["strategy"] == "ttl"
    assert found.rows[0][-1] == "heard"


async def test_a_port_in_use_is_one_line() -> None:
    async with serial_bus([]) as far, serial_link(far.port):
        found = await scanned("--port", far)
    assert (found.status, found.out) == (1, "")
    assert found.err.splitlines()[-1] == f"jkbms_addon: {far.port} is in use by another program or bus"


async def test_links_that_cannot_be_opened() -> None:
    for way, place, words in (
        ("--port", "/dev/nowhere", "/dev/nowhere does not exist; is the adapter plugged in?"),
        ("--host", "127.0.0.1:9", "127.0.0.1:9: "),
        ("--host", ":1", "--host: ':1' must be HOST or HOST:PORT with a port from 1 to 65535"),
    ):
        found = await scanned(way, place)
        assert (found.status, found.out) == (1, "")
        assert found.err.splitlines()[-1].startswith(f"jkbms_addon: {words}")


async def test_one_line_that_is_drawn_anew_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    async with serial_bus([]) as far:
        async with program(
            *("scan", "--port", far.port, "--listen-seconds", "2"),
            stdout=asyncio.subprocess.PIPE,
            stderr=theirs,
        ) as process:
            os.set_blocking(ours, False)
            shown = ""

            def more() -> str:
                nonlocal shown
                with suppress(BlockingIOError):
                    shown += os.read(ours, 65536).decode(errors="replace")
                return shown

            await until(lambda: more().count("\r\033[Klistening") > 1)
            process.send_signal(2)
            await process.communicate()
    more()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 130
    assert shown.count("\n") == 0
    assert shown.count("\r\033[Klistening") > 1
    assert shown.endswith("\r\033[K")


# --- pure parts ----------------------------------------------------------------------------------------


def test_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([7, 1, 2, 3]) == "1-3,7"
    assert ranges([0, 2]) == "0,2"


def test_a_row_of_somebody_of_whom_little_is_known() -> None:
    one = Found(4, "heard")
    assert table([one]).splitlines()[1].split() == ["4", "-", "-", "-", "-", "-", "-", "heard"]
    one.tell(Reading(4, "live", {"total_voltage": 53.5, "cell_voltage": (3.3,) * 16}, latency=0.0421), 1.0)
    assert one.row()[4:] == ("16", "53.50 V", "42 ms", "heard")


@pytest.mark.parametrize("host", ["192.168.1.5", "no", "1e3", "gateway.local", "fe80::1"])
@pytest.mark.parametrize("strategy", ["master", "listen", "auto"])
def test_every_entry_is_one_that_the_program_takes(host: str, strategy: str) -> None:
    for link in (Target(host, 8899).options(), {"port": "/dev/tty USB:0 #1"}):
        bus = entry(strategy, link, [1, 2])
        assert yaml.safe_load(written(bus)) == {"buses": [bus]}
        assert [one.problem for one in parse({"buses": [bus]}).buses] == [""]


def test_a_port_by_its_lasting_name(tmp_path: Path) -> None:
    (tmp_path / "by-id").mkdir()
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "by-id" / "usb-1").symlink_to("../ttyUSB0")
    assert lasting(str(tmp_path / "ttyUSB0"), tmp_path / "by-id") == str(tmp_path / "by-id" / "usb-1")
    assert lasting("/dev/ttyUSB7", tmp_path / "by-id") == "/dev/ttyUSB7"
    assert lasting("/dev/ttyUSB7", tmp_path / "none") == "/dev/ttyUSB7"
