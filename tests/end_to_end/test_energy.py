"""The battery dialog of the Energy dashboard is filled in, saved, and found to be right by a real Home Assistant."""

import asyncio
import time
from typing import Any

import pytest

from tests.conftest import mosquitto
from tests.end_to_end.acts import complete
from tests.end_to_end.home_assistant import home_assistant, needs_home_assistant
from tests.end_to_end.stage import staged

pytestmark = [pytest.mark.home_assistant, needs_home_assistant]
PATIENCE = 400.0  # s; Home Assistant makes statistics every five minutes


async def test_the_battery_of_the_energy_dashboard(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("energy")
    async with mosquitto(folder) as broker, home_assistant(broker.port) as ha:
        if not {"energy", "recorder"} <= set((await ha.ask("get_config"))["components"]):
            pytest.skip("this Home Assistant was started without energy: and recorder: (tests/README.md)")
        async with staged(broker, ha, folder) as stage:
            await complete(stage)
            ids = {unique: one["entity_id"] for unique, one in (await ha.entities()).items()}
            source: dict[str, Any] = {
                "type": "battery",
                "stat_energy_from": ids["jkbms_bank_energy_discharged"],
                "stat_energy_to": ids["jkbms_bank_energy_charged"],
            }
            await ha.ask("energy/save_prefs", energy_sources=[source])
            saved = (await ha.ask("energy/get_prefs"))["energy_sources"]
            assert [{key: one[key] for key in source} for one in saved] == [source]
            end, found = time.monotonic() + PATIENCE, [["not looked at yet"]]
            while any(found) and time.monotonic() < end:
                await asyncio.sleep(5)
                found = (await ha.ask("energy/validate"))["energy_sources"]
            assert found == [[]]
            listed = {one["statistic_id"]: one for one in await ha.ask("recorder/list_statistic_ids")}
            for key in ("stat_energy_from", "stat_energy_to"):
                assert listed[source[key]]["has_sum"]
                assert listed[source[key]]["statistics_unit_of_measurement"] == "kWh"
            assert ha.complaints() == []
