"""What to set in which inverter: its own menu's words, the protocol that goes with them, and the pins of its socket.

The only place where that stands: the manual's table and the set-up on the page are made from it. ``rests_on`` says how
far anybody can vouch for it: a capture, the maker's paper, or reports of users. Words in quotes are the menu's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Rests = Literal["capture", "paper", "reports"]


@dataclass(frozen=True, slots=True)
class Profile:
    """A family of inverters. ``protocols`` begin with the one to try first; none where it cannot be told anything.

    ``bitrate`` is that of its CAN bus in bit/s, None on RS485 and where it is not known.
    """

    key: str
    name: str
    menu: str
    protocols: tuple[str, ...]
    rests_on: tuple[Rests, ...]
    note: str = ""
    bitrate: int | None = 500000
    socket: str = "usual"


@dataclass(frozen=True, slots=True)
class Socket:
    """Where an inverter has its battery port, by the pins of an RJ45; ``rests_on`` says who tells it."""

    inverter: str
    name: str
    high: int
    low: int
    ground: int | None
    rs485: str
    rests_on: str


SOCKETS: Final[Mapping[str, Socket]] = MappingProxyType(
    {
        "victron": Socket(
            "Victron GX",
            "VE.Can, BMS-Can",
            *(7, 8, 3, ""),
            "Victron; needs a cable of its own and the terminators in both sockets",
        ),
        "sma": Socket(
            "SMA Sunny Island",
            "ComSync",
            *(4, 5, 2, ""),
            "SMA's manual; pins 1, 7 and 8 must stay free, a terminator sits in ComSyncOut",
        ),
        "deye": Socket("Deye, Sunsynk", "BMS", 4, 5, 3, "1 B, 2 A", "guide of the Sunsynk integration"),
        "sol_ark": Socket("Sol-Ark", "Battery CANBus", 4, 5, 2, "1 or 8 B, 2 or 7 A", "Sol-Ark's manual"),
        "usual": Socket(
            "most others",
            "BMS, BAT",
            *(4, 5, None, "often 1 B, 2 A or 7 A, 8 B"),
            "batteries of many makers; not checked by us",
        ),
    }
)


_ROWS: Final = (
    Profile(
        "deye",
        "Deye, Sunsynk",
        'battery type "Lithium", mode "00" (CAN)',
        ("pylontech",),
        ("capture", "reports"),
        "off the grid it goes by the state of charge alone; some models heed the charge current only in part. It "
        "answers with 0x305 late at times, which does not matter here",
        socket="deye",
    ),
    Profile(
        "deye_pcs",
        "Deye with its own batteries' protocol",
        'battery type "Lithium", mode "00" (CAN)',
        ("deye_pcs",),
        ("capture",),
        "an option for those who want limits on the grid apart from those off the grid; begin with pylontech",
        socket="deye",
    ),
    Profile(
        "sol_ark",
        "Sol-Ark",
        '"BMS Lithium Batt" "00"',
        ("pylontech", "sol_ark"),
        ("paper", "reports"),
        "sol_ark tells the battery voltage in 0.1 V, pylontech in 0.01 V: if the inverter shows a tenth of the "
        "voltage, take the other one",
        socket="sol_ark",
    ),
    Profile(
        "victron",
        "Victron Multi, Quattro with a GX",
        '"CAN-bus BMS LV (500 kbit/s)" in the settings of the VE.Can or BMS-Can port',
        ("victron",),
        ("capture",),
        "switch DVCC on. In an island the inverter shuts down when no battery can be discharged. Its sockets are wired "
        "in another way than most, and need both terminators",
        socket="victron",
    ),
    Profile(
        "sma",
        "SMA Sunny Island",
        "lithium battery with external management",
        ("sma",),
        ("paper",),
        "off the grid it goes by the state of charge. Stop the app for less than 60 s only: after that it shuts down "
        "and stays off until somebody presses start; so stop_after is not heeded",
        socket="sma",
    ),
    Profile(
        "goodwe",
        "GoodWe ES, EM, S-BP",
        'battery "LX U5.4-L"',
        ("goodwe", "pylontech_v2"),
        ("capture", "reports"),
        "one report speaks of 29-bit ids, which this app never sends",
    ),
    Profile(
        "luxpower",
        "LuxPower, EG4",
        '"Lithium", brand "6" ("Luxpower", "EG4")',
        ("luxpower",),
        ("paper",),
        "never let it be asked to charge from the grid unless you want that: the inverter cannot refuse",
    ),
    Profile("growatt_spf", "Growatt SPF", '"L52" (CAN)', ("pylontech",), ("reports",)),
    Profile(
        "growatt_lv",
        "Growatt SPH, SPA, MOD low voltage",
        "battery of Growatt's own protocol",
        ("growatt_lv",),
        ("paper",),
        "asks each second; banks of more than 655 Ah are told as 655 Ah",
    ),
    Profile(
        "solis",
        "Solis",
        '"AoBo"; with pylontech_v2 or pylontech "Pylon LV"',
        ("sma", "pylontech_v2", "pylontech"),
        ("reports",),
        "keeps drawing for its own use when discharging is stopped. Some need an adapter with a 3.3 V transceiver",
    ),
    Profile(
        "sofar",
        "Sofar HYD, ME",
        '"automatic" or "Pylontech"',
        ("pylontech",),
        ("reports",),
        "may need a further 120 Ω; one report says that limits of 0 are ignored",
    ),
    Profile("srne", "SRNE", '"UZE" or "Pylontech"', ("pylontech_v2", "pylontech_rs485"), ("reports",)),
    Profile(
        "studer",
        "Studer Xcom-CAN",
        'DIP "11000110"',
        ("pylontech_v2",),
        ("reports",),
        "the manual names protocols, but no bytes",
    ),
    Profile(
        "schneider",
        "Schneider XW Pro",
        '"Pylontech"',
        ("pylontech_v2",),
        ("reports",),
        "its heartbeat has 29 bits, which is heard all the same",
    ),
    Profile("midnite", "MidNite AIO", '"PYLON"', ("pylontech",), ("reports",)),
    Profile(
        "voltronic",
        "Axpert and other Voltronic inverters",
        '"PYL"',
        ("pylontech_rs485",),
        ("paper", "reports"),
        "RS485; the rate is found by listening",
        None,
    ),
    Profile(
        "rs485",
        'anything with an RS485 battery port and "Pylontech" in its menu',
        '"Pylontech", "PYL"',
        ("pylontech_rs485",),
        ("capture",),
        "the captures are of batteries, not of these inverters; the rate is found by listening",
        None,
    ),
    Profile(
        "none",
        "Must, INVT, Megarevo, Voltronic CAN, Fronius",
        "",
        (),
        (),
        "no public table of bytes was found; send us one",
        None,
    ),
)
PROFILES: Final[Mapping[str, Profile]] = MappingProxyType({one.key: one for one in _ROWS})
