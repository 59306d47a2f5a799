"""The 300-byte ``55 AA EB 90`` frames of the PB series on RS485: framer, tables, attribution.

Source: specification of the RS485 protocol, chapters 2, 3 and 5, checked on captures of firmware 10.x to
19.x. Values are little-endian; the last byte is the sum of all others modulo 256. A frame of live data
or of device information carries no address: it is proved by the acknowledgement that follows.
"""

from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final, Literal
from zlib import adler32

from jkbms_addon.battery.alarms import WORD_NAMES, raised_bits
from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.reading import Reading, derive
from jkbms_addon.errors import FrameError
from jkbms_addon.validators import ADDRESSES
from jkbms_addon.wire.codec import At, Layout, bit, choice, flag, number, text
from jkbms_addon.wire.framing import StreamFramer
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.pb.modbus import Message

HEADER: Final = b"\x55\xaa\xeb\x90"
SIZE: Final = 300
TYPES: Final = frozenset((1, 2, 3, 5, 6))
KINDS: Final = {1: "settings", 2: "live", 3: "about"}
REGISTERS: Final = {1: modbus.SETTINGS, 2: modbus.LIVE, 3: modbus.ABOUT}
CELLS: Final = 32
SAMPLE: Final = 512  # bytes of junk that are kept
MAX_FILLER: Final = 4  # bytes that some adapters put between a frame and its acknowledgement

u8, u16, i16, u32, i32 = "B", "H", "h", "I", "i"
milli16, milli32 = number(u16, 1000), number(u32, 1000)
tenth = number(i16, 10, unknown=-2000)
tenth32 = number(i32, 10)
second = number(u32)

LIVE = Layout(
    "<",
    SIZE,
    At("cell_voltage", 6, milli16, CELLS),
    At("_mask", 70, number(u32)),
    At("_average", 74, milli16),
    At("_delta", 76, milli16),
    At("_highest", 78, number(u8)),
    At("_lowest", 79, number(u8)),
    At("cell_resistance", 80, milli16, CELLS),
    At("mosfet_temperature", 144, tenth),
    At("total_voltage", 150, milli32),
    At("_power", 154, milli32),
    At("current", 158, number(i32, 1000)),
    At("temperature_sensor_1", 162, tenth),
    At("temperature_sensor_2", 164, tenth),
    At("errors_bitmask", 166, number(u32)),
    At("balancing_current", 170, number(i16, 1000)),
    At("balancing", 172, flag()),
    At("state_of_charge", 173, number(u8)),
    At("capacity_remaining", 174, milli32),
    At("full_charge_capacity", 178, milli32),
    At("charging_cycles", 182, number(u32)),
    At("total_charging_cycle_capacity", 186, milli32),
    At("state_of_health", 190, number(u8)),
    At("precharging", 191, flag()),
    At("total_runtime", 194, number(u32)),
    At("charging", 198, flag()),
    At("discharging", 199, flag()),
    At("_sensors", 214, number(u8)),
    At("heating", 215, flag()),
    At("emergency_time_countdown", 218, number(u16)),
    At("_voltage", 234, number(u16, 100)),
    At("heating_current", 236, number(i16, 1000)),
    At("charger_plugged", 245, flag()),
    At("_mosfet", 254, tenth),
    At("temperature_sensor_4", 256, tenth),
    At("temperature_sensor_5", 258, tenth),
    At("detail_log_entry_count", 266, number(u32)),
    At("smart_sleep_countdown", 270, number(u32)),
    At("battery_type", 275, choice("LFP", "Li-ion", "LTO")),
    At("charge_status_time_elapsed", 278, number(u16)),
    At("charge_status", 280, choice("bulk", "absorption", "float")),
    At("dry_contact_1", 281, bit(u8, 1)),
    At("dry_contact_2", 281, bit(u8, 2)),
)

SETTINGS = Layout(
    "<",
    SIZE,
    At("smart_sleep_voltage", 6, milli32),
    At("cell_voltage_undervoltage_protection", 10, milli32),
    At("cell_voltage_undervoltage_recovery", 14, milli32),
    At("cell_voltage_overvoltage_protection", 18, milli32),
    At("cell_voltage_overvoltage_recovery", 22, milli32),
    At("balance_trigger_voltage", 26, milli32),
    At("cell_soc100_voltage", 30, milli32),
    At("cell_soc0_voltage", 34, milli32),
    At("cell_request_charge_voltage", 38, milli32),
    At("cell_request_float_voltage", 42, milli32),
    At("power_off_voltage", 46, milli32),
    At("max_charge_current", 50, milli32),
    At("charge_overcurrent_protection_delay", 54, second),
    At("charge_overcurrent_protection_recovery_time", 58, second),
    At("max_discharge_current", 62, milli32),
    At("discharge_overcurrent_protection_delay", 66, second),
    At("discharge_overcurrent_protection_recovery_time", 70, second),
    At("short_circuit_protection_recovery_time", 74, second),
    At("max_balance_current", 78, milli32),
    At("charge_overtemperature_protection", 82, tenth32),
    At("charge_overtemperature_recovery", 86, tenth32),
    At("discharge_overtemperature_protection", 90, tenth32),
    At("discharge_overtemperature_recovery", 94, tenth32),
    At("charge_undertemperature_protection", 98, tenth32),
    At("charge_undertemperature_recovery", 102, tenth32),
    At("mosfet_overtemperature_protection", 106, tenth32),
    At("mosfet_overtemperature_recovery", 110, tenth32),
    At("cell_count", 114, number(u32)),
    At("charging_switch", 118, flag(u32)),
    At("discharging_switch", 122, flag(u32)),
    At("balancing_switch", 126, flag(u32)),
    At("total_battery_capacity", 130, milli32),
    At("short_circuit_protection_delay", 134, number(u32)),  # microseconds
    At("balancing_start_voltage", 138, milli32),
    At("device_address", 270, number(u32)),
    At("discharge_precharge_time", 274, second),
    At("heating_switch", 282, bit(u16, 0)),
    At("gps_heartbeat_switch", 282, bit(u16, 2)),
    At("display_always_on_switch", 282, bit(u16, 4)),
    At("smart_sleep_switch", 282, bit(u16, 6)),
    At("timed_stored_data_switch", 282, bit(u16, 8)),
    At("charging_float_mode_switch", 282, bit(u16, 9)),
    At("heating_start_temperature", 284, number("b")),
    At("heating_stop_temperature", 285, number("b")),
    At("smart_sleep_delay", 286, number(u8)),
)

