"""Worth a look: what an owner should see before it becomes a fault. Computed here, shown by MQTT and the page. Pure.

Theory of operation
- ``conditions`` says what is so at this moment: a ``Finding`` for each condition beyond its limit.
- ``Watch`` keeps those that have been so for as long as their row of ``HOLD`` says, in the order of severity. What
  flickers at its limit is no news: a finding that was told leaves only after ``CALM`` without its condition.
- A finding has a key, by which the page translates it, its arguments, and an English sentence without
  numbers that change all the time for everybody else.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from jkbms_addon.battery.quantities import Scalar, Value, specs
from jkbms_addon.battery.status import UNOPENED

Severity = Literal["bad", "warn", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = ("bad", "warn", "info")

WEAK_SHARE, WEAK_BELOW, WEAK_HOURS = 0.90, 0.010, 6.0  # of the day lowest; V below the mean; h that must be known
UNEQUAL: Final = 3.0  # percent points off the share by capacity
SPREAD, SPREAD_BELOW = 0.030, 95.0  # V between the cells of a pack, below this state of charge in %
PACKS_APART: Final = 1.0  # V between packs
CHARGE_APART: Final = 10.0  # percent points between packs
NOT_FULL_FOR: Final = 30 * 86400.0  # s
TEMPERATURES_APART: Final = 10.0  # K
GOOD_SCORE: Final = 95  # of a bus
CALM: Final = 60.0  # s
HOLD: Final[Mapping[str, float]] = {
    "unequal": 600.0,
    "spread": 60.0,
    "apart": 60.0,
    "soc": 60.0,
    "warm": 60.0,
    "score": 60.0,
}
DEFAULT_PASSWORD: Final = "change_the_default_password"  # noqa: S105 - the name of an alarm
# What differs between packs of one bank by their nature.
OWN_SETTINGS: Final = frozenset(
    {"device_address", "current_calibration", "total_battery_capacity", "actual_battery_capacity"}
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing worth a look; ``id`` is the same for the same thing, ``pack`` is where to look, if at one."""

    key: str
    severity: Severity
    text: str
    pack: str = ""
    args: Mapping[str, Scalar] = field(default_factory=dict)
    about: str = ""  # tells two findings of one key and pack apart

    @property
    def id(self) -> str:
        """What it is about."""
        return ":".join(filter(None, (self.key, self.pack or self.about)))


@dataclass(frozen=True, slots=True)
class PackSeen:
    """What the findings need of one battery; V, %, °C, s. Unknown is None."""

    key: str  # bus/address
    name: str
    heard: bool = True
    silent_for: float | None = None
    cause: str = ""  # of its silence, as far as its bus knows
    soc: float | None = None
    spread: float | None = None
    lowest: int | None = None  # number of the cell
    below: float | None = None  # V that it is below the mean
    lowest_share: float = 0.0  # of the day that this cell was the lowest, 0 to 1
    hours: float = 0.0  # of the day that are known
    share: float | None = None  # percent of the bank's current
    fair: float | None = None  # percent of its capacity
    voltage: float | None = None
    temperature: float | None = None  # mean of its sensors
    settings: Mapping[str, Value] = field(default_factory=dict)
    cells: int = 0
    firmware: str = ""
    alarms: Sequence[str] = ()
    full_ago: float | None = None  # since it was full, or since counting began


