"""Which of the units that scans found are one battery with several wires, in words. Pure."""

from collections import Counter
from collections.abc import Iterable
from itertools import combinations

from jkbms_addon.battery.identity import CLOCK, NEAR, SERIAL
from jkbms_addon.battery.sight import Sight, alike, near, running_alike
from jkbms_addon.battery.snapshot import label


def same(found: Iterable[Sight], known: Iterable[Sight] = ()) -> list[str]:
    """A sentence for each pair on two buses that looks like one battery; ``known`` are compared with, not told.

    A scan looks only once, so this is said and nothing is decided: the app itself waits for more. Two units of one bus
    are two, and a serial number that both tell proves nothing any more.
    """
    fresh, others = list(found), list(known)
    every = [*fresh, *others]
    on_a_bus = Counter((one.wire[0], one.serial) for one in every if one.serial)
    copied = {serial for (_, serial), count in on_a_bus.items() if count > 1}
    pairs = [*combinations(fresh, 2), *((one, other) for one in fresh for other in others)]
    return [
        f"{label(one.wire)} and {label(other.wire)} look like one battery ({why})"
        for one, other in pairs
        if one.wire[0] != other.wire[0] and (why := _why(one, other, every, copied))
    ]


def _why(one: Sight, other: Sight, every: Iterable[Sight], copied: set[str]) -> str:
    if one.count and other.count and one.count != other.count:
        return ""
    if one.serial and one.serial == other.serial and one.serial not in copied:
        return f"{SERIAL}, {one.serial}"
    pair = (one, other)
    third = any(near(each, seen, NEAR) for each in every if each not in pair for seen in pair)
    return CLOCK if running_alike(one, other) and alike(one, other) is not False and not third else ""
