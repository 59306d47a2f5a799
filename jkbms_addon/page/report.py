"""The bundle for a bug report, made by the page. Loaded when it is wanted; its parts are those of the command."""

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from jkbms_addon.doctor.bundle import CONTENTS, collected, written
from jkbms_addon.errors import CommandError
from jkbms_addon.page.jobs import Download, Roll
from jkbms_addon.page.live import capture, suffix
from jkbms_addon.page.sources import Sources
from jkbms_addon.worker import Worker

PATIENCE: Final = 20.0  # s for reading and packing
SLOW: Final = "the bundle cannot be made: the disk does not answer"


def contents(buses: Sequence[str]) -> list[list[str]]:
    """What will be in it: kinds of parts with what they are, in words, and which buses are captured."""
    found = [[name, text] for name, text in CONTENTS.items() if name != "capture"]
    return [*found, *([["capture", ", ".join(buses)]] if buses else [])]


def opened(sources: Sources) -> list[str]:
    """Buses on which it can be looked at now what passes."""
    found = []
    for name, slot in sources.slots.items():
        try:
            slot.watched()
        except CommandError:
            continue
        found.append(name)
    return found


async def captures(sources: Sources, buses: Sequence[str], seconds: int) -> dict[str, Roll]:
    """What passes on these buses, side by side for so many s, by name of the part."""
    rolls = {}
    async with asyncio.TaskGroup() as tasks:
        for name in buses:
            slot, roll, said = sources.slots[name], Roll(), dict[str, Any]()
            rolls[f"capture-{name}{suffix(slot)}"] = roll
            tasks.create_task(capture(sources.buses[name], slot, seconds, roll, said, serials=True))
    return rolls


async def make(sources: Sources, rolls: Mapping[str, Roll], thread: Worker) -> Download:
    """All parts and the captures as one file. ``LinkError`` when the disk hangs."""
    now = sources.store.clock()
    serials = [str(one.values(now).get("serial_number") or "") for one in sources.store]
    words, options = sources.words(), sources.options.file

    def packed() -> tuple[int, bytes]:
        parts = dict(collected(options, words))
        for name, roll in rolls.items():
            parts[name] = zlib.decompress(roll.download(name).packed).decode()
        file = written(parts, options, [one for one in serials if one.strip("0")])
        return len(file), zlib.compress(file, 1)

    size, content = await thread.call(packed, PATIENCE, SLOW)
    return Download(f"jkbms-bundle-{datetime.now().astimezone():%Y%m%d-%H%M%S}.zip", size, content)
