"""One BMS on its CAN broadcast: what was heard of it, how fresh that is, and whether it may be believed.

Source: specification of the JK CAN protocol, chapters 2, 4, 5, 8, 9 and 10. Pure; times are seconds of any
one clock that does not go back.

The total voltage is the sum of the cells (1 mV) while a whole set of them is fresh and agrees with BATT_ST1
(0.1 V) within 1 % or 0.5 V; otherwise that of BATT_ST1, which is the fast one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from jkbms_addon.battery.quantities import Value
from jkbms_addon.battery.reading import Reading, derive
from jkbms_addon.errors import FrameError
from jkbms_addon.wire.jkcan import frames as jkcan
from jkbms_addon.wire.jkcan.doubts import Alternation, Cells, Clocks, Drift, Lasting, Rate
from jkbms_addon.wire.jkcan.frames import V1_ALARMS, V2_ALARMS, V2_LEVELS, Version, signed, unwrapped
from jkbms_addon.wire.jkcan.kinds import (
    ALL_TEMP,
    ALM_INFO,
    BATT_ST1,
    BATT_ST2,
    BMS_INFO,
    BMSERR_INFO,
    CELL_TEMP,
    CELL_VOLT,
    CHG_INFO,
    Kind,
)

THROTTLE: Final = 0.2  # s in which one BATT_ST1 of ten is decoded
DEGRADED: Final = 0.5  # s without BATT_ST1 after which nothing new is told
SILENT: Final = 5.0  # s after which values are no longer shown, and an address must prove itself anew
HOLD: Final = 60.0  # s for which a finding is upheld after the last evidence
CLASSIFY: Final = 5.0  # s of 11-bit frames alone after which their pace tells the version

DUPLICATE: Final = "several BMSs send with this address: give each its own; nothing is shown"
DIALECT: Final = "unknown JK-like dialect: the same ids with other layouts; nothing is shown"
FILTERED: Final = "V2 without its 29-bit frames: let the adapter pass extended ids"
UNSIGNED: Final = "neither V1 nor V2 by what is heard: the sign of the current is unknown, so it is not shown"
UNGRADED: Final = "no fault frame (0x18F328F4) heard: alarms come from the alarm levels (0x7F4) alone"
FLOOR: Final = "the current is at its lowest raw value: it may be larger than 400 A"
INVERTED: Final = "the sign of the current looks inverted"


@dataclass(slots=True, eq=False)
class Slot:
    """The last good frame of one kind from one BMS; frames before ``due`` are only counted."""

    unit: "Unit"
    kind: Kind
    count: int = 0
    due: float = -inf
    at: float = -inf
    data: bytes | None = None
    values: dict[str, Value] = field(default_factory=dict)


Watch = Callable[[Slot, float], None]


class Unit:
    """The BMS at one address."""

    def __init__(self, address: int, now: float, version: Version | None) -> None:
        self.address, self.version = address, version
        self.since = self.heard = now
        self.due = -inf  # of the next reading
        self.slots: dict[str, Slot] = {}
        self.rejected = 0
        self._filtered = False
        self._notes: dict[str, tuple[float, str]] = {}
        self._withheld: dict[str, float] = {}
        self._alive_since, self._status_at = now, -inf
        self._window, self._marks = now, (0, 0)
        self._rate, self._clocks, self._drift = Rate(now), Clocks(), Drift()
        self._pairs, self._ratio, self._sum = Alternation(), Lasting(), Lasting()
        self._cells = Cells()
        self._voltages: tuple[float | None, ...] = ()
        self._voltages_at = -inf
        self._watch: dict[str, Watch] = {
            BATT_ST1.name: self._status,
            BATT_ST2.name: self._capacity,
            BMS_INFO.name: self._runtime,
            CHG_INFO.name: self._request,
        }

    def slot(self, kind: Kind) -> Slot:
        """A new place for a kind of frame that was not heard before."""
        self.slots[kind.name] = slot = Slot(self, kind)
        return slot

    def extended(self) -> None:
        """A frame was heard that only V2 sends."""
        self._filtered = False
        self.version = 2

    def take(self, slot: Slot, data: bytes | bytearray, now: float) -> None:
        """A frame that is not throttled; an impossible one is counted and named, its values are dropped."""
        self.heard, kind = now, slot.kind
        if data == slot.data and not kind.first:
            slot.at = now
        else:
            try:
                slot.values = jkcan.decoded(kind, data)
            except FrameError as error:
                self._reject(kind, str(error), data, now)
                return
            slot.data, slot.at = bytes(data), now
        if kind.first:
            self._cell_frame(slot, now)
        elif kind.name in self._watch:
            self._watch[kind.name](slot, now)

    # --- evidence ------------------------------------------------------------------------------------
    def withhold(self, reason: str, now: float) -> None:
        """Show nothing of this address for a while."""
        self._withheld[reason] = now + HOLD

    def _note(self, topic: str, text: str, now: float) -> None:
        self._notes[topic] = (now + HOLD, text)

    def _reject(self, kind: Kind, why: str, data: bytes | bytearray, now: float) -> None:
        self.rejected += 1
        self._note(kind.name, f"impossible {kind.name}: {why}", now)
        if kind is ALL_TEMP and data and data[0] > 0x1F:
            self.withhold(DIALECT, now)  # there this byte is not a mask but a temperature

    def _status(self, slot: Slot, now: float) -> None:
        slot.due = now + THROTTLE
        if now - self._status_at > DEGRADED:
            self._back(now)
        self._status_at = now
        if self._rate.seen(slot.count, now):
            self.withhold(DUPLICATE, now)
        if slot.values["_current"] == -400:
            self._note("floor", FLOOR, now)
        if self.version is None:
            self._classify(slot.count, now)
            return
        current, charge = signed(slot.values["_current"], self.version), slot.values["state_of_charge"]  # type: ignore[arg-type]
        if self._drift.seen(current, charge, now):  # type: ignore[arg-type]
            self._note("sign", INVERTED, now)

    def _back(self, now: float) -> None:
        """BATT_ST1 is heard again; only alarms that stood before the gap still stand."""
        levels = self.slots.get(ALM_INFO.name)
        if levels and not self._raised_levels(self._status_at):
            levels.values, levels.data = {}, None
        self._alive_since = now

    def _classify(self, frames: int, now: float) -> None:
        """Version by the pace of CELL_TEMP where no 29-bit frame is heard: V1 100 ms, V2 500 ms."""
        seconds = now - self._window
        if seconds < CLASSIFY:
            return
        temperatures = self.slots[CELL_TEMP.name].count if CELL_TEMP.name in self.slots else 0
        heard, status = temperatures - self._marks[0], frames - self._marks[1]
        self._window, self._marks = now, (temperatures, frames)
        spacing = seconds / heard if heard else inf
        if 0.07 <= spacing <= 0.16 and not self.address:  # V1.0x knows no addresses
            self.version = 1
        # a lossy V1 may look like this too, but then it loses BATT_ST1 as well
        elif 0.35 <= spacing <= 0.7 and status / seconds >= 25:
            self.version, self._filtered = 2, True

    def _capacity(self, slot: Slot, now: float) -> None:
        remaining, full = slot.values["capacity_remaining"], slot.values["full_charge_capacity"]
        if self._pairs.seen((full, slot.values["charging_cycles"]), now):
            self.withhold(DUPLICATE, now)
        charge = self._young("state_of_charge", now)
        off = remaining > 1.05 * full or (  # type: ignore[operator]
            charge is not None and abs(100 * remaining - charge * full) > 3 * full  # type: ignore[operator]
        )
        if self._ratio.holds(off, now):
            self.withhold(DIALECT, now)

    def _runtime(self, slot: Slot, now: float) -> None:
        if self._clocks.seen(slot.values["total_runtime"], now):  # type: ignore[arg-type]
            self.withhold(DUPLICATE, now)

    def _request(self, slot: Slot, now: float) -> None:
        # only a whole set that agrees with the battery says how many there are, not the half of a first burst
        voltage, count = slot.values["requested_charge_voltage"], len(self._voltages)
        if voltage is not None and count and not 2.0 * count <= voltage <= 4.5 * count:  # type: ignore[operator]
            slot.at, slot.data = -inf, None
            self._reject(CHG_INFO, f"{voltage} V requested for {count} cells", b"", now)

    def _cell_frame(self, slot: Slot, now: float) -> None:
        cells = self._cells.heard(slot.kind.first, slot.values["cell_voltage"], now)  # type: ignore[arg-type]
        if cells is None:
            return
        broken = [str(n) for n, cell in enumerate(cells, 1) if cell is None]
        if broken:
            self._note("wires", f"broken sense wire: cell {', '.join(broken)} reads 0 V", now)
        else:
            self._notes.pop("wires", None)
        total = self._sum_of(cells)
        voltage = self._young("total_voltage", now)
        differs = total is not None and voltage is not None and not agree(total, voltage)
        if self._sum.holds(differs, now):
            self._note("sum", f"the cells sum to {total} V but the battery has {voltage} V: cells are not shown", now)
        if not differs and voltage is not None:
            self._voltages, self._voltages_at = cells, now

    def _young(self, key: str, now: float) -> float | None:
        """A quantity of BATT_ST1 as long as that is not degraded."""
        young = now - self._status_at <= DEGRADED
        return self.slots[BATT_ST1.name].values[key] if young else None  # type: ignore[return-value]

    @staticmethod
    def _sum_of(cells: tuple[float | None, ...]) -> float | None:
        present = [cell for cell in cells if cell is not None]
        return round(sum(present), 3) if present and len(present) == len(cells) else None

    # --- what is told --------------------------------------------------------------------------------
    def problems(self, now: float) -> list[str]:
        """What the owner should know, worst first."""
        found = [reason for reason, until in self._withheld.items() if now < until]
        settled = now - self.since >= CLASSIFY
        missing = [kind.name for kind in (BATT_ST1, CELL_VOLT) if not self._vital(kind, now)]
        if settled and missing:
            found.append(f"{' and '.join(missing)} not heard: nothing is shown")
        if self._filtered:
            found.append(FILTERED)
        elif settled and self.version == 2 and BMSERR_INFO.name not in self.slots:
            found.append(UNGRADED)
        elif self.version is None and now - self.since >= 2 * CLASSIFY:
            found.append(UNSIGNED)
        return found + [text for until, text in self._notes.values() if now < until]

    def reading(self, now: float) -> Reading | None:
        """All that is fresh; None while nothing may be told.

        A quantity that was heard once and is no longer fresh is None; of cells no longer fresh there is no
        list. ``valid_for`` counts from now to the moment at which the BMS is stale.
        """
        if now - self._status_at > DEGRADED or not self._vital(CELL_VOLT, now):
            return None
        if any(now < until for until in self._withheld.values()):
            return None
        values = self._collected(now)
        raised, names = self._alarms(now)
        values["alarms"] = raised
        self._add_cells(values, now)
        derive(values)
        raw = b"".join(slot.data or b"" for slot in self.slots.values())
        ends = self._stale_at() - now
        return Reading(self.address, "live", values, names, valid_for=ends, format="can", raw=raw)

    def _collected(self, now: float) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for slot in self.slots.values():
            if slot.kind.first or slot.kind is ALM_INFO or not slot.values:
                continue
            fresh = now - slot.at <= slot.kind.fresh
            values.update((key, value if fresh else None) for key, value in slot.values.items() if key[0] != "_")
            if slot.kind is BATT_ST1:
                values["current"] = signed(slot.values["_current"], self.version)  # type: ignore[arg-type]
            elif slot.kind is BATT_ST2:
                wrapped, cycles, full = (slot.values[key] for key in _CYCLES)
                values["total_charging_cycle_capacity"] = unwrapped(wrapped, cycles, full) if fresh else None  # type: ignore[arg-type]
        return values

    def _alarms(self, now: float) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
        """Raised alarms, None while unknown, and all names that this BMS can raise."""
        levels = self._raised_levels(now)
        if self.version is None:
            return None, ()
        if self.version == 1:
            return levels, V1_ALARMS
        faults = self.slots.get(BMSERR_INFO.name)
        if faults is None or not faults.values:
            return levels if now - self.since >= CLASSIFY else None, V2_LEVELS
        if now - faults.at > faults.kind.fresh:
            return None, V2_ALARMS
        return faults.values["alarms"] + levels, V2_ALARMS  # type: ignore[operator, return-value]

    def _raised_levels(self, now: float) -> tuple[str, ...]:
        """The alarm frame just stops when the last alarm goes; a second of the others without it clears it."""
        slot = self.slots.get(ALM_INFO.name)
        if slot is None or now - max(slot.at, self._alive_since) > ALM_INFO.fresh:
            return ()
        return slot.values.get("alarms") or ()  # type: ignore[return-value]

    def _add_cells(self, values: dict[str, Value], now: float) -> None:
        """The list of cells and what it says better; without it CELL_VOLT's extremes stay."""
        if not self._voltages:
            self._add_spread(values)
            return
        if now - self._voltages_at > SILENT:
            values["average_cell_voltage"] = None
            self._add_spread(values)
            return
        values["cell_voltage"] = self._voltages
        total, voltage = self._sum_of(self._voltages), values["total_voltage"]
        if total is not None and agree(total, voltage):  # type: ignore[arg-type]
            values["total_voltage"] = total

    @staticmethod
    def _add_spread(values: dict[str, Value]) -> None:
        low, high = values.get("min_cell_voltage"), values.get("max_cell_voltage")
        if isinstance(low, float) and isinstance(high, float):
            values["delta_cell_voltage"] = round(high - low, 3)

    def _extremes_at(self) -> float:
        extremes = self.slots.get(CELL_VOLT.name)
        return max(extremes.at if extremes else -inf, self._voltages_at)

    def _vital(self, kind: Kind, now: float) -> bool:
        """Whether it is fresh; without it the BMS counts as stale. The cells stand in for their extremes."""
        return now - (self._status_at if kind is BATT_ST1 else self._extremes_at()) <= SILENT

    def _stale_at(self) -> float:
        return min(self._status_at, self._extremes_at()) + SILENT


_CYCLES: Final = ("_cycle_capacity", "charging_cycles", "full_charge_capacity")


def agree(total: float, voltage: float) -> bool:
    """Whether the sum of the cells and the voltage of the battery, in V, are the same within 1 % or 0.5 V."""
    return abs(total - voltage) <= max(0.5, 0.01 * voltage)
