"""Each blueprint is imported into a real Home Assistant, made an automation, and triggered."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import pytest_asyncio

from tests.conftest import mosquitto
from tests.end_to_end.home_assistant import HomeAssistant, home_assistant, needs_home_assistant

pytestmark = [pytest.mark.home_assistant, needs_home_assistant, pytest.mark.asyncio(loop_scope="module")]
FOLDER = Path(__file__).parent.parent.parent / "docs" / "blueprints"
PROBLEM, ALARMS = "binary_sensor.jk_bms_1_problem", "sensor.jk_bms_1_alarms"
CONNECTION, DELTA = "binary_sensor.jk_bms_1_connection", "sensor.jk_bms_1_delta_cell_voltage"
CHARGE, FULL = "sensor.jk_bms_bank_state_of_charge", "sensor.jk_bms_1_last_full_charge"
Steps = list[tuple[str, str]]


@dataclass(slots=True)
class Bench:
    ha: HomeAssistant
    port: int

    async def is_told(self, entity_id: str, state: str) -> None:
        async with self.ha.session.post(f"{self.ha.url}/api/states/{entity_id}", json={"state": state}) as answer:
            assert answer.status in (200, 201)

    async def automation(self, name: str, inputs: dict[str, Any]) -> None:
        text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
        await self.ha.ask("blueprint/save", domain="automation", path=f"jkbms/{name}", yaml=text, allow_override=True)
        does = [{"action": "mqtt.publish", "data": {"topic": f"told/{name}", "payload": "{{ message }}"}}]
        content = {
            "alias": name,
            "use_blueprint": {"path": f"jkbms/{name}.yaml", "input": {**inputs, "actions": does}},
        }
        async with self.ha.session.post(f"{self.ha.url}/api/config/automation/config/{name}", json=content) as answer:
            assert answer.status == 200, await answer.text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with mosquitto(tmp_path_factory.mktemp("broker")) as broker, home_assistant(broker.port) as ha:
        if "automation" not in (await ha.ask("get_config"))["components"]:
            pytest.skip("this Home Assistant was started without automation: and config: (tests/README.md)")
        yield Bench(ha, broker.port)


def soon() -> str:
    return (datetime.now(UTC) + timedelta(seconds=4)).strftime("%H:%M:%S")


LONG_AGO = (datetime.now(UTC) - timedelta(days=40, hours=1)).isoformat(timespec="seconds")


@pytest.mark.parametrize(
    ("name", "inputs", "before", "then", "message"),
    [
        (
            "alarm",
            {"problems": [PROBLEM]},
            [(PROBLEM, "off"), (ALARMS, "fault: Cell over-voltage protection")],
            [(PROBLEM, "on")],
            f"{PROBLEM}: fault: Cell over-voltage protection",
        ),
        (
            "battery_lost",
            {"connections": [CONNECTION], "minutes": 0},
            [(CONNECTION, "on")],
            [(CONNECTION, "off")],
            f"{CONNECTION} is not heard any more",
        ),
        (
            "cell_difference",
            {"differences": [DELTA], "limit": 0.1, "minutes": 0},
            [(DELTA, "0.012")],
            [(DELTA, "0.130")],
            f"{DELTA}: the cells are 130 mV apart",
        ),
        (
            "charge_low_or_high",
            {"charge": CHARGE, "low": 20, "high": 95},
            [(CHARGE, "50")],
            [(CHARGE, "19")],
            "The charge is low: 19 %",
        ),
        (
            "full_charge_overdue",
            {"full": FULL, "days": 30, "at": "soon"},
            [(FULL, LONG_AGO)],
            [],
            f"{FULL} was not full for 40 days",
        ),
    ],
)
async def test_it_is_triggered_and_says_what_has_happened(
    bench: Bench, name: str, inputs: dict[str, Any], before: Steps, then: Steps, message: str
) -> None:
    for entity_id, state in before:
        await bench.is_told(entity_id, state)
    inputs = {key: soon() if value == "soon" else value for key, value in inputs.items()}
    async with aiomqtt.Client("127.0.0.1", bench.port) as client, asyncio.timeout(30):
        await client.subscribe(f"told/{name}")
        await bench.automation(name, inputs)
        await asyncio.sleep(0.5)
        for entity_id, state in then:
            await bench.is_told(entity_id, state)
        told = await anext(aiter(client.messages))
    assert isinstance(told.payload, bytes)
    assert told.payload.decode() == message


async def test_every_blueprint_is_tried() -> None:
    tried = {row[0] for row in test_it_is_triggered_and_says_what_has_happened.pytestmark[0].args[1]}
    assert {path.stem for path in FOLDER.glob("*.yaml")} == tried
