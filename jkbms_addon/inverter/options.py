"""The sections ``bank`` and ``inverter`` of the options; a wrong one is a problem of the inverter, not of the buses."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import voluptuous as vol

from jkbms_addon.charging.chemistry import CHEMISTRIES
from jkbms_addon.charging.setpoints import Policy
from jkbms_addon.errors import OptionsError
from jkbms_addon.inverter.dialects import DIALECTS, EXTREMES, LENGTHS, Extremes, Length
from jkbms_addon.validators import addresses, bitrate, channel, explained, given, yes_no

NONE: Final = "none"
PROTOCOLS: Final = (NONE, *DIALECTS)
# what the limits are made with; the policy itself says which numbers are allowed
POLICY: Final = (
    "charge_voltage",
    "float_voltage",
    "max_charge_current",
    "max_discharge_current",
    "min_discharge_voltage",
    "stale_discharge",
    "stop_after",
    "require_all",
    "grid_tied",
    "chemistry",
    "manufacturer",
)


@dataclass(frozen=True, slots=True)
class BankOptions:
    """Which batteries work together: bus and address, None for all of a bus; all of them where it is empty."""

    members: tuple[tuple[str, int | None], ...] = ()
    enabled: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class InverterOptions:
    """How the inverter is told; bit/s. With a ``problem`` it is told nothing."""

    protocol: str = NONE
    channel: str = ""
    bitrate: int = 500000
    baudrate: int | None = None
    set_up_link: bool = False
    dlc: Length = "padded"
    cell_extremes: Extremes = "off"
    cell_numbers: bool = False
    confirmed: bool = False
    policy: Policy = field(default_factory=Policy)
    share: float = 1.0  # of the current limits of the bank
    problem: str = ""

    @property
    def wanted(self) -> bool:
        """Whether there is an inverter to make limits for."""
        return self.protocol != NONE and not self.problem

    @property
    def emits(self) -> bool:
        """Whether anything may be sent at all."""
        return self.wanted and self.confirmed

    def refused(self, problem: str) -> "InverterOptions":
        """The same without any permission."""
        return replace(self, confirmed=False, problem=problem)


def one_of(*words: str) -> vol.Any:
    """One of some words."""
    return vol.Any(*words, msg=f"must be one of {', '.join(words)}")


def baudrate(value: object) -> int:
    """Rate of a serial port, 9600 or 115200."""
    if isinstance(value, bool) or str(value) not in ("9600", "115200"):  # a list of Home Assistant's form gives text
        raise vol.Invalid("must be 9600 or 115200")
    return int(str(value))


def member(value: object) -> tuple[tuple[str, int | None], ...]:
    """``bus`` for all of its batteries, or ``bus/1-3`` for some."""
    bus, slash, which = str(value).partition("/")
    if not re.fullmatch(r"[a-z0-9_]+", bus):
        raise vol.Invalid(f"{value!r:.60} must be a bus, or a bus with addresses such as 'rs485/1-3'")
    return tuple((bus, address) for address in sorted(addresses(which))) if slash else ((bus, None),)


def members(value: object) -> tuple[tuple[str, int | None], ...]:
    """Batteries from a list or a text such as ``rs485/1-3, garage``; empty for all."""
    listed = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(listed, list):
        raise vol.Invalid("must be a text such as 'rs485/1-3, garage'")
    found = [one for entry in listed if entry != "" for one in member(entry)]
    return tuple(dict.fromkeys(found))


def _row(key: str, says: str, default: object = vol.UNDEFINED) -> vol.Optional:
    return vol.Optional(key, default=default, description=says)


BANK: Final = vol.Schema(
    {
        _row("members", "the batteries that work together, such as `rs485/1-3, garage`; empty for all"): members,
        _row("enabled", "a device *Battery bank* even for a single battery", False): yes_no,
    }
)
INVERTER: Final = vol.Schema(
    {
        _row("protocol", f"one of {', '.join(PROTOCOLS)}", NONE): one_of(*PROTOCOLS),
        _row(
            "channel",
            "a CAN interface such as `can0`, or the path of a serial adapter (slcan); for `pylontech_rs485` the path "
            "of an RS485 adapter",
        ): channel,
        _row("bitrate", "500000, which nearly all inverters use, or 250000", 500000): bitrate,
        _row("baudrate", "9600 or 115200 on RS485; left out: the one at which the inverter is heard"): baudrate,
        _row("set_up_link", "bring the CAN interface up at that rate; else it is used as found", False): yes_no,
        _row("confirmed", "nothing is sent before this is `true`", False): yes_no,
        _row(
            "manufacturer", "the name that the inverter is told, 1 to 8 ASCII characters; empty for the usual"
        ): object,
        _row("dlc", "`padded`: 8 bytes in every frame; `exact`: as many as the protocol names", "padded"): one_of(
            *LENGTHS
        ),
        _row("chemistry", f"one of {', '.join(CHEMISTRIES)}; empty: as the batteries say"): one_of(*CHEMISTRIES),
        _row("charge_voltage", "V per cell up to which is charged, 1.2 to 4.4"): object,
        _row("float_voltage", "V per cell at which the full battery is kept, 1.2 to 4.4"): object,
        _row("max_charge_current", "A of the whole bank, 0 to 3000"): object,
        _row("max_discharge_current", "A of the whole bank, 0 to 3000"): object,
        _row("min_discharge_voltage", "V per cell at which discharging ends; above 5: V of the whole battery"): object,
        _row("stale_discharge", "`zero` or `hold`: discharging when no battery is heard any more", "zero"): one_of(
            "zero", "hold"
        ),
        _row("stop_after", "s without any battery after which nothing is sent at all; empty for never"): object,
        _row("require_all", "no current at all unless every battery counts", False): yes_no,
        _row("grid_tied", "also stop discharging when the app is stopped or switched off", False): yes_no,
        _row("cell_extremes", "`0x070` or `0x370`: also send highest and lowest cell (goodwe)", "off"): one_of(
            *EXTREMES
        ),
        _row("cell_numbers", "also send in 0x371 where these cells are (goodwe)", False): yes_no,
    }
)


def bank_options(raw: object, buses: Collection[str]) -> BankOptions:
    """The section ``bank``; ``buses`` are the names that may be used in it."""
    try:
        options = BankOptions(**BANK(given(raw)))
    except vol.Invalid as error:
        return BankOptions(problem=f"bank: {explained(error)}")
    unknown = [bus for bus, _ in options.members if bus not in buses]
    return replace(options, problem=f"bank: members: there is no bus {unknown[0]!r:.60}") if unknown else options


def inverter_options(raw: object, bank: BankOptions) -> InverterOptions:
    """The section ``inverter``; with a wrong bank there is nothing that an inverter could be told."""
    try:
        values = INVERTER(given(raw))
        policy = Policy(**{key: values.pop(key) for key in POLICY if key in values})
        options = InverterOptions(**values, policy=policy)
    except vol.Invalid as error:
        return InverterOptions().refused(f"inverter: {explained(error)}")
    except OptionsError as error:
        return InverterOptions().refused(f"inverter: {error}")
    wrong = mistaken(options, bank) if options.protocol != NONE else ""
    return options.refused(f"inverter: {wrong}") if wrong else options


def mistaken(options: InverterOptions, bank: BankOptions) -> str:
    """What does not fit together; empty if all does."""
    dialect = DIALECTS[options.protocol]
    if not options.channel:
        return "channel: is missing"
    if bank.problem:
        return f"nothing is sent, as the bank is wrong: {bank.problem}"
    if dialect.port == "serial" and not options.channel.startswith("/"):
        return "channel: must be the path of an RS485 adapter, best in /dev/serial/by-id/"
    if (options.cell_extremes != "off" or options.cell_numbers) and not dialect.extremes:
        return f"cell_extremes: {options.protocol} has no such frames"
    return ""


def clash(options: InverterOptions, place: str, values: Mapping[str, Any]) -> str:
    """Why the inverter cannot have its channel when a bus with these options has ``place``; empty if it can."""
    if place != options.channel:
        return ""
    if options.channel.startswith("/"):
        return f"inverter: channel: {place} is already used"
    rate = values.get("bitrate")
    if rate is not None and rate != options.bitrate:
        return f"inverter: bitrate: {place} already runs at {rate} bit/s"
    return ""