@dataclass(frozen=True, slots=True)
class BusSeen:
    """What the findings need of one bus."""

    name: str
    score: int | None = None
    connected: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that is looked at."""

    packs: Sequence[PackSeen] = ()
    buses: Sequence[BusSeen] = ()
    twins: Sequence[str] = ()
    problems: Sequence[str] = ()  # of the options
    charging: Sequence[str] = ()  # what the charge control found


@dataclass(frozen=True, slots=True)
class Quirk:
    """What is known of a firmware; ``first`` to ``last`` are major and minor version, both included."""

    first: tuple[int, int]
    last: tuple[int, int]
    key: str
    text: str


# Source: the specification of the PB protocol, table "Per firmware", and reports of users cited there.
QUIRKS: Final = (
    Quirk((15, 10), (15, 40), "heating", "shows no meaningful heating temperatures"),
    Quirk(
        (19, 10),
        (19, 99),
        "uart2",
        "may keep another protocol on RS485-2 until its history data are erased in the JK app",
    ),
)


def conditions(seen: Seen) -> list[Finding]:
    """All that is so now."""
    found = [Finding("option", "bad", f"Option {text}", args={"text": text}, about=text) for text in seen.problems]
    for bus in seen.buses:
        found += _of_bus(bus)
    for pack in seen.packs:
        found += _of_pack(pack)
    heard = [pack for pack in seen.packs if pack.heard]
    together = (_apart(heard), _charge(heard), _warm(heard), _settings(heard), _password(heard))
    found += [finding for finding in together if finding]
    found += [Finding("twin", "warn", _sentence(text), args={"text": text}, about=text) for text in seen.twins]
    found += [Finding("charging", "info", _sentence(text), args={"text": text}, about=text) for text in seen.charging]
    return found


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _of_bus(bus: BusSeen) -> list[Finding]:
    if not bus.connected and bus.problem == UNOPENED:
        return []
    if not bus.connected:
        text = f"Bus {bus.name} is not connected: {bus.problem}"
        return [Finding("bus", "bad", text, args={"bus": bus.name, "problem": bus.problem}, about=bus.name)]
    if bus.score is not None and bus.score < GOOD_SCORE:
        text = f"Bus {bus.name} loses data: its quality is below {GOOD_SCORE} of 100"
        return [Finding("score", "info", text, args={"bus": bus.name, "score": bus.score}, about=bus.name)]
    return []


def _of_pack(pack: PackSeen) -> list[Finding]:
    if not pack.heard:
        seconds = round(pack.silent_for or 0)
        args: dict[str, Scalar] = {"pack": pack.key, "seconds": seconds, "cause": pack.cause}
        return [
            Finding(
                "silent", "warn", f"{pack.name} is silent" + (f": {pack.cause}" if pack.cause else ""), pack.key, args
            )
        ]
    parts = (_weak(pack), _unequal(pack), _spread(pack), _never_full(pack), _quirk(pack))
    return [part for part in parts if part]


def _weak(pack: PackSeen) -> Finding | None:
    if pack.lowest is None or pack.below is None or pack.hours < WEAK_HOURS:
        return None
    if pack.lowest_share < WEAK_SHARE or pack.below < WEAK_BELOW - 1e-9:
        return None
    percent, below = round(100 * pack.lowest_share), round(1000 * pack.below)
    text = f"Cell {pack.lowest} of {pack.name} lags behind: it is the lowest nearly all day"
    args: dict[str, Scalar] = {"pack": pack.key, "cell": pack.lowest, "percent": percent, "below": below}
    return Finding("weak", "info", text, pack.key, args)


def _unequal(pack: PackSeen) -> Finding | None:
    if pack.share is None or pack.fair is None or abs(pack.share - pack.fair) < UNEQUAL:
        return None
    less = pack.share < pack.fair
    text = f"{pack.name} carries {'less' if less else 'more'} than its share of the current"
    args: dict[str, Scalar] = {
        "pack": pack.key,
        "share": round(pack.share, 1),
        "fair": round(pack.fair, 1),
        "less": less,
    }
    return Finding("unequal", "info", text, pack.key, args)


def _spread(pack: PackSeen) -> Finding | None:
    if pack.spread is None or pack.soc is None or pack.spread <= SPREAD + 1e-9 or pack.soc >= SPREAD_BELOW:
        return None
    millivolts = round(1000 * pack.spread)
    text = f"The cells of {pack.name} are more than {1000 * SPREAD:.0f} mV apart"
    return Finding("spread", "info", text, pack.key, {"pack": pack.key, "spread": millivolts, "soc": round(pack.soc)})


def _never_full(pack: PackSeen) -> Finding | None:
    if pack.full_ago is None or pack.full_ago <= NOT_FULL_FOR:
        return None
    days = int(pack.full_ago // 86400)
    text = f"{pack.name} was not full for {days} days"
    return Finding("full", "info", text, pack.key, {"pack": pack.key, "days": days})


def _password(packs: Sequence[PackSeen]) -> Finding | None:
    """One for all packs, as it is the same deed."""
    found = [pack for pack in packs if DEFAULT_PASSWORD in pack.alarms]
    if not found:
        return None
    text = f"{', '.join(pack.name for pack in found[:4])}{' …' if len(found) > 4 else ''}: still the default password"
    only = found[0].key if len(found) == 1 else ""
    return Finding("password", "info", text, only, {"pack": found[0].key, "count": len(found)})


def _quirk(pack: PackSeen) -> Finding | None:
    match = re.match(r"V?(\d+)\.(\d+)", pack.firmware)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    for quirk in QUIRKS:
        if quirk.first <= version <= quirk.last:
            text = f"Firmware {pack.firmware} of {pack.name} {quirk.text}"
            args: dict[str, Scalar] = {"pack": pack.key, "firmware": pack.firmware, "quirk": quirk.key}
            return Finding("quirk", "info", text, pack.key, args, quirk.key)
    return None


def _extremes(values: Sequence[tuple[float, PackSeen]]) -> tuple[float, PackSeen, PackSeen] | None:
    """How far the extremes of several packs are apart, the lowest and the highest; None below two packs."""
    if len(values) < 2:
        return None
    low, high = min(values, key=_first), max(values, key=_first)
    return high[0] - low[0], low[1], high[1]


def _first(pair: tuple[float, PackSeen]) -> float:
    return pair[0]


def _apart(packs: Sequence[PackSeen]) -> Finding | None:
    found = _extremes([(pack.voltage, pack) for pack in packs if pack.voltage is not None])
    if found is None or found[0] <= PACKS_APART + 1e-9:
        return None
    volts, low, high = found
    text = f"{low.name} and {high.name} are more than {PACKS_APART:.0f} V apart: look at cables, lugs and fuses"
    return Finding("apart", "warn", text, args={"volts": round(volts, 1), "low": low.key, "high": high.key})


def _charge(packs: Sequence[PackSeen]) -> Finding | None:
    found = _extremes([(pack.soc, pack) for pack in packs if pack.soc is not None])
    if found is None or found[0] <= CHARGE_APART:
        return None
    points, low, high = found
    text = f"The states of charge of {low.name} and {high.name} are more than {CHARGE_APART:.0f} points apart"
    return Finding("soc", "info", text, args={"points": round(points), "low": low.key, "high": high.key})


def _warm(packs: Sequence[PackSeen]) -> Finding | None:
    found = _extremes([(pack.temperature, pack) for pack in packs if pack.temperature is not None])
    if found is None or found[0] <= TEMPERATURES_APART + 1e-9:
        return None
    kelvin, low, high = found
    text = f"{high.name} is more than {TEMPERATURES_APART:.0f} K warmer than {low.name}"
    return Finding("warm", "info", text, args={"kelvin": round(kelvin), "low": low.key, "high": high.key})


def differing(packs: Sequence[PackSeen]) -> list[str]:
    """Keys of settings that are not the same in all packs with equally many cells, in the order of the table."""
    table = [key for key, spec in specs().items() if spec.topic == "settings" and key not in OWN_SETTINGS]
    groups = Counter(pack.cells for pack in packs if pack.settings)
    alike = [[pack.settings for pack in packs if pack.settings and pack.cells == cells] for cells in groups]
    return [
        key
        for key in table
        if any(_differs([one[key] for one in group if one.get(key) is not None]) for group in alike)
    ]


def _differs(values: Sequence[Value]) -> bool:
    return len(set(values)) > 1


def _settings(packs: Sequence[PackSeen]) -> Finding | None:
    keys = differing(packs)
    if not keys:
        return None
    names = ", ".join(specs()[key].name.lower() for key in keys[:4]) + (" …" if len(keys) > 4 else "")
    word = "setting differs" if len(keys) == 1 else "settings differ"
    text = f"{len(keys)} {word} between packs: {names}"
    return Finding("settings", "info", text, args={"count": len(keys), "keys": " ".join(keys)})


class Watch:
    """The findings that have been so for long enough. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._told: dict[str, tuple[Finding, float]] = {}  # with the time when it was so last

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is worth a look now, the worst first."""
        return tuple(sorted((one for one, _ in self._told.values()), key=lambda one: SEVERITIES.index(one.severity)))

    def step(self, seen: Seen, now: float) -> tuple[Finding, ...]:
        """Look once more; a few times a minute is enough."""
        current = {finding.id: finding for finding in conditions(seen)}
        self._since = {name: self._since.get(name, now) for name in current}
        for name, finding in current.items():
            if name in self._told or now - self._since[name] >= HOLD.get(finding.key, 0.0):
                self._told[name] = finding, now
        calm = {name for name, (one, at) in self._told.items() if now - at >= (CALM if one.key in HOLD else 0.0)}
        self._told = {name: told for name, told in self._told.items() if name in current or name not in calm}
        return self.findings


def told(findings: Sequence[Finding], most: int = 255) -> str:
    """All of them in one text, the worst first, cut between two at ``most``; ``none`` where there are none."""
    text = ""
    for finding in findings:
        longer = f"{text}; {finding.text}" if text else finding.text
        if len(longer) > most:
            return text or finding.text[:most]
        text = longer
    return text or "none"
