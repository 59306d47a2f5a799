"""Batteries for the tests of the inverter path."""

from typing import Any

from jkbms_addon.bank.bank import BankState, BatteryBank
from jkbms_addon.bank.candidate import Member
from jkbms_addon.battery.quantities import Value
from jkbms_addon.charging.decide import Limiter
from jkbms_addon.charging.setpoints import Policy
from jkbms_addon.inverter.state import Targets

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


def member(address: int = 1, told: dict[str, Value] | None = None, **changes: Any) -> Member:
    return Member("garage", address, f"Pack {address}", values() if told is None else told, **changes)


class Bench:
    """Bank and limiter on one clock."""

    def __init__(self, policy: Policy | None = None, expected: int = 0) -> None:
        self.bank, self.limiter = BatteryBank(expected), Limiter(policy or Policy())
        self.now = 1000.0
        self.state = BankState()
        self.targets: Targets | None = None

    def step(self, *members: Member, seconds: float = 1.0, enabled: bool = True) -> Targets | None:
        self.now += seconds
        self.state = self.bank.step(members, self.now)
        self.targets = self.limiter.step(self.state, self.now, enabled=enabled)
        return self.targets

    def run(self, *members: Member, seconds: int = 60, enabled: bool = True) -> Targets:
        for _ in range(seconds):
            self.step(*members, enabled=enabled)
        assert self.targets is not None
        return self.targets


def running(policy: Policy | None = None, packs: int = 1) -> Bench:
    """A bench whose limits have risen."""
    bench = Bench(policy)
    bench.run(*(member(n) for n in range(1, packs + 1)), seconds=80)
    return bench


def got(targets: Targets | None) -> Targets:
    assert targets is not None
    return targets
