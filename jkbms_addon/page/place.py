"""Where the page listens: where Home Assistant's Supervisor says, and on a port of the options."""

import urllib.error
from dataclasses import dataclass, field
from typing import Final

from jkbms_addon.errors import LinkError
from jkbms_addon.supervisor import UNTOLD, URL, token, told

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
    return bool(token())


def ask(supervisor: str = URL) -> Place:
    """The place that the Supervisor's proxy will look at; ``LinkError`` when it does not tell. It blocks."""
    try:
        data = told("/addons/self/info", TIMEOUT, supervisor)
        host, port = str(data["ip_address"]), int(data["ingress_port"])
    except urllib.error.HTTPError as error:
        error.close()
        raise LinkError(f"the Supervisor refuses to say where to listen (status {error.code})") from error
    except UNTOLD as error:
        raise LinkError(f"the Supervisor does not say where to listen: {type(error).__name__}") from error
    if not 0 < port < 65536 or host in ("", "0.0.0.0", "::"):  # noqa: S104
        raise LinkError(f"the Supervisor names no place to listen: {host}:{port}")
    return Place(host, port, peer=PROXY)
