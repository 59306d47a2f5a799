"""Between which voltages and temperatures a pack is worked: its own settings, the owner, its chemistry. Pure.

Of several sources the more worried one counts, and it is named.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from jkbms_addon.bank.candidate import Key, View
from jkbms_addon.charging.chemistry import Chemistry, chemistry_of
from jkbms_addon.charging.setpoints import WHOLE, Setpoints

BELOW_PROTECTION: Final = 0.10  # V per cell that charging keeps away from the over-voltage protection
STOP: Final = 0.06  # V below it at which one cell ends charging
FLOAT_BELOW: Final = 0.05  # V per cell that float lies below the charge voltage
ABOVE_PROTECTION: Final = 0.10  # V above the under-voltage protection at which a cell is empty
TAPER: Final = 0.10  # V above empty from which on discharging is slowed
MOSFET: Final = 90.0  # °C
DIGITS: Final = 4  # that a sum of voltages keeps, so that 2.80 + 0.10 is 2.90


@dataclass(frozen=True, slots=True)
class CellLimits:
    """V per cell and °C, and what the charge voltage rests on.

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
    tapering: float
    cold: float
    hot: float
    discharge_cold: float
    discharge_hot: float
    mosfet: float


class _Settings(NamedTuple):
    """The settings of a pack that matter here, each None where it is unknown or makes no sense."""

    overvoltage: float | None
    undervoltage: float | None
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
        self._known: dict[Key, tuple[_Settings, CellLimits]] = {}

    def __call__(self, view: View) -> CellLimits:
        """Limits of one pack."""
        settings = _settings(view)
        known = self._known.get(view.key)
        if known and known[0] == settings:
            return known[1]
        found = cell_limits(settings, self._setpoints)
        self._known[view.key] = settings, found
        return found

    def ever(self) -> list[CellLimits]:
        """Those of every pack so far: one that left may still be connected."""
        return [limits for _, limits in self._known.values()]

    def under(self, setpoints: Setpoints) -> "CellLimitsOf":
        """The same packs under other set points."""
        found = CellLimitsOf(setpoints)
        found._known = {key: (one, cell_limits(one, setpoints)) for key, (one, _) in self._known.items()}
        return found


def _settings(view: View) -> _Settings:
    pack = view.pack
    return _Settings(
        _narrower(pack.cell_voltage_overvoltage_protection, _per_cell(pack.total_voltage_overvoltage_protection, view)),
        _wider(pack.cell_voltage_undervoltage_protection, _per_cell(pack.total_voltage_undervoltage_protection, view)),
        pack.battery_type,
        _between(pack.cell_request_charge_voltage, 1.5, 4.5),
        _between(pack.cell_request_float_voltage, 1.5, 4.5),
        _between(pack.charge_undertemperature_protection, -50, 30),
        _between(pack.charge_overtemperature_protection, 30, 100),
        _between(pack.discharging_low_temperature_protection, -50, 30),
        _between(pack.discharge_overtemperature_protection, 30, 100),
        _between(pack.temperature_sensor_temperature_protection, 30, 100),
        _between(pack.mosfet_overtemperature_protection, 40, 120),
        view.cells,
        view.label,
    )


def _narrower(cell: float | None, total: float | None) -> float | None:
    found = [value for value in (_between(cell, 1.5, 4.6), _between(total, 1.5, 4.6)) if value is not None]
    return min(found, default=None)


def _wider(cell: float | None, total: float | None) -> float | None:
    found = [value for value in (_between(cell, 1.0, 4.0), _between(total, 1.0, 4.0)) if value is not None]
    return max(found, default=None)


def _per_cell(total: float | None, view: View) -> float | None:
    return None if total is None else total / view.cells


def _between(value: float | None, low: float, high: float) -> float | None:
    return value if value is not None and low <= value <= high else None


def cell_limits(settings: _Settings, owner: Setpoints) -> CellLimits:
    """Limits of a pack with these settings."""
    overvoltage, undervoltage = settings.overvoltage, settings.undervoltage
    chemistry = chemistry_of(owner.chemistry, overvoltage, undervoltage, settings.battery_type)
    most = chemistry.most_charge if overvoltage is None else round(overvoltage - BELOW_PROTECTION, DIGITS)
    charge, why = _charge(settings, owner, chemistry, most)
    wish = owner.float_voltage or settings.request_float or chemistry.floating
    balance = charge if owner.balance_voltage is None else max(charge, min(owner.balance_voltage, most))
    empty = chemistry.empty if undervoltage is None else round(undervoltage + ABOVE_PROTECTION, DIGITS)
    least = owner.min_discharge_voltage
    whole = least is not None and least > WHOLE
    empty = max(empty, owner.empty_voltage or 0.0, least if least is not None and not whole else 0.0)
    return CellLimits(
        chemistry=chemistry,
        cells=settings.cells,
        charge=charge,
        why=why,
        floating=round(min(wish, charge - FLOAT_BELOW), DIGITS),
        balance=balance,
        stop=chemistry.stop if overvoltage is None else round(overvoltage - STOP, DIGITS),
        empty=empty,
        least=least / settings.cells if least is not None and whole else None,
        tapering=round(max(chemistry.tapering, empty + TAPER), DIGITS),
        cold=_most(chemistry.cold, settings.charge_cold),
        hot=_least(chemistry.hot, settings.charge_hot, settings.probe),
        discharge_cold=_most(chemistry.discharge_cold, settings.discharge_cold),
        discharge_hot=_least(chemistry.discharge_hot, settings.discharge_hot, settings.probe),
        mosfet=_least(MOSFET, settings.mosfet),
    )


def _charge(settings: _Settings, owner: Setpoints, chemistry: Chemistry, most: float) -> tuple[float, str]:
    """The charge voltage and what it rests on."""
    request = settings.request_charge
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


def _least(first: float, *others: float | None) -> float:
    return min([first, *(other for other in others if other is not None)])


def _most(first: float, *others: float | None) -> float:
    return max([first, *(other for other in others if other is not None)])
