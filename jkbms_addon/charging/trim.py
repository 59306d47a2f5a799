"""What pulls the charge voltage back: a runner cell, a meter that is off, an inverter that ignores currents. Pure.

Theory of operation. Three corrections, each a voltage of the bank that may only lower what is told. The *trim* falls
while a cell is above the charge voltage or the battery above its ceiling, the faster the more, until it lies below the
battery, for a charger in regulation keeps the battery at the voltage told; a cell that runs ahead lets it come down to
just above the battery beforehand; it rises again slowly, and holds in between, so that nothing swings. The *float trim*
moves the float voltage by what the inverter's meter is off, or one that reads high empties the battery each day. The
*brake* lowers the voltage from the battery's downwards while current flows although none is allowed: some chargers obey
nothing but the voltage. All three survive a restart. Voltages are those of the bank in V unless named per cell.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

from jkbms_addon.charging.lasting import Lasting

RUNNER: Final = 0.02  # V above the charge voltage at which a cell is too high
HIGH: Final = 0.03  # V above the ceiling at which the battery is
WEIGHT: Final = 3.0
FALL: Final = 0.01  # V/s
STEEP: Final = 0.004  # V per cell of excess that doubles it
FASTEST: Final = 0.1  # V/s
BELOW_BATTERY: Final = 0.5  # V that the trim may lie below the battery
EARLY: Final = 0.005  # V above the charge voltage at which a cell that runs ahead is seen
AHEAD: Final = 0.012  # V above the mean that are ahead
ABOVE_BATTERY: Final = 0.3  # V above the battery to where the trim comes for it
APPROACH: Final = 0.2  # V/s
CALM: Final = 0.02  # V below the ceiling at which the trim may rise
RISE_BELOW: Final = 0.005  # V/s up to the battery's voltage
RISE_ABOVE: Final = 0.05 / 60  # V/s beyond it
FLOAT_BAND: Final = 0.1  # V
FLOAT_CURRENT: Final = 0.015  # A per Ah
FLOAT_RATE: Final = 0.05 / 60  # V/s
FLOAT_MOST: Final = 0.4  # V
BRAKE_CURRENT: Final = (0.3, 0.002)  # A, and A per Ah, that must not flow
BRAKE_AFTER: Final = 20.0  # s
BRAKE_RATE: Final = 0.1 / 10  # V/s


@dataclass(frozen=True, slots=True)
class Battery:
    """The bank at this moment: voltage, highest cell, current, Ah, number of cells."""

    voltage: float
    hot: float
    current: float
    capacity: float
    cells: int

    def excess(self, charge: float) -> float:
        """V per cell by which it is too high, where ``charge`` V per cell are wanted."""
        high = self.voltage - charge * self.cells - HIGH
        return max(self.hot - charge - RUNNER, WEIGHT * high / self.cells)


class Trim:
    """The correction in all phases; ``value`` is infinite while there is none."""

    def __init__(self, value: float = inf) -> None:
        self.value = value

    @property
    def active(self) -> bool:
        """Whether it lowers anything."""
        return self.value < inf

    def step(self, battery: Battery, charge: float, floating: float, seconds: float) -> float:
        """Go on by ``seconds``; ``charge`` and ``floating`` are V per cell."""
        ceiling, voltage = charge * battery.cells, battery.voltage
        value, excess = min(self.value, ceiling), battery.excess(charge)
        if excess > 0:
            rate = min(FASTEST, FALL * (1 + excess / STEEP))
            lowest = max(floating * battery.cells, voltage - BELOW_BATTERY)
            value = min(value, max(lowest, value - rate * seconds))
        elif battery.hot > charge + EARLY and battery.hot > voltage / battery.cells + AHEAD:
            value = min(value, max(voltage + ABOVE_BATTERY, value - APPROACH * seconds))
        elif battery.hot < charge and voltage < ceiling - CALM:
            if value < voltage:
                value = min(voltage, value + RISE_BELOW * seconds)
            else:
                value += RISE_ABOVE * seconds
        self.value = value if value < ceiling else inf
        return self.value


class FloatTrim:
    """What is added to the float voltage."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def step(self, battery: Battery, floating: float, seconds: float) -> None:
        """Go on by ``seconds`` at float; ``floating`` is V per cell."""
        aim = floating * battery.cells
        if battery.voltage < aim - FLOAT_BAND and battery.current < FLOAT_CURRENT * battery.capacity:
            self.value = min(FLOAT_MOST, self.value + FLOAT_RATE * seconds)
        elif battery.voltage > aim + FLOAT_BAND and battery.current > 0:
            self.value = max(-FLOAT_MOST, self.value - FLOAT_RATE * seconds)


class Brake:
    """The correction while no current is allowed and some flows; ``value`` is infinite while there is none."""

    def __init__(self, value: float = inf) -> None:
        self.value = value
        self._flows = Lasting()

    def step(self, battery: Battery, lowest: float, now: float, seconds: float, *, stopped: bool) -> float:
        """Go on by ``seconds``; ``stopped`` where the current allowed is 0, ``lowest`` is V per cell."""
        if not stopped:
            self.value = inf
            self._flows.clear()
            return self.value
        fixed, share = BRAKE_CURRENT
        flows = battery.current > max(fixed, share * battery.capacity)
        lasted = self._flows.step(flows, now)
        if flows and (self.value < inf or lasted >= BRAKE_AFTER):
            begin = min(self.value, battery.voltage)
            self.value = max(lowest * battery.cells, begin - BRAKE_RATE * seconds)
        return self.value
