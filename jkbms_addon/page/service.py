"""The page's owners, built from the options: what is recorded always, and a server where there is somebody to serve."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from jkbms_addon import worker
from jkbms_addon.battery import energy
from jkbms_addon.battery.energy import Moment, combined, moment
from jkbms_addon.battery.quantities import Values
from jkbms_addon.battery.snapshot import label
from jkbms_addon.kept import PATIENCE
from jkbms_addon.page import files, recorder
from jkbms_addon.page.place import TIMEOUT, PageOptions, Place, ask, supervised
from jkbms_addon.page.sources import Sources

Owner = Callable[[Callable[[], None]], Awaitable[None]]  # gets what to call when its link works


class Service:
    """Energy, history and the page. Without a Supervisor and without a port nobody is served."""

    def __init__(self, options: PageOptions, sources: Sources, data: Path) -> None:
        self._options, self.sources, self._data = options, sources, data

    def owners(self) -> list[tuple[str, Owner]]:
        """Every owner with the name that it has in the log."""
        found: list[tuple[str, Owner]] = [("energy", self._energy), ("history", self._history)]
        if supervised():
            found.append(("page", self._ingress))
        if self._options.port and not self._options.problem:
            place = Place(self._options.host, self._options.port, token=self._options.token)
            found.append(("page", partial(self._serve, place)))
        return found

    async def _energy(self, _healed: Callable[[], None]) -> None:
        await energy.own(self.sources.energies, self._heard, self._bank)

    def _heard(self) -> list[tuple[str, Values, float]]:
        now = self.sources.store.clock()
        identity = self.sources.store.identity
        # what may be another name of one that is counted is not counted
        heard = [one for one in self.sources.store if one.online(now) and not identity.suspect(one.key, now)]
        return [(label(one.key), one.values(now), one.parts["live"].at) for one in heard]

    def _bank(self) -> Moment | None:
        now = self.sources.store.clock()
        counted = [self.sources.store.get(view.key) for view in self.sources.control.state.counted]
        every = [moment(snapshot.values(now), now) for snapshot in counted if snapshot]
        return combined([one for one in every if one], now)

    async def _history(self, _healed: Callable[[], None]) -> None:
        await recorder.own(self.sources, self._data)

    async def _ingress(self, healed: Callable[[], None]) -> None:
        """Asked again at every try, as the Supervisor may have another answer by then."""
        place = await worker.own().call(ask, 2 * TIMEOUT, "the Supervisor does not say where to listen")
        await self._serve(place, healed)

    async def _serve(self, place: Place, healed: Callable[[], None]) -> None:
        # brings the library along, which costs memory that an installation without a page need not pay
        from jkbms_addon.page.server import Page  # noqa: PLC0415

        static = await worker.own().call(files.load, PATIENCE, "the page cannot be read: the disk does not answer")
        await Page(self.sources, static).own(place, healed)
