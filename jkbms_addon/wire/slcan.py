"""Text of serial CAN adapters (Lawicel's protocol, "slcan"): their lines to frames and back.

``t2F481302B20F51000000`` is an 11-bit frame, ``T`` one with a 29-bit id; a line ends with CR. Everything else
that an adapter says (acknowledgements, versions, remote frames) is no data frame.
"""

import re
from typing import Final

from jkbms_addon.wire.can import Frame

CR, BELL = b"\r", b"\a"
LONGEST: Final = 64  # bytes of a line; more without an end is noise
# four more digits are the adapter's own time stamp in ms
_LINE: Final = re.compile(rb"(?:t([0-9A-Fa-f]{3})|T([0-9A-Fa-f]{8}))([0-8])((?:[0-9A-Fa-f]{2})*)")


def parsed(line: bytes) -> Frame | None:
    """The data frame of a line without its end; None for anything else."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    short, long, digit, digits = match.groups()
    size = 2 * int(digit)
    can_id = int(short or long, 16)
    if len(digits) not in (size, size + 4) or can_id > (0x7FF if short else 0x1FFFFFFF):
        return None
    return Frame(can_id, short is None, bytes.fromhex(digits[:size].decode("ascii")))


def written(frame: Frame) -> bytes:
    """The line of a frame, with its end."""
    head = f"T{frame.can_id:08X}" if frame.extended else f"t{frame.can_id:03X}"
    return f"{head}{len(frame.data)}{frame.data.hex().upper()}\r".encode("ascii")


class Lines:
    """Cuts what an adapter sends into frames; ``junk`` counts the bytes of lines that claim to be one and are not."""

    def __init__(self) -> None:
        self._rest = b""
        self.junk = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that are complete with these bytes."""
        # a refused command is answered by a bell instead of a line
        *lines, rest = (self._rest + data).replace(BELL, CR).split(CR)
        found = []
        for line in lines:
            frame = parsed(line)
            if frame:
                found.append(frame)
            elif line[:1] in (b"t", b"T"):
                self.junk += len(line)
        if len(rest) > LONGEST:
            self.junk += len(rest)
            rest = b""
        self._rest = rest
        return found
