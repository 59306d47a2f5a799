"""What a whole set costs in each dialect, as a sender builds it: of a bank of which everything is known."""

from datetime import UTC, datetime

from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.dialects.pylontech_rs485 import OWN, QUERIES, Query, answer
from jkbms_addon.inverter.state import Targets
from tests.benchmarks.figures import Action, microseconds, show

GOAL = 60.0  # us
TARGETS = Targets(
    charge_voltage=55.2,
    charge_current=123.4,
    discharge_current=180.0,
    discharge_voltage=46.4,
    state_of_charge=57.34,
    state_of_health=98.2,
    voltage=52.34,
    current=-45.6,
    temperature=24.3,
    charge_enabled=True,
    discharge_enabled=True,
    alarms=("cell_imbalance", "internal_comm_fail"),
    modules=4,
    module_addresses=(1, 2, 3, 4),
    min_cell_voltage=3.318,
    max_cell_voltage=3.331,
    min_temperature=21.4,
    max_temperature=26.5,
    min_cell_voltage_at="2-11",
    max_cell_voltage_at="1-3",
    min_temperature_at="2-1",
    max_temperature_at="4-2",
    charging_cycles=210,
    full_charge_capacity=1120.0,
    capacity_remaining=642.2,
    charged_energy=2112.3,
    discharged_energy=1835.1,
    modules_blocking_charge=1,
    modules_offline=1,
    cell_count=16,
    serial_number="1234567890",
    date=datetime(2026, 11, 26, 1, 16, 33, tzinfo=UTC),
)


def one_set(name: str) -> Action:
    """What is built once a second; on RS485 the answers to all queries."""
    dialect = DIALECTS[name]
    if dialect.port == "serial":
        return lambda: [answer(Query(OWN[0], command), TARGETS) for command in QUERIES]
    return lambda: dialect.frames(TARGETS, adapted=True)


def measure(times: int) -> None:
    """Print the figures."""
    for name, dialect in DIALECTS.items():
        what = f"answers to all {len(QUERIES)} queries" if dialect.port == "serial" else "encode of one set"
        show(f"{what}, {name}", microseconds(one_set(name), times), "us", GOAL if dialect.port == "can" else None)
