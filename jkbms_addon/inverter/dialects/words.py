"""What a frame says, for who wants to read it: the values of a frame with units, from the dialect's own layouts. Pure.

The keys are those of the vocabulary; what a dialect derives for a row of its own goes by the name in ``OWN``. The words
for them are the page's, in the reader's language.
"""

from dataclasses import dataclass
from typing import Final

from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.dialects.dialect import Dialect
from jkbms_addon.inverter.dialects.message import Said
from jkbms_addon.inverter.dialects.pylontech_rs485_words import KEYS
from jkbms_addon.inverter.dialects.pylontech_rs485_words import read as read_rs485

VOLTS, CELL, AMPERES, PERCENT, DEGREES = ("V", 1), ("V", 3), ("A", 1), ("%", 0), ("°C", 1)
HOURS, ENERGY, PLAIN = ("Ah", 1), ("kWh", 1), ("", 0)
# unit, and digits behind the point; what is not here is a text, a count, or yes and no
UNITS: Final[dict[str, tuple[str, int]]] = {
    **dict.fromkeys(("charge_voltage", "discharge_voltage"), VOLTS),
    "voltage": ("V", 2),
    **dict.fromkeys(("charge_current", "discharge_current", "current"), AMPERES),
    **dict.fromkeys(("state_of_charge", "state_of_health"), PERCENT),
    "state_of_charge_precise": ("%", 2),
    **dict.fromkeys(("temperature", "min_temperature", "max_temperature"), DEGREES),
    **dict.fromkeys(("min_cell_voltage", "max_cell_voltage", "cell_spread"), CELL),
    **dict.fromkeys(("cell_charge_voltage", "cell_discharge_voltage"), CELL),
    **dict.fromkeys(("full_charge_capacity", "capacity_remaining"), HOURS),
    **dict.fromkeys(("charged_energy", "discharged_energy"), ENERGY),
}
# what is derived for the rows of one dialect -> how it is called here
OWN: Final = {
    "_charge": "force_charge_1",
    "_model": "model",
    "_version": "software_version",
    "_type": "kind",
    "_maker": "maker",
    "_warmest": "max_temperature",
    "_coldest": "min_temperature",
    "_total": "modules_total",
    "_status": "status",
    "_delta": "cell_spread",
    "_hardware": "hardware_version",
    "_software": "software_version",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that a frame says, with its unit and the digits that are worth showing."""

    key: str
    value: Said
    unit: str = ""
    digits: int = 0


def statements(dialect: Dialect, can_id: int, data: bytes) -> list[Statement]:
    """What a frame says; of a dialect on RS485 the whole answer to the query ``can_id``."""
    found = read_rs485(can_id, data) if dialect.port == "serial" else dialect.read(can_id, data)
    return [_statement(key, value) for key, value in found]


def _statement(key: str, value: Said) -> Statement:
    name = OWN.get(key, key)
    return Statement(name, value, *UNITS.get(name, PLAIN))


def vocabulary() -> frozenset[str]:
    """Every key that any frame of any dialect can have."""
    rows = (row.key for one in DIALECTS.values() for message in one.all_messages for row in message.rows)
    return frozenset(OWN.get(key, key) for key in (*rows, *KEYS))
