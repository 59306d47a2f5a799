"""Looks at everything once a second, for the history, the alarms' times and what is worth a look."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from jkbms_addon import worker
from jkbms_addon.bank.bank import weights
from jkbms_addon.battery import energy
from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.reading import number
from jkbms_addon.battery.snapshot import Snapshot, label
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.kept import LAST, PATIENCE
from jkbms_addon.page import history_file
from jkbms_addon.page.sources import Sources
from jkbms_addon.views.findings import BusSeen, PackSeen, Seen

_LOGGER = logging.getLogger(__name__)
LOOK: Final = 1.0  # s
JUDGE: Final = 5  # looks between two judgements of what is worth a look
SAVE_EVERY: Final = 3600.0  # s
SLOW: Final = "the history cannot be read or written: the disk does not answer"
COLUMNS: Final[Mapping[str, str]] = {
    "power": "power",
    "current": "current",
    "voltage": "total_voltage",
    "soc": "state_of_charge",
    "delta": "delta_cell_voltage",
    "min_cell": "min_cell_voltage",
    "max_cell": "max_cell_voltage",
    "mean_cell": "average_cell_voltage",
    "mosfet": "mosfet_temperature",
}
SENSORS: Final = ("temperature_sensor_1", "temperature_sensor_2", "temperature_sensor_4", "temperature_sensor_5")


def cells(values: Mapping[str, Value]) -> tuple[float | None, ...]:
    """Voltages of the cells, V."""
    listed = values.get("cell_voltage")
    return tuple(one if isinstance(one, (int, float)) else None for one in listed) if isinstance(listed, tuple) else ()


def temperature(values: Mapping[str, Value]) -> float | None:
    """Mean of the battery's sensors, °C."""
    known = [value for key in SENSORS if (value := number(values, key)) is not None]
    return sum(known) / len(known) if known else None


def _bus_seen(bus: BusStatus, now: float) -> BusSeen:
    return BusSeen(bus.name, bus.quality.score(now), bus.connected, bus.problem)


