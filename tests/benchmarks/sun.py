"""The charge control over days of sun, clouds and house: ``python -m tests.benchmarks.sun 365`` for a year.

Two packs of 280 Ah with a cell that runs ahead, at each kind of inverter, whose meter reads 0.15 V high: full charges,
the longest time between two, hours with more than 3.40 V a cell, hours in which the house was dark although a battery
could serve it (must be 0), and how often limits changed.
"""

import sys
from itertools import pairwise

from jkbms_addon.charging.setpoints import Setpoints
from tests.benchmarks.figures import show
from tests.charging.draws import a_weather
from tests.charging.loop import Loop
from tests.charging.plant import DAY, HOUR, Inverter, Kind, Plant, pack

KINDS: tuple[Kind, ...] = ("both", "voltage", "charge")
STEP = 10.0  # s


def measure(days: float = 14.0, kinds: tuple[Kind, ...] = KINDS) -> None:
    """Print the figures."""
    for kind in kinds:
        packs = [pack(n, 280, 0.5, runner=0.003 * (n == 1), spread=0.01, balance_current=1.0) for n in (1, 2)]
        plant = Plant(packs, Inverter(kind, offset=0.15, lag=4.0, most=200.0))
        weather = a_weather(4, plant, peak=0.4, base=0.015, kettles=6, clouds=0.5)
        weather.seasons = days > 60
        loop = Loop(plant, Setpoints(soc_follows=kind == "charge"))
        seen = loop.run(days * DAY, weather.surplus, step=STEP)
        name = f"{days:.0f} days, inverter that obeys {WORDS[kind]}"
        ends = [0.0, *seen.full_at, days * DAY]
        show(f"{name}: full charges", len(seen.fulls), "")
        show(f"{name}: longest time without one", max(b - a for a, b in pairwise(ends)) / DAY, "d", 14)
        show(f"{name}: hours a day above 3.40 V a cell", seen.high / HOUR / days, "h", 2)
        show(f"{name}: hours dark although a pack could serve", (seen.told_dark + seen.dark) / HOUR, "h", 0)
        show(f"{name}: edges of charging to 0 a day", seen.charge_edges / days, "", 60 if kind == "voltage" else 30)
        show(f"{name}: edges of discharging a day", seen.discharge_edges / days, "", 5)
        show(f"{name}: most above the ceiling", seen.voltage_most, "V", 0.3)


WORDS = {"both": "both limits", "voltage": "the voltage alone", "charge": "the charge told"}


if __name__ == "__main__":
    measure(float(sys.argv[1]) if len(sys.argv) > 1 else 14.0)
