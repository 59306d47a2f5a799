"""Whatever the options form can hand to the program, made from the schema in ``config.yaml``.

The types are those of the Supervisor: it fills in the defaults (dictionaries merged, lists replaced), demands what is
not optional, and lets nothing through that the schema does not know. What a ``str`` may hold is known here by the
option's name, so that what works and what does not both come often; any other text comes, too.
"""

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from jkbms_addon.inverter.options import DETAILS
from tests.test_manifest import CONFIG, ELEMENT, OWN, optional

PORTS = (
    "/dev/ttyUSB0",
    "/dev/nowhere",
    "/dev/null",
    "/dev",
    "loop://",
    "ttyUSB0",
    "COM3",
    "/dev/x\0y",
    "/" + "x" * 5000,
    "/" + "ü" * 200,
)
HOSTS = ("127.0.0.9", "gateway.local", "fe80::1", "a..b", "x" * 64, "a b", "a\0", "-", "http://gateway:80/")
TOPICS = ("jkbms", "a/b", "/a/", "", "a/#", "+", "a b", "a\tb", "$SYS", "///", "ü", "x" * 300, "a\0")
WEIRD = (" ", "\n", "\0", "\u2028", "ü€𝄞", "x" * 3000, "*", "null", "[]", '"', "\u202e", "a\r\nb")
# what makes sense, or nearly so, as the text of an option
TEXTS: dict[str, tuple[str, ...]] = {
    "name": ("a", "b", "rs485", "bus_2"),
    "plugin": ("mastr", "master", "json_file", ""),
    "port": PORTS,
    "host": HOSTS,
    "addresses": (
        "1-15,3",
        "0",
        "16",
        "1-",
        "-",
        "1,,2",
        " ",
        "1-3, 7",
        "15-1",
        "1-99999999999",
        "9" * 5000,
        "\u0661-\u0663",
    ),
    "channel": ("nocan7", "nocan8", "/dev/nowhere", "can 0", "much-too-long-name", "a:b", "ü", "a\0"),
    "mac": ("C8:47:80:00:00:01", "c8-47-80-00-00-02", "JK_PB2A16S20P", "C8:47", "x" * 30, "ü\0"),
    "adapter": ("hci0", "hci1", "0", "hci", "hci9999"),
    "batteries": (
        "a/1 = b/1",
        "a/1 = a/2",
        "a/1 != b/1",
        "a/1",
        "=",
        "a/1 = b/1 = c/1",
        "nobody/1 = a/1",
        "a/99 = b/1",
        "",
    ),
    "members": ("a", "a/1-3, b", "rs485", "a/16", "a/", "!", "nobody", ",,", "a a b/2", "a/1-99999999999"),
    "manufacturer": ("PYLON", "JK 1", "much too long", " x", "ü", "a\nb"),
    "ca_file": ("/ssl/nothing.pem", "/dev/null", "x\0", "/ssl/" + "x" * 5000),
    "username": ("user", "a\0b", "x" * 70000, "ü"),
    "discovery_prefix": TOPICS,
    "base_topic": TOPICS,
}
SECRET = "geheim-4711"
SECRETS = st.sampled_from(["", SECRET, SECRET + "\0", SECRET * 7000, SECRET + "\ud800"])


