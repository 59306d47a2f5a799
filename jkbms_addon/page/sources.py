"""Whom the page looks at. It changes none of them, but by the command queue and as the owner of the inverter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jkbms_addon.acquisition.slot import Slot
from jkbms_addon.battery.energy import Energies
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.charging.control import Control
from jkbms_addon.commands.queue import CommandQueue
from jkbms_addon.doctor.log import NEWEST, Newest
from jkbms_addon.inverter.service import Outlet
from jkbms_addon.page.history import History
from jkbms_addon.page.jobs import Jobs
from jkbms_addon.page.options import Place
from jkbms_addon.views.findings import Watch


@dataclass(slots=True)
class Sources:
    """The program as the page sees it."""

    store: Store
    commands: CommandQueue
    buses: Mapping[str, BusStatus]
    control: Control
    energies: Energies
    options: Place  # where they are, and what knows them
    outlets: Sequence[Outlet] = ()  # one for each inverter
    problems: tuple[str, ...] = ()  # of the options
    history: History = field(default_factory=History)
    watch: Watch = field(default_factory=Watch)
    words: Callable[[], str] = str  # what runs, in words
    jobs: Jobs = field(init=False)
    log: Newest = NEWEST
    slots: Mapping[str, Slot] = field(default_factory=dict)  # by name of the bus
    raised: dict[tuple[str, str], float] = field(default_factory=dict)  # pack and alarm -> first seen, s since 1970

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.store.clock)
