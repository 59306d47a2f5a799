"""A first inverter for options that have none: what is drafted, and what is wrong with it by key. It blocks.

What stands in the section already, such as a charge limit for the day when there is an inverter, stays unless the draft
names it. Where an inverter is named, nothing is drafted: it is changed in the options form.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import voluptuous as vol

from jkbms_addon.errors import OptionsError
from jkbms_addon.inverter.options import INVERTER, INVERTER_KEYS, NONE
from jkbms_addon.link.place import real
from jkbms_addon.options.file import Options
from jkbms_addon.validators import explained, given

LONGEST: Final = 300  # characters of a value
LARGEST: Final = 1e15  # a number; no option is near it
Raw = dict[str, Any]


def fits(key: object, value: object) -> bool:
    """Whether a value can be one of an option at all: a short text, a number that is one, yes or no, or nothing."""
    short = isinstance(value, str) and len(value) <= LONGEST
    number = isinstance(value, int | float) and abs(value) < LARGEST  # not so with nan
    return isinstance(key, str) and len(key) <= LONGEST and (short or number or value is None)


def named(today: Mapping[str, Any], options: Options) -> list[Raw]:
    """The inverters that the options name, right or wrong; empty where a first one may be set up."""
    if not _taken(today):
        return []
    found = [
        {"protocol": one.protocol, "channel": one.channel, "confirmed": one.confirmed, "problem": one.problem}
        for one in options.inverters
    ]
    return found or [{"protocol": "", "channel": "", "confirmed": False, "problem": ""}]


def _taken(today: Mapping[str, Any]) -> bool:
    """Whether there stands anything that is meant as an inverter."""
    section, several = today.get("inverter"), today.get("inverters")
    strange = bool(section) and not isinstance(section, dict)
    protocol = section.get("protocol") if isinstance(section, dict) else None
    return bool(several) or strange or protocol not in (None, "", NONE)


def drafted(section: object, today: Mapping[str, Any]) -> Raw:
    """The whole section with what was drafted; ``OptionsError`` where it is no draft, or an inverter is there."""
    if _taken(today):
        raise OptionsError("inverter: there is one in the options already; change it there")
    if not isinstance(section, dict) or len(section) > len(INVERTER_KEYS):
        raise OptionsError("inverter: must be an object of options")
    for key, value in section.items():
        if key not in INVERTER_KEYS:
            raise OptionsError(f"inverter: {key!r:.60} is not an option here")
        if not fits(key, value):
            raise OptionsError(f"inverter: {key}: must be a short text, a number, or true and false")
    earlier = today.get("inverter") or {}
    return {key: value for key, value in {**earlier, **section}.items() if value not in (None, "")}


def wrong(section: Raw, options: Options) -> list[tuple[str, str]]:
    """What is wrong with a section in these options, by key; empty where it would run."""
    return [_parted(line) for line in dict.fromkeys(_lines(section, options))]


def _lines(section: Raw, options: Options) -> Iterator[str]:
    if section.get("protocol") in (None, NONE):
        yield "protocol: is missing"
        return
    try:
        INVERTER(given(section))
    except vol.MultipleInvalid as error:
        yield from (explained(one) for one in error.errors)
        return
    inverter = options.inverter
    if inverter.problem:
        yield inverter.problem.partition(": ")[2]  # without the section
    elif inverter.channel.startswith("/"):
        place = real(inverter.channel)
        for bus in options.buses:
            if bus.plugin and real(bus.target) == place:
                yield f"channel: is already used by bus {bus.name}"


def _parted(line: str) -> tuple[str, str]:
    """Key and sentence; what is said of several options has no key."""
    key, colon, text = line.partition(": ")
    return (key, text) if colon and key in INVERTER_KEYS else ("", line)
