"""The history on disk: one line of JSON that describes it, then all columns, compressed together.

An unreadable file is thrown away with one line in the log; history is no loss that should stop anything.
"""

import json
import logging
import sys
import zlib
from array import array
from pathlib import Path
from typing import Any, Final

from jkbms_addon import kept
from jkbms_addon.page.history import HOURS, TIERS, History, Series, scale

_LOGGER = logging.getLogger(__name__)
NAME: Final = "history.bin"
VERSION: Final = 1
LARGEST: Final = 64 * 2**20  # bytes of a file that is looked at, compressed or not
# what a file may be that anybody could have written
UNUSABLE: Final = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
MOST: Final = 64  # series


def packed(history: History) -> "tuple[bytes, list[array[Any]]]":
    """Header and copies of all columns, quickly; ``write`` does the rest in a thread."""
    columns: list[array[Any]] = []
    described: dict[str, Any] = {}
    for key, series in history.series.items():
        tiers = []
        for ring in series.rings:
            tiers.append({"head": ring.head, "columns": list(ring.columns)})
            columns.extend(column[:] for column in ring.columns.values())
        hours = {"low": series.places.low, "high": series.places.high}
        places = {
            name: {str(hour): list(map(round, sums)) for hour, sums in one.items()} for name, one in hours.items()
        }
        described[key] = {"tiers": tiers, "places": places}
    header = {"version": VERSION, "order": sys.byteorder, "tiers": TIERS, "series": described}
    return json.dumps(header, separators=(",", ":")).encode(), columns


def write(path: Path, header: bytes, columns: "list[array[Any]]") -> str:
    """Replace the file as a whole; why not, where that failed. It blocks."""
    fresh = path.with_suffix(".new")
    try:
        data = zlib.compress(b"".join(column.tobytes() for column in columns), 1)
        fresh.write_bytes(header + b"\n" + data)
        fresh.replace(path)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror}"
    return ""


def read(path: Path) -> History:
    """The history of an earlier run; an empty one where there is none that can be used. It blocks."""
    try:
        header, _, data = kept.read(path, LARGEST).partition(b"\n")
        return _unpacked(json.loads(header), data)
    except FileNotFoundError:
        return History()
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        zlib.error,
    ) as error:
        _LOGGER.warning("%s is thrown away, as it cannot be read: %s", path, error)
        return History()


def _unpacked(header: dict[str, Any], data: bytes) -> History:
    if header["version"] != VERSION or header["tiers"] != [list(tier) for tier in TIERS]:
        raise ValueError("it is of another version")
    if len(header["series"]) > MOST:
        raise ValueError("it holds too many series")
    columns = _Columns(data, swap=header["order"] != sys.byteorder)
    history = History()
    for key, told in header["series"].items():
        history.series[key] = _series(told, columns)
    if not columns.done():
        raise ValueError("it does not fit its header")
    history.loaded()
    return history


class _Columns:
    """The columns of a file one after the other, so that it never lies in memory as a whole."""

    def __init__(self, data: bytes, *, swap: bool) -> None:
        self._unzip, self._rest, self._swap = zlib.decompressobj(), data, swap

    def next(self, rows: int) -> "array[int]":
        """The next column."""
        found, wanted = bytearray(), 2 * rows
        while len(found) < wanted:
            part = self._unzip.decompress(self._rest, wanted - len(found))
            self._rest = self._unzip.unconsumed_tail
            if not part and not self._rest:
                raise ValueError("it is not complete")
            found += part
        column = array("h")
        column.frombytes(found)
        if self._swap:
            column.byteswap()
        return column

    def done(self) -> bool:
        """Whether nothing is left, and what was there is as it was written."""
        return not self._unzip.decompress(self._rest, 1) and self._unzip.eof


def _series(told: dict[str, Any], columns: _Columns) -> Series:
    """One series as its header tells."""
    series = Series()
    for ring, tier in zip(series.rings, told["tiers"], strict=True):
        ring.head = int(tier["head"])
        for name in tier["columns"]:
            scale(name)  # KeyError where it is none of ours
            ring.columns[name] = columns.next(ring.rows)
    for hours, told_hours in ((series.places.low, told["places"]["low"]), (series.places.high, told["places"]["high"])):
        for hour, sums in list(told_hours.items())[:HOURS]:
            hours[int(hour)] = array("f", sums)
    return series
