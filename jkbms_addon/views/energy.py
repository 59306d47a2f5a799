"""Energy and time of a battery or of the bank, as they are published. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from jkbms_addon.battery.energy import DIRECTIONS, Energy
from jkbms_addon.battery.quantities import Scalar, Spec

ENTITIES: Final[Mapping[str, Spec]] = {
    # what the battery dialog of the Energy dashboard asks for
    "energy_charged": Spec(
        "Energy charged", unit="kWh", device_class="energy", state_class="total_increasing", digits=2
    ),
    "energy_discharged": Spec(
        "Energy discharged", unit="kWh", device_class="energy", state_class="total_increasing", digits=2
    ),
    "stored_energy": Spec(
        "Stored energy", unit="kWh", device_class="energy_storage", state_class="measurement", digits=2
    ),
    "time_to_full": Spec("Time to full", unit="h", device_class="duration", state_class="measurement", digits=1),
    "time_to_empty": Spec("Time to empty", unit="h", device_class="duration", state_class="measurement", digits=1),
    "charge_direction": Spec("Direction", kind="choice", device_class="enum", options=DIRECTIONS),
    "last_full_charge": Spec("Last full charge", device_class="timestamp", diagnostic=True),
    "round_trip_efficiency": Spec(
        "Efficiency", unit="%", state_class="measurement", digits=1, diagnostic=True, icon="mdi:swap-vertical"
    ),
    "equivalent_full_cycles": Spec(
        "Full cycles counted", state_class="measurement", digits=1, diagnostic=True, icon="mdi:battery-sync"
    ),
}
HOUR: Final = 3600.0  # s


def values(energy: Energy | None) -> dict[str, Scalar]:
    """Values by key; kWh, h, %. Everything is None where nothing was counted."""
    if energy is None:
        return dict.fromkeys(ENTITIES)
    return {
        "energy_charged": round(energy.charged, 3),
        "energy_discharged": round(energy.discharged, 3),
        "stored_energy": _rounded(energy.stored, 2),
        "time_to_full": _rounded(energy.to_full, 1, HOUR),
        "time_to_empty": _rounded(energy.to_empty, 1, HOUR),
        "charge_direction": energy.direction,
        "last_full_charge": None if energy.last_full is None else when(energy.last_full),
        "round_trip_efficiency": _rounded(energy.efficiency, 1),
        "equivalent_full_cycles": _rounded(energy.cycles, 1),
    }


def _rounded(value: float | None, digits: int, unit: float = 1.0) -> float | None:
    return None if value is None else round(value / unit, digits)


def when(seconds: float) -> str:
    """Wall clock time, s since 1970, as Home Assistant reads it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
