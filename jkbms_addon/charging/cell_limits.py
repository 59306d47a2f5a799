"""Between which voltages and temperatures a pack is worked: its own settings, the owner, its chemistry. Pure.

Of several sources the more worried one counts, and it is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from jkbms_addon.bank.candidate import Key, View
from jkbms_addon.battery.chemistry import LTO, Name
from jkbms_addon.charging.chemistry import Chemistry, chemistry_of
from jkbms_addon.charging.setpoints import WHOLE, Setpoints

BELOW_PROTECTION: Final = 0.10  # V per cell that charging keeps away from the over-voltage protection
STOP: Final = 0.06  # V below it at which one cell ends charging
FLOAT_BELOW: Final = 0.05  # V per cell that float lies below the charge voltage
ABOVE_PROTECTION: Final = 0.10  # V above the under-voltage protection at which a cell is empty
TAPER: Final = 0.10  # V above empty from which on discharging is slowed
MOSFET: Final = 90.0  # °C
COLD: Final = (-50.0, 30.0)  # °C that a setting against cold can mean
HOT: Final = (30.0, 100.0)
DIGITS: Final = 4  # that a sum of voltages keeps, so that 2.80 + 0.10 is 2.90


@dataclass(frozen=True, slots=True)
class CellLimits:
    """V per cell and °C, and what the charge voltage and the least voltage rest on.

    ``stop`` is where one cell ends charging, ``empty`` where one cell makes the pack empty, ``least`` the mean of all
    cells that does the same (None where the owner does not want that), ``tapering`` where slowing begins.
    """

    chemistry: Chemistry
    cells: int
    charge: float
    why: str
    floating: float
    balance: float
    stop: float
    empty: float
    least: float | None
    least_why: str
    tapering: float
    cold: float
    hot: float
    discharge_cold: float
    discharge_hot: float
    mosfet: float


@dataclass(frozen=True, slots=True)
class Narrowest:
    """The narrowest of every pack so far, as one that left may be connected; V per cell of ``cells`` in series."""

    chemistry: Name
    cells: int
    charge: float
    why: str
    floating: float
    balance: float
    rebulk: float
    tapering: float
    rested: float
    empty: float


class Settings(NamedTuple):
    """The settings of a pack that matter here, as they are told."""

    overvoltage: float | None
    undervoltage: float | None
    total_overvoltage: float | None
    total_undervoltage: float | None
    battery_type: str | None
    request_charge: float | None
    request_float: float | None
    charge_cold: float | None
    charge_hot: float | None
    discharge_cold: float | None
    discharge_hot: float | None
    probe: float | None
    mosfet: float | None
    cells: int
    label: str


class CellLimitsOf:
    """Limits of every pack under one set of set points; worked out anew only when a setting changes."""

    def __init__(self, setpoints: Setpoints) -> None:
        self._setpoints = setpoints
        self._known: dict[Key, tuple[Settings, CellLimits]] = {}
        self._narrowest: Narrowest | None = None

    def __call__(self, view: View) -> CellLimits:
        """Limits of one pack."""
        settings = settings_of(view)
        known = self._known.get(view.key)
        if known and known[0] == settings:
            return known[1]
        found = cell_limits(settings, self._setpoints)
        self._known[view.key] = settings, found
        self._narrowest = None
        return found

    @property
    def narrowest(self) -> Narrowest:
        """Of every pack so far, of which there must be one."""
        if self._narrowest is None:
            self._narrowest = narrowest([limits for _, limits in self._known.values()])
        return self._narrowest

    def under(self, setpoints: Setpoints) -> "CellLimitsOf":
        """The same packs under other set points."""
        found = CellLimitsOf(setpoints)
        found._known = {key: (one, cell_limits(one, setpoints)) for key, (one, _) in self._known.items()}
        return found


def narrowest(limits: Sequence[CellLimits]) -> Narrowest:
    """The narrowest of several packs in parallel."""
    decides = min(limits, key=lambda one: one.cells * one.charge)
    cells = min(one.cells for one in limits)
    return Narrowest(
        chemistry=decides.chemistry.name,
        cells=cells,
        charge=decides.cells * decides.charge / cells,
        why=decides.why,
        floating=min(one.cells * one.floating for one in limits) / cells,
        balance=min(one.cells * one.balance for one in limits) / cells,
        rebulk=min(one.chemistry.rebulk for one in limits),
        tapering=min(one.chemistry.tapering for one in limits),
        rested=max(one.chemistry.rested for one in limits),
        empty=max(one.empty for one in limits),
    )


def settings_of(view: View) -> Settings:
    """What a pack tells of its settings."""
    pack = view.pack
    return Settings(
        pack.cell_voltage_overvoltage_protection,
        pack.cell_voltage_undervoltage_protection,
        pack.total_voltage_overvoltage_protection,
        pack.total_voltage_undervoltage_protection,
        pack.battery_type,
        pack.cell_request_charge_voltage,
        pack.cell_request_float_voltage,
        pack.charge_undertemperature_protection,
        pack.charge_overtemperature_protection,
        pack.discharging_low_temperature_protection,
        pack.discharge_overtemperature_protection,
        pack.temperature_sensor_temperature_protection,
        pack.mosfet_overtemperature_protection,
        view.cells,
        view.label,
    )


def _cell(cell: float | None, total: float | None, cells: int, low: float, high: float) -> list[float]:
    """What makes sense of a protection told for a cell, and of one told for the whole battery; V per cell."""
    both = (cell, None if total is None else total / cells)
    return [value for value in both if value is not None and low <= value <= high]


def _between(value: float | None, low: float, high: float) -> float | None:
    return value if value is not None and low <= value <= high else None


def cell_limits(settings: Settings, owner: Setpoints) -> CellLimits:
    """Limits of a pack with these settings."""
    cells = settings.cells
    overvoltage = min(_cell(settings.overvoltage, settings.total_overvoltage, cells, 1.5, 4.6), default=None)
    undervoltage = max(_cell(settings.undervoltage, settings.total_undervoltage, cells, 1.0, 4.0), default=None)
    top = overvoltage
    if overvoltage is None and undervoltage is None:
        top = _lto_top(owner.charge_voltage, settings.request_charge)
    chemistry = chemistry_of(owner.chemistry, top, undervoltage, settings.battery_type)
    most = chemistry.most_charge if overvoltage is None else round(overvoltage - BELOW_PROTECTION, DIGITS)
    charge, why = _charge(settings, owner, chemistry, most)
    wish = owner.float_voltage or _between(settings.request_float, 1.5, 4.5) or chemistry.floating
    balance = charge if owner.balance_voltage is None else max(charge, min(owner.balance_voltage, most))
    empty, least, least_why = _empty(settings, owner, chemistry, undervoltage)
    return CellLimits(
        chemistry=chemistry,
        cells=cells,
        charge=charge,
        why=why,
        floating=round(min(wish, charge - FLOAT_BELOW), DIGITS),
        balance=balance,
        stop=chemistry.stop if overvoltage is None else round(overvoltage - STOP, DIGITS),
        empty=empty,
        least=least,
        least_why=least_why,
        tapering=round(max(chemistry.tapering, empty + TAPER), DIGITS),
        cold=_most(chemistry.cold, _between(settings.charge_cold, *COLD)),
        hot=_least(chemistry.hot, _between(settings.charge_hot, *HOT), _between(settings.probe, *HOT)),
        discharge_cold=_most(chemistry.discharge_cold, _between(settings.discharge_cold, *COLD)),
        discharge_hot=_least(
            chemistry.discharge_hot, _between(settings.discharge_hot, *HOT), _between(settings.probe, *HOT)
        ),
        mosfet=_least(MOSFET, _between(settings.mosfet, 40, 120)),
    )


def _lto_top(*wishes: float | None) -> float | None:
    """A charge voltage that only LTO can be meant by: whoever wants so little must not be told that of LFP."""
    return next((wish for wish in wishes if wish is not None and LTO.tops[0] <= wish < LTO.tops[1]), None)


def _charge(settings: Settings, owner: Setpoints, chemistry: Chemistry, most: float) -> tuple[float, str]:
    """The charge voltage and what it rests on."""
    request = _between(settings.request_charge, 1.5, 4.5)
    if owner.charge_voltage is not None:
        wish, why = owner.charge_voltage, "charge voltage of the owner"
    elif request is not None:
        wish, why = request, f"requested voltage of pack {settings.label}"
    else:
        wish, why = chemistry.charge, f"usual for {chemistry.name}"
    if wish < chemistry.least_charge:
        wish, why = chemistry.least_charge, f"the least for {chemistry.name}"
    if wish > most:
        return most, f"over-voltage protection of pack {settings.label} less {BELOW_PROTECTION:.2f} V per cell"
    return wish, why


def _empty(
    settings: Settings, owner: Setpoints, chemistry: Chemistry, undervoltage: float | None
) -> tuple[float, float | None, str]:
    """Where one cell is empty, the mean of all that is as much, and what the higher of both rests on."""
    if undervoltage is None:
        empty, why = chemistry.empty, f"usual for {chemistry.name}"
    else:
        empty = round(undervoltage + ABOVE_PROTECTION, DIGITS)
        why = f"under-voltage protection of pack {settings.label} and {ABOVE_PROTECTION:.2f} V per cell"
    if owner.empty_voltage is not None and owner.empty_voltage > empty:
        empty, why = owner.empty_voltage, "empty voltage of the owner"
    given = owner.min_discharge_voltage
    if given is None:
        return empty, None, why
    least = given / settings.cells if given > WHOLE else None
    if (given if least is None else least) > empty:
        why = "option min_discharge_voltage"
    return (max(empty, given), None, why) if least is None else (empty, least, why)


def _least(first: float, *others: float | None) -> float:
    return min([first, *(other for other in others if other is not None)])


def _most(first: float, *others: float | None) -> float:
    return max([first, *(other for other in others if other is not None)])
