"""Snapshots of the batteries to candidates of the bank: which ones, how old, how complete. Pure.

Source of the times: specification of the inverter path, section 13. What is broadcast on a CAN bus never
pauses, so it is old after 2 s and silent after 5; a battery that is asked has three rounds, at least 10 s,
but never more than ``OLDEST``: nobody should charge by what was true half a minute ago.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from jkbms_addon.bank.candidate import Candidate, Key
from jkbms_addon.battery.quantities import Pack
from jkbms_addon.battery.snapshot import Snapshot
from jkbms_addon.battery.status import BusStatus

BROADCAST: Final = "can"  # format of what the BMSs tell on their own CAN bus
HOLD_BROADCAST, STALE_BROADCAST = 2.0, 5.0  # s
HOLD, STALE, OLDEST = 5.0, 10.0, 30.0  # s
FIRST_ROUND = 15.0  # s in which settings of all batteries are asked for; until then a missing one is no news
Wanted = Sequence[tuple[str, int | None]]  # bus and address; None for every battery of the bus


@dataclass(frozen=True, slots=True)
class _Typed:
    """A snapshot as a pack, good until something in it expires; or what is wrong with it."""

    snapshot: Snapshot
    until: float
    pack: Pack | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """Which batteries belong to the bank: ``wanted``, or all where it is empty.

    ``asked`` names the buses on which we ask for settings, too; whoever follows another master may never
    hear them.
    """

    buses: Mapping[str, BusStatus]
    wanted: Wanted = ()
    asked: frozenset[str] = frozenset()
    _since: dict[Key, float] = field(default_factory=dict)
    _typed: dict[Key, _Typed] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """How many batteries there must be; 0 where that is not told."""
        return 0 if any(address is None for _, address in self.wanted) else len(self.wanted)

    @property
    def named(self) -> frozenset[Key]:
        """The batteries that are named one by one."""
        return frozenset((bus, address) for bus, address in self.wanted if address is not None)

    def candidates(self, snapshots: Iterable[Snapshot], now: float) -> list[Candidate]:
        """Every battery of the bank that was ever heard; ``now`` is the time of the bank's clock in s."""
        found, units = [], dict[str, Key]()
        for snapshot in snapshots:
            if self._belongs(snapshot.key) and not self._arriving(snapshot, now):
                first = units.setdefault(_unit(snapshot), snapshot.key)
                found.append(self._candidate(snapshot, now, first))
        return found

    def _belongs(self, key: Key) -> bool:
        return not self.wanted or key in self.wanted or (key[0], None) in self.wanted

    def _arriving(self, snapshot: Snapshot, now: float) -> bool:
        """Whether a battery that was heard only just now has not told its settings yet."""
        young = now - self._since.setdefault(snapshot.key, now) < FIRST_ROUND
        return young and self._tells_settings(snapshot) and "settings" not in snapshot.parts

    def _candidate(self, snapshot: Snapshot, now: float, first: Key) -> Candidate:
        hold, stale = self._ages(snapshot)
        known = self._pack(snapshot, now)
        # on one bus equal serial numbers are the owner's, on two it is one battery that must not count twice
        twin = first[0] != snapshot.bus
        return Candidate(
            snapshot.bus,
            snapshot.address,
            self._name(snapshot.key),
            known.pack,
            age=snapshot.age(now),
            fresh=snapshot.online(now),
            problem=known.problem,
            faults=(f"the same battery as {first[0]}/{first[1]}",) if twin else (),
            hold_after=hold,
            stale_after=stale,
            settings_required=self._tells_settings(snapshot),
            absent=snapshot.withheld,
        )

    def _pack(self, snapshot: Snapshot, now: float) -> _Typed:
        """The checked pack, made once for what was said and while nothing of it expires."""
        known = self._typed.get(snapshot.key)
        if known is None or known.snapshot is not snapshot or now >= known.until:
            try:
                known = _Typed(snapshot, snapshot.until(now), snapshot.pack(now))
            except ValueError as error:
                known = _Typed(snapshot, snapshot.until(now), None, str(error))
            self._typed[snapshot.key] = known
        return known

    def _name(self, key: Key) -> str:
        return f"JK BMS {key[1]}" if len(self.buses) == 1 else f"JK BMS {key[0]} {key[1]}"

    def _ages(self, snapshot: Snapshot) -> tuple[float, float]:
        """When nothing may rise any more, and when the battery counts as silent."""
        if snapshot.format == BROADCAST:
            return HOLD_BROADCAST, STALE_BROADCAST
        bus = self.buses.get(snapshot.bus)
        bms = bus.batteries.get(snapshot.address) if bus else None
        if bms is None or bms.expected is None:
            return HOLD, STALE
        hold = min(max(HOLD, 1.5 * bms.expected + 1), OLDEST)
        return hold, min(max(STALE, bms.valid_for), OLDEST)

    def _tells_settings(self, snapshot: Snapshot) -> bool:
        bus = self.buses.get(snapshot.bus)
        polled = snapshot.bus in self.asked or (bus is not None and bus.mode == "polling")
        return snapshot.format == "ttl" or (snapshot.format == "pb" and polled)


def _unit(snapshot: Snapshot) -> str:
    """The serial number; where it is not known, or 0, its place."""
    about = snapshot.parts.get("about")
    serial = about.values.get("serial_number") if about else None
    return serial if isinstance(serial, str) and serial.strip("0 ") else f"{snapshot.bus}/{snapshot.address}"
