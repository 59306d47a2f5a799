"""``decode``: hex text or a capture to readings, through the same framer as the bus."""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jkbms_addon.battery.plausibility import contradiction
from jkbms_addon.battery.reading import Reading, flat
from jkbms_addon.battery.sensors import Sensors
from jkbms_addon.cli.can_text import can, is_candump
from jkbms_addon.doctor import recording
from jkbms_addon.errors import FrameError, OptionsError
from jkbms_addon.wire.pb.commands import rest
from jkbms_addon.wire.pb.frames import Attributed, Attribution, Framer, Short
from jkbms_addon.wire.pb.layouts import BALANCER
from jkbms_addon.wire.ttl import frames as legacy


@dataclass(frozen=True, slots=True)
class Doubted:
    """A reading that cannot be true, the rule that it breaks, and where it stands."""

    reading: Reading
    rule: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}: contradicts itself: {self.rule}"


Outcome = Reading | Doubted | str  # a reading, or why something was skipped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument(
        "--format", choices=sorted(FORMATS), help="wire format (default: can for a log of candump, else pb)"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="also what contradicts itself, as that of a firmware does whose layout is not known yet",
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="hex text, or a capture (default: stdin)")


def run(args: argparse.Namespace) -> int:
    """Print a JSON line per reading, on standard error a line per thing skipped; 1 when nothing was valid."""
    try:
        text = args.file.read_text(encoding="utf-8", errors="replace") if args.file else sys.stdin.read()
    except OSError as error:
        raise OptionsError(f"{args.file} cannot be read: {error.strerror}") from error
    if recording.is_capture(text):
        text = recording.read(text, str(args.file or "standard input")).received.hex()
    found = False
    for outcome in FORMATS[args.format or ("can" if is_candump(text) else "pb")](text):
        if isinstance(outcome, Reading):
            found = True
            print(json.dumps(printed(outcome), ensure_ascii=False))
        elif isinstance(outcome, Doubted) and args.all:
            found = True
            print(json.dumps({**printed(outcome.reading), "contradicts": outcome.rule}, ensure_ascii=False))
        else:
            print(f"skipped: {outcome}", file=sys.stderr)
    return 0 if found else 1


def printed(reading: Reading) -> dict[str, Any]:
    """What a line says of a reading."""
    fields = flat(reading.values, reading.alarm_names)
    return {"format": reading.format, "kind": reading.kind, "address": reading.address, "fields": fields}


_OFFSET = re.compile(r"\s*(?:0x)?([0-9a-f]{4,8})(:?)(?:\s+(.*)|\s*)", re.IGNORECASE)


def hex_bytes(text: str) -> bytes:
    """Bytes of hex text; blanks, line breaks, ``0x``, separators and the columns of a hex dump do not count."""
    lines = [line for line in text.splitlines() if line.strip()]
    return _dump(lines) or _row(" ".join(lines))


def _dump(lines: list[str]) -> bytes | None:
    """Bytes of a hex dump: every line begins with how many bytes came before it, ``*`` repeats the last row."""
    data, row, repeated = b"", b"", False
    for line in lines:
        match = _OFFSET.fullmatch(line)
        if line.strip() == "*":
            repeated = True
            continue
        if match is None:
            return None
        offset = int(match[1], 16)
        if repeated and row:
            data += row * ((offset - len(data)) // len(row))
            repeated = False
        if offset != len(data):
            return None
        columns = (match[3] or "").split("|")[0]
        row = _row(columns.split("  ")[0] if match[2] else columns)
        data += row
    return data


def _row(line: str) -> bytes:
    """Hex words of one line; a single digit between separators is a whole byte."""
    words = re.findall(r"[0-9a-z]+", re.sub(r"0x", " ", line, flags=re.IGNORECASE), re.IGNORECASE)
    digits = "".join(word.zfill(2) if len(word) == 1 else word for word in words if _HEX.fullmatch(word))
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


_HEX = re.compile(r"[0-9a-f]+", re.IGNORECASE)


def pb(text: str) -> Iterator[Outcome]:
    """Readings of the 300-byte frames of RS485 and Bluetooth, each by its layout, attributed as on a listened bus."""
    return _once(_messages(text))


def _messages(text: str) -> Iterator[Outcome]:
    framer, attribution, sensors = Framer(), Attribution(), Sensors()
    position = 0
    data = hex_bytes(text)
    for event in [*framer.feed(data), *framer.flush()]:
        yield from _gap(data, position, event.offset)
        size = event.message.size if isinstance(event, Short) else len(event.payload)
        position = event.offset + size
        for decided in attribution.event(event, 0):
            yield _judged(decided, sensors)
        if isinstance(event, Short) and event.message.kind not in ("request", "ack"):
            message = event.message
            yield f"{size} bytes at {event.offset}: Modbus {message.kind} of address {message.address}"
    for decided in attribution.release():
        yield _judged(decided, sensors)
    yield from _gap(data, position, len(data))


def _gap(data: bytes, start: int, stop: int) -> Iterator[str]:
    """What stands between two messages, if it is not what Bluetooth modules say there."""
    if left := len(rest(data[start:stop])):
        yield f"{left} bytes at {start}: no valid message"


def _once(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Without telling of every frame anew that its model is not supported."""
    told = False
    for outcome in outcomes:
        balancer = isinstance(outcome, str) and outcome.endswith(BALANCER)
        if not (balancer and told):
            yield outcome
        told |= balancer


def _judged(decided: Attributed, sensors: Sensors) -> Outcome:
    where = f"frame at {decided.frame.offset}"
    try:
        reading = decided.reading()
    except FrameError as error:
        return f"{where}: {error}"
    broken = contradiction(reading.values)
    return Doubted(reading, broken, where) if broken else sensors.fitted(reading)


def ttl(text: str) -> Iterator[Outcome]:
    """Readings of the tables of the first generation; what else is said is named, without what it holds."""
    framer, position = legacy.Framer(), 0
    data = hex_bytes(text)
    for frame in [*framer.feed(data), *framer.flush()]:
        if frame.offset > position:
            yield f"{frame.offset - position} bytes at {position}: no valid message"
        position = frame.offset + len(frame.data)
        yield from _table(frame)
    if position < len(data):
        yield f"{len(data) - position} bytes at {position}: no valid message"


def _table(frame: legacy.Frame) -> Iterator[Outcome]:
    where = f"frame at {frame.offset}"
    if frame.kind != "table":
        yield f"{where}: {MESSAGES[frame.kind]}"
        return
    try:
        found = legacy.readings(frame)
    except FrameError as error:
        yield f"{where}: {error}"
        return
    for reading in found:
        broken = contradiction(reading.values)
        yield Doubted(reading, broken, where) if broken else reading


MESSAGES: dict[legacy.FrameKind, str] = {
    "echo": "a request",
    "written": "the answer to a write",
    "activated": "the answer to an activation",
    "paired": "the answer to a pairing",
}
FORMATS = {"can": can, "pb": pb, "ttl": ttl}