class Recorder:
    """Feeds what the page shows beside the present. ``clock`` is the store's, ``wall`` s since 1970."""

    def __init__(self, sources: Sources, wall: Callable[[], float] = time.time) -> None:
        self._sources, self._wall = sources, wall
        self._looks = 0
        self._counted: tuple[float, float, float] | None = None  # monotonic s, Wh in, Wh out

    def look(self) -> None:
        """One look at everything."""
        sources = self._sources
        now, wall = sources.store.clock(), self._wall()
        believed = sources.history.believed(wall, now)
        for snapshot in sources.store:
            self._alarms(snapshot, now, wall)
            if believed and snapshot.online(now):
                self._pack(snapshot, now, wall)
        if believed:
            self._bank(now, wall)
        if self._looks % JUDGE == 0:
            sources.watch.step(self.seen(now, wall), now)
        self._looks += 1

    def _pack(self, snapshot: Snapshot, now: float, wall: float) -> None:
        values, key, history = snapshot.values(now), label(snapshot.key), self._sources.history
        listed = cells(values)
        told = {column: number(values, source) for column, source in COLUMNS.items()}
        numbered = {f"cell_{n}": cell for n, cell in enumerate(listed, 1)}
        history.take(key, wall, {**told, "temperature": temperature(values), **numbered})
        history.note(key, wall, listed, LOOK)

    def _bank(self, now: float, wall: float) -> None:
        control = self._sources.control
        state, decision = control.state, control.decision(now)
        charged, discharged = self._flows(now)
        told = {
            "power": state.power,
            "charged": charged,
            "discharged": discharged,
            "soc": state.state_of_charge,
            "voltage": state.total_voltage,
            "current": state.current,
            "delta": state.delta_cell_voltage,
            "charge_limit": decision.charge_current if decision else None,
            "discharge_limit": decision.discharge_current if decision else None,
        }
        self._sources.history.take(energy.BANK, wall, told)

    def _flows(self, now: float) -> tuple[float | None, float | None]:
        """Mean power into and out of the bank since the last look, W, from what was counted as energy."""
        account = self._sources.energies.accounts.get(energy.BANK)
        if account is None:
            return None, None
        before, counts = self._counted, account.counts
        self._counted = now, counts.charged, counts.discharged
        heard = account.last is not None and now - account.last.at <= energy.GAP
        if before is None or now <= before[0] or not heard:
            return None, None
        hours = (now - before[0]) / 3600
        return (counts.charged - before[1]) / hours, (counts.discharged - before[2]) / hours

    def _alarms(self, snapshot: Snapshot, now: float, wall: float) -> None:
        """An alarm stays until its battery says that it is gone, also while that is silent."""
        raised, key = self._sources.raised, label(snapshot.key)
        live = snapshot.parts.get("live")
        listed = live.values.get("alarms") if live else None
        current = {str(one) for one in listed} if isinstance(listed, tuple) else set()
        if snapshot.online(now):
            for pack, alarm in [one for one in raised if one[0] == key and one[1] not in current]:
                del raised[pack, alarm]
        for alarm in current:
            raised.setdefault((key, alarm), wall)

    def seen(self, now: float, wall: float) -> Seen:
        """What the findings need."""
        sources = self._sources
        buses = [_bus_seen(one, now) for one in sources.buses.values() if not one.option_error]
        packs = [self._seen(snapshot, now, wall) for snapshot in sources.store]
        wrong = [f"bus {one.name}: {one.problem}" for one in sources.buses.values() if one.option_error]
        decision = sources.control.decision(now)
        charging = decision.facts.findings if decision else ()
        return Seen(packs, buses, sources.store.twins(), [*wrong, *sources.problems], charging)

    def _seen(self, snapshot: Snapshot, now: float, wall: float) -> PackSeen:
        sources, key = self._sources, label(snapshot.key)
        values, state = snapshot.values(now), self._sources.control.state
        view = next((one for one in state.counted if one.key == snapshot.key), None)
        capacities = {one.key: weight for one, weight in weights(state.counted)}
        total = sum(capacities.values())
        fair = 100 * capacities[snapshot.key] / total if total and snapshot.key in capacities else None
        lowest, mean = number(values, "min_voltage_cell"), number(values, "average_cell_voltage")
        low, _, hours = sources.history.shares(key, wall)
        place = int(lowest) if lowest is not None else 0
        below = None if mean is None else mean - (number(values, "min_cell_voltage") or mean)
        settings, about = snapshot.parts.get("settings"), snapshot.parts.get("about")
        bus = sources.buses.get(snapshot.source[0])  # that of the wire, where it has another name
        return PackSeen(
            key=key,
            name="JK BMS " + (f"{snapshot.bus} " if len(sources.buses) > 1 else "") + str(snapshot.address),
            heard=snapshot.online(now),
            silent_for=snapshot.age(now),
            cause=bus.problem if bus else "",
            soc=number(values, "state_of_charge"),
            spread=number(values, "delta_cell_voltage"),
            lowest=place or None,
            below=below,
            lowest_share=low[place - 1] if 0 < place <= len(low) else 0.0,
            hours=hours,
            share=state.sharing.get(view.label) if view else None,
            fair=fair,
            voltage=view.voltage if view else None,
            temperature=temperature(values),
            settings=settings.values if settings and values else {},
            cells=len(cells(values)),
            firmware=str(about.values.get("software_version") or "") if about else "",
            alarms=tuple(alarm for pack, alarm in sources.raised if pack == key),
            full_ago=self._full_ago(key, wall),
        )

    def _full_ago(self, key: str, wall: float) -> float | None:
        told = self._sources.energies.of(key)
        since = told and (told.last_full or told.began)
        return wall - since if since else None


async def own(sources: Sources, data: Path) -> None:
    """Look until cancelled. The history comes from a file and goes to it, in the owner's thread."""
    thread, path = worker.own(), data / history_file.NAME
    complained = ""
    if not sources.history.series:
        sources.history.adopt(await thread.call(partial(history_file.read, path), PATIENCE, SLOW), time.time())
    recorder, saved = Recorder(sources), sources.store.clock()
    try:
        while True:
            recorder.look()
            if sources.store.clock() - saved >= SAVE_EVERY:
                saved = sources.store.clock()
                save = partial(history_file.write, path, *history_file.packed(sources.history))
                problem = await thread.call(save, PATIENCE, SLOW)
                if problem and problem != complained:
                    _LOGGER.warning("%s", problem)
                complained = problem
            await asyncio.sleep(LOOK)
    finally:
        if sources.history.series:
            save = partial(history_file.write, path, *history_file.packed(sources.history))
            await thread.finish(save, LAST, SLOW)
