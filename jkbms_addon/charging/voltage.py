"""The charge voltage that is told: what the phase wants, what pulls it back, and why it is what it is. Pure.

Told is the lowest of the phase's target, the trim and the brake, plus the owner's offset, in steps that the wire can
say, never upwards. Nothing of it follows the battery up.
"""

from math import floor, inf
from typing import Final

from jkbms_addon.charging.cell_limits import Narrowest
from jkbms_addon.charging.memory import Memory, infinite
from jkbms_addon.charging.phases import Aims, Phases, Seen
from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.charging.together import Together
from jkbms_addon.charging.trim import Brake, FloatTrim, Trim

ANOTHER: Final = 1.0  # V below the least that it can be at which what was remembered is that of another battery
RESOLUTION: Final = 10  # steps per V of the voltage on the wire


class ChargeVoltage:
    """Phases, trims and brake. ``sent`` is what was told last, without the owner's offset; V of the bank."""

    def __init__(self, memory: Memory) -> None:
        self.phases = Phases(memory.progress())
        self.trim = Trim(infinite(memory.trim))
        self.float_trim, self.brake = FloatTrim(memory.float_trim), Brake(infinite(memory.brake))
        self.sent = infinite(memory.sent)
        self.charge = 0.0  # V per cell that counts in this phase
        self._wanted = inf
        self._checked = False

    def _check(self, one: Together, aims: Aims, narrowest: Narrowest) -> None:
        """Forget what was remembered and is so low that it can only be of another battery, or damaged."""
        self._checked = True
        floating, lowest = aims.floating * aims.cells - ANOTHER, narrowest.tapering * aims.cells - ANOTHER
        if self.trim.value < floating:
            self.trim = Trim()
        if self.brake.value < lowest:
            self.brake = Brake()
        if self.phases.progress.ramp < lowest:
            self.phases.progress.ramp = one.voltage

    def aim(
        self, one: Together, narrowest: Narrowest, setpoints: Setpoints, now: float, wall: float, seconds: float
    ) -> None:
        """Go on with the phase and the trims, before the currents are decided."""
        aims = self._aims(narrowest, setpoints)
        if not self._checked:
            self._check(one, aims, narrowest)
        seen = Seen(
            voltage=one.voltage / one.cells,
            hot=one.hot,
            spread=one.spread,
            current=one.current,
            capacity=one.capacity,
            state_of_charge=one.state_of_charge,
            sent=min(self.sent, aims.charge * aims.cells),
            trimmed=self.trim.active,
        )
        self._wanted = self.phases.step(seen, aims, now, wall, seconds)
        self.charge = aims.balance if self.phases.phase == "balance" else aims.charge
        self.trim.step(one.battery, self.charge, aims.floating, seconds)
        if self.phases.phase == "float" and self._wanted <= aims.floating * aims.cells:
            self.float_trim.step(one.battery, narrowest.floating, seconds)

    def tell(
        self, one: Together, narrowest: Narrowest, setpoints: Setpoints, now: float, seconds: float, *, stopped: bool
    ) -> tuple[float, str]:
        """What is told and why, once it is known whether charging is ``stopped``."""
        brake = self.brake.step(one.battery, narrowest.tapering, now, seconds, stopped=stopped)
        wanted = min(self._wanted, self.trim.value, brake)
        self.sent = downwards(wanted)
        told = downwards(wanted + setpoints.offset)
        offset = f", with an offset of {setpoints.offset:+.1f} V" if setpoints.offset else ""
        return told, f"charge up to {told:.1f} V: {self._why(one, narrowest, setpoints)}{offset}"

    def _aims(self, narrowest: Narrowest, setpoints: Setpoints) -> Aims:
        floating = narrowest.floating + self.float_trim.value / narrowest.cells
        return Aims(
            charge=narrowest.charge,
            floating=min(floating, narrowest.charge),
            balance=narrowest.balance,
            rebulk=narrowest.rebulk,
            cells=narrowest.cells,
            limit=setpoints.limit,
            drop=setpoints.drop,
            days=setpoints.days,
        )

    def _why(self, one: Together, narrowest: Narrowest, setpoints: Setpoints) -> str:
        trim, phase = self.trim.value, self.phases.phase
        if self.brake.value < min(self._wanted, trim):
            return f"brake, as {one.current:.0f} A flow although charging is stopped"
        if trim < self._wanted and one.hot > self.charge:
            return f"trimmed for cell {one.hottest.high.label} at {one.hottest.high.value:.2f} V"
        if trim < self._wanted:
            return f"trimmed, as the battery came to more than {narrowest.cells * self.charge:.1f} V"
        if phase == "limited":
            return f"limited to {setpoints.limit:.0f} %"
        if phase == "balance":
            return "balance voltage of the owner"
        return "float" if phase == "float" else narrowest.why


def downwards(voltage: float) -> float:
    """The voltage in steps that the wire can say, never a higher one."""
    return floor(round(voltage * RESOLUTION, 6)) / RESOLUTION
