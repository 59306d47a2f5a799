"""``frames``: what an inverter would be told for a state, in the notation of candump."""

import argparse
import sys
from pathlib import Path

from jkbms_addon.errors import OptionsError
from jkbms_addon.inverter.dialects import DIALECTS, LENGTHS, Frame
from jkbms_addon.inverter.dialects.pylontech_rs485 import OWN, QUERIES, Query, answer
from jkbms_addon.inverter.state import ALARMS, PROTECTIONS, read_state

HELP = "print the CAN frames that tell an inverter a given state"
DESCRIPTION = f"""\
Prints in candump notation the CAN frames that tell an inverter a given state. Nothing is sent.
On RS485 the inverter asks: what would be answered to each of its queries.

STATE.json is one object. V, A, % and °C; current is positive while charging:
  charge_voltage, charge_current, discharge_current, discharge_voltage,
  state_of_charge, state_of_health, voltage, current, temperature,
  charge_enabled, discharge_enabled, force_charge_1, force_charge_2, full_charge_request,
  protections: [..], alarms: [..], modules: N, module_addresses: [..], manufacturer
state_of_health and temperature may be null; flags, lists, modules and manufacturer may be left out.

These may be left out or null, and are ignored where a protocol has no frame for them:
  min_cell_voltage, max_cell_voltage (V), min_temperature, max_temperature (°C),
  min_cell_voltage_at, max_cell_voltage_at, min_temperature_at, max_temperature_at (texts),
  charging_cycles, full_charge_capacity, capacity_remaining (Ah),
  charged_energy, discharged_energy (kWh), modules_blocking_charge, modules_blocking_discharge,
  modules_offline, faulty_module, cell_count, model, serial_number, product (a number),
  hardware_version, software_version (such as "1.17"), date ("2026-11-26 01:16:33"),
  state_of_charge_precise (null: known in whole percent only)

protections: {", ".join(PROTECTIONS)}
alarms:      {", ".join(ALARMS)}

protocols:
{chr(10).join(f"  {name:12} {dialect.title}" for name, dialect in DIALECTS.items())}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.description, parser.formatter_class = DESCRIPTION, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--protocol", required=True, choices=list(DIALECTS), metavar="P", help=", ".join(DIALECTS))
    parser.add_argument("--dlc", choices=LENGTHS, default="padded", help="8 bytes, or the dialect's own lengths")
    parser.add_argument("--channel", default="can0", help="name of the interface to print (default: can0)")
    parser.add_argument("state", metavar="STATE.json", help="the state; - for standard input")


def run(args: argparse.Namespace) -> int:
    """Print the frames; status 1 and one line on stderr when the state cannot be used."""
    try:
        text = sys.stdin.read() if args.state == "-" else Path(args.state).read_text(encoding="utf-8")
        state = read_state(text)
    except OptionsError as error:
        return _refused(args.state, str(error))
    except OSError as error:
        return _refused(args.state, error.strerror or str(error))
    except UnicodeDecodeError:
        return _refused(args.state, "is not UTF-8 text")
    dialect = DIALECTS[args.protocol]
    for unsaid in sorted({*state.protections} - {*dialect.protections} | {*state.alarms} - {*dialect.alarms}):
        print(f"{args.state}: {args.protocol} has no bit for {unsaid}", file=sys.stderr)
    for name in dialect.changed_by_adapting(state):
        print(f"{args.state}: {args.protocol}: {name} is told more mildly while a battery can serve", file=sys.stderr)
    for frame in dialect.frames(state, args.dlc):
        print(line(args.channel, frame))
    if dialect.port == "serial":
        for command in QUERIES:
            print(f"  {command:02X}  {answer(Query(OWN[0], command), state).decode('ascii').rstrip()}")
    return 0


def _refused(name: str, why: str) -> int:
    print(f"{name}: {why}", file=sys.stderr)
    return 1


def line(channel: str, frame: Frame) -> str:
    """A frame as candump prints it."""
    can_id, data = frame
    return f"  {channel}  {can_id:03X}   [{len(data)}]  {data.hex(' ').upper()}"
