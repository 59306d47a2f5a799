"""Batteries for the tests of bank and charge control."""

from typing import Any

from jkbms_addon.bank.bank import BankState, BatteryBank
from jkbms_addon.bank.candidate import Candidate
from jkbms_addon.battery.quantities import Value, typed
from jkbms_addon.charging.decide import Controller
from jkbms_addon.charging.decision import Decision
from jkbms_addon.charging.memory import Memory
from jkbms_addon.charging.setpoints import Setpoints

SETTINGS: dict[str, Value] = {
    "cell_voltage_overvoltage_protection": 3.65,
    "cell_voltage_undervoltage_protection": 2.8,
    "cell_request_charge_voltage": 3.45,
    "cell_request_float_voltage": 3.35,
    "max_charge_current": 100.0,
    "max_discharge_current": 100.0,
    "charge_overtemperature_protection": 60.0,
    "charge_undertemperature_protection": 0.0,
    "discharge_overtemperature_protection": 65.0,
    "mosfet_overtemperature_protection": 90.0,
    "cell_count": 16,
}
WALL = 1_750_000_000.0  # s since 1970 when the tests begin


def values(cell: float = 3.30, **changes: Any) -> dict[str, Value]:
    """A healthy pack of 16 LFP cells and 100 Ah."""
    cells = changes.pop("cells", None) or (cell,) * 16
    assert isinstance(cells, tuple)
    told: dict[str, Value] = {
        **SETTINGS,
        "cell_voltage": cells,
        "total_voltage": sum(c for c in cells if isinstance(c, float)),
        "current": 10.0,
        "state_of_charge": 50,
        "state_of_health": 100,
        "capacity_remaining": 50.0,
        "full_charge_capacity": 100.0,
        "mosfet_temperature": 30.0,
        "temperature_sensor_1": 25.0,
        "temperature_sensor_2": 25.0,
        "charging": True,
        "discharging": True,
        "alarms": (),
    }
    return told | changes


def with_cell(n: int, voltage: float, cell: float = 3.30, **changes: Any) -> dict[str, Value]:
    """A healthy pack in which one cell differs."""
    cells = tuple(voltage if i == n else cell for i in range(1, 17))
    return values(cells=cells, **changes)


def candidate(address: int = 1, told: dict[str, Value] | None = None, **changes: Any) -> Candidate:
    try:
        pack = typed(values() if told is None else told)
    except ValueError as error:
        changes.setdefault("problem", str(error))
        pack = None
    bus, name = changes.pop("bus", "garage"), changes.pop("name", f"Pack {address}")
    return Candidate(bus, address, name, pack, **changes)


class Bench:
    """Bank and controller on one clock."""

    def __init__(self, setpoints: Setpoints | None = None, expected: int = 0, memory: Memory | None = None) -> None:
        self.bank = BatteryBank(expected)
        self.controller = Controller(setpoints or Setpoints(), memory)
        self.now = 1000.0
        self.state = BankState()
        self.decision: Decision | None = None

    @property
    def wall(self) -> float:
        return WALL + self.now

    def step(self, *candidates: Candidate, seconds: float = 1.0, enabled: bool = True) -> Decision | None:
        self.now += seconds
        self.state = self.bank.step(candidates, self.now)
        self.decision = self.controller.step(self.state, self.now, self.wall, enabled=enabled)
        return self.decision

    def run(self, *candidates: Candidate, seconds: int = 60, enabled: bool = True) -> Decision:
        for _ in range(seconds):
            self.step(*candidates, enabled=enabled)
        return got(self.decision)

    def bears(self) -> dict[str, tuple[float, float]]:
        """What each pack that counts contributes at most, by its label."""
        borne = self.controller.bears(self.state)
        return {view.label: borne[view.key] for view in self.state.counted}


def running(setpoints: Setpoints | None = None, packs: int = 1) -> Bench:
    """A bench whose limits have risen."""
    bench = Bench(setpoints)
    bench.run(*(candidate(n) for n in range(1, packs + 1)), seconds=80)
    return bench


def got(decision: Decision | None) -> Decision:
    assert decision is not None
    return decision
