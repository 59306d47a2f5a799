"""Two dashboard cards of other people find what they look for by the prefix alone."""

import pytest

from tests.end_to_end.cards import CARDS, PREFIX, SWITCHES, one_battery
from tests.end_to_end.home_assistant import needs_home_assistant

pytestmark = [pytest.mark.home_assistant, needs_home_assistant]
SILENT = ("unknown", "unavailable")


@pytest.mark.parametrize(("level", "writes"), [("none", False), ("switches", True)])
async def test_cards_find_their_entities_by_the_prefix(level: str, writes: bool) -> None:
    async with one_battery(level) as shown:
        states = await shown.ha.states()
        for card, wanted in CARDS.items():
            assert [one for one in wanted if one not in states or states[one]["state"] in SILENT] == [], card
            for switch in SWITCHES[card]:
                assert (switch in states) is writes, (card, switch)
        assert states[f"binary_sensor.{PREFIX}_charging"]["state"] == "on"
        assert states[f"binary_sensor.{PREFIX}_discharging"]["state"] == "off"
        if writes:
            assert states[f"switch.{PREFIX}_discharging"]["state"] == "on"  # its MOSFET, though no current flows out
