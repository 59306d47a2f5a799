"""Bytes in words: every message of a conversation, whatever pieces it comes in, and what is none."""

import json

import pytest

from jkbms_addon.doctor.masking import Masker
from jkbms_addon.doctor.recording import Chunk
from jkbms_addon.doctor.words import SHOWN, Word, Words, hexed
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb import modbus
from jkbms_addon.wire.ttl import frames as legacy
from tests.cli.test_capture import PASSWORD, PIN, with_secrets
from tests.conftest import captures

LIVE, ABOUT = modbus.LIVE, modbus.ABOUT
BMS = SimulatedBms(2, current=12.5)
TABLE = next(
    bytes.fromhex(c["hex"]) for c in captures("jk_ttl") if c["kind"] == "response-read-all" and c["checksum_ok"]
)


def answer(register: int) -> bytes:
    return BMS.page(register) + modbus.acknowledgement(2, register)


def told(words: Words, *talk: tuple[str, bytes], size: int = 64) -> list[Word]:
    """What is told of bytes that come in pieces."""
    found, now = [], 0.0
    for direction, data in talk:
        for start in range(0, len(data), size) if direction == "rx" else (0,):
            now += 0.01
            piece = data[start : start + size] if direction == "rx" else data
            found += words.take(Chunk(now, "rx" if direction == "rx" else "tx", piece))
    return [*found, *words.take(None)]


@pytest.mark.parametrize("size", [1, 64, 1000])
def test_a_question_and_its_answer(size: int) -> None:
    talk = (("tx", modbus.page_request(2, LIVE)), ("rx", answer(LIVE)))
    found = told(Words(), *talk, size=size)
    assert [(word.direction, word.kind) for word in found] == [("tx", "request"), ("rx", "frame"), ("rx", "ack")]
    asked, frame, acknowledged = found
    assert asked.said == acknowledged.said == {"a": 2, "page": "live"}
    assert frame.said["page"] == "live"
    assert frame.said["a"] == 2
    assert frame.said["a"] == 2
    assert frame.said["v"] > 40
    assert len(frame.data) == frame.said["n"] == 300
    assert hexed(frame.data).startswith("55 AA EB 90 02")
    assert hexed(frame.data).count(" ") == SHOWN
    assert json.dumps([word.said for word in found])


def test_what_is_no_message_is_told_where_it_stands() -> None:
    found = told(Words(), ("rx", b"\x13\x37" + answer(LIVE) + b"noise"), ("tx", b"odd"))
    assert [(word.kind, word.said.get("n")) for word in found] == [
        ("junk", 2),
        ("frame", 300),
        ("ack", None),
        ("junk", 5),
        ("junk", 3),
    ]


def test_a_frame_cut_short_is_junk() -> None:
    found = told(Words(), ("rx", BMS.page(LIVE)[:120]))
    assert {word.kind for word in found} == {"junk"}
    assert sum(word.said["n"] for word in found) == 120


def test_without_secrets_behind_a_masker() -> None:
    data = with_secrets(BMS.page(ABOUT)) + modbus.acknowledgement(2, ABOUT)
    masker, words, found = Masker(), Words(), list[Word]()
    for start in range(0, len(data), 64):
        for chunk in masker.feed(Chunk(start / 1000, "rx", answer(ABOUT)[start : start + 64])):
            found += words.take(chunk)
    for chunk in masker.flush():
        found += words.take(chunk)
    found += words.take(None)
    frame = next(word for word in found if word.kind == "frame")
    assert frame.said["page"] == "about"
    assert PIN in data
    assert PIN not in frame.data
    assert PASSWORD not in frame.data


def test_other_messages_of_a_bus() -> None:
    write = modbus.write_request(2, 0x1004, bytes(4))
    found = told(Words(), ("rx", write + modbus.exception_reply(2, modbus.WRITE, 3)))
    assert [(word.kind, dict(word.said)) for word in found] == [
        ("write", {"a": 2, "r": "1004"}),
        ("exception", {"a": 2, "r": "0000", "c": 3}),
    ]


def test_the_first_generation() -> None:
    found = told(Words(ttl=True), ("tx", legacy.READ_ALL), ("rx", TABLE))
    assert [word.kind for word in found] == ["asks", "table"]
    assert found[1].said["v"] > 10
