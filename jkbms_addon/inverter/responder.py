"""Owner of the inverter's RS485 line: the inverter asks, each query is answered from the latest decision.

Theory of operation. Nothing is ever said unasked. Without a decision there is no answer, which an inverter takes for a
battery that is gone. Unless the rate is given, both are tried in turn until a query with a right checksum was heard;
the one that worked is kept until nothing was heard for long. At the end the next queries are answered without a
charge current, then there is silence.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from jkbms_addon.battery.status import BusStatus
from jkbms_addon.charging.cadence import PERIOD
from jkbms_addon.charging.control import Control
from jkbms_addon.charging.decision import Decision
from jkbms_addon.errors import LinkError
from jkbms_addon.inverter import farewell
from jkbms_addon.inverter.dialects.pylontech_rs485 import BAUDRATES, OWN, Query, QueryFramer, answer
from jkbms_addon.inverter.emission import Emission
from jkbms_addon.inverter.options import InverterOptions
from jkbms_addon.inverter.several import portion
from jkbms_addon.inverter.state import said
from jkbms_addon.link.stream import Link, serial_link

_LOGGER = logging.getLogger(__name__)
LOOK: Final = 1.0  # s between two looks at the decision while nobody asks
UNASKED: Final = 10.0  # s without a query until the other rate is tried, and until nothing counts as sent
NOBODY: Final = "the inverter does not ask: look at its battery menu, the wiring (A and B) and the address"


class Responder:
    """Answers for ``control`` and notes in ``emission`` and ``link`` what came of it."""

    def __init__(self, options: InverterOptions, control: Control, emission: Emission, link: BusStatus) -> None:
        self._options, self._control, self._emission, self._link = options, control, emission, link
        self._rates = (options.baudrate,) if options.baudrate else BAUDRATES
        self._address: int | None = None
        self._said = True

    async def own(self, healed: Callable[[], None]) -> None:
        """Answer until cancelled, then take leave; ``LinkError`` when the port is not usable."""
        self._emission.silent(NOBODY)
        try:
            while True:
                rate = self._rates[0]
                async with serial_link(self._options.channel, rate) as link:
                    await self._serve(link, healed, rate)
                self._rates = (*self._rates[1:], rate)
        except LinkError as error:
            self._emission.silent(str(error))
            raise

    async def _serve(self, link: Link, healed: Callable[[], None], rate: int) -> None:
        """Answer until nobody asks any more, where another rate can be tried."""
        framer, heard = QueryFramer(), self._control.clock()
        try:
            while len(self._rates) == 1 or self._control.clock() - heard < UNASKED:
                for query in framer.feed(await link.read(LOOK)):
                    heard, self._emission.rate = self._control.clock(), rate
                    if self._answered(link, query, self._control.decision(heard)) and not self._link.connected:
                        self._link.up()
                        healed()
                self._look(heard)
        except asyncio.CancelledError:
            await farewell.told(self._take_leave(link, framer))
            raise
        finally:
            self._emission.emitting, self._emission.rate = False, None

    def _answered(self, link: Link, query: Query, decision: Decision | None) -> bool:
        """Answer a query that is for us; whether it was."""
        now, options = self._control.clock(), self._options
        self._link.frames += 1
        if query.address not in OWN or self._address not in (None, query.address):
            return False  # an inverter that looks for several groups must not find the same battery twice
        self._address = query.address
        self._emission.note(query.command, now)
        if decision is None:
            self._emission.silent(self._control.silence(now))
        else:
            link.write(answer(query, portion(said(decision, options.manufacturer), options.share)))
            self._emission.sent()
        return True

    def _look(self, heard: float) -> None:
        now = self._control.clock()
        if self._control.decision(now) is None:
            self._emission.silent(self._control.silence(now))
        elif now - heard >= UNASKED:
            self._address = None
            self._emission.silent(NOBODY)
        if self._emission.emitting is self._said:
            return
        self._said = self._emission.emitting
        if self._said:
            _LOGGER.info("inverter: answering on %s", self._options.channel)
        else:
            _LOGGER.info("inverter: nothing is said: %s", self._emission.why)

    async def _take_leave(self, link: Link, framer: QueryFramer) -> None:
        """Answer the next queries without a charge current, then fall silent."""
        while (decision := self._control.goodbye(self._control.clock())) is not None:
            for query in framer.feed(await link.read(PERIOD)):
                self._answered(link, query, decision)
