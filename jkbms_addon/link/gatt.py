"""A link over Bluetooth Low Energy: one characteristic is written to, one tells pieces of a stream. BlueZ by bleak.

Theory of operation. *Find*: an active scan until the unit is heard, its address or name. *Connect*, after pairing where
a PIN is given. Find and connect are done by one unit of this process at a time, for BlueZ refuses a second one
(``InProgress``); whoever searches in vain gives way when others wait. *Subscribe*: AcquireNotify, which no second
program on this host can disturb, else StartNotify; a way by which not a byte came is not taken the next time. *Read*
and *write* until the other side hangs up. *Farewell*, always, also to a client that was lost: without it BlueZ tells
every later value twice. Every call has a time limit.
BlueZ tells neither of a frozen unit nor of its own death: whoever reads must watch a clock. Measured on real BlueZ
(specification of Bluetooth, chapters 3 and 9). Import this module only where a bus uses it: the library takes 3 MB.
"""

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback

from jkbms_addon.errors import LinkError
from jkbms_addon.link.bluez import forgotten, paired, present, released
from jkbms_addon.link.complaints import HUNG_UP, LATE_CONNECT, limited, translated

_LOGGER = logging.getLogger(__name__)
# its debugging shows every value that is told, passwords of the BMS included
for _library in ("bleak", "dbus_fast"):
    logging.getLogger(_library).setLevel(logging.WARNING)
# that the image has no bluetoothctl, of which nothing is needed
logging.getLogger("bleak.backends.bluezdbus.version").setLevel(logging.ERROR)
TRACE = 5
SERVICE, PORT = "0000ffe0", "0000ffe1"  # beginnings of the UUIDs; a module may have two of the latter
SEARCH, GIVE_WAY = 6.0, 1.5  # s of one search; of its second part, when others wait
RINGING = 1.0  # s until BlueZ is asked what it does not tell by itself
COURTESY = 3.0  # s of listening for anybody, when others wait
LOOK = 0.25  # s between two looks whether others wait
NAMESAKE = 1.5  # s of listening on for a second unit of the same name
CONNECT, SUBSCRIBE, WRITE, STOP, FAREWELL = 12.0, 8.0, 5.0, 1.0, 4.0  # s
COMPANIES: Final = frozenset((0x0B65, 0x4B4A))  # of the makers' identifiers in advertisements
UNKNOWN_RSSI: Final = -127  # dBm; what the library tells when the radio told nothing
MAX_PENDING = 256  # pieces; whoever does not read loses the oldest
MAC: Final = re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}")

NOT_HEARD: Final = (
    "not heard: out of range, switched off, or somebody else is connected to it: a BMS serves one at a time, so close "
    "the vendor's app and take it out of other programs"
)


@dataclass(frozen=True, slots=True)
class Where:
    """Which unit: its address or its name, the adapter (empty: the first), and the PIN that pairing asks for."""

    unit: str
    adapter: str = ""
    pin: str = ""

    @property
    def named(self) -> bool:
        """Whether it is known by its name only."""
        return MAC.fullmatch(self.unit) is None

    def fits(self, address: str, name: str | None) -> bool:
        """Whether a unit that is heard is it."""
        return name == self.unit if self.named else address.upper() == self.unit

    def scanner(self, tell: AdvertisementDataCallback) -> BleakScanner:
        """A scanner on its adapter."""
        return BleakScanner(tell, bluez={"adapter": self.adapter} if self.adapter else {})

    def client(self, device: BLEDevice, gone: Callable[[object], None]) -> BleakClient:
        """A client on its adapter, not connected."""
        bluez: dict[str, str] = {"adapter": self.adapter} if self.adapter else {}
        return BleakClient(device, disconnected_callback=gone, timeout=CONNECT, bluez=bluez)  # type: ignore[arg-type]


