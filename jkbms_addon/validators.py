"""Validators that the option schemas share, and what is said of an option that is wrong."""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from ipaddress import ip_address
from math import isnan
from typing import Any

import voluptuous as vol

Options = Mapping[str, Any]  # of one bus
ADDRESSES = range(16)  # of a BMS: its DIP switches
PATH = 255  # characters of a device's path
LINE = 300  # characters of what is said of an option
SECRET = ("password", "pin", "token", "secret", "username", "mqttuser", "mqttpass")


def addresses(value: object) -> frozenset[int]:
    """Addresses from text such as ``1-3,7``; every one within 0 to 15."""
    wanted: set[int] = set()
    for part in usual(str(value)).split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise vol.Invalid("must be addresses such as '1-3,7'")
        low, high = _address(first), _address(last or first)
        if high < low:
            raise vol.Invalid(f"the range {low}-{high} runs backwards")
        wanted.update(range(low, high + 1))
    return frozenset(wanted)


def _address(digits: str) -> int:
    number = int(digits) if len(digits) <= 4 else -1  # before a long one costs time
    if number not in ADDRESSES:
        raise vol.Invalid("addresses are 0 to 15")
    return number


def usual(text: str) -> str:
    """A text whose digits are 0 to 9 and none of another alphabet, which look the same."""
    if any(char.isdecimal() and not char.isascii() for char in text):
        raise vol.Invalid(f"must be written with the digits 0 to 9, {unicodedata.normalize('NFKC', text)!r:.60}")
    return text


