"""Hypothesis closes the loop: any plant, meter, inverter, weather, alarm, loss and owner; nothing forbidden follows.

Longer: ``HYPOTHESIS_PROFILE=long``, or ``python -m tests.charging.trials 0 1000``.
"""

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jkbms_addon.charging.decide import Controller
from jkbms_addon.charging.decision import Decision
from jkbms_addon.charging.requests import Wanted
from jkbms_addon.charging.setpoints import GRID_CHARGE, Setpoints
from tests.charging.draws import a_plant, a_weather
from tests.charging.loop import Loop
from tests.charging.plant import HOUR, KINDS, Inverter, Kind, Plant, Weather, pack
from tests.charging.trials import ALL_SILENT, HAPPENINGS, Case, Change, Event, play

EXAMPLES = 400 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 24
HOURS = 0.75
OWNERS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "charge_voltage": st.sampled_from((3.40, 3.42, 3.45, 3.50, 3.55)),
        "float_voltage": st.sampled_from((3.33, 3.35)),
        "soc_limit": st.sampled_from((60.0, 80.0, 95.0)),
        "soc_follows": st.booleans(),
        "voltage_offset": st.sampled_from((-0.3, -0.1, 0.1)),
        "max_charge_current": st.sampled_from((5.0, 40.0, 300.0)),
        "charging": st.booleans(),
        "discharging": st.booleans(),
        "empty_voltage": st.sampled_from((2.95, 3.05)),
        "hold_without_data": st.sampled_from((0.0, 1.0, 15.0)),
        "grid_charge": st.sampled_from(GRID_CHARGE),
    },
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """An installation, what happens to it, and what its owner does."""
    seed = draw(st.integers(0, 100_000), label="seed of what differs from cell to cell")
    charge = draw(st.sampled_from((0.03, 0.12, 0.3, 0.55, 0.8, 0.88, 0.94, 0.98)), label="charge")
    kinds: tuple[Kind, ...] = (*KINDS, "neither")
    kind = draw(st.sampled_from(kinds), label="inverter")
    offset = draw(st.sampled_from((-0.3, -0.1, 0.0, 0.1, 0.3, 0.45, 0.6)), label="offset of its meter")
    packs = draw(st.integers(1, 3), label="packs")
    begin = draw(st.sampled_from((7.0, 10.0, 13.0, 20.0)), label="hour") * HOUR
    plant = a_plant(seed, charge, kind=kind, offset=offset, packs=packs)
    options = draw(OWNERS, label="options")
    end = begin + HOURS * HOUR
    happening = st.builds(
        Event,
        st.floats(begin + 30, end - 60),
        st.sampled_from((3.0, 30.0, 60.0, 600.0)),
        st.sampled_from((ALL_SILENT, *HAPPENINGS)),
        st.integers(1, packs),
    )
    events = sorted(draw(st.lists(happening, max_size=4), label="events"), key=lambda one: one.at)
    wishes = draw(st.lists(st.tuples(st.floats(begin + 30, end - 60), OWNERS), max_size=2), label="changes")
    changes = [Change(at, Setpoints(**{**options, **wish})) for at, wish in sorted(wishes, key=lambda one: one[0])]
    poll = draw(st.sampled_from((1.0, 2.0, 3.0)), label="poll")
    return Case(plant, a_weather(seed, plant), Setpoints(**options), events, changes, poll, begin, HOURS)


@settings(max_examples=EXAMPLES)
@given(cases())
def test_nothing_forbidden_comes_of_any_installation(case: Case) -> None:
    loop, problems = play(case, step=1.0)
    assert loop.seen.seconds >= 0.99 * HOURS * HOUR
    assert problems == []


def sunny(plant: Plant) -> Weather:
    return Weather(plant.random, plant.capacity, peak=0.5, base=0.02, clouds=0.0, kettles=0)


def one_pack(kind: Kind = "both", charge: float = 0.6) -> Plant:
    return Plant([pack(1, 100, charge)], Inverter(kind, most=50))


