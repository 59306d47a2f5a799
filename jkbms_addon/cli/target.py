"""``--port`` and ``--host``: what the commands that open a bus have in common."""

import argparse

from jkbms_addon.doctor.target import Target
from jkbms_addon.errors import OptionsError

TCP_PORT = 8899  # what many gateways are set to when they are new


def add_arguments(parser: argparse.ArgumentParser, *, bluetooth: bool = False) -> None:
    """Which bus; with ``bluetooth`` it may be the air, too."""
    either = parser.add_mutually_exclusive_group(required=True)
    if bluetooth:
        either.add_argument(
            "--bluetooth",
            nargs="?",
            const="",
            metavar="ADAPTER",
            help="batteries in the air, by the first Bluetooth adapter or the one that is named",
        )
    either.add_argument("--port", metavar="PORT", help="serial port, best as /dev/serial/by-id/...")
    either.add_argument(
        "--host", metavar="HOST[:PORT]", help=f"RS485-to-TCP gateway in transparent mode (default port: {TCP_PORT})"
    )


def chosen(args: argparse.Namespace) -> Target:
    """The bus that the arguments name; ``OptionsError`` when a TCP port is none."""
    return Target(args.port) if args.port is not None else _gateway("--host", args.host)


def named(text: str) -> Target:
    """A bus by one word: the path of a serial port, or a gateway; ``OptionsError`` when a TCP port is none."""
    return Target(text) if text.startswith("/") else _gateway("--also", text)


def _gateway(option: str, text: str) -> Target:
    host, colon, port = text.rpartition(":")
    # the colons of an IPv6 address belong to the name, which then stands in brackets
    if not colon or text.endswith("]"):
        host, port = text, str(TCP_PORT)
    if not port.isdecimal() or not 1 <= int(port) <= 65535 or not host.strip("[]"):
        raise OptionsError(f"{option}: {text!r} must be HOST or HOST:PORT with a port from 1 to 65535")
    return Target(host.strip("[]"), int(port))
