"""Which layout a 300-byte frame has: told by its structure, so that no frame is read with the table of another.

Source: specification of Bluetooth, chapter 5; checked there on 2,487 frames of real units. ``32S`` is the layout of
RS485, ``24S`` that of software 6 to 10, ``JK04`` that of balancers, whose numbers are floats. None: it cannot be told.
"""

import re
import struct
from typing import Final, Literal

Name = Literal["32S", "24S", "JK04"]

BALANCER: Final = "this model is a balancer (JK04): it measures no current and no charge, and is not supported"
_ONE: Final = b"\x00\x00\x80\x3f"  # 1.0, with which the settings of a balancer begin
_NOTHING_24S: Final = bytes(4)
_FLOATS: Final = struct.Struct("<6x24f")
_CELLS_24S: Final = struct.Struct("<6x24HIH")  # cells, mask, average: all in mV
_CELLS_32S: Final = struct.Struct("<6x32HIH")
_VERSION: Final = re.compile(r"V?(\d{1,3})\.")
_MEAN: Final = 5  # mV that a unit's own average may lag behind its cells


def live_layout(payload: bytes) -> Name | None:
    """Layout of a frame of type 2 (300 bytes)."""
    cells_24s = _CELLS_24S.unpack_from(payload) if payload[54:58] != _NOTHING_24S and payload[57] == 0 else None
    if cells_24s and _sums(cells_24s, payload, 118):
        return "24S"
    cells_32s = _CELLS_32S.unpack_from(payload)
    if cells_32s[-2] and _sums(cells_32s, payload, 150):
        return "32S"
    floats = _FLOATS.unpack_from(payload)
    if any(floats) and all(value == 0 or 0.5 <= value <= 5 for value in floats):
        return "JK04"
    return _by_average(payload, cells_24s, cells_32s)


def _by_average(payload: bytes, cells_24s: tuple[int, ...] | None, cells_32s: tuple[int, ...]) -> Name | None:
    """Where a loose wire makes the cells differ from the voltage, their mean still stands beside them."""
    if cells_24s and _averages(cells_24s):
        return "24S"
    if cells_32s[-2]:
        return "32S" if _averages(cells_32s) else None
    # no cells at all: the temperature of the MOSFETs stands there twice, in a balancer never
    warm = payload[144:146]
    return "32S" if not any(cells_32s) and any(warm) and warm == payload[254:256] else None


def _sums(cells: tuple[int, ...], payload: bytes, at: int) -> bool:
    """Whether the cells, in series, make the voltage that stands at an offset, within 50 mV and 1 %."""
    voltage = int.from_bytes(payload[at : at + 4], "little")
    return abs(sum(cells[:-2]) - voltage) <= 50 + voltage // 100


def _averages(cells: tuple[int, ...]) -> bool:
    mask, average = cells[-2:]
    present = [cell for n, cell in enumerate(cells[:-2]) if mask >> n & 1]
    return abs(sum(present) - average * len(present)) <= _MEAN * len(present)


def settings_layout(payload: bytes) -> Name:
    """Layout of a frame of type 1 (300 bytes)."""
    if payload[6:10] == _ONE:
        return "JK04"
    return "32S" if any(payload[270:299]) else "24S"


def version_layout(software: str | None, model: str | None = None) -> Name | None:
    """Layout that software of this version speaks; None where the version cannot be read."""
    found = _VERSION.match(software or "")
    if found is None:
        return None
    major = int(found[1])
    if major < 6 or (model or "").replace("_", "-").startswith("JK-B5A24S"):
        return "JK04"
    return "32S" if major >= 11 else "24S"


def tells_protocols(payload: bytes, software: str | None) -> bool:
    """Whether a frame of type 3 goes on behind the password, as that of 32S does."""
    layout = version_layout(software)
    return layout == "32S" or (layout is None and any(payload[134:299]))
