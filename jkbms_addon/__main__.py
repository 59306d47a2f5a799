"""Command line: ``python -m jkbms_addon COMMAND``."""

import argparse
import os
import signal
import sys
from importlib import import_module

from jkbms_addon import __version__
from jkbms_addon.errors import LinkError, OptionsError

# command -> (module of it, what --help says); modules are imported only when they are asked for
COMMANDS = {
    "run": ("jkbms_addon.cli.run", "run the app with an options file"),
    "demo": ("jkbms_addon.cli.demo", "simulated batteries, real acquisition and MQTT, no hardware"),
    "decode": ("jkbms_addon.cli.decode", "hex text or a capture to readings, one JSON line each"),
    "frames": ("jkbms_addon.cli.frames", "print the CAN frames that tell an inverter a given state"),
    "scan": ("jkbms_addon.cli.scan", "find out what is on a bus, and print an entry for the options"),
    "capture": ("jkbms_addon.cli.capture", "record the bytes on a bus into a file, without passwords"),
    "replay": ("jkbms_addon.cli.replay", "run the app with a capture in the place of a bus"),
    "settings": ("jkbms_addon.cli.settings", "save, compare, restore and copy the settings of BMSs"),
    "options": ("jkbms_addon.cli.options", "check an options file, and say in words what would run"),
    "bundle": ("jkbms_addon.cli.bundle", "what a bug report needs, in one file without secrets"),
    "dashboard": ("jkbms_addon.cli.dashboard", "print a dashboard for Home Assistant"),
    "audit": ("jkbms_addon.cli.audit", "who changed what, and what became of it"),
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
    except (OptionsError, LinkError) as error:
        print(f"jkbms_addon: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        # until the app is there to take leave, nothing was begun; as process 1 nobody else would end it
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:  # before a command could take it
        status = 130
    except BrokenPipeError:
        if sys.argv[1:2] == ["run"]:  # prints nothing, so it is a fault
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read it has enough, as with head
        status = 141
    sys.exit(status)
