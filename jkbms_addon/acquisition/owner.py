"""Owner of one bus: opens it, polls it for ever, and carries out the commands that wait for it."""

import sys
from collections.abc import Callable

from jkbms_addon.acquisition.contract import Attentive, BusOptions
from jkbms_addon.acquisition.deeds import carry_out
from jkbms_addon.acquisition.foreign import Foreign
from jkbms_addon.acquisition.slot import Slot
from jkbms_addon.battery.reading import Reading
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.errors import AddonError


async def own_bus(
    bus: BusOptions,
    status: BusStatus,
    store: Store,
    healed: Callable[[], None],
    commands: CommandQueue | None = None,
    slot: Slot | None = None,
) -> None:
    """Open the bus, poll it for ever and carry out commands; ``LinkError`` when the wire is gone."""
    assert bus.plugin is not None
    slot = slot or Slot(status.clock)
    status.present = lambda address: store.present((bus.name, address))

    def take(reading: Reading) -> None:
        store.update(bus.name, reading)
        if commands:
            commands.saw(bus.name, reading)

    try:
        async with bus.plugin.open(bus.values, status) as opened:
            with slot.lent(opened):
                source = opened if isinstance(opened, Attentive) else Foreign(opened, status, bus.addresses)
                status.up()
                store.changed.set()
                if commands:
                    commands.opened(bus.name)
                frames, well = status.frames, False
                while True:
                    for reading in await source.poll():
                        take(reading)
                        frames = -1
                    if not well and status.frames != frames:
                        well = True
                        healed()  # an open port proves little, a frame does
                    if commands and commands.waiting(bus.name):
                        await carry_out(source, bus.name, commands, take)
                        store.changed.set()
                    await slot.serve()
    finally:
        if commands:
            commands.lost(bus.name, _why(sys.exception()))


def _why(error: BaseException | None) -> str:
    """Why nobody owns the link any more, in a few words."""
    return str(error) if isinstance(error, AddonError) else "nobody has it open"
