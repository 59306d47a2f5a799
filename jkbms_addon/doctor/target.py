"""Where a bus of PB models or of the first generation can be: a serial port, or a gateway."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from jkbms_addon.link.place import exists, real
from jkbms_addon.link.stream import Link, serial_link, tcp_link

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
    if not exists(folder):
        return port
    return next((str(link) for link in sorted(folder.iterdir()) if real(str(link)) == real(port)), port)
