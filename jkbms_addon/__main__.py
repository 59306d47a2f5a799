"""Command line: ``python -m jkbms_addon COMMAND``."""

import argparse
import sys
from importlib import import_module

from jkbms_addon import __version__
from jkbms_addon.errors import OptionsError

# command -> (module of it, what --help says); modules are imported only when they are asked for
COMMANDS = {
    "run": ("jkbms_addon.cli.run", "run the app with an options file"),
    "demo": ("jkbms_addon.demo", "simulated batteries, real acquisition and MQTT, no hardware"),
    "decode": ("jkbms_addon.cli.decode", "hex text to readings, one JSON line each"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m jkbms_addon", description="JK BMS for Home Assistant")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module, help_text) in COMMANDS.items():
        sub = commands.add_parser(name, help=help_text, description=help_text)
        if name == chosen:
            import_module(module).add_arguments(sub)
    args = parser.parse_args(arguments)
    try:
        return int(import_module(COMMANDS[args.command][0]).run(args))
    except OptionsError as error:
        print(f"jkbms_addon: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
