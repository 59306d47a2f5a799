"""Times and durations when somebody sets the wall clock."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from jkbms_addon.battery import status as statuses
from jkbms_addon.battery.status import BusStatus, WallClock
from jkbms_addon.views.health import bus_health

DAY = 86400.0


class Clocks:
    """Both clocks, set by the test."""

    def __init__(self) -> None:
        self.wall, self.run = 1_700_000_000.0, 5_000.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.run += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clocks]:
    both = Clocks()
    monkeypatch.setattr(time, "time", lambda: both.wall)
    monkeypatch.setattr(time, "monotonic", lambda: both.run)
    monkeypatch.setattr(statuses, "WALL", WallClock())
    monkeypatch.setattr("jkbms_addon.views.health.WALL", statuses.WALL)
    yield both
    monkeypatch.undo()


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_an_incident_lasts_as_long_as_it_lasted(clocks: Clocks, jump: float) -> None:
    bus = BusStatus("a")
    bus.up()
    bus.quality.note(time.monotonic(), good=100)
    bus.down("gone")
    clocks.passes(3)
    clocks.wall += jump
    bus.up()
    assert bus.worst is not None
    assert (bus.worst.reason, bus.worst.seconds) == ("gone", 3)
    assert bus.worst.began == clocks.wall - 3
    assert bus.quality.score(time.monotonic()) == 99


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_since_follows_a_clock_that_is_set_but_not_its_drift(clocks: Clocks, jump: float) -> None:
    bus = BusStatus("a")
    bus.up()

    def since() -> Any:
        return bus_health(bus, time.monotonic())["since"]

    assert since() == "2023-11-14T22:13:20+00:00"
    clocks.passes(100)
    clocks.wall += 1.4
    assert since() == "2023-11-14T22:13:20+00:00"
    clocks.wall += jump - 1.4
    assert since() == ("2023-11-15T22:13:20+00:00" if jump > 0 else "2023-11-13T22:13:20+00:00")


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
def test_a_jump_of_the_wall_clock_is_no_incident(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    status, wall = BusStatus("a"), time.time
    status.up()
    status.quality.note(time.monotonic(), good=10)
    status.down("unplugged")
    monkeypatch.setattr(time, "time", lambda: wall() + jump)
    status.up()
    assert status.worst is not None
    assert 0 <= status.worst.seconds < 5
    assert status.worst.reason == "unplugged"
    assert status.quality.score(time.monotonic()) == 100
