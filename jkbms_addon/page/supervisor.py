"""The app's own options as the Supervisor holds them, and a restart with them.

No more than what every app may do with its own token, without any role: ``info``, ``options`` and ``restart`` below
``/addons/self``. ``options/validate`` is not among it, and not needed: ``options`` checks before it keeps anything.
"""

import asyncio
import http.client
import json
import time
import urllib.error
import urllib.request
from functools import partial
from typing import Any, Final

from jkbms_addon.errors import CommandError, LinkError
from jkbms_addon.page.place import TIMEOUT
from jkbms_addon.supervisor import URL, token
from jkbms_addon.worker import Worker

PATIENCE: Final = 10.0  # s for saving, which reads secrets and writes a file there
LARGEST: Final = 1024 * 1024  # bytes of an answer
SLOW: Final = "the Supervisor does not answer"


class Home:
    """The Supervisor. ``lock`` is for who reads, changes and saves."""

    def __init__(self, url: str = URL) -> None:
        self._url = url
        self._worker = Worker("supervisor")  # one that hangs must not keep anybody else waiting
        self.lock = asyncio.Lock()

    async def options(self) -> dict[str, Any]:
        """The options that are saved there; they may be newer than those that we run with."""
        info = await self._call("GET", "info", None, 2 * TIMEOUT)
        options = info.get("options") if isinstance(info, dict) else None
        if not isinstance(options, dict):
            raise LinkError("the Supervisor tells no options")
        return options

    async def save(self, options: dict[str, Any]) -> None:
        """Have all of them checked and kept there. ``CommandError`` with its own words where it refuses."""
        await self._call("POST", "options", {"options": options}, PATIENCE)

    async def restart(self) -> None:
        """Ask for a restart; no answer may come, as we are ended meanwhile."""
        await self._call("POST", "restart", None, PATIENCE)

    async def _call(self, method: str, what: str, content: object, within: float) -> Any:  # noqa: ANN401
        ask = partial(_ask, method, f"{self._url}/addons/self/{what}", content, within)
        return await self._worker.call(ask, within, SLOW)


def _ask(method: str, url: str, content: object, within: float) -> Any:  # noqa: ANN401 - decoded JSON
    """The data of an answer. It blocks, also for a little longer than anybody waits for it."""
    body = None if content is None else json.dumps(content).encode()
    headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=within + 1) as answer:  # noqa: S310
            told = _decoded(_whole(answer, within))
    except urllib.error.HTTPError as error:
        with error:
            raise CommandError(f"the Supervisor refuses: {_said(error)}") from error
    except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
        raise LinkError(f"{SLOW} as it should: {type(error).__name__}") from error
    if told.get("result") != "ok":
        raise CommandError(f"the Supervisor refuses: {_words(told, 'no reason is told')}")
    return told.get("data")


def _whole(answer: http.client.HTTPResponse, within: float) -> bytes:
    """All of an answer, unless it goes on for ever."""
    end, body = time.monotonic() + within, b""
    while piece := answer.read1(LARGEST):
        body += piece
        if time.monotonic() > end or len(body) > LARGEST:
            raise TimeoutError
    return body


def _said(error: urllib.error.HTTPError) -> str:
    """Why it refuses, in its words where there are any."""
    status = f"status {error.code}"
    try:
        return _words(_decoded(error.read(LARGEST)), status)
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return status


def _words(told: dict[str, Any], otherwise: str) -> str:
    message = told.get("message")
    return " ".join(message.split()) if isinstance(message, str) and message.strip() else otherwise


def _decoded(body: bytes) -> dict[str, Any]:
    told = json.loads(body)
    if not isinstance(told, dict):
        raise ValueError(body[:20])  # noqa: TRY004 - it is JSON, and not what was asked for
    return told
