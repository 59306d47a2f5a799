"""The 300-byte ``55 AA EB 90`` frames of RS485 and Bluetooth: framer, decoder, attribution.

Source: specification of the RS485 protocol, chapters 2, 3 and 5, and of Bluetooth, chapters 5 to 7, checked on captures
of firmware 3.x to 19.x. The last byte is the sum of all others modulo 256. Every frame is decoded by the table of its
own layout. A frame of live data or of device information carries no address: on RS485 it is proved by the
acknowledgement that follows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final, Literal
from zlib import adler32

from jkbms_addon.battery.alarms import WORD_NAMES, raised_bits
from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.reading import Reading, derive
from jkbms_addon.errors import FrameError
from jkbms_addon.validators import ADDRESSES
from jkbms_addon.wire.codec import Layout
from jkbms_addon.wire.framing import StreamFramer
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.pb.layouts import BALANCER, live_layout, settings_layout, tells_protocols
from jkbms_addon.wire.pb.modbus import Message
from jkbms_addon.wire.pb.tables import ABOUT, ABOUT_24S, LIVE, LIVE_24S, SETTINGS, SETTINGS_24S, SIZE

HEADER: Final = b"\x55\xaa\xeb\x90"
TYPES: Final = frozenset((1, 2, 3, 5, 6))
KINDS: Final = {1: "settings", 2: "live", 3: "about"}
REGISTERS: Final = {1: modbus.SETTINGS, 2: modbus.LIVE, 3: modbus.ABOUT}
SAMPLE: Final = 512  # bytes of junk that are kept
MAX_FILLER: Final = 4  # bytes that some adapters put between a frame and its acknowledgement

LAYOUTS: Final = {1: SETTINGS, 2: LIVE, 3: ABOUT}
SECRETS: Final = ((62, 16), (118, 16))  # of frame 03: PIN and password, masked in captures
SERIAL: Final = (86, 16)  # serial number, with the vendor's code behind it


NO_CELLS: Final = "a frame without cells, whose layout cannot be told"


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of 300 bytes whose checksum is right; ``offset`` counts from the start of the stream."""

    type: int
    payload: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Short:
    """A short Modbus message and its offset in the stream."""

    message: Message
    offset: int


Event = Frame | Short


def checksum(payload: bytes | bytearray) -> int:
    """Sum of bytes 0 to 298 modulo 256."""
    # half of an Adler-32 is 1 + the sum modulo 65521, which 256 bytes cannot reach; far faster than sum()
    return adler32(payload[:256]) + adler32(payload[256 : SIZE - 1]) - 2 & 0xFF


class Framer(StreamFramer[Event]):
    """Finds frames and short messages; where there is none it goes on by one byte."""

    def __init__(self) -> None:
        super().__init__()
        self.sample = bytearray()  # the last bytes that were no message, for whoever looks for a cause
        self.expected_read: tuple[int, int] | None = None

    def _size(self, found: Event) -> int:
        return SIZE if isinstance(found, Frame) else found.message.size

    def _skip(self, buffer: bytearray, position: int) -> int:
        self.sample.append(buffer[position])
        if len(self.sample) > 2 * SAMPLE:
            del self.sample[:-SAMPLE]
        return 1

    def _at(self, buffer: bytearray, position: int) -> Event | Literal[False] | None:
        """The message at a position, False when there is none, None when more bytes are needed."""
        if buffer[position] == HEADER[0]:
            return self._frame(buffer, position)
        # the longest short message is the answer to a read
        found = modbus.recognise(buffer[position : position + 5 + 255], self.expected_read)
        if isinstance(found, Message):
            return Short(found, self._offset + position)
        return None if found > len(buffer) - position else False

    def _frame(self, buffer: bytearray, position: int) -> Frame | Literal[False] | None:
        if not (buffer.startswith(HEADER, position) or HEADER.startswith(buffer[position : position + len(HEADER)])):
            return False
        payload = bytes(buffer[position : position + SIZE])
        if len(payload) < SIZE:
            return None
        if payload[4] in TYPES and checksum(payload) == payload[-1]:
            return Frame(payload[4], payload, self._offset + position)
        self.checksum_failures += 1
        return False


def decode(frame: Frame, address: int | None = None) -> Reading:
    """What a frame of type 1, 2 or 3 tells, by the layout that it has.

    ``FrameError`` for the logs, which have no table, for balancers, and for a pack without cells whose layout cannot be
    told.
    """
    if frame.type == 2:
        return _live_reading(frame.payload, address)
    if frame.type == 1:
        layout = settings_layout(frame.payload)
        if layout == "JK04":
            raise FrameError(BALANCER)
        table = SETTINGS if layout == "32S" else SETTINGS_24S
        return Reading(address, "settings", table.decode(frame.payload), WORD_NAMES, format="pb")
    if frame.type == 3:
        values = ABOUT_24S.decode(frame.payload)
        if tells_protocols(frame.payload, values["software_version"]):  # type: ignore[arg-type]
            values = ABOUT.decode(frame.payload)
        return Reading(address, "about", values, WORD_NAMES, format="pb")
    raise FrameError(f"frame of type {frame.type} is not decoded")


