"""Lines of serial CAN adapters. Oracle: python-can reads and writes the same text."""

from typing import Any

import can
import pytest
from can.interfaces.slcan import slcanBus
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.wire.can import Frame
from jkbms_addon.wire.slcan import LONGEST, Lines, parsed, written

FRAMES = st.one_of(
    st.builds(Frame, st.integers(0, 0x7FF), st.just(False), st.binary(max_size=8)),
    st.builds(Frame, st.integers(0, 0x1FFFFFFF), st.just(True), st.binary(max_size=8)),
)


class Port:
    write_timeout = None
    in_waiting = 0

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def flush(self) -> None:
        pass

    def read(self, size: int) -> bytes:
        taken, self.data = self.data[:size], self.data[size:]
        self.in_waiting = len(self.data)
        return taken


@pytest.fixture(scope="module")
def reference() -> Any:
    bus = slcanBus.__new__(slcanBus)
    bus.serialPortOrig = Port()
    return bus


@given(FRAMES)
def test_as_python_can_writes_it(reference: Any, frame: Frame) -> None:
    reference.serialPortOrig.data = b""
    reference.send(can.Message(arbitration_id=frame.can_id, is_extended_id=frame.extended, data=frame.data))
    assert written(frame) == reference.serialPortOrig.data
    assert parsed(written(frame)[:-1]) == frame


@given(st.lists(FRAMES), st.data())
def test_cut_anywhere(frames: list[Frame], data: st.DataObject) -> None:
    text = b"\r".join([b"13\a", b"z", *(written(frame)[:-1] for frame in frames), b""])
    lines, found = Lines(), []
    while text:
        size = data.draw(st.integers(1, len(text)))
        found += lines.feed(text[:size])
        text = text[size:]
    assert (found, lines.junk) == (frames, 0)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    lines = Lines()
    for frame in lines.feed(data):
        assert parsed(written(frame)[:-1]) == frame


@pytest.mark.parametrize(
    "line",
    [
        *("", "z", "V1013", "F00", "r2F40", "d2F40", "t2F48", "t2F4211", "t2F4911", "t8000", "T200000000"),
        *("t2F4111222233", "T2F40", "t2F41G1", "t2F41 1", "t2F41+1"),
    ],
)
def test_what_is_no_data_frame(line: str) -> None:
    assert parsed(line.encode()) is None


def test_time_stamps_of_the_adapter_do_not_count() -> None:
    assert parsed(b"t2f42abCD0FFF") == Frame(0x2F4, False, b"\xab\xcd")


def test_damaged_lines_are_counted_and_noise_is_bounded() -> None:
    lines = Lines()
    assert lines.feed(b"0B20F\rt2F411\rt2F4 111\r") == []
    assert lines.junk == 6 + 8
    assert lines.feed(b"x" * (LONGEST + 1)) == []
    assert lines.junk == 14 + LONGEST + 1
    assert lines.feed(b"\rt2F4155\r") == [Frame(0x2F4, False, b"\x55")]
