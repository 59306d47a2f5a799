"""Bytes of a UART-TTL port to ``4E 57`` messages, and what is wrong when no table is among them.

Source: specification of the UART-TTL protocol, chapters 1.3 and 2.2.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from jkbms_addon.acquisition.diagnosis import Reason
from jkbms_addon.acquisition.intake import Intake
from jkbms_addon.errors import FrameError
from jkbms_addon.link.stream import Link
from jkbms_addon.wire.ttl.frames import START, Frame, Framer, masked

_LOGGER = logging.getLogger(__name__)
TRACE = 5
SILENCE = 0.05  # seconds within a message after which it is given up (specification, 2.2)
ENOUGH = 8  # bytes; fewer are what an adapter makes when it is plugged in
STICKY = 30.0  # seconds for which a telling cause stands when later only silence is heard
MODBUS_START: Final = bytes.fromhex("55AAEB90")

SETTING = "set UART1 protocol 000 (4G-GPS Remote module Common protocol V4.2) in the JK app"
# the most telling first; each fits into a state, that is 255 characters
REASONS: Mapping[str, Reason] = {
    "modbus": Reason(
        "messages of the Modbus protocol (55 AA EB 90)",
        "the UART1 protocol of this BMS is 001",
        f"{SETTING}, or on a PB model use the strategy master",
    ),
    "damaged": Reason(
        "messages arrive damaged",
        "missing GND, long wires, or an adapter that is not made for 3.3 V TTL",
        f"check these; if nothing helps, {SETTING}",
    ),
    "garbage": Reason(
        "bytes that are no message of this protocol",
        "another UART1 protocol, or wires that are not connected",
        f"{SETTING}; check GND and that TX goes to RX",
    ),
    "echo": Reason(
        "only our own questions come back",
        "the adapter echoes, or RX and TX touch, and no BMS answers",
        f"check TX and RX, and {SETTING}",
    ),
    "mute": Reason(
        "the BMS answers, but does not tell its values",
        "it is starting, or not all of this protocol is switched on",
        SETTING,
    ),
    "nothing": Reason(
        "no answer",
        "the wires (RX and TX swapped, no GND), a BMS that is off, or another UART1 protocol",
        f"check these, then {SETTING}",
    ),
}


@dataclass(slots=True)
class Heard:
    """What came since it was last looked at; ``starts`` counts beginnings of our messages, whole or not."""

    frames: int = 0
    echoes: int = 0
    starts: int = 0
    junk: int = 0
    modbus: bool = False

    def cause(self) -> str:
        """Key of the reason that fits."""
        if self.modbus:
            return "modbus"
        if self.junk >= ENOUGH:
            return "damaged" if self.starts > self.frames else "garbage"
        if self.frames > self.echoes:
            return "mute"
        return "echo" if self.echoes else "nothing"


class Line:
    """The port as messages: traced without passwords, our own echo left out."""

    def __init__(self, link: Link, intake: Intake, silence: float = SILENCE) -> None:
        self._link, self._intake, self._silence = link, intake, silence
        self.clock = intake.clock
        self._framer, self._heard = Framer(), Heard()
        self._end = b""  # of the bytes before, as a start may come in pieces
        self._cause, self._caused = "", 0.0

    def ask(self, request: bytes) -> None:
        """Send; what was begun before is not completed any more. ``LinkError`` when the link is gone."""
        self._count(self._framer.flush())
        self._link.write(request)

    async def read(self, seconds: float) -> list[Frame]:
        """Messages that are complete with what comes next, within that time; ``LinkError`` when the link is gone."""
        data = await self._link.read(min(seconds, self._silence) if self._framer.waiting else seconds)
        if data:
            self._look(data)
            return self._count(self._framer.feed(data))
        return self._count(self._framer.flush())

    async def rest(self, seconds: float) -> None:
        """Say nothing for so long; what still comes answers an earlier question, so it is dropped."""
        end = self.clock() + seconds
        while (left := end - self.clock()) > 0:
            await self.read(left)

    def _look(self, data: bytes) -> None:
        """Signs of what speaks on the line."""
        joined = self._end + data
        self._heard.modbus |= MODBUS_START in joined
        # a start that was seen whole before is not counted again
        self._heard.starts += joined.count(START) - self._end.count(START)
        self._end = joined[1 - len(MODBUS_START) :]

    def _count(self, frames: Sequence[Frame]) -> list[Frame]:
        self._heard.junk += self._framer.junk
        self._heard.frames += len(frames)
        self._intake.stream(self._framer, self.clock())
        for frame in frames:
            self._trace(frame)
        answers = [frame for frame in frames if frame.kind != "echo"]
        self._heard.echoes += len(frames) - len(answers)
        return answers

    def _trace(self, frame: Frame) -> None:
        if not _LOGGER.isEnabledFor(TRACE):
            return
        try:
            shown = masked(frame.data).hex(" ")
        except FrameError as error:  # where the password stands is not known, so nothing is shown
            shown = f"{len(frame.data)} bytes of kind {frame.kind}: {error}"
        _LOGGER.log(TRACE, "%s <- %s", self._intake.status.name, shown)

    def cause(self, now: float) -> str:
        """Key of the likely reason why no table came since the last look; a telling one stands for a while."""
        order = list(REASONS)
        cause, self._heard = self._heard.cause(), Heard()
        if self._cause and order.index(cause) > order.index(self._cause) and now - self._caused < STICKY:
            return self._cause
        self._cause, self._caused = cause, now
        return cause

    def well(self) -> None:
        """A table came: earlier signs do not count any more."""
        self._heard, self._cause = Heard(), ""
