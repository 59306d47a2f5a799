import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jkbms_addon.battery.energy import (
    BANK,
    FLOWING,
    GAP,
    NAME,
    SAVE_EVERY,
    Energies,
    Energy,
    Moment,
    combined,
    moment,
    own,
    upper,
)
from jkbms_addon.kept import JsonFile
from tests.conftest import until

PACK = {"total_voltage": 50.0, "current": 20.0, "state_of_charge": 50, "full_charge_capacity": 100.0}


class World:
    """Both clocks in our hands, and a program that can be stopped or killed."""

    def __init__(self, folder: Path) -> None:
        self.now, self.wall, self.folder = 1000.0, 1.8e9, folder
        self.start()

    def start(self) -> None:
        self.energies = Energies(JsonFile(self.folder / NAME), lambda: self.now, lambda: self.wall)

    def write(self) -> None:
        content = self.energies.content()
        self.energies.wrote(content, kept=self.energies.save(content))

    def stop(self) -> None:
        self.energies.save(self.energies.content())

    def flow(self, power: float, seconds: float, step: float = 10, **more: Any) -> None:
        """``power`` at 50 V for so long; the first moment joins what came before."""
        end = self.now + seconds
        while self.now < end:
            self.take(power, **more)
            self.now += min(step, end - self.now)
            self.wall += step
        self.take(power, **more)

    def take(self, power: float, **more: Any) -> None:
        told = {"remaining": 50.0, "capacity": 100.0, "nominal": 50.0, "soc": 50.0, **more}
        self.energies.take("a/1", Moment(self.now, power, power / 50, **told))

    def energy(self) -> Energy:
        found = self.energies.of("a/1")
        assert found is not None
        return found

    def counted(self) -> tuple[float, float]:
        counts = self.energies.accounts["a/1"].counts
        return counts.charged, counts.discharged


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_hour_of_a_kilowatt_is_a_kilowatt_hour(world: World) -> None:
    world.flow(1000, 3600)
    assert world.counted() == pytest.approx((1000, 0))
    world.now += GAP + 1  # the change of direction is not joined
    world.flow(-500, 3600)
    assert world.counted() == pytest.approx((1000, 500))


def test_what_crosses_zero_is_parted_there() -> None:
    assert upper(100, -100) == pytest.approx(25)
    assert upper(-100, 100) == pytest.approx(25)
    assert upper(30, -90) == pytest.approx(30 * 30 / 240)
    assert upper(-10, -20) == 0
    assert upper(0, 0) == 0
    for before, after in ((3.0, -7.0), (-2.0, 5.0), (4.0, 8.0)):
        assert upper(before, after) - upper(-before, -after) == pytest.approx((before + after) / 2)


def test_a_gap_is_not_counted_and_one_at_the_limit_is(world: World) -> None:
    world.take(1000)
    world.now += GAP
    world.take(1000)
    at_limit = 1000 * GAP / 3600
    assert world.counted()[0] == pytest.approx(at_limit)
    world.now += GAP + 0.1
    world.take(1000)
    assert world.counted()[0] == pytest.approx(at_limit)


def test_the_same_moment_counts_once(world: World) -> None:
    world.take(1000)
    world.now += 10
    for _ in range(5):
        world.take(1000)
    assert world.counted()[0] == pytest.approx(1000 * 10 / 3600)


def test_shown_is_what_is_on_disk(world: World) -> None:
    world.flow(1000, 360)
    assert world.energy().charged == 0
    assert world.energies.due()
    world.write()
    assert world.energy().charged == pytest.approx(0.1)
    assert not world.energies.due()
    world.now += SAVE_EVERY - 1
    assert not world.energies.due()
    world.now += 1
    assert world.energies.due()


def test_a_stop_loses_nothing_and_a_crash_takes_nothing_back(world: World) -> None:
    world.flow(1000, 360)
    world.stop()
    world.start()
    assert world.energy().charged == pytest.approx(0.1)
    world.flow(1000, 360)
    world.write()
    shown = world.energy().charged
    world.flow(1000, 200)
    world.start()  # without a stop
    assert world.energy().charged == shown


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("flow"), st.floats(-9000, 9000), st.floats(0.01, 60)),
            st.tuples(st.sampled_from(("write", "stop", "kill", "away", "back")), st.just(0.0), st.floats(0, 9e4)),
        ),
        max_size=30,
    )
)
def test_nothing_falls_and_nothing_counts_twice(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[tuple[str, float, float]]
) -> None:
    world = World(tmp_path_factory.mktemp("energy"))
    most, before = 0.0, (0.0, 0.0)
    power = 0.0
    for deed, amount, seconds in deeds:
        if deed == "flow":
            most += max(abs(amount), abs(power)) * seconds / 3600 if seconds <= GAP else 0.0
            world.now, power = world.now + seconds, amount
            world.take(amount)
        elif deed == "write":
            world.write()
        elif deed == "away":
            world.now += GAP + seconds
        elif deed == "back":
            world.wall -= seconds
        else:
            if deed == "stop":
                world.stop()
            world.now += seconds
            world.start()
        if energy := world.energies.of("a/1"):
            assert energy.charged >= before[0]
            assert energy.discharged >= before[1]
            before = energy.charged, energy.discharged
            assert sum(world.counted()) <= most + 1e-6


