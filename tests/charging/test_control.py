"""The loop that decides, and what it leaves behind."""

import asyncio
import logging
from pathlib import Path

import pytest

from jkbms_addon.charging.cadence import Cadence
from jkbms_addon.charging.control import DEADMAN, Control
from jkbms_addon.charging.setpoints import Policy
from jkbms_addon.charging.switch import Switch
from jkbms_addon.kept import JsonFile
from tests.bank.packs import member


class Bench:
    def __init__(self, kept: JsonFile | None = None, policy: Policy | None = None) -> None:
        self.now = 50.0
        self.packs = [member(1), member(2)]
        self.control = Control(
            lambda _now: self.packs, lambda: self.now, policy=policy or Policy(), switch=Switch(kept)
        )

    def step(self, seconds: float = 1.0) -> None:
        self.now += seconds
        self.control.step(self.now)


def test_a_beat_is_a_fixed_raster_that_leaves_missed_moments_out() -> None:
    cadence = Cadence(-0.05)
    assert cadence.next(10.2) == pytest.approx(10.95)
    assert cadence.next(10.9499) == pytest.approx(11.95)  # woken a little too early
    assert cadence.next(11.951) == pytest.approx(12.95)
    assert cadence.next(17.3) == pytest.approx(17.95)


def test_no_decision_before_the_first_step() -> None:
    bench = Bench()
    assert bench.control.decision(bench.now) is None
    assert bench.control.silence(bench.now) == "waiting for the first complete data of a battery"


def test_a_decision_lasts_for_three_seconds_at_most() -> None:
    bench = Bench()
    bench.step()
    assert bench.control.decision(bench.now + DEADMAN - 0.01) is not None
    assert bench.control.decision(bench.now + DEADMAN) is None
    assert "no decision" in bench.control.silence(bench.now + DEADMAN)


def test_a_short_validity_is_kept() -> None:
    bench = Bench(policy=Policy(valid_for=1))
    bench.step()
    assert bench.control.decision(bench.now + 1) is None


def test_switched_off_is_zeros_and_then_silence() -> None:
    bench = Bench()
    bench.step()
    bench.control.enable(on=False)
    told = []
    for _ in range(5):
        bench.step()
        decision = bench.control.decision(bench.now)
        told.append(decision.charge_current if decision else None)
    assert told == [0, 0, 0, None, None]
    assert bench.control.silence(bench.now) == "switched off"


def test_what_was_switched_off_stays_off_after_a_restart(tmp_path: Path) -> None:
    kept = JsonFile(tmp_path / "inverter.json")
    kept.save({"enabled": False})
    again = Bench(kept)
    again.step()
    assert not again.control.enabled
    assert again.control.decision(again.now) is None


def test_who_leaves_and_returns_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench()
    bench.step()
    bench.packs = [member(1), member(2, fresh=False, age=11.0)]
    for _ in range(3):
        bench.step()
    bench.packs = [member(1), member(2)]
    for _ in range(12):
        bench.step()
    assert caplog.messages == ["bank: Pack 2 does not count: silent for 11 s", "bank: Pack 2 counts again"]


def test_without_an_inverter_there_is_a_bank_and_no_decision() -> None:
    control = Control(lambda _now: [member(1), member(2)], lambda: 1.0)
    control.step(1.0)
    assert control.state.packs_online == 2
    assert control.decision(1.0) is None


async def test_it_decides_once_a_second_and_tells() -> None:
    told: list[float] = []
    loop = asyncio.get_running_loop()
    control = Control(lambda _now: [member(1)], loop.time, policy=Policy(), told=lambda: told.append(loop.time()))
    task = asyncio.create_task(control.run())
    await asyncio.sleep(2.5)
    task.cancel()
    assert control.count == len(told)
    assert len(told) in (3, 4)
    assert 0.9 < told[-1] - told[-2] < 1.1
