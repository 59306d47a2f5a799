"""When a set goes out: by itself, or at the inverter's queries."""

from itertools import pairwise
from random import Random

import pytest

from jkbms_addon.inverter.turns import PATIENCE, SLACK, Turns

STEP = 0.02


def sets(queries: list[float], seconds: float, begin: float = 100.0) -> list[float]:
    """The moments at which a sender would begin its sets; times from ``begin`` on."""
    turns, found, now, left = Turns(), [], begin, sorted(queries)
    moment = turns.next(now)
    while now < begin + seconds:
        while left and begin + left[0] <= now:
            turns.asked(begin + left.pop(0))
        moment = max(moment, turns.next(round(now - STEP, 6)))
        if now >= moment or turns.answering(now):
            turns.begun(now)
            found.append(round(now - begin, 3))
            moment = turns.next(now)
        now = round(now + STEP, 6)
    return found


def test_by_itself_each_second_where_nobody_asks() -> None:
    found = sets([], 10)
    assert found == [float(n) for n in range(1, 10)]


def test_each_query_is_answered_at_once_and_nothing_beside() -> None:
    queries = [0.33 + n for n in range(20)]
    found = sets(queries, 20)
    assert len(found) == 20
    assert all(0 <= told - asked <= 2 * STEP for told, asked in zip(found, queries, strict=True))


@pytest.mark.parametrize("period", [0.1, 0.4, 0.9])
def test_never_more_than_one_a_second(period: float) -> None:
    found = sets([n * period for n in range(int(30 / period))], 30)
    assert min(b - a for a, b in pairwise(found)) >= 1.0 - SLACK - 1e-6
    assert 27 <= len(found) <= 31


@pytest.mark.parametrize("period", [0.97, 0.999, 1.0, 1.02])
def test_an_inverter_s_second_may_be_a_little_different(period: float) -> None:
    queries = [0.4 + n * period for n in range(20)]
    found = sets(queries, 20)
    late = [told - max(asked for asked in queries if asked <= told + 1e-6) for told in found]
    assert sorted(late)[len(late) // 2] <= 0.3


def test_a_set_that_went_out_by_itself_delays_no_answer() -> None:
    found = sets([5.3, 6.3, 7.3], 8)
    assert [pytest.approx(at, abs=2 * STEP) for at in found if at > 5.1] == [5.3, 6.3, 7.3]


def test_goes_on_by_itself_when_the_queries_end_and_begins_before_they_come() -> None:
    found = sets([5.5, 6.5, 7.5], 14)
    assert found[:5] == [1.0, 2.0, 3.0, 4.0, 5.0]
    answers = [at for at in found if 5.4 < at < 8.1]
    assert len(answers) == 3
    after = [at for at in found if at > 8.1]
    assert after[0] >= 7.5 + PATIENCE
    assert after == [10.0, 11.0, 12.0, 13.0]


def test_no_gap_is_ever_longer_than_patience_allows() -> None:
    draw = Random(5)
    for _ in range(50):
        queries = [draw.uniform(0, 60) for _ in range(draw.randint(0, 80))]
        found = sets(queries, 60)
        assert max(b - a for a, b in pairwise([0.0, *found])) <= PATIENCE + 1.05
        assert min(b - a for a, b in pairwise(found)) >= 0.0
