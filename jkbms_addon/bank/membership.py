"""Snapshots of the batteries to members of the bank: which ones, how old, how complete. Pure.

Source of the times: specification of the inverter path, section 13. What is broadcast on a CAN bus never
pauses, so it is old after 2 s and silent after 5; a battery that is asked has three rounds, at least 10 s,
but never more than ``OLDEST``: nobody should charge by what was true half a minute ago.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from jkbms_addon.bank.candidate import Key, Member
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.battery.store import Snapshot

BROADCAST: Final = "can"  # format of what the BMSs tell on their own CAN bus
HOLD_BROADCAST, STALE_BROADCAST = 2.0, 5.0  # s
HOLD, STALE, OLDEST = 5.0, 10.0, 30.0  # s
FIRST_ROUND = 60.0  # s in which settings of all batteries are asked for; until then a missing one is no news
# without these a limit would be a guess, and where they are asked for they come within seconds
SETTINGS: Final = (
    "max_charge_current",
    "max_discharge_current",
    "cell_voltage_overvoltage_protection",
    "cell_voltage_undervoltage_protection",
)
Wanted = Sequence[tuple[str, int | None]]  # bus and address; None for every battery of the bus


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

    @property
    def expected(self) -> int:
        """How many batteries there must be; 0 where that is not told."""
        return 0 if any(address is None for _, address in self.wanted) else len(self.wanted)

    def members(self, snapshots: Iterable[Snapshot], now: float) -> list[Member]:
        """Every battery of the bank that was ever heard; ``now`` is the time of the bank's clock in s."""
        found, units = [], dict[str, Key]()
        for snapshot in snapshots:
            if self._belongs(snapshot.key) and not self._arriving(snapshot, now):
                first = units.setdefault(_unit(snapshot), snapshot.key)
                found.append(self._member(snapshot, now, first))
        return found

    def _belongs(self, key: Key) -> bool:
        return not self.wanted or key in self.wanted or (key[0], None) in self.wanted

    def _arriving(self, snapshot: Snapshot, now: float) -> bool:
        """Whether a battery that was heard only just now has not told its settings yet."""
        young = now - self._since.setdefault(snapshot.key, now) < FIRST_ROUND
        return young and self._tells_settings(snapshot) and "settings" not in snapshot.parts

    def _member(self, snapshot: Snapshot, now: float, first: Key) -> Member:
        hold, stale = self._ages(snapshot)
        # on one bus equal serial numbers are the owner's, on two it is one battery that must not count twice
        twin = first[0] != snapshot.bus
        return Member(
            snapshot.bus,
            snapshot.address,
            self._name(snapshot.key),
            snapshot.values(now),
            age=snapshot.age(now),
            fresh=snapshot.online(now),
            faults=(f"the same battery as {first[0]}/{first[1]}",) if twin else (),
            hold_after=hold,
            stale_after=stale,
            required=SETTINGS if self._tells_settings(snapshot) else (),
            absent=snapshot.withheld,
        )

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
