"""Options of the SmartPhoton app in our words, so that what its users paste runs. Pure.

Every name that its versions 1.0.3 to 4.1.10 had is known, flat or under ``jkbms`` and ``mqtt``, in any case, with
blanks, hyphens or underscores. Source: the option files of its whole public history. What was its placeholder is
never taken for a value. Nothing is taken over that would allow writing.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from jkbms_addon.options.plain_yaml import written
from jkbms_addon.options.sections import joined, parted
from jkbms_addon.validators import secret

# their spellings, in lower case with underscores -> the one used below
SYNONYMS: Final[Mapping[str, str]] = {
    "jkbms_path": "path",
    "path": "path",
    "chemin": "path",
    "jkbms_count": "count",
    "nb_jkbms": "count",
    "nbslave": "count",
    "batterie": "kind",
    "type": "link",
    "use_gateway": "gateway",
    "gateway_ip": "host",
    "gateway_port": "port",
    "gateway_ip_port": "place",
    "bms_broadcasting": "broadcasting",
    "non_broadcasting_data_interval_s": "pause",
    "can_bus_usage": "can",
    "canbus_usage": "can",
    "mqttadresse": "broker",
    "mqttaddress": "broker",
    "mqttport": "broker_port",
    "mqttadresse_port": "broker_place",
    "mqttuser": "user",
    "mqttpass": "password",
}
# their options that have no counterpart here, or none that may be set for somebody
WITHOUT: Final = frozenset(
    (
        *("gateway_debug", "communication_debug", "ssl", "certfile", "keyfile", "send_bip"),
        *("auth_username", "auth_password", "premium_section", "premium_key", "dashboard_section", "dashboard_mode"),
        *("dashboard_custom_cards_installed", "dashboard_language", "theme", "not_need", "leave_front_door_open"),
        *("safe_mode", "max_old_space_size", "cloud_broker", "cloud_broker_adress_port", "cloud_broker_user"),
        *("cloud_broker_pass", "cloud_ha_long_term_access_tokens", "batteries"),
    )
)
GROUPS: Final = frozenset(("jkbms", "list_jkbms", "nbre_batterie", "listbatterie"))  # a dictionary, or a list of them
SHARED: Final = ("broadcasting", "pause")  # what holds for every entry of a list, wherever it stands
PLACEHOLDERS: Final[Mapping[str, Callable[[str], bool]]] = {
    "path": lambda text: "ttyUSBx" in text or "usb-xxxx_USB_Serial" in text,
    "user": lambda text: text == "username",
    "password": lambda text: text == "password",
}
# the broker of Home Assistant's own app, which is found without any option
OWN_BROKER: Final = frozenset(
    ("core-mosquitto", "core-mosquitto.local.hass.io", "homeassistant.local", "localhost", "127.0.0.1")
)
EXAMPLE_HOST: Final = "192.168.1.100"  # what their form holds before anybody types
DEFAULT_INTERVAL: Final = 2.0  # s
CAN_BUS: Final[Mapping[str, Any]] = {
    "name": "can",
    "strategy": "can_broadcast",
    "channel": "can0",
    "bitrate": 500000,
    "set_up_link": True,
}
# the bus that our own form holds before anybody types; it is no wish of the user
UNTOUCHED: Final = (
    [{"name": "rs485", "strategy": "master", "port": "/dev/ttyUSB0", "addresses": "1-15", "interval": 2.0}],
    [{"name": "rs485", "strategy": "auto", "port": "/dev/ttyUSB0", "addresses": "1-15", "interval": 2.0}],
)


# what our form demands, with what it holds where nothing else is wished
FORM: Final[Mapping[str, Any]] = {
    "log_level": "info",
    "language": "en",
    "buses": [],
    "batteries": [],
    "mqtt": {},
    "writes": {"level": "off"},
    "bank": {},
    "page": {},
    "inverter": {"protocol": "none", "confirmed": False},
    "inverter_details": {},
    "inverters": [],
    "jkbms": {},
}


class Carried(NamedTuple):
    """Our options with theirs taken over, lines for the log, and a line for whatever could not become a bus."""

    options: dict[str, Any]
    lines: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Theirs(NamedTuple):
    """Their options under one spelling each, where several stand in a list these with their place, and what is ours."""

    flat: dict[str, Any]
    entries: list[tuple[str, Any]]
    rest: dict[str, Any]


def carried_over(raw: Mapping[str, Any]) -> Carried:
    """Our options with theirs taken over; the lines say what was read, and hold the form to save."""
    theirs, entries, rest = _theirs(raw)
    lines = []
    if rest.get("log_level") == "notice":
        rest["log_level"] = "info"
        lines.append("log_level: notice of the SmartPhoton app is info here")
    if not theirs and not entries:
        return Carried(rest, tuple(lines))
    if rest.get("buses") and rest["buses"] not in UNTOUCHED:
        names = ", ".join(sorted(str(key) for key in raw if key not in rest))
        lines.append(f"options of the SmartPhoton app are ignored, as buses is given; delete them: {names:.200}")
        return Carried(rest, tuple(lines))
    options = dict(rest)
    broker = _broker(theirs)
    if broker:
        options["mqtt"] = {**_dictionary(options.get("mqtt")), **broker}
    buses, missing = _buses(theirs, entries)
    if missing and not buses:
        options.pop("buses", None)  # the bus of our own form is not the one that was wished
        return Carried(options, tuple(lines), missing)
    if buses:
        options["buses"] = buses
    lines.append(f"options of the SmartPhoton app are understood; save this form instead:\n{written(_form(options))}")
    return Carried(options, tuple(lines), missing)


def _form(options: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that our form demands, as it may stand in a log."""
    found, own = {}, parted(joined(options)[0])
    for key, empty in FORM.items():
        value = own.get(key, empty)
        found[key] = {**empty, **value} if isinstance(value, dict) and isinstance(empty, dict) else value
    return {key: _shown(value) for key, value in found.items()}


