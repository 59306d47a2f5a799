"""A real Home Assistant, started by a command that the environment names.

``HOME_ASSISTANT_START`` is called with the port of the broker and has to print ``HA_URL=`` and ``HA_TOKEN=``
lines; ``HOME_ASSISTANT_STOP`` ends it; ``HOME_ASSISTANT_LOG`` is its log file.
"""

import asyncio
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

START, STOP, LOG = (os.environ.get(f"HOME_ASSISTANT_{name}") for name in ("START", "STOP", "LOG"))
needs_home_assistant = pytest.mark.skipif(
    not START, reason="HOME_ASSISTANT_START is not set: the command that starts a Home Assistant (tests/README.md)"
)


@dataclass(slots=True)
class HomeAssistant:
    """Its REST and websocket interfaces."""

    url: str
    token: str
    session: aiohttp.ClientSession

    async def states(self) -> dict[str, dict[str, Any]]:
        async with self.session.get(f"{self.url}/api/states") as answer:
            return {state["entity_id"]: state for state in await answer.json()}

    async def call(self, domain: str, service: str, **data: Any) -> None:
        async with self.session.post(f"{self.url}/api/services/{domain}/{service}", json=data) as answer:
            assert answer.status == 200, await answer.text()

    async def ask(self, command: str) -> list[dict[str, Any]]:
        async with self.session.ws_connect(f"{self.url.replace('http', 'ws')}/api/websocket") as socket:
            await socket.receive_json()
            await socket.send_json({"type": "auth", "access_token": self.token})
            assert (await socket.receive_json())["type"] == "auth_ok"
            await socket.send_json({"id": 1, "type": command})
            answer = await socket.receive_json()
            assert answer["success"], answer
            result: list[dict[str, Any]] = answer["result"]
            return result

    async def entities(self) -> dict[str, dict[str, Any]]:
        """Ours by unique id."""
        found = await self.ask("config/entity_registry/list")
        return {e["unique_id"]: e for e in found if e["platform"] == "mqtt"}

    async def devices(self) -> list[dict[str, Any]]:
        return [d for d in await self.ask("config/device_registry/list") if d["identifiers"]]

    def complaints(self) -> list[str]:
        """Warnings and errors of its MQTT integration and of its templates."""
        assert LOG
        return [
            line
            for line in Path(LOG).read_text(encoding="utf-8", errors="replace").splitlines()
            if (" WARNING " in line or " ERROR " in line)
            and ("components.mqtt" in line or "helpers.template" in line)
            and "logging too frequently" not in line
        ]


@asynccontextmanager
async def home_assistant(broker_port: int) -> AsyncIterator[HomeAssistant]:
    assert START
    process = await asyncio.create_subprocess_exec(
        *shlex.split(START), str(broker_port), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(200):
        out, _ = await process.communicate()
    told = dict(line.split("=", 1) for line in out.decode().splitlines() if "=" in line)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {told['HA_TOKEN']}"}) as session:
        try:
            yield HomeAssistant(told["HA_URL"], told["HA_TOKEN"], session)
        finally:
            if STOP:
                await (await asyncio.create_subprocess_exec(*shlex.split(STOP))).wait()
