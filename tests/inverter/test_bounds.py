"""What cannot be told rightly is not told, whether a battery is heard or remembered."""

import pytest

from jkbms_addon.charging.memory import Memory
from jkbms_addon.inverter.bounds import too_low
from jkbms_addon.inverter.dialects import DIALECTS
from tests.bank.packs import Bench, candidate, got, values


@pytest.mark.parametrize(("cells", "told"), [(8, False), (11, False), (12, True), (16, True)])
def test_a_battery_below_the_least_voltage_of_the_inverter(cells: int, told: bool) -> None:
    empty = candidate(told=values(cells=(2.85,) * cells, current=0.0, cell_count=cells))
    bench = Bench()
    heard = bench.run(empty, seconds=30)
    bench.step()
    again = Bench(memory=Memory.model_validate_json(bench.controller.memory().model_dump_json()))
    again.now += 3600
    recalled = again.run(seconds=70)
    assert recalled.recalled
    for decision in (heard, got(bench.decision), recalled):
        assert (too_low(DIALECTS["sma"], decision) == "") is told
        assert too_low(DIALECTS["pylontech"], decision) == ""
