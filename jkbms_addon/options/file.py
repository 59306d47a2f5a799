"""``options.json`` to ``Options``: what is wrong is said in one line, and costs no more than the part that it is in."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import voluptuous as vol

from jkbms_addon.acquisition.contract import BusOptions, configured, look_in
from jkbms_addon.commands.rules import LEVELS
from jkbms_addon.errors import OptionsError
from jkbms_addon.inverter.options import BankOptions, InverterOptions, bank_options, clash, inverter_options
from jkbms_addon.inverter.several import following, listed
from jkbms_addon.link.place import real
from jkbms_addon.mqtt.broker import MqttOptions
from jkbms_addon.options.batteries import BatteryOptions, battery_options
from jkbms_addon.options.coming_from import carried_over
from jkbms_addon.options.migration import MOVES, Move, migrated
from jkbms_addon.options.sections import joined
from jkbms_addon.page.place import PageOptions
from jkbms_addon.validators import explained, given, host_alone, plain
from jkbms_addon.views.health import BRIDGE_DIAGNOSTICS, BUS_DIAGNOSTICS
from jkbms_addon.views.languages import LANGUAGES, Language

DEFAULT_FILE = Path("/data/options.json")
SECTIONS = ("log_level", "language", "buses", "batteries", "mqtt", "writes", "bank", "inverter", "inverters", "page")
DETAILS = ("calm", "full")
PLUGIN = "plugin"  # strategy of a bus that a plug-in from elsewhere reads, and the option that names it
WRITE_LEVELS = ("off", *LEVELS)
Level = Literal["trace", "debug", "info", "warning", "error", "fatal"]
LOG_LEVELS = ("trace", "debug", "info", "warning", "error", "fatal")


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What may be changed; each level includes the ones before. With a ``problem`` nothing."""

    level: str = "off"
    unlocked_at_start: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """Everything the user configured.

    ``unusable`` says what is wrong outside of all sections, ``moved`` what was given under an older name.
    """

    log_level: Level = "info"
    buses: tuple[BusOptions, ...] = ()
    mqtt: MqttOptions = field(default_factory=MqttOptions)
    writes: WriteOptions = field(default_factory=WriteOptions)
    bank: BankOptions = field(default_factory=BankOptions)
    inverter: InverterOptions = field(default_factory=InverterOptions)
    inverters: tuple[InverterOptions, ...] = ()  # everybody who is told something
    page: PageOptions = field(default_factory=PageOptions)
    unusable: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    language: Language = "en"  # of the names of entities
    batteries: BatteryOptions = field(default_factory=BatteryOptions)

    @property
    def problems(self) -> list[str]:
        """A line for each problem of what concerns all; the buses, the bank and the inverter have their own."""
        found = filter(None, (self.mqtt.problem, self.writes.problem, self.page.problem))
        return [*self.unusable, *self.batteries.problems, *found]


MOST = 200  # characters of a topic; what we put behind it has to fit, too


def _topic(value: object) -> str:
    if not isinstance(value, str) or not value.strip("/") or not value.isprintable() or re.search(r"[#+\s]|^\$", value):
        raise vol.Invalid("must be a topic without wildcards or blanks")
    if len(value) > MOST:
        raise vol.Invalid(f"must have at most {MOST} characters")
    return value.strip("/")


def _whole(low: int, high: int) -> vol.All:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise vol.Invalid(f"must be a whole number from {low} to {high}")
        return value

    return vol.All(check)


def _yes_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise vol.Invalid("must be true or false")
    return value


def _secret(value: object) -> str:
    """A text, of which nothing may be told; the protocol takes 16 bits of length."""
    if not isinstance(value, str):
        raise vol.Invalid("must be a text")
    if len(value.encode(errors="replace")) > 65535 or re.search(r"[\ud800-\udfff]", value):
        raise vol.Invalid("must be a text of at most 65535 bytes")
    return value


def _text(value: object) -> str:
    """A text without the control characters that brokers and file systems refuse."""
    text = _secret(value)
    if re.search(r"[\0-\x1f\x7f-\x9f]", text):
        raise vol.Invalid("must be a text without control characters")
    return text


def _broker(value: object) -> str:
    name = _text(value).strip()
    return host_alone(name, "the broker", "port") if name else name


