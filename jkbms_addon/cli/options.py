"""``options``: checks an options file, and says in words what would run."""

import argparse
from pathlib import Path

from jkbms_addon.options.file import DEFAULT_FILE, read
from jkbms_addon.options.words import told, troubles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("file", type=Path, nargs="?", default=DEFAULT_FILE, metavar="FILE", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Print what would run; 0, or 1 where something of it would not. ``OptionsError`` when the file cannot be used."""
    options = read(args.file)
    for line in told(options):
        print(line)
    return 1 if troubles(options) else 0
