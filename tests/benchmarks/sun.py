"""The charge control over days of sun, clouds and house: ``python -m tests.benchmarks.sun 365`` for a year.

Two packs of 280 Ah with a cell that runs ahead, at each kind of inverter, whose meter reads 0.15 V high: full charges,
the longest time between two, days on which one was due and the sun could have made it and none came, hours with more
than 3.40 V a cell, hours in which the house was dark although a battery could serve it (must be 0), and how often
limits changed.
"""

import sys
from dataclasses import dataclass, field
from itertools import pairwise

from jkbms_addon.charging.setpoints import Setpoints
from tests.benchmarks.figures import show
from tests.charging.draws import a_weather
from tests.charging.loop import Loop
from tests.charging.plant import DAY, HOUR, Inverter, Kind, Plant, Weather, pack

KINDS: tuple[Kind, ...] = ("both", "voltage", "charge")
STEP = 10.0  # s
DUE = 14.0  # d


@dataclass(slots=True)
class Ideal:
    """A battery without resistance that takes what comes: on which days the sun could have filled it to the end."""

    weather: Weather
    charge: float = 0.5  # of its capacity
    spare: float = 0.0  # of its capacity, that came on this day although it was full
    days: list[int] = field(default_factory=list)
    _day: int = 0

    def surplus(self, at: float) -> float:
        """A of the weather, noted on the way."""
        amps = self.weather.surplus(at)
        if (day := int(at // DAY)) != self._day:
            self._day, self.spare = day, 0.0
        now = self.charge + amps * STEP / HOUR / self.weather.capacity
        self.charge = min(1.0, max(0.0, now))
        before, self.spare = self.spare, self.spare + max(0.0, now - 1.0)
        if before < SPARE <= self.spare:
            self.days.append(day)
        return amps


SPARE = 0.1  # of the capacity: a float charge, its end and a quarter of an hour of kettles


def measure(days: float = 14.0, kinds: tuple[Kind, ...] = KINDS) -> None:
    """Print the figures."""
    for kind in kinds:
        packs = [pack(n, 280, 0.5, runner=0.003 * (n == 1), spread=0.01, balance_current=1.0) for n in (1, 2)]
        plant = Plant(packs, Inverter(kind, offset=0.15, lag=4.0, most=200.0))
        weather = a_weather(4, plant, peak=0.4, base=0.015, kettles=6, clouds=0.5)
        weather.seasons = days > 60
        loop, ideal = Loop(plant, Setpoints(soc_follows=kind == "charge")), Ideal(weather)
        seen = loop.run(days * DAY, ideal.surplus, step=STEP)
        name = f"{days:.0f} days, inverter that obeys {WORDS[kind]}"
        ends = [0.0, *seen.full_at, days * DAY]
        missed = [day for a, b in pairwise(ends) for day in ideal.days if a / DAY + DUE < day and day + 1 < b / DAY]
        show(f"{name}: full charges", len(seen.fulls), "")
        show(f"{name}: longest time without one", max(b - a for a, b in pairwise(ends)) / DAY, "d")
        show(f"{name}: days on which a full charge was due and possible, and none came", len(missed), "", 0)
        show(f"{name}: hours a day above 3.40 V a cell", seen.high / HOUR / days, "h", 2)
        show(f"{name}: hours dark although a pack could serve", (seen.told_dark + seen.dark) / HOUR, "h", 0)
        show(f"{name}: edges of charging to 0 a day", seen.charge_edges / days, "", 60 if kind == "voltage" else 30)
        show(f"{name}: edges of discharging a day", seen.discharge_edges / days, "", 5)
        show(f"{name}: most above the ceiling", seen.voltage_most, "V", 0.3)


WORDS = {"both": "both limits", "voltage": "the voltage alone", "charge": "the charge told"}


if __name__ == "__main__":
    measure(float(sys.argv[1]) if len(sys.argv) > 1 else 14.0)
