"""Bytes of a bus without the secrets that BMSs send along. Pure.

A BMS tells its Bluetooth PIN and its password in plain text: in frame 03, in answers to reads of the same
registers, in the table of the ``4E 57`` protocol. They are blanked where they stand, so that chunks keep
their sizes and times; what may still turn out to be part of such a message is held back until it is decided.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable

from jkbms_addon.doctor.recording import Chunk
from jkbms_addon.errors import FrameError
from jkbms_addon.wire.pb import frames as jk02
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.pb.frames import HEADER, SECRETS, SERIAL, Frame, Short
from jkbms_addon.wire.pb.modbus import ABOUT, Message
from jkbms_addon.wire.pb.tables import SIZE
from jkbms_addon.wire.ttl import frames as legacy
from jkbms_addon.wire.ttl.tags import HEAD, PASSWORD

SILENCE = 0.3  # seconds after which an unfinished message is given up (specification, chapter 5)
ABOUT_HEADER = HEADER + b"\x03"
ABOUT_BASE = 0x1400 - 6  # register minus offset in frame 03
HELD_JUNK, LOOK_BACK = 1024, 512  # bytes without any message that are held, and that stay held
REMAINS = SIZE + jk02.MAX_FILLER  # bytes before an acknowledgement that may be what is left of its frame
TEXT = re.compile(rb"[ -~]{4,}|\A[ -~]+|[ -~]+\Z")  # at an end it may go on beyond
PASSWORD_ID = bytes((PASSWORD,))
FOLLOWING = re.compile(re.escape(PASSWORD_ID) + rb".{1,10}", re.DOTALL)  # the password has ten bytes
Span = tuple[int, int]
Spans = tuple[Span, ...]


def _without_bytes(data: bytes) -> bytes:
    """Nothing but how long it was, and where it was 0."""
    return bytes(byte and 0x78 for byte in data)


class Masker:
    """Takes chunks as they come and gives them back masked, in the same order; ``serials`` blanks these, too."""

    def __init__(self, *, serials: bool = False) -> None:
        self._serials = serials
        self._spans = (*SECRETS, SERIAL) if serials else SECRETS
        self._queue: deque[Chunk] = deque()
        self._bytes = bytearray()  # received and not given back
        self._start = self._end = 0  # offsets in the stream of its first byte and behind its last
        self._judged = 0  # up to here it is settled what is to be blanked
        self._frames, self._tables = jk02.Framer(), legacy.Framer()
        self._abouts: list[Span] = []  # what follows a header of frame 03
        # what follows a start of a table; the stream itself may begin in the middle of one
        self._starts: list[Span] = [(0, legacy.MAX_SIZE)]
        self._asked = False  # whether device information was asked for, so that junk may be it
        self._read = 0  # register that was asked for last
        self._tail = b""
        self._last = 0.0

    def feed(self, chunk: Chunk) -> list[Chunk]:
        """Chunks that are settled with this one."""
        self._queue.append(chunk)
        if chunk.direction == "tx":
            sent = modbus.recognise(chunk.data)
            if isinstance(sent, Message):
                self._question(sent)
            return self._settled()
        if self._end > self._judged and chunk.seconds - self._last >= SILENCE:
            self._give_up()
        self._last = chunk.seconds
        for byte in chunk.data:
            self._byte(bytes((byte,)))
        return self._settled()

    def flush(self) -> list[Chunk]:
        """All that is left, to be called after a silence and at the end."""
        self._give_up()
        return self._settled()

    def _byte(self, byte: bytes) -> None:
        self._bytes += byte
        self._end += 1
        self._tail = (self._tail + byte)[-len(ABOUT_HEADER) :]
        if self._tail == ABOUT_HEADER:
            self._abouts.append((self._end, self._end - len(ABOUT_HEADER) + SIZE - 1))
        if self._tail.endswith(legacy.START):
            self._starts.append((self._end, self._end - len(legacy.START) + legacy.MAX_SIZE))
        # byte by byte, as a question decides how its answer is to be read
        self._events(self._frames.feed(byte), self._tables.feed(byte))
        decided = min(self._frames.position, self._tables.position)
        if decided - self._judged > HELD_JUNK:
            self._junk(decided - LOOK_BACK)

    def _give_up(self) -> None:
        """Nothing of what is unfinished will be completed."""
        self._events(self._frames.flush(), self._tables.flush())
        self._junk(self._end)

    def _events(self, frames: Iterable[jk02.Event], tables: Iterable[legacy.Frame]) -> None:
        for event in frames:
            if isinstance(event, Frame):
                self._message(event.offset, jk02.masked(event, serial=self._serials).payload)
                self._asked = False
            else:
                self._short(event)
        for table in tables:
            self._message(table.offset, _table(table))

    def _short(self, event: Short) -> None:
        message, start = event.message, event.offset - self._start
        if message.kind == "ack" and message.register == ABOUT:
            self._junk(event.offset, event.offset - REMAINS)
        data = bytes(self._bytes[start : start + message.size])
        if message.kind == "values":
            data = _registers(data, 3, self._read, self._spans)
        elif message.kind == "write" and message.register is not None:
            data = _registers(data, 7, message.register, self._spans)
        self._message(event.offset, data)
        self._question(message)

    def _question(self, message: Message) -> None:
        """What comes next is known by what was asked for."""
        register = message.register or 0
        read = message.kind == "read"
        self._asked = (message.kind == "request" and register == ABOUT) or (
            read and any(a < b for a, b in _overlaps(self._spans, register, 2 * message.count))
        )
        self._read = register
        self._frames.expected_read = (message.address, 2 * message.count) if read else None

    def _message(self, offset: int, data: bytes) -> None:
        """A whole message; before it may stand junk."""
        self._junk(offset)
        start = max(offset, self._start)
        self._bytes[start - self._start : offset + len(data) - self._start] = data[start - offset :]
        for span in self._abouts:
            # a truncated frame and the beginning of the next may pass for one: the sum of a frame has 8 bits
            if offset + len(ABOUT_HEADER) < span[0]:
                self._blank(max(start, span[0]), min(offset + len(data), span[1]))
        self._judged = max(self._judged, offset + len(data))

    def _junk(self, end: int, suspect: int | None = None) -> None:
        """Bytes up to ``end`` belong to no message: blank what may be a piece of one with secrets."""
        if end <= self._judged:
            return
        begin, stop = self._judged, end
        before, first = bytes(self._bytes), self._start
        for span in self._starts:
            self._blank(max(begin, span[0]), min(stop, span[1]), _without_text)
        # a piece without its header, after a pause or damage, cannot be told from anything else
        self._blank(begin, stop, _without_words)
        suspects = [*self._abouts, (begin, stop)] if self._asked else self._abouts
        if suspect is not None:
            suspects = [*suspects, (suspect, stop)]
        for span in suspects:
            self._blank(max(begin, span[0]), min(stop, span[1]))
        for start, checksum in self._abouts:
            # no secrets, and without them nobody would see what it was and that it is damaged
            for low, high in ((start - len(ABOUT_HEADER), start), (checksum, checksum + 1)):
                kept = slice(max(begin, low) - first, max(begin, low, min(stop, high)) - first)
                self._bytes[kept] = before[kept]
        self._judged = end

    def _blank(self, begin: int, end: int, blanked: Callable[[bytes], bytes] = _without_bytes) -> None:
        if begin >= end:
            return
        piece = slice(begin - self._start, end - self._start)
        self._bytes[piece] = blanked(bytes(self._bytes[piece]))

    def _settled(self) -> list[Chunk]:
        """Give back from the front what is decided."""
        decided = min(self._judged, self._frames.position, self._tables.position)
        given = []
        while self._queue:
            chunk = self._queue[0]
            size = len(chunk.data) if chunk.direction == "rx" else 0
            if self._start + size > decided and size:
                break
            self._queue.popleft()
            given.append(chunk._replace(data=bytes(self._bytes[:size])) if size else chunk)
            del self._bytes[:size]
            self._start += size
        self._abouts = [span for span in self._abouts if span[1] >= self._start]
        self._starts = [span for span in self._starts if span[1] > self._start]
        return given


def _overlaps(spans: Spans, register: int, size: int) -> list[Span]:
    """Where the secrets stand in the data of so many bytes that begin at a register."""
    first = register - ABOUT_BASE
    return [(max(0, start - first), min(size, start + length - first)) for start, length in spans]


def _registers(message: bytes, head: int, register: int, spans: Spans) -> bytes:
    """A Modbus message whose data begin at byte ``head``, without secrets, its checksum made anew."""
    data = bytearray(message[:-2])
    for start, stop in _overlaps(spans, register, len(data) - head):
        if start < stop:
            data[head + start : head + stop] = b"x" * (stop - start)
    return modbus.closed(bytes(data))


def _table(frame: legacy.Frame) -> bytes:
    """A message of the first generation without its password."""
    try:
        return legacy.masked(frame.data)
    except FrameError:  # where the password stands is not known
        return frame.data[:HEAD] + _without_text(frame.data[HEAD : -legacy.TAIL]) + frame.data[-legacy.TAIL :]


def _without_text(data: bytes) -> bytes:
    """Without anything that reads as text or follows the id of the password."""
    return _without_words(FOLLOWING.sub(lambda found: PASSWORD_ID + b"x" * (len(found[0]) - 1), data))


def _without_words(data: bytes) -> bytes:
    """Without anything that reads as text."""
    return TEXT.sub(lambda found: b"x" * len(found[0]), data)