def _live_reading(payload: bytes, address: int | None) -> Reading:
    layout = live_layout(payload)
    if layout == "JK04":
        raise FrameError(BALANCER)
    # RS485 has 32S only: what contradicts it is damaged, and whoever receives it sees that
    kind = KIND_24S if layout == "24S" else KIND_32S
    mask = int.from_bytes(payload[kind.mask : kind.mask + 4], "little")
    if layout is None and not mask:
        raise FrameError(NO_CELLS)
    count = mask.bit_length()
    values = kind.table.decode(payload, count)
    doubts = _live(values, mask)
    return Reading(
        address,
        "live",
        values,
        kind.alarms,
        kind.fingerprint(payload, count),
        doubts,
        format="pb",
        raw=payload[6:-1],  # byte 5 may count the frames
    )


def _live(values: dict[str, Value], mask: int) -> frozenset[str]:
    del values["_mask"]
    sensors: int = values.pop("_sensors")  # type: ignore[assignment]
    if mask & (mask + 1):
        _gaps(values, mask)
    if sensors != 0xFF:
        _absent(values, sensors)
    values["alarms"] = raised_bits(values["errors_bitmask"])
    derive(values)
    return _doubts(values)


def _gaps(values: dict[str, Value], mask: int) -> None:
    """Slots between the cells that are not used."""
    for key in ("cell_voltage", "cell_resistance"):
        items: tuple[float, ...] = values[key]  # type: ignore[assignment]
        values[key] = tuple(item if mask >> n & 1 else None for n, item in enumerate(items))


SENSOR_BITS: Final = (
    ("mosfet_temperature", 0),
    ("temperature_sensor_1", 1),
    ("temperature_sensor_2", 2),
    ("temperature_sensor_4", 4),
    ("temperature_sensor_5", 5),
)


def _absent(values: dict[str, Value], sensors: int) -> None:
    """A probe that the mask calls absent and that reads exactly 0 is not fitted; the mask alone proves nothing."""
    for key, position in SENSOR_BITS:
        if not sensors >> position & 1 and values.get(key) == 0:
            values[key] = None


def _doubts(values: dict[str, Value]) -> frozenset[str]:
    """Where the frame's own redundant fields disagree with what is published."""
    average, power = values.pop("_average"), values.pop("_power")
    second, mosfet = values.pop("_voltage", None), values.pop("_mosfet", None)
    delta, extremes = values.pop("_delta"), (values.pop("_lowest"), values.pop("_highest"))
    mean, voltage = values["average_cell_voltage"] or 0, values["total_voltage"]
    count = len(values["cell_voltage"])  # type: ignore[arg-type]
    watts = abs(values["power"])  # type: ignore[arg-type]
    found = []
    if abs(mean - average) > 0.001:  # type: ignore[operator]
        found.append("average")
    if abs(mean * count - voltage) > 0.0006 + 0.0005 * count:  # type: ignore[operator]
        found.append("sum of cells")
    if second is not None and not -0.001 <= voltage - second < 0.02:  # type: ignore[operator]
        found.append("second voltage")
    if abs(watts - power) > 0.1 + 0.003 * watts:  # type: ignore[operator]
        found.append("power")
    # the unit's own statistics lag by a scan
    if abs((values["delta_cell_voltage"] or 0) - delta) > 0.003:  # type: ignore[operator]
        found.append("spread")
    if not _extreme(values, extremes):
        found.append("extremes")
    if mosfet not in (values["mosfet_temperature"], 0, None):
        found.append("mosfet temperature")
    if abs(values["state_of_charge"] * values["full_charge_capacity"] / 100 - values["capacity_remaining"]) > (  # type: ignore[operator]
        0.015 * values["full_charge_capacity"]  # type: ignore[operator]
    ):
        found.append("capacity")
    return frozenset(found)


def _extreme(values: dict[str, Value], extremes: tuple[Value, Value]) -> bool:
    """Whether the cells that the unit calls lowest and highest are so, within its lag."""
    cells: tuple[float, ...] = values["cell_voltage"]  # type: ignore[assignment]
    lowest, highest = extremes
    try:
        low, high = cells[lowest], cells[highest]  # type: ignore[index]
        return low - values["min_cell_voltage"] < 0.004 and values["max_cell_voltage"] - high < 0.004  # type: ignore[operator]
    except (IndexError, TypeError):
        return not cells


@dataclass(frozen=True, slots=True)
class Kind:
    """A layout of live frames: its table, where its mask of cells and its first resistance sit, its alarms.

    ``still`` gives the bytes that do not move from frame to frame: a change in them hints at damage elsewhere.
    """

    table: Layout
    mask: int
    resistances: int
    alarms: tuple[str, ...]
    still: Callable[[bytes], tuple[bytes, ...]]

    def fingerprint(self, payload: bytes, count: int) -> bytes:
        """Bytes that stand still, among them those of cells that do not exist."""
        end = self.resistances + self.mask - 6  # as many as cells
        unused = payload[6 + 2 * count : self.mask], payload[self.resistances + 2 * count : end]
        return b"".join((*self.still(payload), *unused))


