"""Any installation with anything that can happen to it: the loop closed, and what must not have come of it.

``python -m tests.charging.trials 0 200`` tries the seeds from 0 to 199 and prints what failed; the tests let
hypothesis draw.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from jkbms_addon.charging.setpoints import Setpoints
from tests.charging.draws import a_plant, a_weather
from tests.charging.loop import Loop
from tests.charging.plant import HOUR, Plant, Weather

ALARMS = (
    "charge_under_temperature_protection",
    "battery_over_voltage_protection",
    "cell_under_voltage_protection",
    "discharge_over_current_protection",
    "mosfet_over_temperature_protection",
)
SILENT, ALL_SILENT, RESTART, FROST = "silent", "all silent", "restart", "frost"
HAPPENINGS = (SILENT, ALL_SILENT, RESTART, FROST, *ALARMS)
COLD = -6.0  # °C
TOP, LOW, MIDDLE = (0.86, 0.99), (0.02, 0.18), (0.3, 0.7)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to a pack, or to the program, at a time and for a while; s."""

    at: float
    lasts: float
    what: str
    pack: int


@dataclass(frozen=True, slots=True)
class Change:
    """What the owner changes at a time; s."""

    at: float
    setpoints: Setpoints


@dataclass(slots=True)
class Case:
    """One installation, and what happens to it from ``begin`` on; s of a day."""

    plant: Plant
    weather: Weather
    options: Setpoints = field(default_factory=Setpoints)
    events: Sequence[Event] = ()
    changes: Sequence[Change] = ()
    poll: float = 2.0
    begin: float = 10 * HOUR
    hours: float = 1.0


def events(random: Random, packs: int, begin: float, hours: float) -> list[Event]:
    """Up to three of them."""
    found = []
    for _ in range(random.choice((0, 0, 1, 2, 3))):
        what = random.choice((SILENT, *HAPPENINGS))
        lasts = random.choice((5.0, 30.0, 60.0, 300.0))
        found.append(Event(begin + random.uniform(60, hours * HOUR - 400), lasts, what, random.randint(1, packs)))
    return sorted(found, key=lambda event: event.at)


def drawn(seed: int, hours: float = 1.0) -> Case:
    """The case of a seed."""
    random = Random(seed * 7 + 3)
    charge = random.uniform(*random.choice((TOP, TOP, LOW, MIDDLE)))
    plant = a_plant(seed, charge)
    begin = random.uniform(8, 15) * HOUR
    options = Setpoints(
        charge_voltage=random.choice((None, None, 3.40, 3.48, 3.55)),
        soc_limit=random.choice((None, None, None, 80.0)),
        soc_follows=random.random() < 0.5,
    )
    poll, happening = random.choice((1.0, 2.0, 3.0)), events(random, len(plant.packs), begin, hours)
    changes = []
    if random.random() < 0.3:
        wanted = random.choice(
            (
                *({"charge_voltage": 3.40}, {"charge_voltage": 3.50}, {"soc_limit": 70.0}),
                *({"charging": False}, {"discharging": False}),
            )
        )
        changes = [Change(begin + random.uniform(60, 0.9 * hours * HOUR), replace(options, **wanted))]
    return Case(plant, a_weather(seed, plant), options, happening, changes, poll, begin, hours)


def play(case: Case, step: float = 1.0) -> tuple[Loop, list[str]]:
    """Let it happen; what went wrong."""
    loop = Loop(case.plant, case.options, poll=case.poll, begin=case.begin)
    waiting, active, changes = list(case.events), list[Event](), list(case.changes)
    while loop.now < case.begin + case.hours * HOUR:
        while waiting and waiting[0].at <= loop.now:
            active.append(waiting.pop(0))
            if active[-1].what == RESTART:
                loop.restart(2.0)
        while changes and changes[0].at <= loop.now:
            loop.change(changes.pop(0).setpoints)
        active = [event for event in active if loop.now < event.at + event.lasts]
        _apply(loop, active)
        loop.step(case.weather.surplus(loop.now), step)
    return loop, verdict(loop)


def trial(seed: int, hours: float = 1.0, step: float = 1.0) -> tuple[Loop, list[str]]:
    """The installation of a seed for some hours; what went wrong."""
    return play(drawn(seed, hours), step)


def _apply(loop: Loop, active: Sequence[Event]) -> None:
    for one in loop.plant.packs:
        mine = [event.what for event in active if event.pack == one.address]
        one.heard = SILENT not in mine and not any(event.what == ALL_SILENT for event in active)
        one.raised = tuple(name for name in mine if name in ALARMS)
        one.temperature = COLD if FROST in mine else 20.0


def verdict(loop: Loop) -> list[str]:
    """What must not be: the five properties of the specification, and what the owner switched off."""
    seen, plant = loop.seen, loop.plant
    days = max(1.0, seen.days())
    bound = 0.4 if plant.inverter.kind == "current" else 0.3
    # no promise is made of an inverter that heeds neither limit, but what is *told* is promised for each
    obeyed = plant.inverter.kind != "neither"
    rules = (
        (seen.told_most > 1e-6, f"(a) told {seen.told_most:.2f} V above the ceiling"),
        (obeyed and seen.voltage_most > bound, f"(a) battery {seen.voltage_most:.2f} V above the ceiling"),
        (obeyed and seen.above > 60 * days, f"(a) {seen.above:.0f} s more than 0.1 V above the ceiling"),
        (obeyed and seen.cell_most > -0.03, f"(b) a cell {-seen.cell_most:.3f} V from its protection"),
        (obeyed and any(one.openings for one in plant.packs), "(b) a BMS opened by over-voltage"),
        (seen.told_dark > 0, f"(c) {seen.told_dark:.0f} s of discharging 0 although a pack could"),
        (seen.sure_dark > 0, f"(c) {seen.sure_dark:.0f} s of discharging 0 although a pack was well"),
        (seen.mute > 17, f"(c) {seen.mute:.0f} s without a word although a pack was well"),
        (seen.blind_dark > 0, f"(c) {seen.blind_dark:.0f} s of discharging 0 right after all data were lost"),
        (seen.grid, "(d) the grid was asked"),
        (any(charge < 0.95 for charge in seen.fulls), f"(e) full at {min(seen.fulls, default=1):.3f}"),
        (seen.disobeyed > 1.5, f"told for {seen.disobeyed:.0f} s although it was switched off"),
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