MQTT = vol.Schema(
    {
        vol.Optional("host", default=""): _broker,
        vol.Optional("port", default=1883): _whole(1, 65535),
        vol.Optional("username", default=""): _text,
        vol.Optional("password", default=""): _secret,
        vol.Optional("tls", default=False): _yes_no,
        vol.Optional("ca_file", default=""): _text,
        vol.Optional("discovery_prefix", default="homeassistant"): _topic,
        vol.Optional("base_topic", default="jkbms"): _topic,
        vol.Optional("detail", default="calm"): vol.In(DETAILS, msg=f"must be one of {', '.join(DETAILS)}"),
        vol.Optional("raw", default=False): _yes_no,
    }
)
WRITES = vol.Schema(
    {
        vol.Optional("level", default="off"): vol.In(WRITE_LEVELS, msg=f"must be one of {', '.join(WRITE_LEVELS)}"),
        vol.Optional("unlocked_at_start", default=False): _yes_no,
    }
)
SHORTEST_TOKEN = 16  # characters
PAGE = vol.Schema({vol.Optional("port", default=0): _whole(0, 65535), vol.Optional("token", default=""): _secret})
BUS_NAME = re.compile(r"[a-z0-9_]+")
LONGEST_NAME = 64  # of a bus; it is part of topics and identifiers
# a second inverter is inverter_2 as well as a battery of such a bus; keys of a bus stand beside those of the whole
OWN_NAMES = {"inverter"} | {
    key.removesuffix(f"_{one}") for key in BRIDGE_DIAGNOSTICS for one in BUS_DIAGNOSTICS if key.endswith(f"_{one}")
}
DEEPEST = 12  # levels of objects and lists; no option has half as many


