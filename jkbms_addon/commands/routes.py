"""Which wire a change takes: a battery that is only followed on one bus may be written on another. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jkbms_addon.battery.snapshot import Key, label
from jkbms_addon.battery.store import Store


@dataclass(frozen=True, slots=True)
class Routes:
    """``writable`` are the settings that the strategy of each bus can change, ``works`` whether its link does."""

    store: Store
    writable: Mapping[str, frozenset[str]]
    works: Callable[[str], bool] = lambda _bus: True

    def settings(self, battery: Key) -> frozenset[str]:
        """The settings of a battery that can be changed over any of its wires."""
        return frozenset().union(*map(self._changeable, self._wires(battery)))

    def why_not(self, battery: Key, setting: str) -> str:
        """Why a setting of a battery can be changed over none of its wires."""
        able = [wire for wire in self._wires(battery) if setting in self.writable.get(wire[0], ())]
        told = next((why for wire in able if (why := self._read_only(wire))), "")
        return told or f"{setting} cannot be changed on bus {battery[0]}"

    def wire(self, battery: Key, setting: str) -> Key:
        """The wire for a setting: one that works before one that does not, and of these the first that was known.

        Where none can change it, the wire that gave the battery its name.
        """
        now = self.store.clock()
        able = [wire for wire in self._wires(battery) if setting in self._changeable(wire)]
        heard = [wire for wire in able if (told := self.store.wire(wire)) and told.online(now)]
        return next((wire for wire in heard if self.works(wire[0])), next(iter((*heard, *able)), battery))

    def astray(self, battery: Key, wire: Key) -> str:
        """Why a wire should not be taken to this battery now, in words; empty when it leads there."""
        identity = self.store.identity
        if identity.battery(wire) != identity.battery(battery):
            return f"{label(wire)} does not lead to {label(battery)} any more"
        doubt = identity.doubt(wire)
        return f"whether {label(wire)} leads to {label(battery)} is not sure: {doubt}" if doubt else ""

    def _changeable(self, wire: Key) -> frozenset[str]:
        """What can be changed over a wire: what its strategy can, unless the battery at its end is of another kind."""
        return frozenset() if self._read_only(wire) else self.writable.get(wire[0], frozenset())

    def _read_only(self, wire: Key) -> str:
        told = self.store.wire(wire)
        return told.read_only if told else ""

    def _wires(self, battery: Key) -> tuple[Key, ...]:
        return self.store.identity.wires(self.store.identity.battery(battery))
