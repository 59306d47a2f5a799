"""Snapshots of the batteries to candidates of the bank: which ones, how old, how complete. Pure.

Source of the times: specification of the inverter path, section 13. What is broadcast on a CAN bus never
pauses, so it is old after 2 s and silent after 5; a battery that is asked has three rounds, at least 10 s,
but never more than ``OLDEST``: nobody should charge by what was true half a minute ago.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from jkbms_addon.bank.candidate import Candidate, Key
from jkbms_addon.battery.identity import Identity
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
    hear them. ``identity`` tells which wires are one battery: a bus that is wanted stands for its batteries, by
    whichever wire they are named.
    """

    buses: Mapping[str, BusStatus]
    wanted: Wanted = ()
    asked: frozenset[str] = frozenset()
    identity: Identity = field(default_factory=Identity)
    _since: dict[Key, float] = field(default_factory=dict)
    _typed: dict[Key, _Typed] = field(default_factory=dict)

    @property
    def expected(self) -> int:
        """How many batteries there must be; 0 where that is not told."""
        if any(address is None for _, address in self.wanted):
            return 0
        return len(set(map(self.identity.battery, self.named)))

    @property
    def named(self) -> frozenset[Key]:
        """The batteries that are named one by one."""
        return frozenset((bus, address) for bus, address in self.wanted if address is not None)

    def candidates(self, snapshots: Iterable[Snapshot], now: float) -> list[Candidate]:
        """Every battery of the bank that was ever heard; ``now`` is the time of the bank's clock in s."""
        wanted = [one for one in snapshots if any(map(self._belongs, self.identity.wires(one.key)))]
        return [self._candidate(one, now) for one in wanted if not self._arriving(one, now)]

    def _belongs(self, wire: Key) -> bool:
        return not self.wanted or wire in self.wanted or (wire[0], None) in self.wanted

    def _arriving(self, snapshot: Snapshot, now: float) -> bool:
        """Whether a battery that was heard only just now has not told its settings yet."""
        young = now - self._since.setdefault(snapshot.key, now) < FIRST_ROUND
        return young and self._tells_settings(snapshot) and "settings" not in snapshot.parts

    def _candidate(self, snapshot: Snapshot, now: float) -> Candidate:
        hold, stale = self._ages(snapshot)
        known = self._pack(snapshot, now)
        # one battery must not count twice, not even while nobody knows whether it is one
        twin = self.identity.suspect(snapshot.key, now)
        return Candidate(
            snapshot.bus,
            snapshot.address,
            self._name(snapshot.key),
            known.pack,
            age=snapshot.age(now),
            fresh=snapshot.online(now),
            problem=known.problem,
            faults=(f"perhaps the same battery as {twin}",) if twin else (),
            hold_after=hold,
            stale_after=stale,
            settings_required=self._tells_settings(snapshot),
            absent=snapshot.withheld,
            also=frozenset(self.identity.wires(snapshot.key)) - {snapshot.key},
            source=snapshot.source,
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
        name, address = snapshot.source
        bus = self.buses.get(name)
        bms = bus.batteries.get(address) if bus else None
        if bms is None or bms.expected is None:
            return HOLD, STALE
        hold = min(max(HOLD, 1.5 * bms.expected + 1), OLDEST)
        return hold, min(max(STALE, bms.valid_for), OLDEST)

    def _tells_settings(self, snapshot: Snapshot) -> bool:
        name = snapshot.source[0]
        bus = self.buses.get(name)
        polled = name in self.asked or (bus is not None and bus.mode == "polling")
        return snapshot.format == "ttl" or (snapshot.format == "pb" and polled)
