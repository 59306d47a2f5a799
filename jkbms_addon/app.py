"""Builds the owners and starts them in one task group."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jkbms_addon import heartbeat
from jkbms_addon.acquisition.contract import BusOptions
from jkbms_addon.acquisition.owner import own_bus
from jkbms_addon.acquisition.slot import Slot
from jkbms_addon.battery import energy
from jkbms_addon.battery.energy import Energies
from jkbms_addon.battery.identity_file import KeptIdentity
from jkbms_addon.battery.incidents import Incidents
from jkbms_addon.battery.quantities import Scalar
from jkbms_addon.battery.snapshot import Key, label
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.commands.audit import Audit
from jkbms_addon.commands.command import shortened
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.inverter.service import InverterService, Outlet
from jkbms_addon.kept import JsonFile
from jkbms_addon.link import stream as link
from jkbms_addon.mqtt import client
from jkbms_addon.mqtt.announced import Published
from jkbms_addon.mqtt.broker import BrokerAddress
from jkbms_addon.mqtt.client import Broker
from jkbms_addon.mqtt.discovery import Topics
from jkbms_addon.mqtt.outbox import Detail, Outbox
from jkbms_addon.options.editor import Editor
from jkbms_addon.options.file import DEFAULT_FILE, Options, sharing
from jkbms_addon.options.words import told
from jkbms_addon.page.options import Place
from jkbms_addon.page.service import Owner, Service
from jkbms_addon.page.sources import Sources
from jkbms_addon.page.supervisor import Home
from jkbms_addon.supervise import Supervisor
from jkbms_addon.views import bank, inverter
from jkbms_addon.views import energy as views_energy
from jkbms_addon.worker import Worker

_LOGGER = logging.getLogger(__name__)
BEAT = 10.0  # seconds
SHOWN = 120  # characters of a foreign topic that are looked at and shown
PLACES = {str(address): address for address in range(256)}  # as they stand in topics
REMEMBER = 5.0  # seconds between looks at what should survive a restart


class App:
    """Everything that runs, built from options.

    ``data`` is the folder for what survives a restart, ``file`` what the options were read from.
    """

    def __init__(self, options: Options, data: Path, file: Path | None = None) -> None:
        self._file = file or data / DEFAULT_FILE.name
        self.options = options
        _tell(options)
        self._ends = False
        self.buses = {bus.name: _status(bus) for bus in options.buses}
        self._slots = {bus.name: Slot(self.buses[bus.name].clock) for bus in options.buses}
        self._running = [bus for bus in options.buses if bus.plugin and not _shared(bus, options.buses, self.buses)]
        topics = Topics(options.mqtt.base_topic, options.mqtt.discovery_prefix)
        served = {bus.name: bus.addresses for bus in options.buses if bus.plugin}
        self._published = Published(data, topics)
        known = self._published.load()
        self._identity = KeptIdentity(data)
        earlier = [device.key for device in known.values() if device.key]
        owner = options.batteries
        self.store = Store(identity=self._identity.load(owner.same, owner.never, earlier, self.buses))
        self._incidents = Incidents(data, self.buses)
        writable = {bus.name: bus.writable for bus in options.buses if bus.plugin}
        writes = options.writes
        self._audit = Audit(data)
        self.commands = CommandQueue(
            *(writes.level, self.store, writable, self._audit),
            unlocked=writes.unlocked_at_start,
            chemistry=options.inverter.setpoints.chemistry,
        )
        asked = frozenset(bus.name for bus in self._running if _asks(bus))
        batteries = sum(map(len, served.values()))
        self.inverter = InverterService(
            options.bank, options.inverter, options.inverters, self.store, self.buses, asked, data, batteries
        )
        self.page = Service(options.page, self._seen(data), data)
        sources = self.page.sources
        watch, energies = sources.watch, sources.energies
        counted = partial(energies.of, energy.BANK)
        self.inverter.counts(counted)
        shown = [
            *bank.devices(self.inverter, counted),
            *inverter.devices(self.inverter),
        ]
        self._routes = {topics.command(one.word, key): act for one in shown for key, act in one.takes.items()}
        problems = [*options.problems, *self.inverter.problems]
        self.outbox = Outbox(
            *(topics, self.store, self.buses, served, known, self.commands, shown, problems, lambda: watch.findings),
            detail=_detail(options),
            more=self._beside,
        )

    def _beside(self, key: Key) -> Mapping[str, Scalar]:
        """What is known of a battery beside its readings."""
        return views_energy.values(self.page.sources.energies.of(label(key)))

    def _seen(self, data: Path) -> Sources:
        """What the page looks at."""
        service = self.inverter
        return Sources(
            self.store,
            self.commands,
            self.buses,
            service.control,
            Energies(JsonFile(data / energy.NAME)),
            Place(Editor(self.options), self._file, Home(), Worker("options")),
            service.outlets,
            problems=(*self.options.problems, *service.problems),
            slots=self._slots,
            words=lambda: "\n".join(told(self.options)),
        )

    async def run(self) -> None:
        """Run until cancelled."""
        asyncio.get_running_loop().set_exception_handler(_complaint)
        await self.commands.recall()
        try:
            await self._files()
        finally:
            self._audit.stop()

    async def _files(self) -> None:
        """What writes files ends after all that has something to write."""
        async with asyncio.TaskGroup() as tasks:
            for keep in (self._published.run, self._identity.run, self._incidents.run, *self.inverter.control.files):
                tasks.create_task(self._supervisor("files").run(keep))
            await self._owners()

    async def _owners(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for bus in self._running:
                tasks.create_task(self._bus(bus))
            tasks.create_task(self._supervisor("bank").run(self.inverter.control.run))
            for outlet in self.inverter.outlets:
                tasks.create_task(self._inverter(outlet))
            if not self.options.mqtt.problem:
                tasks.create_task(self._broker())
            for name, owner in self.page.owners():
                tasks.create_task(self._owned(name, owner))
            tasks.create_task(self._beat())
            tasks.create_task(self._remember())
            try:
                await asyncio.Event().wait()
            finally:
                self._ends = True  # before the owners are cancelled

    async def _beat(self) -> None:
        """Show that the loop is alive; the container's health check looks at the file's age."""
        while True:
            heartbeat.write(lambda: self.outbox.health(self.store.clock()))
            await asyncio.sleep(BEAT)

    async def _remember(self) -> None:
        """Keep the worst incident of every bus over restarts, and tell of what is there twice."""
        told: set[str] = set()
        try:
            while True:
                await asyncio.sleep(REMEMBER)
                self.commands.expire()
                for text in set(self.store.twins()) - told:
                    told.add(text)
                    _LOGGER.warning("%s", text)
                self._identity.keep(self.store.identity)
                self._incidents.keep()
        finally:
            self._identity.keep(self.store.identity)

    async def _bus(self, bus: BusOptions) -> None:
        status = self.buses[bus.name]
        supervisor = self._supervisor(bus.name, self._failed(status))
        await supervisor.run(
            partial(own_bus, bus, status, self.store, supervisor.healed, self.commands, self._slots[bus.name])
        )

    async def _owned(self, name: str, owner: Owner) -> None:
        supervisor = self._supervisor(name)
        await supervisor.run(partial(owner, supervisor.healed))

    async def _inverter(self, outlet: Outlet) -> None:
        if outlet.sender:
            supervisor = self._supervisor(outlet.link.name, self._failed(outlet.link))
            await supervisor.run(partial(outlet.sender.own, supervisor.healed))

    def _supervisor(self, name: str, failed: Callable[[str], None] | None = None) -> Supervisor:
        return Supervisor(name, failed, lambda: self._ends)

    def _failed(self, status: BusStatus) -> Callable[[str], None]:
        def failed(reason: str) -> None:
            status.down(reason)
            self.store.changed.set()

        return failed

    def command(self, topic: str, payload: str, retained: bool) -> None:  # noqa: FBT001 - as the broker's owner calls it
        """Route what was published on one of our ``.../set`` topics."""
        topics = self.outbox.topics
        parts = topic.removeprefix(f"{topics.base}/").split("/")
        if topic in self._routes:
            if retained:
                _LOGGER.warning("%s: a retained command is ignored; delete it from the broker", topic)
            else:
                self._routes[topic](payload)
        elif topic == f"{topics.writing}/set":
            self.commands.lock(payload, retained=retained)
        elif len(parts) == 4 and parts[1] in PLACES and self._named(parts[0], PLACES[parts[1]]):
            bus, address, key, _ = parts
            self.commands.ask(bus, PLACES[address], key, payload, f"mqtt {topic}", retained=retained)
        else:
            _LOGGER.warning("%s: nothing here takes commands", shortened(topic, SHOWN))

    def _named(self, bus: str, address: int) -> bool:
        """Whether a topic can be that of a battery; some go by the name of a bus that is no more."""
        return bus in self.buses or len(self.store.identity.wires((bus, address))) > 1

    async def _broker(self) -> None:
        supervisor = self._supervisor("mqtt")
        where = BrokerAddress(self.options.mqtt)
        broker = Broker(
            *(self.store, self.outbox, where.now, self._published.save, supervisor.healed, self.command),
            identifier=self._published.client_id,
            urgent=frozenset((*self._routes, f"{self.outbox.topics.writing}/set")),
        )
        await supervisor.run(broker.own)


def _complaint(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the event loop finds nobody for; what is known already is no news."""
    if client.leftover(context) or link.leftover(context):
        _LOGGER.debug("%s: %s", context.get("message"), context.get("exception"))
    else:
        loop.default_exception_handler(context)


