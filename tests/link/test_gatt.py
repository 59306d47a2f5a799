"""The link over Bluetooth with a stand-in for the library; with real BlueZ it is tested in ``tests/bluetooth``."""

import asyncio
import logging
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from bleak.exc import BleakDBusError

from jkbms_addon.errors import LinkError
from jkbms_addon.link import gatt
from jkbms_addon.link.gatt import GattLink, Turns, Where, gatt_link, ports

FFE0, FFE1, FFE2 = (f"0000ffe{n}-0000-1000-8000-00805f9b34fb" for n in range(3))
MAC = "C8:47:80:00:00:01"


def characteristic(uuid: str, *properties: str) -> Any:
    return SimpleNamespace(uuid=uuid, properties=list(properties))


COMMON = [characteristic(FFE2, "write"), characteristic(FFE1, "write", "write-without-response", "notify")]
TWO = [characteristic(FFE1, "write", "write-without-response"), characteristic(FFE1, "read", "notify")]


class Client:
    """What the library's client does, and what it may refuse."""

    def __init__(self, characteristics: list[Any], gone: Callable[[object], None] | None = None) -> None:
        self.services = [SimpleNamespace(uuid=FFE0, characteristics=characteristics)] if characteristics else []
        self.gone, self.calls = gone, list[Any]()
        self.refuses: dict[str, Exception] = {}
        self.hangs: set[str] = set()

    async def _does(self, what: str, *details: Any) -> None:
        self.calls.append((what, *details))
        if what in self.hangs:
            await asyncio.Event().wait()
        if what in self.refuses:
            raise self.refuses[what]

    async def connect(self) -> None:
        await self._does("connect")

    async def disconnect(self) -> None:
        await self._does("disconnect")

    async def start_notify(self, listen: Any, tell: Any, bluez: dict[str, bool]) -> None:
        self.tell = tell
        await self._does("StartNotify" if bluez["use_start_notify"] else "AcquireNotify", listen)

    async def stop_notify(self, listen: Any) -> None:
        await self._does("stop", listen)

    async def write_gatt_char(self, write: Any, data: bytes, response: bool) -> None:
        await self._does("write", write, data, response)


class Scanner:
    """Hears what is in the air as soon as it is started."""

    def __init__(self, tell: Any, air: list[tuple[str, str]]) -> None:
        self._tell, self._air = tell, air
        self.running = 0

    async def start(self) -> None:
        for address, name in self._air:
            device = SimpleNamespace(address=address, name=name, details={"path": f"/org/bluez/hci0/dev_{address}"})
            self._tell(device, SimpleNamespace(local_name=name, service_uuids=[FFE0], manufacturer_data={}, rssi=-60))

    async def stop(self) -> None:
        """Nothing to end."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The air, and the client that is given out next."""
    one = SimpleNamespace(air=[(MAC, "JK_A")], client=Client(COMMON), forgotten=[], clients=0)
    monkeypatch.setattr(Where, "scanner", lambda _self, tell: Scanner(tell, one.air))

    def client(_self: Where, _device: Any, gone: Callable[[object], None]) -> Client:
        one.clients += 1
        one.client.gone = gone
        given: Client = one.client
        return given

    async def forgotten(path: str, *, bonds: bool) -> None:
        one.forgotten.append((path, bonds))

    monkeypatch.setattr(Where, "client", client)
    monkeypatch.setattr(gatt, "forgotten", forgotten)
    monkeypatch.setattr(gatt, "_DEAF", set())
    one.known = {}

    async def present(_adapter: str) -> dict[str, dict[str, Any]]:
        known: dict[str, dict[str, Any]] = one.known
        return known

    monkeypatch.setattr(gatt, "present", present)
    one.released = []

    async def released(path: str) -> None:
        one.released.append(path)

    monkeypatch.setattr(gatt, "released", released)
    for name, seconds in (
        ("SEARCH", 0.4),
        ("RINGING", 0.05),
        ("GIVE_WAY", 0.05),
        ("NAMESAKE", 0.01),
        ("CONNECT", 0.2),
        ("SUBSCRIBE", 0.2),
    ):
        monkeypatch.setattr(gatt, name, seconds)
    for name, seconds in (("WRITE", 0.2), ("FAREWELL", 0.2), ("LOOK", 0.02)):
        monkeypatch.setattr(gatt, name, seconds)
    return one


