"""Owner of one bus: opens it, polls it for ever, and carries out the commands that wait for it."""

import asyncio
from collections.abc import Callable

from jkbms_addon.acquisition.contract import Attentive, BusOptions, Changing, Source
from jkbms_addon.acquisition.foreign import Foreign
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.command import Command, Outcome
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.commands.verify import Change
from jkbms_addon.errors import CommandError, LinkError


async def own_bus(
    bus: BusOptions, status: BusStatus, store: Store, healed: Callable[[], None], commands: CommandQueue | None = None
) -> None:
    """Open the bus, poll it for ever and carry out commands; ``LinkError`` when the wire is gone."""
    assert bus.plugin is not None
    status.present = lambda address: store.present((bus.name, address))
    async with bus.plugin.open(bus.values, status) as opened:
        source = opened if isinstance(opened, Attentive) else Foreign(opened, status, bus.addresses)
        status.up()
        store.changed.set()
        frames, well = status.frames, False
        while True:
            for reading in await source.poll():
                store.update(bus.name, reading)
                frames = -1
            if not well and status.frames != frames:
                well = True
                healed()  # an open port proves little, a frame does
            if commands is not None and bus.name in commands.queues:
                await carry_out(source, store, commands, commands.queues[bus.name])


async def carry_out(source: Source, store: Store, commands: CommandQueue, queue: asyncio.Queue[Command]) -> None:
    """Carry out one waiting command, so that polling and writing take turns; it gets its outcome, whatever happens."""
    if queue.empty():
        return
    command = queue.get_nowait()
    try:
        change = await _changed(source, store, command)
    except CommandError as error:
        commands.done(Outcome(command, "refused", str(error)))
    except LinkError as error:
        commands.done(Outcome(command, "failed", f"the link was lost: {error}"))
        raise
    else:
        for reading in change.readings:
            store.update(command.bus, reading)
        commands.done(Outcome(command, change.result, change.reason, change.before, change.after))
    finally:
        store.changed.set()


async def _changed(source: Source, store: Store, command: Command) -> Change:
    snapshot = store.get((command.bus, command.address))
    if not isinstance(source, Changing):
        raise CommandError("this strategy cannot change settings")
    if snapshot is None or not snapshot.online(store.clock()):
        raise CommandError(f"BMS {command.address} is silent")
    return await source.change(command.address, command.key, command.payload, snapshot.values(store.clock()))