def interval(value: object) -> float:
    """Seconds between round starts, 0 to 3600."""
    if isinstance(value, str):
        usual(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (isinstance(value, float) and isnan(value)):
        raise vol.Invalid("must be a number of seconds")
    if not 0 <= value <= 3600:
        raise vol.Invalid(f"must be 0 to 3600 seconds{_meant(value)}")
    # nobody asks a battery every 8 minutes and 20 seconds
    if value >= 500 and value % 100 == 0 and value % 60:
        raise vol.Invalid(f"{value:g} would be seconds{_meant(value)}")
    return float(value)


def _meant(value: float) -> str:
    """What whoever thinks in milliseconds should write."""
    return f"; if milliseconds were meant, write {value / 1000:g}" if 100 <= value < 3_600_000 else ""


def pause(value: object) -> float:
    """Seconds from one reading to the next, 0.5 to 3600."""
    if interval(value) < 0.5:
        raise vol.Invalid("must be 0.5 to 3600 seconds")
    return interval(value)


def address(value: object) -> int:
    """Address under which the battery is shown, 0 to 15."""
    if isinstance(value, str):
        usual(value)
    if isinstance(value, bool) or not isinstance(value, int) or value not in ADDRESSES:
        raise vol.Invalid("must be a whole number from 0 to 15")
    return value


def port(value: object) -> str:
    """Path of a serial port."""
    path = value.strip() if isinstance(value, str) else ""
    found = re.fullmatch(r"(\w+://)?([\w.-]+|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?/?", path, re.ASCII)
    if found and (found[1] or found[3]):
        where = f"host {found[2].strip('[]')} and tcp_port {found[3] or 'NUMBER'}"
        raise vol.Invalid(
            f"must name a serial port, best as /dev/serial/by-id/...; for a gateway write {where} instead"
        )
    # nothing but a path: pyserial would also take addresses such as loop://
    if not (path.startswith("/") and path.isprintable() and len(path) <= PATH):
        raise vol.Invalid("must name a serial port, best as /dev/serial/by-id/...")
    return path


def host(value: object) -> str:
    """Name or address of a gateway."""
    name = value.strip() if isinstance(value, str) else ""
    return host_alone(name, "the gateway", "tcp_port")


def host_alone(name: str, of: str, port_option: str) -> str:
    """A name or an address; what was typed around it is told apart."""
    usual(name)
    found = re.fullmatch(r"(?:\w+://)?([^/:\s]+|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?/?", name, re.ASCII)
    if found and found[1] != name:
        beside = f" and {port_option} {found[2]}" if found[2] else ""
        raise vol.Invalid(f"must be the name or the address of {of} alone: write {found[1].strip('[]')}{beside}")
    if not named(name):
        raise vol.Invalid(f"must be the name or the address of {of}")
    return name


def named(name: str) -> bool:
    """Whether a text can be the name or the address of a host; it is neither with a port nor with http:// around."""
    try:
        plain = name.encode("idna").decode()  # as a resolver would ask for it
        if ":" in plain:
            ip_address(plain)
    except ValueError:
        return False
    return re.fullmatch(r"[\w.%:-]{1,253}", plain, re.ASCII) is not None


def tcp_port(value: object) -> int:
    """TCP port of a gateway, 1 to 65535."""
    if isinstance(value, str):
        usual(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise vol.Invalid("must be a whole number from 1 to 65535")
    return value


def unit_address(text: str) -> str:
    """An address of a Bluetooth unit as it is compared: in capitals, with colons."""
    return text.strip().upper().replace("-", ":")


def ble_unit(value: object) -> str:
    """Address of a BMS on Bluetooth, in capitals, or the name that it tells there."""
    text = value.strip() if isinstance(value, str) else ""
    address = unit_address(text)
    if re.fullmatch(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}", address):
        return address
    if ":" in text or not (text.isprintable() and 0 < len(text.encode()) <= 29):  # a name in an advertisement
        raise vol.Invalid("must be an address such as C8:47:80:12:34:56, or the name of the BMS")
    return text


def adapter(value: object) -> str:
    """Name of a Bluetooth adapter, such as ``hci0``."""
    if not isinstance(value, str) or not re.fullmatch(r"hci\d{1,3}", value.strip()):
        raise vol.Invalid("must be a Bluetooth adapter such as hci0")
    return value.strip()


def pin(value: object) -> str:
    """Digits that a BMS asks for when it is paired, 1 to 6."""
    digits = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"\d{1,6}", digits, re.ASCII):
        raise vol.Invalid("must be 1 to 6 digits")
    return digits


def channel(value: object) -> str:
    """A CAN interface such as ``can0``, or the path of a serial adapter (slcan)."""
    name = value.strip() if isinstance(value, str) else ""
    # the kernel's names of interfaces have at most 15 bytes
    interface = name.isprintable() and 0 < len(name.encode()) <= 15 and not any(c.isspace() or c in "/:" for c in name)
    if not (interface or (name.startswith("/") and name.isprintable() and len(name) <= PATH)):
        raise vol.Invalid("must be a CAN interface such as can0, or the path of a serial adapter")
    return name


def bitrate(value: object) -> int:
    """Bits a second of a CAN bus, 250000 or 500000."""
    if isinstance(value, bool) or str(value) not in ("250000", "500000"):  # a list of Home Assistant's form gives text
        raise vol.Invalid("must be 250000 or 500000")
    return int(str(value))


def baudrate(value: object) -> int:
    """Speed of a serial port in bit/s, 115200 or 9600 (UART protocol 013)."""
    if isinstance(value, bool) or str(value) not in ("9600", "115200"):  # a list of Home Assistant's form gives text
        raise vol.Invalid("must be 115200 or 9600")
    return int(str(value))


def yes_no(value: object) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise vol.Invalid("must be true or false")
    return value


def one_link(options: Options) -> Options:
    """Either ``port`` or ``host`` with ``tcp_port``."""
    if ("port" in options) == ("host" in options):
        raise vol.Invalid("needs either port or host with tcp_port", path=["port"])
    if ("host" in options) != ("tcp_port" in options):
        raise vol.Invalid("host and tcp_port belong together", path=["tcp_port"])
    return options


def target(options: Options) -> str:
    """What the link leads to."""
    return str(options["port"]) if "port" in options else f"{options['host']}:{options['tcp_port']}"


def given(raw: object, without: Collection[str] = ()) -> object:
    """What the options form leaves empty is not given, so that the defaults hold."""
    if not isinstance(raw, Mapping):
        return raw
    return {key: value for key, value in raw.items() if key not in without and value not in (None, "")}


def filled(raw: object) -> dict[Any, Any]:
    """The same of a section; nothing where it is none."""
    found = given(raw)
    return dict(found) if isinstance(found, Mapping) else {}


def secret(key: str) -> bool:
    """Whether an option of that name holds what nobody may see."""
    return any(word in key.lower() for word in SECRET)


def secrets_of(content: object, hidden: Callable[[str], bool] = secret, *, inside: bool = False) -> Iterator[str]:
    """Every value of decoded options whose name, or that of what it stands in, is one to be hidden; as text."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from secrets_of(value, hidden, inside=inside or hidden(str(key)))
    elif isinstance(content, list):
        for value in content:
            yield from secrets_of(value, hidden, inside=inside)
    elif inside and content not in (None, "", True, False):
        yield str(content)


WORDS = {
    "extra keys not allowed": "is not an option here",
    "required key not provided": "is missing",
    "expected a dictionary": "must be an object",
}


def explained(error: vol.Invalid) -> str:
    """Which key and what is wrong with it, in one line; the first of several errors."""
    first = error.errors[0] if isinstance(error, vol.MultipleInvalid) else error
    where = ".".join(plain(str(part)) for part in first.path)
    message = WORDS.get(first.error_message, first.error_message)
    return plain(" ".join((f"{where:.60}: {message}" if where else str(message)).split()), LINE)


def plain(text: str, most: int = 60) -> str:
    """A text that may hold anything, as it can be shown: what is not printable is escaped, what is long is cut."""
    return text[:most] if text[:most].isprintable() else repr(text[:most])[1:-1][:most]