class Turns:
    """One at a time may search or connect; ``waiting`` is how many others want to."""

    def __init__(self) -> None:
        self._lock, self.waiting = asyncio.Lock(), 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for it, in the order of coming."""
        self.waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._lock.release()


_DEAF: set[str] = set()  # units that told nothing by AcquireNotify
_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns() -> Turns:
    """Those of this process, that is of its event loop."""
    return _TURNS.setdefault(asyncio.get_running_loop(), Turns())


class GattLink:
    """An open link. ``read`` gives pieces of a stream, ``write`` sends; both raise ``LinkError`` once it is gone."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._pieces: deque[bytes] = deque(maxlen=MAX_PENDING)
        self._news = asyncio.Event()
        self._lost = self._heard = False
        self._client: BleakClient | None = None
        self._write_to: BleakGATTCharacteristic | None = None
        self._acquired: BleakGATTCharacteristic | None = None

    def arrived(self, _characteristic: object, data: bytearray) -> None:
        """Keep a piece (the library calls this)."""
        self._heard = True
        self._pieces.append(bytes(data))
        self._news.set()

    def hung_up(self, _client: object = None) -> None:
        """Wake the reader with the bad news (the library calls this)."""
        self._lost = True
        self._news.set()

    async def open(self, client: BleakClient) -> None:
        """Subscribe to what a connected client offers; ``LinkError`` when that is no JK BMS."""
        listen, self._write_to = ports(client)
        self._client = client
        if self.name not in _DEAF:
            try:
                await self._subscribe(listen, alone=True)
            except LinkError as error:
                if self._lost:
                    raise LinkError(f"{self.name}: hung up at once") from error
                _LOGGER.warning(
                    "%s: another program on this host listens to the same unit (%s): both may now get everything twice",
                    self.name,
                    error,
                )
            else:
                self._acquired = listen
                return
        await self._subscribe(listen, alone=False)

    async def _subscribe(self, listen: BleakGATTCharacteristic, *, alone: bool) -> None:
        assert self._client is not None
        subscribing = self._client.start_notify(listen, self.arrived, bluez={"use_start_notify": not alone})
        await limited(subscribing, SUBSCRIBE, self.name)

    async def silence(self) -> None:
        """End the subscription, before the connection: some versions of BlueZ die of the other order."""
        if self._heard:
            _DEAF.discard(self.name)
        elif self._acquired:
            _DEAF.add(self.name)
        if self._client and self._acquired and not self._lost:
            with suppress(LinkError):
                await limited(self._client.stop_notify(self._acquired), STOP, self.name)

    async def read(self, seconds: float) -> list[bytes]:
        """Pieces that arrived, waiting so long for the first; empty when none came."""
        if not self._pieces and not self._lost:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()
        if self._pieces:
            pieces = list(self._pieces)
            self._pieces.clear()
            return pieces
        if self._lost:
            raise LinkError(f"{self.name}: {HUNG_UP}")
        return []

    async def write(self, data: bytes) -> None:
        """Send up to 20 bytes."""
        if self._lost:
            raise LinkError(f"{self.name}: {HUNG_UP}")
        if self._client is None or self._write_to is None:
            raise LinkError(f"{self.name}: not connected")
        if _LOGGER.isEnabledFor(TRACE):
            _LOGGER.log(TRACE, "%s -> %s", self.name, data.hex(" "))
        answered = "write-without-response" not in self._write_to.properties
        await limited(self._client.write_gatt_char(self._write_to, data, response=answered), WRITE, self.name)


def ports(client: BleakClient) -> tuple[BleakGATTCharacteristic, BleakGATTCharacteristic]:
    """Where to listen and where to write: by what they can do, since one name may stand for two of them."""
    services = list(client.services)
    found = [c for s in services if s.uuid.startswith(SERVICE) for c in s.characteristics if c.uuid.startswith(PORT)]
    listen = next((c for c in found if "notify" in c.properties), None)
    write = next((c for c in found if {"write", "write-without-response"} & set(c.properties)), None)
    if listen is None or write is None:
        raise UnfitError(
            "connected, but it tells of no services" if not services else "this is no JK BMS: it has no FFE1"
        )
    return listen, write


class UnfitError(LinkError):
    """Connected to something that does not offer what a JK BMS offers."""


@asynccontextmanager
async def gatt_link(where: Where) -> AsyncIterator[GattLink]:
    """A unit, found and connected; ``LinkError`` says why not."""
    link, client, connecting = GattLink(where.unit), None, ""
    try:
        async with turns().turn():
            device = await _found(where)
            if where.pin:
                with translated(where.unit):
                    await paired(device.details["path"], where.pin)
            client = where.client(device, link.hung_up)
            connecting = device.details["path"]
            # the library has the same limit and needs time to clean up behind it
            await limited(client.connect(), CONNECT + FAREWELL, where.unit, LATE_CONNECT)
            connecting = ""
        try:
            await link.open(client)
        except UnfitError as error:
            with translated(where.unit):
                await forgotten(device.details["path"], bonds=bool(where.pin))
            raise LinkError(f"{where.unit}: {error}") from error
        yield link
    finally:
        if client is not None:
            await link.silence()
            await _farewell(client.disconnect(), where.unit)
        if connecting:  # BlueZ goes on with what was not finished, and nobody else could have the unit
            await _farewell(released(connecting), where.unit)


