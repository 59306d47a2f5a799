"""Owner of the inverter's CAN bus: the full set once a second, built from the latest decision as it is sent.

Nothing is ever left to the kernel to repeat: when this task or the one that decides hangs, there is silence.
No frame is sent before the one before it was acknowledged, as far as the link tells. So at most one waits where
nobody listens, the first of a set, which permits nothing; the others never go out late.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from jkbms_addon.battery.status import BusStatus
from jkbms_addon.charging.cadence import PERIOD
from jkbms_addon.charging.control import Control
from jkbms_addon.charging.decide import GOODBYES
from jkbms_addon.charging.decision import Decision
from jkbms_addon.errors import LinkError
from jkbms_addon.inverter import farewell
from jkbms_addon.inverter.bounds import too_low
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.emission import Emission
from jkbms_addon.inverter.options import InverterOptions
from jkbms_addon.inverter.several import portion
from jkbms_addon.inverter.state import said
from jkbms_addon.inverter.turns import Turns
from jkbms_addon.inverter.watch import GONE, OtherSenders, Wish
from jkbms_addon.link.can import Channel, can_channel
from jkbms_addon.wire.can import Frame

_LOGGER = logging.getLogger(__name__)
GAP: Final = 0.012  # s between two looks whether a frame is gone
ACKNOWLEDGED: Final = 0.1  # s until another node must have acknowledged a frame
LOOK: Final = 0.1  # s between two looks at what the inverter sends
QUICK_LOOK: Final = 0.02  # s; the same where it asks and waits for an answer
REMIND: Final = 30.0  # s without a frame from the inverter until a serial adapter is told its settings again
REMIND_KNOWN: Final = 3.0  # s; the same where the inverter was heard before
FIRST_REMINDER: Final = 3.0  # s; one that started when it was opened has missed them


class Sender:
    """Sends for ``control`` and notes in ``emission`` and ``link`` what came of it."""

    def __init__(self, options: InverterOptions, control: Control, emission: Emission, link: BusStatus) -> None:
        self._options, self._control, self._emission, self._link = options, control, emission, link
        self._dialect = DIALECTS[options.protocol]
        self._others, self._wish = OtherSenders(self._dialect.ids), Wish()
        self._turns = Turns()
        self._remind_at = 0.0
        self._said = True

    async def own(self, healed: Callable[[], None]) -> None:
        """Send until cancelled, then take leave; ``LinkError`` when the bus is not usable."""
        options = self._options
        try:
            async with can_channel(
                options.channel, options.bitrate, set_up_link=options.set_up_link, confirm=True
            ) as channel:
                await self._serve(channel, healed)
        except LinkError as error:
            self._emission.silent(str(error))
            raise

    async def _serve(self, channel: Channel, healed: Callable[[], None]) -> None:
        self._turns = Turns()
        self._others.forget()
        self._remind_at = self._control.clock() + FIRST_REMINDER
        try:
            while True:
                await self._await_turn(channel)
                self._turns.begun(self._control.clock())
                await self._cycle(channel)
                if not self._link.connected:  # an open channel proves little, a cycle does
                    self._link.up()
                    healed()
                self._warn()
                await self._remind(channel)
        except asyncio.CancelledError:
            await farewell.told(self._take_leave(channel))
            raise
        finally:
            self._emission.emitting = self._emission.alone = False

    async def _cycle(self, channel: Channel) -> None:
        now = self._control.clock()
        decision = self._control.decision(now)
        if decision and (problem := too_low(self._dialect, decision)):
            self._emission.silent(problem)
        elif decision and await self._send(channel, decision):
            self._emission.sent()
        else:
            self._emission.silent(self._control.silence(self._control.clock()))
        self._tell()

    async def _send(self, channel: Channel, decision: Decision) -> bool:
        """One set; whether it went out whole before the decision expired."""
        options = self._options
        local, counted = datetime.now(UTC).astimezone(), self._emission.counted()
        told = portion(said(decision, options.manufacturer, local, counted), options.share)
        built = self._dialect.frames(
            told, options.dlc, options.cell_extremes, cell_numbers=options.cell_numbers, adapted=True
        )
        for can_id, data in built:
            # the loop may have stood still since the last frame
            if self._control.decision(self._control.clock()) is None:
                return False
            channel.send(Frame(can_id, extended=False, data=data))
            await asyncio.sleep(self._dialect.gap)
            await self._hear(channel)
            await self._acknowledged(channel)
        return True

    async def _acknowledged(self, channel: Channel) -> None:
        """Wait for the frame to be gone; ``LinkError`` when nobody takes it."""
        limit = self._control.clock() + ACKNOWLEDGED
        while channel.pending:
            if self._control.clock() >= limit:
                raise LinkError(f"{channel.name}: nobody acknowledges: inverter off, wiring, termination or bit rate")
            await asyncio.sleep(GAP)
            await self._hear(channel)

    # --- what the inverter sends ---------------------------------------------------------------------------
    async def _await_turn(self, channel: Channel) -> None:
        """Look at what the inverter sends until it is time for a set, or until it asks for one."""
        look = LOOK if self._dialect.query is None else QUICK_LOOK
        moment = self._turns.next(self._control.clock())
        while (now := self._control.clock()) < moment and not self._turns.answering(now):
            await asyncio.sleep(min(moment - now, look))
            await self._hear(channel)
            moment = max(moment, self._turns.next(now))

    async def _hear_until(self, channel: Channel, moment: float) -> None:
        """Look at what the inverter sends until it is time."""
        while (left := moment - self._control.clock()) > 0:
            await asyncio.sleep(min(left, LOOK))
            await self._hear(channel)

    async def _hear(self, channel: Channel) -> None:
        for frame in await channel.read(0):
            now = self._control.clock()
            self._link.frames += 1
            if frame.can_id in self._dialect.heard:
                self._emission.note(frame.can_id, now)
                self._wish.note(self._dialect.wish(frame.can_id, frame.data), now)
            if frame.can_id == self._dialect.query:
                self._turns.asked(now)
            if not frame.extended:
                self._others.note(frame.can_id, now)

    def _warn(self) -> None:
        now, heard = self._control.clock(), self._emission.heard_at
        # where the inverter is not heard, others might not be either
        self._emission.alone = heard is not None and now - heard <= GONE and self._others.none(now)
        problem = self._others.problem(now) or self._wish.text(now)
        if self._link.says(problem) and problem:
            _LOGGER.warning("inverter: %s", problem)

    async def _remind(self, channel: Channel) -> None:
        """An adapter whose power failed for a moment has forgotten its settings; the silence behind it shows that."""
        now, heard = self._control.clock(), self._emission.heard_at
        if heard is not None and now - heard <= FIRST_REMINDER:
            self._remind_at = heard + FIRST_REMINDER  # at once when the inverter falls silent, then now and then
        elif now >= self._remind_at:
            self._remind_at = now + (REMIND if heard is None else REMIND_KNOWN)
            await channel.restart()

    # --- beginning and end -----------------------------------------------------------------------------------
    async def _take_leave(self, channel: Channel) -> None:
        """Zero limits a few times, a second apart, then silence."""
        began = max(self._control.clock(), self._turns.earliest)
        for cycle in range(GOODBYES):
            await self._hear_until(channel, began + cycle * PERIOD)
            self._turns.begun(self._control.clock())
            decision = self._control.goodbye(self._control.clock())
            if decision is None or too_low(self._dialect, decision):
                break
            await self._send(channel, decision)

    def _tell(self) -> None:
        if self._emission.emitting is self._said:
            return
        self._said = self._emission.emitting
        if self._said:
            _LOGGER.info("inverter: sending on %s", self._options.channel)
        else:
            _LOGGER.info("inverter: nothing is sent: %s", self._emission.why)
