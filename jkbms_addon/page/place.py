"""Where the page listens: where Home Assistant's Supervisor says, and on a port of the options."""

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Final

from jkbms_addon.errors import LinkError

SUPERVISOR: Final = "http://supervisor"
PROXY: Final = "172.30.32.2"  # the Supervisor's own address, from which alone it hands requests on
TIMEOUT: Final = 3.0  # s


@dataclass(frozen=True, slots=True)
class PageOptions:
    """The section ``page``: a port of its own, 0 for none, and what a client must know to be let in there."""

    port: int = 0
    token: str = field(default="", repr=False)
    problem: str = ""
    host: str = "0.0.0.0"  # noqa: S104 - all addresses; whoever has none of the tokens sees nothing


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen, and whom to serve there: with ``peer`` only that address, with ``token`` who knows it."""

    host: str
    port: int
    peer: str = ""
    token: str = field(default="", repr=False)


def supervised() -> bool:
    """Whether there is a Supervisor to ask."""
    return bool(os.environ.get("SUPERVISOR_TOKEN"))


def ask(supervisor: str = SUPERVISOR) -> Place:
    """The place that the Supervisor's proxy will look at; ``LinkError`` when it does not tell. It blocks."""
    token = os.environ.get("SUPERVISOR_TOKEN", "")
    request = urllib.request.Request(f"{supervisor}/addons/self/info", headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            data = json.load(answer)["data"]
        host, port = str(data["ip_address"]), int(data["ingress_port"])
    except urllib.error.HTTPError as error:
        error.close()
        raise LinkError(f"the Supervisor refuses to say where to listen (status {error.code})") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError, HTTPException) as error:
        raise LinkError(f"the Supervisor does not say where to listen: {type(error).__name__}") from error
    if not 0 < port < 65536 or host in ("", "0.0.0.0", "::"):  # noqa: S104
        raise LinkError(f"the Supervisor names no place to listen: {host}:{port}")
    return Place(host, port, peer=PROXY)
