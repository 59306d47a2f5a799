"""``audit``: who changed what, and what became of it."""

import argparse
import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from jkbms_addon.commands.audit import BEGUN, read

UNFINISHED = "begun, outcome unknown"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--data", type=Path, default=Path("/data"), metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="the lines as they are on file")
    parser.add_argument("--last", type=int, default=0, metavar="N", help="only the last N attempts")


def run(args: argparse.Namespace) -> int:
    """Print the attempts, oldest first; 1 when there are none."""
    records = read(args.data)[-args.last :]
    for record in records:
        print(json.dumps(record, ensure_ascii=False) if args.json else line(record))
    return 0 if records else 1


def line(record: dict[str, object]) -> str:
    """One attempt for people."""
    at, when = record.get("time"), "?"
    if isinstance(at, (int, float)):
        with suppress(ValueError, OverflowError, OSError):  # a line that somebody changed
            when = datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds")
    reason = f" ({record['reason']})" if record.get("reason") else ""
    change = f"{_known(record.get('from'))} -> {record.get('to')}, now {_known(record.get('now'))}"
    what = f"{record.get('bms')}  {record.get('key')}: {change}"
    outcome = UNFINISHED if record.get("outcome") == BEGUN else record.get("outcome")
    return f"{when}  {what}: {outcome}{reason}  [{record.get('source')}]"


def _known(value: object) -> object:
    return "unknown" if value is None else value
