"""Captures over real ptys and sockets, and that no secret ever gets into one."""

import asyncio
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.__main__ import main
from jkbms_addon.doctor.masking import Masker
from jkbms_addon.doctor.recording import Chunk, Recording, header, line, read
from jkbms_addon.errors import OptionsError
from jkbms_addon.simulator.far_end import serial_bus, tcp_bus
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb import frames as jk02
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.pb.modbus import ABOUT, LIVE
from jkbms_addon.wire.ttl import frames as legacy
from tests.conftest import captures, until
from tests.programs import program

PIN, PASSWORD = b"PIN4321", b"PASSWD99"


def with_secrets(data: bytes) -> bytes:
    """The device information of a unit whose owner has set PIN and password."""
    frame = bytearray(data)
    frame[62:78], frame[118:134] = PIN.ljust(16, b"\0"), PASSWORD.ljust(16, b"\0")
    frame[299] = jk02.checksum(frame[:300])
    return bytes(frame) + data[300:]


def real(kind: str) -> bytes:
    return next(bytes.fromhex(c["hex"]) for c in captures("jk_pb") if c["kind"] == kind and c["checksum_ok"])


FRAME = with_secrets(real("frame03"))
LIVE_FRAME = real("frame02")
ACK = modbus.acknowledgement(3, ABOUT)
REQUEST = modbus.page_request(3, ABOUT)
TABLE = next(
    bytes.fromhex(c["hex"]) for c in captures("jk_ttl") if c["kind"] == "response-read-all" and c["checksum_ok"]
)


def recorded(chunks: Iterable[Chunk]) -> list[Chunk]:
    masker, found = Masker(), []
    for chunk in chunks:
        found += masker.feed(chunk)
    return found + masker.flush()


def pieces(*data: bytes, gap: float = 0.001) -> list[Chunk]:
    return [Chunk(n * gap, "rx", piece) for n, piece in enumerate(data)]


