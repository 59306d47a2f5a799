"""A CAN bus on which BMSs broadcast: every frame in, at most about one reading a second per address out.

Source: specification of the JK CAN protocol. Pure; times are seconds of any one clock that does not go back.
A frame costs a look into a dictionary; only what is due is decoded.
"""

from dataclasses import dataclass
from typing import Final

from jkbms_addon.battery.reading import Reading
from jkbms_addon.wire.jkcan.frames import Version, foreign
from jkbms_addon.wire.jkcan.kinds import CHG_INFO, EXTENDED, PLACES, V2_ONLY
from jkbms_addon.wire.jkcan.unit import DIALECT, HOLD, SILENT, Slot, Unit

AGAIN: Final = 1.2  # s of listening to an address that was told of before: every kind of frame comes once a second
_PROOFS: Final = frozenset(kind.name for kind in V2_ONLY)


@dataclass(frozen=True, slots=True)
class Presence:
    """Who is on the bus: version of its protocol, None while unknown, and frames a second."""

    address: int
    version: Version | None
    rate: float


class Bus:
    """Everything heard on one bus, by address.

    ``version`` is set only by whoever knows better than the detection. ``interval`` is the time in s between
    two readings of an address, ``settle`` for how long it is listened to before its first, so that a duplicate
    address or a dialect is noticed before anything is told; one that is back after a silence needs ``AGAIN``.
    """

    def __init__(self, version: Version | None = None, interval: float = 1.0, settle: float = 3.0) -> None:
        self._version, self._interval, self._settle = version, interval, settle
        self._told: set[int] = set()
        self._slots: dict[int, Slot] = {}
        self._units: dict[int, Unit] = {}
        self._dialect_until = float("-inf")

    def heard(self, can_id: int, extended: bool, data: bytes | bytearray, now: float) -> None:  # noqa: FBT001
        """A data frame from the bus, whoever sent it."""
        slot = self._slots.get(can_id | EXTENDED if extended else can_id)
        if slot is None:
            slot = self._new(can_id, extended, now)
            if slot is None:
                return
        slot.count += 1
        if now < slot.due:
            return
        if now - slot.unit.heard <= SILENT:
            slot.unit.take(slot, data, now)
        else:
            self._forget(slot.unit)
            self.heard(can_id, extended, data, now)

    def _new(self, can_id: int, extended: bool, now: float) -> Slot | None:  # noqa: FBT001
        """A place for a kind of frame not heard before at its address; None for what no BMS sends."""
        key = can_id | EXTENDED if extended else can_id
        kind, address = PLACES.get(key, (None, None))
        if kind is None or address is None:
            if foreign(can_id, extended):
                self._dialect_until = now + HOLD
            return None
        unit = self._units.get(address)
        if unit is None:
            if kind is CHG_INFO:  # other makers' batteries ask their chargers with the same id
                return None
            unit = self._units[address] = Unit(address, now, self._version)
        if kind.name in _PROOFS and self._version is None:
            unit.extended()
        slot = self._slots[key] = unit.slot(kind)
        return slot

    def _forget(self, unit: Unit) -> None:
        """A BMS that fell silent may come back as another one."""
        self._units.pop(unit.address, None)
        self._slots = {key: slot for key, slot in self._slots.items() if slot.unit is not unit}

    def _present(self, now: float) -> list[Unit]:
        for unit in [unit for unit in self._units.values() if now - unit.heard > SILENT]:
            self._forget(unit)
        return list(self._units.values())

    def readings(self, now: float) -> list[Reading]:
        """What the addresses tell whose reading is due; to be asked about once a second."""
        units = self._present(now)
        if now < self._dialect_until:
            return []
        found = []
        for unit in units:
            reading = unit.reading(now) if now >= unit.due and self._settled(unit, now) else None
            if reading:
                # somewhat early, or a caller with the same period would miss every other one
                unit.due = now + 0.9 * self._interval
                self._told.add(unit.address)
                found.append(reading)
        return found

    def _settled(self, unit: Unit, now: float) -> bool:
        return now - unit.since >= (min(AGAIN, self._settle) if unit.address in self._told else self._settle)

    def problems(self, now: float) -> dict[int, str]:
        """By address what the owner should know; where it says so, no readings are told."""
        everywhere = [DIALECT] if now < self._dialect_until else []
        texts = {unit.address: dict.fromkeys(everywhere + unit.problems(now)) for unit in self._present(now)}
        return {address: "; ".join(found) for address, found in sorted(texts.items()) if found}

    def presences(self, now: float) -> list[Presence]:
        """Who is heard."""
        return [
            Presence(
                unit.address,
                unit.version,
                round(sum(slot.count for slot in unit.slots.values()) / max(now - unit.since, 1.0), 1),
            )
            for unit in sorted(self._present(now), key=lambda unit: unit.address)
        ]

    def version(self, address: int) -> Version | None:
        """Version at an address; None while unknown."""
        unit = self._units.get(address)
        return unit.version if unit else None

    def rejected(self, address: int) -> int:
        """Impossible frames from an address since it was first heard."""
        unit = self._units.get(address)
        return unit.rejected if unit else 0