def _theirs(raw: Mapping[str, Any]) -> Theirs:
    """Their options told apart from everything that is not theirs."""
    found = Theirs({}, [], {})
    for key, value in raw.items():
        name = _plain(key)
        if name in GROUPS and isinstance(value, list) and len(value) > 1:
            found.entries.extend((f"{name}, entry {number}", one) for number, one in enumerate(value, 1))
        elif name in GROUPS:
            found.flat.update(_known(_first(value)))
        elif name == "mqtt" and isinstance(value, dict):
            known = {inner: one for inner, one in value.items() if _plain(inner) in SYNONYMS}
            found.flat.update(_known(known))
            found.rest[key] = {inner: one for inner, one in value.items() if inner not in known}
        elif name in SYNONYMS:
            found.flat.update(_known({key: value}))
        elif name not in WITHOUT or (key == "batteries" and _ours(value)):
            found.rest[key] = value
    return found


def _ours(batteries: object) -> bool:
    """Whether ``batteries`` are lines of our own option of this name; theirs had other contents."""
    return isinstance(batteries, list) and all(isinstance(line, str) for line in batteries)


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with a value that somebody has given."""
    found = {SYNONYMS[name]: value for key, value in options.items() if (name := _plain(key)) in SYNONYMS}
    return {key: value for key, value in found.items() if value not in (None, "") and not _placeholder(key, value)}


def _placeholder(key: str, value: object) -> bool:
    test = PLACEHOLDERS.get(key)
    return test is not None and isinstance(value, str) and test(value)


def _plain(key: object) -> str:
    return str(key).lower().replace(" ", "_").replace("-", "_")


def _first(value: object) -> dict[str, Any]:
    first = value[0] if isinstance(value, list) and value else value
    return _dictionary(first)


def _dictionary(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def _buses(theirs: Mapping[str, Any], entries: list[tuple[str, Any]]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Their buses, and a line for whatever cannot be one: all that they had in a list, or the only one."""
    if not entries or _true(theirs.get("can")):  # with CAN their program did nothing else
        bus, missing = _bus(theirs)
        why = (f"{missing}. Options of the SmartPhoton app became no bus",) if missing else ()
        return [bus] if bus else [], why
    shared = {key: theirs[key] for key in SHARED if key in theirs}
    wanted = [(where, {**shared, **_known(_dictionary(one))}) for where, one in entries]
    if "path" in theirs or _true(theirs.get("gateway")):
        wanted.insert(0, ("what stands beside the list", dict(theirs)))
    found: list[dict[str, Any]] = []
    wrong = []
    for where, one in wanted:
        bus, missing = _bus(one)
        if bus is None or (missing := _taken(bus, found)):
            told = missing or "tells no port"
            wrong.append(f"{where}: {told}. This entry of the SmartPhoton app became no bus")
        else:
            alike = sum(other["name"].partition("_")[0] == bus["name"] for other in found)
            found.append({**bus, "name": f"{bus['name']}_{alike + 1}"} if alike else bus)
    return found, tuple(wrong)


