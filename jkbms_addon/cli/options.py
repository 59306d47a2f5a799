"""``options``: checks an options file, or lines copied from Home Assistant's form, and says in words what would run."""

import argparse
import json
from pathlib import Path

from jkbms_addon.options import plain_yaml
from jkbms_addon.options.file import DEFAULT_FILE, read
from jkbms_addon.options.words import told, troubles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument(
        "file", type=Path, nargs="?", default=DEFAULT_FILE, metavar="FILE", help="JSON or YAML; default: %(default)s"
    )


def run(args: argparse.Namespace) -> int:
    """Print what would run; 0, or 1 where something of it would not. ``OptionsError`` when the file cannot be used."""
    options = read(args.file, _decoded)
    for line in told(options):
        print(line)
    return 1 if troubles(options) else 0


def _decoded(text: str) -> object:
    """JSON, or YAML as it stands in the form."""
    return json.loads(text) if text.lstrip().startswith(("{", "[")) or not text.strip() else plain_yaml.read(text)
