"""Builds the owners and starts them in one task group."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jkbms_addon.bank import Bank
from jkbms_addon.mqtt.access import access
from jkbms_addon.mqtt.client import Broker
from jkbms_addon.mqtt.discovery import Topics
from jkbms_addon.mqtt.outbox import Outbox
from jkbms_addon.mqtt.published import Published
from jkbms_addon.options import BusOptions, Options
from jkbms_addon.status import BusStatus
from jkbms_addon.supervise import Keeper

_LOGGER = logging.getLogger(__name__)
HEARTBEAT = Path("/dev/shm/jkbms-heartbeat")  # noqa: S108
BEAT = 10.0  # seconds


class App:
    """Everything that runs, built from options. ``data`` is the folder for what survives a restart."""

    def __init__(self, options: Options, data: Path) -> None:
        self.options, self.bank = options, Bank()
        self.buses = {bus.name: _status(bus) for bus in options.buses}
        topics = Topics(options.mqtt.base_topic, options.mqtt.discovery_prefix)
        served = {bus.name: bus.plugin.addresses(bus.values) for bus in options.buses if bus.plugin}
        self._published = Published(data)
        self.outbox = Outbox(topics, self.bank, self.buses, served, self._published.load())

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for bus in self.options.buses:
                if bus.plugin:
                    tasks.create_task(self._bus(bus))
            tasks.create_task(self._broker())
            tasks.create_task(_beat())

    async def _bus(self, bus: BusOptions) -> None:
        status = self.buses[bus.name]
        keeper = Keeper(bus.name, self._failed(status))
        await keeper.run(partial(own_bus, bus, status, self.bank, keeper.healed))

    def _failed(self, status: BusStatus) -> Callable[[str], None]:
        def failed(reason: str) -> None:
            status.down(reason)
            self.bank.changed.set()

        return failed

    async def _broker(self) -> None:
        keeper = Keeper("mqtt")
        broker = Broker(self.bank, self.outbox, partial(access, self.options.mqtt), self._published.save, keeper.healed)
        await keeper.run(broker.own)


def _status(bus: BusOptions) -> BusStatus:
    status = BusStatus(bus.name, bus.strategy)
    if bus.problem:
        _LOGGER.error("bus %s: %s", bus.name, bus.problem)
        status.option_error, status.problem, status.last_error = True, bus.problem, bus.problem
    elif bus.plugin:
        status.target = bus.plugin.target(bus.values)
    return status


async def own_bus(bus: BusOptions, status: BusStatus, bank: Bank, healed: Callable[[], None]) -> None:
    """Open the bus, poll it for ever, keep the bank current; ``LinkError`` when the wire is gone."""
    assert bus.plugin is not None
    async with bus.plugin.open(bus.values, status) as source:
        status.up()
        bank.changed.set()
        healed()
        while True:
            for reading in await source.poll():
                bank.update(bus.name, reading)


async def _beat() -> None:
    """Show that the loop is alive; the container's health check looks at the file's age."""
    while True:
        try:
            HEARTBEAT.touch()  # noqa: ASYNC240 - a file in memory
        except OSError as error:
            _LOGGER.debug("no heartbeat file: %s", error)
        await asyncio.sleep(BEAT)