def _still(*spans: tuple[int, int]) -> Callable[[bytes], tuple[bytes, ...]]:
    return itemgetter(*(slice(start, stop) for start, stop in spans))


KIND_32S: Final = Kind(
    LIVE,
    70,
    80,
    WORD_NAMES,
    _still(
        (70, 74),
        (146, 150),
        (166, 170),
        (192, 194),
        (198, 216),
        (220, 222),
        (226, 230),
        (240, 246),
        (248, 250),  # the upper halves of the clocks
        (264, 266),
        (274, 278),
        (280, 299),
    ),
)
KIND_24S: Final = Kind(
    LIVE_24S,
    54,
    64,
    WORD_NAMES[:16],
    _still((54, 58), (112, 118), (136, 138), (166, 168), (182, 184), (202, 212), (218, 299)),
)


@dataclass(frozen=True, slots=True)
class Attributed:
    """A frame, the address it came from and what proves it: ``ack``, ``frame01@270`` or ``request``."""

    frame: Frame
    address: int | None
    by: str | None

    def reading(self) -> Reading:
        """The decoded frame; ``FrameError`` when its type has no table."""
        return decode(self.frame, self.address)


class Attribution:
    """Says which BMS a frame came from (specification, chapter 5).

    In this order: the acknowledgement right behind it, the address inside a settings frame, the last
    request before it; otherwise nobody. Times are seconds of any one clock.
    """

    def __init__(self, hold: float = 0.1, request_age: float = 0.5) -> None:
        self._hold, self._request_age = hold, request_age
        self._request: tuple[int, int, float] | None = None
        self._held: Frame | None = None
        self._since = 0.0
        self._asked: tuple[int, int] | None = None

    @property
    def holding(self) -> bool:
        """Whether a frame waits for its acknowledgement."""
        return self._held is not None

    def requested(self, address: int, register: int, now: float) -> None:
        """A page was asked for, by us or by another master."""
        self._request = (address, register, now)

    def event(self, event: Event, now: float) -> list[Attributed]:
        """Frames whose origin is decided by this message."""
        if isinstance(event, Frame):
            decided = self.release()
            self._keep(event, now)
            return decided
        message = event.message
        if message.kind == "ack" and self._proves(event):
            held, self._held = self._held, None
            return [Attributed(held, message.address, "ack")] if held else []
        decided = self.release()
        if message.kind == "request" and message.register is not None:
            self.requested(message.address, message.register, now)
        elif message.kind != "ack":
            self._request = None
        return decided

    def expire(self, now: float) -> list[Attributed]:
        """Frames whose acknowledgement did not come in time."""
        return self.release() if self._held and now - self._since >= self._hold else []

    def release(self) -> list[Attributed]:
        """Decide on the held frame without an acknowledgement."""
        held, self._held = self._held, None
        if held is None:
            return []
        if held.type == 1 and settings_layout(held.payload) == "32S":
            address = int.from_bytes(held.payload[270:274], "little")
            if address in ADDRESSES:
                return [Attributed(held, address, "frame01@270")]
        if self._asked and self._asked[1] == REGISTERS.get(held.type):
            return [Attributed(held, self._asked[0], "request")]
        return [Attributed(held, None, None)]

    def _keep(self, frame: Frame, now: float) -> None:
        request, self._request = self._request, None
        young = request is not None and now - request[2] <= self._request_age
        self._asked = request[:2] if request and young else None
        self._held, self._since = frame, now

    def _proves(self, ack: Short) -> bool:
        held = self._held
        return (
            held is not None
            and ack.message.register == REGISTERS.get(held.type)
            and ack.offset - held.offset - SIZE <= MAX_FILLER
        )


def masked(frame: Frame, *, serial: bool = False) -> Frame:
    """The same frame without PIN, password and the code behind the serial number, its checksum made anew.

    ``serial`` blanks the serial number, too.
    """
    if frame.type != 3:
        return frame
    payload = bytearray(frame.payload)
    for start, size in (*SECRETS, SERIAL if serial else code_span(payload)):
        payload[start : start + size] = b"x" * size
    payload[-1] = checksum(payload)
    return replace(frame, payload=bytes(payload))


def code_span(payload: bytes | bytearray) -> tuple[int, int]:
    """Where the code of the vendor's stands that follows the serial number in a frame of type 3, and its size."""
    end = payload.find(0, 86, 102)
    return (end + 1, 101 - end) if end >= 0 else (102, 0)


def built(frame_type: int, values: dict[str, Value], into: bytes | None = None) -> bytes:
    """A frame of 300 bytes that says these values (for simulators); lists and mask included."""
    payload = bytearray(into or HEADER + bytes((frame_type, 0)) + bytes(SIZE - 6))
    LAYOUTS[frame_type].encode(values, payload)
    payload[-1] = checksum(payload)
    return bytes(payload)
