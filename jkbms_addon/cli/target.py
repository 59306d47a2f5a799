"""``--port`` and ``--host``: what the commands that open a bus have in common."""

import argparse
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from jkbms_addon.errors import OptionsError
from jkbms_addon.link.stream import Link, serial_link, tcp_link

TCP_PORT = 8899  # what many gateways are set to when they are new
BY_ID = Path("/dev/serial/by-id")


@dataclass(frozen=True, slots=True)
class Target:
    """A serial port (``tcp_port`` is None), or a gateway's name and TCP port."""

    place: str
    tcp_port: int | None = None

    @property
    def tcp(self) -> bool:
        """Whether a gateway stands between."""
        return self.tcp_port is not None

    def __str__(self) -> str:
        return self.place if self.tcp_port is None else f"{self.place}:{self.tcp_port}"

    def open(self) -> AbstractAsyncContextManager[Link]:
        """The link, for us alone where that can be; ``LinkError`` says why not."""
        return serial_link(self.place) if self.tcp_port is None else tcp_link(self.place, self.tcp_port)

    def options(self) -> dict[str, str | int]:
        """The keys of a bus that lead here; a serial port by the name that it keeps."""
        if self.tcp_port is None:
            return {"port": lasting(self.place)}
        return {"host": self.place, "tcp_port": self.tcp_port}


def lasting(port: str, folder: Path = BY_ID) -> str:
    """The name of a serial port that stays when adapters are plugged in another order, if it has one."""
    if not folder.is_dir():
        return port
    real = Path(port).resolve()
    return next((str(link) for link in sorted(folder.iterdir()) if link.resolve() == real), port)


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
    if args.port is not None:
        return Target(args.port)
    host, colon, port = args.host.rpartition(":")
    # the colons of an IPv6 address belong to the name, which then stands in brackets
    if not colon or args.host.endswith("]"):
        host, port = args.host, str(TCP_PORT)
    if not port.isdecimal() or not 1 <= int(port) <= 65535 or not host.strip("[]"):
        raise OptionsError(f"--host: {args.host!r} must be HOST or HOST:PORT with a port from 1 to 65535")
    return Target(host.strip("[]"), int(port))
