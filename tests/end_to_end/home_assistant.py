"""A real Home Assistant, started by a command that the environment names.

``HOME_ASSISTANT_START`` is called with the port of the broker and has to print ``HA_URL=`` and ``HA_TOKEN=``
lines; with ``KEEP=1`` in its environment it starts with the configuration of the last time. ``HOME_ASSISTANT_STOP``
ends it; ``HOME_ASSISTANT_LOG`` is its log file.
"""

import asyncio
import fcntl
import os
import shlex
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

START, STOP, LOG = (os.environ.get(f"HOME_ASSISTANT_{name}") for name in ("START", "STOP", "LOG"))
needs_home_assistant = pytest.mark.skipif(
    not (START and STOP and LOG),
    reason="HOME_ASSISTANT_START, _STOP and _LOG are not set: how a Home Assistant is started (tests/README.md)",
)
OURS = ("[homeassistant.components.mqtt", "[homeassistant.helpers.template")  # whose log lines concern us


@dataclass(slots=True)
class HomeAssistant:
    """Its REST and websocket interfaces."""

    broker_port: int
    session: aiohttp.ClientSession
    url: str = ""
    token: str = ""
    heard: list[str] = field(default_factory=list)  # complaints of earlier starts, not told yet
    _seen: int = 0  # complaints of this start that were told

    async def start(self, *, keep: bool = False) -> None:
        """Run until it is ready."""
        assert START
        process = await asyncio.create_subprocess_exec(
            *shlex.split(START),
            str(self.broker_port),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **({"KEEP": "1"} if keep else {})},
        )
        async with asyncio.timeout(200):
            out, _ = await process.communicate()
        told = dict(line.split("=", 1) for line in out.decode().splitlines() if "=" in line)
        self.url, self.token = told["HA_URL"], told["HA_TOKEN"]
        self.session.headers["Authorization"] = f"Bearer {self.token}"

    async def stop(self) -> None:
        """End it; what its log says is kept."""
        assert STOP
        if self.url:
            self.heard += self._logged()
        await (await asyncio.create_subprocess_exec(*shlex.split(STOP))).wait()
        self.url, self._seen = "", 0

    async def states(self) -> dict[str, dict[str, Any]]:
        async with self.session.get(f"{self.url}/api/states") as answer:
            return {state["entity_id"]: state for state in await answer.json()}

    async def call(self, domain: str, service: str, **data: Any) -> None:
        async with self.session.post(f"{self.url}/api/services/{domain}/{service}", json=data) as answer:
            assert answer.status == 200, await answer.text()

    async def refuses(self, domain: str, service: str, **data: Any) -> bool:
        """Whether Home Assistant itself does not take this call."""
        async with self.session.post(f"{self.url}/api/services/{domain}/{service}", json=data) as answer:
            return answer.status != 200

    async def ask_all(self, commands: Iterable[dict[str, Any]]) -> list[Any]:
        """Results of commands over one websocket."""
        results = []
        url = f"{self.url.replace('http', 'ws', 1)}/api/websocket"
        async with self.session.ws_connect(url, max_msg_size=0) as socket:
            await socket.receive_json()
            await socket.send_json({"type": "auth", "access_token": self.token})
            assert (await socket.receive_json())["type"] == "auth_ok"
            for number, command in enumerate(commands, 1):
                await socket.send_json({"id": number, **command})
                answer = await socket.receive_json()
                assert answer["success"], answer
                results.append(answer["result"])
        return results

    async def ask(self, command: str, **data: Any) -> Any:
        return (await self.ask_all([{"type": command, **data}]))[0]

    async def entities(self) -> dict[str, dict[str, Any]]:
        """Ours by unique id."""
        found = await self.ask("config/entity_registry/list")
        return {e["unique_id"]: e for e in found if e["platform"] == "mqtt"}

    async def devices(self) -> dict[str, dict[str, Any]]:
        """Ours by identifier."""
        found = await self.ask("config/device_registry/list")
        return {d["identifiers"][0][1]: d for d in found if d["identifiers"] and d["identifiers"][0][0] == "mqtt"}

    async def enable_everything(self) -> None:
        """As a user would enable what is disabled by default.

        Home Assistant loads its MQTT integration anew half a minute later, and what is asked of it meanwhile is lost:
        it has done so when every state is younger than before.
        """
        found = await self.entities()
        hidden = [e["entity_id"] for e in found.values() if e["disabled_by"]]
        change = {"type": "config/entity_registry/update", "disabled_by": None}
        await self.ask_all({**change, "entity_id": entity_id} for entity_id in hidden)
        before = await self.states()
        ours = {e["entity_id"] for e in found.values()} & before.keys() - set(hidden)
        async with asyncio.timeout(120):
            now = before
            while any(one not in now or now[one]["last_changed"] == before[one]["last_changed"] for one in ours):
                await asyncio.sleep(1)
                now = await self.states()

    def complaints(self) -> list[str]:
        """Warnings and errors of its MQTT integration and of its templates, each told once."""
        found, logged = self.heard + self._logged(), self._logged(0)
        self.heard, self._seen = [], len(logged)
        return found

    def _logged(self, first: int | None = None) -> list[str]:
        assert LOG
        first = self._seen if first is None else first
        lines = Path(LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        found = [
            line
            for line in lines
            if (" WARNING " in line or " ERROR " in line)
            and any(part in line for part in OURS)
            and "logging too frequently" not in line
        ]
        return found[first:]


@asynccontextmanager
async def home_assistant(broker_port: int) -> AsyncIterator[HomeAssistant]:
    """Started with an empty configuration; one at a time on a machine, as tests may run side by side."""
    with (Path(tempfile.gettempdir()) / "jkbms-tests-home-assistant.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.5)
        async with aiohttp.ClientSession() as session:
            ha = HomeAssistant(broker_port, session)
            try:
                await ha.start()
                yield ha
            finally:
                await ha.stop()
