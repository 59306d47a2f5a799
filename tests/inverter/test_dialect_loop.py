"""The loop of the charge control closed over every dialect: decision, bytes, what an inverter makes of them."""

import pytest

from jkbms_addon.charging.setpoints import Setpoints
from jkbms_addon.inverter.dialects import DIALECTS
from tests.charging.draws import a_plant, a_weather
from tests.charging.loop import Loop
from tests.charging.plant import HOUR, Kind, Plant, pack
from tests.inverter.reacting import KINDS, SPOKEN, Hearing

EVERY = pytest.mark.parametrize(("name", "kind"), SPOKEN, ids=str)


def allowed(name: str, charge_voltage: float | None = None) -> Setpoints:
    """What the options of this protocol make."""
    return Setpoints(charge_voltage=charge_voltage, soc_follows=DIALECTS[name].soc_decides)


def within_bounds(loop: Loop) -> None:
    """Never told above the ceiling, hardly above it, no cell near its protection, nothing that never arrived."""
    seen, plant = loop.seen, loop.plant
    assert seen.told_most <= 1e-6
    assert seen.voltage_most <= 0.3
    assert seen.above <= 60 * max(1.0, seen.days())
    assert seen.cell_most <= -0.03
    assert not any(one.openings for one in plant.packs)
    assert not seen.grid
    assert isinstance(plant.inverter, Hearing)
    assert not plant.inverter.dropped


def lit(loop: Loop) -> None:
    assert loop.seen.told_dark == 0
    assert loop.seen.dark == 0


def test_every_dialect_is_in_the_loop_as_its_file_says() -> None:
    assert set(KINDS) == set(DIALECTS), "say in KINDS of reacting.py how the inverters react that speak it"
    assert {name for name, kinds in KINDS.items() if "charge" in kinds or name == "sma"} == {
        name for name, one in DIALECTS.items() if one.soc_decides and one.port == "can"
    }
    assert [name for name, one in DIALECTS.items() if one.alarm_stops] == ["sma"]
    assert all("voltage" in KINDS[name] for name, one in DIALECTS.items() if one.obeys_voltage_only)


@EVERY
@pytest.mark.parametrize("offset", [-0.3, 0.3])
def test_never_above_the_owners_voltage(name: str, kind: Kind, offset: float) -> None:
    inverter = Hearing(kind, offset=offset, lag=8, tau=4, dialect=name)
    loop = Loop(Plant([pack(1, 100, 0.96, runner=0.004)], inverter), allowed(name, 3.40))
    loop.run(30 * 60, lambda _at: 48.0)
    within_bounds(loop)
    assert loop.seen.charged > 1.0


@EVERY
def test_one_weak_cell_never_darkens_the_house(name: str, kind: Kind) -> None:
    packs = [pack(n, 100, 0.5) for n in range(1, 5)]
    packs[0].cells[3].charge = 0.06
    loop = Loop(Plant(packs, Hearing(kind, dialect=name)), allowed(name))
    loop.run(1.5 * HOUR, lambda _at: -60.0, step=5.0)
    assert packs[0].shut  # its own BMS has opened
    lit(loop)
    within_bounds(loop)


@EVERY
def test_frost_stops_charging_and_nothing_else(name: str, kind: Kind) -> None:
    plant = Plant([pack(n, 100, 0.5, temperature=-6.0) for n in (1, 2)], Hearing(kind, dialect=name))
    for one in plant.packs:
        one.cold = -20.0  # the BMS would let it happen
    loop = Loop(plant, allowed(name))
    loop.run(300, lambda _at: -10.0)
    loop.run(HOUR, lambda _at: 40.0, step=5.0)
    loop.run(300, lambda _at: -10.0)
    assert loop.seen.charged < 0.01 * plant.capacity
    lit(loop)


@EVERY
def test_a_minute_without_any_battery_is_not_dark(name: str, kind: Kind) -> None:
    packs = [pack(n, 100, 0.5) for n in (1, 2)]
    loop = Loop(Plant(packs, Hearing(kind, dialect=name)), allowed(name))
    loop.run(60, lambda _at: -30.0)
    for one in packs:
        one.heard = False
    loop.run(60, lambda _at: -30.0)
    packs[0].heard = True  # one comes back, the other one stays away
    loop.run(300, lambda _at: -30.0)
    lit(loop)


