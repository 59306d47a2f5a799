"""A scan of a bus that is in use: who is not on its list is asked in turns of its owner. Writes nothing.

The batteries are asked on as before. Where another master rules, nothing is sent, and what was heard is the result.
"""

from collections.abc import Callable, Iterable, Sequence

from jkbms_addon.acquisition.contract import Asking
from jkbms_addon.acquisition.slot import Slot
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.snapshot import Snapshot
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.clock import MONOTONIC
from jkbms_addon.doctor.found import Found, ranges
from jkbms_addon.doctor.scan import Result, Say
from jkbms_addon.errors import CommandError
from jkbms_addon.validators import ADDRESSES
from jkbms_addon.wire.pb.modbus import ABOUT, LIVE

SECONDS = 0.4  # that an answer is waited for; half of it to its first byte
Permit = Callable[[], None]  # raises what forbids the next question


async def sweep(slot: Slot, status: BusStatus, known: Iterable[Snapshot], permit: Permit, say: Say) -> Result:
    """All addresses; ``known`` are the batteries that this bus reads. ``CommandError`` when nobody may ask any more."""
    found = {one.key[1]: _known(one, status) for one in known}
    notes: list[str] = []
    for address in sorted(ADDRESSES):
        so_far = f": found {ranges(found)}" if found else ""
        say(f"asking addresses 0 to 15{so_far}", f"({address} of {len(ADDRESSES)})")
        if address in found:
            continue
        try:
            told = await _asked(slot, address, LIVE, permit)
        except CommandError as error:
            permit()
            notes.append(f"nothing was asked: {error}")
            break
        if told:
            one = found[address] = Found(address, "asked")
            for reading in (*told, *await _asked(slot, address, ABOUT, permit)):
                one.tell(reading, MONOTONIC())
    return Result([found[address] for address in sorted(found)], "master", notes=notes)


async def _asked(slot: Slot, address: int, register: int, permit: Permit) -> Sequence[Reading]:
    """What an address says; looked at whether it may be asked when its turn has come."""

    async def work(source: Asking) -> Sequence[Reading]:
        permit()
        return [reading for _, reading in await source.read_page(address, register, SECONDS)]

    return await slot.ask(work)


def _known(snapshot: Snapshot, status: BusStatus) -> Found:
    address = snapshot.key[1]
    one = Found(address, "asked", latency=status.bms(address).latency)
    for kind, part in snapshot.parts.items():
        one.values.update(part.values)
        one.kinds[kind] = 1
        one.at = part.at if kind == "live" else one.at
    return one
