"""Modbus RTU messages of the PB models: build, recognise, check.

Source: specification of the RS485 protocol, chapters 1, 2 and 4. A page request is a write of one register
of 0x16xx; its answer is a 300-byte frame followed by the ordinary acknowledgement.
"""

import struct
from dataclasses import dataclass
from typing import Final, Literal

from jkbms_addon.errors import FrameError
from jkbms_addon.validators import ADDRESSES

READ, WRITE = 0x03, 0x10
EXCEPTION = 0x80
LIVE, SETTINGS, ABOUT = 0x1620, 0x161E, 0x161C
PAGES: Final = {LIVE: "live", SETTINGS: "settings", ABOUT: "about"}
REQUESTS: Final = frozenset((LIVE, SETTINGS, ABOUT, 0x1624, 0x1622))  # pages that may be seen on a bus
MAX_READ = 64  # registers; more fails on some firmware

Kind = Literal["request", "ack", "write", "read", "values", "exception"]


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC: Final = _table()


def crc16(data: bytes | bytearray | memoryview) -> int:
    """CRC-16/Modbus."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def closed(data: bytes) -> bytes:
    """Message with its CRC appended, low byte first."""
    return data + struct.pack("<H", crc16(data))


def valid(message: bytes | bytearray | memoryview) -> bool:
    """Whether the last two bytes are the CRC of the others."""
    return crc16(message[:-2]) == message[-2] | message[-1] << 8


def page_request(address: int, register: int) -> bytes:
    """The 11 bytes that ask a BMS for one of its pages; only the three pages we read."""
    if register not in PAGES:
        message = f"0x{register:04X} is not a page"
        raise ValueError(message)
    return closed(struct.pack(">BBHHBH", address, WRITE, register, 1, 2, 0))


def read_request(address: int, register: int, count: int) -> bytes:
    """The 8 bytes that ask for ``count`` registers."""
    return closed(struct.pack(">BBHH", address, READ, register, count))


def write_request(address: int, register: int, data: bytes) -> bytes:
    """A write of 2 or 4 bytes, big-endian; exactly the width that the register has."""
    if len(data) not in (2, 4):
        message = f"a write has 2 or 4 bytes, not {len(data)}"
        raise ValueError(message)
    return closed(struct.pack(">BBHHB", address, WRITE, register, len(data) // 2, len(data)) + data)


def acknowledgement(address: int, register: int, count: int = 1) -> bytes:
    """What a BMS answers to a write."""
    return closed(struct.pack(">BBHH", address, WRITE, register, count))


def exception_reply(address: int, function: int, code: int) -> bytes:
    """What a BMS answers to a request that it refuses."""
    return closed(bytes((address, function | EXCEPTION, code)))


@dataclass(frozen=True, slots=True)
class Message:
    """A recognised short message; ``data`` are written or read bytes, ``code`` an exception."""

    kind: Kind
    address: int
    register: int | None
    size: int
    data: bytes = b""
    count: int = 0
    code: int = 0


def known_register(register: int) -> bool:
    """Whether a register lies in one of the blocks that exist."""
    return 0x1000 <= register < 0x1700


def recognise(buffer: bytes | bytearray, expected_read: tuple[int, int] | None = None) -> Message | int:
    """The message at the start of ``buffer``; else how many bytes are needed to decide; 0 = none starts here.

    Answers to reads carry no register, so they are only recognised as the answer to ``expected_read``
    (address, byte count).
    """
    size = len(buffer)
    if size and buffer[0] not in ADDRESSES:
        return 0
    if size < 2:
        return 2
    function = buffer[1]
    if function == WRITE:
        return _write(buffer)
    if function == READ:
        return _read(buffer, expected_read)
    if function in (READ | EXCEPTION, WRITE | EXCEPTION):
        return _exception(buffer)
    return 0


def _write(buffer: bytes | bytearray) -> Message | int:
    if len(buffer) < 8:
        return _head(buffer, 8)
    register = int.from_bytes(buffer[2:4])
    if not known_register(register):
        return 0
    count = int.from_bytes(buffer[4:6])
    if valid(buffer[:8]):
        return Message("ack", buffer[0], register, 8, count=count)
    return _write_request(buffer, register, count)


def _write_request(buffer: bytes | bytearray, register: int, count: int) -> Message | int:
    if count not in (1, 2) or buffer[6] != 2 * count:
        return 0
    size = 9 + 2 * count
    if len(buffer) < size:
        return size
    if not valid(buffer[:size]):
        return 0
    kind: Kind = "request" if register in REQUESTS else "write"
    return Message(kind, buffer[0], register, size, bytes(buffer[7 : size - 2]), count)


def _head(buffer: bytes | bytearray, needed: int) -> int:
    """Wait for more only while the register can still be one that exists."""
    return needed if len(buffer) < 3 or 0x10 <= buffer[2] <= 0x16 else 0


def _read(buffer: bytes | bytearray, expected: tuple[int, int] | None) -> Message | int:
    if len(buffer) < 3:
        return 3
    if expected == (buffer[0], buffer[2]):
        size = int(5 + buffer[2])
        if len(buffer) < size:
            return size
        if valid(buffer[:size]):
            return Message("values", buffer[0], None, size, bytes(buffer[3 : size - 2]))
    return _read_request(buffer) if len(buffer) >= 8 else _head(buffer, 8)


def _read_request(buffer: bytes | bytearray) -> Message | int:
    address, _, register, count = struct.unpack_from(">BBHH", buffer)
    if known_register(register) and valid(buffer[:8]):
        return Message("read", address, register, 8, count=count)
    return 0


def _exception(buffer: bytes | bytearray) -> Message | int:
    if len(buffer) < 5:
        return 5
    if not 1 <= buffer[2] <= 4 or not valid(buffer[:5]):
        return 0
    return Message("exception", buffer[0], None, 5, code=buffer[2])


def parse(message: bytes) -> Message:
    """One whole message; a read answer is taken at its word. ``FrameError`` when it is none."""
    expected = (message[0], message[2]) if len(message) > 2 and len(message) == 5 + message[2] else None
    found = recognise(message, expected)
    if isinstance(found, int) or found.size != len(message):
        text = f"{len(message)} bytes that are no Modbus message of this protocol"
        raise FrameError(text)
    return found