def _taken(bus: Mapping[str, Any], others: list[dict[str, Any]]) -> str:
    """What is wrong where another bus has this port, gateway or interface already."""
    mine = {key: bus[key] for key in ("port", "host", "tcp_port", "channel") if key in bus}
    place = ":".join(str(value) for value in mine.values())
    return f"{place} is read by another entry already" if any(mine.items() <= one.items() for one in others) else ""


def _bus(theirs: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """One bus of theirs, in the order of their program: CAN, gateway, serial port; or what is missing for it."""
    if str(theirs.get("kind")).lower() == "pylontech":
        return None, "batterie: pylontech is not read here, only jkbms"
    polls = not _true(theirs.get("broadcasting"))
    count = _count(theirs.get("count"))
    asked = {"addresses": "1" if count == 1 else f"1-{count}", "interval": _interval(theirs.get("pause"), count)}
    if _true(theirs.get("can")):
        return dict(CAN_BUS), ""
    by_ip = str(theirs.get("link")).lower() == "ip"  # then the port is an address
    if by_ip or _true(theirs.get("gateway")):
        host, port = _gateway({"place": theirs.get("path"), **theirs} if by_ip else theirs)
        if not host or port is None:
            name = "chemin" if by_ip else "gateway_ip_port"
            return None, f"{name}: is missing, or still the example; give host and tcp_port of the gateway"
        bus = {"name": "rs485", "strategy": "gateway", "host": host, "tcp_port": port}
        return {**bus, "mode": "poll", **asked} if polls else {**bus, "mode": "listen"}, ""
    if "path" not in theirs:
        known = theirs.keys() & {"kind", "count", "gateway", "broadcasting", "can", "host", "place", "pause"}
        return None, "jkbms_path: is missing, or still the example; give the serial port" if known else ""
    bus = {"name": "rs485", "strategy": "master" if polls else "listen", "port": theirs["path"]}
    return {**bus, **asked} if polls else bus, ""


def _count(value: object) -> int:
    """How many batteries they had; one where that was not said."""
    digits = str(value).strip()
    return min(15, max(1, int(digits))) if digits.isascii() and digits.isdigit() and len(digits) <= 3 else 1


def _interval(pause: object, count: int) -> float:
    """Seconds from round to round; theirs are from one battery to the next. 10 at most, which an inverter can bear."""
    if isinstance(pause, bool) or not isinstance(pause, (int, float)) or not 0 < pause <= 3600:
        return DEFAULT_INTERVAL
    return min(10.0, float(pause * count))


def _gateway(theirs: Mapping[str, Any]) -> tuple[str, int | None]:
    host, port = _place(theirs.get("place"))
    host = str(theirs.get("host", host)).strip()
    given = theirs.get("port")
    port = _port(given) if given is not None else port
    return ("", None) if host == EXAMPLE_HOST and port in (None, 5000) else (host, port)


def _place(value: object) -> tuple[str, int | None]:
    """Host and port of ``host:port``, split at the last colon."""
    text = str(value or "").strip()
    host, colon, port = text.rpartition(":")
    return (host, _port(port)) if colon else (text, None)


def _port(value: object) -> int | None:
    digits = str(value).strip()
    return int(digits) if digits.isascii() and digits.isdigit() and 1 <= len(digits) <= 5 else None


def _broker(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The section ``mqtt``; nothing where their broker is Home Assistant's own, which is found by itself."""
    host, port = _place(theirs.get("broker_place"))
    host = str(theirs.get("broker", host)).strip()
    port = _port(theirs["broker_port"]) if "broker_port" in theirs else port
    if not host or host.lower() in OWN_BROKER:
        return {}
    access = {"username": theirs.get("user", ""), "password": theirs.get("password", "")}
    return {"host": host, "port": port or 1883, **{key: str(value) for key, value in access.items()}}


def _shown(value: Any) -> Any:  # noqa: ANN401 - decoded JSON
    """What may stand in a log."""
    if isinstance(value, dict):
        return {
            key: f"(your {key})" if secret(str(key)) and inner not in (None, "") else _shown(inner)
            for key, inner in value.items()
        }
    return [_shown(inner) for inner in value] if isinstance(value, list) else value