# The BLE PIN (at 62) and the settings password (at 118) have no row: they are never kept.
ABOUT = Layout(
    "<",
    SIZE,
    At("model", 6, text(15)),
    At("hardware_version", 22, text(8)),
    At("software_version", 30, text(8)),
    At("power_on_count", 42, number(u32)),
    At("device_name", 46, text(16)),
    At("manufacturing_date", 78, text(8)),
    At("serial_number", 86, text(16)),
    At("uart1_protocol", 184, number(u8)),
    At("can_protocol", 185, number(u8)),
    At("uart2_protocol", 218, number(u8)),
    At("cell_request_charge_voltage_time", 266, number(u8, 10)),
    At("cell_request_float_voltage_time", 267, number(u8, 10)),
    At("protocol_version", 298, number(u8)),
)

LAYOUTS: Final = {1: SETTINGS, 2: LIVE, 3: ABOUT}
SECRETS: Final = ((62, 16), (118, 16))  # of frame 03: PIN and password, masked in captures


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
    """What a frame of type 1, 2 or 3 tells; ``FrameError`` for the logs, which have no table."""
    layout = LAYOUTS.get(frame.type)
    if layout is None:
        message = f"frame of type {frame.type} is not decoded"
        raise FrameError(message)
    if frame.type == 2:
        mask = int.from_bytes(frame.payload[70:74], "little")
        values = layout.decode(frame.payload, mask.bit_length())
        doubts = _live(values, mask)
        return Reading(
            address,
            "live",
            values,
            WORD_NAMES,
            _fingerprint(frame.payload, mask.bit_length()),
            doubts,
            format="pb",
            raw=frame.payload[6:-1],  # byte 5 may count the frames
        )
    return Reading(address, KINDS[frame.type], layout.decode(frame.payload), WORD_NAMES, format="pb")


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
        if not sensors >> position & 1 and not values[key]:
            values[key] = None


def _doubts(values: dict[str, Value]) -> frozenset[str]:
    """Where the frame's own redundant fields disagree with what is published."""
    average, power = values.pop("_average"), values.pop("_power")
    second, mosfet = values.pop("_voltage"), values.pop("_mosfet")
    delta, extremes = values.pop("_delta"), (values.pop("_lowest"), values.pop("_highest"))
    mean, voltage = values["average_cell_voltage"] or 0, values["total_voltage"]
    count = len(values["cell_voltage"])  # type: ignore[arg-type]
    watts = abs(values["power"])  # type: ignore[arg-type]
    found = []
    if abs(mean - average) > 0.001:  # type: ignore[operator]
        found.append("average")
    if abs(mean * count - voltage) > 0.0006 + 0.0005 * count:  # type: ignore[operator]
        found.append("sum of cells")
    if not -0.001 <= voltage - second < 0.02:  # type: ignore[operator]
        found.append("second voltage")
    if abs(watts - power) > 0.1 + 0.003 * watts:  # type: ignore[operator]
        found.append("power")
    # the unit's own statistics lag by a scan
    if abs((values["delta_cell_voltage"] or 0) - delta) > 0.003:  # type: ignore[operator]
        found.append("spread")
    if not _extreme(values, extremes):
        found.append("extremes")
    if mosfet not in (values["mosfet_temperature"], 0):
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


# Bytes that stand still from frame to frame: a change in them hints at damage elsewhere.
_STILL: Final = (
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
)


_still = itemgetter(*(slice(start, stop) for start, stop in _STILL))


def _fingerprint(payload: bytes, count: int) -> bytes:
    return b"".join((*_still(payload), payload[6 + 2 * count : 70], payload[80 + 2 * count : 144]))


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
        if held.type == 1:
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


def masked(frame: Frame) -> Frame:
    """The same frame without PIN and password, its checksum made anew."""
    if frame.type != 3:
        return frame
    payload = bytearray(frame.payload)
    for start, size in SECRETS:
        payload[start : start + size] = b"x" * size
    payload[-1] = checksum(payload)
    return replace(frame, payload=bytes(payload))


def built(frame_type: int, values: dict[str, Value], into: bytes | None = None) -> bytes:
    """A frame of 300 bytes that says these values (for simulators); lists and mask included."""
    payload = bytearray(into or HEADER + bytes((frame_type, 0)) + bytes(SIZE - 6))
    LAYOUTS[frame_type].encode(values, payload)
    payload[-1] = checksum(payload)
    return bytes(payload)
