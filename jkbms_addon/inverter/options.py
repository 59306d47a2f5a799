"""The sections ``bank`` and ``inverter`` of the options; a wrong one is a problem of the inverter, not of the buses."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

import voluptuous as vol

from jkbms_addon.charging.chemistry import CHEMISTRIES
from jkbms_addon.charging.setpoints import GRID_CHARGE, Setpoints
from jkbms_addon.errors import OptionsError
from jkbms_addon.inverter.dialects import DIALECTS, EXTREMES, LENGTHS, Extremes, Length
from jkbms_addon.validators import addresses, bitrate, channel, explained, given, yes_no

NONE: Final = "none"
DETAILS: Final = "inverter_details"  # section of the form for what few need
# what stands in the form's section ``inverter``: with these alone most inverters are told
FIRST: Final = frozenset(
    ("protocol", "confirmed", "channel", "set_up_link", "charge_voltage", "max_charge_current", "max_discharge_current")
)
PROTOCOLS: Final = (NONE, *DIALECTS)


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
    manufacturer: str | None = None
    setpoints: Setpoints = field(default_factory=Setpoints)
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

    @property
    def serial(self) -> bool:
        """Whether it is told over a serial port; else over CAN."""
        return DIALECTS[self.protocol].port == "serial"

    @property
    def rate(self) -> int | None:
        """Bit/s of the link; None where they are found out by listening."""
        return self.baudrate if self.serial else self.bitrate

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


def _name(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[!-~][ -~]{0,7}", value):
        raise vol.Invalid(f"{value!r:.60} is not a text of 1 to 8 ASCII characters")
    return value


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
        _row("manufacturer", "the name that the inverter is told, 1 to 8 ASCII characters; empty for the usual"): _name,
        _row("dlc", "`padded`: 8 bytes in every frame; `exact`: as many as the protocol names", "padded"): one_of(
            *LENGTHS
        ),
        _row("chemistry", f"one of {', '.join(CHEMISTRIES)}; empty: as the batteries say"): one_of(*CHEMISTRIES),
        _row("charge_voltage", "V per cell up to which is charged; left out: the lowest request of the packs"): object,
        _row("float_voltage", "V per cell at which the full battery is kept; left out: as the packs request"): object,
        _row("max_charge_current", "A of the whole bank, 0 to 3000"): object,
        _row("max_discharge_current", "A of the whole bank, 0 to 3000"): object,
        _row("min_discharge_voltage", "V per cell at which discharging ends; above 5: V of the whole battery"): object,
        _row("balance_voltage", "V per cell of a charge that the button *Balance now* begins, such as 3.55"): object,
        _row(
            "soc_limit", "% of charge at which charging ends, 20 to 100; a full charge that is due goes beyond"
        ): object,
        _row("rebulk_drop", "% of charge that may be used before the battery is filled again, 2 to 90"): object,
        _row("full_charge_days", "days after which the battery is charged fully, 0 for never"): object,
        _row("soc_floor", "% of charge that an inverter is told at least while no cell is low, 0 to 30"): object,
        _row(
            "soc_follows", "tell a charge that follows the cells; left out: where the inverter obeys only that"
        ): yes_no,
        _row("voltage_offset", "V that are added to the charge voltage told, -0.5 to 0.5"): object,
        _row(
            "grid_charge", "when the inverter may be asked to charge from the grid: `never`, `emergency`, `full`"
        ): one_of(*GRID_CHARGE),
        _row("hold_without_data", "minutes for which discharging goes on when no battery is heard, 0 to 15"): object,
        _row("stale_discharge", "the older word for it: `zero` is 0 minutes, `hold` the usual 15"): one_of(
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
INVERTER_KEYS: Final = frozenset(map(str, INVERTER.schema))


def detail(key: object) -> bool:
    """Whether an option stands in the form's second section."""
    return key in INVERTER_KEYS and key not in FIRST


def placed(text: str) -> str:
    """What is wrong with the inverter's options, with the section in which the form has the option that it names."""
    return f"{DETAILS if detail(text.partition(':')[0]) else 'inverter'}: {text}"


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
        setpoints = _setpoints(values).check()
        rest = {key: value for key, value in values.items() if key not in NUMBERS_AND_WISHES}
        options = InverterOptions(**rest, setpoints=setpoints)
    except vol.Invalid as error:
        return InverterOptions().refused(placed(explained(error)))
    except OptionsError as error:
        return InverterOptions().refused(placed(str(error)))
    wrong = mistaken(options, bank) if options.protocol != NONE else ""
    return options.refused(placed(wrong)) if wrong else options


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


# what the limits are made from; the set points themselves say which numbers are allowed
NUMBERS_AND_WISHES: Final = tuple(one.name for one in fields(Setpoints))


def _setpoints(values: Mapping[str, Any]) -> Setpoints:
    """What the owner allows; ``OptionsError`` names what makes no sense."""
    found = {key: value for key, value in values.items() if key in NUMBERS_AND_WISHES}
    found.setdefault("soc_follows", values["protocol"] != NONE and DIALECTS[values["protocol"]].soc_decides)
    return Setpoints(**found)


def clash(options: InverterOptions, place: str, values: Mapping[str, Any]) -> str:
    """Why the inverter cannot have its channel when a bus with these options has ``place``; empty if it can."""
    if place != options.channel:
        return ""
    if options.channel.startswith("/"):
        return placed(f"channel: {place} is already used")
    rate = values.get("bitrate")
    if rate is not None and rate != options.bitrate:
        return placed(f"bitrate: {place} already runs at {rate} bit/s")
    return ""