def joined(chunks: Iterable[Chunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks if chunk.direction == "rx")


def shapes(chunks: Iterable[Chunk]) -> list[tuple[float, str, int]]:
    return [(chunk.seconds, chunk.direction, len(chunk.data)) for chunk in chunks]


def no_secret(chunks: list[Chunk], *more: bytes) -> bytes:
    """No part of a secret anywhere, neither in a line of the file nor across lines."""
    text = "".join(line(chunk) for chunk in chunks)
    stream = joined(chunks)
    for secret in (PIN, PASSWORD, *more):
        for part in (secret, secret[:4], secret[-4:]):
            assert part not in stream
            assert part.hex() not in text
    return stream


WHOLE = REQUEST + FRAME + ACK + LIVE_FRAME
MASKED = REQUEST + jk02.masked(jk02.Frame(3, FRAME, 0)).payload + ACK + LIVE_FRAME


@pytest.mark.parametrize("position", range(1, len(WHOLE)))
def test_an_about_frame_cut_anywhere(position: int) -> None:
    chunks = pieces(WHOLE[:position], WHOLE[position:])
    found = recorded(chunks)
    assert no_secret(found) == MASKED
    assert shapes(found) == shapes(chunks)


def test_an_about_frame_byte_by_byte_and_what_is_valid_stays_valid() -> None:
    chunks = pieces(*(bytes((byte,)) for byte in WHOLE))
    found = recorded(chunks)
    assert no_secret(found) == MASKED
    assert shapes(found) == shapes(chunks)
    assert [type(e).__name__ for e in jk02.Framer().feed(joined(found))] == ["Short", "Frame", "Short", "Frame"]


@pytest.mark.parametrize("position", range(5, 300))
def test_a_pause_within_an_about_frame(position: int) -> None:
    no_secret(recorded([Chunk(0, "rx", FRAME[:position]), Chunk(1, "rx", FRAME[position:] + ACK)]))


@pytest.mark.parametrize("before", [b"", REQUEST], ids=["", "request"])
@pytest.mark.parametrize("lost", range(0, 300, 7))
def test_an_about_frame_that_lost_bytes(before: bytes, lost: int) -> None:
    """Behind the loss everything stands at another place."""
    for size in (1, 3, 50):
        stream = before + FRAME[:lost] + FRAME[lost + size :] + ACK + LIVE_FRAME
        found = recorded(pieces(stream[:100], stream[100:]))
        assert no_secret(found).endswith(ACK + LIVE_FRAME)


def test_an_about_frame_with_a_flipped_bit_or_without_its_end() -> None:
    damaged = bytearray(FRAME)
    damaged[250] ^= 4
    found = no_secret(recorded(pieces(bytes(damaged) + ACK)))
    assert found[299] == FRAME[299]  # the checksum is not made anew: that the frame is damaged stays visible
    no_secret(recorded(pieces(FRAME[:200])))
    no_secret(recorded([Chunk(0, "tx", REQUEST), Chunk(0.1, "rx", FRAME[40:])]))


def test_a_truncated_frame_that_passes_for_a_whole_one_together_with_the_next() -> None:
    """The checksum has 8 bits, so this happens once in 256 times."""
    start = bytearray(LIVE_FRAME[:200])
    start[150] = (start[150] + FRAME[99] - sum(start) - sum(FRAME[:99])) & 0xFF
    assert [type(event).__name__ for event in jk02.Framer().feed(bytes(start) + FRAME[:100])] == ["Frame"]
    no_secret(recorded(pieces(bytes(start) + FRAME + ACK)))


def test_an_answer_to_a_read_of_the_same_registers() -> None:
    data = FRAME[6 + 0x30 : 6 + 0x30 + 128]
    stream = modbus.read_request(3, 0x1430, 64) + modbus.closed(bytes((3, 3, 128)) + data)
    found = no_secret(recorded(pieces(*(bytes((byte,)) for byte in stream))))
    assert modbus.valid(found[8:])
    write = modbus.write_request(3, 0x1400 + 112, PASSWORD[:4])
    assert modbus.valid(no_secret(recorded(pieces(write))))
    other = modbus.write_request(3, 0x1400 + 256, b"abcd")
    assert joined(recorded(pieces(other))) == other


def test_a_table_of_the_first_generation() -> None:
    start = TABLE.index(b"\xb2") + 1
    secret = b"geheim1234"
    table = legacy.closed(TABLE[:start] + secret + TABLE[start + 10 :])
    for position in range(1, len(table), 3):
        stream = no_secret(recorded(pieces(table[:position], table[position:])), secret)
        assert legacy.parse(stream)
        assert len(legacy.readings(legacy.parse(stream))) == 3
    no_secret(recorded(pieces(table[:100] + table[101:])), secret)
    no_secret(recorded(pieces(table[60:])), secret)  # the capture began in the middle


def test_everything_else_stays_as_it_is() -> None:
    stream = bytes.fromhex(next(c["hex"] for c in captures("jk_pb") if c["id"] == "stream-v14-master0-slave7"))
    assert joined(recorded(pieces(*(stream[n : n + 13] for n in range(0, len(stream), 13))))) == stream
    noise = random.Random(3).randbytes(5000)
    noise = bytes(byte | 0x80 for byte in noise)  # nothing in it reads as text
    found = joined(recorded(pieces(stream, *(noise[n : n + 60] for n in range(0, len(noise), 60)))))
    assert found[len(stream) + 520 :] == noise[520:]


@pytest.mark.parametrize("lost", [1, 6, 60, 63, 119])
@pytest.mark.parametrize("position", range(0, 290, 3))
def test_a_secret_in_a_piece_that_belongs_to_nothing(lost: int, position: int) -> None:
    """Its header is damaged or was sent before the capture, and a pause comes before what tells what it was."""
    piece = FRAME[lost:]
    found = recorded([Chunk(0, "rx", LIVE_FRAME), Chunk(1, "rx", piece[:position]), Chunk(2, "rx", piece[position:])])
    stream = no_secret(found + recorded([Chunk(3, "rx", ACK)]))
    assert stream.startswith(LIVE_FRAME)


def test_bytes_are_held_back_no_longer_than_needed() -> None:
    masker = Masker()
    assert masker.feed(Chunk(0, "rx", FRAME[:200])) == []
    assert masker.feed(Chunk(0.1, "tx", REQUEST)) == []  # order is kept
    assert shapes(masker.feed(Chunk(0.2, "rx", FRAME[200:]))) == [(0, "rx", 200), (0.1, "tx", 11), (0.2, "rx", 100)]
    assert masker.feed(Chunk(1, "rx", b"\xff" * 10)) == []
    assert shapes(masker.feed(Chunk(1.4, "rx", LIVE_FRAME))) == [(1, "rx", 10), (1.4, "rx", 300)]
    for n in range(100):
        masker.feed(Chunk(2 + n / 100, "rx", b"\xff" * 100))
    assert sum(len(chunk.data) for chunk in masker.flush()) < 1200


PARTS = st.sampled_from([WHOLE, FRAME, ACK, LIVE_FRAME, REQUEST, b"\x55\xaa\xeb\x90\x03", b"NW\x01\x21", b"\xff\xff"])


@given(st.lists(st.one_of(PARTS, st.binary(max_size=30)), max_size=8), st.data())
def test_any_stream_in_any_pieces(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    chunks = pieces(*(stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)))
    found = recorded(chunks)
    assert shapes(found) == shapes(chunks)
    assert joined(found) == joined(recorded(pieces(stream)))
    if FRAME in stream:
        no_secret(found)


# --- the file ------------------------------------------------------------------------------------------


def test_a_file_is_read_as_it_was_written() -> None:
    chunks = [Chunk(0, "tx", REQUEST), Chunk(0.0312, "rx", LIVE_FRAME)]
    text = "\n".join([header("/dev/x", "2026-01-01T00:00:00+00:00", "1"), *map(line, chunks)]) + "\n"
    assert read(text, "f").chunks == chunks
    assert read(text[:-20], "f").chunks == chunks[:1]
    assert read(text, "f").header["target"] == "/dev/x"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "f is no capture"),
        ('{"a": 1}\n', "f is no capture"),
        ('{"jkbms_capture": 2}\n', "f: captures of version 2 are not known"),
        ('{"jkbms_capture": 1}\nx\n', "f, line 2: is not JSON"),
        ('{"jkbms_capture": 1}\n[]\n', "f, line 2: is no object"),
        ('{"jkbms_capture": 1}\n{"t": 1, "dir": "rx"}\n', "f, line 2: needs t"),
        ('{"jkbms_capture": 1}\n{"t": 1, "dir": "no", "hex": ""}\n', "f, line 2: needs t"),
        ('{"jkbms_capture": 1}\n{"t": NaN, "dir": "rx", "hex": ""}\n', "f, line 2: needs t"),
        (
            '{"jkbms_capture": 1}\n{"t": 2, "dir": "rx", "hex": ""}\n{"t": 1, "dir": "rx", "hex": ""}\n',
            "f, line 3: time runs backwards",
        ),
    ],
)
def test_a_file_that_is_none(text: str, problem: str) -> None:
    with pytest.raises(OptionsError, match=problem):
        read(text, "f")


