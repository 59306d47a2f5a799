"""Frames of a CAN bus for who looks at them: in words, and as the log of candump. Pure.

Nothing is blanked: no frame of a JK BMS holds a PIN, a password or a serial number.
"""

import re
from typing import Any, Final

from jkbms_addon.battery.alarms import WORD_NAMES
from jkbms_addon.battery.quantities import specs
from jkbms_addon.battery.reading import Reading
from jkbms_addon.doctor.recording import Passed
from jkbms_addon.doctor.words import Word
from jkbms_addon.errors import FrameError
from jkbms_addon.link.tap import Direction
from jkbms_addon.wire.can import Frame, Frames
from jkbms_addon.wire.candump import identified, written
from jkbms_addon.wire.jkcan.bus import Bus
from jkbms_addon.wire.jkcan.frames import V1_ALARMS, V2_LEVELS, Message, Version, decode, foreign
from jkbms_addon.wire.jkcan.kinds import ALM_INFO, BMSERR_INFO, EXTENDED, PLACES

DIALECT: Final = "of an unknown JK-like dialect, which gives other frames another meaning, too"
CHANNEL: Final = "can0"  # in a log, in place of the path of an adapter
INTERFACE: Final = re.compile(r"[\w.-]{1,15}")  # what the kernel takes for the name of one


def reading(frame: Frame, version: Version | None) -> Reading | None:
    """What a frame says, None where no JK BMS sends it; ``FrameError`` where it cannot be true."""
    can_id, extended, data = frame
    if foreign(can_id, extended):
        raise FrameError(DIALECT)
    message = decode(can_id, extended, data, version)
    return _reading(message, version) if message else None


def _reading(message: Message, version: Version | None) -> Reading:
    values = {key: value for key, value in message.values.items() if not key.startswith("_")}
    cells = values.pop("cell_voltage", None)
    if isinstance(cells, tuple):
        values.update({f"cell_voltage_{n}": cell for n, cell in enumerate(cells, message.first)})
    names: tuple[str, ...] = ()
    if message.kind == ALM_INFO.name:
        names = V1_ALARMS if version == 1 else V2_LEVELS
    elif message.kind == BMSERR_INFO.name:
        names = WORD_NAMES[:24]
    return Reading(message.address, message.kind, values, names, format="can")


class FrameWords:
    """Takes frames and tells of each id the newest, as a battery says the same fifty times a second."""

    def __init__(self) -> None:
        self._bus = Bus()  # finds out who speaks which version
        self._newest: dict[tuple[Direction, int, bool], tuple[float, Frame]] = {}
        self._taken = 0

    def take(self, passed: Passed[Frames] | None) -> None:
        """The next frames; None after a silence."""
        if passed is None:
            return
        for frame in passed.data:
            self._bus.heard(*frame, passed.seconds)
            key = passed.direction, frame.can_id, frame.extended
            self._newest.pop(key, None)  # the newest stands last
            self._newest[key] = passed.seconds, frame
            self._taken += 1

    def newest(self, most: int) -> tuple[list[Word], int]:
        """The newest since the last time, so many at most, and how many more frames there were."""
        shown = list(self._newest.items())[-most:]
        left_out = self._taken - len(shown)
        self._newest.clear()
        self._taken = 0
        return [self._word(at, key[0], frame) for key, (at, frame) in shown], left_out

    def _word(self, seconds: float, direction: Direction, frame: Frame) -> Word:
        said: dict[str, Any] = {"id": identified(frame)}
        version = self._version(frame)
        try:
            found = reading(frame, version)
        except FrameError as error:
            return Word(seconds, direction, frame.data, "impossible", {**said, "why": str(error)})
        if found is None:
            return Word(seconds, direction, frame.data, "stranger", said)
        told = [[key, value, _unit(key)] for key, value in found.values.items() if value is not None]
        said |= {"name": found.kind, "a": found.address, "version": version, "told": told}
        return Word(seconds, direction, frame.data, "can", said)

    def _version(self, frame: Frame) -> Version | None:
        _, address = PLACES.get(frame.can_id | EXTENDED if frame.extended else frame.can_id, (None, None))
        return None if address is None else self._bus.version(address)


def _unit(key: str) -> str | None:
    spec = specs().get(key) or specs().get(key.rpartition("_")[0])  # cells are numbered
    return spec.unit if spec else None


class FrameLog:
    """Takes frames, gives lines of a log of candump. ``began`` is s since 1970."""

    def __init__(self, target: str, began: float) -> None:
        self._channel = target if INTERFACE.fullmatch(target) else CHANNEL
        self._began, self._lines = began, list[str]()
        self.received = self.sent = 0

    def take(self, passed: Passed[Frames] | None) -> None:
        """The next frames; None after a silence and at the end."""
        if passed is None:
            return
        sent = passed.direction == "tx"
        at = self._began + passed.seconds
        self._lines += [written(frame, self._channel, at, sent=sent) for frame in passed.data]
        if sent:
            self.sent += len(passed.data)
        else:
            self.received += len(passed.data)

    def lines(self) -> list[str]:
        """What came since the last time."""
        found, self._lines = self._lines, []
        return found
