"""Makes the decisions: once a second from the batteries, whatever the broker or the inverter's bus do.

The sender takes the latest one. A decision that is older than ``DEADMAN`` is no decision: should this loop
hang, the sender falls silent.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from math import inf

from jkbms_addon.bank.bank import BankState, BatteryBank
from jkbms_addon.bank.candidate import Member
from jkbms_addon.charging.cadence import Cadence
from jkbms_addon.charging.decide import Limiter
from jkbms_addon.charging.decision import Targets
from jkbms_addon.charging.setpoints import Policy
from jkbms_addon.charging.switch import Switch

_LOGGER = logging.getLogger(__name__)
DEADMAN = 3.0  # s
EARLY = 0.05  # s that a decision is made before it is sent


class Control:
    """The bank and the decision of this moment. ``clock`` is monotonic, in s; ``count`` grows with every step."""

    def __init__(
        self,
        members: Callable[[float], Sequence[Member]],
        clock: Callable[[], float],
        *,
        expected: int = 0,
        policy: Policy | None = None,
        switch: Switch | None = None,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._members, self._told = members, told
        self.clock, self.switch = clock, switch or Switch()
        self._bank = BatteryBank(expected)
        self._limiter = Limiter(policy) if policy else None
        self.state = BankState()
        self.count = 0
        self._targets: Targets | None = None
        self._fed = -inf
        self._absent: frozenset[str] = frozenset()
        self._present: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Decide once a second until cancelled."""
        cadence = Cadence(-EARLY)
        while True:
            self.step(self.clock())
            self._told()
            await asyncio.sleep(cadence.next(self.clock()) - self.clock())

    def step(self, now: float, *, stopping: bool = False) -> Targets | None:
        """Decide now; when ``stopping``, zero limits a few times and then nothing."""
        self.state = self._bank.step(self._members(now), now)
        if self._limiter:
            self._targets = self._limiter.step(self.state, now, enabled=self.enabled and not stopping)
        self._fed, self.count = now, self.count + 1
        self._tell_absence()
        return self._targets

    def decision(self, now: float) -> Targets | None:
        """What may be sent now; None for silence."""
        return self._targets if self._targets and not self._targets.expired(now) and not self.hangs(now) else None

    def hangs(self, now: float) -> bool:
        """Whether nobody has decided for too long."""
        return not now - self._fed < DEADMAN

    def silence(self, now: float) -> str:
        """Why there is nothing to send."""
        if self._fed > -inf and (self.hangs(now) or (self._targets and self._targets.expired(now))):
            return "no decision for 3 s: the program stood still"
        if not self.enabled:
            return self.switch.why_off
        absent = "; ".join(one.text for one in self.state.excluded)
        return f"no battery is heard: {absent}" if absent else "waiting for the first complete data of a battery"

    @property
    def enabled(self) -> bool:
        """Whether the inverter may be told something."""
        return self.switch.on

    def enable(self, *, on: bool) -> None:
        """Let the inverter be told something, or stop it with zero limits; kept over restarts."""
        self.switch.turn(on=on)

    def _tell_absence(self) -> None:
        """One line when a battery leaves the bank, and one when it is back."""
        absent = frozenset(one.name for one in self.state.excluded)
        for one in self.state.excluded:
            if one.name not in self._absent:
                level = logging.WARNING if one.name in self._present else logging.INFO
                _LOGGER.log(level, "bank: %s does not count: %s", one.name, one.reason)
        for name in sorted(self._absent - absent):
            _LOGGER.info("bank: %s counts again", name)
        self._absent = absent
        self._present = frozenset(view.name for view in self.state.counted)