class TestTheJudge:
    """Each rule finds what it is for: the control is hindered, and the verdict says so."""

    def test_a_voltage_above_the_owners(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from jkbms_addon.charging import voltage

        monkeypatch.setattr(voltage, "downwards", lambda volts: volts + 0.2)
        plant = one_pack(charge=0.9)
        _, problems = play(Case(plant, sunny(plant), hours=0.2))
        assert any(text.startswith("(a) told") for text in problems)

    def test_a_house_that_is_dark_after_a_loss(self) -> None:
        plant = one_pack()
        begin = 10 * HOUR
        lost = [Event(begin + 300, 300.0, ALL_SILENT, 1)]
        case = Case(plant, sunny(plant), Setpoints(), lost, hours=0.3)
        assert play(case)[1] == []
        plant = one_pack()
        loop, problems = play(replace(case, plant=plant, options=Setpoints(stale_discharge="zero")))
        assert loop.seen.blind_dark == 0
        assert problems == []  # the owner wanted it so

    def test_charge_that_goes_on_although_it_is_switched_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Controller, "allow", lambda _self, _setpoints: None)
        plant = one_pack()
        off = [Change(10 * HOUR + 120, Setpoints(charging=False))]
        _, problems = play(Case(plant, sunny(plant), changes=off, hours=0.1))
        assert any("although it was switched off" in text for text in problems)

    def test_a_house_that_is_dark_although_a_pack_could(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from jkbms_addon.charging import silence

        monkeypatch.setattr(silence, "MOST", 0.0)
        plant = one_pack()
        lost = [Event(10 * HOUR + 300, 120.0, ALL_SILENT, 1)]
        _, problems = play(Case(plant, sunny(plant), events=lost, hours=0.2))
        assert any("right after all data were lost" in text for text in problems)

    @pytest.mark.parametrize(
        ("spoiled", "kind", "begins"),
        [
            ({"charge_voltage": 60.0, "charge_current": 200.0}, "both", "(b) a cell"),
            ({"charge_voltage": 60.0, "charge_current": 200.0}, "both", "(a) battery"),
            ({"charge_voltage": 60.0, "charge_current": 200.0}, "neither", "(a) told"),
            ({"discharge_current": 0.0}, "both", "(c) 6"),
            ({"wanted": Wanted(now=True)}, "both", "(d)"),
        ],
    )
    def test_what_is_told_wrongly(
        self, spoiled: dict[str, Any], kind: Kind, begins: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        step = Controller.step

        def wrong(*args: Any, **named: Any) -> Decision | None:
            decision = step(*args, **named)
            return replace(decision, **spoiled) if decision else None

        monkeypatch.setattr(Controller, "step", wrong)
        plant = one_pack(kind, charge=0.98)
        _, problems = play(Case(plant, sunny(plant), hours=0.2))
        assert any(text.startswith(begins) for text in problems), problems

    def test_packs_that_are_called_empty_and_are_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The control believes in what it does, the plant knows better."""
        from jkbms_addon.charging.emptiness import Emptiness

        monkeypatch.setattr(Emptiness, "is_empty", lambda _self, _key: True)
        plant = one_pack()
        _, problems = play(Case(plant, sunny(plant), hours=0.1))
        assert any(text.endswith("although a pack was well") for text in problems)

    def test_silence_although_a_pack_is_heard(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Controller, "_waits", lambda *_: True)
        plant = one_pack()
        _, problems = play(Case(plant, sunny(plant), hours=0.1))
        assert any("without a word" in text for text in problems)

    def test_a_battery_that_is_called_full_too_soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from jkbms_addon.charging import phases

        monkeypatch.setattr(phases, "NEAR", 0.2)
        monkeypatch.setattr(phases, "TAIL", 1.0)
        plant = one_pack(charge=0.7)
        _, problems = play(Case(plant, sunny(plant), hours=0.4))
        assert any(text.startswith("(e)") for text in problems)

    def test_a_ceiling_that_comes_down_excuses_the_battery_until_it_has_followed(self) -> None:
        """Above it for as long as its cells rest above it; what rises later counts again."""
        loop = Loop(one_pack(charge=0.995), Setpoints(charge_voltage=3.50), begin=10 * HOUR)
        loop.run(900, lambda _at: 20.0)
        loop.change(Setpoints(charge_voltage=3.40))
        loop.run(60, lambda _at: 0.0)
        assert loop.plant.packs[0].voltage > 54.4 + 0.1
        assert loop.seen.above == 0
        loop.run(1800, lambda _at: -20.0)
        assert loop.plant.packs[0].voltage < 54.4
        loop.plant.inverter.kind = "neither"
        loop.run(3600, lambda _at: 30.0)
        assert loop.seen.above > 60
