"""What Home Assistant's Supervisor tells, asked over HTTP. It blocks."""

import json
import os
import urllib.request
from http.client import HTTPException
from typing import Any, Final

URL: Final = "http://supervisor"
# besides a refusal with a status (``HTTPError``, one of the first): no answer, none in time, or none of use
UNTOLD: Final = (OSError, ValueError, KeyError, TypeError, RecursionError, HTTPException)


def token() -> str:
    """By which it knows us; empty where there is no Supervisor."""
    return os.environ.get("SUPERVISOR_TOKEN", "")


def told(path: str, within: float, supervisor: str = URL, most: int | None = None) -> Any:  # noqa: ANN401 - decoded JSON
    """The data of its answer; ``within`` s for each step, ``most`` bytes. One of ``UNTOLD`` where there are none."""
    request = urllib.request.Request(f"{supervisor}{path}", headers={"Authorization": f"Bearer {token()}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=within) as answer:  # noqa: S310
        return json.loads(answer.read(most))["data"]
