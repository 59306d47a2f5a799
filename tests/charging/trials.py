"""Any installation with anything that can happen to it: the loop closed, and what must not have come of it.

``python -m tests.charging.trials 0 200`` tries the seeds from 0 to 199 and prints what failed.
"""

import sys
from dataclasses import dataclass
from random import Random

from jkbms_addon.charging.setpoints import Setpoints
from tests.charging.draws import a_plant, a_weather
from tests.charging.loop import Loop
from tests.charging.plant import HOUR

ALARMS = (
    "charge_under_temperature_protection",
    "battery_over_voltage_protection",
    "cell_under_voltage_protection",
    "discharge_over_current_protection",
    "mosfet_over_temperature_protection",
)
TOP, LOW, MIDDLE = (0.86, 0.99), (0.02, 0.18), (0.3, 0.7)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to a pack, or to the program, at a time and for a while; s."""

    at: float
    lasts: float
    what: str
    pack: int


def events(random: Random, packs: int, begin: float, hours: float) -> list[Event]:
    """Up to three of them."""
    found = []
    for _ in range(random.choice((0, 0, 1, 2, 3))):
        what = random.choice(("silent", "silent", "all silent", "restart", *ALARMS))
        lasts = random.choice((5.0, 30.0, 60.0, 300.0))
        found.append(Event(begin + random.uniform(60, hours * HOUR - 400), lasts, what, random.randint(1, packs)))
    return sorted(found, key=lambda event: event.at)


def trial(seed: int, hours: float = 1.0, step: float = 1.0) -> tuple[Loop, list[str]]:
    """One installation for some hours; what went wrong."""
    random = Random(seed * 7 + 3)
    charge = random.uniform(*random.choice((TOP, TOP, LOW, MIDDLE)))
    plant = a_plant(seed, charge)
    weather = a_weather(seed, plant)
    begin = random.uniform(8, 15) * HOUR
    options = Setpoints(
        charge_voltage=random.choice((None, None, 3.40, 3.48, 3.55)),
        soc_limit=random.choice((None, None, None, 80.0)),
        soc_follows=random.random() < 0.5,
    )
    loop = Loop(plant, options, poll=random.choice((1.0, 2.0, 3.0)), begin=begin)
    problems = [] if plant.inverter.kind != "neither" else ["kind"]
    waiting, active = events(random, len(plant.packs), begin, hours), list[Event]()
    while loop.now < begin + hours * HOUR:
        while waiting and waiting[0].at <= loop.now:
            active.append(waiting.pop(0))
            if active[-1].what == "restart":
                loop.restart(2.0)
        active = [event for event in active if loop.now < event.at + event.lasts]
        _apply(loop, active)
        loop.step(weather.surplus(loop.now), step)
    return loop, problems + verdict(loop)


def _apply(loop: Loop, active: list[Event]) -> None:
    for one in loop.plant.packs:
        mine = [event.what for event in active if event.pack == one.address]
        one.heard = "silent" not in mine and not any(event.what == "all silent" for event in active)
        one.raised = tuple(name for name in mine if name in ALARMS)


def verdict(loop: Loop) -> list[str]:
    """What must not be: the five properties of the specification."""
    seen, plant = loop.seen, loop.plant
    days = max(1.0, seen.days())
    bound = 0.4 if plant.inverter.kind == "current" else 0.3
    rules = (
        (seen.told_most > 1e-6, f"(a) told {seen.told_most:.2f} V above the ceiling"),
        (seen.voltage_most > bound, f"(a) battery {seen.voltage_most:.2f} V above the ceiling"),
        (seen.above > 60 * days, f"(a) {seen.above:.0f} s more than 0.1 V above the ceiling"),
        (seen.cell_most > -0.03, f"(b) a cell {-seen.cell_most:.3f} V from its protection"),
        (any(one.openings for one in plant.packs), "(b) a BMS opened by over-voltage"),
        (seen.told_dark > 0, f"(c) {seen.told_dark:.0f} s of discharging 0 although a pack could"),
        (seen.grid, "(d) the grid was asked"),
        (any(charge < 0.95 for charge in seen.fulls), f"(e) full at {min(seen.fulls, default=1):.3f}"),
    )
    return [text for broken, text in rules if broken]


def main() -> None:
    """Try the seeds from the first to the last argument."""
    first, last = (int(argument) for argument in sys.argv[1:3])
    failed = 0
    for seed in range(first, last):
        loop, problems = trial(seed)
        failed += bool(problems)
        if problems:
            inverter = loop.plant.inverter
            print(
                seed, inverter.kind, f"{inverter.offset:+.2f} V", f"{loop.plant.capacity:.0f} Ah", problems, flush=True
            )
    print(f"{failed} of {last - first} failed")


if __name__ == "__main__":
    main()