def test_a_damaged_file_costs_what_is_damaged(world: World) -> None:
    good = {"charged": 5000.0, "discharged": 7}
    bad = {"charged": "x", "discharged": -3, "cycling": 1, "efficiency": float("inf"), "charged_ah": True}
    accounts = {"a/1": good, "a/2": bad, "a/3": None}
    (world.folder / NAME).write_text(json.dumps({"at": world.wall, "accounts": accounts}))
    world.start()
    assert world.energy() == Energy(5.0, 0.007)
    assert world.energies.of("a/2") == world.energies.of("a/3") == Energy(0, 0)
    for text in ("[]", "{", '{"accounts": 3}'):
        (world.folder / NAME).write_text(text)
        world.start()
        assert world.energies.accounts == {}


def test_direction_has_hysteresis(world: World) -> None:
    found = []
    for amperes in (0.0, 0.79, 0.8, 0.4, 0.39, 0.6, -0.8, -0.41, 0.41, -5.0, 5.0):
        world.now += 1
        world.take(amperes * 50)
        found.append(world.energy().direction)
    c, d, i = "charging", "discharging", "idle"
    assert found == [i, i, c, c, i, i, d, d, i, d, c]


def test_times_at_the_mean_of_a_quarter_of_an_hour(world: World) -> None:
    world.flow(500, 59)  # 10 A
    assert world.energy().to_full is None
    world.flow(500, 1)
    assert world.energy().to_full == pytest.approx(5 * 3600)
    assert world.energy().to_empty is None
    world.flow(-1000, 16 * 60)  # what was before is forgotten
    assert world.energy().to_full is None
    assert world.energy().to_empty == pytest.approx(2.5 * 3600, rel=0.01)


@pytest.mark.parametrize(("amperes", "told"), [(FLOWING, True), (FLOWING - 0.01, False), (-FLOWING, True), (0, False)])
def test_no_time_where_hardly_anything_flows(world: World, amperes: float, told: bool) -> None:
    world.flow(amperes * 50, 120)
    assert (world.energy().to_full or world.energy().to_empty) is not None or not told
    assert ((world.energy().to_full or world.energy().to_empty) is not None) == told


def test_a_silent_battery_keeps_its_counters_only(world: World) -> None:
    world.flow(500, 120)
    world.write()
    assert world.energy().stored == pytest.approx(2.5)
    assert world.energy().full == pytest.approx(5)
    world.now += GAP + 1
    energy = world.energy()
    assert energy.charged == pytest.approx(500 * 120 / 3.6e6)
    assert energy == Energy(energy.charged, 0, cycles=energy.cycles, began=1.8e9)


def cycle(world: World, *, out: float, into: float, away: float = 0.0) -> None:
    """From full down and up again; kWh."""
    world.flow(-1000, out * 3600, soc=96.0)
    world.now += away
    world.flow(1000, into * 3600, soc=98.0)
    world.now += 1
    world.take(1000, soc=99.5)


def test_efficiency_of_the_last_cycle(world: World) -> None:
    world.take(0, soc=96.9)
    world.take(0, soc=100)
    world.now += 1
    world.take(0, soc=100)
    began = world.energy().last_full
    assert began == world.wall
    cycle(world, out=3.0, into=3.2)
    assert world.energy().efficiency == pytest.approx(100 * 3.0 / 3.2, rel=0.01)
    assert (world.energy().last_full or 0) > began
    assert world.energy().cycles == pytest.approx((3.0 + 3.2) * 20 / 2 / 100, rel=0.01)


@pytest.mark.parametrize(
    ("out", "into", "away"),
    [(2.4, 2.5, 0), (3, 2.8, 0), (3, 7, 0), (3, 3.2, 301)],
    ids=["shallow", "above 100 %", "below 50 %", "time lost"],
)
def test_no_efficiency_of_a_doubtful_cycle(world: World, out: float, into: float, away: float) -> None:
    world.take(0, soc=96)
    world.now += 1
    world.take(0, soc=100)
    cycle(world, out=out, into=into, away=away)
    assert world.energy().efficiency is None