# --- the command ---------------------------------------------------------------------------------------


def secretive(data: bytes) -> bytes:
    return with_secrets(data) if data[4:5] == b"\x03" and len(data) >= 300 else data


async def captured(folder: Path, *arguments: str) -> tuple[Recording, str]:
    async with program("capture", *arguments, str(folder / "c.jsonl")) as process:
        _, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        text = (folder / "c.jsonl").read_text()
        for secret in (PIN, PASSWORD):
            assert secret.hex() not in text
            assert secret not in bytes.fromhex("".join(json.loads(one).get("hex", "") for one in text.splitlines()))
        return read(text, "c"), err.decode()


def decoded(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert main(["decode", str(folder / "c.jsonl")]) == 0
    return [json.loads(one) for one in capsys.readouterr().out.splitlines()]


async def test_beside_a_master_nothing_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with serial_bus([SimulatedBms(2)], master=SimulatedBms(0), slot=0.05) as far:
        tape, err = await captured(tmp_path, "--port", far.port, "--seconds", "3", "--poll", "1-3")
        assert far.requests == []
    assert tape.header["target"] == far.port
    assert "only listening" in err
    assert {chunk.direction for chunk in tape.chunks} == {"rx"}
    assert 1.5 < tape.chunks[-1].seconds < 3.5
    assert {(x["address"], x["kind"]) for x in decoded(tmp_path, capsys)} == {
        (address, kind) for address in (0, 2) for kind in ("live", "settings")
    }


@pytest.mark.parametrize("chunk", [1, 64])
async def test_polled_over_a_pty(tmp_path: Path, capsys: pytest.CaptureFixture[str], chunk: int) -> None:
    async with serial_bus([SimulatedBms(1), SimulatedBms(2)], mangle=secretive, chunk=chunk) as far:
        tape, _ = await captured(tmp_path, "--port", far.port, "--seconds", "5", "--poll", "1,2")
        assert {register for _, _, register in far.requests} <= set(modbus.PAGES)
    assert {chunk.direction for chunk in tape.chunks} == {"rx", "tx"}
    assert Chunk(tape.chunks[0].seconds, "tx", modbus.page_request(1, LIVE)) == tape.chunks[0]
    found = decoded(tmp_path, capsys)
    assert {(x["address"], x["kind"]) for x in found} == {(a, k) for a in (1, 2) for k in ("live", "settings", "about")}


async def test_polled_over_tcp(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with tcp_bus([SimulatedBms(3)], mangle=secretive, chunk=7) as far:
        target = f"127.0.0.1:{far.port}"
        tape, _ = await captured(tmp_path, "--host", target, "--seconds", "5", "--poll", "3")
    assert tape.header["target"] == target
    assert {(x["address"], x["kind"]) for x in decoded(tmp_path, capsys)} == {
        (3, kind) for kind in ("live", "settings", "about")
    }


async def test_ctrl_c_ends_it_and_the_file_is_whole(tmp_path: Path) -> None:
    async with serial_bus([], master=SimulatedBms(0), slot=0.05) as far:
        async with program("capture", "--port", far.port, "--seconds", "60", str(tmp_path / "c")) as process:
            await until((tmp_path / "c").exists)
            await asyncio.sleep(2)
            process.send_signal(2)
            _, err = await process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in err.decode()
    assert len(read((tmp_path / "c").read_text(), "c").chunks) > 3


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--port", "/dev/nowhere", "F"], "/dev/nowhere does not exist; is the adapter plugged in?"),
        (["--host", "127.0.0.1:9", "F"], "127.0.0.1:9: "),
        (["--host", "127.0.0.1:x", "F"], "--host: '127.0.0.1:x' must be HOST or HOST:PORT"),
        (["--port", "/dev/nowhere", "--poll", "99", "F"], "--poll: addresses: addresses are 0 to 15"),
        (["--port", "/dev/nowhere", "--seconds", "0", "F"], "--seconds: must be more than 0"),
    ],
)
def test_one_line_and_status_1(
    arguments: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "c")
    assert main(["capture", *(path if one == "F" else one for one in arguments)]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"jkbms_addon: {problem}")
    assert err.count("\n") == 1
    assert not Path(path).exists()


async def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    async with serial_bus([]) as far:
        async with program("capture", "--port", far.port, str(tmp_path / "no" / "folder")) as process:
            _, err = await process.communicate()
    assert (process.returncode, err.decode()) == (
        1,
        f"jkbms_addon: {tmp_path}/no/folder cannot be written: No such file or directory\n",
    )