@EVERY
@pytest.mark.parametrize("away", [3, 45])
def test_a_restart_of_the_program_is_not_dark(name: str, kind: Kind, away: int) -> None:
    loop = Loop(Plant([pack(n, 100, 0.5) for n in (1, 2)], Hearing(kind, dialect=name)), allowed(name))
    loop.run(60, lambda _at: -30.0)
    loop.restart(away)
    loop.run(60, lambda _at: -30.0)
    lit(loop)


def test_a_sunny_island_left_alone_for_longer_stays_off() -> None:
    """Which is why the manual says so."""
    loop = Loop(Plant([pack(1, 100, 0.5)], Hearing("discharger", dialect="sma")), allowed("sma"))
    loop.run(60, lambda _at: -30.0)
    loop.restart(75)
    loop.run(60, lambda _at: -30.0)
    assert not loop.plant.inverter.on


@pytest.mark.parametrize("name", [name for name, one in DIALECTS.items() if one.soc_decides and one.port == "can"])
def test_a_counter_that_has_drifted_darkens_no_house(name: str) -> None:
    """Inverters that go by the charge hear of one that follows the cells."""
    one = pack(1, 100, 0.6)
    one.counted = 4.0
    kind: Kind = "discharger" if name == "sma" else "charge"
    loop = Loop(Plant([one], Hearing(kind, dialect=name)), allowed(name))
    loop.run(180, lambda _at: -1.0)  # the cells rest
    loop.plant.inverter.on = True  # somebody presses start
    before = loop.seen.dark
    for _ in range(1800):
        loop.step(-1.0)
    assert loop.plant.inverter.on
    assert loop.seen.dark == before


@EVERY
def test_all_empty_ends_the_discharge_and_the_sun_brings_it_back(name: str, kind: Kind) -> None:
    packs = [pack(n, 100, 0.04) for n in (1, 2)]
    for one in packs:
        one.counted = 60.0  # which an inverter that goes by the charge would believe
    loop = Loop(Plant(packs, Hearing(kind, dialect=name)), allowed(name))
    loop.run(1.5 * HOUR, lambda _at: -30.0, step=4.0)
    assert loop.decision
    assert loop.decision.discharge_current == 0
    assert not loop.plant.inverter.on
    assert not any(one.shut for one in packs)
    loop.run(2 * HOUR, lambda _at: 40.0, step=5.0)
    loop.run(60, lambda _at: -10.0)
    assert loop.plant.inverter.on
    within_bounds(loop)


@EVERY
def test_an_empty_battery_that_sleeps_is_woken_after_a_restart(name: str, kind: Kind) -> None:
    """With the values that were heard last, and nothing where nobody knows one."""
    one = pack(1, 100, 0.012)
    one.counted = 7.0
    loop = Loop(Plant([one], Hearing(kind, dialect=name)), allowed(name))
    loop.run(60, lambda _at: -1.0)
    one.heard = False
    loop.run(5, lambda _at: 0.0)
    before = loop.plant.inverter
    assert isinstance(before, Hearing)
    told = {key: before.last[key] for key in ("state_of_charge", "voltage")}
    loop.restart(3)
    loop.plant.inverter = fresh = Hearing(kind, dialect=name)
    loop.run(90, lambda _at: 0.0)
    assert fresh.told[1:3] == (0, 0)
    assert loop.controller.wake(loop.now) == ""
    charged = loop.seen.charged
    loop.run(300, lambda _at: 20.0)
    assert fresh.told[1:3] == (5, 0)
    assert loop.seen.charged - charged > 0.3
    assert {key: fresh.last[key] for key in told} == told
    assert fresh.last.get("temperature") in (None, 25)  # what no battery told
    assert fresh.last.get("state_of_health") in (None, 100)
    loop.run(400, lambda _at: 20.0)
    assert fresh.told[1:3] == (0, 0)
    assert not fresh.dropped


@pytest.mark.parametrize(("name", "kind", "seed"), [(*one, n) for n, one in enumerate(SPOKEN)])
def test_random_installations_near_the_top(name: str, kind: Kind, seed: int) -> None:
    drawn = a_plant(2000 + seed, 0.94, kind=kind)
    theirs = drawn.inverter
    drawn.inverter = Hearing(
        kind, theirs.offset, theirs.lag, theirs.tau, theirs.ripple, theirs.most, theirs.own_limit, dialect=name
    )
    loop = Loop(drawn, allowed(name), poll=3.0, begin=10 * HOUR)
    loop.run(HOUR, a_weather(seed, drawn).surplus, step=2.0)
    within_bounds(loop)
    lit(loop)
