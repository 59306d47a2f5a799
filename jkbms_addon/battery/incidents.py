"""The worst incident of every bus, kept over restarts."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, RootModel

from jkbms_addon.battery.status import BusStatus, Incident
from jkbms_addon.kept import LAST_DAY, Contents, JsonFile, Saver

NAME: Final = "incidents.json"
LONGEST: Final = 1000  # characters of a reason
YEARS: Final = 1e9  # s that an incident may have lasted


class _Kept(Contents):
    reason: Annotated[str, Field(max_length=LONGEST)]
    began: Annotated[float, Field(ge=0, le=LAST_DAY)]
    seconds: Annotated[float, Field(ge=0, le=YEARS)]


class _All(RootModel[dict[str, _Kept]]):
    pass


class Incidents:
    """Reads and keeps them for the buses of this run; ``run`` writes the file."""

    def __init__(self, folder: Path, buses: Mapping[str, BusStatus]) -> None:
        self._buses, file = buses, JsonFile(folder / NAME)
        found = file.load_as(_All)
        for name, kept in found.root.items() if found else ():
            if name in buses:
                buses[name].worst = Incident(kept.reason, kept.began, kept.seconds)
        self._saver, self._worst = Saver(file), self._now()
        self.run = self._saver.run

    def keep(self) -> None:
        """Have them written where there is a worse one."""
        worst = self._now()
        if worst != self._worst:
            self._worst = worst
            self._saver.save({name: _content(incident) for name, incident in worst.items() if incident})

    def _now(self) -> dict[str, Incident | None]:
        return {name: bus.worst for name, bus in self._buses.items()}


def _content(incident: Incident) -> dict[str, Any]:
    return {**asdict(incident), "reason": incident.reason[:LONGEST]}
