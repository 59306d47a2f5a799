"""The way from the batteries to the inverter, built from the options: decisions, sender, and what is shown of them."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jkbms_addon.bank.membership import Membership
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Store
from jkbms_addon.charging.control import Control
from jkbms_addon.charging.switch import NAME, Switch
from jkbms_addon.inverter.emission import Emission
from jkbms_addon.inverter.options import BankOptions, InverterOptions
from jkbms_addon.inverter.profiles import PROFILES
from jkbms_addon.kept import JsonFile

if TYPE_CHECKING:
    from jkbms_addon.inverter.sender import Sender

_LOGGER = logging.getLogger(__name__)
UNCONFIRMED = "nothing is sent: the option confirmed is not set"


class InverterService:
    """Everything about the inverter; ``sender`` is None where nothing may be sent."""

    def __init__(
        self,
        bank_options: BankOptions,
        options: InverterOptions,
        store: Store,
        buses: Mapping[str, BusStatus],
        asked: frozenset[str],
        data: Path,
    ) -> None:
        self._bank_options, self._options = bank_options, options
        self.problems = [text for text in (bank_options.problem, options.problem) if text]
        for problem in self.problems:
            _LOGGER.error("%s", problem)
        self.link = BusStatus("inverter", options.protocol, options.channel)
        self.emission = Emission() if options.emits else Emission(why=UNCONFIRMED)
        self.switch = Switch(JsonFile(data / NAME) if options.wanted else None, store.changed.set)
        membership = Membership(buses, () if bank_options.problem else bank_options.members, asked)
        self.control = Control(
            lambda now: membership.members(store, now),
            store.clock,
            expected=membership.expected,
            policy=options.policy if options.wanted else None,
            switch=self.switch,
            told=store.changed.set,
        )
        self.sender: Sender | None = None
        if options.emits:
            # brings python-can along, which costs memory that most installations need not pay
            from jkbms_addon.inverter import sender  # noqa: PLC0415

            self.sender = sender.Sender(options, self.control, self.emission, self.link)

    @property
    def wanted(self) -> bool:
        """Whether there is an inverter to make limits for."""
        return self._options.wanted

    @property
    def title(self) -> str:
        """Of the dialect."""
        return PROFILES[self._options.protocol].title

    @property
    def extremes(self) -> bool:
        """Whether the places of the highest and the lowest cell are told, too."""
        return self._options.cell_extremes != "off" or self._options.cell_numbers

    @property
    def always(self) -> bool:
        """Whether the bank is shown even for a single battery."""
        return self._bank_options.enabled

    def news(self) -> object:
        """Something that differs when there is something new to show."""
        emission, link, switch = self.emission, self.link, self.switch
        shown = switch.shown, switch.problem, emission.emitting, emission.why
        return self.control.count, *shown, link.connected, link.problem

    def enable(self, payload: str) -> None:
        """The switch *Enable*: ``ON`` or ``OFF``."""
        if payload in ("ON", "OFF"):
            self.control.enable(on=payload == "ON")
        else:
            _LOGGER.warning("inverter: the switch takes ON and OFF, not %.20r", payload)

    def stop(self, _payload: str) -> None:
        """The button *Stop*."""
        self.control.enable(on=False)
