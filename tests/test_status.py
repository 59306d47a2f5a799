import time

import pytest

from jkbms_addon.status import BusStatus


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
