"""Commands over Bluetooth: 20 bytes, answered by frames of 300 bytes and by an acknowledgement. Pure.

Source: specification of Bluetooth, chapters 4 and 8. A command is ``AA 55 90 EB``, register, length of the value, the
value (little-endian), zeros, and the sum of all bytes before modulo 256. The acknowledgement names nothing, so it
proves nothing.
"""

from typing import Final, Literal

from jkbms_addon.wire.pb.frames import HEADER as FRAME_HEADER
from jkbms_addon.wire.pb.frames import Event, Framer, Short
from jkbms_addon.wire.pb.modbus import Message

HEADER: Final = b"\xaa\x55\x90\xeb"
SIZE: Final = 20
SETTINGS, ABOUT = 0x96, 0x97  # live frames come by themselves after both
HEARTBEAT: Final = b"AT\r\n"  # of the radio module, always a notification of its own


def command(register: int, value: bytes = b"") -> bytes:
    """A command of 20 bytes; ``value`` has exactly the length that the register has, 0 to 4 bytes."""
    if len(value) > 4:
        raise ValueError(f"a value has at most 4 bytes, not {len(value)}")
    return _summed(HEADER + bytes((register, len(value))) + value + bytes(SIZE - 7 - len(value)))


def _summed(data: bytes) -> bytes:
    return data + bytes((sum(data) & 0xFF,))


ACKNOWLEDGEMENT: Final = _summed(HEADER + b"\xc8\x01\x01" + bytes(12))


class BleFramer(Framer):
    """Finds frames in notifications; acknowledgements and heartbeats are short messages, and no junk."""

    def _at(self, buffer: bytearray, position: int) -> Event | Literal[False] | None:
        for known in (ACKNOWLEDGEMENT, HEARTBEAT):
            if buffer.startswith(known, position):
                return Short(Message("ack", 0, None, len(known)), self._offset + position)
            if known.startswith(buffer[position : position + len(known)]):
                return None
        if buffer[position] != FRAME_HEADER[0]:
            return False
        return super()._at(buffer, position)


def rest(gap: bytes) -> bytes:
    """What is left of bytes between two frames without acknowledgements and heartbeats."""
    return gap.replace(ACKNOWLEDGEMENT, b"").replace(HEARTBEAT, b"")