async def _farewell(word: Awaitable[None], name: str) -> None:
    try:
        await limited(word, FAREWELL, name)
    except LinkError as error:
        _LOGGER.debug("farewell: %s", error)


async def _found(where: Where) -> BLEDevice:
    """The unit as the scan hears it; ``LinkError`` when it does not in time, or two have that name."""
    heard: dict[str, BLEDevice] = {}
    news = asyncio.Event()

    def tell(device: BLEDevice, told: AdvertisementData) -> None:
        if where.fits(device.address, told.local_name or device.name):
            heard[device.address] = device
            news.set()

    async with scanning(tell, where):
        if not await _until(news, RINGING, GIVE_WAY):
            heard.update(await _known(where))
        if not heard:
            await _until(news, SEARCH - RINGING, GIVE_WAY)
        if heard and where.named:
            await asyncio.sleep(NAMESAKE)
    if len(heard) > 1:
        raise LinkError(
            f"{where.unit}: several units have this name: {', '.join(sorted(heard))}; name one by its address"
        )
    if not heard:
        raise LinkError(f"{where.unit}: {NOT_HEARD}")
    return next(iter(heard.values()))


async def _until(news: asyncio.Event, seconds: float, patient: float) -> bool:
    """Whether it is heard within so many seconds; when others wait, for as long as they are ``patient``."""
    ours, began = turns(), time.monotonic()
    while not news.is_set() and (passed := time.monotonic() - began) < seconds:
        if ours.waiting and passed >= patient:
            break
        with suppress(TimeoutError):
            async with asyncio.timeout(min(LOOK, seconds - passed)):
                await news.wait()
    return news.is_set()


async def _known(where: Where) -> dict[str, BLEDevice]:
    """The unit if BlueZ hears it, but does not tell of it."""
    found: dict[str, BLEDevice] = {}
    with translated(where.unit):
        for path, told in (await present(where.adapter)).items():
            address, name = str(told.get("Address", "")), told.get("Name")
            if where.fits(address, name):
                found[address] = BLEDevice(address, name, {"path": path, "props": told})
    return found


@asynccontextmanager
async def scanning(tell: AdvertisementDataCallback, where: Where) -> AsyncIterator[None]:
    """An active scan for as long as the block lasts; ``LinkError`` when there is no Bluetooth."""
    name = where.unit or "Bluetooth"
    scanner = where.scanner(tell)
    await limited(scanner.start(), SUBSCRIBE, name)
    try:
        yield
    finally:
        try:
            await limited(scanner.stop(), FAREWELL, name)
        except LinkError as error:
            _LOGGER.debug("end of the scan: %s", error)


@dataclass(slots=True)
class Heard:
    """A BMS that advertises: its address, its name (empty: not told yet) and how loud it is, in dBm."""

    address: str
    name: str = ""
    rssi: int | None = None


async def heard(adapter: str, seconds: float) -> list[Heard]:
    """JK BMSs in the air, the loudest first; connected ones do not advertise. ``LinkError`` without Bluetooth.

    It takes so many s, and less when a unit waits that was lost.
    """
    found: dict[str, Heard] = {}

    def tell(device: BLEDevice, told: AdvertisementData) -> None:
        name = told.local_name or device.name or ""
        if advertises(told, name):
            one = found.setdefault(device.address, Heard(device.address))
            # the library makes a name of the address where there is none
            one.name = one.name if name.replace("-", ":") == device.address else name or one.name
            one.rssi = told.rssi if told.rssi > UNKNOWN_RSSI else one.rssi

    async with turns().turn(), scanning(tell, Where("", adapter)):
        await _until(asyncio.Event(), seconds, COURTESY)
    return sorted(found.values(), key=lambda one: one.rssi or UNKNOWN_RSSI, reverse=True)


def advertises(told: AdvertisementData, name: str) -> bool:
    """Whether this is a JK BMS: the service alone is used by hundreds of products (specification, chapter 2)."""
    service = any(uuid.startswith(SERVICE) for uuid in told.service_uuids)
    return service and (bool(COMPANIES & set(told.manufacturer_data)) or name.upper().startswith("JK"))
