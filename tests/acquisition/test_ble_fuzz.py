"""Notifications that are lost, doubled, cut, noisy or of somebody else: nothing raises, nothing wrong is shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.acquisition.ble import Ble
from jkbms_addon.battery.plausibility import contradiction
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.simulator.ble import ABOUT_FRAME, LIVE_FRAME, SETTINGS_FRAME, BleUnit, BleWire
from jkbms_addon.simulator.pb import SimulatedBms
from jkbms_addon.wire.pb import commands
from jkbms_addon.wire.pb.layouts import live_layout
from tests.conftest import captures

CELLS = {"32S": 16, "24S": 13}
UNITS = {name: BleUnit(SimulatedBms(3, cells=cells, current=5.0), name) for name, cells in CELLS.items()}
LIVE = [bytes.fromhex(c["hex"]) for c in captures("jk_ble") if c["kind"] == "frame02"][::5]
# of real units of the other layouts, balancers too
STRANGERS = {name: [frame for frame in LIVE if live_layout(frame) not in (name, None)] for name in CELLS}
ORDER = (ABOUT_FRAME, SETTINGS_FRAME, LIVE_FRAME, LIVE_FRAME, SETTINGS_FRAME, LIVE_FRAME, LIVE_FRAME, LIVE_FRAME)
DAMAGE = ("keep",) * 6 + ("drop", "double", "cut", "noise", "junk", "beat", "acknowledge", "swap", "stranger")
MOST = 2000  # bytes that may wait for the rest of their message


def connected(layout: str) -> tuple[Ble, BusStatus]:
    """A source whose unit is proved."""
    status = BusStatus("b")
    source = Ble(BleWire(UNITS[layout]), status, 1)
    source.layout = layout  # type: ignore[assignment]
    return source, status


def heard(source: Ble, pieces: list[bytes]) -> list[Reading]:
    now = source._clock()
    return [reading for frame in source._frames(pieces) for reading in source._told(frame, now)]


def said(layout: str, mtu: int) -> list[bytes]:
    unit = UNITS[layout]
    unit.mtu, found = mtu, []
    for number in ORDER:
        unit.counter += 1
        found += unit.pieces(unit.frame(number))
    return found


def damaged(pieces: list[bytes], layout: str, data: st.DataObject) -> list[bytes]:
    """The pieces as a bad radio, a bad module or a second program would bring them."""
    found: list[bytes] = []
    for piece in pieces:
        what = data.draw(st.sampled_from(DAMAGE))
        noisy = bytearray(piece)
        if what == "noise":
            for place in data.draw(st.lists(st.integers(0, len(piece) - 1), min_size=1, max_size=4)):
                noisy[place] = data.draw(st.integers(0, 255))
        brought = {
            "drop": [],
            "double": [piece, piece],
            "cut": [piece[: data.draw(st.integers(0, len(piece)))]] if what == "cut" else [],
            "noise": [bytes(noisy)],
            "junk": [data.draw(st.binary(max_size=300)), piece] if what == "junk" else [],
            "beat": [commands.HEARTBEAT, piece + commands.HEARTBEAT],
            "acknowledge": [piece + commands.ACKNOWLEDGEMENT],
            "stranger": [data.draw(st.sampled_from(STRANGERS[layout])), piece] if what == "stranger" else [],
        }
        found += brought.get(what, [piece])
        if what == "swap" and len(found) > 1:
            found[-1], found[-2] = found[-2], found[-1]
    return found


@pytest.mark.parametrize("layout", CELLS)
@given(mtu=st.sampled_from([23, 115, 131, 247]), data=st.data())
def test_whatever_arrives_nothing_wrong_is_shown_and_the_stream_is_found_again(
    layout: str, mtu: int, data: st.DataObject
) -> None:
    source, status = connected(layout)
    for reading in heard(source, damaged(said(layout, mtu), layout, data)):
        values: Any = reading.values
        assert (reading.address, reading.kind in ("live", "settings", "about")) == (1, True)
        if reading.kind == "live":
            assert not contradiction(values)
            assert len(values["cell_voltage"]) == CELLS[layout]
    assert source.layout == layout
    assert source._framer.unfinished < MOST
    # however it was before: of what comes undamaged now every frame but the first is found, and the last believed
    before = status.frames
    told = heard(source, said(layout, mtu))
    assert status.frames - before >= len(ORDER) - 1
    assert told[-1].kind == "live"


@given(pieces=st.lists(st.binary(max_size=244), max_size=60))
def test_noise_alone_is_nobody(pieces: list[bytes]) -> None:
    source, status = connected("32S")
    assert heard(source, pieces) == []
    assert (status.frames, source._framer.unfinished < MOST) == (0, True)