def read(path: Path, decoded: Callable[[str], object] = json.loads) -> Options:
    """Options of a file; ``OptionsError`` in one line when there are none in it."""
    look_in(path.resolve().parent / "plugins")
    try:
        raw = decoded(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionsError(f"options file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise OptionsError(f"options file {path} is not JSON: {error}") from error
    except RecursionError as error:
        raise OptionsError(f"options file {path} cannot be used: it is nested too deep") from error
    return parse(raw)


def _pruned(raw: Any, levels: int = DEEPEST) -> Any:  # noqa: ANN401
    """The same, but for what is nested too deep: that is wrong wherever it is."""
    if not isinstance(raw, (dict, list)):
        return raw
    if not levels:
        return "(nested too deep)"
    if isinstance(raw, dict):
        return {key: _pruned(value, levels - 1) for key, value in raw.items()}
    return [_pruned(value, levels - 1) for value in raw]


def modern(raw: object, moves: Sequence[Move] = MOVES) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Decoded JSON in today's words, and what was given in older ones; ``OptionsError`` when it is no options."""
    today, lines, _ = _read(raw, moves)
    return today, lines


def _read(raw: object, moves: Sequence[Move]) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """The same, and what is missing of another app's options."""
    if not isinstance(raw, dict):
        raise OptionsError("options: must be a JSON object")
    ours, carried, missing = carried_over(_pruned(raw))
    today, moved = migrated(ours, moves)
    today, twice = joined(today)
    if not isinstance(today.get("buses", []), list):
        raise OptionsError("buses: must be a list")
    return today, (*carried, *moved, *twice), missing


def parse(raw: object, moves: Sequence[Move] = MOVES) -> Options:
    """Options of decoded JSON, of this version or an earlier one; ``OptionsError`` when they are none at all."""
    today, lines, missing = _read(raw, moves)
    found = _buses(today.get("buses", []))
    names = {bus.name for bus in found}
    bank = bank_options(today.get("bank", {}), names)
    inverter = _undisturbed(inverter_options(today.get("inverter", {}), bank), found)
    inverters = tuple(_undisturbed(one, found) for one in listed(today.get("inverters"), inverter, bank))
    inverter = following(today.get("inverter"), inverter, inverters)
    level, strange = _level(today)
    unusable = (*missing, *strange)
    return Options(
        *(level, found, _mqtt(today), _writes(today), bank, inverter, inverters, _page(today), unusable, lines),
        language=_language(today),
        batteries=battery_options(today.get("batteries"), names),
    )


def _level(raw: Mapping[str, Any]) -> tuple[Level, tuple[str, ...]]:
    """How much is logged, and what is wrong outside of all sections."""
    strange = [f"{plain(key)}: is not an option here" for key in raw if key not in SECTIONS]
    level: Level = "info"
    wanted = raw.get("log_level")
    if wanted in LOG_LEVELS:
        level = wanted
    elif wanted not in (None, ""):
        strange.append(f"log_level: {wanted!r:.60} is not one of {', '.join(LOG_LEVELS)}; info is used")
    spoken = raw.get("language")
    if spoken not in (*LANGUAGES, None, ""):
        strange.append(f"language: {spoken!r:.60} is not one of {', '.join(LANGUAGES)}; en is used")
    return level, tuple(strange)


def _language(raw: Mapping[str, Any]) -> Language:
    """The language of names; English where it is not given, or none that we know."""
    spoken = raw.get("language")
    return spoken if spoken in LANGUAGES else "en"


def _mqtt(raw: Mapping[str, Any]) -> MqttOptions:
    """How to publish. Without topics of which we are sure nothing is published: they might be somebody else's."""
    try:
        return MqttOptions(**MQTT(given(raw.get("mqtt", {}))))
    except vol.Invalid as error:
        return MqttOptions(problem=f"mqtt: {explained(error)}; nothing is published")


def _writes(raw: Mapping[str, Any]) -> WriteOptions:
    """What may be changed; nothing at all where that is not clear."""
    try:
        return WriteOptions(**WRITES(given(raw.get("writes", {}))))
    except vol.Invalid as error:
        return WriteOptions(problem=f"writes: {explained(error)}; nothing can be changed")


def _page(raw: Mapping[str, Any]) -> PageOptions:
    """Where the page is, beside Home Assistant's side bar; nowhere without a token that is worth something."""
    try:
        options = PageOptions(**PAGE(given(raw.get("page", {}))))
    except vol.Invalid as error:
        return PageOptions(problem=f"page: {explained(error)}; there is no page on a port")
    if options.port and len(options.token) < SHORTEST_TOKEN:
        problem = f"page: token: needs {SHORTEST_TOKEN} characters or more; there is no page on a port"
        return PageOptions(problem=problem)
    return options


def _undisturbed(inverter: InverterOptions, buses: Iterable[BusOptions]) -> InverterOptions:
    """The inverter's options, refused where a bus already uses its channel in another way."""
    for bus in buses:
        if inverter.wanted and bus.plugin and (why := clash(inverter, bus.target, bus.values)):
            return inverter.refused(f"{why} by bus {bus.name}")
    return inverter


def _buses(raw: list[object]) -> tuple[BusOptions, ...]:
    given_names = {str(entry.get("name")) for entry in raw if isinstance(entry, dict)}
    found: list[BusOptions] = []
    for number, entry in enumerate(raw, 1):
        # for a bus without a usable name; it must not take that of another one
        spare = f"bus_{number}"
        while spare in given_names:
            spare += "_"
        bus = _bus(spare, entry)
        if any(bus.name == other.name for other in found):
            bus = BusOptions(spare, bus.strategy, {}, None, f"name: {bus.name!r:.60} is used twice")
        found.append(bus)
    return tuple(found)


def sharing(bus: BusOptions, others: Iterable[BusOptions]) -> str:
    """What is wrong where one of the others has the same port, as two owners would disturb each other. It blocks."""
    for other in others:
        if bus.target and other.plugin and real(other.target) == real(bus.target):
            option = next((key for key in ("port", "host", "channel", "mac") if key in bus.values), "strategy")
            return f"{option}: uses the same port as bus {other.name}: {bus.target}"
    return ""


def _wrong_name(name: object) -> str:
    """What is wrong with the name of a bus, empty when nothing is."""
    if not isinstance(name, str) or not BUS_NAME.fullmatch(name):
        return f"{name!r:.60} must consist of a-z, 0-9 and _"
    if name in OWN_NAMES:
        return f"{name!r} is what the app calls something of its own; choose another one"
    return f"{name[:20]}… must have at most {LONGEST_NAME} characters" if len(name) > LONGEST_NAME else ""


def _bus(fallback: str, entry: object) -> BusOptions:
    if not isinstance(entry, dict):
        return BusOptions(fallback, "", {}, None, "must be an object with name and strategy")
    name: Any = entry.get("name")
    strategy = entry.get("strategy")
    if wrong := _wrong_name(name):
        return BusOptions(fallback, plain(str(strategy)), {}, None, f"name: {wrong}")
    if not isinstance(strategy, str):
        return BusOptions(name, "", {}, None, "strategy: is missing")
    rest: Any = given(entry, without=("name", "strategy", PLUGIN))
    try:
        return configured(name, _plugin(strategy, entry.get(PLUGIN)), rest)
    except OptionsError as error:
        return BusOptions(name, plain(strategy), rest, None, str(error))


def _plugin(strategy: str, named: object) -> str:
    """Name of the plug-in that reads a bus: one of ours, or the one that is named beside the strategy ``plugin``."""
    if strategy != PLUGIN:
        if named not in (None, ""):
            raise OptionsError(f"plugin: goes with the strategy plugin only, not with {strategy!r:.60}")
        return strategy
    if not isinstance(named, str) or not named:
        raise OptionsError("plugin: must be the name of the plug-in that is installed")
    return named
