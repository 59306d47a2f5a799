from collections import Counter
from itertools import pairwise

import pytest

from jkbms_addon.acquisition.schedule import GAP, MAX_PAUSE, Job, Schedule
from jkbms_addon.wire.pb.modbus import ABOUT, LIVE, SETTINGS

ANSWER_TIME = 0.045  # s, as measured on real units


class Bus:
    """Plays a bus against the schedule: present addresses answer, silent ones cost their time-out."""

    def __init__(self, addresses: set[int], present: set[int], interval: float) -> None:
        self.now, self.present = 0.0, present
        self.shown: dict[int, float] = {}  # until when, as the store has it
        self.schedule = Schedule(addresses, interval, 0.0, present=lambda a: self.shown.get(a, 0.0) > self.now)
        self.asked: list[tuple[float, Job, bool]] = []
        self.doubted: set[int] = set()

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            job = self.schedule.next(self.now)
            if not isinstance(job, Job):
                assert 0 < job <= 3600
                self.now += min(job, 1.0)
                continue
            answers = job.address in self.present
            self.asked.append((self.now, job, answers))
            self.now += (ANSWER_TIME if answers else job.first_byte) + GAP
            if answers:
                if job.address not in self.doubted:
                    self.shown[job.address] = self.now + self.schedule.valid_for
                self.schedule.answered(job, self.now, believed=job.address not in self.doubted)
            else:
                self.schedule.failed(job, self.now)

    def times(self, address: int, register: int = LIVE) -> list[float]:
        return [t for t, job, _ in self.asked if (job.address, job.register) == (address, register)]


def gaps(times: list[float]) -> list[float]:
    return [b - a for a, b in pairwise(times)]


def test_rounds_keep_their_beat() -> None:
    bus = Bus({1, 2, 3}, {1, 2, 3}, 2.0)
    bus.run(100)
    for address in bus.present:
        later = [t for t in bus.times(address) if t > 10]
        assert len(later) == pytest.approx(45, abs=1)
        assert max(gaps(later)) <= 2.5
        assert (later[-1] - later[0]) / (len(later) - 1) == pytest.approx(2.0, abs=0.01)


def test_pages_have_their_own_cadence() -> None:
    bus = Bus({1}, {1}, 2.0)
    bus.run(4000)
    assert max(gaps(bus.times(1, SETTINGS))) <= 63
    assert min(gaps(bus.times(1, SETTINGS))) >= 59
    assert len(bus.times(1, ABOUT)) == 2


def test_as_fast_as_the_protocol_allows() -> None:
    bus = Bus(set(range(1, 16)), set(range(1, 16)), 0.0)
    bus.run(300)
    later = [t for t in bus.times(7) if t > 30]
    assert sum(gaps(later)) / len(gaps(later)) <= 15 * (ANSWER_TIME + GAP) * 1.05


@pytest.mark.parametrize("interval", [0.0, 2.0])
def test_silent_addresses_cost_the_others_nothing_noticeable(interval: float) -> None:
    alone, crowd = Bus({1, 2}, {1, 2}, interval), Bus(set(range(16)), {1, 2}, interval)
    for bus in (alone, crowd):
        bus.run(600)
    for address in (1, 2):
        mean = [sum(g) / len(g) for g in (gaps([t for t in b.times(address) if t > 60]) for b in (alone, crowd))]
        assert mean[1] <= mean[0] * 1.5 if interval == 0 else mean[1] == pytest.approx(2.0, abs=0.02)
        assert max(gaps([t for t in crowd.times(address) if t > 60])) <= interval + 0.9
    probes = Counter(job.address for t, job, answered in crowd.asked if not answered and t > 100)
    assert set(probes) == set(range(16)) - {1, 2}
    assert min(probes.values()) >= 500 / (MAX_PAUSE + 5)


def test_everybody_is_asked_once_before_anything_else() -> None:
    bus = Bus(set(range(16)), {15}, 2.0)
    bus.run(6)
    assert [job.address for _, job, _ in bus.asked][:16] == list(range(16))
    assert bus.times(15)[0] < 6


def test_a_bms_that_vanishes_does_not_slow_the_others_and_is_found_again() -> None:
    bus = Bus({1, 2, 3}, {1, 2, 3}, 1.0)
    bus.run(20)
    bus.present.discard(2)
    start = bus.now
    bus.run(60)
    for address in (1, 3):
        assert max(gaps([t for t in bus.times(address) if t > start])) < 1.5
    assert not bus.schedule.there(2)
    bus.present.add(2)
    back = bus.now
    bus.run(45)
    answered = [t for t, job, answer in bus.asked if job.address == 2 and answer and t > back]
    assert answered[0] - back <= MAX_PAUSE + 1
    assert len([t for t in answered if job_is_live(bus, t)]) > 10


def job_is_live(bus: Bus, at: float) -> bool:
    return any(t == at and job.register == LIVE for t, job, _ in bus.asked)


def test_one_lost_answer_is_asked_for_again_in_the_same_round() -> None:
    bus = Bus({1, 2}, {1, 2}, 2.0)
    bus.run(20)
    bus.present.discard(1)
    while not (job := bus.schedule.next(bus.now)) or not isinstance(job, Job) or job.address != 1:
        bus.now += 0.05 if not isinstance(job, Job) else 0.17
        if isinstance(job, Job):
            bus.schedule.answered(job, bus.now, believed=True)
    bus.schedule.failed(job, bus.now + 0.5)
    bus.present.add(1)
    lost = bus.now
    bus.now += 0.62
    bus.run(2)
    assert min(t for t in bus.times(1) if t > lost) - lost < 1.2


def test_what_is_doubted_is_asked_again_at_once_but_not_for_ever() -> None:
    bus = Bus({1, 2}, {1, 2}, 2.0)
    bus.run(10)
    bus.doubted = {1}
    start = bus.now
    bus.run(4.5)
    live = [t for t in bus.times(1) if t > start]
    assert 5 <= len(live) <= 10
    assert len([t for t in bus.times(2) if t > start]) >= 2


def test_a_reading_is_shown_for_three_rounds_but_at_least_ten_seconds() -> None:
    assert Schedule({1}, 2.0, 0).valid_for == 10
    assert Schedule({1}, 30.0, 0).valid_for == 90


@pytest.mark.parametrize("present", [set(), {3}])
def test_never_spins(present: set[int]) -> None:
    bus = Bus({1, 2, 3}, present, 0.5)
    bus.run(120)
    assert len(bus.asked) < 120 * 8