@pytest.mark.parametrize("characteristics", [COMMON, TWO])
async def test_bytes_go_both_ways_and_a_farewell_is_said(world: Any, characteristics: list[Any]) -> None:
    client = world.client = Client(characteristics)
    async with gatt_link(Where(MAC)) as link:
        client.tell(None, bytearray(b"one"))
        client.tell(None, bytearray(b"two"))
        assert await link.read(1) == [b"one", b"two"]
        assert await link.read(0.01) == []
        await link.write(b"x")
    listen = next(c for c in characteristics if "notify" in c.properties)
    write = next(c for c in characteristics if c.uuid == FFE1)
    first, last = [("connect",), ("AcquireNotify", listen)], [("stop", listen), ("disconnect",)]
    assert client.calls == [*first, ("write", write, b"x", False), *last]


async def test_a_farewell_is_said_to_a_lost_client_too_and_however_it_ends(world: Any) -> None:
    client = world.client
    async with gatt_link(Where(MAC)) as link:
        client.tell(None, bytearray(b"last words"))
        client.gone(None)
        assert await link.read(1) == [b"last words"]
        with pytest.raises(LinkError, match="hung up"):
            await link.write(b"x")
        with pytest.raises(LinkError, match="hung up"):
            await link.read(1)
    assert client.calls[-1] == ("disconnect",)

    world.client = client = Client(COMMON)
    client.hangs.add("connect")
    task = asyncio.create_task(_held(Where(MAC)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.calls == [("connect",), ("disconnect",)]
    # nor does BlueZ go on connecting
    assert world.released == [f"/org/bluez/hci0/dev_{MAC}"]


async def _held(where: Where) -> None:
    async with gatt_link(where):
        await asyncio.Event().wait()


@pytest.mark.parametrize("what", ["connect", "AcquireNotify", "StartNotify", "write", "disconnect"])
async def test_every_call_has_a_time_limit(world: Any, what: str) -> None:
    client = world.client
    if what == "StartNotify":
        client.refuses["AcquireNotify"] = BleakDBusError("org.bluez.Error.NotPermitted", ["Notify acquired"])
    client.hangs.add(what)
    began = time.monotonic()
    if what == "AcquireNotify":
        async with gatt_link(Where(MAC)):
            pass  # StartNotify is tried then
    elif what == "disconnect":
        async with gatt_link(Where(MAC)):
            pass
    else:
        with pytest.raises(LinkError, match="in time"):
            async with gatt_link(Where(MAC)) as link:
                await link.write(b"x")
    assert time.monotonic() - began < 1.5
    assert client.calls[-1] == ("disconnect",)


async def test_who_is_not_alone_is_told_and_goes_on(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    world.client.refuses["AcquireNotify"] = BleakDBusError("org.bluez.Error.NotPermitted", ["Notify acquired"])
    async with gatt_link(Where(MAC)):
        pass
    assert [call[0] for call in world.client.calls] == ["connect", "AcquireNotify", "StartNotify", "disconnect"]
    assert caplog.text.count("another program on this host listens to the same unit") == 1


async def test_a_way_by_which_nothing_came_is_not_taken_the_next_time(world: Any) -> None:
    ways = []
    for piece in (b"", b"", b"x", b"x"):
        world.client = Client(COMMON)
        async with gatt_link(Where(MAC)):
            if piece:
                world.client.tell(None, bytearray(piece))
        ways.append(world.client.calls[1][0])
    assert ways == ["AcquireNotify", "StartNotify", "StartNotify", "AcquireNotify"]


async def test_a_connection_that_is_not_finished_is_given_up(world: Any) -> None:
    world.client.refuses["connect"] = TimeoutError()
    with pytest.raises(LinkError, match="heard, but no connection comes about in time"):
        async with gatt_link(Where(MAC)):
            pass
    assert world.released == [f"/org/bluez/hci0/dev_{MAC}"]


async def test_what_is_no_bms_is_forgotten(world: Any) -> None:
    for characteristics, words in (([], "tells of no services"), ([characteristic(FFE2, "write")], "it has no FFE1")):
        world.client = Client(characteristics)
        with pytest.raises(LinkError, match=words):
            async with gatt_link(Where(MAC)):
                pass
        assert world.client.calls[-1] == ("disconnect",)
    assert world.forgotten == [(f"/org/bluez/hci0/dev_{MAC}", False)] * 2


async def test_nobody_is_heard(world: Any) -> None:
    world.air = [("C8:47:80:00:00:09", "other")]
    with pytest.raises(LinkError, match=f"{MAC}: not heard: out of range"):
        async with gatt_link(Where(MAC)):
            pass
    assert world.clients == 0


async def test_whom_bluez_hears_but_does_not_tell_of_is_asked_for(world: Any) -> None:
    world.air, path = [], "/org/bluez/hci0/dev_A"
    world.known = {path: {"Address": MAC, "RSSI": -60}, "/org/bluez/hci0/dev_B": {"Address": "B", "RSSI": -40}}
    async with gatt_link(Where(MAC)):
        pass
    assert world.client.calls[0] == ("connect",)


async def test_a_name_that_two_have_leads_to_none(world: Any) -> None:
    world.air = [(MAC, "JK_A"), ("C8:47:80:00:00:02", "JK_B")]
    async with gatt_link(Where("JK_B")):
        pass
    world.air.append(("C8:47:80:00:00:03", "JK_B"))
    with pytest.raises(LinkError, match="several units have this name: C8:47:80:00:00:02, C8:47:80:00:00:03"):
        async with gatt_link(Where("JK_B")):
            pass


async def test_one_at_a_time_and_who_searches_in_vain_gives_way(world: Any) -> None:
    world.air = [(MAC, "JK_A")]
    began = time.monotonic()

    async def search() -> float:
        with pytest.raises(LinkError, match="not heard"):
            async with gatt_link(Where("C8:47:80:00:00:09")):
                pass
        return time.monotonic() - began

    async def other() -> float:
        await asyncio.sleep(0.02)
        async with gatt_link(Where(MAC)):
            return time.monotonic() - began

    vain, found = await asyncio.gather(search(), other())
    assert vain <= found  # in the order of coming
    assert found < 0.4  # the whole search of the first would take so long


async def test_who_listens_for_anybody_gives_way_too(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a battery that was lost would be looked for only after a whole scan."""
    monkeypatch.setattr(gatt, "COURTESY", 0.1)
    began = time.monotonic()

    async def lost() -> float:
        await asyncio.sleep(0.02)
        async with gatt_link(Where(MAC)):
            return time.monotonic() - began

    _, found = await asyncio.gather(gatt.heard("", 3.0), lost())
    assert found < 1.0
    began = time.monotonic()
    await gatt.heard("", 0.3)
    assert time.monotonic() - began >= 0.3


async def test_turns_are_taken_in_order() -> None:
    turns, order = Turns(), []

    async def take(number: int) -> None:
        async with turns.turn():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(take(n) for n in range(5)))
    assert order == [0, 1, 2, 3, 4]
    assert turns.waiting == 0


async def test_whoever_does_not_read_loses_the_oldest() -> None:
    link = GattLink("x")
    for n in range(gatt.MAX_PENDING + 10):
        link.arrived(None, bytearray(n.to_bytes(2)))
    pieces = await link.read(0)
    assert len(pieces) == gatt.MAX_PENDING
    assert pieces[0] == (10).to_bytes(2)


def test_the_library_never_logs_what_it_is_told() -> None:
    for name in ("bleak.backends.bluezdbus.manager", "bleak.backends.bluezdbus.client", "dbus_fast.message_bus"):
        assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)


def test_ports_are_chosen_by_what_they_can_do() -> None:
    listen, write = ports(Client(TWO))  # type: ignore[arg-type]
    assert (listen, write) == (TWO[1], TWO[0])
    listen, write = ports(Client(COMMON))  # type: ignore[arg-type]
    assert listen is write is COMMON[1]
