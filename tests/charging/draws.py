"""Random plants, as the specification was tried on: by a seed, so that what failed can be looked at again."""

from random import Random

from tests.charging.plant import KINDS, Inverter, Kind, Pack, Plant, Weather, pack


def a_pack(random: Random, address: int, capacity: float, charge: float, *, runner: float, weak: float) -> Pack:
    """One pack with everything that differs from pack to pack."""
    found = pack(
        address,
        capacity,
        charge + random.uniform(-0.02, 0.0),
        runner=runner,
        weak=weak,
        spread=random.choice((0.0, 0.002, 0.01, 0.03, 0.06)),
        r0=random.uniform(0.05, 0.11),
        r1=random.uniform(0.05, 0.12),
        tau=random.uniform(60, 900),
        slow=random.uniform(0.05, 0.25),
        wiring=random.uniform(0.0008, 0.004),
        uvp=random.choice((2.6, 2.7, 2.8)),
        balance_current=random.choice((0.05, 0.4, 1.0, 2.0)),
        balance_above=random.uniform(3.35, 3.45),
        balance_spread=random.uniform(0.005, 0.015),
        counter_offset=random.uniform(-0.3, 0.3),
        counter_gain=random.uniform(0.99, 1.01),
    )
    found.uvp_back = found.uvp + random.uniform(0.05, 0.2)
    found.counted = min(100.0, max(0.0, found.counted + random.uniform(-8, 8)))
    return found


def a_plant(
    seed: int, charge: float, *, kind: Kind | None = None, offset: float | None = None, packs: int | None = None
) -> Plant:
    """One installation."""
    random = Random(seed)
    capacity = random.choice((50.0, 100.0, 200.0, 280.0, 314.0))
    count = random.choice((1, 1, 1, 2, 2, 3)) if packs is None else packs
    inverter = Inverter(
        random.choice(KINDS) if kind is None else kind,
        offset=random.uniform(-0.3, 0.3) if offset is None else offset,
        lag=random.uniform(0, 10),
        tau=random.uniform(0.5, 5),
        ripple=random.uniform(0, 0.03),
        most=0.5 * capacity * count,
    )
    runner = random.choice((0.0, 0.0, 0.003, 0.01, 0.02))
    weak = random.choice((0.0, 0.0, 0.03, 0.1))
    found = [
        a_pack(random, n, capacity, charge, runner=runner if n == 1 else 0.0, weak=weak if n == 1 else 0.0)
        for n in range(1, count + 1)
    ]
    return Plant(found, inverter, random, common=random.uniform(0, 0.0015))


def a_weather(seed: int, plant: Plant, **fixed: float) -> Weather:
    """Sun and house of that installation."""
    random = Random(seed + 1)
    return Weather(
        random,
        plant.capacity,
        peak=fixed.get("peak", random.uniform(0.15, 0.8)),
        base=fixed.get("base", random.uniform(0.005, 0.04)),
        kettles=int(fixed.get("kettles", random.randint(0, 12))),
        clouds=fixed.get("clouds", random.choice((0.0, 0.3, 0.6))),
    )
