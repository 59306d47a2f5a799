"""The section ``batteries``: which wires the owner knows to lead to one battery, and which he knows not to."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

import voluptuous as vol

from jkbms_addon.battery.identity import conflicting
from jkbms_addon.battery.snapshot import Key
from jkbms_addon.validators import addresses

MOST: Final = 64  # lines
EXAMPLE: Final = "'garage/3 = ctrl/1'"
_PLACE: Final = re.compile(r"([a-z0-9_]+)/(\d{1,2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class BatteryOptions:
    """Pairs of bus and address that are one battery, and such that are two; ``problems`` of lines that are left out."""

    same: tuple[tuple[Key, Key], ...] = ()
    never: frozenset[frozenset[Key]] = frozenset()
    problems: tuple[str, ...] = ()


def battery_options(raw: object, buses: Collection[str]) -> BatteryOptions:
    """The section; ``buses`` are the names that may be used in it. A wrong line costs no more than itself."""
    lines = [] if raw is None else raw
    if not isinstance(lines, list) or len(lines) > MOST:
        return BatteryOptions(problems=(f"batteries: must be a list of at most {MOST} lines such as {EXAMPLE}",))
    found = BatteryOptions()
    for line in lines:
        if line is None or not str(line).strip():
            continue
        try:
            found = _with(found, line, buses)
        except vol.Invalid as error:
            told = f"batteries: {error.msg}; this line is not used"
            found = replace(found, problems=tuple(dict.fromkeys((*found.problems, told))))
    return found


def _with(found: BatteryOptions, line: object, buses: Collection[str]) -> BatteryOptions:
    """What was found with one more line; ``vol.Invalid`` says what is wrong with it."""
    text = str(line) if isinstance(line, str) else ""
    apart = "!=" in text
    places = [_place(part, line, buses) for part in re.split(r"!=|=", text)]
    if len(places) < 2 or (apart and len(places) > 2):
        raise vol.Invalid(f"{line!r:.80} must be batteries such as {EXAMPLE}")
    if len(set(places)) < len(places):
        raise vol.Invalid(f"{line!r:.80} names a battery twice")
    pairs = tuple((places[0], other) for other in places[1:])
    if apart:
        return _possible(replace(found, never=found.never | {frozenset(pairs[0])}), line)
    return _possible(replace(found, same=(*found.same, *pairs)), line)


def _possible(found: BatteryOptions, line: object) -> BatteryOptions:
    if why := conflicting(found.same, found.never):
        raise vol.Invalid(f"{line!r:.80}: {why}")
    return found


def _place(part: str, line: object, buses: Collection[str]) -> Key:
    match = _PLACE.fullmatch(part.strip())
    if not match:
        raise vol.Invalid(f"{line!r:.80} must be batteries such as {EXAMPLE}, each a bus and an address")
    if match[1] not in buses:
        raise vol.Invalid(f"{line!r:.80}: there is no bus {match[1]!r:.60}")
    (address,) = addresses(match[2])
    return match[1], address
