"""Validators that the strategies' option schemas share."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import voluptuous as vol

from jkbms_addon.protocols.modbus import ADDRESSES

Options = Mapping[str, Any]  # of one bus


def addresses(value: object) -> frozenset[int]:
    """Addresses from text such as ``1-3,7``; every one within 0 to 15."""
    wanted: set[int] = set()
    for part in str(value).replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise vol.Invalid("must be addresses such as '1-3,7'")
        wanted.update(range(int(first), int(last or first) + 1) if int(last or first) >= int(first) else ())
        if int(last or first) < int(first):
            raise vol.Invalid(f"the range {part} runs backwards")
    if not wanted <= set(ADDRESSES):
        raise vol.Invalid("addresses are 0 to 15")
    return frozenset(wanted)


def interval(value: object) -> float:
    """Seconds between round starts, 0 to 3600."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise vol.Invalid("must be a number of seconds")
    if not 0 <= value <= 3600:
        raise vol.Invalid("must be 0 to 3600 seconds")
    return float(value)


def pause(value: object) -> float:
    """Seconds from one reading to the next, 0.5 to 3600."""
    if interval(value) < 0.5:
        raise vol.Invalid("must be 0.5 to 3600 seconds")
    return interval(value)


def address(value: object) -> int:
    """Address under which the battery is shown, 0 to 15."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in ADDRESSES:
        raise vol.Invalid("must be a whole number from 0 to 15")
    return value


def port(value: object) -> str:
    """Path of a serial port."""
    if not isinstance(value, str) or not value.strip():
        raise vol.Invalid("must name a serial port, best as /dev/serial/by-id/...")
    return value.strip()


def host(value: object) -> str:
    """Name or address of a gateway."""
    if not isinstance(value, str) or not value.strip() or any(character.isspace() for character in value.strip()):
        raise vol.Invalid("must be the name or the address of the gateway")
    return value.strip()


def tcp_port(value: object) -> int:
    """TCP port of a gateway, 1 to 65535."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise vol.Invalid("must be a whole number from 1 to 65535")
    return value


def channel(value: object) -> str:
    """A CAN interface such as ``can0``, or the path of a serial adapter (slcan)."""
    name = value.strip() if isinstance(value, str) else ""
    # the kernel's names of interfaces have at most 15 characters
    if not (name.startswith("/") or (0 < len(name) <= 15 and not any(c.isspace() or c in "/:" for c in name))):
        raise vol.Invalid("must be a CAN interface such as can0, or the path of a serial adapter")
    return name


def bitrate(value: object) -> int:
    """Bits a second of a CAN bus, 250000 or 500000."""
    if isinstance(value, bool) or str(value) not in ("250000", "500000"):  # a list of Home Assistant's form gives text
        raise vol.Invalid("must be 250000 or 500000")
    return int(str(value))


def yes_no(value: object) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise vol.Invalid("must be true or false")
    return value


def one_link(options: Options) -> Options:
    """Either ``port`` or ``host`` with ``tcp_port``."""
    if ("port" in options) == ("host" in options):
        raise vol.Invalid("needs either port or host with tcp_port")
    if ("host" in options) != ("tcp_port" in options):
        raise vol.Invalid("host and tcp_port belong together")
    return options


def target(options: Options) -> str:
    """What the link leads to."""
    return str(options["port"]) if "port" in options else f"{options['host']}:{options['tcp_port']}"
