"""Which batteries are in the air, who they are, and entries for the options. Writes nothing.

Nothing of Bluetooth is loaded, and D-Bus is not touched, before somebody asks for a scan.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jkbms_addon.acquisition import ble
from jkbms_addon.battery.status import BusStatus
from jkbms_addon.doctor.found import Found, yaml
from jkbms_addon.doctor.scan import Say
from jkbms_addon.errors import LinkError

LISTEN: Final = 8.0  # s; a BMS advertises several times a second
TALK: Final = 12.0  # s for who it is and what it measures
NOBODY: Final = (
    "no JK BMS is heard: out of range, switched off, or already connected to a phone or another program, as a BMS then "
    "does not advertise; what this app itself is connected to is not heard either"
)
TAKEN: Final = "bus {} connects to it"


@dataclass(slots=True)
class InAir:
    """A battery that was heard; ``trouble`` is why it was not read."""

    address: str
    name: str
    rssi: int | None
    told: Found = field(default_factory=lambda: Found(None, "heard"))
    trouble: str = ""

    def row(self) -> tuple[str, ...]:
        """Address, name, RSSI, model, firmware, serial number, cells, voltage; a dash where nothing is known."""
        _, *told, _, _ = self.told.row()
        loud = "-" if self.rssi is None else f"{self.rssi} dBm"
        return self.address, self.name or "-", loud, *told


async def scan(adapter: str, say: Say, used: Mapping[str, str] | None = None) -> list[InAir]:
    """Listen, then connect to everybody for a moment, one at a time; the loudest first.

    ``used`` are units by address or name, and the buses to which they are left. ``LinkError`` without Bluetooth;
    ``say`` is told what is going on, and may raise what ends the scan.
    """
    try:
        from jkbms_addon.link.gatt import heard  # noqa: PLC0415 - only where it is used
    except ImportError as error:
        raise LinkError(ble.NO_LIBRARY) from error
    say("listening for Bluetooth batteries")
    found = [InAir(one.address, one.name, one.rssi) for one in await heard(adapter, LISTEN)]
    for number, one in enumerate(found, 1):
        say(f"asking {one.address}", f"({number} of {len(found)})")
        if owner := _owner(one, used or {}):
            one.trouble = TAKEN.format(owner)
            continue
        try:
            await _asked(one, adapter, say)
        except LinkError as error:
            one.trouble = str(error).removeprefix(f"{one.address}: ")
    return found


def _owner(one: InAir, used: Mapping[str, str]) -> str:
    return used.get(one.address) or (used.get(one.name, "") if one.name else "")


async def _asked(one: InAir, adapter: str, say: Say) -> None:
    options = ble.PLUGIN.schema({"mac": one.address, **({"adapter": adapter} if adapter else {})})
    status = BusStatus("scan")
    async with ble.opened(options, status) as source:
        end = time.monotonic() + TALK
        while not {"live", "about"} <= set(one.told.kinds) and time.monotonic() < end:
            say(f"asking {one.address}")
            for reading in await source.poll():
                one.told.tell(reading, time.monotonic())
            if isinstance(source, ble.Refused):
                one.trouble = status.problem
                return


def buses(found: list[InAir], adapter: str) -> list[dict[str, str | int]]:
    """A bus of the options for each that was read."""
    good = [one for one in found if one.told.kinds]
    on = {"adapter": adapter} if adapter else {}
    return [
        {"name": f"ble{n}", "strategy": "ble", "mac": one.address, "address": n, **on} for n, one in enumerate(good, 1)
    ]


def entries(found: list[InAir], adapter: str) -> str:
    """The same as text; empty when there are none."""
    told = buses(found, adapter)
    return yaml(*told) if told else ""