@pytest.mark.parametrize(("jump", "told"), [(20, True), (400, False), (-5, False)])
def test_a_cycle_over_a_restart(world: World, jump: float, told: bool) -> None:
    world.take(0, soc=96)
    world.now += 1
    world.take(0, soc=100)
    world.flow(-1000, 3 * 3600, soc=96)
    world.stop()
    world.wall += jump
    world.start()
    world.flow(1000, 3.2 * 3600, soc=98)
    world.take(1000, soc=100)
    world.now += 1
    world.take(1000, soc=100)
    assert (world.energy().efficiency is not None) == told


def test_a_moment_of_values() -> None:
    cells: Mapping[str, Any] = {"cell_voltage": (3.3,) * 16, "battery_type": "LFP"}
    found = moment({**PACK, **cells}, 5.0)
    assert found == Moment(5.0, 1000.0, 20.0, 50.0, 50.0, 100.0, 16 * 3.2)
    assert found is not None
    assert found.stored == pytest.approx(2560)
    assert moment({**PACK, "current": None}, 5.0) is None
    assert moment({**PACK, "total_voltage": float("nan")}, 5.0) is None
    assert moment({**PACK, "current": True}, 5.0) is None
    bare = moment({"total_voltage": 50.0, "current": 1.0}, 5.0)
    assert bare == Moment(5.0, 50.0, 1.0, nominal=50.0)
    assert bare is not None
    assert bare.stored is None


def test_batteries_as_one() -> None:
    one, other = Moment(1, 100, 2, 100, 100, 100, 50), Moment(2, -50, -1, 50, 100, 200, 25)
    both = combined((one, other), 7.0)
    assert both is not None
    assert (both.at, both.power, both.current, both.remaining, both.capacity) == (7.0, 50, 1, 200, 300)
    assert (both.soc, both.nominal) == pytest.approx((100 * 200 / 300, 10000 / 300))
    assert combined((), 1.0) is None
    unknown = combined((one, Moment(2, 0, 0)), 1.0)
    assert unknown == Moment(1.0, 100, 2)
    nearly = combined((one, Moment(2, 0, 0, 99, 99.9, 100, 50)), 1.0)
    assert nearly is not None
    assert nearly.soc is not None
    assert nearly.soc < 99.5  # full is what all of them are


class Flowing:
    """A battery that tells the same every ten seconds."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> list[tuple[str, Mapping[str, Any], float]]:
        self.at += 10
        return [("a/1", PACK, self.at)]


async def test_the_owner_shows_nothing_that_the_disk_did_not_take(tmp_path: Path) -> None:
    flowing = Flowing()
    full = tmp_path / Path(NAME).with_suffix(".new")
    full.mkdir()  # in the place of what is written first, so that every write fails
    energies = Energies(JsonFile(tmp_path / NAME), every=0.0)
    task = asyncio.create_task(own(energies, flowing, lambda: None))
    await until(lambda: flowing.at >= 30)
    shown = energies.of("a/1")
    full.rmdir()
    await until(lambda: (told := energies.of("a/1")) is not None and told.charged > 0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert shown is not None
    assert shown.charged == 0


def test_what_the_disk_did_not_take_is_not_shown_and_tried_again(world: World) -> None:
    world.flow(1000, 360)
    world.write()
    shown = world.energy().charged
    full = (world.folder / NAME).with_suffix(".new")
    full.mkdir()
    world.flow(1000, 360)
    world.write()
    assert world.energy().charged == shown
    assert not world.energies.due()  # not at once: a full disk stays so for a while
    full.rmdir()
    world.now += SAVE_EVERY
    assert world.energies.due()
    world.write()  # although nothing flowed since
    assert world.energy().charged == pytest.approx(0.2)
    world.start()
    assert world.energy().charged == pytest.approx(0.2)


async def test_the_owner_writes_at_the_end(tmp_path: Path) -> None:
    flowing = Flowing()
    energies = Energies(JsonFile(tmp_path / NAME))
    task = asyncio.create_task(own(energies, flowing, lambda: combined([Moment(flowing.at, 5.0, 1.0)], flowing.at)))
    await until(lambda: len(energies.accounts) == 2 and flowing.at >= 20)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    kept = json.loads((tmp_path / NAME).read_text())["accounts"]
    assert kept["a/1"]["charged"] == pytest.approx(1000 * 10 / 3600)
    assert kept.keys() == {"a/1", BANK}


async def test_the_owner_writes_when_it_is_time(tmp_path: Path) -> None:
    energies = Energies(JsonFile(tmp_path / NAME), every=0.0)
    task = asyncio.create_task(own(energies, lambda: [("a/1", PACK, 1.0)], lambda: None))
    await until((tmp_path / NAME).exists)
    await until(lambda: energies.of("a/1"))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