def paths(schema: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Path and type of every option, such as ``buses[].port``."""
    if isinstance(schema, dict):
        for key, inner in schema.items():
            yield from paths(inner, f"{before}.{key}" if before else key)
    elif isinstance(schema, list):
        yield from paths(schema[0], f"{before}[]")
    else:
        yield before, schema


def values(schema: Any, defaults: Any = None, name: str = "") -> st.SearchStrategy[Any]:
    """What may stand where the schema says this."""
    if isinstance(schema, dict):
        return _section(schema, defaults if isinstance(defaults, dict) else {})
    if isinstance(schema, list):
        return st.lists(values(schema[0], None, name), max_size=4)
    element = ELEMENT.fullmatch(schema)
    assert element, f"{schema} is no type"
    return _scalar(element["type"], element["detail"] or "", name)


def _section(schema: dict[str, Any], defaults: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A dictionary: what has a default is there, with it or with another value; what is optional may be missing."""
    always: dict[str, st.SearchStrategy[Any]] = {}
    sometimes: dict[str, st.SearchStrategy[Any]] = {}
    for key, inner in schema.items():
        value = values(inner, defaults.get(key), key)
        if key in defaults and not isinstance(inner, dict):
            always[key] = st.just(defaults[key]) | value
        elif optional(inner):
            sometimes[key] = value
        else:
            always[key] = value
    return st.fixed_dictionaries(always, optional=sometimes)


def _scalar(kind: str, detail: str, name: str) -> st.SearchStrategy[Any]:
    if kind in ("int", "float"):
        return _number(kind, *detail.split(","))
    if kind == "match":
        # a line end may follow, as for the Supervisor
        return st.sampled_from(TEXTS[name]) | st.sampled_from(TEXTS[name]) | st.from_regex(detail)
    if kind == "str":
        weird = st.sampled_from(("", *WEIRD)) | st.text(max_size=30)
        return st.sampled_from(TEXTS[name]) | st.sampled_from(TEXTS[name]) | weird
    simple = {
        "bool": st.booleans(),
        "port": st.sampled_from([1, 80, 8899, 65535]) | st.integers(1, 65535),
        "list": st.sampled_from(detail.split("|")),
        "password": SECRETS,
    }
    return simple[kind]


def _number(kind: str, low: str, high: str) -> st.SearchStrategy[Any]:
    if kind == "int":
        return st.integers(int(low), int(high))
    least, most = float(low), float(high)
    near = [x for x in (least, most, 0.0, 0.1, 0.49, 0.5, 3.45, 3.5, 5.0, least + 1e-9) if least <= x <= most]
    return st.sampled_from(near) | st.floats(least, most)


def files() -> st.SearchStrategy[dict[str, Any]]:
    """Whole options files as the Supervisor may write them; most have buses and an inverter that could run."""
    own = values(OWN, CONFIG["options"]).map(lambda options: {**options, "jkbms": {}})
    return own.flatmap(_with_good_buses).flatmap(_with_good_inverter)


GOOD: tuple[dict[str, Any], ...] = (
    {"strategy": "master", "port": "/dev/nowhere", "addresses": "1-3"},
    {"strategy": "master", "port": "/dev/nowhere2", "interval": 0.0},
    {"strategy": "listen", "port": "/dev/null"},
    {"strategy": "gateway", "host": "gateway.invalid", "tcp_port": 8899, "mode": "listen"},
    {"strategy": "auto", "host": "gateway2.invalid", "tcp_port": 1},
    {"strategy": "ttl", "port": "/dev/nowhere3", "address": 3, "interval": 0.5},
    {"strategy": "can_broadcast", "channel": "nocan7", "bitrate": "250000", "set_up_link": True},
    {"strategy": "can_broadcast", "channel": "/dev/nowhere4", "bitrate": "500000"},
    {"strategy": "ble", "mac": "C8:47:80:00:00:01", "address": 2},
    {"strategy": "ble", "mac": "JK_PB2A16S20P", "adapter": "hci0", "pin": "123456"},
)


INVERTER: dict[str, Any] = {"protocol": "pylontech", "confirmed": True, "channel": "nocan7"}


def _spoilt(good: dict[str, Any], schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """With one option changed or added."""
    return st.sampled_from(sorted(schema)).flatmap(
        lambda key: values(schema[key], None, key).map(lambda value: {**good, key: value})
    )


def _with_good_buses(options: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the buses replaced by ones that could run, or by such a one with one option changed."""
    row = {key: kind for key, kind in CONFIG["schema"]["buses"][0].items() if key not in ("name", "strategy")}

    def bus(given: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
        good = st.sampled_from(GOOD).map(lambda one: {"name": given["name"], **one})
        spoilt = good.flatmap(lambda one: _spoilt(one, row))
        return st.just(given) | good | spoilt | spoilt

    return st.tuples(*map(bus, options["buses"])).map(lambda buses: {**options, "buses": list(buses)})


def _with_good_inverter(options: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The same with the inverter."""
    spoilt = _spoilt(INVERTER, CONFIG["schema"]["inverter"])
    found = st.just(options["inverter"]) | st.just(INVERTER) | spoilt | spoilt
    details: st.SearchStrategy[dict[str, Any]] = st.just({}) | _spoilt({}, CONFIG["schema"][DETAILS])
    return st.tuples(found, details).map(lambda both: {**options, "inverter": both[0], DETAILS: both[1]})
