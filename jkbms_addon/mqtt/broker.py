"""Where the broker is: from the options, else from Home Assistant's Supervisor, asked anew each time."""

import logging
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from jkbms_addon.errors import LinkError
from jkbms_addon.supervisor import UNTOLD, URL, token, told
from jkbms_addon.worker import Worker, own

_LOGGER = logging.getLogger(__name__)
TIMEOUT = 3.0  # s for each step of asking
PATIENCE: Final = 2 * TIMEOUT  # s for the whole; a name server may need as long as it likes


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """How to reach the broker; an empty host means: ask the Supervisor. With a ``problem`` none is used."""

    host: str = ""
    port: int = 1883
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca_file: str = ""
    discovery_prefix: str = "homeassistant"
    base_topic: str = "jkbms"
    detail: str = "calm"  # or full
    raw: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """Address and credentials of a broker."""

    host: str
    port: int = 1883
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ca_file: str = ""


class BrokerAddress:
    """Where the broker is now; what the Supervisor named last holds while it does not answer, as in its updates."""

    def __init__(self, options: MqttOptions, supervisor: str = URL) -> None:
        self._options, self._supervisor = options, supervisor
        self._worker = Worker("supervisor")  # one that hangs must not keep us from the broker
        self._last: Access | None = None

    async def now(self) -> Access:
        """The broker to use; ``LinkError`` when nobody knows one."""
        try:
            patience = PATIENCE if self._last is None else TIMEOUT
            self._last = await access(self._options, self._supervisor, self._worker, patience)
        except NoBrokerError:
            self._last = None
            raise
        except LinkError as error:
            if self._last is None:
                raise
            _LOGGER.debug("%s: using the broker that it named last", error)
        return self._last


class NoBrokerError(LinkError):
    """The Supervisor answers that there is no broker."""


async def access(
    options: MqttOptions, supervisor: str = URL, worker: Worker | None = None, within: float = PATIENCE
) -> Access:
    """The broker to use now, from the Supervisor within so many s; ``LinkError`` when nobody knows one."""
    if options.host:
        return Access(options.host, options.port, options.username, options.password, options.tls, options.ca_file)
    if not token():
        raise LinkError("no MQTT broker: set mqtt.host (there is no Supervisor to ask)")
    slow = "the Supervisor does not name the MQTT broker: no answer"
    return await (worker or own()).call(partial(_ask, supervisor, options.ca_file), within, slow)


def _ask(supervisor: str, ca_file: str) -> Access:
    try:
        data = told("/services/mqtt", TIMEOUT, supervisor)
        return Access(
            str(data["host"]),
            int(data["port"]),
            str(data.get("username") or ""),
            str(data.get("password") or ""),
            bool(data.get("ssl")),
            ca_file,
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 400:
            raise NoBrokerError("no MQTT broker: install the Mosquitto broker app or set mqtt.host") from error
        raise LinkError(f"the Supervisor refuses to name the MQTT broker (status {error.code})") from error
    except UNTOLD as error:
        raise LinkError(f"the Supervisor does not name the MQTT broker: {type(error).__name__}") from error
