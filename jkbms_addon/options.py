"""``options.json`` to ``Options``: one invalid bus is a problem of that bus, not of the others."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import voluptuous as vol

from jkbms_addon.acquisition import Plugin, load
from jkbms_addon.errors import OptionsError
from jkbms_addon.inverter.options import BankOptions, InverterOptions, bank_options, clash, inverter_options
from jkbms_addon.mqtt.access import MqttOptions
from jkbms_addon.writing.rules import LEVELS

DEFAULT_FILE = Path("/data/options.json")
WRITE_LEVELS = ("off", *LEVELS)
LOG_LEVELS = ("trace", "debug", "info", "warning", "error", "fatal")


@dataclass(frozen=True, slots=True)
class BusOptions:
    """One bus: its plug-in with checked options, or the problem that keeps it from running."""

    name: str
    strategy: str
    values: Mapping[str, Any]
    plugin: Plugin | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What may be changed; each level includes the ones before."""

    level: str = "off"
    unlocked_at_start: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """Everything the user configured."""

    log_level: Literal["trace", "debug", "info", "warning", "error", "fatal"] = "info"
    buses: tuple[BusOptions, ...] = ()
    mqtt: MqttOptions = field(default_factory=MqttOptions)
    writes: WriteOptions = field(default_factory=WriteOptions)
    bank: BankOptions = field(default_factory=BankOptions)
    inverter: InverterOptions = field(default_factory=InverterOptions)


def _topic(value: object) -> str:
    if not isinstance(value, str) or not value.strip("/ ") or re.search(r"[#+\s\0]", value):
        raise vol.Invalid("must be a topic without wildcards or blanks")
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


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise vol.Invalid("must be a text")
    return value


MQTT = vol.Schema(
    {
        vol.Optional("host", default=""): _text,
        vol.Optional("port", default=1883): _whole(1, 65535),
        vol.Optional("username", default=""): _text,
        vol.Optional("password", default=""): _text,
        vol.Optional("tls", default=False): _yes_no,
        vol.Optional("ca_file", default=""): _text,
        vol.Optional("discovery_prefix", default="homeassistant"): _topic,
        vol.Optional("base_topic", default="jkbms"): _topic,
    }
)
WRITES = vol.Schema(
    {
        vol.Optional("level", default="off"): vol.In(WRITE_LEVELS, msg=f"must be one of {', '.join(WRITE_LEVELS)}"),
        vol.Optional("unlocked_at_start", default=False): _yes_no,
    }
)
BUS_NAME = re.compile(r"[a-z0-9_]+")


def read(path: Path) -> Options:
    """Options of a file; ``OptionsError`` in one line when it or a section for all is unusable."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionsError(f"options file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise OptionsError(f"options file {path} is not JSON: {error}") from error
    return parse(raw)


def parse(raw: object) -> Options:
    """Options of decoded JSON."""
    if not isinstance(raw, dict):
        raise OptionsError("options: must be a JSON object")
    level = raw.get("log_level", "info")
    if level not in LOG_LEVELS:
        raise OptionsError(f"log_level: {level!r} is not one of {', '.join(LOG_LEVELS)}")
    mqtt = MqttOptions(**_section("mqtt", MQTT, raw))
    writes = WriteOptions(**_section("writes", WRITES, raw))
    buses = raw.get("buses", [])
    if not isinstance(buses, list):
        raise OptionsError("buses: must be a list")
    found = _buses(buses)
    bank = bank_options(raw.get("bank", {}), {bus.name for bus in found})
    inverter = _undisturbed(inverter_options(raw.get("inverter", {}), bank), found)
    return Options(level, found, mqtt, writes, bank, inverter)


def _undisturbed(inverter: InverterOptions, buses: Iterable[BusOptions]) -> InverterOptions:
    """The inverter's options, refused where a bus already uses its channel in another way."""
    for bus in buses:
        if inverter.wanted and bus.plugin and (why := clash(inverter, bus.plugin.target(bus.values), bus.values)):
            return inverter.refused(f"{why} by bus {bus.name}")
    return inverter


def _section(name: str, schema: vol.Schema, raw: Mapping[str, Any]) -> dict[str, Any]:
    """A section that concerns all; ``OptionsError`` names what is wrong in it."""
    try:
        checked: dict[str, Any] = schema(raw.get(name, {}))
    except vol.Invalid as error:
        raise OptionsError(f"{name}: {explained(error)}") from error
    return checked


def explained(error: vol.Invalid) -> str:
    """Which key, what is wrong with it; the first of several errors."""
    first = error.errors[0] if isinstance(error, vol.MultipleInvalid) else error
    where = ".".join(str(part) for part in first.path)
    message = first.error_message
    if message == "extra keys not allowed":
        message = "is not an option here"
    elif message == "required key not provided":
        message = "is missing"
    return f"{where}: {message}" if where else str(message)


def _buses(raw: list[object]) -> tuple[BusOptions, ...]:
    found: list[BusOptions] = []
    for number, entry in enumerate(raw, 1):
        bus = _bus(number, entry)
        if any(bus.name == other.name for other in found):
            bus = BusOptions(f"bus_{number}", bus.strategy, {}, None, f"name: {bus.name!r} is used twice")
        found.append(bus)
    return tuple(found)


def _bus(number: int, entry: object) -> BusOptions:
    fallback = f"bus_{number}"
    if not isinstance(entry, dict):
        return BusOptions(fallback, "", {}, None, "must be an object with name and strategy")
    name, strategy = entry.get("name"), entry.get("strategy")
    if not isinstance(name, str) or not BUS_NAME.fullmatch(name):
        problem = f"name: {name!r} must consist of a-z, 0-9 and _"
        return BusOptions(fallback, str(strategy), {}, None, problem)
    if not isinstance(strategy, str):
        return BusOptions(name, "", {}, None, "strategy: is missing")
    # what the options form leaves empty is not given, so that the strategy's defaults hold
    rest = {key: value for key, value in entry.items() if key not in ("name", "strategy") and value not in (None, "")}
    try:
        plugin = load(strategy)
        return BusOptions(name, strategy, plugin.schema(rest), plugin)
    except OptionsError as error:
        return BusOptions(name, strategy, rest, None, str(error))
    except vol.Invalid as error:
        return BusOptions(name, strategy, rest, None, explained(error))
