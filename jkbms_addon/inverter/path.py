"""The way from the batteries to the inverter, built from the options: decisions, sender, and what is shown of them."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path as File
from typing import TYPE_CHECKING

from jkbms_addon.bank import Bank
from jkbms_addon.inverter.control import Control
from jkbms_addon.inverter.members import Crew
from jkbms_addon.inverter.options import BankOptions, InverterOptions
from jkbms_addon.inverter.profiles import PROFILES
from jkbms_addon.inverter.report import Emission, Report
from jkbms_addon.kept import Kept
from jkbms_addon.mqtt.bank_discovery import bank_extra, inverter_extra, inverter_topic
from jkbms_addon.mqtt.discovery import Topics
from jkbms_addon.mqtt.outbox import Extra
from jkbms_addon.status import BusStatus

if TYPE_CHECKING:
    from jkbms_addon.inverter.emitter import Emitter

_LOGGER = logging.getLogger(__name__)
NAME = "inverter.json"
UNCONFIRMED = "nothing is sent: the option confirmed is not set"


class Path:
    """Everything about the inverter; ``emitter`` is None where nothing may be sent."""

    def __init__(
        self,
        bank_options: BankOptions,
        options: InverterOptions,
        bank: Bank,
        buses: Mapping[str, BusStatus],
        asked: frozenset[str],
        data: File,
    ) -> None:
        self._bank_options, self._options = bank_options, options
        self.problems = [text for text in (bank_options.problem, options.problem) if text]
        for problem in self.problems:
            _LOGGER.error("%s", problem)
        self.link = BusStatus("inverter", options.protocol, options.channel)
        self.emission = Emission() if options.emits else Emission(why=UNCONFIRMED)
        crew = Crew(buses, () if bank_options.problem else bank_options.members, asked)
        self.control = Control(
            lambda now: crew.members(bank, now),
            bank.clock,
            expected=crew.expected,
            policy=options.policy if options.wanted else None,
            kept=Kept(data / NAME) if options.wanted else None,
            told=bank.changed.set,
        )
        self.emitter: Emitter | None = None
        if options.emits:
            # brings python-can along, which costs memory that most installations need not pay
            from jkbms_addon.inverter import emitter  # noqa: PLC0415

            self.emitter = emitter.Emitter(options, self.control, self.emission, self.link)

    def extras(self, topics: Topics, batteries: int) -> list[Extra]:
        """Devices to publish; ``batteries`` is how many there can be."""
        control, found = self.control, []
        always = self._bank_options.enabled
        if always or batteries > 1:
            found.append(bank_extra(topics, lambda: control.state, lambda: control.count, always=always))
        if self._options.wanted:
            title = PROFILES[self._options.protocol].title
            extremes = self._options.cell_extremes != "off" or self._options.cell_numbers
            found.append(inverter_extra(topics, self._report, self._news, title, extremes=extremes))
        return found

    def routes(self, topics: Topics) -> dict[str, Callable[[str], None]]:
        """What to do with a command, by its topic."""
        if not self._options.wanted:
            return {}
        return {inverter_topic(topics, "enable/set"): self._enable, inverter_topic(topics, "stop/set"): self._stop}

    def _report(self) -> Report:
        now = self.control.clock()
        return Report(self.control.decision(now), self.emission, self.link, self.control.enabled)

    def _news(self) -> object:
        control, emission = self.control, self.emission
        link = self.link
        return control.count, control.enabled, emission.emitting, emission.why, link.connected, link.problem

    def _enable(self, payload: str) -> None:
        if payload in ("ON", "OFF"):
            self.control.enable(on=payload == "ON")
        else:
            _LOGGER.warning("inverter: the switch takes ON and OFF, not %.20r", payload)

    def _stop(self, _payload: str) -> None:
        self.control.enable(on=False)
