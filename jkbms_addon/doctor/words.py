"""Bytes of a bus in words, message by message, for who watches. Pure; secrets must be masked before."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from jkbms_addon.battery.quantities import Value
from jkbms_addon.doctor.recording import Chunk
from jkbms_addon.errors import FrameError
from jkbms_addon.wire.pb import frames as jk02
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.pb.frames import Attributed, Attribution, Frame, Short
from jkbms_addon.wire.pb.modbus import Message
from jkbms_addon.wire.ttl import frames as legacy

PAGES: Final[Mapping[int, str]] = {modbus.LIVE: "live", modbus.SETTINGS: "settings", modbus.ABOUT: "about"}
SHOWN: Final = 24  # bytes of each message
TOLD: Final = (("total_voltage", "v"), ("current", "i"), ("state_of_charge", "soc"))


class Word(NamedTuple):
    """One message. ``kind`` and ``said`` are for who finds the words; ``seconds`` is of the chunk that ended it."""

    seconds: float
    direction: str
    data: bytes
    kind: str
    said: Mapping[str, Any]


class Words:
    """Takes masked chunks and tells of the messages in them; ``ttl`` is for the first generation."""

    def __init__(self, *, ttl: bool = False) -> None:
        self._framer: jk02.Framer | legacy.Framer = legacy.Framer() if ttl else jk02.Framer()
        self._attribution = Attribution()
        self._bytes = bytearray()
        self._start = 0  # offset in the stream of its first byte
        self._now = 0.0

    def take(self, chunk: Chunk | None) -> list[Word]:
        """What is told by the next chunk; by None that nothing more comes for a while."""
        if chunk is None:
            return [*self._received(self._framer.flush()), *self._decided(self._attribution.release())]
        self._now = chunk.seconds
        if chunk.direction == "tx":
            return [self._sent(chunk)]
        self._bytes += chunk.data
        return [*self._decided(self._attribution.expire(self._now)), *self._received(self._framer.feed(chunk.data))]

    def _sent(self, chunk: Chunk) -> Word:
        message = modbus.recognise(chunk.data)
        if isinstance(message, Message):
            if message.kind == "request" and message.register is not None:
                self._attribution.requested(message.address, message.register, chunk.seconds)
            return Word(chunk.seconds, "tx", chunk.data, *_message(message))
        asks = chunk.data.startswith(legacy.START)
        return Word(chunk.seconds, "tx", chunk.data, "asks" if asks else "junk", {"n": len(chunk.data)})

    def _received(self, events: Iterable[jk02.Event | legacy.Frame]) -> Iterator[Word]:
        for event in events:
            yield from self._junk(event.offset)
            if isinstance(event, legacy.Frame):
                yield self._word(self._cut(len(event.data)), *_table(event))
                continue
            if isinstance(event, Frame):
                self._cut(len(event.payload))
                yield from self._decided(self._attribution.event(event, self._now))
                continue
            yield from self._decided(self._attribution.event(event, self._now))
            yield self._short(event)
        yield from self._junk(self._framer.position)

    def _short(self, event: Short) -> Word:
        return self._word(self._cut(event.message.size), *_message(event.message))

    def _decided(self, decided: Iterable[Attributed]) -> Iterator[Word]:
        for one in decided:
            yield self._word(one.frame.payload, *_frame(one))

    def _junk(self, end: int) -> Iterator[Word]:
        """Bytes up to an offset belong to no message."""
        if end > self._start:
            yield self._word(data := self._cut(end - self._start), "junk", {"n": len(data)})

    def _cut(self, size: int) -> bytes:
        data = bytes(self._bytes[:size])
        del self._bytes[:size]
        self._start += size
        return data

    def _word(self, data: bytes, kind: str, said: Mapping[str, Any]) -> Word:
        return Word(self._now, "rx", data, kind, said)


def _message(message: Message) -> tuple[str, Mapping[str, Any]]:
    page = PAGES.get(message.register or 0)
    if message.kind in ("request", "ack") and page:
        return message.kind, {"a": message.address, "page": page}
    said: dict[str, Any] = {"a": message.address, "r": f"{message.register or 0:04X}"}
    return message.kind, {**said, "c": message.code} if message.kind == "exception" else said


def _frame(one: Attributed) -> tuple[str, Mapping[str, Any]]:
    said: dict[str, Any] = {"n": len(one.frame.payload), "a": one.address}
    try:
        reading = one.reading()
    except FrameError as error:
        return "odd", {**said, "why": str(error)}
    return "frame", {**said, "page": reading.kind, **_told(reading.values)}


def _table(frame: legacy.Frame) -> tuple[str, Mapping[str, Any]]:
    said: dict[str, Any] = {"n": len(frame.data)}
    if frame.kind != "table":
        return "asks" if frame.kind == "echo" else "other", said
    try:
        found = legacy.readings(frame)
    except FrameError as error:
        return "odd", {**said, "a": None, "why": str(error)}
    return "table", {**said, **_told({key: value for one in found for key, value in one.values.items()})}


def _told(values: Mapping[str, Value]) -> dict[str, Value]:
    return {short: values[key] for key, short in TOLD if values.get(key) is not None}


def hexed(data: bytes) -> str:
    """The first bytes of a message, as they are shown."""
    text = data[:SHOWN].hex(" ").upper()
    return f"{text} …" if len(data) > SHOWN else text