def _tell(options: Options) -> None:
    """What is wrong with the options that concern all, and what was given under an older name."""
    for line in options.problems:
        _LOGGER.error("%s", line)
    for line in options.moved:
        _LOGGER.info("%s", line)


def _detail(options: Options) -> Detail:
    """How much is published, and in which language."""
    return Detail(options.mqtt.detail == "calm", options.mqtt.raw, options.language)


def _status(bus: BusOptions) -> BusStatus:
    status = BusStatus(bus.name, bus.strategy)
    if bus.problem:
        _LOGGER.error("bus %s: %s", bus.name, bus.problem)
        status.option_error = True
        status.says(bus.problem)
    elif bus.plugin:
        status.target = bus.target
    return status


def _asks(bus: BusOptions) -> bool:
    """Whether we ask the batteries of a bus, for their settings, too; *auto* tells it by its mode."""
    return bus.strategy == "master" or (bus.strategy == "gateway" and bus.values.get("mode") == "poll")


def _shared(bus: BusOptions, buses: Sequence[BusOptions], status: Mapping[str, BusStatus]) -> bool:
    """Whether an earlier bus has the same port; then this one is a problem, as two owners would disturb each other."""
    if problem := sharing(bus, buses[: buses.index(bus)]):
        _LOGGER.error("bus %s: %s", bus.name, problem)
        status[bus.name].option_error = True
        status[bus.name].says(problem)
    return bool(problem)
