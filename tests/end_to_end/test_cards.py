"""Two dashboard cards of other people find what they look for by the prefix alone."""

import asyncio
import time
from typing import Any

import pytest

from tests.end_to_end.cards import CARDS, PREFIX, SWITCHES, one_battery
from tests.end_to_end.home_assistant import needs_home_assistant

pytestmark = [pytest.mark.home_assistant, needs_home_assistant]
SILENT = ("unknown", "unavailable")


@pytest.mark.parametrize(("level", "writes"), [("none", False), ("switches", True)])
async def test_cards_find_their_entities_by_the_prefix(level: str, writes: bool) -> None:
    async with one_battery(level) as shown:
        missing, states = set(CARDS["jk-bms-card"]), dict[str, Any]()
        end = time.monotonic() + 40
        while missing and time.monotonic() < end:
            await asyncio.sleep(1)
            states = await shown.ha.states()
            looked_for = {one for wanted in CARDS.values() for one in wanted}
            missing = {one for one in looked_for if one not in states or states[one]["state"] in SILENT}
        assert missing == set()
        for card in CARDS:
            for switch in SWITCHES[card]:
                assert (switch in states) is writes, (card, switch)
        assert states[f"binary_sensor.{PREFIX}_charging"]["state"] == "on"
        assert states[f"binary_sensor.{PREFIX}_discharging"]["state"] == "on"
        if writes:
            assert states[f"switch.{PREFIX}_charging"]["state"] == "on"
            assert states[f"switch.{PREFIX}_heater"]["state"] == "off"
