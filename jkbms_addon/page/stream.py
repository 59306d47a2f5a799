"""What each client was told and what is news to it. Pure.

A ``Scene`` is everything at one moment, as JSON, made once for all clients. ``Told`` remembers what one client knows
and gives the difference; so a slow client skips scenes and nothing piles up for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from jkbms_addon.battery.snapshot import Part, label
from jkbms_addon.page import parts
from jkbms_addon.page.history import History
from jkbms_addon.page.settings import Ranges
from jkbms_addon.page.sources import Sources
from jkbms_addon.views import charging

WHOLE: Final = (
    "bank",
    "inverter",
    "findings",
    "alarms",
    "first",
    "ranges",
    "owner",
    "jobs",
)  # told only when they changed
SHARES_EVERY: Final = 60.0  # s


@dataclass(frozen=True, slots=True)
class PackScene:
    """One pack: what is always told, and its parts."""

    age: str
    on: bool
    parts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything at one moment."""

    at: float  # s since 1970
    whole: Mapping[str, str]
    buses: str
    packs: Mapping[str, PackScene]


@dataclass(slots=True)
class Cache:
    """Texts of parts, as long as the part is the same object."""

    texts: dict[tuple[str, str], tuple[object, str]] = field(default_factory=dict)

    def text(self, pack: str, kind: str, part: Part) -> str:
        """The part as JSON."""
        known = self.texts.get((pack, kind))
        if known is None or known[0] is not part:
            known = part, parts.values(kind, part)
            self.texts[pack, kind] = known
        return known[1]


class Camera:
    """Takes scenes of the sources. ``first`` is what the first run shows while no battery was heard."""

    def __init__(self, sources: Sources) -> None:
        self._sources, self._cache = sources, Cache()
        self._ranges = Ranges(sources.store, sources.commands)
        self._shares: dict[str, tuple[float, str]] = {}
        self.first: object = None

    def scene(self, now: float, wall: float) -> Scene:
        """Everything now; monotonic s and s since 1970."""
        sources = self._sources
        packs = {}
        for snapshot in sources.store:
            pack, age = label(snapshot.key), snapshot.age(now)
            texts = {kind: self._cache.text(pack, kind, part) for kind, part in parts.told_parts(snapshot, now).items()}
            texts["cells"] = self._places(pack, now, wall)
            texts["wires"] = parts.wires(snapshot, sources.store.wires(snapshot.key), now, wall)
            if energy := sources.energies.of(pack):
                texts["energy"] = parts.encoded(parts.pack_energy(energy))
            packs[pack] = PackScene(parts.encoded(parts.rounded(age, 1)), snapshot.online(now), texts)
        return Scene(wall, self._whole(now, wall, first=not packs), self._buses(now), packs)

    def _whole(self, now: float, wall: float, *, first: bool) -> dict[str, str]:
        sources = self._sources
        control = sources.control
        told: dict[str, object] = {
            "bank": parts.bank(control.state, sources.energies.of("bank")) if control.state.expected else None,
            "inverter": None,
            "owner": None,
            "findings": parts.findings(sources.watch.findings),
            "alarms": parts.alarms(sources.raised),
            "jobs": sources.jobs.told(now, wall),
            "first": self.first if first else None,
            "ranges": self._ranges.told([(label(one.key), one) for one in sources.store], now),
        }
        if sources.outlets:
            decision = control.decision(now)
            bears, enabled = control.bears(now), control.enabled
            told["inverter"] = parts.inverter(decision, sources.outlets, bears, now, enabled=enabled)
            told["owner"] = parts.owner(charging.charge(control))
        return {kind: parts.encoded(content) for kind, content in told.items()}

    def _buses(self, now: float) -> str:
        sources = self._sources
        slots, present = sources.slots, sources.store.present
        return parts.encoded([parts.bus(one, slots[name], now, present) for name, one in sources.buses.items()])

    def _places(self, pack: str, now: float, wall: float) -> str:
        """Shares of the day that each cell was lowest and highest, in percent; looked at once a minute."""
        known = self._shares.get(pack)
        if known is None or now - known[0] >= SHARES_EVERY:
            low, high, hours = self._sources.history.shares(pack, wall)
            percent = [[round(100 * one) for one in some] for some in (low, high)]
            known = now, parts.encoded({"low": percent[0], "high": percent[1], "hours": round(hours, 1)})
            self._shares[pack] = known
        return known[1]


@dataclass(slots=True)
class Told:
    """What one client knows."""

    sequence: int = 0
    _known: dict[str, str] = field(default_factory=dict)

    def tick(self, scene: Scene) -> str:
        """The message with all that is news in a scene."""
        self.sequence += 1
        told = [f'"t":"tick","seq":{self.sequence},"at":{scene.at:.1f}', f'"buses":{scene.buses}']
        told += [f'"{kind}":{scene.whole[kind]}' for kind in WHOLE if self._news(kind, scene.whole[kind])]
        packs = ",".join(f"{parts.encoded(pack)}:{self._pack(pack, one)}" for pack, one in scene.packs.items())
        return "{" + ",".join(told) + ',"packs":{' + packs + "}}"

    def _pack(self, pack: str, scene: PackScene) -> str:
        told = [f'"age":{scene.age}', f'"on":{"true" if scene.on else "false"}']
        told += [f'"{kind}":{text}' for kind, text in scene.parts.items() if self._news(f"{pack} {kind}", text)]
        return "{" + ",".join(told) + "}"

    def _news(self, name: str, text: str) -> bool:
        if self._known.get(name) == text:
            return False
        self._known[name] = text
        return True


def history(told: History, request: Mapping[str, object], packs: Iterable[str], wall: float) -> dict[str, object] | str:
    """The answer to a request for history, or why there is none."""
    key, step, columns = request.get("of"), request.get("tier"), request.get("cols")
    if not isinstance(key, str) or key not in {"bank", *packs}:
        return "there is no such battery"
    if not isinstance(step, int) or not isinstance(columns, list) or not all(isinstance(one, str) for one in columns):
        return "tier must be a number of seconds and cols a list of columns"
    answer = told.answer(key, step, columns, wall)
    return answer if answer is not None else "there is no such tier"
