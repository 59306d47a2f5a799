"""The way from the batteries to the inverter, built from the options: decisions, sender, and what is shown of them."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jkbms_addon.bank.membership import Membership
from jkbms_addon.battery.energy import Energy
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.charging.control import Control
from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.emission import Emission
from jkbms_addon.inverter.options import BankOptions, InverterOptions
from jkbms_addon.kept import JsonFile

if TYPE_CHECKING:
    from jkbms_addon.inverter.responder import Responder
    from jkbms_addon.inverter.sender import Sender

_LOGGER = logging.getLogger(__name__)
NAME = "inverter.json"  # what the owner set
MEMORY = "charging.json"  # what the charge control remembers
UNCONFIRMED = "nothing is sent: the option confirmed is not set"


@dataclass(slots=True)
class Outlet:
    """One inverter: its number from 1 on, how it is told, its link, what was sent and heard.

    ``sender`` is None where nothing may be sent.
    """

    number: int
    options: InverterOptions
    link: BusStatus
    emission: Emission
    sender: "Sender | Responder | None" = None

    @property
    def title(self) -> str:
        """Of the dialect."""
        return DIALECTS[self.options.protocol].title

    @property
    def rate(self) -> int | None:
        """Bit/s of its link; None while they are still tried out."""
        return self.options.rate or self.emission.rate

    @property
    def extremes(self) -> bool:
        """Whether the places of the highest and the lowest cell are told, too."""
        return self.options.cell_extremes != "off" or self.options.cell_numbers


class InverterService:
    """Everything about the inverters: one bank, one decision, an outlet for each that is told its part of it.

    ``batteries`` is how many there can be. Where there are several, or the owner wants it, the bank's limits are worked
    out without an inverter, too, and only shown.
    """

    def __init__(
        self,
        bank_options: BankOptions,
        options: InverterOptions,
        inverters: Sequence[InverterOptions],
        store: Store,
        buses: Mapping[str, BusStatus],
        asked: frozenset[str],
        data: Path,
        batteries: int = 0,
    ) -> None:
        self._bank_options = bank_options
        found = (bank_options.problem, options.problem, *(one.problem for one in inverters))
        self.problems = list(dict.fromkeys(text for text in found if text))
        for problem in self.problems:
            _LOGGER.error("%s", problem)
        self.outlets = [_outlet(number, one) for number, one in enumerate(inverters, 1) if one.wanted]
        members = () if bank_options.problem else bank_options.members
        membership = Membership(buses, members, asked, store.identity)
        self.shows_bank = bank_options.enabled or batteries > 1
        self.decides = decides = self.wanted or (self.shows_bank and not self.problems)
        self.control = Control(
            lambda now: membership.candidates(store, now),
            store.clock,
            wall=time.time,
            expected=lambda: membership.expected,
            named=membership.named,
            setpoints=options.setpoints if decides else None,
            kept=JsonFile(data / NAME) if decides else None,
            memory=JsonFile(data / MEMORY) if decides else None,
            told=store.changed.set,
        )
        for outlet in self.outlets:
            if outlet.options.emits:
                outlet.sender = _sender(outlet.options, self.control, outlet.emission, outlet.link)

    def counts(self, energy: Callable[[], Energy | None]) -> None:
        """From here on inverters that want to know it are told what was counted of all batteries."""
        for outlet in self.outlets:
            outlet.emission.counted = energy

    @property
    def wanted(self) -> bool:
        """Whether there is an inverter to make limits for."""
        return bool(self.outlets)

    @property
    def first(self) -> Outlet:
        """The inverter that is shown where there is room for one; without any an outlet that tells nothing."""
        return self.outlets[0] if self.outlets else _outlet(1, InverterOptions())

    @property
    def title(self) -> str:
        """Of the dialect of the first inverter, empty where there is none."""
        return self.first.title if self.outlets else ""

    @property
    def always(self) -> bool:
        """Whether the bank is shown even for a single battery."""
        return self._bank_options.enabled

    def news(self, outlet: Outlet) -> object:
        """Something that differs when there is something new to show of one inverter."""
        control, emission, link = self.control, outlet.emission, outlet.link
        kept = control.kept.shown, control.kept.problem
        return control.count, *kept, emission.emitting, emission.why, link.connected, link.problem


def _outlet(number: int, options: InverterOptions) -> Outlet:
    name = "inverter" if number == 1 else f"inverter_{number}"
    emission = Emission() if options.emits else Emission(why=UNCONFIRMED)
    return Outlet(number, options, BusStatus(name, options.protocol, options.channel), emission)


def _sender(options: InverterOptions, control: Control, emission: Emission, link: BusStatus) -> "Sender | Responder":
    """Whoever tells the inverter; only the one for CAN brings python-can along, which costs memory."""
    if options.serial:
        from jkbms_addon.inverter.responder import Responder  # noqa: PLC0415

        return Responder(options, control, emission, link)
    from jkbms_addon.inverter.sender import Sender  # noqa: PLC0415

    return Sender(options, control, emission, link)
