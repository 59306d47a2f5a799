"""The list ``inverters``: several inverters at one bank, each told in its own way, and its part of the limits.

How far and how fast is charged concerns the bank and stays in the section ``inverter``. An inverter in that section, as
earlier versions had the only one, is the first of the list. All hear the same bank; the current limits are divided.
"""

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Final

import voluptuous as vol

from jkbms_addon.inverter.dialects import DIALECTS
from jkbms_addon.inverter.options import INVERTER, NONE, BankOptions, InverterOptions, mistaken
from jkbms_addon.inverter.state import Targets
from jkbms_addon.validators import explained, given

WHOLE: Final = 100.0  # %
# what is of one inverter, and not of the bank
OWN: Final = (
    *("protocol", "channel", "bitrate", "baudrate", "set_up_link", "confirmed"),
    *("manufacturer", "dlc", "cell_extremes", "cell_numbers"),
)


def share(value: object) -> float:
    """Percent of the bank's current limits, 1 to 100."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= WHOLE:
        raise vol.Invalid("must be 1 to 100 percent")
    return float(value)


SHARE: Final = vol.Optional(
    "share",
    description="% of the bank's current limits for this one; left out: an equal part of the rest",
)
LISTED: Final = vol.Schema({**{row: check for row, check in INVERTER.schema.items() if str(row) in OWN}, SHARE: share})


def listed(raw: object, first: InverterOptions, bank: BankOptions) -> tuple[InverterOptions, ...]:
    """Everybody who is told something; ``first`` is the section ``inverter``, whose setpoints hold for all."""
    entries = [] if raw in (None, "") else raw
    if not isinstance(entries, list):
        return (*_alone(first), first.refused("inverters: must be a list"))
    if not entries:
        return _alone(first)
    found = list(_alone(first))
    told: list[float | None] = [None] * len(found)
    for number, entry in enumerate(entries, 1):
        one, part = _entry(number, entry, first, bank)
        found.append(one)
        told.append(part)
    return _divided(_apart(found), told)


def following(raw: object, first: InverterOptions, inverters: Iterable[InverterOptions]) -> InverterOptions:
    """The section ``inverter`` with setpoints that fit the inverters that there are.

    The charge told follows the cells where any of them obeys only that, unless the owner wrote something else in the
    section, ``raw``. Where one takes a silence for the end of its battery there is none, however long nothing is heard.
    """
    spoken = [DIALECTS[one.protocol] for one in inverters if one.wanted]
    setpoints = first.setpoints
    if not (isinstance(raw, dict) and raw.get("soc_follows") not in (None, "")):
        setpoints = replace(setpoints, soc_follows=any(one.soc_decides for one in spoken))
    if any(one.silence_after is not None for one in spoken):
        setpoints = replace(setpoints, stop_after=None)
    return replace(first, setpoints=setpoints)


def _alone(first: InverterOptions) -> tuple[InverterOptions, ...]:
    return (first,) if first.protocol != NONE or first.problem else ()


def _entry(
    number: int, entry: object, first: InverterOptions, bank: BankOptions
) -> tuple[InverterOptions, float | None]:
    """One entry with the bank's setpoints, and its share in percent."""
    blank = InverterOptions()
    bare = replace(first, problem="", **{key: getattr(blank, key) for key in OWN if key in _FIELDS})
    where = f"inverters {number}"
    if not isinstance(entry, dict):
        return bare.refused(f"{where}: must be an object with protocol and channel"), None
    try:
        values = LISTED(given(entry))
    except vol.Invalid as error:
        return bare.refused(f"{where}: {explained(error)}"), None
    part = values.pop("share", None)
    options = replace(bare, **{key: value for key, value in values.items() if key in _FIELDS})
    wrong = mistaken(options, bank) if options.protocol != NONE else "protocol: is missing"
    return (options.refused(f"{where}: {wrong}") if wrong else options), part


_FIELDS: Final = frozenset(one.name for one in fields(InverterOptions))


def _apart(found: Iterable[InverterOptions]) -> list[InverterOptions]:
    """Whoever has the channel of an earlier one is refused: inverters on one bus hear the same frames anyway."""
    taken: set[str] = set()
    apart: list[InverterOptions] = []
    for one in found:
        if one.channel and one.channel in taken and not one.problem:
            apart.append(one.refused(f"inverters: channel: {one.channel} is used twice; one entry for one bus"))
        else:
            apart.append(one)
            taken.add(one.channel)
    return apart


def _divided(found: list[InverterOptions], shares: list[float | None]) -> tuple[InverterOptions, ...]:
    """Each with its part of the whole; those without one share what is left."""
    spoken = sum(part for part in shares if part is not None)
    open_ended = sum(part is None for part in shares)
    if spoken > WHOLE or (open_ended and spoken >= WHOLE):
        return tuple(one.refused("inverters: share: together more than 100 %") for one in found)
    rest = (WHOLE - spoken) / open_ended if open_ended else 0.0
    return tuple(
        replace(one, share=(rest if part is None else part) / WHOLE) for one, part in zip(found, shares, strict=True)
    )


def portion(targets: Targets, part: float) -> Targets:
    """What one inverter is told of a decision: its part of the current limits, all else as it is."""
    if part == 1:
        return targets
    return Targets.model_validate(
        {
            **dict(targets),
            "charge_current": targets.charge_current * part,
            "discharge_current": targets.discharge_current * part,
        }
    )
